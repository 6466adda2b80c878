//! Watching: encoded pictures to findings, for every camera, on a few fixed threads.

mod sampler;
mod slot;
mod turn;

pub use sampler::Sampler;
pub use slot::Slot;
pub use turn::Turns;
