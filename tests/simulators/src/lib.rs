//! Sensors, slaves, stations and a camera as simulators: each speaks its protocol from the other side over a real socket or line, for
//! tests and for the demo. One module a protocol; with them the [`broker`] that MQTT needs in between, and [`noise`].

pub mod allocations;
pub mod broker;
pub mod gbt26875;
pub mod hj212;
pub mod http;
pub mod line;
pub mod modbus;
pub mod mqtt;
pub mod noise;
pub mod onvif;
pub mod sl651;
