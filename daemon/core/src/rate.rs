//! How often something may be done.

use std::time::Duration;

use crate::time::Mono;

/// A token bucket: so many times at once, then once every so often. It counts in whole nanoseconds by the generic cell rate
/// algorithm (ITU-T I.371), so nothing is lost to rounding and nothing has to tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    every: Duration,
    burst: u32,
    /// When it will be full again.
    full: Mono,
}

impl TokenBucket {
    /// A full bucket: `burst` times at once (at least one), then one token `every` so often.
    pub fn new(burst: u32, every: Duration) -> Self {
        Self { every, burst: burst.max(1), full: Mono(0) }
    }

    /// How long it takes until a token can be had; zero if one is there.
    pub fn wait(&self, now: Mono) -> Duration {
        let room = now + self.every.saturating_mul(self.burst);
        (self.full.max(now) + self.every).since(room)
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long it takes until one can be had; nothing was taken.
    pub fn take(&mut self, now: Mono) -> Result<(), Duration> {
        match self.wait(now) {
            Duration::ZERO => {
                self.full = self.full.max(now) + self.every;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Whether it is as it was when it was new.
    pub fn is_full(&self, now: Mono) -> bool {
        self.full <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_then_one_at_a_time() {
        let mut bucket = TokenBucket::new(2, Duration::from_secs(10));
        let at = |seconds: u64| Mono(seconds * 1_000_000_000);
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert_eq!(bucket.take(at(104)), Err(Duration::from_secs(6)));
        assert_eq!(bucket.take(at(110)), Ok(()));
        assert!(bucket.take(at(111)).is_err());
        assert!(!bucket.is_full(at(129)));
        assert!(bucket.is_full(at(130)));
    }

    proptest! {
        #[test]
        fn in_no_window_more_than_burst_and_rate_allow(
            burst in 1u32..5, every in 1u64..50, waits in proptest::collection::vec(0u64..40, 1..200)
        ) {
            let mut bucket = TokenBucket::new(burst, Duration::from_nanos(every));
            let mut now = 0;
            let mut taken = Vec::new();
            for wait in waits {
                now += wait;
                match bucket.take(Mono(now)) {
                    Ok(()) => taken.push(now),
                    Err(wait) => prop_assert!(bucket.wait(Mono(now) + wait).is_zero(), "what it says is enough"),
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    prop_assert!((last - first) as u64 <= u64::from(burst) - 1 + (to - from) / every + 1);
                    prop_assert!((last - first + 1) as u64 <= u64::from(burst) + (to - from) / every);
                }
            }
        }
    }
}
