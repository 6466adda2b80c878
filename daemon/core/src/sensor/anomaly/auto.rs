//! What a sensor gets that says `method = "auto"`: five opinions heard together, and [`Standstill`] beside them.
//!
//! The surprise is the mean of five:
//!
//! - is there anything like the last reading, the last few, the last dozens, among all that the sensor did before?
//!   ([`Neighbour`] at three lengths)
//! - has it ever been here at this time of the day? ([`SameTime`])
//! - is it far from the middle of what it does in this hour? ([`RobustZ`])
//!
//! They look at the same reading from different sides, so that chance makes them loud at different times and an anomaly
//! at the same time. A mean asks for one of them to be certain or for several to be uneasy; which of these it was is no
//! setting. Opinions that cannot be had yet are left out of the mean.
//!
//! None of them can see a standstill, since a value that repeats is the most ordinary one there is; so the score is the
//! greater one of both.
//!
//! Memory: that of [`Neighbour`], [`SameTime`], [`RobustZ`] and [`Standstill`] with their defaults: 190 KB.

use super::{Detector, LocalTime, Neighbour, Reason, RobustZ, SameTime, Standstill, score_of};
use crate::spec::all_defaults;

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.46;
/// What the nearest neighbours count for, a part for each of their lengths; the others count for one part each.
const NEIGHBOUR_PARTS: f64 = 3.0;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct Auto {
    neighbour: Neighbour,
    same_time: SameTime,
    robust_z: RobustZ,
    standstill: Standstill,
    seen: u32,
    reason: Reason,
}

impl Auto {
    /// There is nothing to set.
    pub fn new() -> Self {
        Self {
            neighbour: Neighbour::new(&all_defaults()),
            same_time: SameTime::new(&all_defaults()),
            robust_z: RobustZ::new(&all_defaults()),
            standstill: Standstill::new(&all_defaults()),
            seen: 0,
            reason: Reason::Unseen,
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
        if !value.is_nan() {
            self.seen = self.seen.saturating_add(1);
        }
        let opinions = [
            (NEIGHBOUR_PARTS, self.neighbour.surprise(value)),
            (1.0, self.same_time.surprise(at, value)),
            (1.0, self.robust_z.surprise(at, value)),
        ];
        let (mut sum, mut parts) = (0.0, 0.0);
        for (part, decades) in opinions.into_iter().filter_map(|(part, decades)| Some((part, decades?))) {
            sum += part * decades;
            parts += part;
        }
        let [(_, unseen), (_, same_time), (_, robust_z)] =
            opinions.map(|(part, decades)| (part, decades.unwrap_or(0.0)));
        let unusual = if parts > 0.0 { score_of(sum / parts, ALARM_DECADES, self.seen) } else { 0.0 };
        let standstill = self.standstill.observe(at, value);
        self.reason = match f64::midpoint(same_time, robust_z) {
            _ if standstill > unusual => Reason::Standstill,
            time_of_day if time_of_day > unseen => Reason::TimeOfDay,
            _ => Reason::Unseen,
        };
        unusual.max(standstill)
    }

    fn reason(&self) -> Reason {
        self.reason
    }

    fn state_bytes(&self) -> usize {
        self.neighbour.state_bytes()
            + self.same_time.state_bytes()
            + self.robust_z.state_bytes()
            + self.standstill.state_bytes()
    }
}
