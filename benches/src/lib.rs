//! What the benchmarks are made of: `benches/` holds the micro-benchmarks, `bin/scale.rs` the load harness.

// Tests may say what they expect.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod serve;
