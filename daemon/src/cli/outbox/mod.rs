//! `snowgate outbox`: what waits for the broker, and how it gets there from a box that never comes online.

mod export;
mod import;
mod status;
mod verify;

use std::{fs::File, io::BufReader, path::PathBuf};

use clap::{Args, Subcommand};

use super::{exit::Exit, read_public_key, told};
use crate::{
    export::{ReadError, Verified},
    signing::PublicKey,
};

/// Arguments of `snowgate outbox`.
#[derive(Debug, Args)]
pub struct Outbox {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say how many messages wait, by class; the daemon may be running.
    Status(status::Status),
    /// Write everything that waits into a signed file; the daemon may be running.
    Export(export::Export),
    /// Say whether an export is whole and genuine.
    Verify(verify::Verify),
    /// Publish an export from this machine, after verifying it.
    Import(import::Import),
}

impl Outbox {
    /// Does what is asked for.
    pub fn run(self) -> Exit {
        let done = match self.command {
            Command::Status(status) => status.run(),
            Command::Export(export) => export.run(),
            Command::Verify(verify) => verify.run(),
            Command::Import(import) => import.run(),
        };
        done.err().unwrap_or(Exit::Ok)
    }
}

/// An export, and the key that it must be signed with.
#[derive(Debug, Args)]
struct SignedFile {
    /// The export.
    file: PathBuf,
    /// The gateway's public key, PEM: openssl pkey -in KEY -pubout.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

impl SignedFile {
    fn key(&self) -> Result<PublicKey, Exit> {
        read_public_key(&self.public_key)
    }

    fn open(&self) -> Result<BufReader<File>, Exit> {
        let file = File::open(&self.file).map_err(|error| told(&self.file, &error, Exit::Io))?;
        Ok(BufReader::with_capacity(256 << 10, file))
    }

    /// Reads and verifies all of it.
    fn verify(&self, key: &PublicKey) -> Result<Result<Verified, ReadError>, Exit> {
        match crate::export::verify(self.open()?, key) {
            Err(ReadError::Io(error)) => Err(told(&self.file, &error, Exit::Io)),
            verified => Ok(verified),
        }
    }
}
