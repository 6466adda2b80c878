//! When the box looks, and what it says it has seen.

use proptest::prelude::*;

use super::*;
use crate::{
    incidents::{Evidence, Handling, command, testing},
    spec::all_defaults,
    time::{Clock, ManualClock},
};

fn clock() -> ManualClock {
    ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap())
}

fn verify(incident: &Incident, id: &str, clock: &ManualClock) -> Verify {
    let now = clock.now().wall;
    Verify {
        id: id.parse().unwrap(),
        incident: incident.id,
        by: "township desk".parse().unwrap(),
        reason: "the owner says it is done".parse().unwrap(),
        at: now,
        expires: now + Duration::from_secs(600),
        for_seconds: LookFor::default(),
    }
}

fn limits() -> VerifyLimits {
    VerifyLimits::new(&all_defaults())
}

#[test]
fn a_command_is_looked_at_once_and_its_answer_becomes_the_outcome() {
    let (clock, mut limits) = (clock(), limits());
    let incident = testing::incident(&clock);
    let command = verify(&incident, "v", &clock);
    let first = admit(&command, None, Some(&incident), &mut limits, clock.now());
    assert_eq!((first.look, first.answer.result), (true, VerifyResult::Looking));
    let remembered = first.remember.unwrap();
    let again = admit(&command, Some(&remembered), Some(&incident), &mut limits, clock.now());
    assert_eq!((again.look, again.answer), (false, first.answer));

    clock.advance(Duration::from_secs(30));
    let seen = Seen { outcome: Outcome::Persists, obstacle: None };
    let looked = Verification::looked(&command, seen, incident.opened, clock.now(), clock.boot_id().clone());
    let revision = record(incident.clone(), looked);
    assert_eq!((revision.kind, revision.incident.revision), (EventKind::Verified, 2));
    assert_eq!((revision.incident.scene, revision.incident.handling), (incident.scene, incident.handling));
    assert_eq!(revision.incident.verifications[0].revision, 2);
    let json = serde_json::to_vec(&revision.incident).unwrap();
    assert_eq!(serde_json::from_slice::<Incident>(&json).unwrap(), revision.incident);

    let kept = finished(command.clone(), Outcome::Persists, 2);
    let late = admit(&command, Some(&kept), Some(&revision.incident), &mut limits, clock.now());
    assert_eq!((late.look, late.answer.outcome, late.answer.revision), (false, Some(Outcome::Persists), Some(2)));
    let other = Verify { reason: "another".parse().unwrap(), ..command };
    let reused = admit(&other, Some(&kept), Some(&revision.incident), &mut limits, clock.now());
    assert_eq!((reused.look, reused.answer.reason), (false, Some(VerifyRefusal::IdReused)));
}

#[test]
fn the_box_does_not_look_without_a_reason_to() {
    let (clock, mut limits) = (clock(), limits());
    let mut incident = testing::incident(&clock);
    let command = verify(&incident, "v", &clock);
    let mut reason =
        |incident: Option<&Incident>| admit(&command, None, incident, &mut limits, clock.now()).answer.reason;
    assert_eq!(reason(None), Some(VerifyRefusal::UnknownIncident));
    incident.handling = Handling::Closed;
    assert_eq!(reason(Some(&incident)), Some(VerifyRefusal::Finished));
    incident.handling = Handling::Handled;
    clock.set_wall(clock.now().wall, false);
    assert_eq!(reason(Some(&incident)), Some(VerifyRefusal::ClockNotSynchronised));
    clock.set_wall(clock.now().wall, true);
    clock.advance(Duration::from_secs(600));
    assert_eq!(reason(Some(&incident)), Some(VerifyRefusal::Expired));
    let blank = br#"{ "id": "v", "incident": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "by": "li", "reason": "",
        "at": "2026-03-01T00:00:00Z", "expires": "2026-03-01T00:10:00Z" }"#;
    let answer = answer_malformed(command::read::<Verify>(blank).unwrap_err());
    assert_eq!((answer.id, answer.reason), (Some("v".parse().unwrap()), Some(VerifyRefusal::Malformed)));
}

#[test]
fn one_incident_is_not_looked_at_all_the_time_and_neither_are_all() {
    let (clock, mut limits) = (clock(), limits());
    let mut incident = testing::incident(&clock);
    let first = admit(&verify(&incident, "0", &clock), None, Some(&incident), &mut limits, clock.now());
    assert!(first.look);
    let command = verify(&incident, "1", &clock);
    let second = admit(&command, None, Some(&incident), &mut limits, clock.now());
    assert_eq!((second.answer.reason, second.answer.retry_after_seconds), (Some(VerifyRefusal::TooOften), Some(60)));
    assert_eq!(second.remember, None, "it may come again");
    clock.advance(Duration::from_secs(60));
    assert!(admit(&command, None, Some(&incident), &mut limits, clock.now()).look);
    let looks = (0..20).filter(|number| {
        incident.id.0 = ulid::Ulid::from_parts(0, *number);
        admit(&verify(&incident, "n", &clock), None, Some(&incident), &mut limits, clock.now()).look
    });
    assert_eq!(looks.count(), 5, "a burst of six, one of which is taken");
}

#[test]
fn a_verification_that_gives_way_takes_its_picture_along_and_no_other() {
    let clock = clock();
    let mut incident = testing::incident(&clock);
    let picture = |name: &str| Evidence {
        name: name.to_owned(),
        camera: None,
        media_type: "image/jpeg".into(),
        sha256: "00".into(),
        bytes: 1,
        taken: clock.now(),
        duration_ms: None,
        sealed: None,
    };
    incident.evidence.push(picture("still.jpg"));
    let mut largest = 0;
    for number in 0..100 {
        let command = verify(&incident, &format!("{number:02}"), &clock);
        let mut verification = Verification::restarted(&command, clock.now(), clock.boot_id().clone());
        // Some have no picture, and the second names the same one as the eighth.
        let still = match number {
            1 | 7 => Some("verify-both.jpg".to_owned()),
            _ => (number % 3 > 0).then(|| format!("verify-{number:02}.jpg")),
        };
        let new = still.as_deref().filter(|still| incident.evidence.iter().all(|known| known.name != *still));
        incident.evidence.extend(new.map(picture));
        verification.still = still;
        incident = record(incident, verification).incident;
        assert!(incident.verifications.len() <= MAX_VERIFICATIONS);
        let names: Vec<_> = incident.evidence.iter().map(|evidence| evidence.name.as_str()).collect();
        assert_eq!(names[0], "still.jpg", "what it was opened with stays");
        for still in incident.verifications.iter().filter_map(|kept| kept.still.as_deref()) {
            assert_eq!(names.iter().filter(|name| **name == still).count(), 1, "{number}: {still} of {names:?}");
        }
        assert!(names.len() <= 1 + MAX_VERIFICATIONS, "{number}: {names:?}");
        largest = largest.max(serde_json::to_vec(&incident.evidence).unwrap().len());
    }
    assert!(largest < 4096, "{largest} bytes");
}

#[test]
fn what_was_not_watched_is_not_called_cleared() {
    let second = |seconds: u64| Mono(seconds * 1_000_000_000);
    let look = || Look::new(second(100), LookFor::default(), Duration::from_secs(2));
    assert_eq!(look().seen().outcome, Outcome::CannotTell);
    let watch = |upto: u64, holds_at: Option<u64>| {
        let mut look = look();
        (100..=upto).for_each(|at| look.observe(second(at), holds_at == Some(at)));
        look.seen()
    };
    assert_eq!(watch(130, None), Seen { outcome: Outcome::Cleared, obstacle: None });
    assert_eq!(watch(110, None), Seen { outcome: Outcome::CannotTell, obstacle: Some(Obstacle::NotSeen) });
    assert_eq!(watch(110, Some(105)).outcome, Outcome::Persists, "what was seen once is known");
    assert_eq!(watch(200, Some(150)).outcome, Outcome::Cleared, "what came after does not count");
}

proptest! {
    #[test]
    fn cleared_needs_most_of_the_time(gaps in proptest::collection::vec(1u64..8_000, 0..60)) {
        let from = Mono(0);
        let longest = Duration::from_millis(2_000);
        let mut look = Look::new(from, LookFor::default(), longest);
        let (mut at, mut seen) = (from, Duration::ZERO);
        for gap in gaps.into_iter().map(Duration::from_millis) {
            at = at + gap;
            if at <= look.until() && gap <= longest {
                seen += gap;
            }
            look.observe(at, false);
        }
        let outcome = look.seen().outcome;
        prop_assert_ne!(outcome, Outcome::Persists);
        if seen < Duration::from_secs(22) {
            prop_assert_eq!(outcome, Outcome::CannotTell);
        }
        if seen >= Duration::from_secs(24) {
            prop_assert_eq!(outcome, Outcome::Cleared);
        }
    }
}
