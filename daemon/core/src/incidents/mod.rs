//! Incidents: what becomes of findings.

pub mod grid;
pub mod spec;

pub use grid::GridTree;
pub use spec::{Locale, Severity};
