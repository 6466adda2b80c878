//! One camera's life: receive, GOP ring, gate, decode, health.

pub mod pixels;
pub mod spec;
