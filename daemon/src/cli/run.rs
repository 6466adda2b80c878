//! `snowgate run`: the daemon.

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use clap::Args;

use super::{exit::Exit, log};
use crate::run::{self, Ended, Options, RunError};

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
            Ok(Ended::Stopped) => Exit::Ok,
            Ok(Ended::ToStartAnew) => start_anew(),
            Err(error) => {
                tracing::error!("{error}");
                exit_of(&error)
            }
        }
    }
}

/// Puts a new run of this program, with the same arguments, in the place of this process: whoever supervises it sees no other
/// one. Answers only if that cannot be done; then the supervisor starts it.
fn start_anew() -> Exit {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    // Where the file has been replaced by another one since, the one that ran until now goes on.
    let program = std::env::current_exe().ok().filter(|path| path.is_file());
    let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let error = Command::new(program).arg0(name).args(arguments).exec();
    tracing::error!(%error, "cannot start anew");
    Exit::Unavailable
}

fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Config(_) | RunError::HandedOver(..) | RunError::Rule(_) | RunError::Sensor { .. } => Exit::BadConfig,
        RunError::Store(_)
        | RunError::Evidence(_)
        | RunError::AccessLog(_)
        | RunError::Admin(_)
        | RunError::GStreamer(_) => Exit::Unavailable,
        RunError::System(_) | RunError::PartLost(_) => Exit::Software,
    }
}
