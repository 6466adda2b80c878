//! Sensors: what they say ([`reading`]), in which [`unit`], whether it can be relied upon ([`quality`]), and what is to be
//! told of it ([`rules`]).
//!
//! ```text
//! adapter ─► sample ─► quality ─► anomaly ─► rules ─► alarms
//! ```
//!
//! All of it is pure: protocols, sockets and clocks are elsewhere.

pub mod json;
pub mod quality;
pub mod reading;
pub mod rules;
pub mod unit;
