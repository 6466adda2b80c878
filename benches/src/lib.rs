//! What the benchmarks are made of: `benches/` holds the micro-benchmarks, [`scale`] measures the whole daemon under load,
//! [`serve`] is the cameras it measures with.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod scale;
pub mod serve;
