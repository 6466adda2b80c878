//! Clips of incidents: what a camera has sent, as it came, from before the incident began until after it was over.
//!
//! ```text
//! GOP ring ─► mux: fragmented MP4 ─► seal: age
//! ```

mod boxes;
pub mod mux;
mod nal;
pub mod seal;
pub mod spec;
#[cfg(test)]
mod testing;
