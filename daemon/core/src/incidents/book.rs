//! The book of incidents: their life cycle from first finding to end.

use std::collections::HashMap;

use super::{
    Counts, EndReason, Ending, Evidence, Handling, Incident, Locale, ModelDigest, Place, Scene, Target,
    event::{EventKind, Revision},
    title::{TitleParts, title},
};
use crate::{
    ids::{Id, IncidentIds},
    rules::{Change, Finding},
    time::{BootId, Clock},
};

/// Everything about a rule that its incidents carry.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The camera's id.
    pub camera: Id,
    /// What people call the camera.
    pub camera_name: String,
    /// Where the camera stands.
    pub place: Option<Place>,
    /// The rule's id.
    pub rule: Id,
    /// The rule's kind, as in the configuration.
    pub rule_kind: String,
    /// Id of its zone or line.
    pub area: Id,
    /// What people call the zone or line.
    pub area_name: String,
    /// How and to whom it is reported.
    pub target: Target,
    /// The models that look for it.
    pub models: Vec<ModelDigest>,
}

/// A finding together with where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The rule's circumstances.
    pub source: &'a Source,
    /// What it found.
    pub finding: &'a Finding,
}

/// The open incidents of this run. Pure: it decides, others store and announce.
pub struct Book<I> {
    locale: Locale,
    boot: BootId,
    config_digest: String,
    ids: I,
    /// By camera, rule and episode.
    open: HashMap<(Id, Id, u64), Incident>,
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

    /// What a finding makes of an incident. `None` if it belongs to none that is open.
    pub fn apply(&mut self, report: Report<'_>, clock: &dyn Clock) -> Option<Revision> {
        let Report { source, finding } = report;
        let key = (source.camera.clone(), source.rule.clone(), finding.episode);
        match finding.change {
            Change::Began => {
                let incident = self.open(report, clock);
                self.open.insert(key, incident.clone());
                Some(Revision { kind: EventKind::Opened, incident })
            }
            Change::Grew => {
                let incident = self.open.get_mut(&key)?;
                incident.take_in(finding, clock);
                incident.revision += 1;
                Some(Revision { kind: EventKind::Updated, incident: incident.clone() })
            }
            Change::Ended => {
                let mut incident = self.open.remove(&key)?;
                incident.take_in(finding, clock);
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

    fn open(&mut self, report: Report<'_>, clock: &dyn Clock) -> Incident {
        let Report { source, finding } = report;
        let opened = clock.moment_at(finding.at);
        let parts =
            TitleParts { category: &source.target.category_name, camera: &source.camera_name, area: &source.area_name };
        Incident {
            id: self.ids.next(opened),
            revision: 1,
            boot: self.boot.clone(),
            scene: Scene::Active,
            handling: Handling::Reported,
            camera: source.camera.clone(),
            rule: source.rule.clone(),
            rule_kind: source.rule_kind.clone(),
            area: source.area.clone(),
            target: source.target.clone(),
            place: source.place.clone(),
            title: title(self.locale, &parts),
            began: clock.moment_at(finding.tally.since),
            opened,
            last_seen: clock.moment_at(finding.tally.last_seen),
            ended: None,
            counts: Counts::from(&finding.tally),
            score: finding.tally.score,
            evidence: Vec::new(),
            config_digest: self.config_digest.clone(),
            models: source.models.clone(),
        }
    }
}

impl Incident {
    fn take_in(&mut self, finding: &Finding, clock: &dyn Clock) {
        self.last_seen = clock.moment_at(finding.tally.last_seen);
        self.counts = Counts::from(&finding.tally);
        self.score = finding.tally.score;
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
    use crate::{ids::CountedIds, rules::Tally, severity::Severity, time::ManualClock, time::Mono};

    fn source() -> Source {
        Source {
            camera: "gate".parse().unwrap(),
            camera_name: "North gate".into(),
            place: None,
            rule: "yard-intrusion".parse().unwrap(),
            rule_kind: "intrusion".into(),
            area: "yard".parse().unwrap(),
            area_name: "yard".into(),
            target: Target {
                category: "intrusion".parse().unwrap(),
                category_name: "Intrusion".into(),
                severity: Severity::Ordinary,
                grid: "330522101003".into(),
                path: vec!["330522".into(), "330522101003".into()],
                level: "grid".parse().unwrap(),
                level_grid: "330522101003".into(),
                time_limit_ms: Some(7_200_000),
            },
            models: Vec::new(),
        }
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
            book.apply(Report { source: &source, finding: &finding(change, millis, things) }, &clock)
        };
        let opened = apply(Change::Began, 1_000, 1).unwrap();
        assert_eq!((opened.kind, opened.incident.revision), (EventKind::Opened, 1));
        assert_eq!(opened.incident.title, "Intrusion: North gate, yard");
        assert_eq!(opened.incident.began.wall, "2026-03-01T00:00:00Z".parse().unwrap());

        let updated = apply(Change::Grew, 6_000, 2).unwrap();
        assert_eq!((updated.kind, updated.incident.revision), (EventKind::Updated, 2));
        assert_eq!(updated.incident.counts.things, 2);

        let ended = apply(Change::Ended, 9_000, 2).unwrap();
        assert_eq!((ended.kind, ended.incident.revision), (EventKind::Ended, 3));
        assert_eq!((ended.incident.scene, ended.incident.id), (Scene::Ended, opened.incident.id));
        assert_eq!(apply(Change::Grew, 10_000, 3), None, "an ended incident takes nothing in");
    }

    #[test]
    fn evidence_is_a_revision_of_its_own_and_is_not_forgotten_by_later_ones() {
        let clock = ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH);
        let mut book = Book::new(Locale::ZhCn, clock.boot_id().clone(), String::new(), CountedIds::default());
        let source = source();
        let began = finding(Change::Began, 0, 1);
        let opened = book.apply(Report { source: &source, finding: &began }, &clock).unwrap();
        let still = Evidence {
            name: "still.jpg".into(),
            media_type: "image/jpeg".into(),
            sha256: "00".into(),
            bytes: 1,
            taken: clock.now(),
        };
        let with_still = book.add_evidence(opened.incident, still.clone());
        assert_eq!((with_still.kind, with_still.incident.revision), (EventKind::Updated, 2));
        clock.advance(Duration::from_secs(1));
        let over = finding(Change::Ended, 1_000, 1);
        let ended = book.apply(Report { source: &source, finding: &over }, &clock).unwrap();
        assert_eq!((ended.incident.revision, ended.incident.evidence), (3, vec![still]));
    }

    #[test]
    fn a_wall_clock_jump_neither_reorders_nor_ends_anything() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let mut book = Book::new(Locale::En, clock.boot_id().clone(), String::new(), CountedIds::default());
        let source = source();
        let began = finding(Change::Began, 0, 1);
        let opened = book.apply(Report { source: &source, finding: &began }, &clock).unwrap().incident;
        clock.set_wall("2020-01-01T00:00:00Z".parse().unwrap(), false);
        clock.advance(Duration::from_secs(5));
        let over = finding(Change::Ended, 5_000, 1);
        let ended = book.apply(Report { source: &source, finding: &over }, &clock).unwrap().incident;
        assert!(ended.last_seen.mono > opened.opened.mono);
        assert!(!ended.last_seen.synchronised);
        assert_eq!(ended.id, opened.id);
    }
}
