//! What is exchanged whole while others go on using it: a reload puts something new in its place.

use std::sync::{Arc, PoisonError, RwLock};

/// The newest of something; clones share it. Whoever has got one may go on with it while there is a newer one.
#[derive(Debug)]
pub struct Current<T>(Arc<RwLock<Arc<T>>>);

impl<T> Current<T> {
    /// With this to begin with.
    pub fn new(first: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(first))))
    }

    /// What is the newest now. Waits for nobody but who is just putting a newer one there.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a newer one in its place; answers what was there.
    pub fn set(&self, newer: T) -> Arc<T> {
        std::mem::replace(&mut self.0.write().unwrap_or_else(PoisonError::into_inner), Arc::new(newer))
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
