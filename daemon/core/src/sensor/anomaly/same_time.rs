//! Same time: has this sensor ever been here at this time of the day?
//!
//! What is ordinary at night may be unheard-of at noon. The distance is `min |x − y|` over readings `y` from the same half
//! hour of earlier days: the nearest neighbour of a single value, in the context of its time (V. Chandola, A. Banerjee,
//! V. Kumar, *Anomaly Detection: A Survey*, ACM Computing Surveys 41, 2009, on contextual anomalies), held against its own
//! history by the [`Tail`]. As it asks for the nearest one and not for a mean, working days and Sundays, or summer and
//! winter pump times, may differ as they like.
//!
//! A reading is kept every `SAMPLE_SECONDS` at most, so that weeks are spanned however fast the sensor is, and it is
//! compared with only after `REST_SECONDS`, so that an anomaly does not become its own excuse. With fewer than
//! `ENOUGH` readings of a half hour there is no distance, and before [`WARM_UP`] distances there is no opinion: the first ones
//! come a day after the first reading, and with nothing to hold them against any of them would be a surprise.
//!
//! Memory: 16 bytes × 48 × samples and 16 bytes × 73, and one [`Tail`].

use std::collections::VecDeque;

use super::{
    Detector, LocalTime, Reason, WARM_UP, score_of, sorted_ring::SortedRing, spec::SameTimeSpec, tail::Tail, usable,
};

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.5;
/// Least seconds between two readings that are kept: a little under ten minutes, so that clocks may tremble.
const SAMPLE_SECONDS: f64 = 590.0;
/// Age from which on a reading is compared with.
const REST_SECONDS: f64 = 12.0 * 3600.0;
/// Readings that can be waiting for that age.
const MOST_RESTING: usize = (REST_SECONDS / SAMPLE_SECONDS) as usize;
/// Readings of a half hour that make an opinion.
const ENOUGH: usize = 3;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct SameTime {
    half_hours: Vec<SortedRing>,
    resting: VecDeque<(LocalTime, f64)>,
    tail: Tail,
    /// Distances learnt.
    learnt: u32,
    seen: u32,
}

impl SameTime {
    /// One with these settings.
    pub fn new(spec: &SameTimeSpec) -> Self {
        Self {
            half_hours: std::iter::repeat_with(|| SortedRing::new(spec.samples.get())).take(48).collect(),
            resting: VecDeque::with_capacity(MOST_RESTING + 1),
            tail: Tail::new(spec.memory.get() as u32),
            learnt: 0,
            seen: 0,
        }
    }

    /// The surprise in decades; `None` during the warm-up, without an opinion, or if `value` is not a number.
    pub(super) fn surprise(&mut self, at: LocalTime, value: f64) -> Option<f64> {
        let value = usable(value)?;
        self.seen = self.seen.saturating_add(1);
        self.keep(at, value);
        let known = &self.half_hours[at.half_hour()];
        if known.len() < ENOUGH {
            return None;
        }
        let distance = known.nearest_distance(value);
        let decades = self.tail.surprise(distance);
        self.tail.learn(distance);
        self.learnt = self.learnt.saturating_add(1);
        (self.learnt > WARM_UP).then_some(decades)
    }

    fn keep(&mut self, at: LocalTime, value: f64) {
        // Where the clock went back, what is newer than now has no age; it goes first.
        let passed = |since: LocalTime| (at.unix - since.unix).abs();
        while let Some(&(since, value)) = self.resting.front()
            && passed(since) >= REST_SECONDS
        {
            self.resting.pop_front();
            self.half_hours[since.half_hour()].push(value);
        }
        let due = self.resting.back().is_none_or(|(since, _)| passed(*since) >= SAMPLE_SECONDS);
        if due && self.resting.len() <= MOST_RESTING {
            self.resting.push_back((at, value));
        }
    }
}

impl Detector for SameTime {
    fn observe(&mut self, at: LocalTime, value: f64) -> f64 {
        self.surprise(at, value).map_or(0.0, |decades| score_of(decades, ALARM_DECADES, self.seen))
    }

    fn reason(&self) -> Reason {
        Reason::TimeOfDay
    }

    fn state_bytes(&self) -> usize {
        let ring = |ring: &SortedRing| size_of::<SortedRing>() + ring.heap_bytes();
        size_of::<Self>()
            + self.half_hours.iter().map(ring).sum::<usize>()
            + self.resting.capacity() * size_of::<(LocalTime, f64)>()
            + self.tail.heap_bytes()
    }
}
