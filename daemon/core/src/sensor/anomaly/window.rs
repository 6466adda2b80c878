//! The last values of a quantity, as a model wants to see them.

use super::{sorted_ring::SortedRing, usable};
use crate::choice;

/// The fewest values that a model may want to see.
pub const SHORTEST: usize = 4;
/// The most.
pub const LONGEST: usize = 4096;

/// Normalised values are cut to ±this: a model's 32-bit floats can still multiply them.
const MOST: f64 = 1e6;

choice! {
    /// What is done to the values of a window before a model sees them.
    pub enum Normalise {
        /// Nothing: the model knows the quantity's unit.
        None = "none",
        /// Less their median, in units of their median distance from it (MAD). Where more than half of them are the same,
        /// that is 0, and the mean distance takes its place; where all are, they are 0.
        MedianMad = "median_mad",
    }
}

/// A ring of the last values; memory is taken when it is made.
#[derive(Debug, Clone)]
pub struct Window {
    values: SortedRing,
    length: usize,
    normalise: Normalise,
}

impl Window {
    /// One of so many values, between [`SHORTEST`] and [`LONGEST`].
    pub fn new(length: usize, normalise: Normalise) -> Self {
        let length = length.clamp(SHORTEST, LONGEST);
        Self { values: SortedRing::new(length), length, normalise }
    }

    /// Takes a value in, and answers whether the window is full. What is not a number is passed over.
    pub fn push(&mut self, value: f64) -> bool {
        let Some(value) = usable(value) else { return false };
        self.values.push(value);
        self.values.len() == self.length
    }

    /// Writes the values, the oldest first, normalised; as many as both have.
    pub fn write_to(&self, into: &mut [f32]) {
        let (centre, unit) = match self.normalise {
            Normalise::None => (0.0, 1.0),
            Normalise::MedianMad => self.centre_and_unit(),
        };
        for (into, value) in into.iter_mut().zip(self.values.iter()) {
            *into = match self.normalise {
                Normalise::None => value,
                Normalise::MedianMad => ((value - centre) / unit).clamp(-MOST, MOST),
            } as f32;
        }
    }

    fn centre_and_unit(&self) -> (f64, f64) {
        let median = self.values.median();
        let mad = self.values.median_distance(median);
        let mean = || self.values.iter().map(|value| (value - median).abs()).sum::<f64>() / self.values.len() as f64;
        let unit = if mad > 0.0 { mad } else { mean() };
        // Any unit will do for distances of 0; the least one keeps the quotient a number.
        (median, unit.max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(values: &[f64], length: usize, normalise: Normalise) -> Vec<f32> {
        let mut window = Window::new(length, normalise);
        for value in values {
            window.push(*value);
        }
        let mut into = vec![f32::NAN; length];
        window.write_to(&mut into);
        into
    }

    #[test]
    fn it_is_full_once_all_values_have_come_and_keeps_the_last() {
        let mut window = Window::new(4, Normalise::None);
        let full: Vec<bool> = [1.0, 2.0, f64::NAN, 3.0, 4.0, 5.0].map(|value| window.push(value)).into();
        assert_eq!(full, [false, false, false, false, true, true]);
        let mut into = [0.0; 4];
        window.write_to(&mut into);
        assert_eq!(into, [2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn values_are_measured_by_their_median_and_its_distances() {
        // Median 3, distances 2 1 0 1 97.
        assert_eq!(written(&[1.0, 2.0, 3.0, 4.0, 100.0], 5, Normalise::MedianMad), [-2.0, -1.0, 0.0, 1.0, 97.0]);
        // Four of five are the same: the mean distance is 2.
        assert_eq!(written(&[7.0, 7.0, 7.0, 7.0, 17.0], 5, Normalise::MedianMad), [0.0, 0.0, 0.0, 0.0, 5.0]);
        assert_eq!(written(&[7.0; 5], 5, Normalise::MedianMad), [0.0; 5]);
    }

    proptest! {
        #[test]
        fn whatever_comes_a_model_sees_numbers(
            values in prop::collection::vec(prop_oneof![any::<f64>(), -1.0..1.0f64, Just(0.0)], 8..40),
            mad in any::<bool>(),
        ) {
            let normalise = if mad { Normalise::MedianMad } else { Normalise::None };
            let mut window = Window::new(8, normalise);
            for value in values {
                let full = window.push(value);
                let mut into = [0.0f32; 8];
                window.write_to(&mut into);
                prop_assert!(!full || into.iter().all(|value| value.is_finite()), "{into:?}");
            }
        }
    }
}
