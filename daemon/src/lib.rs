//! Snowgate: watches a township's cameras and reports what needs a person's attention over MQTT.
//!
//! The way of the data is the way through the modules: [`camera`] → [`vision`] → rules and incidents (in
//! `snowgate_core`) → [`store`] → [`uplink`]. `run` wires them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admin;
pub mod camera;
pub mod cli;
pub mod clock;
pub mod config;
pub mod current;
pub mod durable;
pub mod events;
pub mod evidence;
pub mod export;
pub mod handover;
pub mod health;
pub mod learn;
pub mod messages;
pub mod reporting;
pub mod run;
pub mod sensor;
pub mod shutdown;
pub mod signing;
pub mod store;
pub mod uplink;
pub mod uptime;
pub mod verify;
pub mod vision;
pub mod watch;
