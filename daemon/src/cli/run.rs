//! `snowgate run`: the daemon.

use std::path::PathBuf;

use clap::Args;

use super::{exit::Exit, log};
use crate::run::{self, Options, RunError};

/// Arguments of `snowgate run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// Where state is kept, instead of what the configuration says.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text")]
    log_format: log::LogFormat,
}

impl Run {
    /// Runs until SIGTERM or SIGINT.
    pub fn run(self) -> Exit {
        log::start(self.log_format);
        match run::run(&Options { config: self.config, data: self.data }) {
            Ok(()) => Exit::Ok,
            Err(error) => {
                tracing::error!("{error}");
                exit_of(&error)
            }
        }
    }
}

fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Config(_) | RunError::Rule(_) | RunError::Sensor { .. } => Exit::BadConfig,
        RunError::Store(_)
        | RunError::Evidence(_)
        | RunError::AccessLog(_)
        | RunError::Admin(_)
        | RunError::GStreamer(_) => Exit::Unavailable,
        RunError::System(_) | RunError::PartLost(_) => Exit::Software,
    }
}
