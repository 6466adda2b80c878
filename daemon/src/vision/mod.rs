//! From decoded pictures to tracks.
//!
//! ```text
//! Pixels ─► motion ─► regions ─► preprocess ─► model ─► decoders ─► nms ─► tracker ─► tracks
//!              ▲          ▲          ▲                                        │
//!            masks        └──────────┼────────── predicted boxes ◄────────────┘
//!              └─────────────────────┘
//! ```
//!
//! [`analyser::Analyser`] is one camera's vision: it holds all state and is deterministic, the same pictures give the
//! same tracks. Models are not part of it: [`model::Models`] belongs to the thread that infers, because a session
//! runs one picture at a time, and any number of analysers may take turns with it.
//!
//! Nothing here allocates per picture once buffers have grown to their size, except inside ONNX Runtime. Everything
//! a model or a picture can make grow is bounded.

pub mod analyser;
mod attention;
pub mod decoders;
pub mod execution;
pub(crate) mod graph;
pub mod manifest;
pub(crate) mod manifest_file;
pub mod masks;
pub mod model;
pub mod model_file;
mod models;
pub mod motion;
pub mod nms;
pub mod preprocess;
pub mod regions;
pub mod runtime;
pub mod scene;
pub mod sharpness;
pub mod spec;
pub mod tracker;
