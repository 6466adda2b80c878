//! How bad an incident is.

use crate::choice;

choice! {
    /// How bad it is. From `major` on, an incident starts at a higher level of the grid (越级上报).
    pub enum Severity {
        /// Worth knowing.
        Minor = "minor",
        /// Worth a visit.
        Ordinary = "ordinary",
        /// Worth the township's attention at once.
        Major = "major",
        /// Lives may depend on it.
        Critical = "critical",
    }
}
