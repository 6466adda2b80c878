//! Turns: how many cameras share a few worker threads.
//!
//! A camera with work takes one place in a queue and gets its turn when a worker is free. However often it is woken
//! it stands in the queue once, and two workers never serve the same camera at the same time, so the queue is bounded
//! by the number of cameras, waking never blocks, and every camera waits for at most one turn of each other.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use crossbeam_channel::{Receiver, Sender};

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const RUNNING_AND_WOKEN: u8 = 3;

/// A queue of cameras that have work.
pub struct Turns {
    states: Arc<[AtomicU8]>,
    queue: Sender<usize>,
    waiting: Receiver<usize>,
}

impl Clone for Turns {
    fn clone(&self) -> Self {
        Self { states: self.states.clone(), queue: self.queue.clone(), waiting: self.waiting.clone() }
    }
}

impl Turns {
    /// A queue for so many cameras.
    pub fn new(cameras: usize) -> Self {
        let (queue, waiting) = crossbeam_channel::bounded(cameras);
        Self { states: (0..cameras).map(|_| AtomicU8::new(IDLE)).collect(), queue, waiting }
    }

    /// Tells that this camera has work. Never blocks.
    pub fn wake(&self, camera: usize) {
        let next = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(RUNNING_AND_WOKEN),
            _ => None,
        };
        if let Ok(IDLE) = self.states[camera].fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            self.enqueue(camera);
        }
    }

    /// The queue's other end: camera numbers, each to be handed to [`Turns::take`].
    pub fn waiting(&self) -> &Receiver<usize> {
        &self.waiting
    }

    /// Runs one turn of a camera that came out of the queue; `work` answers whether there is more to do.
    pub fn take(&self, camera: usize, work: impl FnOnce() -> bool) {
        self.states[camera].store(RUNNING, Ordering::Release);
        let more = work();
        let woken = self.states[camera].swap(if more { QUEUED } else { IDLE }, Ordering::AcqRel) == RUNNING_AND_WOKEN;
        if more {
            self.enqueue(camera);
        } else if woken {
            self.wake(camera);
        }
    }

    fn enqueue(&self, camera: usize) {
        // There is a place for every camera, and each takes at most one: only a stopped queue can refuse.
        let _ = self.queue.try_send(camera);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicUsize},
        },
        time::Duration,
    };

    use super::*;

    #[test]
    fn every_wake_is_served_and_never_by_two_at_once() {
        let turns = Turns::new(3);
        let asked: [AtomicUsize; 3] = Default::default();
        let served = Mutex::new([0usize; 3]);
        let busy: [AtomicBool; 3] = Default::default();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        let Ok(camera) = turns.waiting().recv_timeout(Duration::from_millis(1)) else { continue };
                        turns.take(camera, || {
                            assert!(!busy[camera].swap(true, Ordering::AcqRel), "two workers on one camera");
                            served.lock().unwrap()[camera] = asked[camera].load(Ordering::Acquire);
                            busy[camera].store(false, Ordering::Release);
                            false
                        });
                    }
                });
            }
            for round in 1..=2000 {
                for (camera, asked) in asked.iter().enumerate() {
                    asked.store(round, Ordering::Release);
                    turns.wake(camera);
                }
            }
            while *served.lock().unwrap() != [2000; 3] {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Release);
        });
    }

    #[test]
    fn who_has_more_to_do_waits_behind_the_others() {
        let turns = Turns::new(2);
        turns.wake(0);
        turns.wake(1);
        let mut order = Vec::new();
        for _ in 0..4 {
            let camera = turns.waiting().try_recv().unwrap();
            turns.take(camera, || {
                order.push(camera);
                true
            });
        }
        assert_eq!(order, [0, 1, 0, 1]);
    }
}
