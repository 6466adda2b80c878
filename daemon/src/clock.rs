//! The machine's own clocks.

use rustix::time::{ClockId, clock_gettime};
use snowgate_core::time::{BootId, Clock, Moment, Mono};

/// `CLOCK_MONOTONIC`, the wall clock, and whether systemd-timesyncd or another NTP client has synchronised it.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: BootId,
}

impl SystemClock {
    /// Reads the boot id from the kernel; a random one stands in where `/proc` has none, so that no two boots look alike.
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_else(|_| ulid::Ulid::generate().to_string());
        Self { boot_id: BootId(boot_id) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { mono: self.mono(), wall: jiff::Timestamp::now(), synchronised: synchronised() }
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

/// Every NTP client tells the kernel when it has synchronised the clock; systemd leaves a file for it, so that asking costs one `stat`.
fn synchronised() -> bool {
    std::path::Path::new("/run/systemd/timesync/synchronized").exists()
}
