//! From frames to detections to tracks.

pub mod spec;
