use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::{
    spec::{Deserialize as _, all_defaults},
    time::{BootId, Mono},
};

/// Office hours eight hours east of Greenwich.
fn calendar() -> Calendar {
    Calendar::new(&all_defaults(), TimeZone::fixed(jiff::tz::offset(8))).unwrap()
}

fn boot(name: &str) -> BootId {
    BootId(name.into())
}

fn known(wall: Timestamp) -> Moment {
    Moment { mono: Mono(0), wall, synchronised: true }
}

fn stamp(wall: Timestamp) -> Stamp {
    Stamp { boot: boot("boot"), moment: known(wall) }
}

/// A stamp from a clock that stands wherever it likes.
fn unsynchronised(boot_name: &str, seconds: u64) -> Stamp {
    let moment = Moment { mono: Mono(seconds * 1_000_000_000), wall: Timestamp::UNIX_EPOCH, synchronised: false };
    Stamp { boot: boot(boot_name), moment }
}

fn time(text: &str) -> Timestamp {
    format!("{text}:00+08:00").parse().unwrap()
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

fn working(limit: Duration) -> TimeLimit {
    TimeLimit { counted_in: TimeBase::WorkingTime, ..TimeLimit::wall_time(limit) }
}

fn turned(deadline: &mut Deadline, at: &str) -> Light {
    deadline.turn(&calendar(), known(time(at)));
    deadline.light()
}

#[test]
fn lights_change_at_eighty_and_a_hundred_per_cent() {
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(10)), stamp(time("2026-03-01T00:00")));
    assert_eq!(turned(&mut deadline, "2026-03-01T07:59"), Light::Green);
    assert_eq!(deadline.due(), Some(time("2026-03-01T10:00")));
    assert_eq!(deadline.next_turn(&calendar()), Some(time("2026-03-01T08:00")));
    assert_eq!(turned(&mut deadline, "2026-03-01T08:00"), Light::Yellow);
    assert_eq!(deadline.next_turn(&calendar()), Some(time("2026-03-01T10:00")));
    assert_eq!(turned(&mut deadline, "2026-03-01T10:00"), Light::Red);
    assert_eq!(deadline.next_turn(&calendar()), None);
}

#[test]
fn working_time_does_not_count_on_a_weekend() {
    // Friday afternoon: one hour is left of the week.
    let mut deadline = Deadline::new(working(hours(5)), stamp(time("2026-03-06T16:30")));
    assert_eq!(turned(&mut deadline, "2026-03-09T08:29"), Light::Green);
    assert_eq!(deadline.due(), Some(time("2026-03-09T14:00")));
    assert_eq!(deadline.next_turn(&calendar()), Some(time("2026-03-09T11:30")));
    assert_eq!(turned(&mut deadline, "2026-03-09T11:30"), Light::Yellow);
    assert_eq!(turned(&mut deadline, "2026-03-09T14:00"), Light::Red);
}

#[test]
fn suspended_time_does_not_count_and_extensions_move_the_due_time() {
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(10)), stamp(time("2026-03-01T00:00")));
    deadline.suspend(stamp(time("2026-03-01T05:00"))).unwrap();
    assert_eq!(turned(&mut deadline, "2026-03-04T00:00"), Light::Green);
    assert_eq!((deadline.due(), deadline.next_turn(&calendar())), (None, None));
    assert_eq!(deadline.suspended_since(), Some(&stamp(time("2026-03-01T05:00"))));
    assert_eq!(deadline.suspend(stamp(time("2026-03-04T00:00"))), Err(DeadlineError::Suspended));

    deadline.resume(stamp(time("2026-03-04T00:00"))).unwrap();
    assert_eq!(deadline.resume(stamp(time("2026-03-04T00:00"))), Err(DeadlineError::Running));
    assert_eq!(turned(&mut deadline, "2026-03-04T05:00"), Light::Red);
    assert_eq!(deadline.due(), Some(time("2026-03-04T05:00")));

    deadline.extend(hours(10)).unwrap();
    assert_eq!(turned(&mut deadline, "2026-03-04T05:00"), Light::Green, "half of twenty hours");
    assert_eq!(deadline.due(), Some(time("2026-03-04T15:00")));

    deadline.finish(stamp(time("2026-03-04T12:00"))).unwrap();
    assert_eq!(turned(&mut deadline, "2026-04-01T00:00"), Light::Yellow, "as it was then");
    assert_eq!(deadline.next_turn(&calendar()), None);
    let stopped = [deadline.extend(hours(1)), deadline.suspend(stamp(time("2026-04-01T00:00")))];
    assert_eq!(stopped, [Err(DeadlineError::Finished); 2]);
}

#[test]
fn an_extension_until_then_makes_that_the_due_time() {
    let calendar = calendar();
    let mut deadline = Deadline::new(working(hours(5)), stamp(time("2026-03-06T16:30")));
    let now = known(time("2026-03-09T09:00"));
    assert_eq!(deadline.extend_until(time("2026-03-09T14:00"), now, &calendar), Err(DeadlineError::NoLater));
    deadline.extend_until(time("2026-03-10T10:00"), now, &calendar).unwrap();
    deadline.turn(&calendar, now);
    assert_eq!(deadline.due(), Some(time("2026-03-10T10:00")));
    deadline.extend_until(time("2026-03-10T23:00"), now, &calendar).unwrap();
    deadline.turn(&calendar, now);
    assert_eq!(deadline.due(), Some(time("2026-03-10T17:30")), "the last working hour before");

    let wrong = Moment { synchronised: false, ..now };
    assert_eq!(deadline.extend_until(time("2026-04-10T23:00"), wrong, &calendar), Err(DeadlineError::TimesUnknown));

    deadline.suspend(stamp(time("2026-03-09T09:00"))).unwrap();
    let later = known(time("2026-03-16T09:00"));
    deadline.extend_until(time("2026-03-20T10:00"), later, &calendar).unwrap();
    deadline.resume(stamp(later.wall)).unwrap();
    deadline.turn(&calendar, later);
    assert_eq!(deadline.due(), Some(time("2026-03-20T10:00")));
}

#[test]
fn nobody_can_fill_the_store_with_suspensions() {
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(1)), stamp(time("2026-03-01T00:00")));
    for _ in 0..Deadline::MOST_SUSPENSIONS {
        deadline.suspend(stamp(time("2026-03-01T00:10"))).unwrap();
        deadline.resume(stamp(time("2026-03-01T00:20"))).unwrap();
    }
    let at = || stamp(time("2026-03-01T00:30"));
    assert_eq!(deadline.suspend(at()), Err(DeadlineError::TooManySuspensions));
    // What runs can be stopped still, but does not run again.
    deadline.stop(at()).unwrap();
    assert_eq!(deadline.stop(at()), Err(DeadlineError::Suspended));
    assert_eq!(deadline.suspend(at()), Err(DeadlineError::Suspended));
    assert_eq!(deadline.resume(at()), Err(DeadlineError::TooManySuspensions));
    assert_eq!(deadline.suspensions.len(), Deadline::MOST_SUSPENSIONS + 1);
    assert_eq!(deadline.extend(Duration::MAX), Err(DeadlineError::ExtendedTooFar));
}

#[test]
fn an_unsynchronised_clock_turns_no_light() {
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(1)), stamp(time("2026-03-01T00:00")));
    let wrong = Moment { synchronised: false, ..known(time("2027-03-01T00:00")) };
    assert!(!deadline.turn(&calendar(), wrong));
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(1)), unsynchronised("boot", 0));
    assert!(!deadline.turn(&calendar(), known(time("2026-03-01T00:00"))));
    assert_eq!((deadline.light(), deadline.due(), deadline.next_turn(&calendar())), (Light::Green, None, None));
}

#[test]
fn times_of_this_boot_are_filled_in_and_those_of_an_earlier_one_are_taken_as_what_counts_least() {
    let now = time("2026-03-01T12:00");
    let moment = Moment { mono: Mono(36_000_000_000_000), wall: now, synchronised: true };
    let sync = Synchronisation::told_by(&boot("now"), moment).unwrap();

    // Ten hours since the boot: opened in its first hour, suspended from the third to the fifth.
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(10)), unsynchronised("now", 3600));
    deadline.suspend(unsynchronised("now", 3 * 3600)).unwrap();
    deadline.resume(unsynchronised("now", 5 * 3600)).unwrap();
    assert!(deadline.fill_in(&sync) && !deadline.fill_in(&sync));
    deadline.turn(&calendar(), moment);
    assert_eq!(deadline.due(), Some(time("2026-03-01T15:00")));

    // Opened in an earlier boot: its time counts from now.
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(10)), unsynchronised("before", 3600));
    assert!(deadline.fill_in(&sync));
    deadline.turn(&calendar(), moment);
    assert_eq!(deadline.due(), Some(time("2026-03-01T22:00")));

    // Suspended in an earlier boot and not resumed: from when it began to count.
    let mut deadline = Deadline::new(TimeLimit::wall_time(hours(10)), stamp(time("2026-02-27T00:00")));
    deadline.suspend(unsynchronised("before", 3600)).unwrap();
    assert!(deadline.fill_in(&sync));
    deadline.turn(&calendar(), moment);
    assert_eq!(deadline.light(), Light::Green);
    deadline.resume(Stamp { boot: boot("now"), moment }).unwrap();
    deadline.turn(&calendar(), moment);
    assert_eq!(deadline.due(), Some(time("2026-03-01T22:00")));
}

#[test]
fn a_categorys_limit_is_checked() {
    let category = |keys: &str| {
        let text = format!("id = 'flood'\nname = {{ zh = '', en = '' }}\n{keys}");
        CategorySpec::deserialize(&mut toml_span::parse(&text).unwrap()).unwrap()
    };
    let now = time("2026-03-01T00:00");
    let of = |keys| TimeLimit::of(&category(keys), &calendar(), now);
    assert_eq!(of(""), Ok(None));
    assert_eq!(of("time_limit = '2h'"), Ok(Some(TimeLimit::wall_time(hours(2)))));
    let own = of("time_limit = '2h'\ntime_limit_in = 'working_time'\nyellow_from = 0.5\nred_from = 0.9").unwrap();
    assert_eq!(own, Some(TimeLimit { yellow_permille: 500, red_permille: 900, ..working(hours(2)) }));
    let wrong = |keys| -> Vec<String> { of(keys).unwrap_err().iter().map(|error| error.kind.to_string()).collect() };
    assert_eq!(
        wrong("time_limit = '0s'\nyellow_from = 0.9\nred_from = 0.8"),
        [
            "yellow_from 0.9 must not be greater than red_from 0.8",
            "category `flood` has a time limit of nothing: leave time_limit out where there is none"
        ]
    );
    assert!(wrong("time_limit = '1h'\nyellow_from = 0")[0].contains("never green"));
    assert!(wrong("time_limit = '3000d'\ntime_limit_in = 'working_time'")[0].contains("does not reach"));
}

/// What people may say, each so many minutes after the one before.
#[derive(Debug, Clone)]
enum Said {
    Suspend,
    Resume,
    Extend(u64),
}

fn said() -> impl Strategy<Value = Vec<(i64, Said)>> {
    let what = prop_oneof![Just(Said::Suspend), Just(Said::Resume), (1u64..600).prop_map(Said::Extend)];
    // Sometimes what is said is said to have been before.
    prop::collection::vec((-200i64..2000, what), 0..8)
}

fn after(start: Timestamp, minutes: i64) -> Timestamp {
    Timestamp::from_second(start.as_second() + minutes * 60).unwrap()
}

fn deadline_of(limit_minutes: u64, in_working_time: bool, said: Vec<(i64, Said)>) -> (Deadline, Timestamp) {
    let limit = Duration::from_secs(limit_minutes * 60);
    let limit = if in_working_time { working(limit) } else { TimeLimit::wall_time(limit) };
    let start = time("2026-03-05T15:07");
    let mut deadline = Deadline::new(limit, stamp(start));
    let mut at = start;
    for (minutes, said) in said {
        at = after(at, minutes);
        // What is not allowed now is not done.
        let _ = match said {
            Said::Suspend => deadline.suspend(stamp(at)),
            Said::Resume => deadline.resume(stamp(at)),
            Said::Extend(minutes) => deadline.extend(Duration::from_secs(minutes * 60)),
        };
    }
    (deadline, start)
}

proptest! {
    /// The light changes exactly at the instant that was told: not a nanosecond before, and to the next colour or the one
    /// after it.
    #[test]
    fn the_next_turn_is_when_the_light_turns(limit in 1u64..6000, base in any::<bool>(), said in said(), now in 0i64..20_000) {
        let calendar = calendar();
        let (mut deadline, start) = deadline_of(limit, base, said);
        deadline.turn(&calendar, known(after(start, now)));
        let light = deadline.light();
        if let Some(next) = deadline.next_turn(&calendar) {
            prop_assert!(next > after(start, now));
            prop_assert_eq!(deadline.light_at(&calendar, next.checked_sub(Duration::from_nanos(1)).unwrap()), light);
            prop_assert!(deadline.light_at(&calendar, next) > light);
        } else {
            // However late it gets.
            let late = after(start, 1_000_000);
            prop_assert_eq!(deadline.light_at(&calendar, late), light);
        }
    }

    /// What the timer turns one after the other is what a look at the end shows, and the store loses nothing.
    #[test]
    fn turning_by_the_timer_and_looking_late_come_to_the_same(limit in 1u64..6000, base in any::<bool>(), said in said()) {
        let calendar = calendar();
        let (mut by_timer, start) = deadline_of(limit, base, said);
        let mut late = by_timer.clone();
        let end = after(start, 60_000);
        by_timer.turn(&calendar, known(start));
        while let Some(next) = by_timer.next_turn(&calendar).filter(|next| *next <= end) {
            prop_assert!(by_timer.turn(&calendar, known(next)), "each is a change");
            by_timer = serde_json::from_str(&serde_json::to_string(&by_timer).unwrap()).unwrap();
        }
        prop_assert!(!by_timer.turn(&calendar, known(end)), "none was missed");
        late.turn(&calendar, known(end));
        prop_assert_eq!(by_timer, late);
    }

    /// In wall time, what is used and what is suspended is all the time there is; red is when the due time has come.
    #[test]
    fn red_is_when_the_due_time_has_come(limit in 1u64..6000, base in any::<bool>(), said in said(), now in 0i64..20_000) {
        let calendar = calendar();
        let (mut deadline, start) = deadline_of(limit, base, said);
        let now = after(start, now);
        deadline.turn(&calendar, known(now));
        prop_assert_eq!(deadline.light() == Light::Red, deadline.due().is_some_and(|due| due <= now));
    }

    /// Whatever was suspended before: an extension until an instant of working time makes exactly that the due time, and one
    /// that is refused would have been no extension.
    #[test]
    fn an_extension_until_is_exact(limit in 1u64..6000, base in any::<bool>(), said in said(), now in 16_000i64..20_000, until in 0i64..40_000) {
        let calendar = calendar();
        // `now` is after all that was said.
        let (mut deadline, start) = deadline_of(limit, base, said);
        let (now, until) = (known(after(start, now)), after(start, until));
        let before = deadline.clone();
        match deadline.extend_until(until, now, &calendar) {
            Ok(()) => {
                prop_assert!(deadline.extended_by() > before.extended_by());
                let _ = deadline.resume(Stamp { boot: boot("boot"), moment: now });
                deadline.turn(&calendar, now);
                let due = deadline.due().unwrap();
                prop_assert!(due <= until);
                prop_assert_eq!(deadline.limit().counted_in.between(&calendar, due, until), Duration::ZERO);
            }
            Err(error) => {
                prop_assert_eq!(error, DeadlineError::NoLater);
                prop_assert_eq!(&deadline, &before);
                let _ = deadline.resume(Stamp { boot: boot("boot"), moment: now });
                deadline.turn(&calendar, now);
                let due = deadline.due().unwrap();
                let counted = deadline.limit().counted_in.between(&calendar, due.max(now.wall), until);
                prop_assert!(until <= now.wall || counted.is_zero());
            }
        }
    }

    /// A clock that jumps while it is not synchronised changes nothing at all.
    #[test]
    fn jumps_of_an_unsynchronised_clock_change_nothing(limit in 1u64..6000, said in said(), now in 0i64..20_000, jump in -600_000i64..600_000) {
        let calendar = calendar();
        let (mut deadline, start) = deadline_of(limit, false, said);
        deadline.turn(&calendar, known(after(start, now)));
        let before = deadline.clone();
        let wrong = Moment { synchronised: false, ..known(after(start, now + jump)) };
        prop_assert!(!deadline.turn(&calendar, wrong));
        prop_assert_eq!(deadline, before);
    }
}
