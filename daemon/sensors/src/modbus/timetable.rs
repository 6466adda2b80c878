//! When a slave is polled next: on a grid that does not drift, and never twice to catch up.

use std::time::Duration;

use tokio::time::Instant;

/// The first moment of the grid through `due` that lies after `now`. What was missed is left out.
pub(super) fn next_due(due: Instant, every: Duration, now: Instant) -> Instant {
    // A grid needs meshes; checking refuses zero.
    let every = every.max(Duration::from_millis(1));
    let late = now.saturating_duration_since(due).as_nanos() % every.as_nanos();
    let late = Duration::from_nanos(u64::try_from(late).unwrap_or(0));
    // `late` lies behind the last moment of the grid, if that has come at all.
    let last = now.max(due) - late;
    last + every
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_neither_drifts_nor_catches_up() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let every = Duration::from_millis(100);
        for (now, next) in [(0, 100), (1, 100), (99, 100), (100, 200), (101, 200), (1_000, 1_100), (99_950, 100_000)] {
            assert_eq!(next_due(at(0), every, at(now)), at(next), "{now}");
        }
        // A poll that began early keeps its place, too.
        assert_eq!(next_due(at(50), every, at(10)), at(150));
        assert!(next_due(at(0), Duration::ZERO, at(5)) > at(5));
    }
}
