//! How long to wait before trying again.

use std::{hash::BuildHasher, hash::RandomState, time::Duration};

/// Exponential back-off with jitter: each pause is drawn from the upper half of a span that doubles from `first` to
/// `longest`, so that boxes that lost a broker together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    span: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, span: first }
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let span = self.span;
        self.span = (span * 2).min(self.longest);
        // A fresh `RandomState` is keyed at random: all the randomness a pause needs.
        let unit = (RandomState::new().hash_one(span) >> 11) as f64 / (1_u64 << 53) as f64;
        span.mul_f64(0.5 + unit / 2.0)
    }

    /// Begins anew: things have gone well.
    pub(super) fn reset(&mut self) {
        self.span = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
        for span in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let pause = backoff.next().as_secs_f64();
            assert!((span / 2.0..=span).contains(&pause), "{pause} for {span}");
        }
        assert_ne!(backoff.next(), backoff.next());
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(500));
    }
}
