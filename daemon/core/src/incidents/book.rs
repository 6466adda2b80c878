//! The book of incidents: their life cycle from first finding to end.

use std::collections::HashMap;

use super::{
    CameraSource, Dispositions, EndReason, Ending, Evidence, Handling, Incident, Locale, Merge, Origin, Scene,
    SeenByCamera, SensorSource, Source, ToldBySensor,
    disposition::{self, Decision, Disposition, RememberedDisposition},
    event::{EventKind, Revision},
    merge::Newcomer,
    title,
    verify::{self, Verification},
};
use crate::{
    ids::{Id, IncidentId, IncidentIds},
    rules::{Change, Finding},
    sensor::{reading::Reading, rules::Alarm},
    time::{BootId, Clock, Mono},
};

/// The incidents of this run that what is found may still change. Pure: it decides, others store and announce.
///
/// Several episodes of a rule may be of one incident, where the rule [merges](Merge): it ends when the last of them does.
pub struct Book<I> {
    locale: Locale,
    boot: BootId,
    config_digest: String,
    ids: I,
    incidents: HashMap<IncidentId, Entry>,
    /// Which incident each episode under way is of.
    episodes: HashMap<(RuleKey, u64), IncidentId>,
    /// The newest incident of each rule that merges.
    joinable: HashMap<RuleKey, IncidentId>,
}

/// `camera` or `sensor`, its id, and its rule.
type RuleKey = (&'static str, Id, Id);

/// An incident, and the episodes it is made of.
struct Entry {
    incident: Incident,
    merge: Option<Merge>,
    /// The episodes that are over, together.
    over: Option<Origin>,
    /// The episodes under way; what was last told of comes last.
    under_way: Vec<(u64, Origin)>,
}

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
    /// A book without incidents.
    pub fn new(locale: Locale, boot: BootId, config_digest: String, ids: I) -> Self {
        let (incidents, episodes, joinable) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { locale, boot, config_digest, ids, incidents, episodes, joinable }
    }

    /// How many incidents the scene shows.
    pub fn open_count(&self) -> usize {
        self.incidents.values().filter(|entry| !entry.under_way.is_empty()).count()
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
        self.apply(source, episode, title::of_sensor(self.locale, source, alarm.tally.value), clock)
    }

    fn apply<O>(&mut self, source: &Source<O>, episode: Episode, title: String, clock: &dyn Clock) -> Option<Revision> {
        let (kind, id) = episode.origin.kind_and_id();
        let rule = (kind, id.clone(), source.rule.clone());
        let number = episode.number;
        match episode.change {
            Change::Began => match self.joined_by(&rule, source, &episode) {
                Some((merge, id)) => {
                    self.episodes.insert((rule, number), id);
                    self.incidents.get_mut(&id).map(|entry| entry.join(merge, episode, clock))
                }
                None => Some(self.open(rule, source, episode, title, clock)),
            },
            Change::Grew => {
                let id = self.episodes.get(&(rule, number))?;
                let entry = self.incidents.get_mut(id)?;
                entry.take_in(episode, clock);
                Some(entry.updated())
            }
            Change::Ended => {
                let id = self.episodes.remove(&(rule.clone(), number))?;
                let entry = self.incidents.get_mut(&id)?;
                let revision = entry.finish(episode, clock);
                if self.joinable.get(&rule) != Some(&id) {
                    self.forget_if_over(id);
                }
                Some(revision)
            }
        }
    }

    /// The incident that an episode joins instead of opening one.
    fn joined_by<O>(&self, rule: &RuleKey, source: &Source<O>, episode: &Episode) -> Option<(Merge, IncidentId)> {
        let (merge, id) = (source.merge?, self.joinable.get(rule)?);
        let newcomer = Newcomer { at: episode.at, boot: &self.boot, target: &source.target, origin: &episode.origin };
        let entry = self.incidents.get(id)?;
        merge.joins(&entry.incident, newcomer).then_some((merge, *id))
    }

    fn open<O>(
        &mut self,
        rule: RuleKey,
        source: &Source<O>,
        episode: Episode,
        title: String,
        clock: &dyn Clock,
    ) -> Revision {
        let opened = clock.moment_at(episode.at);
        let incident = Incident {
            id: self.ids.next(opened),
            revision: 1,
            boot: self.boot.clone(),
            scene: Scene::Active,
            handling: Handling::Reported,
            dispositions: Dispositions::default(),
            verifications: Vec::new(),
            recurrences: 0,
            origin: episode.origin.clone(),
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
        };
        let id = incident.id;
        self.episodes.insert((rule.clone(), episode.number), id);
        let under_way = vec![(episode.number, episode.origin)];
        self.incidents.insert(id, Entry { incident: incident.clone(), merge: source.merge, over: None, under_way });
        if source.merge.is_some() {
            self.keep_joinable(rule, id);
        }
        Revision { kind: EventKind::Opened, incident }
    }

    /// From now on this is the incident that the rule's episodes may join.
    fn keep_joinable(&mut self, rule: RuleKey, id: IncidentId) {
        if let Some(before) = self.joinable.insert(rule, id) {
            self.forget_if_over(before);
        }
    }

    fn forget_if_over(&mut self, id: IncidentId) {
        if self.incidents.get(&id).is_some_and(|entry| entry.under_way.is_empty()) {
            self.incidents.remove(&id);
        }
    }

    /// An incident of an earlier run that people have not finished with: what its rule finds may join it, if the rule says
    /// so. To be called before anything is found, for incidents whose scene has ended, the oldest first.
    pub fn recall(&mut self, stored: Incident) {
        if stored.boot != self.boot || stored.handling.is_finished() || stored.scene != Scene::Ended {
            return;
        }
        let (kind, id) = stored.origin.kind_and_id();
        let (rule, id) = ((kind, id.clone(), stored.rule.clone()), stored.id);
        let over = Some(stored.origin.clone());
        self.incidents.insert(id, Entry { incident: stored, merge: None, over, under_way: Vec::new() });
        self.keep_joinable(rule, id);
    }

    /// What becomes of a disposition; `stored` is the newest revision of its incident on disk. Nothing changes here until
    /// the revision is [on disk](Self::committed).
    pub fn dispose(
        &self,
        command: &Disposition,
        remembered: Option<&RememberedDisposition>,
        stored: Option<Incident>,
        clock: &dyn Clock,
    ) -> Decision {
        let incident = stored.map(|stored| self.newest(stored));
        disposition::decide(command, remembered, incident, clock.now(), clock.boot_id())
    }

    /// What the box has seen when it was asked to look again. Nothing changes here until the revision is
    /// [on disk](Self::committed).
    pub fn verified(&self, stored: Incident, verification: Verification) -> Revision {
        verify::record(self.newest(stored), verification)
    }

    /// A revision that does not come from what was found is on disk: what is found next builds upon it.
    pub fn committed(&mut self, incident: &Incident) {
        let Some(entry) = self.incidents.get_mut(&incident.id) else { return };
        if incident.revision > entry.incident.revision {
            entry.incident = incident.clone();
        }
        if entry.incident.handling.is_finished() {
            self.joinable.retain(|_, id| *id != incident.id);
            self.forget_if_over(incident.id);
        }
    }

    /// The newest revision of an incident.
    fn newest(&self, stored: Incident) -> Incident {
        match self.incidents.get(&stored.id) {
            Some(entry) if entry.incident.revision > stored.revision => entry.incident.clone(),
            _ => stored,
        }
    }

    /// Adds a picture to an incident as last stored, open or ended.
    pub fn add_evidence(&mut self, stored: Incident, evidence: Evidence) -> Revision {
        let mut incident = self.newest(stored);
        incident.evidence.push(evidence);
        incident.revision += 1;
        self.committed(&incident);
        Revision { kind: EventKind::Updated, incident }
    }

    /// Ends an incident that an earlier run left open: nobody has watched it in between.
    pub fn end_left_open(&self, mut incident: Incident, clock: &dyn Clock) -> Revision {
        incident.end(EndReason::Restarted, clock);
        Revision { kind: EventKind::Ended, incident }
    }
}

impl Entry {
    /// The condition holds again.
    fn join(&mut self, merge: Merge, episode: Episode, clock: &dyn Clock) -> Revision {
        self.merge = Some(merge);
        self.incident.scene = Scene::Active;
        self.incident.ended = None;
        self.incident.recurrences = self.incident.recurrences.saturating_add(1);
        self.take_in(episode, clock);
        self.updated()
    }

    /// One episode is over; the incident ends with the last one.
    fn finish(&mut self, episode: Episode, clock: &dyn Clock) -> Revision {
        self.take_in(episode, clock);
        if !self.under_way.is_empty() {
            return self.updated();
        }
        self.incident.end(EndReason::ConditionOver, clock);
        Revision { kind: EventKind::Ended, incident: self.incident.clone() }
    }

    fn take_in(&mut self, episode: Episode, clock: &dyn Clock) {
        let Episode { number, change, last_seen, score, origin, .. } = episode;
        let Self { incident, merge, over, under_way } = self;
        let merge = *merge;
        let together = |earlier: &Origin, later: &Origin| match merge {
            Some(merge) => merge.together(earlier, later),
            None => later.clone(),
        };
        under_way.retain(|(other, _)| *other != number);
        let others = over.iter().chain(under_way.iter().map(|(_, origin)| origin)).cloned();
        let others = others.reduce(|earlier, later| together(&earlier, &later));
        incident.origin = others.map_or_else(|| origin.clone(), |others| together(&others, &origin));
        incident.score = incident.score.max(score);
        if last_seen > incident.last_seen.mono {
            incident.last_seen = clock.moment_at(last_seen);
        }
        if change == Change::Ended {
            *over = Some(over.as_ref().map_or_else(|| origin.clone(), |over| together(over, &origin)));
        } else {
            under_way.push((number, origin));
        }
    }

    fn updated(&mut self) -> Revision {
        self.incident.revision += 1;
        Revision { kind: EventKind::Updated, incident: self.incident.clone() }
    }
}

impl Incident {
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
        incidents::{
            Place, Worse,
            disposition::CommandResult,
            testing::{self, camera},
            verify::Outcome,
        },
        rules::Tally,
        sensor::{reading::Verdict, rules::AlarmTally},
        spec::TimeSpan,
        time::ManualClock,
    };

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
            target: testing::target("Flood"),
            merge: None,
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
        Finding { rule: camera().rule, episode: 1, at, change, tally, subjects: Vec::new() }
    }

    #[test]
    fn an_incident_lives_from_opened_over_updated_to_ended() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = Book::new(Locale::En, clock.boot_id().clone(), "digest".into(), CountedIds::default());
        let source = camera();
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
        let camera = book.found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
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
        let camera = book.found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
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
        let source = camera();
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
        let source = camera();
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

    fn book(clock: &ManualClock) -> Book<CountedIds> {
        Book::new(Locale::En, clock.boot_id().clone(), String::new(), CountedIds::default())
    }

    fn merging(seconds: u64) -> Source<SensorSource> {
        Source { merge: Some(Merge::new(TimeSpan::secs(seconds), Worse::Higher)), ..gauge() }
    }

    /// An alarm of that episode, now.
    fn episode(number: u64, change: Change, value: f64, clock: &ManualClock) -> Alarm {
        let at = clock.mono();
        let mut alarm = alarm(change, value);
        (alarm.episode, alarm.at, alarm.tally.since, alarm.tally.last_seen) = (number, at, at, at);
        alarm
    }

    fn say(book: &Book<CountedIds>, stored: &Incident, stage: &str, clock: &ManualClock) -> Decision {
        let now = clock.now().wall;
        let command = serde_json::json!({ "id": format!("{stage}-{}", stored.revision), "incident": stored.id,
            "stage": stage, "by": "desk", "at": now, "expires": now + Duration::from_secs(60) });
        let command = serde_json::from_value(command).unwrap();
        book.dispose(&command, None, Some(stored.clone()), clock)
    }

    #[test]
    fn what_comes_again_joins_while_people_have_not_finished_and_never_after_the_expiry() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let (mut book, source) = (book(&clock), merging(3_600));
        let mut tell =
            |number, change, value| book.alarmed(&source, &episode(number, change, value, &clock), [], &clock).unwrap();
        let first = tell(1, Change::Began, 4.1).incident;
        clock.advance(Duration::from_secs(600));
        tell(1, Change::Ended, 4.1);
        clock.advance(Duration::from_secs(600));
        let again = tell(2, Change::Began, 3.7);
        assert_eq!((again.kind, again.incident.id), (EventKind::Updated, first.id));
        assert_eq!((again.incident.scene, again.incident.ended, again.incident.recurrences), (Scene::Active, None, 1));
        let measure = again.incident.origin.sensor().unwrap().measure;
        assert_eq!((measure.value, measure.extreme, measure.count), (Some(3.7), Some(4.1), 2));
        // Another one at the same time joins as well, and it ends with the last of them.
        assert_eq!(tell(3, Change::Began, 3.8).incident.id, first.id);
        assert_eq!(tell(2, Change::Ended, 3.7).kind, EventKind::Updated);
        let over = tell(3, Change::Ended, 3.8);
        assert_eq!((over.kind, over.incident.revision), (EventKind::Ended, 6));
        assert_eq!(over.incident.origin.sensor().unwrap().measure.count, 3);
        // It was opened an hour ago, whatever has joined since.
        clock.advance(Duration::from_secs(2_400));
        let other = tell(4, Change::Began, 3.6);
        assert_eq!(other.kind, EventKind::Opened);
        assert_ne!(other.incident.id, first.id);
        assert_eq!(book.incidents.len(), 1, "what can change no more is forgotten");
    }

    #[test]
    fn what_people_have_finished_with_takes_nothing_in() {
        for stage in ["rejected_false_alarm", "accepted"] {
            let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
            let (mut book, source) = (book(&clock), merging(3_600));
            book.alarmed(&source, &episode(1, Change::Began, 4.0, &clock), [], &clock).unwrap();
            let ended = book.alarmed(&source, &episode(1, Change::Ended, 3.0, &clock), [], &clock).unwrap().incident;
            let said = say(&book, &ended, stage, &clock).revision.unwrap();
            book.committed(&said.incident);
            let next = book.alarmed(&source, &episode(2, Change::Began, 4.0, &clock), [], &clock).unwrap();
            let joined = stage == "accepted";
            assert_eq!(next.incident.id == ended.id, joined, "{stage}");
            assert_eq!(next.kind == EventKind::Updated, joined, "{stage}");
            let handling = if joined { Handling::Accepted } else { Handling::Reported };
            assert_eq!(next.incident.handling, handling, "what people said is not forgotten");
        }
    }

    #[test]
    fn a_rule_that_does_not_merge_and_one_that_reports_differently_open_incidents_of_their_own() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = book(&clock);
        let mut open = |number, source: &Source<SensorSource>| {
            book.alarmed(source, &episode(number, Change::Began, 4.0, &clock), [], &clock).unwrap().kind
        };
        let mut severe = merging(60);
        severe.target.severity = crate::severity::Severity::Critical;
        assert_eq!(open(1, &gauge()), EventKind::Opened);
        assert_eq!(open(2, &merging(60)), EventKind::Opened, "the first one was not to be joined");
        assert_eq!(open(3, &gauge()), EventKind::Opened);
        assert_eq!(open(4, &merging(60)), EventKind::Updated);
        assert_eq!(open(5, &severe), EventKind::Opened);
    }

    #[test]
    fn after_a_restart_within_the_same_boot_it_is_joined_still() {
        for (boot, kind) in [("boot", EventKind::Updated), ("later boot", EventKind::Opened)] {
            let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
            let (mut before, source) = (book(&clock), merging(3_600));
            let left = before.alarmed(&source, &episode(1, Change::Began, 4.0, &clock), [], &clock).unwrap().incident;
            let clock = ManualClock::new(boot, "2026-03-01T00:01:00Z".parse().unwrap());
            let mut after = book(&clock);
            let ended = after.end_left_open(left, &clock).incident;
            after.recall(ended);
            let next = after.alarmed(&source, &episode(1, Change::Began, 4.0, &clock), [], &clock).unwrap();
            assert_eq!(next.kind, kind, "{boot}");
        }
    }

    #[test]
    fn the_scene_goes_on_while_people_act_and_neither_forgets_the_other() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = book(&clock);
        let opened = book.found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
        let decision = say(&book, &opened, "accepted", &clock);
        assert_eq!(decision.answer.result, CommandResult::Done);
        let accepted = decision.revision.unwrap().incident;
        // It could not be stored: what is found next knows nothing of it.
        let grown = book.found(&camera(), &finding(Change::Grew, 1_000, 2), &clock).unwrap().incident;
        assert_eq!((grown.revision, grown.handling), (accepted.revision, Handling::Reported));
        // It is tried again with what is stored meanwhile.
        let accepted = say(&book, &opened, "accepted", &clock).revision.unwrap().incident;
        assert_eq!((accepted.revision, accepted.origin.camera().unwrap().counts.things), (3, 2));
        book.committed(&accepted);
        let verification = serde_json::json!({ "command": "v", "revision": 0, "by": "desk", "reason": "asked",
            "outcome": "cleared", "until": clock.now(), "boot": "boot" });
        let verified = book.verified(accepted, serde_json::from_value(verification).unwrap());
        assert_eq!((verified.kind, verified.incident.revision), (EventKind::Verified, 4));
        book.committed(&verified.incident);
        let ended = book.found(&camera(), &finding(Change::Ended, 2_000, 2), &clock).unwrap().incident;
        assert_eq!((ended.revision, ended.scene, ended.handling), (5, Scene::Ended, Handling::Accepted));
        assert_eq!(ended.verifications[0].outcome, Outcome::Cleared);
        // Handling goes on after the scene has ended.
        let handled = say(&book, &ended, "handled", &clock).revision.unwrap().incident;
        assert_eq!((handled.revision, handled.scene, handled.ended), (6, Scene::Ended, ended.ended));
    }
}
