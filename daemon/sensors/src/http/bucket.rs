//! How many messages a sensor may send: a token bucket. Pure: time is given.

use std::time::Duration;

use snowgate_core::time::Mono;

/// Seconds' worth of tokens that a full bucket holds.
const BURST: f64 = 10.0;

/// Fills with tokens at a steady rate; each message takes one.
#[derive(Debug)]
pub(super) struct TokenBucket {
    a_second: f64,
    tokens: f64,
    at: Mono,
}

impl TokenBucket {
    /// A full one. `a_second` is at least 1.
    pub(super) fn new(a_second: u32, now: Mono) -> Self {
        let a_second = f64::from(a_second.max(1));
        Self { a_second, tokens: a_second * BURST, at: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// There is none: how long until there is.
    pub(super) fn take(&mut self, now: Mono) -> Result<(), Duration> {
        let filled = self.tokens + now.since(self.at).as_secs_f64() * self.a_second;
        self.tokens = filled.min(self.a_second * BURST);
        self.at = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.a_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_ten_seconds_worth_at_once() {
        let mut bucket = TokenBucket::new(5, Mono(0));
        let taken = |bucket: &mut TokenBucket, now| {
            std::iter::repeat_with(|| bucket.take(now)).take_while(Result::is_ok).count()
        };
        assert_eq!(taken(&mut bucket, Mono(0)), 50);
        assert_eq!(bucket.take(Mono(0)), Err(Duration::from_millis(200)));
        let second = Mono(1_000_000_000);
        assert_eq!(taken(&mut bucket, second), 5);
        assert_eq!(taken(&mut bucket, second + Duration::from_secs(3600)), 50);
        // A clock that stands still or goes back gives nothing.
        assert!(bucket.take(Mono(0)).is_err());
    }
}
