//! Sensors.

pub mod spec;
