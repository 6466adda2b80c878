//! Who has asked to see something, and why: a log that only grows, and in which no line can be changed or left out unnoticed.
//!
//! # On disk
//! `access.jsonl` in the data directory: one JSON object a line. `number` counts from 1; `previous` is the SHA-256 of the
//! line before, without its line end, in hexadecimal (64 zeros before the first). A line is on disk (`fdatasync`) before
//! [`AccessLog::write`] returns. What a power cut leaves of a line without its end is cut off at the next start: nobody was
//! told that it had been written.
//!
//! A log of [`FILE_BYTES`] is put aside as `access-NUMBER.jsonl`, NUMBER being its last line's; the chain goes on in the
//! next. Of those put aside the newest [`KEPT`] stay.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use snowgate_core::{
    hex::hex,
    ids::IncidentId,
    time::{Clock, Stamp},
};

use crate::durable::sync_directory;

/// The log's name.
const FILE: &str = "access.jsonl";
/// The size at which a log is put aside.
const FILE_BYTES: u64 = 16 << 20;
/// Logs put aside that are kept.
const KEPT: usize = 16;
/// The longest line that can be one of ours.
const LINE_BYTES: u64 = 64 << 10;
/// What the first line says of the one before.
const NONE_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is none of ours, or does not belong where it stands.
    #[error("{path}, line {line}: {what}", path = .path.display())]
    Broken {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Somebody asks.
#[derive(Debug, Clone, Serialize)]
pub struct Access<'a> {
    /// For what: `verify`.
    pub action: &'a str,
    /// The incident it is about.
    pub incident: IncidentId,
    /// The command's id.
    pub command: &'a str,
    /// Who.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Whether it is granted.
    pub granted: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'a str>,
}

/// A line.
#[derive(Serialize)]
struct Entry<'a> {
    number: u64,
    previous: &'a str,
    at: Stamp,
    #[serde(flatten)]
    access: &'a Access<'a>,
}

/// What chains a line to the one before.
#[derive(Deserialize)]
struct Link {
    number: u64,
    previous: String,
}

/// A log, read from its beginning.
struct Chain {
    /// Its first line.
    first: Option<Link>,
    /// Its last one.
    head: Option<Head>,
    /// Where that ends.
    bytes: u64,
}

/// The last line of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    number: u64,
    sha256: String,
}

/// The log, open for writing.
#[derive(Debug)]
pub struct AccessLog {
    directory: PathBuf,
    file: File,
    bytes: u64,
    head: Head,
}

impl AccessLog {
    /// Opens the log in the data directory; there need not be one. A log whose chain is broken is put aside for somebody to
    /// look at (`access.jsonl.broken-NUMBER`, the next free number), a new chain begun, and what is wrong with the old one told.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(directory: &Path) -> Result<(Self, Option<AccessLogError>), AccessLogError> {
        match Self::open_whole(directory) {
            Err(broken @ AccessLogError::Broken { .. }) => {
                put_broken_aside(directory)
                    .map_err(|source| AccessLogError::File { path: directory.join(FILE), source })?;
                Ok((Self::open_whole(directory)?, Some(broken)))
            }
            opened => Ok((opened?, None)),
        }
    }

    fn open_whole(directory: &Path) -> Result<Self, AccessLogError> {
        let path = directory.join(FILE);
        let failed = |source| AccessLogError::File { path: path.clone(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        sync_directory(directory).map_err(failed)?;
        let before = last_put_aside(directory).map_err(failed)?;
        let before = before.unwrap_or(Head { number: 0, sha256: NONE_BEFORE.into() });
        let Chain { first, head, bytes } = read_chain(&file, &path)?;
        if first.is_some_and(|first| first.number != before.number + 1 || first.previous != before.sha256) {
            let what = "lines before it are not there any more";
            return Err(AccessLogError::Broken { path, line: 1, what });
        }
        file.set_len(bytes).map_err(failed)?;
        file.seek(io::SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), file, bytes, head: head.unwrap_or(before) })
    }

    /// Adds a line. It is on disk when this returns.
    ///
    /// # Errors
    /// It is not there.
    pub fn write(&mut self, access: &Access<'_>, clock: &dyn Clock) -> Result<(), AccessLogError> {
        self.append(access, clock).map_err(|source| AccessLogError::File { path: self.directory.join(FILE), source })
    }

    fn append(&mut self, access: &Access<'_>, clock: &dyn Clock) -> io::Result<()> {
        if self.bytes >= FILE_BYTES {
            self.put_aside()?;
        }
        let number = self.head.number + 1;
        let mut line =
            serde_json::to_vec(&Entry { number, previous: &self.head.sha256, at: Stamp::now(clock), access })?;
        let sha256 = digest(&line);
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not be gone on from.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.head = Head { number, sha256 };
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let path = self.directory.join(FILE);
        match fs::rename(&path, self.directory.join(format!("access-{:012}.jsonl", self.head.number))) {
            // Put aside before, when there was no room for the next one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
        self.bytes = 0;
        let aside = put_aside(&self.directory)?;
        for old in aside.iter().rev().skip(KEPT) {
            fs::remove_file(old)?;
        }
        sync_directory(&self.directory)
    }
}

/// Reads a log as far as its lines are whole.
fn read_chain(file: &File, path: &Path) -> Result<Chain, AccessLogError> {
    let failed = |source| AccessLogError::File { path: path.to_owned(), source };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let (mut first, mut head, mut bytes) = (None, None::<Head>, 0);
    for number in 1.. {
        let broken = |what| AccessLogError::Broken { path: path.to_owned(), line: number, what };
        line.clear();
        io::Read::take(&mut reader, LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)?;
        if line.pop_if(|end| *end == b'\n').is_none() {
            if line.len() as u64 >= LINE_BYTES {
                return Err(broken("it is too long"));
            }
            break;
        }
        let link: Link = serde_json::from_slice(&line).map_err(|_| broken("it is no entry"))?;
        if let Some(before) = &head {
            if link.previous != before.sha256 {
                return Err(broken("the line before it has been changed or left out"));
            }
            if link.number != before.number + 1 {
                return Err(broken("its number does not follow the one before"));
            }
        }
        bytes += line.len() as u64 + 1;
        head = Some(Head { number: link.number, sha256: digest(&line) });
        first.get_or_insert(link);
    }
    Ok(Chain { first, head, bytes })
}

fn put_broken_aside(directory: &Path) -> io::Result<()> {
    let free = (1..).map(|number: u32| directory.join(format!("{FILE}.broken-{number}"))).find(|path| !path.exists());
    free.map_or(Ok(()), |free| fs::rename(directory.join(FILE), free))
}

/// The last line of the newest log that was put aside.
fn last_put_aside(directory: &Path) -> io::Result<Option<Head>> {
    let Some(newest) = put_aside(directory)?.pop() else { return Ok(None) };
    // One that is broken or cannot be read has no last line to go on from; it stays for whoever has to look at it.
    Ok(read_chain(&File::open(&newest)?, &newest).map_or(None, |chain| chain.head))
}

/// Logs that were put aside, the oldest first.
fn put_aside(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
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

fn digest(line: &[u8]) -> String {
    hex(Sha256::digest(line))
}

#[cfg(test)]
mod tests {
    use snowgate_core::time::ManualClock;
    use tempfile::TempDir;

    use super::*;

    fn write(log: &mut AccessLog, by: &str) {
        let incident = "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned().try_into().unwrap();
        let access =
            Access { action: "verify", incident, command: "c-1", by, reason: "核查", granted: true, refusal: None };
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        log.write(&access, &clock).unwrap();
    }

    fn open(home: &TempDir) -> AccessLog {
        let (log, broken) = AccessLog::open(home.path()).unwrap();
        assert!(broken.is_none(), "{broken:?}");
        log
    }

    fn three_lines(home: &TempDir) -> PathBuf {
        let mut log = open(home);
        write(&mut log, "Li");
        write(&mut log, "Wang");
        drop(log);
        write(&mut open(home), "Zhao");
        home.path().join(FILE)
    }

    #[test]
    fn the_chain_goes_on_over_restarts_and_half_a_line_is_cut_off() {
        let home = TempDir::new().unwrap();
        let path = three_lines(&home);
        let whole = fs::read_to_string(&path).unwrap();
        assert_eq!(whole.lines().count(), 3);
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        write(&mut open(&home), "Zhou");
        let again = fs::read_to_string(&path).unwrap();
        assert!(again.lines().nth(2).unwrap().contains("Zhou"), "{again}");
        assert!(again.lines().nth(2).unwrap().contains("\"number\":3"), "{again}");
    }

    #[test]
    fn a_line_changed_or_left_out_is_found() {
        let home = TempDir::new().unwrap();
        let path = three_lines(&home);
        let whole = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        for (damaged, line) in [
            (whole.replace("Wang", "Weng"), 3),
            (format!("{}\n{}\n", lines[0], lines[2]), 2),
            (format!("{}\n{}\n", lines[1], lines[2]), 1),
            (whole.replacen("{\"number\":2", "[\"number\":2", 1), 2),
        ] {
            fs::write(&path, damaged).unwrap();
            let (mut log, broken) = AccessLog::open(home.path()).unwrap();
            let error = broken.unwrap();
            assert!(matches!(error, AccessLogError::Broken { line: found, .. } if found == line), "{error}");
            write(&mut log, "Li");
        }
    }

    #[test]
    fn a_full_log_is_put_aside_and_the_chain_goes_on() {
        let home = TempDir::new().unwrap();
        let mut log = open(&home);
        write(&mut log, "Li");
        for _ in 0..KEPT + 3 {
            log.bytes = FILE_BYTES;
            write(&mut log, "Wang");
        }
        let before = log.head.clone();
        log.bytes = FILE_BYTES;
        log.put_aside().unwrap();
        drop(log);
        let mut log = open(&home);
        assert_eq!(log.head, before);
        assert_eq!(put_aside(home.path()).unwrap().len(), KEPT);

        // It had been put aside, but there was no room for the next one.
        write(&mut log, "Zhao");
        fs::rename(home.path().join(FILE), home.path().join(format!("access-{:012}.jsonl", log.head.number))).unwrap();
        log.bytes = FILE_BYTES;
        write(&mut log, "Zhou");
        assert_eq!(open(&home).head, log.head);
    }
}
