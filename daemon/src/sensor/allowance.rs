//! How much of what a sensor sends is more than counted and heard by its rules.

use std::time::Duration;

use snowgate_core::time::Mono;

/// A sensor may send so many seconds' worth at once: a station that was cut off delivers what it has kept.
const BURST: f64 = 10.0;
/// A sensor floods until it has kept to its limit for so long.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// A token bucket for one sensor's readings, and whether it has run dry lately.
#[derive(Debug)]
pub struct Allowance {
    /// Readings a second.
    rate: f64,
    tokens: f64,
    filled: Mono,
    /// When it was last dry.
    dry: Option<Mono>,
    /// Readings refused since they were last asked for.
    refused: u64,
}

impl Allowance {
    /// So many readings a second.
    pub fn new(rate: f64, now: Mono) -> Self {
        Self { rate, tokens: rate * BURST, filled: now, dry: None, refused: 0 }
    }

    /// Whether one more reading is within the limit.
    pub fn take(&mut self, now: Mono) -> bool {
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * self.rate).min(self.rate * BURST);
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return true;
        }
        self.dry = Some(now);
        self.refused = self.refused.saturating_add(1);
        false
    }

    /// Whether the sensor floods.
    pub fn is_flooding(&self, now: Mono) -> bool {
        self.dry.is_some_and(|dry| now.since(dry) < FORGIVEN_AFTER)
    }

    /// Readings refused since this was last asked.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Readings a second that it allows.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_a_flood_is_not() {
        let second = |seconds: f64| Mono((seconds * 1e9) as u64);
        let mut allowance = Allowance::new(2.0, second(0.0));
        let taken = (0..100).filter(|_| allowance.take(second(0.0))).count();
        assert_eq!((taken, allowance.take_refused(), allowance.take_refused()), (20, 80, 0));
        assert!(allowance.is_flooding(second(1.0)));
        let taken = (0..10).filter(|_| allowance.take(second(3.0))).count();
        assert_eq!(taken, 6);
        assert!(allowance.is_flooding(second(62.9)) && !allowance.is_flooding(second(63.0)));
        // At its limit it never runs dry.
        assert!((0..1000).all(|turn| allowance.take(second(100.0 + f64::from(turn) * 0.5))));
    }
}
