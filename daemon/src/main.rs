//! The `snowgate` program: its command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    snowgate::cli::run(std::env::args_os()).into()
}
