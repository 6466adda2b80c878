//! The servers that the end-to-end tests and the demo play against, what tests share, and the demo's own parts.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod daemon;
pub mod demo;
pub mod embedded_broker;
pub mod encode;
pub mod grid_system;
pub mod http;
pub mod metrics;
#[cfg(test)]
mod readme;
pub mod rtsp;
pub mod wait;

use std::path::{Path, PathBuf};

/// The clone's root: where `configs/`, `assets/` and `models/` are.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}
