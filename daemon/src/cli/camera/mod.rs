//! `snowgate camera`: what an integrator asks of cameras, before they are in any configuration and while their files are written.

mod discover;
mod drawing;
pub mod fault;
mod figures;
pub mod file;
pub mod login;
pub mod probe;
mod still;

use std::time::Duration;

use clap::{Args, Subcommand};
use snowgate_core::spec::TimeSpan;

use super::exit::Exit;

/// Arguments of `snowgate camera`.
#[derive(Debug, Args)]
pub struct Camera {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find the ONVIF cameras on a network, and print a file for each to fill in.
    Discover(discover::Discover),
    /// Say whether a stream is usable, why not, and how to configure it.
    Probe(probe::Probe),
    /// Take a picture of what a configured camera shows, faces and heads covered, with a grid to draw zones by.
    Still(still::Still),
}

impl Camera {
    /// Does what is asked for.
    pub fn run(self) -> Exit {
        match self.command {
            Command::Discover(discover) => discover.run(),
            Command::Probe(probe) => probe.run(),
            Command::Still(still) => still.run(),
        }
    }
}

/// A time of a second at least, and of `longest` at the most.
fn span(text: &str, longest: Duration) -> Result<TimeSpan, String> {
    let span: TimeSpan = text.parse()?;
    if span.0 < Duration::from_secs(1) || span.0 > longest {
        return Err(format!("must be 1s to {}", TimeSpan(longest)));
    }
    Ok(span)
}
