//! EWMA: has the level drifted away from where it used to be?
//!
//! The control chart of S. W. Roberts (*Control chart tests based on geometric moving averages*, Technometrics 1, 1959):
//! a fast exponentially weighted mean `f` is held against a slow one `s`, and the distance is
//! `|f − s| / (σ · √(λ / (2 − λ)))`, with `λ = 1/fast` and `σ` the slow exponentially weighted standard deviation. The
//! chart's fixed limit (3 in the paper) is the [`Tail`]'s instead, since readings that follow one another are not
//! independent, as the paper supposes.
//!
//! Memory: three numbers and one [`Tail`].

use super::{Detector, LocalTime, ROUNDING, Reason, WARM_UP, score_of, spec::EwmaSpec, tail::Tail, usable};

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.75;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct Ewma {
    fast_weight: f64,
    fast: f64,
    level: Level,
    tail: Tail,
    seen: u32,
}

impl Ewma {
    /// One with these settings.
    pub fn new(spec: &EwmaSpec) -> Self {
        Self {
            fast_weight: 1.0 / spec.fast.get() as f64,
            fast: 0.0,
            level: Level::new(spec.slow.get()),
            tail: Tail::new(spec.memory.get() as u32),
            seen: 0,
        }
    }
}

impl Detector for Ewma {
    fn observe(&mut self, _: LocalTime, value: f64) -> f64 {
        let Some(value) = usable(value) else { return 0.0 };
        self.level.learn(value);
        let weight = self.fast_weight.max(self.level.first_weight());
        self.fast += weight * (value - self.fast);
        let difference = (self.fast - self.level.mean).abs();
        let rounding = ROUNDING * self.level.mean.abs();
        let spread = self.level.deviation() * (self.fast_weight / (2.0 - self.fast_weight)).sqrt();
        let distance = if difference <= rounding { 0.0 } else { difference / spread.max(rounding) };
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

/// Exponentially weighted mean and variance (T. Finch, *Incremental calculation of weighted mean and variance*, 2009),
/// plain mean and variance until there are as many readings as the weighting spans.
#[derive(Debug, Clone)]
pub(super) struct Level {
    weight: f64,
    pub(super) mean: f64,
    variance: f64,
    pub(super) seen: u32,
}

impl Level {
    pub(super) fn new(span: usize) -> Self {
        Self { weight: 1.0 / span.max(1) as f64, mean: 0.0, variance: 0.0, seen: 0 }
    }

    pub(super) fn learn(&mut self, value: f64) {
        self.seen = self.seen.saturating_add(1);
        let weight = self.weight.max(self.first_weight());
        let difference = value - self.mean;
        self.mean += weight * difference;
        self.variance = (1.0 - weight) * (self.variance + weight * difference * difference);
    }

    /// The weight that makes a plain mean of what was seen.
    pub(super) fn first_weight(&self) -> f64 {
        1.0 / f64::from(self.seen.max(1))
    }

    pub(super) fn deviation(&self) -> f64 {
        self.variance.max(0.0).sqrt()
    }
}
