//! Signals, and stopping: joining everything under one deadline that names who missed it.

use std::{
    io,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::reload::ReloadWish;
use crate::shutdown::Shutdown;

/// How often a thread that has not ended yet is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Starts the thread that hears signals. SIGHUP wishes a reload, where there is something to reload; SIGTERM or SIGINT stops the daemon in order, and a second one
/// at once.
///
/// # Errors
/// Signals cannot be heard, or no thread could be had.
pub fn on_signals(shutdown: Shutdown, reload: Option<ReloadWish>) -> io::Result<()> {
    let hangup = reload.as_ref().map(|_| SIGHUP);
    let mut signals = Signals::new([SIGTERM, SIGINT].into_iter().chain(hangup))?;
    let hear = move || {
        for signal in signals.forever() {
            if let (SIGHUP, Some(reload)) = (signal, &reload) {
                reload.wish();
                continue;
            }
            if shutdown.is_triggered() {
                tracing::warn!(signal, "second signal: exiting at once");
                // As shells report a process that a signal ended.
                std::process::exit(128 + signal);
            }
            tracing::info!(signal, "stopping");
            shutdown.trigger();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(hear).map(drop)
}

/// Joins threads until a deadline.
pub struct Stopping {
    deadline: Instant,
    missed: Vec<String>,
}

impl Stopping {
    /// Everything must have ended so long from now.
    pub fn within(limit: Duration) -> Self {
        Self { deadline: Instant::now() + limit, missed: Vec::new() }
    }

    /// Waits for a thread until the deadline.
    pub fn join(&mut self, name: &str, thread: JoinHandle<()>) {
        self.missed.extend(self.join_in_time(name, thread).map(|(name, _)| name));
    }

    /// Waits for a thread until the deadline; gives it back if it goes on.
    pub fn join_in_time(&self, name: &str, thread: JoinHandle<()>) -> Option<(String, JoinHandle<()>)> {
        while !thread.is_finished() {
            if Instant::now() >= self.deadline {
                return Some((name.to_owned(), thread));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        if thread.join().is_err() {
            tracing::error!(thread = name, "thread ended by a panic");
        }
        None
    }

    /// Time that is left.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Somebody else did not end in time.
    pub fn missed(&mut self, name: &str) {
        self.missed.push(name.to_owned());
    }

    /// Logs who missed the deadline; answers whether nobody did.
    pub fn finish(self) -> bool {
        if !self.missed.is_empty() {
            tracing::error!(threads = self.missed.join(", "), "did not stop in time");
        }
        self.missed.is_empty()
    }
}
