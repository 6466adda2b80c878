//! Evidence with real models, real pictures and a real file system.

mod files;
mod still;
mod support;
mod worker;
