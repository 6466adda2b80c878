//! The Numenta Anomaly Benchmark: its series and its scorer. The data is not part of the project; see [`corpus`] for the
//! layout that is expected.

pub mod corpus;
pub mod scorer;
