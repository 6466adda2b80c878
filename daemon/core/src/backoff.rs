//! How long to wait before trying again.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Exponential back-off with jitter: each pause is drawn from the upper half of a span that doubles from the first to the
/// longest, so that the cameras of a box, and the boxes of a county, do not all knock at once after a power cut.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    span: Duration,
}

impl Backoff {
    /// Begins with the shortest pause.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, span: first }
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let span = self.span;
        self.span = (span * 2).min(self.longest);
        jitter(span)
    }

    /// The longest pause at once, for an answer that will not change by itself: a refused password locks many cameras
    /// when it is tried too often.
    pub fn longest_pause(&mut self) -> Duration {
        self.span = self.longest;
        jitter(self.longest)
    }

    /// Begins anew: things have gone well.
    pub fn reset(&mut self) {
        self.span = self.first;
    }
}

/// Between half of the span and all of it.
fn jitter(span: Duration) -> Duration {
    // A fresh `RandomState` is keyed at random: all the randomness a pause needs.
    let unit = (RandomState::new().hash_one(span) >> 11) as f64 / (1_u64 << 53) as f64;
    span.mul_f64(0.5 + unit / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
        for span in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let pause = backoff.next_pause().as_secs_f64();
            assert!((span / 2.0..=span).contains(&pause), "{pause} for {span}");
        }
        assert_ne!(backoff.next_pause(), backoff.next_pause());
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_millis(500));
        assert!(backoff.longest_pause() >= Duration::from_secs(30));
    }
}
