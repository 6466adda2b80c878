//! `snowgate export-state`.

use std::path::PathBuf;

use clap::Args;
use snowgate_core::time::{Clock as _, Stamp};

use super::{Report, told};
use crate::{
    cli::{
        Format,
        evidence::{Asker, Desk, Place},
        exit::Exit,
    },
    evidence::access_log::Action,
    handover::Export,
};

/// Arguments of `snowgate export-state`.
#[derive(Debug, Args)]
pub struct ExportState {
    /// The file to write; it must not be there yet. It holds incidents and evidence: keep it like these.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    asker: Asker,
    /// This is a backup, and the box goes on. Without it the box is handed over: it does not start again.
    #[arg(long)]
    keep: bool,
    /// How to print what was exported.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

impl ExportState {
    /// Exports and prints.
    pub fn run(self) -> Exit {
        self.export().err().unwrap_or(Exit::Ok)
    }

    fn export(self) -> Result<(), Exit> {
        let action = if self.keep { Action::BackUp } else { Action::HandOver };
        let Desk { config, data, person, log, clock } = Desk::open(&self.place, self.asker, action, None)?;
        // First who takes it, so that it stands in what is taken as well.
        log.write(&person.access(action, None, None), &Stamp::now(&clock)).map_err(|error| {
            eprintln!("snowgate: {error}");
            Exit::Io
        })?;
        let (gateway, now) = (config.gateway.id.as_str(), clock.now().wall);
        let export = Export { gateway, data: &data, to: &self.file, keep: self.keep, now };
        let manifest = export.write().map_err(|error| told(&error))?;
        let next = match self.keep {
            true => "the box may go on; what it does from now on is not in this backup",
            false => {
                "this box is handed over and does not start again. On the other one: the same configuration and secrets, then \
                 snowgate import-state"
            }
        };
        let report = Report::new(&self.file, &manifest);
        report.print(self.format, "written, read back and verified", next).map_err(|_| Exit::Io)
    }
}
