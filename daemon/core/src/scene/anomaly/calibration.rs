//! From how far on a place is strange: what it has kept up for a while, and how far that normally is.
//!
//! Things stay, walkers pass. So it is not a single picture's distance that has a limit but what the place keeps up over
//! [`LOOKS`] looks: the second least of them ([`Recent`]). How far that has been in the time of learning is counted
//! ([`Tally`]), and the limit ([`limits`]) is what it hardly ever exceeded there or next to it, and at least what it hardly
//! ever exceeded in the whole picture: a place where nobody happened to stop has no other right than its neighbours.

/// Looks that a place must keep up.
pub(super) const LOOKS: usize = 12;
/// Looks at a place, of the last [`LOOKS`], that it takes to tell anything of it.
pub(super) const LEAST_LOOKS: usize = 8;

/// Distance in units of a look: [0, 2] fits twice.
const UNIT: f32 = 16_000.0;
/// A look at which the place was covered.
pub(super) const COVERED: u16 = u16::MAX;

/// The last looks at each place, in whole units.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recent {
    places: usize,
    /// `[look][place]`, a ring.
    pub looks: Box<[u16]>,
    /// Looks taken, up to [`LOOKS`].
    pub filled: usize,
    /// Where the next one goes.
    pub next: usize,
}

impl Recent {
    pub(super) fn new(places: usize) -> Self {
        Self { places, looks: vec![COVERED; places * LOOKS].into(), filled: 0, next: 0 }
    }

    /// One that was stored. `None` where its parts do not fit together.
    pub(super) fn from_parts(places: usize, looks: Box<[u16]>, filled: usize, next: usize) -> Option<Self> {
        let fits = looks.len() == places * LOOKS && filled <= LOOKS && next < LOOKS;
        fits.then_some(Self { places, looks, filled, next })
    }

    pub(super) fn clear(&mut self) {
        self.looks.fill(COVERED);
        (self.filled, self.next) = (0, 0);
    }

    /// Takes in a look: `values` in units, `COVERED` where there is none.
    pub(super) fn push(&mut self, values: impl Iterator<Item = u16>) {
        let look = &mut self.looks[self.next * self.places..(self.next + 1) * self.places];
        look.iter_mut().zip(values).for_each(|(look, value)| *look = value);
        self.next = (self.next + 1) % LOOKS;
        self.filled = (self.filled + 1).min(LOOKS);
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == LOOKS
    }

    /// What each place has kept up: the second least of its looks; `COVERED` where it was seen too seldom.
    pub(super) fn kept_up(&self, kept: &mut Kept) {
        kept.reset(self.places);
        for look in self.looks.chunks_exact(self.places) {
            let least = kept.least.iter_mut().zip(&mut kept.second).zip(&mut kept.seen);
            for (((least, second), seen), value) in least.zip(look) {
                *second = (*second).min((*value).max(*least));
                *least = (*least).min(*value);
                *seen += u16::from(*value != COVERED);
            }
        }
        for (second, seen) in kept.second.iter_mut().zip(&kept.seen) {
            if usize::from(*seen) < LEAST_LOOKS {
                *second = COVERED;
            }
        }
    }
}

/// What [`Recent::kept_up`] works with and answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    least: Vec<u16>,
    pub second: Vec<u16>,
    seen: Vec<u16>,
}

impl Kept {
    fn reset(&mut self, places: usize) {
        for (values, start) in [(&mut self.least, COVERED), (&mut self.second, COVERED), (&mut self.seen, 0)] {
            values.clear();
            values.resize(places, start);
        }
    }
}

/// A distance in units; one that is not finite says that the place was covered, or has nothing to be held against.
pub(super) fn units(distance: f32) -> u16 {
    if distance.is_finite() { (distance.min(2.0) * UNIT) as u16 } else { COVERED }
}

/// Steps of a tally.
pub(super) const STEPS: usize = 24;
/// The upper edge of the first step, and how much wider each next one is: 0.01 to 2.
const FIRST: f32 = 0.01;
const WIDER: f32 = 1.26;
/// Share of the looks at a place that stay below its limit.
const PLACE_SHARE: f32 = 0.995;
/// Share of all looks at all places that stay below the least limit.
const PICTURE_SHARE: f32 = 0.999;
/// How much of that it is: things left behind are several times as far, and who watches asks for a longer stay than the looks
/// counted here span.
const PICTURE_PART: f32 = 0.5;
/// The least limit of all: less is the camera's noise.
const LEAST_LIMIT: f32 = 0.06;

/// How often each place has kept up which distance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tally {
    /// `[place][step]`.
    pub counts: Box<[u16]>,
}

impl Tally {
    pub(super) fn new(places: usize) -> Self {
        Self { counts: vec![0; places * STEPS].into() }
    }

    /// One that was stored. `None` where there are not as many counts as it takes, or one that would have been halved.
    pub(super) fn from_parts(places: usize, counts: Box<[u16]>) -> Option<Self> {
        (counts.len() == places * STEPS && !counts.contains(&u16::MAX)).then_some(Self { counts })
    }

    /// Counts what each place keeps up now.
    pub(super) fn count(&mut self, kept: &Kept) {
        for (counts, value) in self.counts.as_chunks_mut::<STEPS>().0.iter_mut().zip(&kept.second) {
            if *value == COVERED {
                continue;
            }
            let count = &mut counts[step(f32::from(*value) / UNIT)];
            *count += 1;
            if *count == u16::MAX {
                counts.iter_mut().for_each(|count| *count /= 2);
            }
        }
    }

    /// The limit of each place of a grid, infinite as long as nothing was counted at all.
    pub(super) fn limits(&self, columns: usize, limits: &mut Limits) {
        let places = self.counts.as_chunks::<STEPS>().0;
        let mut all = [0u64; STEPS];
        limits.own.clear();
        for counts in places {
            all.iter_mut().zip(counts).for_each(|(all, count)| *all += u64::from(*count));
            limits.own.push(quantile(&counts.map(u64::from), PLACE_SHARE).unwrap_or(0.0));
        }
        let least =
            quantile(&all, PICTURE_SHARE).map_or(f32::INFINITY, |least| (PICTURE_PART * least).max(LEAST_LIMIT));
        let rows = places.len() / columns.max(1);
        limits.values.clear();
        limits.shares.clear();
        for row in 0..rows {
            for column in 0..columns {
                let mut limit = least;
                for row in row.saturating_sub(1)..(row + 2).min(rows) {
                    let near = &limits.own
                        [row * columns + column.saturating_sub(1)..row * columns + (column + 2).min(columns)];
                    limit = near.iter().copied().fold(limit, f32::max);
                }
                limits.values.push(limit);
            }
        }
        let seen = places.iter().zip(&limits.values);
        limits.shares.extend(seen.filter_map(|(counts, limit)| Some(quantile(&counts.map(u64::from), 0.5)? / limit)));
        limits.ordinary = median(&mut limits.shares).unwrap_or(0.0);
    }
}

/// The middle one of some numbers, which are put into another order.
pub(super) fn median(numbers: &mut [f32]) -> Option<f32> {
    let middle = numbers.len() / 2;
    (!numbers.is_empty()).then(|| *numbers.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// The limit of each place; it follows from a [`Tally`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Limits {
    pub values: Vec<f32>,
    /// What half of the places keep up half of the time at most, as a share of their limits: noise and coding.
    pub ordinary: f32,
    own: Vec<f32>,
    shares: Vec<f32>,
}

fn step(distance: f32) -> usize {
    let steps = (distance / FIRST).max(1.0).ln() / WIDER.ln();
    (steps.ceil() as usize).min(STEPS - 1)
}

/// The upper edge of the step in which this share of the counts is reached.
fn quantile(counts: &[u64; STEPS], share: f32) -> Option<f32> {
    let all: u64 = counts.iter().sum();
    let wanted = ((all as f64 * f64::from(share)).ceil() as u64).max(1);
    let mut sum = 0;
    let step = counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    })?;
    Some(FIRST * WIDER.powi(step as i32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_up_is_the_second_least(looks in proptest::collection::vec(proptest::collection::vec(
            prop_oneof![4 => 0u16..500, 1 => Just(COVERED)], 5), 1..30)) {
            let (mut recent, mut kept) = (Recent::new(5), Kept::default());
            looks.iter().for_each(|look| recent.push(look.iter().copied()));
            recent.kept_up(&mut kept);
            for place in 0..5 {
                let mut seen: Vec<u16> = looks.iter().rev().take(LOOKS).map(|look| look[place]).filter(|value| *value != COVERED).collect();
                seen.sort_unstable();
                let expected = if seen.len() < LEAST_LOOKS { COVERED } else { seen[1] };
                prop_assert_eq!(kept.second[place], expected);
            }
        }

        /// A limit is not exceeded oftener than it says, and not far above what was counted.
        #[test]
        fn a_limit_holds(distances in proptest::collection::vec(0.0f32..1.9, 300..600)) {
            let (mut tally, mut limits, mut kept) = (Tally::new(1), Limits::default(), Kept::default());
            for distance in &distances {
                kept.second = vec![units(*distance)];
                tally.count(&kept);
            }
            tally.limits(1, &mut limits);
            let above = distances.iter().filter(|distance| **distance > limits.values[0] + 1e-3).count();
            prop_assert!(above as f32 <= 0.005 * distances.len() as f32 + 1.0, "{above} above {}", limits.values[0]);
            let most = distances.iter().copied().fold(0.0, f32::max);
            prop_assert!(limits.values[0] <= most * WIDER + FIRST);
        }
    }

    #[test]
    fn a_place_has_the_limit_of_its_neighbours_and_of_the_picture() {
        let (mut tally, mut limits, mut kept) = (Tally::new(25), Limits::default(), Kept::default());
        tally.limits(5, &mut limits);
        assert!(limits.values.iter().all(|limit| limit.is_infinite()), "nothing was counted yet");
        for _ in 0..5000 {
            kept.second = (0..25).map(|place| units(if place == 0 { 0.5 } else { 0.02 })).collect();
            tally.count(&kept);
        }
        tally.limits(5, &mut limits);
        let near = [0, 1, 5, 6];
        for (place, limit) in limits.values.iter().enumerate() {
            assert_eq!(near.contains(&place), *limit > 0.45, "{place}: {limit}");
            assert!(*limit >= LEAST_LIMIT);
        }
        let expected = limits.values[24].recip() * 0.02;
        assert!((1.0..=WIDER).contains(&(limits.ordinary / expected)), "{} of {expected}", limits.ordinary);
    }
}
