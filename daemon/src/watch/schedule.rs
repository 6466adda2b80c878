//! Which camera has the next turn: how a few worker threads serve many cameras.
//!
//! Promises:
//! - However often a camera is woken it stands in the queue once, and no two workers ever serve it at the same time. The
//!   queue is bounded by the number of cameras, and waking never blocks.
//! - Priority first; among cameras of one priority, the one that has been served least: each turn is charged what it cost
//!   (start-time fair queueing, Goyal et al. 1996), so a camera with much to do does not hold up one with little.
//! - What can wait for a moment comes behind what is live, in the order in which it came ([`Soon`](When::Soon)). What can wait
//!   for longer comes behind both, and is brought to its end one camera after the other: of several that share, all would be
//!   late ([`Later`](When::Later)).
//! - Nobody starves: who has waited for [`PATIENCE`] comes before everyone who has not, whatever the priorities.
//! - When other cameras are served from now on, another schedule [succeeds](Schedule::hand_over) it: who was woken and not served
//!   yet is woken there, and so is everyone who is woken here by somebody that has not heard of it. For a moment a camera may
//!   have its last turn here and its first there at the same time.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use snowgate_core::time::{Clock, Mono};

use crate::vision::spec::Priority;

/// Who has waited for so long is served before all who have not.
pub const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Queued { since: Mono },
    Running { woken: bool },
}

#[derive(Debug)]
struct Place {
    state: State,
    priority: Priority,
    /// How soon its next turn must be, and since when that is so.
    next: (When, Mono),
    /// What its turns have cost so far, never less than what was usual when it came back from idling.
    served: u64,
}

#[derive(Default)]
struct Queue {
    places: Vec<Place>,
    queued: usize,
    /// What the camera served last had cost before.
    virtual_time: u64,
    successor: Option<Successor>,
}

/// Who serves the cameras now.
#[derive(Clone)]
struct Successor {
    schedule: Schedule,
    /// The place there of each camera here; none of one that is served no more.
    places: Arc<[Option<usize>]>,
}

/// How soon a turn must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// It is about what is live: cameras share.
    Now,
    /// It can wait for a moment.
    Soon,
    /// It can wait for what is live.
    Later,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// There is more to do.
    pub more: bool,
    /// What it took, in whatever all turns of this schedule are counted in; at least 1 is charged.
    pub cost: u32,
    /// How soon the next one must be.
    pub next: When,
}

impl Turn {
    /// Nothing was to be done.
    pub const IDLE: Self = Self { more: false, cost: 0, next: When::Now };
}

/// A queue of cameras that have work.
#[derive(Clone)]
pub struct Schedule {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    clock: Arc<dyn Clock>,
}

impl Schedule {
    /// A schedule of as many cameras as there are priorities.
    pub fn new(priorities: impl IntoIterator<Item = Priority>, clock: Arc<dyn Clock>) -> Self {
        let place = |priority| Place { state: State::Idle, priority, next: (When::Now, Mono(0)), served: 0 };
        let queue = Queue { places: priorities.into_iter().map(place).collect(), ..Queue::default() };
        Self { queue: Arc::new((Mutex::new(queue), Condvar::new())), clock }
    }

    /// Tells that this camera has work. Never blocks for longer than it takes to choose a camera.
    pub fn wake(&self, camera: usize) {
        let now = self.clock.mono();
        let mut queue = self.lock();
        if let Some(successor) = queue.successor.clone() {
            drop(queue);
            return successor.wake(camera);
        }
        match queue.places[camera].state {
            State::Idle => {
                queue.enqueue(camera, now);
                drop(queue);
                self.queue.1.notify_one();
            }
            State::Queued { .. } => {}
            State::Running { .. } => queue.places[camera].state = State::Running { woken: true },
        }
    }

    /// Runs one turn of the camera that is next, waiting for one up to `wait`. Answers whether there was one.
    pub fn serve(&self, wait: Duration, work: impl FnOnce(usize) -> Turn) -> bool {
        let Some(camera) = self.next(wait) else { return false };
        let turn = work(camera);
        let now = self.clock.mono();
        let mut queue = self.lock();
        let place = &mut queue.places[camera];
        place.served += u64::from(turn.cost.max(1));
        if place.next.0 != turn.next {
            place.next = (turn.next, now);
        }
        let again = turn.more || place.state == State::Running { woken: true };
        place.state = State::Idle;
        if let Some(successor) = queue.successor.clone().filter(|_| again) {
            drop(queue);
            successor.wake(camera);
        } else if again {
            queue.enqueue(camera, now);
            drop(queue);
            self.queue.1.notify_one();
        }
        true
    }

    /// From now on `successor` serves the cameras, each at its place among `places`; those without one are served no more. Whoever
    /// waits for a turn to serve returns at once.
    pub fn hand_over(&self, successor: Schedule, places: impl IntoIterator<Item = Option<usize>>) {
        let successor = Successor { schedule: successor, places: places.into_iter().collect() };
        let mut queue = self.lock();
        let mut waiting = Vec::new();
        for (camera, place) in queue.places.iter_mut().enumerate() {
            match place.state {
                State::Queued { .. } => {
                    place.state = State::Idle;
                    waiting.push(camera);
                }
                // Whoever serves it wakes it there, if there is more to do.
                State::Idle | State::Running { .. } => {}
            }
        }
        (queue.queued, queue.successor) = (0, Some(successor.clone()));
        drop(queue);
        self.queue.1.notify_all();
        waiting.into_iter().for_each(|camera| successor.wake(camera));
    }

    /// Cameras that wait for a turn.
    pub fn waiting(&self) -> usize {
        self.lock().queued
    }

    fn next(&self, wait: Duration) -> Option<usize> {
        let mut queue = self.lock();
        if queue.is_empty() {
            let waited = self.queue.1.wait_timeout_while(queue, wait, |queue| queue.is_empty());
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let now = self.clock.mono();
        queue.dequeue(now)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Successor {
    fn wake(&self, camera: usize) {
        if let Some(place) = self.places[camera] {
            self.schedule.wake(place);
        }
    }
}

impl Queue {
    /// Whether there is something to wait for.
    fn is_empty(&self) -> bool {
        self.queued == 0 && self.successor.is_none()
    }

    fn enqueue(&mut self, camera: usize, now: Mono) {
        let place = &mut self.places[camera];
        // Time spent idle is no credit.
        place.served = place.served.max(self.virtual_time);
        place.state = State::Queued { since: now };
        self.queued += 1;
    }

    fn dequeue(&mut self, now: Mono) -> Option<usize> {
        let order = |place: &Place, since: Mono| {
            let impatient = now.since(since) >= PATIENCE;
            // The impatient among themselves by how long they have waited.
            match place.next {
                _ if impatient => (None, Priority::High, since.0),
                (When::Now, _) => (Some(When::Now), place.priority, place.served),
                (When::Soon, _) => (Some(When::Soon), place.priority, since.0),
                (When::Later, begun) => (Some(When::Later), place.priority, begun.0),
            }
        };
        let queued = self.places.iter().enumerate().filter_map(|(camera, place)| match place.state {
            State::Queued { since } => Some((order(place, since), camera)),
            _ => None,
        });
        let (_, camera) = queued.min()?;
        let place = &mut self.places[camera];
        self.virtual_time = self.virtual_time.max(place.served);
        place.state = State::Running { woken: false };
        self.queued -= 1;
        Some(camera)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use snowgate_core::time::ManualClock;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn schedule(priorities: &[Priority]) -> (Schedule, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new("test", jiff::Timestamp::UNIX_EPOCH));
        (Schedule::new(priorities.iter().copied(), clock.clone()), clock)
    }

    /// Serves `turns` turns of these costs, every camera always having more to do; answers who was served.
    fn served(schedule: &Schedule, turns: usize, cost: impl Fn(usize) -> u32) -> Vec<usize> {
        let mut order = Vec::new();
        for _ in 0..turns {
            schedule.serve(NOW, |camera| {
                order.push(camera);
                Turn { more: true, cost: cost(camera), next: When::Now }
            });
        }
        order
    }

    #[test]
    fn a_successor_serves_who_was_woken_before_and_whoever_is_woken_by_the_old_name() {
        let (old, _) = schedule(&[Priority::Normal; 4]);
        let (new, _) = schedule(&[Priority::Normal; 2]);
        let now_served = |schedule: &Schedule| {
            let mut who = None;
            schedule.serve(NOW, |camera| {
                who = Some(camera);
                Turn::IDLE
            });
            who
        };
        old.wake(0);
        old.serve(NOW, |camera| {
            assert_eq!(camera, 0);
            old.wake(2);
            old.hand_over(new.clone(), [Some(1), None, Some(0), None]);
            Turn { more: true, ..Turn::IDLE }
        });
        assert_eq!((now_served(&new), now_served(&new)), (Some(0), Some(1)), "one waited, one had more to do");
        assert_eq!((now_served(&old), now_served(&new)), (None, None));
        old.wake(2);
        old.wake(3);
        assert_eq!((now_served(&new), now_served(&new)), (Some(0), None), "one of them is served no more");
    }

    #[test]
    fn who_waits_for_a_turn_hears_of_the_successor_at_once() {
        let (old, _) = schedule(&[Priority::Normal]);
        let (new, _) = schedule(&[Priority::Normal]);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| old.serve(Duration::from_secs(3600), |_| Turn::IDLE));
            old.hand_over(new, [Some(0)]);
            assert!(!waiter.join().unwrap());
        });
    }

    #[test]
    fn every_wake_is_served_and_never_by_two_at_once() {
        let (schedule, _) = schedule(&[Priority::Normal; 3]);
        let asked: [AtomicUsize; 3] = Default::default();
        let seen = Mutex::new([0usize; 3]);
        let busy: [AtomicBool; 3] = Default::default();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        schedule.serve(Duration::from_millis(1), |camera| {
                            assert!(!busy[camera].swap(true, Ordering::AcqRel), "two workers on one camera");
                            seen.lock().unwrap()[camera] = asked[camera].load(Ordering::Acquire);
                            busy[camera].store(false, Ordering::Release);
                            Turn::IDLE
                        });
                    }
                });
            }
            for round in 1..=2000 {
                for (camera, asked) in asked.iter().enumerate() {
                    asked.store(round, Ordering::Release);
                    schedule.wake(camera);
                }
            }
            while *seen.lock().unwrap() != [2000; 3] {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Release);
        });
        assert_eq!(schedule.waiting(), 0);
    }

    #[test]
    fn cameras_of_one_priority_get_equal_shares_of_the_work() {
        let (schedule, _) = schedule(&[Priority::Normal; 2]);
        (0..2).for_each(|camera| schedule.wake(camera));
        let order = served(&schedule, 80, |camera| if camera == 0 { 3 } else { 1 });
        let turns = order.iter().filter(|camera| **camera == 0).count();
        assert!((19..=21).contains(&turns), "a camera of threefold cost gets a third of the turns: {turns} of 80");
    }

    #[test]
    fn idling_is_no_credit() {
        let (schedule, _) = schedule(&[Priority::Normal; 2]);
        schedule.wake(0);
        served(&schedule, 100, |_| 1);
        schedule.wake(1);
        let order = served(&schedule, 10, |_| 1);
        assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "they take turns at once: {order:?}");
    }

    #[test]
    fn what_can_wait_comes_behind_what_is_live() {
        let (schedule, _) = schedule(&[Priority::High, Priority::Normal]);
        schedule.wake(0);
        schedule.serve(NOW, |_| Turn { more: true, cost: 1, next: When::Later });
        schedule.wake(1);
        assert_eq!(served(&schedule, 1, |_| 1), [1]);
    }

    #[test]
    fn what_can_wait_for_a_moment_is_served_in_the_order_in_which_it_came() {
        let (schedule, clock) = schedule(&[Priority::Normal; 4]);
        for camera in [2, 0, 1] {
            schedule.wake(camera);
            schedule.serve(NOW, |_| Turn { more: false, cost: 1, next: When::Soon });
        }
        for camera in [1, 0, 2, 3] {
            clock.advance(Duration::from_millis(10));
            schedule.wake(camera);
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            schedule.serve(NOW, |camera| {
                order.push(camera);
                Turn::IDLE
            });
        }
        assert_eq!(order, [3, 1, 0, 2]);
    }

    #[test]
    fn what_can_wait_is_done_one_after_the_other() {
        let (schedule, clock) = schedule(&[Priority::Normal; 3]);
        let later = |_| Turn { more: true, cost: 1, next: When::Later };
        // Camera 1 came first.
        for camera in [1, 0, 2] {
            clock.advance(Duration::from_millis(10));
            schedule.wake(camera);
            schedule.serve(NOW, later);
        }
        let mut order = Vec::new();
        for _ in 0..5 {
            schedule.serve(NOW, |camera| {
                order.push(camera);
                later(camera)
            });
        }
        schedule.serve(NOW, |_| Turn { more: false, ..later(0) });
        schedule.serve(NOW, |camera| {
            order.push(camera);
            later(camera)
        });
        assert_eq!(order, [1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn priority_comes_first_and_nobody_starves() {
        let (schedule, clock) = schedule(&[Priority::Low, Priority::High, Priority::Normal]);
        (0..3).for_each(|camera| schedule.wake(camera));
        assert_eq!(served(&schedule, 5, |_| 1), [1; 5]);
        clock.advance(PATIENCE);
        let order = served(&schedule, 3, |_| 1);
        assert!(order.contains(&0) && order.contains(&2), "{order:?}");
    }
}
