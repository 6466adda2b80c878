//! The place between decoding and inference: it holds one picture, and the newest wins.

use std::sync::{Mutex, PoisonError};

/// A place for one item. Overflow policy `drop_oldest`: what nobody has taken gives way, and the giver learns of it.
#[derive(Debug)]
pub struct Slot<T>(Mutex<Option<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Slot<T> {
    /// Puts the item in; answers the one that had to give way.
    #[must_use = "what gave way must be counted"]
    pub fn put(&self, item: T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(item)
    }

    /// Whether it holds an item.
    pub fn is_taken(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes the item out, if there is one.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
