//! The clocks of a server: real ones, for what it plays is measured from outside.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, nanoseconds: comparable between processes of one boot.
pub fn monotonic() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Processor time this process has used, nanoseconds.
pub fn processor() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

/// Now, in NTP's format (RFC 5905 §6): seconds since 1900 and their fraction.
pub fn ntp() -> u64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let now = nanoseconds(ClockId::Realtime);
    let fraction = ((now % 1_000_000_000) << 32) / 1_000_000_000;
    (now / 1_000_000_000 + FROM_1900_TO_1970) << 32 | fraction
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither is negative on these clocks.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
