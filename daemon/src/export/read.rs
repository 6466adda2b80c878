//! Reading an export that anybody may have written or altered: nothing is taken before the whole of it has been verified,
//! and nothing larger than a line is held in memory.

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;

use super::format::{FORMAT, Header, Kind, Line, MAX_HEADER, MAX_LINE, VERSION, sealed};
use crate::{
    signing::{PublicKey, Seal},
    store::{Class, RowId, WaitingMessage},
};

/// Why a file is no export of the gateway, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Something else.
    #[error("it is no export of an outbox: its first line is not one's, or not whole")]
    NoExport,
    /// A version this program does not know.
    #[error("it has version {found} of the format; this program knows version {VERSION}")]
    Version {
        /// The file's.
        found: u32,
    },
    /// A line that is not what it should be.
    #[error("line {line} is damaged: {reason}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A line longer than any message.
    #[error("line {line} is longer than {MAX_LINE} bytes")]
    TooLong {
        /// Counted from 1.
        line: u64,
    },
    /// It ends too early.
    #[error("it is not whole: it ends after {messages} of {expected} messages, without its signature")]
    Truncated {
        /// Messages read.
        messages: u64,
        /// Messages announced.
        expected: u64,
    },
    /// Something follows the signature.
    #[error("something follows its last line")]
    Surplus,
    /// The content does not match its hash.
    #[error("it is damaged: its content does not match its SHA-256")]
    Damaged,
    /// Another gateway's, or an older key.
    #[error("it is signed with another key: with that of fingerprint {signed_with}, not {given}")]
    OtherKey {
        /// The key it names.
        signed_with: String,
        /// The key it was to be verified with.
        given: String,
    },
    /// Not signed by the key that it names.
    #[error("its signature is not valid: it is damaged, or somebody else wrote it")]
    Forged,
}

/// Gives out an export's messages. They are genuine only once [`Reader::next`] has answered `None`.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    key: PublicKey,
    header: Header,
    hash: Sha256,
    line: Vec<u8>,
    /// Lines read.
    lines: u64,
    messages: u64,
    last: RowId,
    /// Known once everything has been verified.
    sha256: Option<String>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header. The rest will be held against `key`.
    ///
    /// # Errors
    /// It is no export, or of a version that is not known.
    pub fn open(mut input: R, key: &PublicKey) -> Result<Self, ReadError> {
        let mut line = Vec::new();
        if !read_line(&mut input, &mut line, 1, MAX_HEADER).map_err(|error| match error {
            ReadError::TooLong { .. } => ReadError::NoExport,
            error => error,
        })? {
            return Err(ReadError::NoExport);
        }
        match serde_json::from_slice(&line) {
            Ok(Kind { format, version }) if format == FORMAT => {
                if version != VERSION {
                    return Err(ReadError::Version { found: version });
                }
            }
            _ => return Err(ReadError::NoExport),
        }
        let header = parse(&line, 1)?;
        let hash = Sha256::new_with_prefix(&line);
        let key = key.clone();
        Ok(Self { input, key, header, hash, line, lines: 1, messages: 0, last: RowId(i64::MIN), sha256: None })
    }

    /// What the first line says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the content as hex, once everything has been verified.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// The next message; `None` after the last one, if hash and signature are right and nothing follows.
    ///
    /// # Errors
    /// The file is damaged, or not what it says. What was given out before is not to be trusted.
    #[allow(clippy::should_implement_trait, reason = "an iterator would let its caller stop before the signature")]
    pub fn next(&mut self) -> Result<Option<WaitingMessage>, ReadError> {
        if self.sha256.is_some() {
            return Ok(None);
        }
        let number = self.lines + 1;
        if !read_line(&mut self.input, &mut self.line, number, MAX_LINE)? {
            return Err(ReadError::Truncated { messages: self.messages, expected: self.header.messages });
        }
        self.lines = number;
        if self.messages == self.header.messages {
            self.sha256 = Some(self.verify()?);
            return Ok(None);
        }
        self.hash.update(&self.line);
        let damaged = |reason| ReadError::Line { line: number, reason };
        let message = parse::<Line<'_>>(&self.line, number)?.into_message().map_err(damaged)?;
        if message.row <= self.last {
            return Err(damaged("its row is not greater than that of the line before".to_owned()));
        }
        self.last = message.row;
        self.messages += 1;
        Ok(Some(message))
    }

    /// Holds the last line, which has been read, against all that came before it.
    fn verify(&mut self) -> Result<String, ReadError> {
        let seal: Seal = parse(&self.line, self.lines)?;
        // Its hash covers everything but this line: here, one writing is right.
        if !serde_json::to_vec(&seal).is_ok_and(|exact| self.line.strip_suffix(b"\n") == Some(&exact)) {
            return Err(ReadError::Line { line: self.lines, reason: "it is not written as it was signed".to_owned() });
        }
        let mut after = [0];
        if self.input.read(&mut after)? > 0 {
            return Err(ReadError::Surplus);
        }
        if hex(self.hash.finalize_reset()) != seal.sha256 {
            return Err(ReadError::Damaged);
        }
        let given = self.key.fingerprint().map_err(io::Error::other)?;
        if given != self.header.signing_key {
            return Err(ReadError::OtherKey { signed_with: self.header.signing_key.clone(), given });
        }
        if seal.is_by(&sealed(), &self.key) { Ok(seal.sha256) } else { Err(ReadError::Forged) }
    }
}

/// Reads everything, and answers what its first line says and its hash, if all of it is right.
///
/// # Errors
/// What is wrong with it.
pub fn verify(input: impl BufRead, key: &PublicKey) -> Result<Verified, ReadError> {
    let mut reader = Reader::open(input, key)?;
    let (mut bytes, mut largest_packet, mut by_class) = (0, 0, [0; Class::COUNT]);
    while let Some(WaitingMessage { message, .. }) = reader.next()? {
        bytes += message.payload.len() as u64;
        largest_packet = largest_packet.max(message.packet_bytes());
        by_class[message.class.index()] += 1;
    }
    let sha256 = reader.sha256.unwrap_or_default();
    Ok(Verified { header: reader.header, by_class, bytes, largest_packet, sha256 })
}

/// An export of which every line is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its first line.
    pub header: Header,
    /// Messages by [`Class::index`].
    pub by_class: [u64; Class::COUNT],
    /// Bytes of all payloads.
    pub bytes: u64,
    /// Bytes of the largest MQTT packet that a message needs.
    pub largest_packet: u64,
    /// SHA-256 of the content, as hex.
    pub sha256: String,
}

/// Reads a line with its end into `line`. False at the end of the input, also in the middle of a line.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: u64, limit: usize) -> Result<bool, ReadError> {
    line.clear();
    input.take(limit as u64 + 1).read_until(b'\n', line)?;
    if line.len() > limit {
        return Err(ReadError::TooLong { line: number });
    }
    Ok(line.ends_with(b"\n"))
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8], number: u64) -> Result<T, ReadError> {
    serde_json::from_slice(line).map_err(|error| ReadError::Line { line: number, reason: error.to_string() })
}
