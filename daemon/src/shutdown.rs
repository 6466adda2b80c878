//! One token that stops everything: threads wait on it, tasks await it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// Tells every thread and task to stop. Clones are the same token.
#[derive(Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    waiters: Arc<Waiters>,
}

#[derive(Default)]
struct Waiters {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    triggered: bool,
    /// Who waits for parts of what this stops.
    parts: Vec<Weak<Waiters>>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trigger(&self) {
        let mut state = self.lock();
        state.triggered = true;
        let parts = std::mem::take(&mut state.parts);
        drop(state);
        self.wake.notify_all();
        parts.iter().filter_map(Weak::upgrade).for_each(|part| part.trigger());
    }
}

impl Shutdown {
    /// A token that has not been triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops everything that holds this token.
    pub fn trigger(&self) {
        self.token.cancel();
        self.waiters.trigger();
    }

    /// A token for a part of what this one stops: it stops with it, or before.
    pub fn part(&self) -> Self {
        let part = Self { token: self.token.child_token(), waiters: Arc::default() };
        let mut state = self.waiters.lock();
        if state.triggered {
            part.waiters.lock().triggered = true;
        } else {
            state.parts.retain(|part| part.strong_count() > 0);
            state.parts.push(Arc::downgrade(&part.waiters));
        }
        drop(state);
        part
    }

    /// Whether it is time to stop.
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The token as tasks of other crates take it.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits, in a task, until it is time to stop.
    pub async fn triggered(&self) {
        self.token.cancelled().await;
    }

    /// Pauses a thread; returns early, with `true`, when it is time to stop.
    pub fn wait_for(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut state = self.waiters.lock();
        while !state.triggered {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.waiters.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_thread_is_woken() {
        let shutdown = Shutdown::new();
        let waiter = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.wait_for(Duration::from_secs(3600))
        });
        shutdown.trigger();
        assert!(waiter.join().unwrap());
        assert!(shutdown.is_triggered() && shutdown.wait_for(Duration::ZERO));
        assert!(shutdown.part().is_triggered() && shutdown.part().wait_for(Duration::ZERO));
    }

    #[test]
    fn a_part_stops_alone_or_with_the_whole() {
        let shutdown = Shutdown::new();
        let (one, other) = (shutdown.part(), shutdown.part());
        one.trigger();
        assert!(one.is_triggered() && !shutdown.is_triggered() && !other.wait_for(Duration::ZERO));
        let waiter = std::thread::spawn(move || other.wait_for(Duration::from_secs(3600)));
        shutdown.trigger();
        assert!(waiter.join().unwrap());
    }
}
