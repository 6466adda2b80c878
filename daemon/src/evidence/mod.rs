//! Evidence of incidents: stills with every face and head covered.
//!
//! ```text
//! StillRequest ─► worker ─► still: find areas (cover) ─► cover ─► annotate ─► JPEG (canvas) ─► files ─► StillReady
//! ```
//!
//! What this module promises:
//!
//! - **Nothing leaves unredacted.** [`still::StillMaker`] is the only way from pixels to a JPEG. A picture can only be
//!   encoded by a type that is made by covering it, and the areas to cover can only be had from models that ran
//!   through without an error. Whatever fails, the outcome is no still.
//! - **Covering is irrecoverable.** Covered areas are filled with one colour at full resolution, before anything is
//!   scaled, drawn or compressed.
//! - **The disk never fills.** [`files::EvidenceFiles`] holds a quota, a greatest age and a reserve of free space.
//! - **Nobody waits for it.** Requests queue in a short line of fixed length, the more important ones first, and too many are
//!   refused and counted.

pub mod access_log;
pub mod archive;
mod canvas;
pub mod clip;
mod cover;
pub mod detectors;
pub mod export;
pub mod files;
pub mod hold;
pub mod keeper;
mod line;
pub mod manifest;
pub mod overlay;
mod partial;
pub mod proof;
pub mod provenance;
pub mod retake;
mod shelf;
pub mod spec;
pub mod still;
mod tiles;
pub mod worker;

pub use cover::{Find, FindError};
pub use partial::PartialFile;
