//! Sensors: what their protocols deliver is judged here, on one thread, in the order in which it arrives.
//!
//! ```text
//! adapters (snowgate_sensors) ─► intake ─► judge: unit, quality, anomaly, rules ─► alarms
//!                                            ├─► state (retained on MQTT)
//!                                            └─► telemetry (batches)
//! ```
//!
//! - **No alarm is lost.** Rules hear every reading, of a flooding sensor too. When the judge waits (the disk is full), the
//!   intake fills, adapters wait, and whoever sends is held up: nothing is acknowledged that was not taken.
//! - **A model takes nothing down.** One that fails is named once and counted; its quantities go without a score.
//! - **One sensor costs the others nothing.** What a sensor sends beyond its limit is neither scored nor published, and the
//!   sensor is named.

mod allowance;
pub mod asked;
pub mod judge;
pub mod manifest;
pub mod model;
pub mod spec;
pub mod state;
mod telemetry;

pub use telemetry::{Batch, Readings, Telemetry};
