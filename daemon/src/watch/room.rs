//! What the box has left, and what one more camera that is followed would take of it: so that nobody is given what can only
//! be taken away again.
//!
//! Both are CPU time as the kernel counts it, of this process alone. Where other programs keep the cores busy, or an
//! accelerator does the work, the waits of the [overload policy](super::overload) tell.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Share of the cores that is kept free: where nothing is left, whatever comes must wait.
const RESERVE: f32 = 0.1;
/// How much the last second counts in what following a camera takes.
const FRESH: f32 = 0.2;
/// What following a camera takes until it has been measured, in cores.
const UNKNOWN: f32 = 0.3;
/// It is never taken to be less: a camera whose stream stands still takes nothing, the next one will.
const LEAST: f32 = 0.02;

/// What the box has left. In cores: 1 is one core that has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// Cores that had nothing to do for this process, but for a reserve.
    pub idle: f32,
    /// What following one camera takes: decoding and inference.
    pub to_follow: f32,
    /// How much of that is inference, 0..1.
    pub inference: f32,
}

impl Room {
    /// How many more cameras could be woken. While one catches up it takes twice as much as afterwards, or it would never
    /// come to the end.
    pub fn for_more(&self) -> u32 {
        (self.idle / self.to_follow - 1.0).max(0.0) as u32
    }
}

/// CPU time spent on cameras that are followed. Recording never waits.
#[derive(Debug, Default)]
pub struct Spent {
    decoding: AtomicU64,
    inference: AtomicU64,
}

impl Spent {
    /// Runs a turn of decoding, and counts what it takes if its camera is `followed`.
    pub fn decoding<T>(&self, followed: bool, turn: impl FnOnce() -> T) -> T {
        count(&self.decoding, followed, turn)
    }

    /// Runs a turn of inference, and counts what it takes if its camera is `followed`.
    pub fn inference<T>(&self, followed: bool, turn: impl FnOnce() -> T) -> T {
        count(&self.inference, followed, turn)
    }
}

fn count<T>(spent: &AtomicU64, followed: bool, turn: impl FnOnce() -> T) -> T {
    if !followed {
        return turn();
    }
    let before = cpu_time(ClockId::ThreadCPUTime);
    let result = turn();
    let took = cpu_time(ClockId::ThreadCPUTime).saturating_sub(before);
    spent.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    result
}

fn take(spent: &AtomicU64) -> Duration {
    Duration::from_nanos(spent.swap(0, Ordering::Relaxed))
}

/// Measures the room from one reading to the next.
#[derive(Debug)]
pub struct Meter {
    usable: f32,
    used: Duration,
    /// What following one camera takes, decoding and inference.
    to_follow: [f32; 2],
}

impl Meter {
    /// For a box of so many cores.
    pub fn new(cores: usize) -> Self {
        Self {
            usable: cores as f32 * (1.0 - RESERVE),
            used: cpu_time(ClockId::ProcessCPUTime),
            to_follow: [UNKNOWN / 2.0; 2],
        }
    }

    /// The room since the last reading, `passed` ago, in which so many cameras were followed.
    pub fn read(&mut self, passed: Duration, followed: usize, spent: &Spent) -> Room {
        let used = cpu_time(ClockId::ProcessCPUTime);
        let busy = used.saturating_sub(self.used);
        self.used = used;
        self.judge(passed, busy, followed, [take(&spent.decoding), take(&spent.inference)])
    }

    fn judge(&mut self, passed: Duration, busy: Duration, followed: usize, spent: [Duration; 2]) -> Room {
        let passed = passed.as_secs_f32().max(1e-3);
        if followed > 0 {
            for (known, spent) in self.to_follow.iter_mut().zip(spent) {
                *known += FRESH * (spent.as_secs_f32() / passed / followed as f32 - *known);
            }
        }
        let [decoding, inference] = self.to_follow;
        let to_follow = (decoding + inference).max(LEAST);
        let idle = (self.usable - busy.as_secs_f32() / passed).max(0.0);
        Room { idle, to_follow, inference: inference / to_follow }
    }
}

fn cpu_time(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn idle_cores_and_the_share_of_each_camera() {
        let mut meter = Meter::new(4);
        let quarter = SECOND / 4;
        let mut room = meter.judge(SECOND, SECOND * 3 / 2, 2, [SECOND - quarter, quarter]);
        assert!((room.idle - 2.1).abs() < 1e-6, "{room:?}");
        for _ in 0..40 {
            room = meter.judge(SECOND, SECOND, 2, [SECOND - quarter, quarter]);
        }
        assert!((room.to_follow - 0.5).abs() < 0.01 && (room.inference - 0.25).abs() < 0.01, "{room:?}");
        assert_eq!(room.for_more(), 4);
        let full = meter.judge(SECOND, 9 * SECOND, 0, [Duration::ZERO; 2]);
        assert_eq!((full, full.for_more()), (Room { idle: 0.0, ..room }, 0));
    }

    #[test]
    fn only_what_is_done_for_cameras_that_are_followed_counts() {
        let spent = Spent::default();
        let work = || {
            let begin = cpu_time(ClockId::ThreadCPUTime);
            while cpu_time(ClockId::ThreadCPUTime) < begin + Duration::from_millis(2) {}
        };
        spent.decoding(false, work);
        spent.inference(true, work);
        assert_eq!(take(&spent.decoding), Duration::ZERO);
        assert!(take(&spent.inference) >= Duration::from_millis(2));
    }
}
