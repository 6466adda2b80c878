//! A better picture for a still that can wait for it.
//!
//! Whoever asks for a still of something that has just begun may find a better picture of it a moment later. Request and watcher
//! share a [`Retake`]: the watcher puts better pictures there until it closes it, and the still is made of the last one, once it
//! is closed or due. It holds one picture at the most.

use std::sync::{Mutex, MutexGuard, PoisonError};

use snowgate_core::{geometry::Rect, rules::Subject, time::Mono};

/// What a still is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Take<P> {
    /// The picture.
    pub picture: P,
    /// When it was taken.
    pub at: Mono,
    /// What the incident is about, where it is in this picture.
    pub subjects: Vec<Subject>,
    /// Every person followed in it.
    pub people: Vec<Rect>,
}

/// Where a better picture may be put.
#[derive(Debug)]
pub struct Retake<P> {
    due: Mono,
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    better: Option<Take<P>>,
    is_closed: bool,
}

impl<P> Retake<P> {
    /// One that is waited for until then.
    pub fn new(due: Mono) -> Self {
        Self { due, state: Mutex::new(State { better: None, is_closed: false }) }
    }

    /// Puts a better picture in the place of what there is.
    pub fn put(&self, take: Take<P>) {
        let mut state = self.lock();
        if !state.is_closed {
            state.better = Some(take);
        }
    }

    /// There will be none better.
    pub fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Whether it is waited for no longer.
    pub fn is_due(&self, now: Mono) -> bool {
        now >= self.due || self.lock().is_closed
    }

    /// Takes the better picture, if there is one; from now on none is taken in.
    pub fn take(&self) -> Option<Take<P>> {
        let mut state = self.lock();
        state.is_closed = true;
        state.better.take()
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(picture: &str) -> Take<&str> {
        Take { picture, at: Mono(0), subjects: Vec::new(), people: Vec::new() }
    }

    #[test]
    fn the_last_picture_that_was_put_there_in_time_is_taken() {
        let retake = Retake::new(Mono(10));
        assert!(!retake.is_due(Mono(9)) && retake.is_due(Mono(10)));
        retake.put(take("better"));
        retake.put(take("best"));
        retake.close();
        assert!(retake.is_due(Mono(0)));
        retake.put(take("late"));
        assert_eq!(retake.take(), Some(take("best")));
        assert_eq!(retake.take(), None);
    }

    #[test]
    fn what_comes_after_it_was_taken_is_let_go() {
        let retake = Retake::new(Mono(10));
        assert_eq!(retake.take(), None);
        retake.put(take("late"));
        assert_eq!(retake.take(), None);
    }
}
