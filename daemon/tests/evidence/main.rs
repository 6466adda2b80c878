//! Evidence with real models, real pictures and a real file system.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod files;
mod proof;
mod retention;
mod still;
mod support;
mod worker;
