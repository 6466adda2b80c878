//! Anomalies in a sensor's readings: something that this sensor has not done before, said without having been told what
//! is normal.
//!
//! A [`Detector`] takes one reading at a time and answers with a score between 0 and 1. Every detector works in two
//! steps. The first makes of the reading a *distance* from what was expected, in units of the sensor's own; that step is
//! what the detectors differ in. The second, the same for all ([`tail::Tail`]), asks how rare so great a distance has
//! been on this very sensor, and answers in decades: 2 is once in a hundred readings. That is what makes the scores of a
//! water level, a CO₂ sensor and a door counter comparable, and one threshold do for all of them: at a score of
//! [`ALARM_SCORE`] a detector means "somebody should look".
//!
//! What all detectors promise:
//! - memory is bounded by their settings, and taken when they are made ([`Detector::state_bytes`]);
//! - there is no training run; the first [`WARM_UP`] readings score 0 while they are learnt from;
//! - any `f64` may come in: what is not a number is passed over with a score of 0, what is absurdly large is cut to
//!   [`LARGEST`]; nothing panics, and a score is always a number within 0..=1;
//! - readings may be irregular, come late, come twice, or stay away for days: order of arrival is what counts, and the
//!   time of day matters only where a baseline of the hour is kept;
//! - the same readings give the same scores: what is random is seeded.
//!
//! A model from outside may take a detector's place ([`outside`]); what it promises is its own affair, and only that its
//! score lies within 0..=1 is seen to.
//!
//! *When* a score is an alarm is the rules' to say ([`AnomalyRuleSpec`](super::rules::spec::AnomalyRuleSpec)): a lasting
//! anomaly is one.

pub mod auto;
pub mod ewma;
pub mod forest;
pub mod neighbour;
pub mod outside;
pub mod page_hinkley;
pub mod robust_z;
pub mod same_time;
pub mod sorted_ring;
pub mod spec;
pub mod standstill;
pub mod tail;
pub mod window;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::choice;

pub use auto::Auto;
pub use ewma::Ewma;
pub use forest::Forest;
pub use neighbour::Neighbour;
pub use page_hinkley::PageHinkley;
pub use robust_z::RobustZ;
pub use same_time::SameTime;
pub use spec::AnomalySpec;
pub use standstill::Standstill;

/// The score from which on a detector means that somebody should look.
pub const ALARM_SCORE: f64 = 0.5;

/// Readings at the beginning that are learnt from and score 0.
pub const WARM_UP: u32 = 100;

/// Values are cut to ±this: far beyond what any sensor measures, and small enough that sums and products stay finite.
pub const LARGEST: f64 = 1e30;

/// A difference of less than this part of the values is rounding. Sums and conversions leave some 1e-15 of it.
const ROUNDING: f64 = 1e-12;

/// Finds what is unusual in one sensor's readings.
pub trait Detector: fmt::Debug + Send {
    /// How unusual this reading is, 0 to 1, judged by the readings before it; then learns from it.
    fn observe(&mut self, at: LocalTime, value: f64) -> f64;

    /// What is unusual about the last reading, if it is.
    fn reason(&self) -> Reason;

    /// Bytes that this detector holds, itself included; does not grow after it was made.
    fn state_bytes(&self) -> usize;
}

choice! {
    /// What may be unusual about a reading.
    pub enum Reason {
        /// The sensor has not done anything like it before.
        Unseen = "unseen",
        /// It is not what the sensor does at this time of the day.
        TimeOfDay = "time_of_day",
        /// The level has moved.
        Level = "level",
        /// The sensor used to move, and has stopped.
        Standstill = "standstill",
    }
}

/// When a reading was taken, as the people around the sensor see it: days have their rhythm in local time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalTime {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub unix: f64,
    /// Seconds that the sensor's zone is ahead of UTC at that moment.
    pub utc_offset: i32,
}

impl LocalTime {
    /// The hour of the day, 0 to 23; 0 where the time is not a number.
    pub fn hour(self) -> usize {
        self.half_hour() / 2
    }

    /// The half hour of the day, 0 to 47; 0 where the time is not a number.
    pub fn half_hour(self) -> usize {
        let second_of_day = (self.unix + f64::from(self.utc_offset)).rem_euclid(86_400.0);
        // A float that is not a number casts to 0, and rounding may make the remainder the whole day.
        ((second_of_day / 1800.0) as usize).min(47)
    }
}

impl From<&jiff::Zoned> for LocalTime {
    fn from(time: &jiff::Zoned) -> Self {
        Self { unix: time.timestamp().as_duration().as_secs_f64(), utc_offset: time.offset().seconds() }
    }
}

/// The value to work with; `None` if it is not a number.
fn usable(value: f64) -> Option<f64> {
    (!value.is_nan()).then(|| value.clamp(-LARGEST, LARGEST))
}

/// The score of a surprise of so many decades after `seen` readings, for a detector that means alarm at `alarm` decades:
/// 0 at 0, [`ALARM_SCORE`] at `alarm`, 0.75 at twice that, and so on towards 1.
///
/// The more a detector has seen, the more it takes to surprise it: from `NOVICE` to `EXPERT` readings the decades
/// that mean alarm rise by half of the decades of readings. Were they to stay, false alarms would come at a constant rate
/// for ever; were they to rise by all of them, a young detector would see anything as an anomaly, or an old one nothing.
fn score_of(decades: f64, alarm: f64, seen: u32) -> f64 {
    let experience = (f64::from(seen.clamp(NOVICE, EXPERT)) / f64::from(NOVICE)).log10();
    (1.0 - (-decades / (alarm + 0.5 * experience)).exp2()).clamp(0.0, 1.0)
}

/// Readings up to which a detector is at its most sensitive.
const NOVICE: u32 = 1000;
/// Readings from which on it has all its calm.
const EXPERT: u32 = 10_000;
