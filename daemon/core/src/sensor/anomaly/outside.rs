//! What may take a detector's place from outside this crate: a model that was trained elsewhere. Running one takes a
//! library, a file and a format; here is only what a sensor's path needs of it.

use std::fmt;

use crate::ids::Id;

/// A model that scores the readings of one quantity.
pub trait ModelDetector: fmt::Debug + Send {
    /// Takes a reading in, and says how unusual it is, 0 to 1. `None`: it cannot say, for too few have come or because
    /// something is wrong with it.
    fn observe(&mut self, value: f64) -> Option<f64>;
}

/// The models there are.
pub trait Models {
    /// A detector of its own for one quantity, by a model of this name; `None` if there is no such model.
    fn detector(&self, model: &Id) -> Option<Box<dyn ModelDetector>>;
}

/// For where there are none.
#[derive(Debug, Clone, Copy)]
pub struct NoModels;

impl Models for NoModels {
    fn detector(&self, _: &Id) -> Option<Box<dyn ModelDetector>> {
        None
    }
}
