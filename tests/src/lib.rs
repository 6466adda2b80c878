//! What the end-to-end tests and the demo play against: cameras, brokers, a subscriber, a bad network.

// Servers for tests may say what they expect.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod broker;
pub mod encode;
pub mod proxy;
pub mod reporter;
pub mod rtsp;
pub mod scripted_broker;
pub mod subscriber;
pub mod wait;
