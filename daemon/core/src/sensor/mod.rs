//! Sensors, the pure part: what is made of readings once a protocol has delivered them.

pub mod anomaly;
