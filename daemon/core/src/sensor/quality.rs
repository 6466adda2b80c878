//! Whether a value can be relied upon: range, rate, standstill, silence, clock, order.
//!
//! One [`Judge`] for each quantity of each sensor. Its memory is bounded: a few numbers and the last [`REMEMBERED`] times. It
//! has no clock of its own, so that a recording is judged as the live sensor was.

use std::{collections::VecDeque, time::Duration};

use super::reading::{Doubt, Quality, Sample, Verdict};
use crate::{
    spec,
    spec::{Maybe, Number, TimeSpan},
    time::{Moment, Mono},
};

/// So many device times are remembered to know duplicates, and to tell a wrong clock from a slow way.
const REMEMBERED: usize = 16;
/// A reading that arrived within this after an equal one of the same time is the same one again.
const REPEATED: Duration = Duration::from_secs(120);
/// A clock that was set back is believed once so many readings have followed each other by it.
const BELIEVED_AFTER: u32 = 3;
/// A standstill is at least so many readings long.
const STANDSTILL: u32 = 4;

spec! {
    /// What values of a quantity can be relied upon.
    pub struct QualitySpec {
        /// No value below this exists; in the reported unit.
        min: Maybe<Number> = Maybe::NONE,
        /// No value above this exists; in the reported unit.
        max: Maybe<Number> = Maybe::NONE,
        /// The most the value can change in an hour; in the reported unit.
        max_change_per_hour: Maybe<Number> = Maybe::NONE,
        /// A value that has been exactly the same for so long is stuck. Left out where it may be, as with switches and rain.
        stuck_after: Maybe<TimeSpan> = Maybe::NONE,
        /// A value that was measured so long before it arrived is no news.
        stale_after: TimeSpan = TimeSpan::secs(3600),
        /// The device's clock may differ from the gateway's by so much.
        max_clock_skew: TimeSpan = TimeSpan::secs(300),
    }
}

/// Judges the values of one quantity of one sensor, in the order in which they arrive.
#[derive(Debug)]
pub struct Judge {
    spec: QualitySpec,
    /// The last value that was possible, when it was measured or else arrived, and how long it has been the same.
    last: Option<Last>,
    /// What devices said of the last readings: when they were measured, and how much later they arrived.
    heard: VecDeque<Heard>,
    /// The latest time of measurement.
    newest: Option<jiff::Timestamp>,
    /// The last time of measurement before that one, and how many have come in a row, each later than the one before.
    behind: Option<(jiff::Timestamp, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    value: f64,
    at: Time,
    same_since: Mono,
    same: u32,
}

/// A time on the device's clock where it has one, and on the gateway's.
#[derive(Debug, Clone, Copy)]
struct Time {
    measured: Option<jiff::Timestamp>,
    arrived: Mono,
}

impl Time {
    /// Time passed since `earlier`: by the device's clock where both have it.
    fn since(self, earlier: Self) -> Duration {
        let by_device = self.measured.zip(earlier.measured).map(|(now, then)| now.duration_since(then));
        let by_device = by_device.and_then(|passed| Duration::try_from(passed).ok()).filter(|passed| !passed.is_zero());
        by_device.unwrap_or_else(|| self.arrived.since(earlier.arrived))
    }
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    measured: jiff::Timestamp,
    arrived: Mono,
    value: f64,
    /// Seconds from measurement to arrival by two clocks; negative where the device's is ahead.
    late: f64,
}

impl Judge {
    /// A judge that has heard nothing yet.
    pub fn new(spec: QualitySpec) -> Self {
        Self { spec, last: None, heard: VecDeque::with_capacity(REMEMBERED), newest: None, behind: None }
    }

    /// What is to be thought of a value that arrived then.
    pub fn judge(&mut self, sample: &Sample, arrived: Moment) -> Verdict {
        if !sample.value.is_finite() {
            return Verdict::doubtful(Quality::Error, Doubt::NotANumber);
        }
        let clock = sample.measured.and_then(|measured| self.judge_time(sample.value, measured, arrived));
        if clock == Some(Doubt::Duplicate) {
            return Verdict::doubtful(Quality::Suspect, Doubt::Duplicate);
        }
        if sample.flagged {
            return Verdict::doubtful(Quality::Suspect, Doubt::Flagged);
        }
        for (beyond, why) in [
            (self.spec.min.is_some_and(|min| sample.value < min.0), Doubt::TooLow),
            (self.spec.max.is_some_and(|max| sample.value > max.0), Doubt::TooHigh),
        ] {
            if beyond {
                return Verdict::doubtful(Quality::OutOfRange, why);
            }
        }
        if clock == Some(Doubt::OutOfOrder) {
            return Verdict::doubtful(Quality::Suspect, Doubt::OutOfOrder);
        }
        let value = self.judge_value(sample.value, Time { measured: sample.measured, arrived: arrived.mono });
        match (clock, value) {
            (Some(Doubt::Delayed), _) => Verdict::doubtful(Quality::Stale, Doubt::Delayed),
            (_, Some(Doubt::Unchanging)) => Verdict::doubtful(Quality::Stuck, Doubt::Unchanging),
            (None, None) => Verdict::GOOD,
            (clock, value) => Verdict { quality: Quality::Suspect, why: value.or(clock) },
        }
    }

    /// What the device's clock says. A clock that is wrong makes every reading look early or late; a slow way makes some.
    fn judge_time(&mut self, value: f64, measured: jiff::Timestamp, arrived: Moment) -> Option<Doubt> {
        // A clock that stands still says the same time again and again; a message that was sent twice comes at once.
        let known = |heard: &Heard| {
            let same = heard.measured == measured && heard.value.to_bits() == value.to_bits();
            same && arrived.mono.since(heard.arrived) < REPEATED
        };
        if self.heard.iter().any(known) {
            return Some(Doubt::Duplicate);
        }
        let late = arrived.wall.duration_since(measured).as_secs_f64();
        if self.heard.len() == REMEMBERED {
            self.heard.pop_front();
        }
        self.heard.push_back(Heard { measured, arrived: arrived.mono, value, late });
        let straggles = self.newest.is_some_and(|newest| measured < newest) && !self.was_set_back(measured);
        let order = straggles.then_some(Doubt::OutOfOrder);
        if !straggles {
            (self.newest, self.behind) = (Some(measured), None);
        }
        // A gateway that does not know the time cannot blame others.
        if !arrived.synchronised {
            return order;
        }
        let offset = self.heard.iter().map(|heard| heard.late).fold(f64::INFINITY, f64::min);
        let skewed = offset.abs() > self.spec.max_clock_skew.as_secs_f64();
        if late - offset.max(0.0) * f64::from(skewed) > self.spec.stale_after.as_secs_f64() {
            return Some(Doubt::Delayed);
        }
        order.or(skewed.then_some(Doubt::ClockSkew))
    }

    /// Whether a time before the latest is no straggler: the device's clock was set back, or had been ahead for a moment.
    fn was_set_back(&mut self, measured: jiff::Timestamp) -> bool {
        let row = match self.behind {
            Some((before, row)) if measured > before => row + 1,
            _ => 1,
        };
        self.behind = Some((measured, row));
        if row < BELIEVED_AFTER {
            return false;
        }
        // What was heard by the clock as it was says nothing about this one.
        self.heard.drain(..self.heard.len().saturating_sub(row as usize));
        true
    }

    fn judge_value(&mut self, value: f64, at: Time) -> Option<Doubt> {
        let Some(last) = self.last else {
            self.last = Some(Last { value, at, same_since: at.arrived, same: 1 });
            return None;
        };
        let same = value.to_bits() == last.value.to_bits();
        let now = match same {
            true => Last { at, same: last.same.saturating_add(1), ..last },
            false => Last { value, at, same_since: at.arrived, same: 1 },
        };
        self.last = Some(now);
        let standing = at.arrived.since(now.same_since);
        if now.same >= STANDSTILL && self.spec.stuck_after.is_some_and(|limit| standing >= limit.0) {
            return Some(Doubt::Unchanging);
        }
        let hours = at.since(last.at).as_secs_f64().max(1e-3) / 3600.0;
        let change = (value - last.value).abs();
        self.spec.max_change_per_hour.is_some_and(|most| change > most.0 * hours).then_some(Doubt::Rate)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::all_defaults;

    const START: i64 = 1_700_000_000;

    fn moment(second: i64) -> Moment {
        let wall = jiff::Timestamp::from_second(START + second).unwrap();
        Moment { mono: Mono(second.unsigned_abs() * 1_000_000_000), wall, synchronised: true }
    }

    fn sample(value: f64, measured: Option<i64>) -> Sample {
        let measured = measured.map(|second| jiff::Timestamp::from_second(START + second).unwrap());
        Sample { value, measured, flagged: false }
    }

    fn level() -> QualitySpec {
        QualitySpec {
            min: Maybe(Some(Number(-1.0))),
            max: Maybe(Some(Number(12.0))),
            max_change_per_hour: Maybe(Some(Number(3.0))),
            stuck_after: Maybe(Some(TimeSpan::secs(3600))),
            ..all_defaults()
        }
    }

    /// Verdicts on values that arrive a minute apart without a time of their own.
    fn verdicts(spec: QualitySpec, values: &[f64]) -> Vec<Verdict> {
        let mut judge = Judge::new(spec);
        let arrive = |(minute, value): (i64, &f64)| judge.judge(&sample(*value, None), moment(minute * 60));
        (0..).zip(values).map(arrive).collect()
    }

    #[test]
    fn impossible_values_do_not_count_and_do_not_spoil_what_follows() {
        let found = verdicts(level(), &[2.0, 99.0, f64::NAN, -7.0, 2.01]);
        let quality: Vec<_> = found.iter().map(|verdict| (verdict.quality, verdict.why)).collect();
        assert_eq!(
            quality,
            [
                (Quality::Good, None),
                (Quality::OutOfRange, Some(Doubt::TooHigh)),
                (Quality::Error, Some(Doubt::NotANumber)),
                (Quality::OutOfRange, Some(Doubt::TooLow)),
                (Quality::Good, None),
            ]
        );
        assert!(found.iter().filter(|verdict| verdict.counts()).count() == 2);
    }

    #[test]
    fn a_jump_is_suspect_once_and_believed_when_it_stays() {
        let found = verdicts(level(), &[2.0, 2.0, 4.0, 4.0]);
        assert_eq!(found[2], Verdict::doubtful(Quality::Suspect, Doubt::Rate));
        assert!(found[2].counts(), "it may be a flood");
        assert_eq!(found[3], Verdict::GOOD);
    }

    #[test]
    fn what_never_changes_is_stuck_until_it_does() {
        let mut values = vec![2.0; 62];
        values.push(2.01);
        let found = verdicts(level(), &values);
        assert_eq!(found[59].quality, Quality::Good);
        assert_eq!(found[60], Verdict::doubtful(Quality::Stuck, Doubt::Unchanging));
        assert_eq!(found[62].quality, Quality::Good);
        // Two readings an hour apart are no standstill.
        let mut judge = Judge::new(level());
        assert_eq!(judge.judge(&sample(1.0, None), moment(0)), Verdict::GOOD);
        assert_eq!(judge.judge(&sample(1.0, None), moment(7200)), Verdict::GOOD);
    }

    #[test]
    fn what_was_heard_before_and_what_comes_late_is_told_apart() {
        let mut judge = Judge::new(all_defaults());
        let mut hear = |value, measured, arrived| judge.judge(&sample(value, Some(measured)), moment(arrived));
        assert_eq!(hear(1.0, 0, 1), Verdict::GOOD);
        assert_eq!(hear(1.0, 0, 2), Verdict::doubtful(Quality::Suspect, Doubt::Duplicate));
        assert_eq!(hear(1.2, 60, 61), Verdict::GOOD);
        assert_eq!(hear(1.1, 30, 62), Verdict::doubtful(Quality::Suspect, Doubt::OutOfOrder));
        assert_eq!(hear(1.3, 120, 120 + 4000), Verdict::doubtful(Quality::Stale, Doubt::Delayed));
        assert_eq!(hear(1.3, 4180, 4181), Verdict::GOOD);
    }

    #[test]
    fn one_time_far_ahead_blinds_nobody() {
        let mut judge = Judge::new(all_defaults());
        let mut hear = |measured, arrived| judge.judge(&sample(arrived as f64, Some(measured)), moment(arrived));
        assert_eq!(hear(0, 1), Verdict::GOOD);
        assert_eq!(hear(99_000_000, 61), Verdict::doubtful(Quality::Suspect, Doubt::ClockSkew));
        for minute in 2..5 {
            let verdict = hear(minute * 60, minute * 60 + 1);
            assert!(verdict.counts(), "{minute}: {verdict:?}");
        }
        assert_eq!(hear(300, 301), Verdict::GOOD, "the time ahead is forgotten");
    }

    #[test]
    fn a_clock_that_is_set_back_is_believed_again() {
        let mut judge = Judge::new(all_defaults());
        let mut hear = |measured, arrived| judge.judge(&sample(arrived as f64, Some(measured)), moment(arrived));
        assert_eq!(hear(1000, 1001), Verdict::GOOD);
        let verdicts: Vec<_> = (0..5).map(|turn| hear(turn * 60 - 9000, 1060 + turn * 60).why).collect();
        assert_eq!(verdicts[..2], [Some(Doubt::Delayed); 2]);
        assert_eq!(verdicts[2..], [Some(Doubt::ClockSkew); 3]);
    }

    #[test]
    fn a_clock_that_stands_still_hides_nothing() {
        let mut judge = Judge::new(all_defaults());
        let mut press = |arrived| judge.judge(&sample(1.0, Some(0)), moment(arrived));
        assert_eq!(press(1), Verdict::GOOD);
        assert!(!press(5).counts(), "the same message again");
        assert!(press(300).counts(), "another press");
    }

    #[test]
    fn a_clock_that_is_wrong_by_hours_is_named_and_its_values_still_count() {
        for offset in [-8 * 3600, 8 * 3600] {
            let mut judge = Judge::new(all_defaults());
            for minute in 0..5 {
                let verdict = judge.judge(&sample(1.0, Some(minute * 60 + offset)), moment(minute * 60));
                assert_eq!(verdict, Verdict::doubtful(Quality::Suspect, Doubt::ClockSkew), "{offset} {minute}");
                assert!(verdict.counts());
            }
        }
        let mut judge = Judge::new(all_defaults());
        let unsynchronised = Moment { synchronised: false, ..moment(0) };
        assert_eq!(judge.judge(&sample(1.0, Some(99_999)), unsynchronised), Verdict::GOOD);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_judged_and_nothing_grows(
            samples in prop::collection::vec((any::<f64>(), prop::option::of(-100_000i64..100_000), any::<bool>()), 0..60),
        ) {
            let mut judge = Judge::new(level());
            for (second, (value, measured, flagged)) in (0..).zip(samples) {
                let verdict = judge.judge(&Sample { flagged, ..sample(value, measured) }, moment(second * 10));
                prop_assert!(judge.heard.len() <= REMEMBERED);
                prop_assert_eq!(verdict.quality == Quality::Good, verdict.why.is_none());
                if !value.is_finite() {
                    prop_assert!(!verdict.counts());
                }
            }
        }
    }
}
