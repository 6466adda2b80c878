//! How rare a distance is: the step that makes detectors and sensors comparable.
//!
//! A [`Tail`] answers: *how much of the time has there been so great a distance within the last [`REACH`] readings?* The
//! surprise of a distance `r` is `−log₁₀ p`, where `p` is that share of the time. Asking for the greatest of the last
//! readings, not for each reading, is what makes the answer the same for all kinds of sensors: on one, distances of 3 %
//! of the readings come as three storms a year, on another they are strewn over every hour; an alarm at that height would
//! be rare on the first and permanent on the second. `p` is the share of the time that a sensor would stand in alarm,
//! were this distance the threshold. (It is the distribution of block maxima of extreme value theory, on sliding blocks:
//! S. Coles, *An Introduction to Statistical Modeling of Extreme Values*, 2001, chapters 3 and 5.)
//!
//! The maxima are kept in a histogram with buckets of equal ratio, 2^(1/8) = 9 % wide, so that the sensor's unit and
//! range need not be known; older ones fade with an exponential memory. Of these
//!
//! - in the body of the distribution `p` is counted: `(k + 1) / (n + 1)`, the conformal p-value (V. Vovk, A. Gammerman,
//!   G. Shafer, *Algorithmic Learning in a Random World*, 2005), which supposes nothing about the distribution;
//! - in its uppermost part and beyond, where there is too little to count, it is continued as a power law:
//!   `p = (k/n) · (r/q)^−α`, with `q` the lower bound of that part and `α` by B. M. Hill (*A simple general approach to
//!   inference about the tail of a distribution*, Annals of Statistics 3, 1975): `α = k / Σ ln(rᵢ/q)`, drawn towards 4
//!   with the weight of one observation, and 8 at most. Where the tail is lighter than any power law this errs on the side of silence.
//!
//! To judge a raw score by its own recent distribution is the idea of Numenta's anomaly likelihood (S. Ahmad et al.,
//! *Unsupervised real-time anomaly detection for streaming data*, Neurocomputing 262, 2017), which takes that
//! distribution for a Gaussian of single readings.

use std::collections::VecDeque;

/// Readings over which the greatest distance is taken.
pub const REACH: usize = 50;
/// Buckets to one doubling.
const PER_OCTAVE: f64 = 8.0;
/// Buckets in all: 2^−100 to 2^103. What lies outside falls into the first or the last.
const BUCKETS: usize = 1624;
/// The bucket that 1 falls into.
const ONE: f64 = 800.0;
/// The part of the distribution that is continued as a power law.
const UPPER_SHARE: f64 = 0.05;
/// One observation: it is the greatest of its neighbourhood that many times.
const OBSERVATION: f64 = REACH as f64;
/// What the exponent is drawn towards.
const PRIOR_EXPONENT: f64 = 4.0;
/// The steepest tail believed in: twice the distance is never less than 256 times as rare. Where all distances are
/// about the same, as on a counter, a little more would otherwise be as good as impossible.
const STEEPEST_EXPONENT: f64 = 8.0;
/// Weights grow instead of all others fading; they are scaled back before `f32` runs short of digits.
const RESCALE_AT: f64 = 1e6;
/// The greatest surprise, in decades.
pub const MOST_DECADES: f64 = 12.0;

/// The distribution of a detector's distances on one sensor.
#[derive(Debug, Clone)]
pub struct Tail {
    recent: SlidingMax,
    /// Weight of each bucket, in units of `1 / unit`.
    weights: Box<[f32]>,
    /// Sum of the weights.
    total: f64,
    /// What one new distance weighs.
    unit: f64,
    /// By how much that grows with each.
    growth: f64,
    /// No weight stands above this bucket.
    highest: usize,
}

impl Tail {
    /// One that remembers about `memory` readings.
    pub fn new(memory: u32) -> Self {
        let growth = 1.0 / (1.0 - 1.0 / f64::from(memory.max(2)));
        Self {
            recent: SlidingMax::new(),
            weights: vec![0.0; BUCKETS].into(),
            total: 0.0,
            unit: 1.0,
            growth,
            highest: 0,
        }
    }

    /// How rare a distance of at least this is, in decades: 0 for every day, up to [`MOST_DECADES`].
    pub fn surprise(&self, distance: f64) -> f64 {
        let seen = self.total / self.unit;
        // Where there is no distance there is nothing to wonder at, however rare that may be.
        if seen < 1.0 || distance <= 0.0 {
            return 0.0;
        }
        let bucket = bucket_of(distance);
        // Down from the top to the bound of the upper part: its weight, and the moment that gives the mean logarithm.
        let needed = (UPPER_SHARE * seen).max(OBSERVATION) * self.unit;
        let (mut weight, mut moment, mut bound) = (0.0, 0.0, self.highest);
        loop {
            let here = f64::from(self.weights[bound]);
            weight += here;
            moment += here * bound as f64;
            if weight >= needed || bound == 0 {
                break;
            }
            bound -= 1;
        }
        let share = if bucket <= bound {
            // Most distances are small: what lies below them is less to add up than what lies above.
            let above: f64 = self.weights[bucket..=self.highest].iter().map(|&w| f64::from(w)).sum();
            (above / self.unit + 1.0) / (seen + 1.0)
        } else {
            let octaves_per_bucket = std::f64::consts::LN_2 / PER_OCTAVE;
            let excess = (moment - weight * bound as f64) * octaves_per_bucket / self.unit;
            let count = weight / self.unit;
            let exponent = (count + OBSERVATION) / (excess + OBSERVATION / PRIOR_EXPONENT);
            let exponent = exponent.min(STEEPEST_EXPONENT);
            let beyond = (bucket - bound) as f64 * octaves_per_bucket;
            (count / seen).min(1.0) * (-exponent * beyond).exp()
        };
        -share.clamp(10f64.powf(-MOST_DECADES), 1.0).log10()
    }

    /// Takes the next reading's distance into account.
    pub fn learn(&mut self, distance: f64) {
        let bucket = self.recent.push(bucket_of(distance));
        self.unit *= self.growth;
        self.weights[bucket] += self.unit as f32;
        self.total += self.unit;
        self.highest = self.highest.max(bucket);
        if self.unit > RESCALE_AT {
            self.rescale();
        }
    }

    /// Bytes held apart from the value itself.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.weights) + self.recent.falling.capacity() * size_of::<(u32, u16)>()
    }

    fn rescale(&mut self) {
        let unit = self.unit as f32;
        self.highest = 0;
        for (bucket, weight) in self.weights.iter_mut().enumerate() {
            *weight /= unit;
            // A distance that has faded to a millionth no longer counts, nor does it cost the time to walk past it.
            if *weight < 1e-6 {
                *weight = 0.0;
            } else {
                self.highest = bucket;
            }
        }
        self.total = self.weights.iter().map(|&w| f64::from(w)).sum();
        self.unit = 1.0;
    }
}

/// The greatest of the last [`REACH`] buckets.
#[derive(Debug, Clone)]
struct SlidingMax {
    /// Those that none after them exceeds, with when they came: the first is the greatest.
    falling: VecDeque<(u32, u16)>,
    now: u32,
}

impl SlidingMax {
    fn new() -> Self {
        Self { falling: VecDeque::with_capacity(REACH + 1), now: 0 }
    }

    fn push(&mut self, bucket: usize) -> usize {
        self.now = self.now.wrapping_add(1);
        let bucket = bucket as u16;
        while self.falling.back().is_some_and(|(_, last)| *last <= bucket) {
            self.falling.pop_back();
        }
        self.falling.push_back((self.now, bucket));
        let now = self.now;
        while self.falling.front().is_some_and(|(came, _)| now.wrapping_sub(*came) >= REACH as u32) {
            self.falling.pop_front();
        }
        self.falling.front().map_or(usize::from(bucket), |(_, greatest)| usize::from(*greatest))
    }
}

fn bucket_of(distance: f64) -> usize {
    // Zero gives −∞, and what is not a number casts to 0: both fall into the first bucket.
    (distance.log2() * PER_OCTAVE + ONE).clamp(0.0, (BUCKETS - 1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Seeded numbers, evenly between 0 and 1 (SplitMix64).
    fn uniform(count: u32) -> impl Iterator<Item = f64> {
        (1..=u64::from(count)).map(|i| {
            let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        })
    }

    fn learnt(distances: impl Iterator<Item = f64>) -> Tail {
        let mut tail = Tail::new(100_000);
        distances.for_each(|distance| tail.learn(distance));
        tail
    }

    /// Decades of the chance that one of [`REACH`] independent distances is one that a single one is with this chance.
    fn decades_of_any(share: f64) -> f64 {
        -(1.0 - (1.0 - share).powi(REACH as i32)).log10()
    }

    #[test]
    fn counts_in_the_body() {
        // Distances with P(r > x) = 1/x.
        let tail = learnt(uniform(50_000).map(f64::recip));
        for distance in [20.0, 50.0, 100.0, 300.0] {
            let (surprise, expected) = (tail.surprise(distance), decades_of_any(1.0 / distance));
            // A bucket is 9 % wide.
            assert!((surprise - expected).abs() < 0.06, "{distance}: {surprise} is not {expected}");
        }
    }

    #[test]
    fn continues_a_power_law() {
        // Distances with P(r > x) = x^-3.
        let tail = learnt(uniform(50_000).map(|u| u.powf(-1.0 / 3.0)));
        for decades in [3.0, 4.0, 5.0, 6.0] {
            let surprise = tail.surprise(10f64.powf(decades / 3.0));
            let expected = decades_of_any(10f64.powf(-decades));
            assert!((surprise - expected).abs() < 0.1 * decades, "{decades}: {surprise} is not {expected}");
        }
    }

    #[test]
    fn storms_and_scattered_drops_count_alike() {
        // The same share of great distances, once in a few blocks and once all over.
        let storms = learnt((0..20_000).map(|i| if i % 5000 < 100 { 10.0 } else { 1.0 }));
        let drops = learnt((0..20_000).map(|i| if i % 50 == 0 { 10.0 } else { 1.0 }));
        assert!(storms.surprise(10.0) > 1.4, "{}", storms.surprise(10.0));
        assert!(drops.surprise(10.0) < 0.01, "{}", drops.surprise(10.0));
    }

    #[test]
    fn the_unit_does_not_matter() {
        let (one, other) = (learnt(uniform(2000)), learnt(uniform(2000).map(|u| u * 1024.0)));
        for distance in [0.1, 0.7, 0.99, 2.0, 30.0] {
            assert!((one.surprise(distance) - other.surprise(distance * 1024.0)).abs() < 1e-6);
        }
    }

    #[test]
    fn nothing_but_zero_makes_anything_else_a_great_surprise() {
        let tail = learnt((0..200).map(|_| 0.0));
        assert!(tail.surprise(0.0) < 0.01);
        assert_eq!(tail.surprise(1e-3), MOST_DECADES);
    }

    #[test]
    fn forgets() {
        let mut tail = Tail::new(4000);
        uniform(4000).for_each(|u| tail.learn(100.0 * u));
        let before = tail.surprise(10.0);
        uniform(40_000).for_each(|u| tail.learn(u));
        assert!(before < 0.1 && tail.surprise(10.0) > 2.0, "{before} {}", tail.surprise(10.0));
    }

    proptest! {
        #[test]
        fn any_distance_has_a_bounded_surprise(distances in prop::collection::vec(any::<f64>(), 1..200), memory: u32) {
            let mut tail = Tail::new(memory);
            for distance in distances {
                let surprise = tail.surprise(distance);
                prop_assert!((0.0..=MOST_DECADES).contains(&surprise), "{surprise}");
                tail.learn(distance);
            }
        }

        #[test]
        fn greater_is_never_less_surprising(seed in 1u32..5000, a in 1e-3f64..1e6, b in 1e-3f64..1e6) {
            let tail = learnt(uniform(seed));
            let (less, more) = (tail.surprise(a.min(b)), tail.surprise(a.max(b)));
            // Where counting hands over to the power law the two may differ a little.
            prop_assert!(more >= less - 0.1, "{less} {more}");
        }
    }
}
