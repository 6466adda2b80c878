//! Lines of which each names the hash of the one before: reading them, and finding where one has been changed or left out.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;

use super::AccessLogError;

/// The longest line that can be one of ours.
const LINE_BYTES: u64 = 64 << 10;

/// A line of the log by its number and hash: where a chain has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// Its number, counted from 1; 0 where nothing has been written yet.
    pub number: u64,
    /// SHA-256 of the line without its line end, hexadecimal; 64 zeros where there is none.
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    pub sha256: String,
}

impl Head {
    /// Before the first line.
    pub(super) fn none() -> Self {
        Self { number: 0, sha256: "0".repeat(64) }
    }

    /// Of this line, which follows the one of this number.
    pub(super) fn after(before: u64, line: &[u8]) -> Self {
        Self { number: before + 1, sha256: hex(Sha256::digest(line)) }
    }
}

/// What chains a line to the one before.
#[derive(Deserialize)]
struct Link {
    number: u64,
    previous: String,
}

/// A chain, as far as its lines are whole.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The line that the first one follows; none of an empty chain.
    pub before: Option<Head>,
    /// Its last line; none of an empty chain.
    pub head: Option<Head>,
    /// Where that ends.
    pub bytes: u64,
    /// How many lines there are.
    pub lines: u64,
}

impl Chain {
    /// Reads lines to the end, and shows each with its place in the chain. What stands behind the last line end is left out:
    /// nobody was told that it had been written.
    ///
    /// # Errors
    /// A line is none of ours, or does not follow the one before.
    pub fn read(from: impl Read, path: &Path, mut show: impl FnMut(&Head, &[u8])) -> Result<Self, AccessLogError> {
        let mut reader = BufReader::new(from);
        let (mut chain, mut line) = (Self::default(), Vec::new());
        loop {
            let number = chain.lines + 1;
            let broken = |what| AccessLogError::Broken { path: path.to_owned(), line: number, what };
            line.clear();
            let failed = |source| AccessLogError::File { path: path.to_owned(), source };
            Read::take(&mut reader, LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)?;
            if line.pop_if(|end| *end == b'\n').is_none() {
                return if line.len() as u64 >= LINE_BYTES { Err(broken("it is too long")) } else { Ok(chain) };
            }
            let link: Link = serde_json::from_slice(&line).map_err(|_| broken("it is no entry"))?;
            let before = link.number.checked_sub(1).ok_or_else(|| broken("it is no entry"))?;
            let before = Head { number: before, sha256: link.previous };
            match &chain.head {
                Some(head) if head.sha256 != before.sha256 => {
                    return Err(broken("the line before it has been changed or left out"));
                }
                Some(head) if head.number != before.number => {
                    return Err(broken("its number does not follow the one before"));
                }
                _ => {}
            }
            let head = Head::after(before.number, &line);
            show(&head, &line);
            chain.before.get_or_insert(before);
            chain.head = Some(head);
            chain.bytes += line.len() as u64 + 1;
            chain.lines = number;
        }
    }
}

/// Logs that were put aside, the oldest first.
pub(super) fn put_aside(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("access-")?.strip_suffix(".jsonl"))
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    paths.sort();
    Ok(paths)
}
