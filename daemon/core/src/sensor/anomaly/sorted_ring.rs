//! The last values in order of size: exact medians without sorting.
//!
//! A value costs a binary search and the move of half the ring's bytes, which for some hundreds of values is less than a
//! tree or a pair of heaps would.

/// A ring of the last values that also stands sorted.
#[derive(Debug, Clone)]
pub struct SortedRing {
    /// In the order they came, `oldest` first once it is full.
    values: Vec<f64>,
    sorted: Vec<f64>,
    oldest: usize,
    most: usize,
}

impl SortedRing {
    /// One of up to `most` values.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { values: Vec::with_capacity(most), sorted: Vec::with_capacity(most), oldest: 0, most }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes a value in, and lets go of the oldest when the ring is full.
    pub fn push(&mut self, value: f64) {
        if self.values.len() == self.most {
            let gone = std::mem::replace(&mut self.values[self.oldest], value);
            self.oldest = (self.oldest + 1) % self.most;
            self.sorted.remove(self.place_of(gone).min(self.most - 1));
        } else {
            self.values.push(value);
        }
        self.sorted.insert(self.place_of(value), value);
    }

    /// The values, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = f64> {
        let (newer, older) = self.values.split_at(self.oldest);
        older.iter().chain(newer).copied()
    }

    /// The median; 0 if there is no value.
    pub fn median(&self) -> f64 {
        match (self.sorted.len(), self.sorted.len() / 2) {
            (0, _) => 0.0,
            (len, middle) if len % 2 == 1 => self.sorted[middle],
            (_, middle) => f64::midpoint(self.sorted[middle - 1], self.sorted[middle]),
        }
    }

    /// The median of the distances from `center`; 0 if there is no value.
    pub fn median_distance(&self, center: f64) -> f64 {
        let (mut below, mut above) = (self.place_of(center), self.place_of(center));
        let mut distance = 0.0;
        // Outwards from the center, always to the nearer side, until half of the values are passed.
        for _ in 0..self.sorted.len().div_ceil(2) {
            let down = below.checked_sub(1).map_or(f64::INFINITY, |i| center - self.sorted[i]);
            let up = self.sorted.get(above).map_or(f64::INFINITY, |value| value - center);
            if down <= up {
                below -= 1;
                distance = down;
            } else {
                above += 1;
                distance = up;
            }
        }
        distance
    }

    /// How far the nearest value is from this one; 0 if there is no value.
    pub fn nearest_distance(&self, value: f64) -> f64 {
        let place = self.place_of(value);
        let below = place.checked_sub(1).and_then(|i| self.sorted.get(i)).map(|below| value - below);
        let above = self.sorted.get(place).map(|above| above - value);
        below.into_iter().chain(above).reduce(f64::min).unwrap_or(0.0)
    }

    /// Bytes held apart from the value itself.
    pub fn heap_bytes(&self) -> usize {
        (self.values.capacity() + self.sorted.capacity()) * size_of::<f64>()
    }

    fn place_of(&self, value: f64) -> usize {
        self.sorted.partition_point(|other| *other < value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn middle(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        let half = values.len() / 2;
        if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
    }

    proptest! {
        #[test]
        fn medians_are_those_of_the_last_values(values in prop::collection::vec(-1e30f64..1e30, 1..100), most in 1usize..40) {
            let mut ring = SortedRing::new(most);
            for (index, &value) in values.iter().enumerate() {
                ring.push(value);
                let last = values[(index + 1).saturating_sub(most)..=index].to_vec();
                prop_assert_eq!(ring.len(), last.len());
                prop_assert_eq!(ring.iter().collect::<Vec<_>>(), last.clone());
                let median = middle(last.clone());
                prop_assert_eq!(ring.median(), median);
                let mut distances: Vec<f64> = last.iter().map(|v| (v - median).abs()).collect();
                distances.sort_by(f64::total_cmp);
                prop_assert_eq!(ring.median_distance(median), distances[distances.len().div_ceil(2) - 1]);
                let nearest = last.iter().map(|v| (v - values[0]).abs()).fold(f64::INFINITY, f64::min);
                prop_assert_eq!(ring.nearest_distance(values[0]), nearest);
            }
        }
    }
}
