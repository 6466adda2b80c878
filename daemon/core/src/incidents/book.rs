//! The book of incidents: their life cycle from first finding to end.

use std::collections::HashMap;

use super::{
    CameraSource, EndReason, Ending, Evidence, Handling, Incident, Locale, Origin, Scene, SeenByCamera, SensorSource,
    Source, ToldBySensor,
    event::{EventKind, Revision},
    title,
};
use crate::{
    ids::{Id, IncidentIds},
    rules::{Change, Finding},
    sensor::{reading::Reading, rules::Alarm},
    time::{BootId, Clock, Mono},
};

/// The open incidents of this run. Pure: it decides, others store and announce.
pub struct Book<I> {
    locale: Locale,
    boot: BootId,
    config_digest: String,
    ids: I,
    open: HashMap<Key, Incident>,
}

/// `camera` or `sensor`, its id, its rule, and the rule's episode.
type Key = (&'static str, Id, Id, u64);

/// What findings and alarms have in common.
struct Episode {
    number: u64,
    change: Change,
    at: Mono,
    since: Mono,
    last_seen: Mono,
    score: f32,
    origin: Origin,
}

impl<I: IncidentIds> Book<I> {
    /// A book without open incidents.
    pub fn new(locale: Locale, boot: BootId, config_digest: String, ids: I) -> Self {
        Self { locale, boot, config_digest, ids, open: HashMap::new() }
    }

    /// How many incidents are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// What a camera's finding makes of an incident. `None` if it belongs to none that is open.
    pub fn found(&mut self, source: &Source<CameraSource>, finding: &Finding, clock: &dyn Clock) -> Option<Revision> {
        let CameraSource { camera, area, models, .. } = &source.of;
        let seen = SeenByCamera {
            camera: camera.clone(),
            area: area.clone(),
            counts: (&finding.tally).into(),
            models: models.clone(),
        };
        let episode = Episode {
            number: finding.episode,
            change: finding.change,
            at: finding.at,
            since: finding.tally.since,
            last_seen: finding.tally.last_seen,
            score: finding.tally.score,
            origin: Origin::Camera(seen),
        };
        self.apply(source, episode, title::of_camera(self.locale, source), clock)
    }

    /// What a sensor's alarm makes of an incident, with the last readings, the oldest first. `None` if it belongs to none
    /// that is open.
    pub fn alarmed<'r>(
        &mut self,
        source: &Source<SensorSource>,
        alarm: &Alarm,
        readings: impl IntoIterator<Item = &'r Reading>,
        clock: &dyn Clock,
    ) -> Option<Revision> {
        let SensorSource { sensor, quantity, unit, .. } = &source.of;
        let told = ToldBySensor {
            sensor: sensor.clone(),
            quantity: quantity.clone(),
            unit: unit.to_string(),
            measure: (&alarm.tally).into(),
            readings: readings.into_iter().map(Into::into).collect(),
        };
        let episode = Episode {
            number: alarm.episode,
            change: alarm.change,
            at: alarm.at,
            since: alarm.tally.since,
            last_seen: alarm.tally.last_seen,
            score: alarm.tally.score as f32,
            origin: Origin::Sensor(told),
        };
        self.apply(source, episode, title::of_sensor(self.locale, source, &alarm.tally), clock)
    }

    fn apply<O>(&mut self, source: &Source<O>, episode: Episode, title: String, clock: &dyn Clock) -> Option<Revision> {
        let (kind, id) = episode.origin.kind_and_id();
        let key = (kind, id.clone(), source.rule.clone(), episode.number);
        match episode.change {
            Change::Began => {
                let incident = self.open(source, episode, title, clock);
                self.open.insert(key, incident.clone());
                Some(Revision { kind: EventKind::Opened, incident })
            }
            Change::Grew => {
                let incident = self.open.get_mut(&key)?;
                incident.take_in(episode, clock);
                incident.revision += 1;
                Some(Revision { kind: EventKind::Updated, incident: incident.clone() })
            }
            Change::Ended => {
                let mut incident = self.open.remove(&key)?;
                incident.take_in(episode, clock);
                incident.end(EndReason::ConditionOver, clock);
                Some(Revision { kind: EventKind::Ended, incident })
            }
        }
    }

    /// Adds a picture to an incident as last stored, open or ended.
    pub fn add_evidence(&mut self, mut stored: Incident, evidence: Evidence) -> Revision {
        stored.evidence.push(evidence);
        stored.revision += 1;
        if let Some(open) = self.open.values_mut().find(|open| open.id == stored.id) {
            *open = stored.clone();
        }
        Revision { kind: EventKind::Updated, incident: stored }
    }

    /// Ends an incident that an earlier run left open: nobody has watched it in between.
    pub fn end_left_open(&self, mut incident: Incident, clock: &dyn Clock) -> Revision {
        incident.end(EndReason::Restarted, clock);
        Revision { kind: EventKind::Ended, incident }
    }

    fn open<O>(&mut self, source: &Source<O>, episode: Episode, title: String, clock: &dyn Clock) -> Incident {
        let opened = clock.moment_at(episode.at);
        Incident {
            id: self.ids.next(opened),
            revision: 1,
            boot: self.boot.clone(),
            scene: Scene::Active,
            handling: Handling::Reported,
            origin: episode.origin,
            rule: source.rule.clone(),
            rule_kind: source.rule_kind.clone(),
            target: source.target.clone(),
            place: source.place.clone(),
            title,
            began: clock.moment_at(episode.since),
            opened,
            last_seen: clock.moment_at(episode.last_seen),
            ended: None,
            score: episode.score,
            evidence: Vec::new(),
            config_digest: self.config_digest.clone(),
        }
    }
}

impl Incident {
    fn take_in(&mut self, episode: Episode, clock: &dyn Clock) {
        self.last_seen = clock.moment_at(episode.last_seen);
        self.origin = episode.origin;
        self.score = episode.score;
    }

    fn end(&mut self, reason: EndReason, clock: &dyn Clock) {
        self.revision += 1;
        self.scene = Scene::Ended;
        self.ended = Some(Ending { at: clock.now(), reason });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        ids::CountedIds,
        incidents::{Place, Target},
        rules::Tally,
        sensor::{reading::Verdict, rules::AlarmTally},
        severity::Severity,
        time::ManualClock,
    };

    fn target(category: &str) -> Target {
        Target {
            category: category.to_lowercase().parse().unwrap(),
            category_name: category.into(),
            severity: Severity::Ordinary,
            grid: "330522101003".into(),
            path: vec!["330522".into(), "330522101003".into()],
            level: "grid".parse().unwrap(),
            level_grid: "330522101003".into(),
            time_limit_ms: Some(7_200_000),
        }
    }

    fn source() -> Source<CameraSource> {
        Source {
            of: CameraSource {
                camera: "gate".parse().unwrap(),
                camera_name: "North gate".into(),
                area: "yard".parse().unwrap(),
                area_name: "yard".into(),
                models: Vec::new(),
            },
            place: None,
            rule: "yard-intrusion".parse().unwrap(),
            rule_kind: "intrusion".into(),
            target: target("Intrusion"),
        }
    }

    fn gauge() -> Source<SensorSource> {
        Source {
            of: SensorSource {
                // The name of a camera: what sees and what measures is told apart.
                sensor: "gate".parse().unwrap(),
                sensor_name: "Bridge gauge".into(),
                quantity: "level".parse().unwrap(),
                quantity_name: "water level".into(),
                unit: "m".parse().unwrap(),
            },
            place: Some(Place { lat: 30.9, lon: 119.9, name: None }),
            rule: "yard-intrusion".parse().unwrap(),
            rule_kind: "threshold".into(),
            target: target("Flood"),
        }
    }

    fn alarm(change: Change, value: f64) -> Alarm {
        let tally = AlarmTally {
            value: Some(value),
            extreme: Some(value),
            count: 1,
            score: 0.0,
            since: Mono(0),
            last_seen: Mono(0),
        };
        Alarm { rule: gauge().rule, quantity: gauge().of.quantity, episode: 1, at: Mono(0), change, tally }
    }

    fn finding(change: Change, millis: u64, things: u32) -> Finding {
        let at = Mono(millis * 1_000_000);
        let since = Mono(0);
        let tally =
            Tally { things, peak: things, left_to_right: 0, right_to_left: 0, score: 0.5, since, last_seen: at };
        Finding { rule: source().rule, episode: 1, at, change, tally, subjects: Vec::new() }
    }

    #[test]
    fn an_incident_lives_from_opened_over_updated_to_ended() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = Book::new(Locale::En, clock.boot_id().clone(), "digest".into(), CountedIds::default());
        let source = source();
        let mut apply = |change, millis, things| {
            clock.advance_to(Mono(millis * 1_000_000));
            book.found(&source, &finding(change, millis, things), &clock)
        };
        let opened = apply(Change::Began, 1_000, 1).unwrap();
        assert_eq!((opened.kind, opened.incident.revision), (EventKind::Opened, 1));
        assert_eq!(opened.incident.title, "Intrusion: North gate, yard");
        assert_eq!(opened.incident.began.wall, "2026-03-01T00:00:00Z".parse().unwrap());

        let updated = apply(Change::Grew, 6_000, 2).unwrap();
        assert_eq!((updated.kind, updated.incident.revision), (EventKind::Updated, 2));
        assert_eq!(updated.incident.origin.camera().unwrap().counts.things, 2);

        let ended = apply(Change::Ended, 9_000, 2).unwrap();
        assert_eq!((ended.kind, ended.incident.revision), (EventKind::Ended, 3));
        assert_eq!((ended.incident.scene, ended.incident.id), (Scene::Ended, opened.incident.id));
        assert_eq!(apply(Change::Grew, 10_000, 3), None, "an ended incident takes nothing in");
    }

    #[test]
    fn an_alarm_is_an_incident_with_the_last_readings() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = Book::new(Locale::ZhCn, clock.boot_id().clone(), String::new(), CountedIds::default());
        let readings = [3.4, f64::NAN, 3.62].map(|value| Reading {
            sensor: gauge().of.sensor,
            quantity: gauge().of.quantity,
            value,
            unit: gauge().of.unit,
            measured: None,
            arrived: clock.now(),
            verdict: Verdict::GOOD,
        });
        let camera = book.found(&source(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
        let opened = book.alarmed(&gauge(), &alarm(Change::Began, 3.62), &readings, &clock).unwrap().incident;
        assert_ne!(opened.id, camera.id);
        assert_eq!(opened.title, "Flood：Bridge gauge，water level 3.62 m");
        let told = opened.origin.sensor().unwrap();
        assert_eq!(told.measure.value, Some(3.62));
        let values: Vec<_> = told.readings.iter().map(|reading| reading.value).collect();
        assert_eq!(values, [Some(3.4), None, Some(3.62)]);
        let grown = book.alarmed(&gauge(), &alarm(Change::Grew, 4.1), &readings[2..], &clock).unwrap().incident;
        assert_eq!((grown.revision, grown.origin.sensor().unwrap().measure.extreme), (2, Some(4.1)));
        let ended = book.alarmed(&gauge(), &alarm(Change::Ended, 3.0), [], &clock).unwrap();
        assert_eq!((ended.kind, ended.incident.id, book.open_count()), (EventKind::Ended, opened.id, 1));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = Book::new(Locale::En, clock.boot_id().clone(), String::new(), CountedIds::default());
        let camera = book.found(&source(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
        let sensor = book.alarmed(&gauge(), &alarm(Change::Began, 3.62), [], &clock).unwrap().incident;
        for incident in [camera, sensor] {
            let json = serde_json::to_vec(&incident).unwrap();
            assert_eq!(serde_json::from_slice::<Incident>(&json).unwrap(), incident);
        }
    }

    #[test]
    fn evidence_is_a_revision_of_its_own_and_is_not_forgotten_by_later_ones() {
        let clock = ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH);
        let mut book = Book::new(Locale::ZhCn, clock.boot_id().clone(), String::new(), CountedIds::default());
        let source = source();
        let began = finding(Change::Began, 0, 1);
        let opened = book.found(&source, &began, &clock).unwrap();
        let still = Evidence {
            name: "still.jpg".into(),
            camera: Some(source.of.camera.clone()),
            media_type: "image/jpeg".into(),
            sha256: "00".into(),
            bytes: 1,
            taken: clock.now(),
        };
        let with_still = book.add_evidence(opened.incident, still.clone());
        assert_eq!((with_still.kind, with_still.incident.revision), (EventKind::Updated, 2));
        clock.advance(Duration::from_secs(1));
        let over = finding(Change::Ended, 1_000, 1);
        let ended = book.found(&source, &over, &clock).unwrap();
        assert_eq!((ended.incident.revision, ended.incident.evidence), (3, vec![still]));
    }

    #[test]
    fn a_wall_clock_jump_neither_reorders_nor_ends_anything() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = Book::new(Locale::En, clock.boot_id().clone(), String::new(), CountedIds::default());
        let source = source();
        let began = finding(Change::Began, 0, 1);
        let opened = book.found(&source, &began, &clock).unwrap().incident;
        clock.set_wall("2020-01-01T00:00:00Z".parse().unwrap(), false);
        clock.advance(Duration::from_secs(5));
        let over = finding(Change::Ended, 5_000, 1);
        let ended = book.found(&source, &over, &clock).unwrap().incident;
        assert!(ended.last_seen.mono > opened.opened.mono);
        assert!(!ended.last_seen.synchronised);
        assert_eq!(ended.id, opened.id);
    }
}
