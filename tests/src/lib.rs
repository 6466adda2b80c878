//! What the end-to-end tests and the demo play against: cameras, brokers, a grid system, a bad network; and the
//! demo's own parts.

// Servers for tests may say what they expect.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod clips;
pub mod contract;
pub mod daemon;
pub mod demo;
pub mod embedded_broker;
pub mod encode;
pub mod faults;
pub mod grid_system;
pub mod http;
pub mod media_gateway;
pub mod metrics;
pub mod proxy;
#[cfg(test)]
mod readme;
pub mod reporter;
pub mod rtsp;
pub mod scripted_broker;
pub mod site;
pub mod subscriber;
pub mod wait;

use std::path::{Path, PathBuf};

/// The clone's root: where `configs/`, `assets/` and `models/` are.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}
