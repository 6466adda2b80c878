//! Whether what a rule finds joins an incident that people have not finished with, instead of opening another one.
//!
//! It is the rule's choice (`merge_within`), and only rules that watch for a condition or for things that stand still can
//! make it: a flooded road, a silent sensor, a dumped heap. Somebody who climbs a fence today is not the one of yesterday, and
//! who presses a button calls for help each time.
//!
//! What always holds:
//! 1. Nothing joins an incident that people have finished with.
//! 2. Nothing joins later than `within` after the incident was *opened*: joining does not prolong it, so that a grid system
//!    that never answers cannot swallow tomorrow's events.
//! 3. Both clocks' readings are comparable: nothing joins across a boot.
//! 4. What joins is reported alike: same source and rule, same place in it, same category, severity and grid.

use serde::{Deserialize, Serialize};

use super::{Counts, Incident, Measure, Origin, Target};
use crate::{
    spec::TimeSpan,
    time::{BootId, Mono},
};

/// A rule's choice to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// For how long after an incident was opened, in milliseconds.
    within_ms: u64,
    /// Which of two values is further beyond.
    worse: Worse,
}

/// Which of two values of a sensor is further beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    /// The higher one.
    Higher,
    /// The lower one.
    Lower,
    /// They cannot be compared: the one that came last counts.
    Latest,
}

/// What is about to open an incident, or to join one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer<'a> {
    pub at: Mono,
    pub boot: &'a BootId,
    pub target: &'a Target,
    pub origin: &'a Origin,
}

impl Merge {
    /// The longest a rule may ask for.
    pub const LONGEST: TimeSpan = TimeSpan::secs(30 * 86_400);

    /// For so long after an incident was opened; what is longer than [`Self::LONGEST`] is cut there.
    pub fn new(within: TimeSpan, worse: Worse) -> Self {
        let within = within.min(Self::LONGEST);
        Self { within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX), worse }
    }

    /// For how long after an incident was opened.
    pub fn within(self) -> TimeSpan {
        TimeSpan::millis(self.within_ms)
    }

    /// Whether it joins this incident of the same source and rule.
    pub(super) fn joins(self, incident: &Incident, newcomer: Newcomer<'_>) -> bool {
        let Newcomer { at, boot, target, origin } = newcomer;
        let reported_alike = (&target.category, target.severity, &target.grid)
            == (&incident.target.category, incident.target.severity, &incident.target.grid);
        !incident.handling.is_finished()
            && incident.boot == *boot
            && at.since(incident.opened.mono) < self.within().0
            && reported_alike
            && origin.is_like(&incident.origin)
    }

    /// An incident's earlier episodes and a later one together.
    pub(super) fn together(self, earlier: &Origin, later: &Origin) -> Origin {
        let mut both = later.clone();
        match (earlier, &mut both) {
            (Origin::Camera(earlier), Origin::Camera(both)) => {
                both.counts = added(earlier.counts, both.counts);
                let highest = |earlier: Option<f32>, later| earlier.into_iter().chain(later).reduce(f32::max);
                both.speed_kmh = highest(earlier.speed_kmh, both.speed_kmh);
                both.height = highest(earlier.height, both.height);
                both.density_m2 = highest(earlier.density_m2, both.density_m2);
            }
            (Origin::Sensor(earlier), Origin::Sensor(both)) => {
                both.measure = self.measured(earlier.measure, both.measure);
            }
            // They are of one source, and what joined rules tell does not merge.
            (Origin::Camera(_) | Origin::Sensor(_) | Origin::Joined { .. }, _) => {}
        }
        both
    }

    fn measured(self, earlier: Measure, later: Measure) -> Measure {
        let worst = match (self.worse, earlier.extreme, later.extreme) {
            (Worse::Higher, Some(earlier), Some(later)) => Some(earlier.max(later)),
            (Worse::Lower, Some(earlier), Some(later)) => Some(earlier.min(later)),
            (_, earlier, later) => later.or(earlier),
        };
        let count = earlier.count.saturating_add(later.count);
        Measure { value: later.value.or(earlier.value), extreme: worst, count }
    }
}

fn added(earlier: Counts, later: Counts) -> Counts {
    Counts {
        things: earlier.things.saturating_add(later.things),
        peak: earlier.peak.max(later.peak),
        left_to_right: earlier.left_to_right.saturating_add(later.left_to_right),
        right_to_left: earlier.right_to_left.saturating_add(later.right_to_left),
    }
}

impl Origin {
    /// Whether it is the same source and the same place or quantity of it.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Camera(one), Self::Camera(other)) => (&one.camera, &one.area) == (&other.camera, &other.area),
            (Self::Sensor(one), Self::Sensor(other)) => {
                (&one.sensor, &one.quantity, &one.unit) == (&other.sensor, &other.quantity, &other.unit)
            }
            (Self::Camera(_) | Self::Sensor(_) | Self::Joined { .. }, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        incidents::{Handling, SeenByCamera, testing},
        time::{Clock, ManualClock},
    };

    #[test]
    fn what_joins_is_unfinished_recent_of_this_boot_and_alike() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let merge = Merge::new(TimeSpan::secs(60), Worse::Latest);
        let fresh = testing::incident(&clock);
        let joins = |change: fn(&mut Incident), seconds| {
            let mut incident = fresh.clone();
            change(&mut incident);
            let at = fresh.opened.mono + Duration::from_secs(seconds);
            let newcomer = Newcomer { at, boot: clock.boot_id(), target: &fresh.target, origin: &fresh.origin };
            merge.joins(&incident, newcomer)
        };
        assert!(joins(|_| {}, 59));
        assert!(joins(|incident| incident.handling = Handling::Assessed, 0));
        assert!(!joins(|_| {}, 60));
        assert!(!joins(|incident| incident.handling = Handling::Closed, 0));
        assert!(!joins(|incident| incident.handling = Handling::RejectedFalseAlarm, 0));
        assert!(!joins(|incident| incident.boot = BootId("another".into()), 0));
        assert!(!joins(|incident| incident.target.grid = "1".into(), 0));
        assert!(!joins(|incident| incident.target.category = "fire".parse().unwrap(), 0));
    }

    #[test]
    fn the_highest_figures_of_a_cameras_episodes_are_kept() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let fresh = testing::incident(&clock).origin;
        let at = |figure| match fresh.clone() {
            Origin::Camera(seen) => {
                Origin::Camera(SeenByCamera { speed_kmh: figure, height: figure, density_m2: figure, ..seen })
            }
            Origin::Sensor(_) | Origin::Joined { .. } => unreachable!("it is a camera's"),
        };
        let merge = Merge::new(TimeSpan::secs(1), Worse::Latest);
        let together = |earlier, later| {
            let seen = merge.together(&at(earlier), &at(later));
            let seen = seen.camera().unwrap();
            (seen.speed_kmh, seen.height, seen.density_m2)
        };
        let all = |figure| (figure, figure, figure);
        assert_eq!(together(Some(80.0), Some(60.0)), all(Some(80.0)));
        assert_eq!(together(None, Some(60.0)), all(Some(60.0)));
        assert_eq!(together(None, None), all(None));
    }

    #[test]
    fn the_worst_of_a_sensors_episodes_is_kept() {
        let measure = |value, count| Measure { value: Some(value), extreme: Some(value), count };
        let worst = |worse| Merge::new(TimeSpan::secs(1), worse).measured(measure(4.1, 2), measure(3.7, 1));
        assert_eq!(worst(Worse::Higher), Measure { value: Some(3.7), extreme: Some(4.1), count: 3 });
        assert_eq!(worst(Worse::Lower).extreme, Some(3.7));
        assert_eq!(worst(Worse::Latest).extreme, Some(3.7));
    }
}
