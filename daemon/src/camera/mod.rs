//! One camera's life: receive, GOP ring, gate, decode, health.
//!
//! [`receive`] turns an RTSP stream into numbered [`access_unit`]s and puts them into a [`gop_ring`]; it never decodes.
//! Whoever wants pictures reads the ring and pushes what it reads into a synchronous decoder ([`decode`]) on a thread
//! of its own. [`clip`] gives the same access units from a file. [`health`] says how the camera is, and why. [`onvif`] finds cameras whose address nobody knows.

pub mod access_unit;
pub mod address;
pub mod clip;
pub mod decode;
pub mod gop_ring;
pub mod health;
mod http_agent;
pub mod observe;
pub mod onvif;
mod patience;
pub mod picture;
pub mod pixels;
pub mod reach;
pub mod receive;
pub mod spec;
mod stream;
mod text;
