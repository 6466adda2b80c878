//! `snowgate outbox`: what waits for the broker.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Format, exit::Exit, print_json};
use crate::store::{self, Class, Inspection};

/// Arguments of `snowgate outbox`.
#[derive(Debug, Args)]
pub struct Outbox {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say how many messages wait, by class; the daemon may be running.
    Status(Status),
}

#[derive(Debug, Args)]
struct Status {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/snowgate")]
    data: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// One class as it is printed.
#[derive(Debug, Serialize)]
struct Line {
    class: &'static str,
    messages: u64,
    bytes: u64,
    oldest: Option<String>,
    lost: u64,
}

impl Outbox {
    /// Prints; [`Exit::Unavailable`] where there is no store.
    pub fn run(self) -> Exit {
        let Command::Status(status) = self.command;
        let inspection = match store::inspect(&status.data) {
            Ok(inspection) => inspection,
            Err(error) => {
                eprintln!("snowgate: {error}");
                return Exit::Unavailable;
            }
        };
        match print(&lines(&inspection), status.format) {
            Ok(()) => Exit::Ok,
            Err(_) => Exit::Io,
        }
    }
}

fn lines(inspection: &Inspection) -> Vec<Line> {
    let line = |class: Class| {
        let waiting = inspection.outbox.of(class);
        let gaps = inspection.gaps.iter().filter(|gap| gap.class == class);
        Line {
            class: class.as_str(),
            messages: waiting.messages,
            bytes: waiting.bytes,
            oldest: waiting.oldest.map(|oldest| oldest.wall.to_string()),
            lost: gaps.map(|gap| gap.messages).sum(),
        }
    };
    Class::ALL.into_iter().map(line).collect()
}

fn print(lines: &[Line], format: Format) -> io::Result<()> {
    match format {
        Format::Json => print_json(lines),
        Format::Human => {
            let mut out = io::stdout().lock();
            writeln!(out, "{:16} {:>9} {:>12} {:>9}  oldest", "class", "messages", "bytes", "lost")?;
            for Line { class, messages, bytes, oldest, lost } in lines {
                let oldest = oldest.as_deref().unwrap_or("-");
                writeln!(out, "{class:16} {messages:>9} {bytes:>12} {lost:>9}  {oldest}")?;
            }
            out.flush()
        }
    }
}
