//! Log lines: for a terminal, for journald, or for machines.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people. Under systemd without time and colour, which the journal adds itself, and with its priorities.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error; `RUST_LOG` says what, `info` by default.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_span_events(FmtSpan::NONE).with_writer(io::stderr);
    // A logger that is set already (in a test) stays.
    let _ = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text if under_journald() => lines.without_time().with_ansi(false).with_target(false).try_init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
    };
}

/// systemd names the journal's stream to processes whose standard error goes there.
fn under_journald() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}
