//! Micro-benchmarks of the hot path; see `benches/`.
