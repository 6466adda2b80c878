//! Rules: pure functions from observations to findings.

pub mod spec;
