//! Writing an export, a message at a time.

use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;

use super::format::{Header, Line, sealed};
use crate::{
    signing::{Seal, SigningKey},
    store::WaitingMessage,
};

/// Hashes what it passes on.
pub(super) struct Writer<W> {
    out: W,
    hash: Sha256,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins with the header.
    pub(super) fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { out, hash: Sha256::new(), line: Vec::new() };
        writer.put(header)?;
        Ok(writer)
    }

    /// Writes a message.
    pub(super) fn message(&mut self, message: &WaitingMessage) -> io::Result<()> {
        self.put(&Line::from(message))
    }

    /// Ends with hash and signature; gives back what it wrote to.
    pub(super) fn seal(mut self, key: &SigningKey) -> io::Result<W> {
        let sha256 = hex(self.hash.finalize_reset());
        self.put(&Seal::new(&sealed(), sha256, key)?)?;
        Ok(self.out)
    }

    fn put(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.out.write_all(&self.line)
    }
}
