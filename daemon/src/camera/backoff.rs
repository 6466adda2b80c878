//! How long to wait before trying a camera again.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits that double from one second to a minute, each shortened by up to half at random, so that the cameras of a box
/// (and the boxes of a county) do not all knock at once after a power cut.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Starts with the shortest wait; `seed` should differ from camera to camera.
    pub fn new(seed: u64) -> Self {
        Self { next: FIRST, random: seed }
    }

    /// The next wait: between half of the current step and all of it.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        self.jitter(step)
    }

    /// The longest wait at once, for an answer that will not change by itself: a refused password locks many cameras
    /// when it is tried too often.
    pub fn long_wait(&mut self) -> Duration {
        self.next = LONGEST;
        self.jitter(LONGEST)
    }

    /// After a stream that was stable the next wait is short again.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    fn jitter(&mut self, step: Duration) -> Duration {
        // SplitMix64 (Steele, Lea and Flood 2014): spreading is all that is asked of it.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let fraction = (bits >> 11) as f64 / (1u64 << 53) as f64;
        step.mul_f64(1.0 - fraction / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_double_up_to_a_minute_and_are_spread(seed in any::<u64>()) {
            let mut backoff = Backoff::new(seed);
            for step in [1, 2, 4, 8, 16, 32, 60, 60] {
                let wait = backoff.next_wait();
                prop_assert!(wait > Duration::from_secs(step) / 2 && wait <= Duration::from_secs(step), "{wait:?} {step}");
            }
            backoff.reset();
            prop_assert!(backoff.next_wait() <= FIRST);
            prop_assert!(backoff.long_wait() > LONGEST / 2);
        }
    }

    #[test]
    fn cameras_do_not_knock_together() {
        let waits: std::collections::BTreeSet<_> = (0..64).map(|seed| Backoff::new(seed).next_wait()).collect();
        assert!(waits.len() > 32);
    }
}
