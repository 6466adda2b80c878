//! `snowgate export-state` and `snowgate import-state`: a box is swapped in the field, or backed up.

mod export;
mod import;

use std::{
    io::{self, Write as _},
    path::Path,
};

use serde::Serialize;

pub(super) use self::{export::ExportState, import::ImportState};
use super::{Format, exit::Exit, print_json};
use crate::handover::{HandoverError, Manifest};

/// What was taken or put, as it is printed.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    gateway: &'a str,
    taken_at: jiff::Timestamp,
    handed_over: bool,
    files: usize,
    bytes: u64,
}

impl<'a> Report<'a> {
    fn new(file: &'a Path, manifest: &'a Manifest) -> Self {
        let Manifest { gateway, taken_at, handed_over, files, .. } = manifest;
        let (taken_at, handed_over, files) = (*taken_at, *handed_over, files.len());
        Self { file, gateway, taken_at, handed_over, files, bytes: manifest.bytes() }
    }

    /// Prints it, and for people what comes next.
    fn print(&self, format: Format, done: &str, next: &str) -> io::Result<()> {
        if format == Format::Json {
            return print_json(self);
        }
        let Self { file, gateway, taken_at, files, bytes, .. } = self;
        let mut out = io::stdout().lock();
        writeln!(out, "{}: {done}", file.display())?;
        writeln!(out, "gateway {gateway}, taken at {taken_at}: {files} files, {bytes} bytes")?;
        writeln!(out, "{next}")
    }
}

fn told(error: &HandoverError) -> Exit {
    eprintln!("snowgate: {error}");
    match error {
        HandoverError::Store(_) => Exit::Unavailable,
        HandoverError::File { .. } => Exit::Io,
        HandoverError::Damaged { .. } | HandoverError::OtherGateway { .. } => Exit::BadData,
        HandoverError::Nothing(_)
        | HandoverError::Exists(_)
        | HandoverError::Strange(_)
        | HandoverError::Occupied(_) => Exit::Usage,
    }
}
