//! `snowgate camera`: what an integrator asks of one camera, before it is in any configuration.

pub mod fault;
mod figures;
pub mod file;
pub mod probe;

use clap::{Args, Subcommand};

use super::exit::Exit;

/// Arguments of `snowgate camera`.
#[derive(Debug, Args)]
pub struct Camera {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether a stream is usable, why not, and how to configure it.
    Probe(probe::Probe),
}

impl Camera {
    /// Does what is asked for.
    pub fn run(self) -> Exit {
        match self.command {
            Command::Probe(probe) => probe.run(),
        }
    }
}
