//! Benchmarks: micro-benchmarks of the hot path (see `benches/`), and [`scale`], the load harness of the whole daemon.

pub mod scale;
