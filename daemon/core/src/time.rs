//! Time as a box behind a bad network knows it. Order and durations come from the monotonic clock and the boot id,
//! never from the wall clock, which may jump; the wall clock is kept beside them for people.
//!
//! A box without a battery-backed clock starts in 1970 and learns the time when it reaches a time server. Until then what
//! it writes down is flagged, and once it knows, [`Synchronisation`] fills in the wall times of the same boot: the
//! monotonic clock says how long ago they were. Those of an earlier boot stay as they are, because nothing tells how long
//! the box was off.

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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

impl Moment {
    /// The wall time at `mono` of the same boot, by the relation that the two clocks have in this moment.
    fn wall_at(&self, mono: Mono) -> jiff::Timestamp {
        let wall = if mono >= self.mono {
            self.wall.saturating_add(mono.since(self.mono))
        } else {
            self.wall.saturating_sub(self.mono.since(mono))
        };
        // Only spans that are no time spans at all can fail; a `Duration` is one.
        wall.unwrap_or(self.wall)
    }
}

/// A moment together with the boot it belongs to: what a record is stamped with that outlives a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The boot.
    pub boot: BootId,
    /// The moment in it.
    #[serde(flatten)]
    pub moment: Moment,
}

impl Stamp {
    /// This moment.
    pub fn now(clock: &dyn Clock) -> Self {
        Self { boot: clock.boot_id().clone(), moment: clock.now() }
    }
}

/// The relation of one boot's two clocks, known since the wall clock is synchronised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synchronisation {
    boot: BootId,
    known: Moment,
}

impl Synchronisation {
    /// What a moment of `boot` tells; `None` if its wall clock was not synchronised.
    pub fn told_by(boot: &BootId, moment: Moment) -> Option<Self> {
        moment.synchronised.then(|| Self { boot: boot.clone(), known: moment })
    }

    /// The boot it is valid for.
    pub fn boot(&self) -> &BootId {
        &self.boot
    }

    /// The synchronised moment that told it.
    pub fn known(&self) -> Moment {
        self.known
    }

    /// A moment of `boot` with its wall time filled in. What is synchronised already stays as it is, and so does what
    /// belongs to another boot.
    pub fn fill_in(&self, boot: &BootId, moment: Moment) -> Moment {
        if moment.synchronised || *boot != self.boot {
            return moment;
        }
        Moment { mono: moment.mono, wall: self.known.wall_at(moment.mono), synchronised: true }
    }
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
        Moment { mono, wall: now.wall_at(mono), synchronised: now.synchronised }
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
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wall_clock_jump_leaves_monotonic_order_alone() {
        let clock = ManualClock::new("boot", Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(10));
        let before = clock.now();
        clock.set_wall("2026-01-01T00:00:00Z".parse().unwrap(), true);
        let after = clock.now();
        assert_eq!(before.mono, after.mono);
        let past = clock.moment_at(Mono(0));
        assert_eq!(past.wall, "2025-12-31T23:59:50Z".parse().unwrap());
    }

    #[test]
    fn a_stamp_survives_being_stored() {
        let clock = ManualClock::new("boot", "2026-01-01T00:00:00.123456789Z".parse().unwrap());
        clock.advance(Duration::from_nanos(u64::MAX / 2));
        let stamp = Stamp::now(&clock);
        let json = serde_json::to_string(&stamp).unwrap();
        assert_eq!(serde_json::from_str::<Stamp>(&json).unwrap(), stamp);
    }

    /// A hundred years in nanoseconds.
    const CENTURY: u64 = 100 * 366 * 86_400 * 1_000_000_000;

    fn wall() -> impl Strategy<Value = Timestamp> {
        (0i64..4_000_000_000, 0i32..1_000_000_000).prop_map(|(s, ns)| Timestamp::new(s, ns).unwrap())
    }

    fn moment() -> impl Strategy<Value = Moment> {
        (0..CENTURY, wall(), any::<bool>()).prop_map(|(mono, wall, synchronised)| Moment {
            mono: Mono(mono),
            wall,
            synchronised,
        })
    }

    proptest! {
        /// Whatever the clock showed before: afterwards the moment has the wall time a right clock would have shown.
        #[test]
        fn what_a_wrong_clock_wrote_is_put_right(started in wall(), at in 0..CENTURY, synced in 0..CENTURY, shown in wall()) {
            let boot = BootId("boot".into());
            let right = |mono| started.checked_add(Duration::from_nanos(mono)).unwrap();
            let known = Moment { mono: Mono(synced), wall: right(synced), synchronised: true };
            let sync = Synchronisation::told_by(&boot, known).unwrap();
            let written = Moment { mono: Mono(at), wall: shown, synchronised: false };
            let filled = sync.fill_in(&boot, written);
            prop_assert_eq!(filled, Moment { mono: Mono(at), wall: right(at), synchronised: true });
            prop_assert_eq!(sync.fill_in(&boot, filled), filled, "filling in twice changes nothing more");
        }

        /// An unsynchronised clock tells no relation, another boot's moments and synchronised ones stay as they are.
        #[test]
        fn only_unsynchronised_moments_of_the_same_boot_are_touched(known in moment(), written in moment()) {
            let (boot, other) = (BootId("boot".into()), BootId("other".into()));
            let sync = Synchronisation::told_by(&boot, known);
            prop_assert_eq!(sync.is_some(), known.synchronised);
            if let Some(sync) = sync {
                prop_assert_eq!(sync.fill_in(&other, written), written);
                prop_assert_eq!(sync.fill_in(&boot, written).synchronised, true);
                prop_assert_eq!(sync.fill_in(&boot, written).mono, written.mono);
                if written.synchronised {
                    prop_assert_eq!(sync.fill_in(&boot, written), written);
                }
            }
        }

        /// Wall times that were filled in are in the order of the monotonic clock, whatever the wall clock had said.
        #[test]
        fn what_is_filled_in_follows_the_monotonic_clock(one in moment(), two in moment(), known in moment()) {
            let boot = BootId("boot".into());
            let order = one.mono.cmp(&two.mono);
            let sync = Synchronisation::told_by(&boot, Moment { synchronised: true, ..known }).unwrap();
            let [one, two] = [one, two].map(|moment| sync.fill_in(&boot, Moment { synchronised: false, ..moment }));
            prop_assert_eq!(one.mono.cmp(&two.mono), order);
            prop_assert_eq!(one.wall.cmp(&two.wall), order);
        }
    }
}
