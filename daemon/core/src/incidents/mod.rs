//! Incidents: what becomes of findings.

pub mod spec;

pub use spec::{Locale, Severity};
