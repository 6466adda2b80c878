//! `snowgate evidence export`: evidence leaves the box, and who took it stands in the access log.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use snowgate_core::{ids::IncidentId, time::Stamp};

use super::{Asker, Desk, Place, told};
use crate::{
    cli::{Format, exit::Exit, print_json},
    evidence::{
        access_log::{AccessedFile, Action},
        export::{ExportError, export},
    },
};

/// Arguments of `snowgate evidence export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The incidents whose evidence is taken.
    #[arg(value_name = "INCIDENT", required = true, value_parser = super::incident)]
    incidents: Vec<IncidentId>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    asker: Asker,
    /// The directory to write to; each incident gets a folder of its name in it, which must not be there yet.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How to print what was exported.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// An export, as it is printed.
#[derive(Serialize)]
struct Report {
    incident: IncidentId,
    folder: PathBuf,
    files: Vec<AccessedFile>,
}

impl Export {
    /// Exports one incident after the other; the first that fails ends it.
    pub(super) fn run(self) -> Result<(), Exit> {
        let first = self.incidents.first().copied();
        let desk = Desk::open(&self.place, self.asker, Action::Export, first)?;
        let mut reports = Vec::new();
        for incident in self.incidents {
            let Desk { data, person, log, clock, .. } = &desk;
            let now = || Stamp::now(clock);
            let exported = export(data, incident, &self.to, person, log, now).map_err(|error| {
                let exit = match &error {
                    ExportError::NoEvidence(_) | ExportError::Exists(_) => Exit::Usage,
                    ExportError::Manifest { .. } | ExportError::Altered { .. } => Exit::BadData,
                    ExportError::File { .. } | ExportError::AccessLog(_) => Exit::Io,
                };
                told(&error, exit)
            })?;
            if self.format == Format::Human {
                println!("{}: {} file(s) and their manifest", exported.folder.display(), exported.files.len());
            }
            reports.push(Report { incident, folder: exported.folder, files: exported.files });
        }
        match self.format {
            Format::Json => print_json(&reports).map_err(|_| Exit::Io),
            Format::Human => Ok(()),
        }
    }
}
