//! Which pictures are looked at: so many a second, evenly, by the pictures' own time.

use std::time::Duration;

use snowgate_core::time::Mono;

/// Picks pictures at a steady rate out of a faster stream.
#[derive(Debug)]
pub struct Sampler {
    interval: Duration,
    next: Option<Mono>,
}

impl Sampler {
    /// At most `per_second` pictures a second.
    pub fn new(per_second: u32) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), next: None }
    }

    /// At most `per_second` pictures a second from now on.
    pub fn set_rate(&mut self, per_second: u32) {
        self.interval = Duration::from_secs(1) / per_second.max(1);
    }

    /// Whether the picture of this time is to be looked at.
    pub fn is_due(&mut self, at: Mono) -> bool {
        // Timestamps jitter around their grid; a picture that is a little early is the one meant.
        let tolerance = self.interval / 4;
        let due = self.next.is_none_or(|next| at + tolerance >= next || next.since(at) > 2 * self.interval);
        if due {
            let grid = self.next.map_or(at, |next| if at.since(next) < self.interval { next } else { at });
            self.next = Some(grid + self.interval);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(rate_in: u64, per_second: u32, jitter: impl Fn(u64) -> i64) -> usize {
        let mut sampler = Sampler::new(per_second);
        (0..rate_in * 10)
            .filter(|i| {
                let nanos = (i * 1_000_000_000 / rate_in + 1_000_000_000).saturating_add_signed(jitter(*i));
                sampler.is_due(Mono(nanos))
            })
            .count()
    }

    #[test]
    fn the_rate_holds_with_and_without_jitter() {
        for (rate_in, per_second, expected) in [(25, 5, 50), (10, 5, 50), (10, 10, 100), (30, 7, 70), (4, 5, 40)] {
            for jitter in [0, 9_000_000] {
                let count = looked_at(rate_in, per_second, |i| if i % 2 == 0 { jitter } else { -jitter });
                assert!(count.abs_diff(expected) <= 1, "{rate_in} in, {per_second} wanted: {count} in ten seconds");
            }
        }
    }

    #[test]
    fn after_a_gap_or_a_step_back_it_goes_on_at_once() {
        let mut sampler = Sampler::new(5);
        assert!(sampler.is_due(Mono(10_000_000_000)));
        assert!(sampler.is_due(Mono(20_000_000_000)));
        assert!(!sampler.is_due(Mono(20_040_000_000)));
        assert!(sampler.is_due(Mono(1_000_000_000)), "the stream began anew");
    }
}
