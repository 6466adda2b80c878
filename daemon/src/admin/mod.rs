//! The admin interface: metrics and health over HTTP, on a thread of its own.

pub mod spec;
