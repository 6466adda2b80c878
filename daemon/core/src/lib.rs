//! Snowgate's pure part: no threads, no files, no native libraries. Observations and readings go in, findings, alarms and
//! incident revisions come out, and the same input always gives the same output.

// Tests may say what they expect.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backoff;
pub mod calendar;
pub mod geometry;
pub mod hex;
pub mod ids;
pub mod incidents;
pub mod joined;
pub mod observation;
pub mod priority;
pub mod rate;
pub mod retention;
pub mod rules;
pub mod scene;
pub mod schedule;
pub mod secret;
pub mod sensor;
pub mod severity;
pub mod spec;
pub mod suggest;
pub mod time;
