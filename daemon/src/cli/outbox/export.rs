//! `snowgate outbox export`: everything that waits, in a signed file.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::verify::{Contents, print_contents};
use crate::{
    cli::{Format, exit::Exit, print_json},
    clock::SystemClock,
    config::Config,
    export::{self, ExportError},
    signing::SigningKey,
    uplink::gap_message,
};

/// Arguments of `snowgate outbox export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// The data directory, instead of what the configuration says.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The file to write; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Take what has been exported out of the outbox, once the file is on its disk.
    #[arg(long)]
    remove: bool,
    /// How to print what was exported.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// What was exported, as it is printed.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    /// Messages taken out of the outbox.
    removed: Option<u64>,
    #[serde(flatten)]
    contents: Contents<'a>,
}

impl Export {
    /// Exports and prints.
    pub(super) fn run(self) -> Result<(), Exit> {
        let config = crate::cli::load(&self.config)?;
        let order = export::Export {
            gateway: &config.gateway.id,
            data: self.data.as_ref().unwrap_or(&config.data),
            to: &self.to,
            key: signing_key(&config)?,
            clock: &SystemClock::trusting(config.gateway.trust_clock),
        };
        let exported = order.write(|gap| gap_message(&config.gateway.id, gap)).map_err(|error| {
            eprintln!("snowgate: {error}");
            match error {
                ExportError::Store(_) => Exit::Unavailable,
                ExportError::Exists(_) | ExportError::File { .. } | ExportError::ReadBack { .. } => Exit::Io,
            }
        })?;
        let removed = match self.remove {
            false => None,
            true => Some(exported.remove().map_err(|error| {
                eprintln!(
                    "snowgate: {} is whole, but messages in it still wait here as well: {error}",
                    self.to.display()
                );
                Exit::Unavailable
            })?),
        };
        let report = Report { file: &self.to, removed, contents: Contents::from(&exported.verified) };
        print(&report, self.format).map_err(|_| Exit::Io)
    }
}

fn signing_key(config: &Config) -> Result<&SigningKey, Exit> {
    config.signing_key.as_ref().ok_or_else(|| {
        eprint!("{}", config.problems.render(false));
        eprintln!(
            "snowgate: there is no key to sign with. Make one, as the service's user:\n  \
             openssl genpkey -algorithm ed25519 -out /etc/snowgate/secrets/signing-key.pem\n\
             write signing_key_file = \"secrets/signing-key.pem\" under [gateway] in gateway.toml, and keep its public key\n\
             where exports are imported:\n  \
             openssl pkey -in /etc/snowgate/secrets/signing-key.pem -pubout -out gateway.pub"
        );
        Exit::BadConfig
    })
}

fn print(report: &Report<'_>, format: Format) -> io::Result<()> {
    if format == Format::Json {
        return print_json(report);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}: written, read back and verified", report.file.display())?;
    print_contents(&mut out, &report.contents)?;
    match report.removed {
        Some(removed) => writeln!(out, "taken out of the outbox: {removed}"),
        None => writeln!(out, "everything still waits in the outbox as well"),
    }
}
