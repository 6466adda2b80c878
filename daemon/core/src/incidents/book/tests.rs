//! The life of incidents, in examples and for any order of things.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::{
    ids::CountedIds,
    incidents::{
        Light, Place, Target, Worse,
        command::CommandResult,
        event::Gateway,
        testing::{self, camera},
        verify::Outcome,
    },
    priority::Priority,
    rules::Tally,
    scene::Condition,
    schedule::testing::night,
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
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
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
    let tally = Tally { things, peak: things, score: 0.5, ..Tally::new(Mono(0), at) };
    Finding { rule: camera().rule, episode: 1, at, change, tally, subjects: Vec::new() }
}

#[test]
fn the_title_says_what_is_wrong_with_a_camera_now() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let mut book =
        Book::new(Locale::En, clock.boot_id().clone(), "digest".into(), testing::calendar(), CountedIds::default());
    let source = camera();
    let mut title = |change, millis, condition| {
        clock.advance_to(Mono(millis * 1_000_000));
        let mut finding = finding(change, millis, 0);
        finding.tally.condition = Some(condition);
        book.found(&source, &finding, &clock).unwrap().incident.title
    };
    assert_eq!(title(Change::Began, 0, Condition::Defocused), "Intrusion: North gate, out of focus");
    assert_eq!(title(Change::Grew, 6_000, Condition::Covered), "Intrusion: North gate, covered");
    assert_eq!(title(Change::Ended, 9_000, Condition::Covered), "Intrusion: North gate, covered");
}

#[test]
fn an_incident_lives_from_opened_over_updated_to_ended() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let mut book =
        Book::new(Locale::En, clock.boot_id().clone(), "digest".into(), testing::calendar(), CountedIds::default());
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
    let mut book =
        Book::new(Locale::ZhCn, clock.boot_id().clone(), String::new(), testing::calendar(), CountedIds::default());
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
    assert_eq!((ended.kind, ended.incident.id), (EventKind::Ended, opened.id));
    assert_eq!(book.incidents.keys().collect::<Vec<_>>(), [&camera.id], "the camera's goes on");
}

#[test]
fn what_is_stored_is_read_again() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let mut book =
        Book::new(Locale::En, clock.boot_id().clone(), String::new(), testing::calendar(), CountedIds::default());
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
    let mut book =
        Book::new(Locale::ZhCn, clock.boot_id().clone(), String::new(), testing::calendar(), CountedIds::default());
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
        duration_ms: None,
        sealed: None,
    };
    let with_still = book.add_evidence(opened.incident, still.clone());
    assert_eq!((with_still.kind, with_still.incident.revision), (EventKind::Updated, 2));
    book.committed(&with_still.incident);
    clock.advance(Duration::from_secs(1));
    let over = finding(Change::Ended, 1_000, 1);
    let ended = book.found(&source, &over, &clock).unwrap();
    assert_eq!((ended.incident.revision, ended.incident.evidence), (3, vec![still]));
}

#[test]
fn what_could_not_be_stored_has_not_happened() {
    let clock = ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH);
    clock.set_wall(jiff::Timestamp::UNIX_EPOCH, false);
    let mut book = book(&clock);
    let opened = book.found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
    let still = Evidence {
        name: "still.jpg".into(),
        camera: None,
        media_type: "image/jpeg".into(),
        sha256: "00".into(),
        bytes: 1,
        taken: clock.now(),
        duration_ms: None,
        sealed: None,
    };
    let lost = book.add_evidence(opened.clone(), still).incident;
    assert_eq!((lost.revision, lost.evidence.len()), (2, 1));
    clock.set_wall("2026-03-01T00:00:00Z".parse().unwrap(), true);
    let lost = book.refresh(opened, &clock).unwrap().incident;
    assert_eq!((lost.revision, lost.opened.synchronised), (2, true));
    let grown = book.found(&camera(), &finding(Change::Grew, 1_000, 2), &clock).unwrap().incident;
    assert_eq!(grown.revision, 2, "no revision is skipped");
    assert!(grown.evidence.is_empty() && !grown.opened.synchronised, "nor is anything told that was never sent");
}

#[test]
fn a_wall_clock_jump_neither_reorders_nor_ends_anything() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let mut book =
        Book::new(Locale::En, clock.boot_id().clone(), String::new(), testing::calendar(), CountedIds::default());
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
    Book::new(Locale::En, clock.boot_id().clone(), String::new(), testing::calendar(), CountedIds::default())
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
    assert_eq!((again.incident.scene, &again.incident.ended, again.incident.recurrences), (Scene::Active, &None, 1));
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
        assert_eq!(book.incidents.len(), usize::from(stage == "accepted"), "what can change no more is forgotten");
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
fn what_begins_while_a_schedule_holds_is_reported_by_its_target() {
    let wall = "2026-03-01T21:59:00Z".parse().unwrap();
    let (clock, mut source) = (ManualClock::new("boot", wall), gauge());
    let major =
        Target { severity: crate::severity::Severity::Major, level_grid: "330522".into(), ..source.target.clone() };
    source.target_during = vec![(night(), major.clone())];
    let mut book = book(&clock);
    let mut target = |number, clock: &ManualClock| {
        book.alarmed(&source, &episode(number, Change::Began, 4.0, clock), [], clock).unwrap().incident.target
    };
    assert_eq!(target(1, &clock), source.target);
    clock.advance(Duration::from_secs(60));
    assert_eq!(target(2, &clock), major);
    clock.set_wall(clock.now().wall, false);
    assert_eq!(target(3, &clock), source.target, "who knows whether it is night");
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
fn of_what_is_recalled_in_any_order_the_one_opened_last_is_joined_whatever_the_wall_clock_said() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let mut before = book(&clock);
    let left = |before: &mut Book<CountedIds>, number, id| {
        clock.advance(Duration::from_secs(60));
        let left = before.alarmed(&gauge(), &episode(number, Change::Began, 4.0, &clock), [], &clock).unwrap().incident;
        Incident { id, ..before.end_left_open(left, &clock).incident }
    };
    // The clock was set back in between: the ids are in another order than the incidents.
    let id = |number| IncidentId(ulid::Ulid(number));
    let ended = [(1, 20), (2, 30), (3, 10)].map(|(number, ulid)| left(&mut before, number, id(ulid)));
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut after = book(&clock);
        for at in order {
            after.recall(ended[at].clone());
        }
        assert_eq!(after.incidents.len(), 1, "what can be joined no more is forgotten");
        let began = episode(1, Change::Began, 4.0, &clock);
        let next = after.alarmed(&merging(3_600), &began, [], &clock).unwrap();
        assert_eq!((next.kind, next.incident.id), (EventKind::Updated, id(10)), "{order:?}");
    }
}

#[test]
fn what_is_recalled_late_replaces_neither_what_this_run_opened_nor_what_goes_on() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let source = merging(3_600);
    let [first, second] = [1, 2].map(|number| {
        clock.advance(Duration::from_secs(60));
        let began = episode(number, Change::Began, 4.0, &clock);
        let left = book(&clock).alarmed(&gauge(), &began, [], &clock).unwrap().incident;
        let id = IncidentId(ulid::Ulid(number.into()));
        Incident { id, ..book(&clock).end_left_open(left, &clock).incident }
    });
    clock.advance(Duration::from_secs(60));
    let tell = |book: &mut Book<CountedIds>, number, change| {
        book.alarmed(&source, &episode(number, change, 4.0, &clock), [], &clock).unwrap().incident.id
    };

    let mut joined = book(&clock);
    joined.recall(first.clone());
    assert_eq!(tell(&mut joined, 1, Change::Began), first.id);
    joined.recall(second.clone());
    assert_eq!(tell(&mut joined, 2, Change::Began), first.id, "it goes on");

    let mut opened = book(&clock);
    let own = tell(&mut opened, 1, Change::Began);
    assert_eq!(tell(&mut opened, 1, Change::Ended), own);
    opened.recall(second.clone());
    assert_eq!(tell(&mut opened, 2, Change::Began), own, "nothing recalled was opened later");
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
    let verified = book.verified(accepted, serde_json::from_value(verification).unwrap(), None);
    assert_eq!((verified.kind, verified.incident.revision), (EventKind::Verified, 4));
    book.committed(&verified.incident);
    let ended = book.found(&camera(), &finding(Change::Ended, 2_000, 2), &clock).unwrap().incident;
    assert_eq!((ended.revision, ended.scene, ended.handling), (5, Scene::Ended, Handling::Accepted));
    assert_eq!(ended.verifications[0].outcome, Outcome::Cleared);
    // Handling goes on after the scene has ended.
    let handled = say(&book, &ended, "handled", &clock).revision.unwrap().incident;
    assert_eq!((handled.revision, handled.scene, handled.ended), (6, Scene::Ended, ended.ended));
}

#[test]
fn a_light_turns_by_a_revision_of_its_own() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let mut book = book(&clock);
    let opened = book.found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
    let deadline = opened.deadline.clone().unwrap();
    assert_eq!((deadline.light(), deadline.due()), (Light::Green, Some("2026-03-01T02:00:00Z".parse().unwrap())));
    assert_eq!(book.refresh(opened.clone(), &clock), None);

    clock.advance(Duration::from_secs(5760));
    let yellow = book.refresh(opened, &clock).unwrap();
    book.committed(&yellow.incident);
    assert_eq!((yellow.kind, yellow.incident.revision), (EventKind::Updated, 2));
    assert_eq!(yellow.incident.deadline.as_ref().unwrap().light(), Light::Yellow);
    let grown = book.found(&camera(), &finding(Change::Grew, 5_760_000, 2), &clock).unwrap().incident;
    assert_eq!(grown.deadline.unwrap().light(), Light::Yellow, "the open one has turned too");
    let ended = book.found(&camera(), &finding(Change::Ended, 5_760_000, 2), &clock).unwrap().incident;

    clock.advance(Duration::from_secs(1440));
    let red = book.refresh(ended, &clock).unwrap().incident;
    assert_eq!((red.revision, red.deadline.as_ref().unwrap().light(), red.scene), (5, Light::Red, Scene::Ended));
    assert_eq!(book.refresh(red, &clock), None);
}

#[test]
fn an_unsynchronised_clock_turns_no_light_and_is_put_right() {
    let clock = ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH);
    clock.set_wall(jiff::Timestamp::UNIX_EPOCH, false);
    let mut book = book(&clock);
    let opened = book.found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
    assert_eq!(opened.deadline.as_ref().unwrap().due(), None);
    clock.advance(Duration::from_secs(6000));
    assert_eq!(book.refresh(opened.clone(), &clock), None);
    assert!(opened.awaits_times(clock.boot_id()));

    clock.set_wall("2026-03-01T02:00:00Z".parse().unwrap(), true);
    let known = book.refresh(opened, &clock).unwrap().incident;
    let began: jiff::Timestamp = "2026-03-01T00:20:00Z".parse().unwrap();
    assert_eq!((known.opened.wall, known.opened.synchronised, known.opened.mono), (began, true, Mono(0)));
    assert_eq!((known.began.wall, known.last_seen.wall), (began, began));
    let deadline = known.deadline.as_ref().unwrap();
    assert_eq!((deadline.light(), deadline.due()), (Light::Yellow, Some("2026-03-01T02:20:00Z".parse().unwrap())));
    assert!(!known.awaits_times(clock.boot_id()));
}

#[test]
fn the_end_that_a_later_boot_wrote_is_put_right_by_that_boot() {
    let clock = ManualClock::new("first", "2026-03-01T00:00:00Z".parse().unwrap());
    let opened = book(&clock).found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
    let gateway = Gateway { id: "demo".parse().unwrap(), time_zone: jiff::tz::TimeZone::UTC };
    let times = |incident: &Incident| {
        let revision = Revision { kind: EventKind::Ended, incident: incident.clone() };
        let event: serde_json::Value = serde_json::from_slice(&revision.to_json(&gateway, 1, clock.now())).unwrap();
        (event["data"]["times"]["ended"].clone(), event["data"]["times"]["clock_synchronised"].clone())
    };

    // The next boot does not know the time yet.
    let clock = ManualClock::new("second", jiff::Timestamp::UNIX_EPOCH);
    clock.set_wall(jiff::Timestamp::UNIX_EPOCH, false);
    let ended = book(&clock).end_left_open(opened.clone(), &clock).incident;
    assert_eq!(times(&ended), ("1970-01-01T00:00:00.000+00:00".into(), false.into()));
    let stored = serde_json::to_vec(&ended).unwrap();
    assert_eq!(serde_json::from_slice::<Incident>(&stored).unwrap(), ended);
    assert!(ended.awaits_times(clock.boot_id()));
    assert!(!ended.awaits_times(&opened.boot), "the boot that opened it knows nothing of its end");

    // The boot after it cannot tell any more; the same one can.
    let later = ManualClock::new("third", "2026-03-03T00:00:00Z".parse().unwrap());
    assert_eq!(
        book(&later).refresh(Incident { deadline: None, ..ended.clone() }, &later).unwrap().incident.ended,
        ended.ended
    );
    clock.advance(Duration::from_secs(60));
    clock.set_wall("2026-03-02T00:01:00Z".parse().unwrap(), true);
    let known = book(&clock).refresh(ended, &clock).unwrap().incident;
    assert_eq!(times(&known), ("2026-03-02T00:00:00.000+00:00".into(), true.into()));
    assert_eq!(known.opened, opened.opened);
    assert!(!known.awaits_times(clock.boot_id()));
}

#[test]
fn an_end_in_the_boot_that_opened_it_is_stored_without_one() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let opened = book(&clock).found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
    let ended = book(&clock).end_left_open(opened, &clock).incident;
    let json = serde_json::to_value(&ended).unwrap();
    assert_eq!(json["ended"].as_object().unwrap().keys().collect::<Vec<_>>(), ["at", "reason"]);
    assert_eq!(serde_json::from_value::<Incident>(json).unwrap(), ended);
}

#[test]
fn what_version_0_1_0_stored_has_a_deadline_when_it_is_asked_for_one() {
    let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
    let mut book = book(&clock);
    let opened = book.found(&camera(), &finding(Change::Began, 0, 1), &clock).unwrap().incident;
    let mut json = serde_json::to_value(&opened).unwrap();
    json.as_object_mut().unwrap().remove("deadline");
    let target = json["target"].as_object_mut().unwrap();
    target.remove("time_limit");
    target.insert("time_limit_ms".into(), 7_200_000.into());

    let mut old: Incident = serde_json::from_value(json).unwrap();
    assert_eq!((old.target.time_limit, &old.deadline), (opened.target.time_limit, &None));
    assert!(old.awaits_times(clock.boot_id()));
    old = book.refresh(old, &clock).unwrap().incident;
    assert_eq!(old.deadline, opened.deadline);
}

#[derive(Debug, Clone)]
enum Deed {
    Wait(u64),
    /// Begins an episode, or lets one under way grow or end.
    Begin,
    Grow(prop::sample::Index),
    End(prop::sample::Index),
    /// Something is said of an incident; whether it could be stored.
    Say(prop::sample::Index, &'static str, bool),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let stage = prop::sample::select(&["accepted", "handled", "closed", "rejected_false_alarm", "suspended"][..]);
    let deed = prop_oneof![
        (1u64..400).prop_map(Deed::Wait),
        Just(Deed::Begin),
        any::<prop::sample::Index>().prop_map(Deed::Grow),
        any::<prop::sample::Index>().prop_map(Deed::End),
        (any::<prop::sample::Index>(), stage, any::<bool>())
            .prop_map(|(of, stage, stored)| Deed::Say(of, stage, stored)),
    ];
    prop::collection::vec(deed, 0..80)
}

proptest! {
    /// Revisions of an incident count up by one; nothing joins what is finished or was opened too long ago; an incident is
    /// active as long as an episode of it is under way; what people said is never lost; nothing is kept for ever.
    #[test]
    fn whatever_happens_incidents_stay_whole(deeds in deeds()) {
        const WITHIN: u64 = 1_000;
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let (mut book, source) = (book(&clock), merging(WITHIN));
        let mut stored: BTreeMap<IncidentId, Incident> = BTreeMap::new();
        let mut under_way: Vec<(u64, IncidentId)> = Vec::new();
        let mut begun = 0;
        for deed in deeds {
            let pick = |of: prop::sample::Index| (!under_way.is_empty()).then(|| of.index(under_way.len()));
            let revision = match deed {
                Deed::Wait(seconds) => {
                    clock.advance(Duration::from_secs(seconds));
                    continue;
                }
                Deed::Begin => {
                    begun += 1;
                    let revision = book.alarmed(&source, &episode(begun, Change::Began, 4.0, &clock), [], &clock).unwrap();
                    under_way.push((begun, revision.incident.id));
                    if revision.kind != EventKind::Opened {
                        let before = &stored[&revision.incident.id];
                        prop_assert!(!before.handling.is_finished());
                        prop_assert!(clock.mono().since(before.opened.mono) < Duration::from_secs(WITHIN));
                        prop_assert_eq!(revision.incident.recurrences, before.recurrences + 1);
                    }
                    revision
                }
                Deed::Grow(of) => {
                    let Some(at) = pick(of) else { continue };
                    book.alarmed(&source, &episode(under_way[at].0, Change::Grew, 4.2, &clock), [], &clock).unwrap()
                }
                Deed::End(of) => {
                    let Some(at) = pick(of) else { continue };
                    let (number, _) = under_way.remove(at);
                    book.alarmed(&source, &episode(number, Change::Ended, 4.2, &clock), [], &clock).unwrap()
                }
                Deed::Say(of, stage, is_stored) => {
                    if stored.is_empty() {
                        continue;
                    }
                    let incident = of.get(&stored.values().collect::<Vec<_>>()).to_owned().clone();
                    let Some(revision) = say(&book, &incident, stage, &clock).revision else { continue };
                    if !is_stored {
                        continue;
                    }
                    book.committed(&revision.incident);
                    revision
                }
            };
            let after = revision.incident;
            let before = stored.insert(after.id, after.clone());
            prop_assert_eq!(after.revision, before.as_ref().map_or(0, |before| before.revision) + 1);
            if let Some(before) = before {
                prop_assert!(after.dispositions.steps.len() >= before.dispositions.steps.len());
                prop_assert!(after.last_seen.mono >= before.last_seen.mono);
                let count = |incident: &Incident| incident.origin.sensor().unwrap().measure.count;
                prop_assert!(count(&after) >= count(&before), "what was counted stays counted");
            }
            let is_under_way = under_way.iter().any(|(_, id)| *id == after.id);
            prop_assert_eq!(after.scene == Scene::Active, is_under_way);
            prop_assert_eq!(after.ended.is_some(), !is_under_way);
            let open: BTreeSet<_> =
                stored.values().filter(|incident| incident.scene == Scene::Active).map(|incident| incident.id).collect();
            let under_way = book.incidents.iter().filter(|(_, entry)| !entry.under_way.is_empty());
            prop_assert_eq!(under_way.map(|(id, _)| *id).collect::<BTreeSet<_>>(), open.clone());
            prop_assert!(book.incidents.len() <= open.len() + 1, "besides the open ones the rule's newest is kept");
        }
    }
}
