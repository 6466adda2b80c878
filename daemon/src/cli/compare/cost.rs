//! What looking at a clip costs: the time that the process spends on it, and how much it decodes and infers.

use std::{
    ops::{Add, AddAssign, Sub},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use snowgate_core::ids::Id;

use crate::events;

/// What was spent on a clip.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// From the clip's beginning to its last picture.
    pub clip_seconds: f64,
    /// CPU time of the process, user and system.
    pub cpu_seconds: f64,
    /// Time that went by.
    pub wall_seconds: f64,
    /// How much of the clip went by in a second.
    pub realtime_factor: f64,
    /// Pictures decoded.
    pub decoded: u64,
    /// Pictures of which models were shown at least one region.
    pub inferred: u64,
    /// Regions that models were shown.
    pub regions: u64,
}

impl Cost {
    /// How many figures there are.
    pub const FIGURES: usize = 6;

    /// The figures that people compare, always in the same order: CPU time, time, realtime factor, pictures decoded, pictures
    /// inferred, regions inferred.
    pub fn figures(&self) -> [String; Self::FIGURES] {
        let Self { cpu_seconds, wall_seconds, realtime_factor, decoded, inferred, regions, .. } = self;
        [
            format!("{cpu_seconds:.2} s"),
            format!("{wall_seconds:.2} s"),
            format!("{realtime_factor:.1}"),
            decoded.to_string(),
            inferred.to_string(),
            regions.to_string(),
        ]
    }

    fn new(lasts: Duration, spent: Spent, [decoded, inferred, regions]: [u64; 3]) -> Self {
        let [clip_seconds, cpu_seconds, wall_seconds] = [lasts, spent.cpu, spent.wall].map(|it| it.as_secs_f64());
        let realtime_factor = factor(clip_seconds, wall_seconds);
        Self { clip_seconds, cpu_seconds, wall_seconds, realtime_factor, decoded, inferred, regions }
    }
}

/// Of two clips, one after the other.
impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (clip_seconds, wall_seconds) =
            (self.clip_seconds + other.clip_seconds, self.wall_seconds + other.wall_seconds);
        Self {
            clip_seconds,
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            wall_seconds,
            realtime_factor: factor(clip_seconds, wall_seconds),
            decoded: self.decoded + other.decoded,
            inferred: self.inferred + other.inferred,
            regions: self.regions + other.regions,
        }
    }
}

/// A clock that takes no time measures nothing.
fn factor(clip_seconds: f64, wall_seconds: f64) -> f64 {
    if wall_seconds > 0.0 { clip_seconds / wall_seconds } else { 0.0 }
}

/// Time that the process spent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    cpu: Duration,
    wall: Duration,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        (self.cpu, self.wall) = (self.cpu + other.cpu, self.wall + other.wall);
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(other.cpu), wall: self.wall.saturating_sub(other.wall) }
    }
}

/// A moment from which is measured what is spent.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    cpu: Duration,
    at: Instant,
}

impl Since {
    /// This one.
    pub fn now() -> Self {
        Self { cpu: cpu_time(), at: Instant::now() }
    }

    /// What was spent from then until now.
    pub fn spent(&self) -> Spent {
        Spent { cpu: cpu_time().saturating_sub(self.cpu), wall: self.at.elapsed() }
    }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// What a camera decodes and infers is read from its metrics, as operators do.
#[derive(Debug)]
pub struct Meter {
    camera: Id,
    counted: [u64; 3],
    since: Since,
}

impl Meter {
    /// Begins to measure what is done for this camera.
    pub fn start(camera: &Id) -> Self {
        Self { camera: camera.clone(), counted: counted(camera), since: Since::now() }
    }

    /// What a clip of this length cost, but for what was spent `aside`.
    pub fn cost(&self, lasts: Duration, aside: Spent) -> Cost {
        let spent = self.since.spent() - aside;
        let counted = counted(&self.camera);
        Cost::new(lasts, spent, std::array::from_fn(|i| counted[i] - self.counted[i]))
    }
}

fn counted(camera: &Id) -> [u64; 3] {
    ["snowgate_frames_decoded_total", "snowgate_frames_inferred_total", "snowgate_regions_total"]
        .map(|name| events::counted(name, camera.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{
        camera::UnitDecoded,
        vision::{PictureAnalysed, RegionsLookedAt},
    };

    #[test]
    fn what_is_done_for_other_cameras_before_or_aside_does_not_count() {
        let (camera, other) = ("cost-test".parse().unwrap(), "cost-test-other".parse().unwrap());
        let work = |camera: &Id, regions: usize| {
            UnitDecoded { camera: camera.as_str(), took: Duration::ZERO, pictures: 2 }.emit();
            PictureAnalysed { camera, motion: true, inferred: true, tracks: 0 }.emit();
            for model in ["one", "two"] {
                RegionsLookedAt { camera, model: &model.parse().unwrap(), count: regions, cut: 0 }.emit();
            }
        };
        work(&camera, 5);
        let meter = Meter::start(&camera);
        work(&camera, 3);
        work(&other, 7);
        let lavish = Spent { cpu: Duration::from_secs(60), wall: Duration::from_secs(60) };
        let cost = meter.cost(Duration::from_secs(10), lavish);
        assert_eq!((cost.decoded, cost.inferred, cost.regions), (2, 1, 6));
        assert_eq!((cost.cpu_seconds, cost.wall_seconds, cost.realtime_factor), (0.0, 0.0, 0.0));
        let since = Since::now();
        while since.spent().cpu < Duration::from_millis(5) {}
        assert!(meter.cost(Duration::from_secs(10), Spent::default()).cpu_seconds >= 0.005);
    }

    #[test]
    fn clips_add_up_and_the_factor_is_that_of_all_of_them() {
        let of = |lasts: u64, wall: u64| {
            let spent = Spent { cpu: Duration::from_secs(1), wall: Duration::from_secs(wall) };
            Cost::new(Duration::from_secs(lasts), spent, [1, 2, 3])
        };
        let both = of(30, 3) + of(10, 5);
        assert_eq!(both.figures(), ["2.00 s", "8.00 s", "5.0", "2", "4", "6"]);
        assert_eq!(of(30, 3).figures()[2], "10.0");
    }
}
