//! Watching: encoded pictures to findings, for every camera, on a few fixed threads.
//!
//! ```text
//! ring ─► pulse ─► decoding (the gate) ─► slot ─► inference ─► watcher ─► findings
//!           ▲          schedule │                  schedule                  ▲
//!           │                   └── key frames ─► scene, anomaly ────────────┘
//!           └──────────────── overload ────────────────┘
//! ```
//!
//! [`camera`] is one camera's path, whoever drives it: the [`workers`]' threads live, replay on its own. [`roster`] is who is
//! watched just now; a reload puts another one in its place. [`overload`] is the policy for when the box has more to do than
//! it can.

mod anomaly;
mod asked;
pub mod best;
mod cadence;
mod camera;
mod decoders;
mod decoding;
mod inference;
mod keeper;
pub mod lookout;
pub mod overload;
mod packet_sizes;
mod pulse;
mod room;
mod roster;
mod sampler;
mod scene;
pub mod schedule;
mod slot;
mod watcher;
mod workers;

pub use anomaly::{AnomalySettings, AnomalyWatch};
pub use cadence::Fallback;
pub use camera::{Judgement, Tools, Watched};
pub use decoders::{DecoderPool, LookDecoders};
pub use decoding::{GateState, Offered};
pub use inference::{Outcome, Urgency};
pub use packet_sizes::Informative;
pub use scene::{SceneTold, SceneWatch, samples};
pub use watcher::{Seen, Watcher};
pub use workers::Workers;

use sampler::Sampler;
use slot::Slot;
