//! Time as a box behind a bad network knows it. Order and durations come from the monotonic clock and the boot id,
//! never from the wall clock, which may jump; the wall clock is kept beside them for people.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::Mutex,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Nanoseconds on the machine's monotonic clock; comparable within one boot only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Mono {
    /// Time passed since `earlier`, zero if that lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The kernel's boot id: monotonic times of different boots cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Monotonic time.
    pub mono: Mono,
    /// Wall-clock time, UTC.
    pub wall: jiff::Timestamp,
    /// Whether the wall clock was synchronised when this was read.
    pub synchronised: bool,
}

/// Where time comes from; injected so that tests and replay set it.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Moment;
    /// The boot this clock belongs to.
    fn boot_id(&self) -> &BootId;

    /// Now on the monotonic clock.
    fn mono(&self) -> Mono {
        self.now().mono
    }

    /// The moment at a monotonic time of this boot, by today's relation of the two clocks.
    fn moment_at(&self, mono: Mono) -> Moment {
        let now = self.now();
        let wall = if mono >= now.mono {
            now.wall.saturating_add(mono.since(now.mono))
        } else {
            now.wall.saturating_sub(now.mono.since(mono))
        };
        Moment {
            mono,
            // Only spans that are no time spans at all can fail; a `Duration` is one.
            wall: wall.unwrap_or(now.wall),
            synchronised: now.synchronised,
        }
    }
}

/// A clock that stands still until it is set: for tests and for replay, where the clip's own timestamps rule.
#[derive(Debug)]
pub struct ManualClock {
    boot_id: BootId,
    now: Mutex<Moment>,
}

impl ManualClock {
    /// Starts at monotonic zero and the given wall time, synchronised.
    pub fn new(boot_id: impl Into<String>, wall: jiff::Timestamp) -> Self {
        Self { boot_id: BootId(boot_id.into()), now: Mutex::new(Moment { mono: Mono(0), wall, synchronised: true }) }
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.mono = now.mono + by;
        now.wall = now.wall.saturating_add(by).unwrap_or(now.wall);
    }

    /// Moves both clocks on to a monotonic time; an earlier one changes nothing.
    pub fn advance_to(&self, mono: Mono) {
        let by = mono.since(self.lock().mono);
        self.advance(by);
    }

    /// Lets the wall clock jump, as an administrator or a first NTP answer makes it.
    pub fn set_wall(&self, wall: jiff::Timestamp, synchronised: bool) {
        let mut now = self.lock();
        now.wall = wall;
        now.synchronised = synchronised;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Moment> {
        // The guarded value is plain data, valid whatever thread panicked while holding it.
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.lock()
    }
    fn boot_id(&self) -> &BootId {
        &self.boot_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_jump_leaves_monotonic_order_alone() {
        let clock = ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(10));
        let before = clock.now();
        clock.set_wall("2026-01-01T00:00:00Z".parse().unwrap(), true);
        let after = clock.now();
        assert_eq!(before.mono, after.mono);
        let past = clock.moment_at(Mono(0));
        assert_eq!(past.wall, "2025-12-31T23:59:50Z".parse().unwrap());
    }
}
