//! Waiting for a condition, with a deadline that only a broken machine reaches.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Generous: a loaded two-core machine meets it many times over.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `condition` has an answer; `None` once `deadline` has passed.
pub fn wait_for<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = condition() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether `condition` came true before `deadline` had passed.
#[must_use]
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    wait_for(deadline, || condition().then_some(())).is_some()
}
