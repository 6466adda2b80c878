//! What dispositions do, in examples and for any sequence of them.

use std::time::Duration;

use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    incidents::{Deadline, Dispositions, Light, command, testing},
    time::{Clock, ManualClock, Synchronisation},
};

const STAGES: [Stage; 11] = [
    Stage::Accepted,
    Stage::Dispatched,
    Stage::Handled,
    Stage::Verified,
    Stage::Assessed,
    Stage::Closed,
    Stage::Archived,
    Stage::RejectedFalseAlarm,
    Stage::Suspended,
    Stage::Resumed,
    Stage::Extended,
];

fn clock() -> ManualClock {
    ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap())
}

fn disposition(incident: &Incident, id: &str, stage: Stage, clock: &ManualClock) -> Disposition {
    let now = clock.now().wall;
    Disposition {
        id: id.parse().unwrap(),
        incident: incident.id,
        stage,
        extension: (stage == Stage::Extended).then_some(Extension::Seconds(3_600)),
        by: "township desk".parse().unwrap(),
        note: None,
        at: now,
        expires: now + Duration::from_secs(3_600),
    }
}

/// Applies a stage by a fresh command; answers why not.
fn apply(
    incident: &mut Incident,
    id: &str,
    stage: Stage,
    clock: &ManualClock,
) -> Result<EventKind, DispositionRefusal> {
    let decision = decide(
        &disposition(incident, id, stage, clock),
        None,
        Some(incident.clone()),
        Stamp::now(clock),
        &testing::calendar(),
    );
    match decision.revision {
        Some(revision) => {
            *incident = revision.incident;
            Ok(revision.kind)
        }
        None => Err(decision.answer.reason.unwrap()),
    }
}

#[test]
fn a_payload_is_read_and_written_alike() {
    let payload = r#"{ "id": "7f", "incident": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "stage": "extended", "by": "township desk",
        "note": "waits for the pump", "at": "2026-03-01T08:10:00+08:00", "expires": "2026-03-01T09:10:00+08:00",
        "for_seconds": 7200, "trace": { "of": ["the sender"] } }"#;
    let read: Disposition = command::read(payload.as_bytes()).unwrap();
    assert_eq!((read.stage, read.extension), (Stage::Extended, Some(Extension::Seconds(7_200))));
    assert_eq!(read.at, "2026-03-01T00:10:00Z".parse().unwrap());
    let again: Disposition = command::read(&serde_json::to_vec(&read).unwrap()).unwrap();
    assert_eq!(again, read);
}

#[test]
fn a_payload_that_says_too_little_or_what_does_not_belong_is_refused() {
    let whole = serde_json::json!({ "id": "7", "incident": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "stage": "handled", "by": "li",
        "at": "2026-03-01T00:00:00Z", "expires": "2026-03-01T01:00:00Z" });
    let read = |change: &[(&str, serde_json::Value)]| {
        let mut payload = whole.clone();
        for (key, value) in change {
            payload[*key] = value.clone();
        }
        command::read::<Disposition>(payload.to_string().as_bytes())
    };
    assert!(read(&[]).is_ok());
    let year = i64::from(LONGEST_EXTENSION);
    let wrong: [&[(&str, serde_json::Value)]; 8] = [
        &[("stage", "reported".into())],
        &[("stage", "extended".into())],
        &[("stage", "extended".into()), ("for_seconds", 0.into())],
        &[("stage", "extended".into()), ("for_seconds", (year + 1).into())],
        &[("stage", "extended".into()), ("for_seconds", 1.into()), ("until", "2026-03-02T00:00:00Z".into())],
        &[("for_seconds", 1.into())],
        &[("by", " ".into())],
        &[("at", "yesterday".into())],
    ];
    for change in wrong {
        let error = read(change).unwrap_err();
        let answer = answer_malformed(error);
        assert_eq!((answer.id, answer.reason), (Some("7".parse().unwrap()), Some(DispositionRefusal::Malformed)));
    }
}

#[test]
fn the_loop_is_walked_to_its_end_and_one_event_closes_it() {
    let clock = clock();
    let mut incident = testing::incident(&clock);
    let scene = incident.scene;
    let mut kinds = Vec::new();
    for (at, stage) in STAGES[..7].iter().enumerate() {
        clock.advance(Duration::from_secs(60));
        kinds.push(apply(&mut incident, &format!("c{at}"), *stage, &clock).unwrap());
    }
    assert_eq!(incident.handling, Handling::Archived);
    assert_eq!(incident.scene, scene, "what people do says nothing of what the box sees");
    assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::Closed).count(), 1);
    assert_eq!(kinds[5], EventKind::Closed);
    assert_eq!(incident.dispositions.finished.as_ref().unwrap().moment.wall, "2026-03-01T00:06:00Z".parse().unwrap());
    let revisions: Vec<_> = incident.dispositions.steps.iter().map(|step| step.revision).collect();
    assert_eq!(revisions, (2..=8).collect::<Vec<_>>());
    let json = serde_json::to_vec(&incident).unwrap();
    assert_eq!(serde_json::from_slice::<Incident>(&json).unwrap(), incident);
}

#[test]
fn the_same_command_again_gets_the_same_answer_and_changes_nothing() {
    let clock = clock();
    let mut incident = testing::incident(&clock);
    let command = disposition(&incident, "c", Stage::Accepted, &clock);
    let first = decide(&command, None, Some(incident.clone()), Stamp::now(&clock), &testing::calendar());
    let remembered = first.remember.unwrap();
    incident = first.revision.unwrap().incident;
    apply(&mut incident, "d", Stage::Dispatched, &clock).unwrap();
    // Long after it has expired, and things have gone on.
    clock.advance(Duration::from_secs(86_400));
    let again = decide(&command, Some(&remembered), Some(incident.clone()), Stamp::now(&clock), &testing::calendar());
    assert_eq!((again.answer, again.revision, again.remember), (first.answer, None, None));
    let forgotten = decide(&command, None, Some(incident.clone()), Stamp::now(&clock), &testing::calendar());
    assert_eq!((forgotten.answer.result, forgotten.revision), (CommandResult::Done, None));
    let other = Disposition { stage: Stage::Handled, ..command };
    let reused = decide(&other, Some(&remembered), Some(incident), Stamp::now(&clock), &testing::calendar());
    assert_eq!((reused.answer.reason, reused.revision), (Some(DispositionRefusal::IdReused), None));
}

#[test]
fn what_was_refused_stays_refused_when_it_comes_again() {
    let clock = clock();
    let mut incident = testing::incident(&clock);
    let early = disposition(&incident, "early", Stage::Verified, &clock);
    let refused = decide(&early, None, Some(incident.clone()), Stamp::now(&clock), &testing::calendar());
    assert_eq!(refused.answer.reason, Some(DispositionRefusal::OutOfOrder));
    assert_eq!(refused.answer.now.unwrap().handling, Handling::Reported);
    apply(&mut incident, "h", Stage::Handled, &clock).unwrap();
    let again = decide(&early, refused.remember.as_ref(), Some(incident), Stamp::now(&clock), &testing::calendar());
    assert_eq!((again.answer, again.revision), (refused.answer, None));
}

#[test]
fn expired_unknown_and_too_long_lived_ones_are_answered() {
    let clock = clock();
    let incident = testing::incident(&clock);
    let command = disposition(&incident, "c", Stage::Accepted, &clock);
    let reason = |command: &Disposition, incident| {
        decide(command, None, incident, Stamp::now(&clock), &testing::calendar()).answer.reason
    };
    assert_eq!(reason(&command, None), Some(DispositionRefusal::UnknownIncident));
    let for_ever = Disposition { expires: clock.now().wall + Duration::from_secs(8 * 86_400), ..command.clone() };
    assert_eq!(reason(&for_ever, Some(incident.clone())), Some(DispositionRefusal::ExpiresTooLate));
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(reason(&command, Some(incident.clone())), Some(DispositionRefusal::Expired));
    assert_eq!(decide(&command, None, None, Stamp::now(&clock), &testing::calendar()).remember, None);
    clock.set_wall("2031-01-01T00:00:00Z".parse().unwrap(), false);
    assert_eq!(reason(&command, Some(incident)), None, "a clock that is not synchronised refuses nobody");
}

#[test]
fn suspended_stands_beside_the_stage_and_stops_it() {
    let clock = clock();
    let mut incident = testing::incident(&clock);
    assert_eq!(apply(&mut incident, "0", Stage::Resumed, &clock), Err(DispositionRefusal::OutOfOrder));
    apply(&mut incident, "1", Stage::Dispatched, &clock).unwrap();
    apply(&mut incident, "2", Stage::Suspended, &clock).unwrap();
    assert_eq!((incident.handling, incident.dispositions.is_suspended()), (Handling::Dispatched, true));
    assert_eq!(apply(&mut incident, "3", Stage::Suspended, &clock), Err(DispositionRefusal::OutOfOrder));
    assert_eq!(apply(&mut incident, "4", Stage::Handled, &clock), Err(DispositionRefusal::OutOfOrder));
    apply(&mut incident, "5", Stage::Extended, &clock).unwrap();
    let light = |incident: &Incident| incident.deadline.as_ref().unwrap().light();
    clock.advance(Duration::from_secs(86_400));
    apply(&mut incident, "6", Stage::Resumed, &clock).unwrap();
    assert_eq!(light(&incident), Light::Green, "the time limit stood still");
    apply(&mut incident, "7", Stage::Suspended, &clock).unwrap();
    assert_eq!(apply(&mut incident, "8", Stage::RejectedFalseAlarm, &clock), Ok(EventKind::Closed));
    assert!(!incident.dispositions.is_suspended(), "what is finished does not stand still");
}

#[test]
fn only_a_time_limit_can_be_extended_and_only_to_come() {
    let clock = clock();
    let mut incident = testing::incident(&clock);
    let now = clock.now().wall;
    let until = |incident: &Incident, seconds| {
        let extension = Some(Extension::Until(now + Duration::from_secs(seconds)));
        let command = Disposition { extension, ..disposition(incident, "u", Stage::Extended, &clock) };
        decide(&command, None, Some(incident.clone()), Stamp::now(&clock), &testing::calendar())
    };
    let later = until(&incident, 10_000).revision.unwrap().incident;
    assert_eq!(later.deadline.unwrap().due(), Some(now + Duration::from_secs(10_000)));
    assert_eq!(until(&incident, 7_200).answer.reason, Some(DispositionRefusal::InvalidExtension));
    assert_eq!(until(&incident, 20 * 366 * 86_400).answer.reason, Some(DispositionRefusal::InvalidExtension));
    clock.set_wall(now, false);
    let unknown = until(&incident, 10_000);
    assert_eq!((unknown.answer.reason, unknown.remember), (Some(DispositionRefusal::ClockNotSynchronised), None));
    assert_eq!(apply(&mut incident, "s", Stage::Extended, &clock), Ok(EventKind::Updated));
    (incident.target.time_limit, incident.deadline) = (None, None);
    assert_eq!(apply(&mut incident, "n", Stage::Extended, &clock), Err(DispositionRefusal::NoTimeLimit));
}

#[test]
fn the_time_limit_runs_until_it_is_handled_and_again_if_that_is_to_be_done_again() {
    let clock = clock();
    let mut incident = testing::incident(&clock);
    let light = |incident: &Incident| incident.deadline.as_ref().unwrap().light();
    clock.advance(Duration::from_secs(3_600));
    apply(&mut incident, "1", Stage::Handled, &clock).unwrap();
    clock.advance(Duration::from_secs(86_400));
    // Neither stage nor suspension lets it run while people look at what was done.
    apply(&mut incident, "2", Stage::Suspended, &clock).unwrap();
    apply(&mut incident, "3", Stage::Resumed, &clock).unwrap();
    apply(&mut incident, "4", Stage::Dispatched, &clock).unwrap();
    assert_eq!(light(&incident), Light::Green);
    assert_eq!(incident.deadline.as_ref().unwrap().due(), Some(clock.now().wall + Duration::from_secs(3_600)));
    clock.advance(Duration::from_secs(3_000));
    apply(&mut incident, "5", Stage::Handled, &clock).unwrap();
    assert_eq!(light(&incident), Light::Yellow);
    clock.advance(Duration::from_secs(86_400));
    apply(&mut incident, "6", Stage::Closed, &clock).unwrap();
    assert_eq!(light(&incident), Light::Yellow, "the light stays as it was when it was handled");
    assert!(incident.deadline.as_ref().unwrap().is_finished());
    apply(&mut incident, "7", Stage::Archived, &clock).unwrap();
}

/// Suspended and resumed as often as it may be.
fn put_off_to_the_limit(clock: &ManualClock) -> Incident {
    let mut incident = testing::incident(clock);
    let mut number = 0;
    let refused = loop {
        number += 1;
        match apply(&mut incident, &format!("s{number}"), Stage::Suspended, clock) {
            Ok(_) => apply(&mut incident, &format!("r{number}"), Stage::Resumed, clock).unwrap(),
            Err(reason) => break reason,
        };
    };
    assert_eq!((refused, number), (DispositionRefusal::TooMany, Deadline::MOST_SUSPENSIONS + 1));
    incident
}

#[test]
fn however_often_it_was_put_off_it_can_be_handled_and_closed() {
    let clock = clock();
    let mut incident = put_off_to_the_limit(&clock);
    apply(&mut incident, "d", Stage::Dispatched, &clock).unwrap();
    apply(&mut incident, "h", Stage::Handled, &clock).unwrap();
    assert!(incident.deadline.as_ref().unwrap().suspended_since().is_some(), "its time has stopped");
    // To be done again it would have to be stopped once more.
    assert_eq!(apply(&mut incident, "d2", Stage::Dispatched, &clock), Err(DispositionRefusal::TooMany));
    assert_eq!(incident.handling, Handling::Handled);
    apply(&mut incident, "s", Stage::Suspended, &clock).unwrap();
    apply(&mut incident, "r", Stage::Resumed, &clock).unwrap();
    apply(&mut incident, "v", Stage::Verified, &clock).unwrap();
    assert_eq!(apply(&mut incident, "d3", Stage::Dispatched, &clock), Err(DispositionRefusal::TooMany));
    apply(&mut incident, "a", Stage::Assessed, &clock).unwrap();
    assert_eq!(apply(&mut incident, "c", Stage::Closed, &clock), Ok(EventKind::Closed));

    let mut incident = put_off_to_the_limit(&clock);
    assert_eq!(apply(&mut incident, "f", Stage::RejectedFalseAlarm, &clock), Ok(EventKind::Closed));
}

#[test]
fn moments_of_dispositions_are_filled_in_once_the_clock_is_right() {
    let clock = clock();
    clock.set_wall(jiff::Timestamp::UNIX_EPOCH, false);
    let mut incident = testing::incident(&clock);
    apply(&mut incident, "1", Stage::RejectedFalseAlarm, &clock).unwrap();
    clock.advance(Duration::from_secs(60));
    clock.set_wall("2026-03-01T00:01:00Z".parse().unwrap(), true);
    assert!(incident.awaits_times(clock.boot_id()));
    let sync = Synchronisation::told_by(clock.boot_id(), clock.now()).unwrap();
    assert!(incident.fill_in(&sync));
    let finished = incident.dispositions.finished.clone().unwrap().moment;
    assert_eq!((finished.wall, finished.synchronised), ("2026-03-01T00:00:00Z".parse().unwrap(), true));
    assert_eq!(incident.dispositions.steps[0].received.moment, finished);
    assert!(!incident.awaits_times(clock.boot_id()));
}

#[test]
fn an_incident_stored_before_there_were_dispositions_is_read() {
    let clock = clock();
    let incident = testing::incident(&clock);
    let mut json = serde_json::to_value(&incident).unwrap();
    assert_eq!(json["handling"], "reported");
    json.as_object_mut().unwrap().remove("dispositions");
    assert_eq!(serde_json::from_value::<Incident>(json).unwrap(), incident);
}

proptest! {
    /// Wherever people are with it and however often it was put off or done again: handled and closed it can be, and what is
    /// kept of that stays bounded.
    #[test]
    fn nothing_is_left_that_cannot_be_closed(
        put_off in 0..=Deadline::MOST_SUSPENSIONS,
        stages in proptest::collection::vec(
            select(&[Stage::Dispatched, Stage::Handled, Stage::Verified, Stage::Suspended, Stage::Resumed][..]),
            0..100,
        )
    ) {
        let clock = clock();
        let mut incident = testing::incident(&clock);
        for number in 0..put_off {
            prop_assert_eq!(apply(&mut incident, &format!("s{number}"), Stage::Suspended, &clock), Ok(EventKind::Updated));
            prop_assert_eq!(apply(&mut incident, &format!("r{number}"), Stage::Resumed, &clock), Ok(EventKind::Updated));
        }
        for (number, stage) in stages.into_iter().enumerate() {
            // What is not allowed now is not done.
            let _ = apply(&mut incident, &number.to_string(), stage, &clock);
        }
        prop_assert!(serde_json::to_vec(&incident).unwrap().len() < 64 * 1024);
        if incident.dispositions.is_suspended() {
            prop_assert!(apply(&mut incident, "r", Stage::Resumed, &clock).is_ok());
        }
        if incident.handling.is_awaited() {
            prop_assert!(apply(&mut incident, "h", Stage::Handled, &clock).is_ok());
        }
        prop_assert_eq!(apply(&mut incident, "c", Stage::Closed, &clock), Ok(EventKind::Closed));
    }

    /// Whatever comes, in whatever order, twice or late: revisions count up by one a change, the table holds, what is
    /// refused changes nothing, and what is kept stays bounded.
    #[test]
    fn any_sequence_of_commands_keeps_the_rules(
        commands in proptest::collection::vec((select(&STAGES), 0u16..200, 0u64..7_200), 0..150)
    ) {
        let clock = clock();
        let mut incident = testing::incident(&clock);
        let mut memory = std::collections::HashMap::new();
        let mut closed = 0;
        for (stage, id, wait) in commands {
            let command = disposition(&incident, &id.to_string(), stage, &clock);
            clock.advance(Duration::from_secs(wait));
            let before = incident.clone();
            let decision =
                decide(&command, memory.get(&id), Some(incident.clone()), Stamp::now(&clock), &testing::calendar());
            if let Some(remember) = decision.remember {
                prop_assert!(memory.insert(id, remember).is_none(), "a command is remembered once");
            }
            match decision.revision {
                None => prop_assert!(
                    decision.answer.result == CommandResult::Refused || memory.contains_key(&id)
                ),
                Some(Revision { kind, incident: after }) => {
                    prop_assert_eq!(after.revision, before.revision + 1);
                    prop_assert_eq!((after.scene, &after.ended), (before.scene, &before.ended));
                    prop_assert!(after.handling == before.handling || before.handling.next().contains(&after.handling));
                    prop_assert_eq!(kind == EventKind::Closed, after.handling.is_finished() && !before.handling.is_finished());
                    prop_assert_eq!(after.dispositions.finished.is_some(), after.handling.is_finished());
                    prop_assert!(!(after.handling.is_finished() && after.dispositions.is_suspended()));
                    prop_assert_eq!(decision.answer.now, Some(Standing::from(&after)));
                    closed += u32::from(kind == EventKind::Closed);
                    incident = after;
                }
            }
        }
        prop_assert!(closed <= 1);
        let Dispositions { steps, earlier_steps, .. } = &incident.dispositions;
        prop_assert!(steps.len() <= Dispositions::MAX_STEPS);
        prop_assert_eq!(steps.len() as u32 + earlier_steps, incident.revision - 1);
        let deadline = incident.deadline.as_ref().unwrap();
        prop_assert_eq!(deadline.is_finished(), incident.handling.is_finished());
        let runs = deadline.suspended_since().is_none();
        prop_assert!(deadline.is_finished() || runs == (incident.handling.is_awaited() && !incident.dispositions.is_suspended()));
        prop_assert!(serde_json::to_vec(&incident).unwrap().len() < 64 * 1024);
    }
}
