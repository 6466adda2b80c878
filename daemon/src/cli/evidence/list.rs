//! `snowgate evidence list`: what lies on the box.

use std::io::{self, Write as _};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use snowgate_core::ids::{Id, IncidentId};

use super::{Place, told};
use crate::{
    cli::{Format, exit::Exit, print_json},
    evidence::{
        archive::{self, Folder},
        files::EVIDENCE,
        manifest::{ManifestFile, Signed},
    },
};

/// Arguments of `snowgate evidence list`.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// Only that of this camera.
    #[arg(long, value_name = "ID")]
    camera: Option<Id>,
    /// Only that of this category.
    #[arg(long, value_name = "ID")]
    category: Option<Id>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// The evidence of an incident, as it is printed.
#[derive(Serialize)]
struct Line {
    incident: IncidentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Id>,
    /// Whether it is kept until it is released.
    held: bool,
    files: Vec<ManifestFile>,
    /// Why it is not known what lies there.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<Folder> for Line {
    fn from(Folder { incident, manifest, hold, .. }: Folder) -> Self {
        let held = hold.is_some();
        match manifest {
            Ok(Signed { manifest, .. }) => Self {
                incident,
                category: Some(manifest.of.category),
                rule: Some(manifest.of.rule),
                held,
                files: manifest.files,
                error: None,
            },
            Err(error) => {
                Self { incident, category: None, rule: None, held, files: Vec::new(), error: Some(error.to_string()) }
            }
        }
    }
}

impl List {
    /// Prints it, the oldest incident first.
    pub(super) fn run(self) -> Result<(), Exit> {
        let (_, data) = self.place.load()?;
        let folders = archive::folders(&data.join(EVIDENCE)).map_err(|error| told(&error, Exit::Io))?;
        let of_category =
            |line: &Line| self.category.as_ref().is_none_or(|category| line.category.as_ref() == Some(category));
        let of_camera = |file: &ManifestFile| {
            self.camera.as_ref().is_none_or(|camera| file.evidence.camera.as_ref() == Some(camera))
        };
        let lines = folders.map(Line::from).filter(of_category).filter_map(|mut line| {
            line.files.retain(of_camera);
            (self.camera.is_none() || !line.files.is_empty()).then_some(line)
        });
        match self.format {
            Format::Json => print_json(&lines.collect::<Vec<_>>()),
            Format::Human => print(lines),
        }
        .map_err(|_| Exit::Io)
    }
}

fn print(lines: impl Iterator<Item = Line>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Line { incident, category, held, files, error, .. } in lines {
        let held = if held { "  held" } else { "" };
        let category = category.as_ref().map_or("-", Id::as_str);
        writeln!(out, "{incident}  {category}{held}{}", error.map(|error| format!("  {error}")).unwrap_or_default())?;
        for ManifestFile { evidence, deleted } in files {
            let camera = evidence.camera.as_ref().map_or("-", Id::as_str);
            let taken: Timestamp = evidence.taken.wall;
            let gone = deleted.map(|deleted| format!("  deleted ({})", deleted.reason.as_str())).unwrap_or_default();
            writeln!(out, "  {:24} {:>12} bytes  {taken:.0}  {camera}{gone}", evidence.name, evidence.bytes)?;
        }
    }
    out.flush()
}
