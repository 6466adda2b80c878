//! What a sensor gets that says `method = "auto"`: nearest neighbours at three lengths and the same-hour robust z, heard
//! together, and [`Standstill`] beside them.
//!
//! The surprise is the mean of theirs. They see the same reading from different sides (nothing like it among all earlier
//! readings, as a single value, as a quarter of an hour, as an hour; far from what this hour of the day used to be), so
//! that chance makes them loud at different times, and an anomaly at the same time.
//!
//! A standstill none of them can see, since a value that repeats is the most ordinary one there is; so the score is the
//! greater one of both.
//!
//! Memory: that of [`Neighbour`], [`RobustZ`] and [`Standstill`] with their defaults.

use super::{Detector, LocalTime, Neighbour, RobustZ, Standstill, score_of};
use crate::spec::all_defaults;

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.7;
/// What the same-hour baseline counts for; the neighbours' mean counts for the rest.
const HOURS_WEIGHT: f64 = 0.2;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct Auto {
    neighbour: Neighbour,
    hours: RobustZ,
    standstill: Standstill,
}

impl Auto {
    /// There is nothing to set.
    pub fn new() -> Self {
        Self {
            neighbour: Neighbour::new(&all_defaults()),
            hours: RobustZ::new(&all_defaults()),
            standstill: Standstill::new(&all_defaults()),
        }
    }
}

impl Default for Auto {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector for Auto {
    fn observe(&mut self, at: LocalTime, value: f64) -> f64 {
        let (neighbour, hours) = (self.neighbour.surprise(value), self.hours.surprise(at, value));
        let unusual = neighbour
            .zip(hours)
            .map_or(0.0, |(neighbour, hours)| score_of(neighbour + HOURS_WEIGHT * (hours - neighbour), ALARM_DECADES));
        unusual.max(self.standstill.observe(at, value))
    }

    fn state_bytes(&self) -> usize {
        self.neighbour.state_bytes() + self.hours.state_bytes() + self.standstill.state_bytes()
    }
}
