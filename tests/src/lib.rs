//! What end-to-end tests and the demo play against, and the demo itself: an embedded broker, a subscriber that plays
//! the grid system, and the real daemon as a child process.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod daemon;
pub mod embedded_broker;
pub mod grid_system;
pub mod http;
pub mod metrics;

use std::path::{Path, PathBuf};

/// The clone's root: where `configs/`, `assets/` and `models/` are.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}
