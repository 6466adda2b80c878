//! Hysteresis in time: a condition begins to hold when it has been present for long enough without a break, and ends when
//! it has been clear for long enough. What lies between the thresholds, or cannot be told, changes nothing; it breaks what
//! was about to begin, so that a passing truck now and another in ten minutes are not one condition.

use std::time::Duration;

use super::condition::Level;
use crate::time::Mono;

/// How long a condition must last, and how long it must be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// Present for so long, and in so many pictures, before it holds.
    pub hold: (Duration, u32),
    /// Clear for so long, and in so many pictures, before it ends.
    pub release: (Duration, u32),
    /// After so long without a picture what was about to change must begin anew.
    pub gap: Duration,
}

/// One condition's state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latch {
    /// Since when it has held, from the first picture that showed it.
    held: Option<Mono>,
    /// The first picture that spoke for a change, and how many have.
    turning: Option<(Mono, u32)>,
    last: Option<Mono>,
}

impl Latch {
    /// Takes in what a picture says.
    pub(super) fn take(&mut self, level: Level, at: Mono, patience: &Patience) {
        if self.last.replace(at).is_some_and(|last| at.since(last) > patience.gap) {
            self.turning = None;
        }
        let ((least, pictures), turns) = match self.held {
            None => (patience.hold, level == Level::Present),
            Some(_) => (patience.release, level == Level::Clear),
        };
        if !turns {
            if self.held.is_none() || level == Level::Present {
                self.turning = None;
            }
            return;
        }
        let (since, seen) = self.turning.map_or((at, 1), |(since, seen)| (since, seen.saturating_add(1)));
        self.turning = Some((since, seen));
        if seen >= pictures && at.since(since) >= least {
            self.held = if self.held.is_none() { Some(since) } else { None };
            self.turning = None;
        }
    }

    /// Since when it has held; none if it does not.
    pub(super) fn held_since(&self) -> Option<Mono> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Level::{Between, Clear, Present},
        *,
    };

    const PATIENCE: Patience = Patience {
        hold: (Duration::from_secs(20), 3),
        release: (Duration::from_secs(10), 2),
        gap: Duration::from_secs(60),
    };

    fn after(levels: impl IntoIterator<Item = (u64, Level)>) -> Latch {
        let mut latch = Latch::default();
        levels.into_iter().for_each(|(second, level)| latch.take(level, Mono(second * 1_000_000_000), &PATIENCE));
        latch
    }

    #[test]
    fn it_takes_time_and_pictures_both_ways() {
        assert!(after([(0, Present), (20, Present)]).held_since().is_none(), "two pictures are no three");
        assert!(after([(0, Present), (5, Present), (19, Present)]).held_since().is_none());
        assert_eq!(after([(0, Present), (5, Present), (20, Present)]).held_since(), Some(Mono(0)));
        let held = [(0, Present), (5, Present), (20, Present)];
        assert!(after(held.into_iter().chain([(21, Clear), (30, Clear)])).held_since().is_some());
        assert!(after(held.into_iter().chain([(21, Clear), (31, Clear)])).held_since().is_none());
        assert!(after(held.into_iter().chain([(21, Clear), (25, Present), (31, Clear)])).held_since().is_some());
    }

    #[test]
    fn what_is_between_breaks_a_beginning_but_no_end() {
        assert!(after([(0, Present), (10, Between), (20, Present), (30, Present)]).held_since().is_none());
        let held = [(0, Present), (5, Present), (20, Present)];
        assert!(after(held.into_iter().chain([(21, Clear), (26, Between), (31, Clear)])).held_since().is_none());
    }

    #[test]
    fn a_gap_begins_anew() {
        assert!(after([(0, Present), (5, Present), (100, Present)]).held_since().is_none());
        assert_eq!(
            after([(0, Present), (100, Present), (110, Present), (120, Present)]).held_since(),
            Some(Mono(100_000_000_000))
        );
    }

    proptest! {
        /// Only a picture that is present makes it hold, only one that is clear ends it; between the thresholds nothing does.
        #[test]
        fn it_never_flaps_between_thresholds(steps in proptest::collection::vec((0u64..40, 0u8..3), 1..200)) {
            let mut latch = Latch::default();
            let (mut now, mut changes) = (0, Vec::new());
            for (wait, level) in steps {
                now += wait * 1_000_000_000;
                let level = [Clear, Between, Present][usize::from(level)];
                let before = latch.held_since();
                latch.take(level, Mono(now), &PATIENCE);
                match (before, latch.held_since()) {
                    (None, Some(since)) => {
                        prop_assert_eq!(level, Present);
                        prop_assert!(Mono(now).since(since) >= PATIENCE.hold.0);
                        changes.push(now);
                    }
                    (Some(_), None) => {
                        prop_assert_eq!(level, Clear);
                        changes.push(now);
                    }
                    (before, after) => prop_assert_eq!(before, after),
                }
            }
            for pair in changes.windows(2) {
                prop_assert!(pair[1] - pair[0] >= PATIENCE.release.0.as_nanos() as u64);
            }
        }
    }
}
