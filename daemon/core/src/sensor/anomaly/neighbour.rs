//! Nearest neighbour: has this sensor ever done what it is doing now? The strongest of the detectors.
//!
//! At each reading the recent past is compared with the past before every earlier reading, and what counts is the
//! *best* match: a reading is unusual if nothing in the history looked like it. Patterns need not be known beforehand; a
//! daily rhythm, a pump's cycle or a square wave is its own neighbour as soon as it has happened once, and what never
//! matched anything stands out, be it a spike, a level, a shape or a missing one.
//!
//! This is the *left discord* of time series mining (Y. Lu et al., *Matrix Profile XXIV: Scaling Time Series Anomaly
//! Detection to Trillions of Datapoints and Ultra-fast Arriving Data Streams*, KDD 2022) judged by its own history as in
//! E. Burnaev, V. Ishimtsev, *Conformalized density- and distance-based anomaly detection in time-series data*
//! (arXiv:1608.04585), with another distance. Instead of a window of `m` readings with a sharp edge the past is weighted
//! exponentially, and instead of squares absolute differences are taken. With `Δ` the lag between the two pasts:
//!
//! `dₜ(Δ) = (1 − 1/m) · dₜ₋₁(Δ) + 1/m · |xₜ − xₜ₋Δ|`, and the distance is `min dₜ(Δ)` over `Δ ≥ m`
//!
//! So a reading costs one pass over the lags whatever `m` is, nothing cancels out numerically, and one absurd value
//! neither overflows nor is remembered longer than `m` makes it. The same is done at several lengths `m` at once, since
//! a spike shows at the shortest and a strange hour at the longest, and their surprises are averaged.
//!
//! Memory: 4 bytes × 2 × history, and for each length 4 bytes × history and a [`Tail`].

use super::{Detector, LocalTime, ROUNDING, Reason, WARM_UP, score_of, spec::NeighbourSpec, tail::Tail, usable};

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.45;
/// How many lags are worked on at a time, so that the differences of one value stay in the fastest memory.
const BLOCK: usize = 64;
/// How many minima are kept apart, so that they are found side by side.
const LANES: usize = 16;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct Neighbour {
    past: NewestFirst,
    scales: Vec<Scale>,
    seen: u32,
}

/// One length of past.
#[derive(Debug, Clone)]
struct Scale {
    /// How many readings back it reaches, about.
    length: usize,
    /// Distance of the recent past from the past so many readings, plus one, before.
    distances: Box<[f32]>,
    tail: Tail,
}

impl Neighbour {
    /// One with these settings.
    pub fn new(spec: &NeighbourSpec) -> Self {
        let history = spec.history.get();
        let scales = spec.lengths().map(|length| Scale::new(length, history, spec.memory.get() as u32)).collect();
        Self { past: NewestFirst::new(history), scales, seen: 0 }
    }

    /// The surprise in decades; `None` during the warm-up or if `value` is not a number.
    pub(super) fn surprise(&mut self, value: f64) -> Option<f64> {
        let value = usable(value)?;
        let (past, recent) = (self.past.values(), self.past.relative(value));
        let negligible = (ROUNDING * value.abs()) as f32;
        let mut sum = 0.0;
        for scale in &mut self.scales {
            let distance = scale.advance(recent, past, self.seen as usize);
            let distance = f64::from(if distance > negligible { distance } else { 0.0 });
            sum += scale.tail.surprise(distance);
            if self.seen as usize >= 2 * scale.length {
                scale.tail.learn(distance);
            }
        }
        self.past.push(value);
        self.seen = self.seen.saturating_add(1);
        (self.seen > WARM_UP).then(|| sum / self.scales.len().max(1) as f64)
    }
}

impl Detector for Neighbour {
    fn observe(&mut self, _: LocalTime, value: f64) -> f64 {
        self.surprise(value).map_or(0.0, |decades| score_of(decades, ALARM_DECADES, self.seen))
    }

    fn reason(&self) -> Reason {
        Reason::Unseen
    }

    fn state_bytes(&self) -> usize {
        let scale = |scale: &Scale| size_of::<Scale>() + size_of_val(&*scale.distances) + scale.tail.heap_bytes();
        size_of::<Self>() + size_of_val(&*self.past.values) + self.scales.iter().map(scale).sum::<usize>()
    }
}

impl Scale {
    fn new(length: usize, history: usize, memory: u32) -> Self {
        Self { length, distances: vec![0.0; history].into(), tail: Tail::new(memory) }
    }

    /// Moves all distances on by one reading, after `seen` of them, and answers with the least that counts; 0 as long
    /// as none does.
    fn advance(&mut self, value: f32, past: &[f32], seen: usize) -> f32 {
        let weight = 1.0 / self.length as f32;
        // Nearer lags compare the recent past with itself; farther ones have not gathered a whole length yet.
        let (first, last) = (self.length - 1, (seen + 1).saturating_sub(self.length));
        let mut least = [f32::INFINITY; LANES];
        let blocks = self.distances.chunks_mut(BLOCK).zip(past.chunks(BLOCK));
        for (start, (distances, past)) in (0..).step_by(BLOCK).zip(blocks) {
            for (distance, earlier) in distances.iter_mut().zip(past) {
                let moved = *distance + weight * ((value - earlier).abs() - *distance);
                // Numbers too small to be normal would make every step slow.
                *distance = if moved < f32::MIN_POSITIVE { 0.0 } else { moved };
            }
            let from = first.saturating_sub(start).min(past.len());
            let to = last.saturating_sub(start).clamp(from, past.len());
            for distances in distances[from..to].chunks(LANES) {
                for (least, &distance) in least.iter_mut().zip(distances) {
                    *least = if distance < *least { distance } else { *least };
                }
            }
        }
        let least = least.into_iter().fold(f32::INFINITY, f32::min);
        if least.is_finite() { least } else { 0.0 }
    }
}

/// The last values, newest first, in one piece.
///
/// They are kept as differences from an origin that moves along with them, so that `f32` has digits enough for a counter
/// that has grown large.
#[derive(Debug, Clone)]
struct NewestFirst {
    /// Twice as many as are kept: values are put down from the end, and moved back there when the front is reached.
    values: Box<[f32]>,
    newest: usize,
    len: usize,
    origin: f64,
}

impl NewestFirst {
    fn new(most: usize) -> Self {
        Self { values: vec![0.0; 2 * most].into(), newest: 2 * most, len: 0, origin: 0.0 }
    }

    /// The last values, less the origin.
    fn values(&self) -> &[f32] {
        &self.values[self.newest..self.newest + self.len]
    }

    /// A value, less the origin.
    fn relative(&self, value: f64) -> f32 {
        (value - self.origin) as f32
    }

    fn push(&mut self, value: f64) {
        let most = self.values.len() / 2;
        if self.len == 0 {
            self.origin = value;
        }
        if self.newest == 0 {
            for place in 0..most {
                self.values[most + place] = (f64::from(self.values[place]) + self.origin - value) as f32;
            }
            (self.newest, self.origin) = (most, value);
        }
        self.newest -= 1;
        self.values[self.newest] = self.relative(value);
        self.len = (self.len + 1).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_values_stand_newest_first() {
        let mut past = NewestFirst::new(3);
        for value in 0..20 {
            past.push(f64::from(value));
            let expected: Vec<f64> = (0..=value).rev().take(3).map(f64::from).collect();
            let values: Vec<f64> = past.values().iter().map(|&value| f64::from(value) + past.origin).collect();
            assert_eq!(values, expected);
        }
    }

    #[test]
    fn distances_are_those_of_the_formula() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * i % 37)).collect();
        let (length, history) = (4, 50);
        let mut scale = Scale::new(length, history, 100);
        let mut past = NewestFirst::new(history);
        for (t, &value) in values.iter().enumerate() {
            let nearest = scale.advance(past.relative(value), past.values(), t);
            past.push(value);
            let full = |lag: usize| -> f64 {
                (lag..=t).fold(0.0, |d, s| d + ((values[s] - values[s - lag]).abs() - d) / length as f64)
            };
            // A lag counts once it has gathered `length` differences.
            let lags = length..=history.min((t + 1).saturating_sub(length));
            let expected = lags.map(full).fold(f64::INFINITY, f64::min);
            let expected = if expected.is_finite() { expected } else { 0.0 };
            assert!((f64::from(nearest) - expected).abs() < 1e-4, "{t}: {nearest} is not {expected}");
        }
    }
}
