//! `scale`: what many cameras cost.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use snowgate_benches::serve;

/// Measures the daemon under many cameras.
#[derive(Debug, Parser)]
#[command(name = "scale")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the cameras: an RTSP server that plays clips in loops.
    Serve(serve::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}
