//! Why rules tell of things or do not. There is no counter: it is said only where somebody has asked for it.

use std::fmt::Display;

use tracing::{Level, debug, enabled};

/// Log target under which it is said, at the level `debug`.
const TARGET: &str = "snowgate::explain";

/// Something was said of a thing.
pub struct Explained<'a, L> {
    /// The camera.
    pub camera: &'a str,
    /// What was said.
    pub line: L,
}

impl<L: Display> Explained<'_, L> {
    /// Whether anybody wants to know.
    pub fn is_wanted() -> bool {
        enabled!(target: TARGET, Level::DEBUG)
    }

    /// Logs it.
    pub fn emit(self) {
        debug!(target: TARGET, camera = self.camera, "{}", self.line);
    }
}
