use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    ids::{CountedIds, IncidentId},
    incidents::{
        Book, CameraSource, Incident, Locale, Merge, Source, Worse,
        event::{EventKind, Revision},
        testing::{self, camera},
    },
    rules::{Change, Finding, Tally},
    spec::TimeSpan,
    time::{Clock as _, ManualClock},
};

use super::*;

const QUIET: u64 = 600;

fn source() -> Source<CameraSource> {
    Source { quiet_after: Duration::from_secs(QUIET), ..camera() }
}

fn clock(boot: &str) -> ManualClock {
    ManualClock::new(boot, "2026-03-01T00:00:00Z".parse().unwrap())
}

/// A book, its clock, and what is stored of its incidents.
struct Desk {
    clock: ManualClock,
    book: Book<CountedIds>,
    source: Source<CameraSource>,
    stored: BTreeMap<IncidentId, Incident>,
}

impl Desk {
    fn new(clock: ManualClock, source: Source<CameraSource>) -> Self {
        let (boot, calendar) = (clock.boot_id().clone(), testing::calendar());
        let book = Book::new(Locale::En, boot, String::new(), calendar, CountedIds::default());
        Self { clock, book, source, stored: BTreeMap::new() }
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.clock.advance(Duration::from_secs(seconds));
        self
    }

    fn find(&mut self, episode: u64, change: Change) -> Option<Revision> {
        let at = self.clock.mono();
        let rule = self.source.rule.clone();
        let finding = Finding { rule, episode, at, change, tally: Tally::new(at, at), subjects: Vec::new() };
        let revision = self.book.found(&self.source, &finding, &self.clock)?;
        self.store(&revision.incident);
        Some(revision)
    }

    fn store(&mut self, incident: &Incident) {
        self.book.committed(incident);
        self.stored.insert(incident.id, incident.clone());
    }

    /// Opens an incident and ends it.
    fn visit(&mut self, episode: u64) -> IncidentId {
        let opened = self.find(episode, Change::Began).unwrap();
        assert_eq!(opened.kind, EventKind::Opened);
        self.find(episode, Change::Ended).unwrap();
        opened.incident.id
    }

    fn say(&mut self, incident: IncidentId, stage: &str) -> bool {
        let now = self.clock.now().wall;
        let stored = self.stored[&incident].clone();
        let command = serde_json::json!({ "id": format!("{stage}-{incident}"), "incident": incident,
            "stage": stage, "by": "desk", "at": now, "expires": now + Duration::from_secs(60) });
        let command = serde_json::from_value(command).unwrap();
        let revision = self.book.dispose(&command, None, Some(stored), &self.clock).revision;
        revision.inspect(|revision| self.store(&revision.incident)).is_some()
    }
}

#[test]
fn after_a_false_alarm_a_rule_is_quiet_and_says_that_it_was() {
    let mut desk = Desk::new(clock("boot"), source());
    let first = desk.visit(1);
    desk.visit(2);
    assert!(desk.say(first, "rejected_false_alarm"));
    assert_eq!(desk.wait(QUIET - 1).find(3, Change::Began), None);
    let told = desk.book.take_passed_over().map(|(kind, id, rule)| format!("{kind} {id} {rule}"));
    assert_eq!(told.as_deref(), Some("camera gate yard-intrusion"));
    assert_eq!(desk.book.take_passed_over(), None, "once");
    assert_eq!((desk.find(3, Change::Grew), desk.find(3, Change::Ended)), (None, None));
    assert_eq!(desk.book.take_passed_over(), None);
    desk.wait(1).visit(4);
}

#[test]
fn closing_makes_quiet_and_archiving_does_not_prolong_it() {
    let mut desk = Desk::new(clock("boot"), source());
    let first = desk.visit(1);
    for stage in ["accepted", "handled"] {
        assert!(desk.say(first, stage));
        desk.visit(if stage == "accepted" { 2 } else { 3 });
    }
    assert!(desk.say(first, "closed"));
    assert_eq!(desk.wait(QUIET / 2).find(4, Change::Began), None);
    assert!(desk.say(first, "archived"));
    desk.wait(QUIET / 2).visit(5);
}

#[test]
fn what_goes_on_after_the_quiet_opens_an_incident_when_it_grows() {
    let mut desk = Desk::new(clock("boot"), source());
    let first = desk.visit(1);
    assert!(desk.say(first, "rejected_false_alarm"));
    assert_eq!(desk.find(2, Change::Began), None);
    assert_eq!(desk.wait(QUIET - 1).find(2, Change::Grew), None);
    let opened = desk.wait(1).find(2, Change::Grew).unwrap();
    assert_eq!((opened.kind, opened.incident.revision), (EventKind::Opened, 1));
    assert_eq!(desk.find(2, Change::Grew).unwrap().kind, EventKind::Updated);
    assert_eq!(desk.find(2, Change::Ended).unwrap().kind, EventKind::Ended);
}

#[test]
fn what_may_join_an_unfinished_incident_joins_it() {
    let merge = Some(Merge::new(TimeSpan::secs(3_600), Worse::Latest));
    let mut desk = Desk::new(clock("boot"), Source { merge, ..source() });
    let first = desk.visit(1);
    let second = desk.wait(3_600).visit(2);
    assert!(desk.say(first, "rejected_false_alarm"));
    assert_eq!(desk.find(3, Change::Began).unwrap().incident.id, second);
    desk.find(3, Change::Ended).unwrap();
    assert!(desk.say(second, "rejected_false_alarm"));
    assert_eq!(desk.find(4, Change::Began), None);
}

#[test]
fn quiet_outlives_the_run_and_the_boot_where_the_time_is_known() {
    let mut desk = Desk::new(clock("boot"), source());
    let first = desk.visit(1);
    assert!(desk.say(first, "rejected_false_alarm"));
    let rejected = desk.stored[&first].clone();
    let later = |boot: &str, seconds: u64, knows: (bool, bool)| {
        let mut rejected = rejected.clone();
        rejected.dispositions.finished.as_mut().unwrap().moment.synchronised = knows.0;
        let mut desk = Desk::new(clock(boot), source());
        desk.wait(seconds);
        desk.clock.set_wall(desk.clock.now().wall, knows.1);
        desk.book.recall_finished(&rejected);
        desk.find(1, Change::Began).is_some()
    };
    assert!(!later("boot", QUIET - 1, (true, true)) && later("boot", QUIET, (true, true)));
    assert!(!later("boot", QUIET - 1, (false, false)), "one boot has one clock, whatever the time is");
    assert!(!later("next", QUIET - 1, (true, true)) && later("next", QUIET, (true, true)));
    assert!(later("next", 0, (true, false)) && later("next", 0, (false, true)), "better an alarm too many");
}

#[test]
fn other_rules_and_rules_without_that_choice_are_not_quiet() {
    let mut desk = Desk::new(clock("boot"), source());
    let first = desk.visit(1);
    assert!(desk.say(first, "rejected_false_alarm"));
    let quiet = desk.source.clone();
    desk.source = Source { rule: "gate-intrusion".parse().unwrap(), ..quiet.clone() };
    desk.visit(1);
    desk.source = Source { quiet_after: Duration::ZERO, ..quiet };
    desk.visit(2);
}

proptest! {
    /// No incident is opened within the quiet of the last finished one; everything that begins then is told of, and
    /// everything that begins outside of it opens one; nothing of what is over is kept.
    #[test]
    fn whatever_people_say_exactly_what_is_quiet_opens_nothing(
        deeds in proptest::collection::vec((0u64..400, 0usize..6, any::<bool>()), 1..60),
    ) {
        let mut desk = Desk::new(clock("boot"), source());
        let mut finished = None;
        for (episode, (seconds, of, rejects)) in deeds.into_iter().enumerate() {
            desk.wait(seconds);
            let now = desk.clock.mono();
            if rejects && let Some(incident) = desk.stored.keys().rev().nth(of).copied() {
                if desk.say(incident, "rejected_false_alarm") {
                    finished = Some(now);
                }
                continue;
            }
            let is_quiet = finished.is_some_and(|at| now.since(at) < Duration::from_secs(QUIET));
            let opened = desk.find(episode as u64, Change::Began);
            prop_assert_eq!(opened.is_none(), is_quiet);
            prop_assert_eq!(desk.book.take_passed_over().is_some(), is_quiet);
            prop_assert_eq!(desk.find(episode as u64, Change::Ended).is_none(), is_quiet);
            prop_assert!(desk.book.quiet.passed_over.is_empty());
        }
    }
}
