//! Robust z: how far a reading is from the median, in units of the median absolute deviation, against the same hour of
//! other days.
//!
//! `z = |x − median| / (1.4826 · MAD)`, with `MAD = median |xᵢ − median|` and 1.4826 making it the standard deviation
//! where the values are Gaussian (B. Iglewicz, D. C. Hoaglin, *How to Detect and Handle Outliers*, 1993; F. R. Hampel,
//! *The influence curve and its role in robust estimation*, JASA 69, 1974). Half of the values may be arbitrarily wrong
//! before median or MAD are.
//!
//! There are 25 rings: one of the last readings, and one for each hour of the local day, which takes a reading every
//! `SAMPLE_SECONDS` at most, so that it spans days however fast the sensor is. As soon as an hour's ring has
//! `ENOUGH` readings the reading is judged by it; before, and where no hours are kept, by the last readings.
//!
//! Memory: 16 bytes × (window + 24 × samples of an hour), and one [`Tail`].

use super::{
    Detector, LocalTime, ROUNDING, Reason, WARM_UP, score_of, sorted_ring::SortedRing, spec::RobustZSpec, tail::Tail,
    usable,
};

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.6;
/// From MAD to standard deviation.
const GAUSSIAN: f64 = 1.4826;
/// Least seconds between two readings that an hour's ring takes.
const SAMPLE_SECONDS: f64 = 600.0;
/// Readings that make an hour's ring worth asking.
const ENOUGH: usize = 12;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct RobustZ {
    last: SortedRing,
    hours: Vec<Hour>,
    tail: Tail,
    seen: u32,
}

#[derive(Debug, Clone)]
struct Hour {
    values: SortedRing,
    sampled: f64,
}

impl RobustZ {
    /// One with these settings.
    pub fn new(spec: &RobustZSpec) -> Self {
        let hour = || Hour { values: SortedRing::new(spec.hour_samples.get()), sampled: f64::NEG_INFINITY };
        Self {
            last: SortedRing::new(spec.window.get()),
            hours: if spec.same_hour { std::iter::repeat_with(hour).take(24).collect() } else { Vec::new() },
            tail: Tail::new(spec.memory.get() as u32),
            seen: 0,
        }
    }

    /// The surprise in decades; `None` during the warm-up or if `value` is not a number.
    pub(super) fn surprise(&mut self, at: LocalTime, value: f64) -> Option<f64> {
        let value = usable(value)?;
        let hour = self.hours.get_mut(at.hour());
        let baseline = match &hour {
            Some(hour) if hour.values.len() >= ENOUGH => &hour.values,
            _ => &self.last,
        };
        let distance = z_score(baseline, value);
        self.last.push(value);
        if let Some(hour) = hour
            // Also where the clock went back.
            && (at.unix - hour.sampled).abs() >= SAMPLE_SECONDS
        {
            hour.values.push(value);
            hour.sampled = at.unix;
        }
        let decades = self.tail.surprise(distance);
        self.tail.learn(distance);
        self.seen = self.seen.saturating_add(1);
        (self.seen > WARM_UP).then_some(decades)
    }
}

impl Detector for RobustZ {
    fn observe(&mut self, at: LocalTime, value: f64) -> f64 {
        self.surprise(at, value).map_or(0.0, |decades| score_of(decades, ALARM_DECADES, self.seen))
    }

    fn reason(&self) -> Reason {
        Reason::TimeOfDay
    }

    fn state_bytes(&self) -> usize {
        let hour = |hour: &Hour| size_of::<Hour>() + hour.values.heap_bytes();
        size_of::<Self>() + self.last.heap_bytes() + self.hours.iter().map(hour).sum::<usize>() + self.tail.heap_bytes()
    }
}

/// `value`'s robust z against `baseline`; 0 if there is none, or if the difference is rounding.
fn z_score(baseline: &SortedRing, value: f64) -> f64 {
    let median = baseline.median();
    let difference = (value - median).abs();
    let rounding = ROUNDING * value.abs().max(median.abs());
    if baseline.is_empty() || difference <= rounding {
        return 0.0;
    }
    // Where most readings are equal the spread is 0 and any other reading infinitely far: as far as rounding can tell.
    difference / (GAUSSIAN * baseline.median_distance(median)).max(rounding)
}
