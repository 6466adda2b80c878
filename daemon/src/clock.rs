//! The machine's own clocks.
//!
//! # When the wall clock is synchronised
//! Whatever sets the clock (chrony, ntpd, systemd-timesyncd, PTP) tells the kernel how far off it may be at most. That
//! error grows by half a second in a thousand, so some nine hours after the last time server was lost the kernel calls the
//! clock unsynchronised. For a box that is offline for days this is too strict: a quartz is wrong by a few seconds a day,
//! and what is asked here is whether a date is right, not a millisecond. So a clock that has been synchronised stays so
//! until it *jumps*, which the monotonic clock shows.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use snowgate_core::time::{BootId, Clock, Moment, Mono};

/// How long an answer of the system is good for, unless the clock jumps.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// A clock that is moved by more has been set by somebody, or something; a leap second is not that.
const JUMP: SignedDuration = SignedDuration::from_secs(2);
/// The kernel's largest error in microseconds: at it, nobody has synchronised the clock (`NTP_PHASE_LIMIT`).
const LARGEST_ERROR: i64 = 16_000_000;
/// Touched by systemd-timesyncd whenever it has synchronised the clock. It tells where the kernel may not be asked (a
/// system call filter), and what was before this process.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

/// `CLOCK_MONOTONIC`, and the wall clock with what is known of it.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: BootId,
    trusted: bool,
    known: Mutex<Known>,
}

/// The last answer.
#[derive(Debug, Default)]
struct Known {
    asked: Option<Mono>,
    synchronised: bool,
    judge: Judge,
}

/// What the system says of the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Signs {
    /// The kernel's largest error in microseconds; `None` if it may not be asked.
    kernel_error: Option<i64>,
    /// When systemd-timesyncd last synchronised the clock.
    timesyncd: Option<SystemTime>,
}

/// Decides, from what the system says and how the two clocks stand to each other.
#[derive(Debug, Default)]
struct Judge {
    /// Wall clock less monotonic clock when it was last synchronised; `None` before, and after a jump.
    relation: Option<SignedDuration>,
    timesyncd: Option<SystemTime>,
}

impl Judge {
    fn is_synchronised(&mut self, signs: Signs, relation: SignedDuration) -> bool {
        let by_kernel = signs.kernel_error.is_some_and(|error| error < LARGEST_ERROR);
        // Only a new mark says anything: an old one stays when somebody sets the clock by hand.
        let by_timesyncd = signs.timesyncd.is_some() && signs.timesyncd != self.timesyncd;
        self.timesyncd = signs.timesyncd;
        if by_kernel || by_timesyncd {
            self.relation = Some(relation);
        } else if self.jumped(relation) {
            self.relation = None;
        }
        self.relation.is_some()
    }

    /// Whether the wall clock has been set since it was synchronised.
    fn jumped(&self, relation: SignedDuration) -> bool {
        self.relation.is_some_and(|before| (relation - before).abs() > JUMP)
    }
}

impl SystemClock {
    /// Reads the boot id from the kernel; a random one stands in where `/proc` has none, so that no two boots look alike.
    pub fn new() -> Self {
        Self::trusting(false)
    }

    /// The same; with `trusted`, the wall clock counts as synchronised whatever the system says.
    pub fn trusting(trusted: bool) -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_else(|_| ulid::Ulid::generate().to_string());
        Self { boot_id: BootId(boot_id), trusted, known: Mutex::default() }
    }

    fn is_synchronised(&self, mono: Mono, wall: Timestamp) -> bool {
        if self.trusted {
            return true;
        }
        let relation = wall.duration_since(Timestamp::UNIX_EPOCH) - SignedDuration::from_nanos_i128(mono.0.into());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.asked.is_some_and(|asked| mono.since(asked) < ASK_EVERY);
        if !fresh || known.judge.jumped(relation) {
            known.asked = Some(mono);
            known.synchronised = known.judge.is_synchronised(Signs::read(), relation);
        }
        known.synchronised
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let (mono, wall) = (self.mono(), Timestamp::now());
        Moment { mono, wall, synchronised: self.is_synchronised(mono, wall) }
    }

    fn boot_id(&self) -> &BootId {
        &self.boot_id
    }

    fn mono(&self) -> Mono {
        let mono = clock_gettime(ClockId::Monotonic);
        // The kernel's clock never goes back before its own start.
        Mono(u64::try_from(mono.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(mono.tv_nsec).unwrap_or(0))
    }
}

impl Signs {
    fn read() -> Self {
        let timesyncd = std::fs::metadata(TIMESYNCD).and_then(|file| file.modified()).ok();
        Self { kernel_error: kernel_error(), timesyncd }
    }
}

/// The largest error of the wall clock in microseconds, as adjtimex(2) tells it. Asking changes nothing and needs no
/// privilege. `STA_UNSYNC` is left out of account, as systemd does: it is also set so that the kernel keeps its hands off the
/// hardware clock.
fn kernel_error() -> Option<i64> {
    // SAFETY: `timex` is a C struct of integers, for which all zeros are a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `timex` of ours; `modes` is zero, so that it is only written to.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    #[allow(clippy::useless_conversion, reason = "32 bits on some machines")]
    (state >= 0).then(|| timex.maxerror.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Signs = Signs { kernel_error: Some(LARGEST_ERROR), timesyncd: None };
    const GOOD: Signs = Signs { kernel_error: Some(500), timesyncd: None };

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_clock_nobody_has_set_is_not_synchronised() {
        let mut judge = Judge::default();
        for signs in [SILENT, Signs { kernel_error: None, timesyncd: None }, SILENT] {
            assert!(!judge.is_synchronised(signs, seconds(0)), "{signs:?}");
        }
        assert!(judge.is_synchronised(GOOD, seconds(1_800_000_000)), "set and synchronised in one");
    }

    #[test]
    fn what_was_synchronised_stays_so_without_a_time_server_until_it_jumps() {
        let mut judge = Judge::default();
        assert!(judge.is_synchronised(GOOD, seconds(1000)));
        for relation in [1000, 1001, 999, 1000] {
            assert!(judge.is_synchronised(SILENT, seconds(relation)), "a leap second is no jump");
        }
        assert!(!judge.is_synchronised(SILENT, seconds(1000 + 365 * 86_400)));
        assert!(!judge.is_synchronised(SILENT, seconds(1000)), "nobody vouches for the way back");
        assert!(judge.is_synchronised(GOOD, seconds(1000)));
        assert!(!judge.is_synchronised(SILENT, seconds(-1000)));
    }

    #[test]
    fn a_jump_of_the_time_server_is_its_own_business() {
        let mut judge = Judge::default();
        assert!(judge.is_synchronised(GOOD, seconds(0)));
        assert!(judge.is_synchronised(GOOD, seconds(500)));
        assert!(judge.is_synchronised(SILENT, seconds(500)), "what counts is the last word");
    }

    #[test]
    fn timesyncd_counts_where_the_kernel_says_nothing_but_its_old_mark_does_not() {
        let mark = |second| Signs {
            kernel_error: None,
            timesyncd: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second)),
        };
        let mut judge = Judge::default();
        assert!(judge.is_synchronised(mark(10), seconds(0)), "also what was before this process");
        assert!(judge.is_synchronised(mark(10), seconds(0)));
        assert!(!judge.is_synchronised(mark(10), seconds(86_400)), "set by hand since");
        assert!(judge.is_synchronised(mark(20), seconds(0)));
    }

    #[test]
    fn the_system_is_asked_once_a_second_and_a_trusted_clock_never() {
        let clock = SystemClock::new();
        let wall = Timestamp::now();
        let at = |millis: u64| (Mono(millis * 1_000_000), wall + Duration::from_millis(millis));
        let asked = |(mono, wall)| {
            clock.is_synchronised(mono, wall);
            clock.known.lock().unwrap().asked.map(|asked| asked.0 / 1_000_000)
        };
        assert_eq!([0, 500, 999, 1000, 1999].map(|millis| asked(at(millis))), [0, 0, 0, 1000, 1000].map(Some));
        let trusted = SystemClock::trusting(true);
        assert!(trusted.now().synchronised && trusted.known.lock().unwrap().asked.is_none());
    }
}
