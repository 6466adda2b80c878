//! Sensors, the pure part: what is made of readings once a protocol has delivered them.
//!
//! ```text
//! message ─► sample ─► unit ─► quality ─► anomaly ─► rules ─► alarms
//! ```
//!
//! [`watch`] is that path for one sensor, live or in replay; sockets, files and clocks are elsewhere.

pub mod anomaly;
pub mod codec;
pub mod json;
pub mod quality;
pub mod reading;
pub mod rules;
pub mod spec;
pub mod unit;
pub mod watch;
