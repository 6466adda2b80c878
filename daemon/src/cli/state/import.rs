//! `snowgate import-state`.

use std::path::PathBuf;

use clap::Args;
use snowgate_core::time::Clock as _;

use super::{Report, told};
use crate::{
    cli::{Format, evidence::Place, exit::Exit},
    clock::SystemClock,
    handover::import,
};

/// Arguments of `snowgate import-state`.
#[derive(Debug, Args)]
pub struct ImportState {
    /// What `snowgate export-state` has written.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// How to print what was imported.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

impl ImportState {
    /// Imports and prints.
    pub fn run(self) -> Exit {
        self.import().err().unwrap_or(Exit::Ok)
    }

    fn import(self) -> Result<(), Exit> {
        let (config, data) = self.place.load()?;
        let now = SystemClock::trusting(config.gateway.trust_clock).now();
        let manifest = import(&self.file, config.gateway.id.as_str(), &data, now).map_err(|error| told(&error))?;
        let next = match manifest.handed_over {
            true => "start the daemon: it goes on where the other box ended",
            false => "start the daemon: it goes on from this backup, and reports that incidents since may be missing",
        };
        let report = Report::new(&self.file, &manifest);
        report.print(self.format, "verified and imported", next).map_err(|_| Exit::Io)
    }
}
