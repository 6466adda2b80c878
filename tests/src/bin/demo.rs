//! `make demo`: two cameras, a broker and a grid system around the real daemon.

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use clap::Parser;
use snowgate_tests::demo::{self, DemoError, Options};

/// Shows people in front of cameras become incidents at a broker.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Go on until Ctrl-C.
    #[arg(long)]
    forever: bool,
    /// Go on for at least so many seconds.
    #[arg(long, default_value_t = 45)]
    seconds: u64,
    /// Keep the store of the demo before.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let at_least = Duration::from_secs(arguments.seconds);
    let options = Options { forever: arguments.forever, at_least, keep: arguments.keep };
    match play(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(options: &Options) -> Result<(), DemoError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    demo::play(options, &interrupted)
}
