//! The servers that the end-to-end tests and the demo play against, and what tests share.

pub mod encode;
pub mod rtsp;
pub mod wait;
