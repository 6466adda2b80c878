//! The line in which requests for stills wait.
//!
//! It holds [`QUEUE`] of them and [`QUEUE_BYTES`] of pictures, which is more than most boxes have cameras: when the lights go
//! out along a street, every camera's incident gets its still. Those of the highest priority are made first, and of these
//! the one that came first. Overflow policy `lowest_gives_way`: a request that finds the line full takes the place of the
//! newest ones of the lowest priority, if that is lower than its own, and is refused otherwise. Whoever gets no still is
//! counted.

use std::{
    fmt::Display,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use snowgate_core::{priority::Priority, time::Mono};

use super::still::{HasPixels, StillRequest};
use crate::events::evidence::StillRefused;

/// How many requests wait at the most; each holds a picture, and with it a buffer of its decoder.
pub const QUEUE: usize = 48;

/// How many bytes of pictures wait when no further one is taken: 43 of 1920×1080, 10 of 3840×2160.
pub const QUEUE_BYTES: usize = 128 << 20;

/// Where stills are asked for; clones are the same line.
#[derive(Debug)]
pub struct StillQueue<P>(Arc<Entrance<P>>);

impl<P> Clone for StillQueue<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Closes the line when the last one who could ask is gone.
#[derive(Debug)]
struct Entrance<P>(Arc<Line<P>>);

/// Where requests are taken from; the line is closed when it is gone.
#[derive(Debug)]
pub(super) struct StillServer<P>(Arc<Line<P>>);

/// What there is to serve.
pub(super) enum Next<P> {
    /// A request. It counts as waiting until it is [done](StillServer::done).
    Request(StillRequest<P>),
    /// Nothing has come in time.
    Nothing,
    /// Nothing will come any more.
    Over,
}

#[derive(Debug)]
struct Line<P> {
    waiting: Mutex<Waiting<P>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Waiting<P> {
    /// In the order in which they came.
    requests: Vec<StillRequest<P>>,
    /// Bytes of their pictures, and of the one that is looked at.
    bytes: usize,
    /// Whether anybody may still ask, and whether anybody serves.
    is_open: bool,
    is_served: bool,
}

/// A line, from both of its ends.
pub(super) fn line<P>() -> (StillQueue<P>, StillServer<P>) {
    let requests = Vec::with_capacity(QUEUE);
    let waiting = Mutex::new(Waiting { requests, bytes: 0, is_open: true, is_served: true });
    let line = Arc::new(Line { waiting, arrived: Condvar::new() });
    (StillQueue(Arc::new(Entrance(Arc::clone(&line)))), StillServer(line))
}

impl<P: HasPixels> StillQueue<P> {
    /// Whether a request would be taken just now without any other giving way.
    pub fn has_room(&self) -> bool {
        !self.0.0.lock().is_full()
    }

    /// Whether any still waits or is being made.
    pub fn is_busy(&self) -> bool {
        let waiting = self.0.0.lock();
        !waiting.requests.is_empty() || waiting.bytes > 0
    }

    /// Asks for a still, without waiting. When the line is full and no other request gives way it is refused and counted:
    /// `false`.
    pub fn request(&self, request: StillRequest<P>) -> bool {
        let line = &self.0.0;
        let mut turned_away = Vec::new();
        let is_taken = line.lock().take(request, &mut turned_away);
        line.arrived.notify_one();
        for TurnedAway { request, reason, error } in turned_away {
            refuse(&request, reason, &error);
        }
        is_taken
    }
}

impl<P> Drop for Entrance<P> {
    fn drop(&mut self) {
        self.0.lock().is_open = false;
        self.0.arrived.notify_one();
    }
}

impl<P: HasPixels> StillServer<P> {
    /// The request whose turn it is, of those that are due now; waits for one to come for so long, or for one to become due.
    pub(super) fn next(&self, now: Mono, patience: Duration) -> Next<P> {
        let is_due = |request: &&StillRequest<P>| request.is_due(now);
        let is_idle = |waiting: &mut Waiting<P>| !waiting.requests.iter().any(|r| is_due(&r)) && waiting.is_open;
        let waited = self.0.arrived.wait_timeout_while(self.0.lock(), patience, is_idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // Of equal ones the first that came.
        // Once nobody asks any more there will be no better pictures either.
        let is_open = waiting.is_open;
        let served = waiting.requests.iter().enumerate().filter(|(_, request)| !is_open || is_due(request));
        let first = served.min_by_key(|(_, request)| request.priority);
        match first.map(|(index, _)| index) {
            Some(index) => Next::Request(waiting.requests.remove(index)),
            None if waiting.is_open => Next::Nothing,
            None => Next::Over,
        }
    }

    /// A request has been served.
    pub(super) fn done(&self, request: &StillRequest<P>) {
        self.0.lock().bytes -= bytes(request);
    }
}

impl<P> StillServer<P> {
    /// Nobody serves any more; what waits is handed back.
    pub(super) fn close(&self) -> Vec<StillRequest<P>> {
        let mut waiting = self.0.lock();
        waiting.is_served = false;
        std::mem::take(&mut waiting.requests)
    }
}

impl<P> Drop for StillServer<P> {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl<P> Line<P> {
    fn lock(&self) -> MutexGuard<'_, Waiting<P>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that gets no still.
struct TurnedAway<P> {
    request: StillRequest<P>,
    reason: &'static str,
    error: &'static str,
}

impl<P> Waiting<P> {
    fn is_full(&self) -> bool {
        !has_room(self.requests.len(), self.bytes)
    }
}

impl<P: HasPixels> Waiting<P> {
    /// Takes a request, if there is room or others give way; whoever gets no still because of that is `turned_away`.
    fn take(&mut self, request: StillRequest<P>, turned_away: &mut Vec<TurnedAway<P>>) -> bool {
        let refusal = match (self.is_served, self.could_make_room(request.priority)) {
            (false, _) => Some(("stopping", "the daemon stops")),
            (true, false) => Some(("queue_full", "too many stills are wanted at once")),
            (true, true) => None,
        };
        if let Some((reason, error)) = refusal {
            turned_away.push(TurnedAway { request, reason, error });
            return false;
        }
        while self.is_full() {
            let lowest = self.requests.iter().enumerate().max_by_key(|(_, request)| request.priority);
            let Some(index) = lowest.map(|(index, _)| index) else { break };
            let request = self.requests.remove(index);
            self.bytes -= bytes(&request);
            let error = "the line is full, and what came later has a higher priority";
            turned_away.push(TurnedAway { request, reason: "gave_way", error });
        }
        self.bytes += bytes(&request);
        self.requests.push(request);
        true
    }

    /// Whether there were room if every request of a lower priority gave way.
    fn could_make_room(&self, priority: Priority) -> bool {
        let lower = self.requests.iter().filter(|request| request.priority > priority);
        let (count, bytes) = lower.fold((0, 0), |(count, sum), request| (count + 1, sum + bytes(request)));
        has_room(self.requests.len() - count, self.bytes - bytes)
    }
}

const fn has_room(requests: usize, bytes: usize) -> bool {
    requests < QUEUE && bytes < QUEUE_BYTES
}

fn bytes<P: HasPixels>(request: &StillRequest<P>) -> usize {
    request.picture.pixels().bytes()
}

/// Tells that an incident goes without a still.
pub(super) fn refuse<P>(request: &StillRequest<P>, reason: &'static str, error: &dyn Display) {
    StillRefused { incident: request.of.incident, camera: &request.camera, reason, error }.emit();
}
