//! `snowgate outbox status`: what waits for the broker.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{Format, exit::Exit, print_json},
    events::Chain,
    store::{self, Class, Inspection},
};

/// Where state is kept if nobody says otherwise.
const DATA: &str = "/var/lib/snowgate";

/// Arguments of `snowgate outbox status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The data directory [default: that of --config, or /var/lib/snowgate].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration directory that says where the data directory is.
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    config: Option<PathBuf>,
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

impl Status {
    /// Prints; [`Exit::Unavailable`] where there is no store.
    pub(super) fn run(self) -> Result<(), Exit> {
        let data = match (self.data, self.config) {
            (Some(data), _) => data,
            (None, Some(config)) => crate::cli::load(&config)?.data,
            (None, None) => PathBuf::from(DATA),
        };
        let inspection = store::inspect(&data).map_err(|error| {
            eprintln!("snowgate: {}: {}", data.display(), Chain(&error));
            Exit::Unavailable
        })?;
        print(&lines(&inspection), self.format).map_err(|_| Exit::Io)
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
