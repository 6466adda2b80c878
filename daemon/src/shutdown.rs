//! One token that stops everything: threads wait on it, tasks await it.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// Tells every thread and task to stop. Clones are the same token.
#[derive(Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    waiters: Arc<(Mutex<bool>, Condvar)>,
}

impl Shutdown {
    /// A token that has not been triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops everything that holds this token.
    pub fn trigger(&self) {
        let (triggered, wake) = &*self.waiters;
        *triggered.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        self.token.cancel();
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
        let (triggered, wake) = &*self.waiters;
        let end = Instant::now() + pause;
        let mut stop = triggered.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stop = wake.wait_timeout(stop, left).unwrap_or_else(PoisonError::into_inner).0;
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
    }
}
