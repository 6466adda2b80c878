//! What the benchmarks are made of: `benches/` holds the micro-benchmarks, [`scale`] measures the whole daemon under load,
//! [`serve`] is the cameras it measures with.

pub mod scale;
pub mod serve;
