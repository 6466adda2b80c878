//! `snowgate outbox verify`: whether an export is whole and genuine.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::SignedFile;
use crate::{
    cli::{Format, exit::Exit, print_json},
    export::{ReadError, Verified},
    store::Class,
};

/// Arguments of `snowgate outbox verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    signed: SignedFile,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// What an export holds, as it is printed.
#[derive(Serialize)]
pub(super) struct Contents<'a> {
    gateway: &'a str,
    boot_id: &'a str,
    created_at: Timestamp,
    clock_synchronised: bool,
    messages: u64,
    bytes: u64,
    classes: Vec<Of>,
    sha256: &'a str,
    signing_key: &'a str,
}

/// Messages of one class.
#[derive(Serialize)]
struct Of {
    class: &'static str,
    messages: u64,
}

impl<'a> From<&'a Verified> for Contents<'a> {
    fn from(Verified { header, by_class, bytes, sha256, .. }: &'a Verified) -> Self {
        let classes = Class::ALL.into_iter().filter(|class| by_class[class.index()] > 0);
        Self {
            gateway: header.gateway.as_str(),
            boot_id: &header.boot_id.0,
            created_at: header.created_at,
            clock_synchronised: header.clock_synchronised,
            messages: header.messages,
            bytes: *bytes,
            classes: classes.map(|class| Of { class: class.as_str(), messages: by_class[class.index()] }).collect(),
            sha256,
            signing_key: &header.signing_key,
        }
    }
}

/// The answer, as machines read it.
#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    #[serde(flatten)]
    contents: Option<Contents<'a>>,
    error: Option<String>,
}

impl Verify {
    /// Verifies and prints; [`Exit::BadData`] where something is wrong.
    pub(super) fn run(self) -> Result<(), Exit> {
        let verified = self.signed.verify(&self.signed.key()?)?;
        self.print(&verified).map_err(|_| Exit::Io)?;
        verified.map(drop).map_err(|_| Exit::BadData)
    }

    fn print(&self, verified: &Result<Verified, ReadError>) -> io::Result<()> {
        let (contents, error) = match verified {
            Ok(verified) => (Some(Contents::from(verified)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut out = io::stdout().lock();
        match (self.format, &contents, &error) {
            (Format::Json, ..) => print_json(&Report { valid: contents.is_some(), contents, error }),
            (Format::Human, Some(contents), _) => {
                writeln!(out, "{}: whole and genuine", self.signed.file.display())?;
                print_contents(&mut out, contents)
            }
            (Format::Human, ..) => {
                writeln!(out, "{}: refused: {}", self.signed.file.display(), error.unwrap_or_default())
            }
        }
    }
}

/// Prints what an export holds, for people.
pub(super) fn print_contents(out: &mut impl Write, contents: &Contents<'_>) -> io::Result<()> {
    let Contents { gateway, created_at, clock_synchronised, messages, bytes, classes, sha256, .. } = contents;
    let clock = if *clock_synchronised { "" } else { " by a clock that was not synchronised" };
    writeln!(out, "gateway {gateway}, written at {created_at}{clock}")?;
    writeln!(out, "{messages} messages, {bytes} bytes")?;
    for Of { class, messages } in classes {
        writeln!(out, "  {class:16} {messages:>9}")?;
    }
    writeln!(out, "SHA-256 {sha256}")
}
