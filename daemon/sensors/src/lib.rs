//! The protocols that sensors speak, one module each: from sockets and serial lines to samples.
//!
//! ```text
//! MQTT · HTTP · Modbus · HJ 212 · SL 651 · GB/T 26875.3 ─► samples ─► intake
//! ```
//!
//! An adapter owns its connections and nothing else: what a value is worth and what follows from it is decided by whoever
//! reads the other end of the [`intake`]. Every adapter promises:
//! - **One bad sensor takes nothing else down.** Its messages are refused by name, its connection is closed or tried again
//!   with growing pauses; other sensors on the same adapter go on.
//! - **Bounded.** Messages, connections, and waits have limits. When the intake is full an adapter waits, and with it, by
//!   way of TCP, whoever sends: nothing that was acknowledged is lost.
//! - **Nothing is believed for its looks**: a message counts for the sensor that its address, token or topic names in the
//!   configuration, and for no other.

// Tests may say what they expect.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod gbt26875;
pub mod hj212;
pub mod http;
pub mod intake;
mod listening;
pub mod modbus;
pub mod mqtt;
mod refusals;
pub mod sl651;
pub mod spec;
mod station;

pub use station::Listen;
