//! One SQLite file, one writer: what must survive.

pub mod spec;
