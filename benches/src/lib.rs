//! What the benchmarks are made of: `benches/` holds the micro-benchmarks, `bin/scale.rs` the load harness.

pub mod serve;
