//! What the anomaly detectors of sensors are worth, measured on the Numenta Anomaly Benchmark.

// Tests may say what they expect.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod contenders;
pub mod measure;
pub mod nab;
pub mod report;
