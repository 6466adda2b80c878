//! Watching: encoded pictures to findings, for every camera, on a few fixed threads.

mod decoding;
mod sampler;
mod slot;
mod turn;
mod watcher;
mod workers;

pub use decoding::Decoding;
pub use sampler::Sampler;
pub use slot::Slot;
pub use turn::Turns;
pub use watcher::{Seen, Watcher};
pub use workers::{Watched, Workers};
