//! Sensors, the pure part: what their frames say. Sockets and serial ports live in the daemon.

pub mod codec;
