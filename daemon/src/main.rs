//! The `snowgate` program: its command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    snowgate::cli::main(std::env::args_os()).into()
}
