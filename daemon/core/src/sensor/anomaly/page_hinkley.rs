//! Page–Hinkley: has the level shifted, and stayed shifted?
//!
//! The test of E. S. Page (*Continuous inspection schemes*, Biometrika 41, 1954) as D. V. Hinkley put it (*Inference about
//! the change-point from cumulative sum tests*, Biometrika 58, 1971), both ways at once. With `z = (x − mean) / σ`
//! against the running mean and standard deviation, cut to ±`CUT` so that one spike is no shift:
//!
//! `up ← max(0, up + z − δ)`, `down ← max(0, down − z − δ)`, and the distance is `max(up, down)`.
//!
//! That is Page's `Σ(z − δ)` less its own minimum so far. The test's fixed threshold is the [`Tail`]'s instead, since
//! readings that follow one another are not independent. Nothing is begun anew after an alarm: the running mean follows
//! the new level, and then the sum runs down by itself.
//!
//! Memory: four numbers and one [`Tail`].

use super::{
    Detector, LocalTime, ROUNDING, Reason, WARM_UP, ewma::Level, score_of, spec::PageHinkleySpec, tail::Tail, usable,
};

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.6;
/// Standard deviations that one reading counts for at most.
const CUT: f64 = 4.0;
/// Sums grow no further: long since an alarm, and no number is lost to rounding.
const FULL: f64 = 1e6;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct PageHinkley {
    delta: f64,
    level: Level,
    up: f64,
    down: f64,
    tail: Tail,
    seen: u32,
}

impl PageHinkley {
    /// One with these settings.
    pub fn new(spec: &PageHinkleySpec) -> Self {
        Self {
            delta: spec.delta.0,
            level: Level::new(spec.window.get()),
            up: 0.0,
            down: 0.0,
            tail: Tail::new(spec.memory.get() as u32),
            seen: 0,
        }
    }
}

impl Detector for PageHinkley {
    fn observe(&mut self, _: LocalTime, value: f64) -> f64 {
        let Some(value) = usable(value) else { return 0.0 };
        let difference = value - self.level.mean;
        let rounding = ROUNDING * value.abs().max(self.level.mean.abs());
        let known = self.level.seen > 0 && difference.abs() > rounding;
        let z = if known { (difference / self.level.deviation().max(rounding)).clamp(-CUT, CUT) } else { 0.0 };
        self.up = (self.up + z - self.delta).clamp(0.0, FULL);
        self.down = (self.down - z - self.delta).clamp(0.0, FULL);
        self.level.learn(value);
        let distance = self.up.max(self.down);
        let decades = self.tail.surprise(distance);
        self.tail.learn(distance);
        self.seen = self.seen.saturating_add(1);
        if self.seen <= WARM_UP { 0.0 } else { score_of(decades, ALARM_DECADES, self.seen) }
    }

    fn reason(&self) -> Reason {
        Reason::Level
    }

    fn state_bytes(&self) -> usize {
        size_of::<Self>() + self.tail.heap_bytes()
    }
}
