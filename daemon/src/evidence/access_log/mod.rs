//! Who has asked to see something, and why; what was taken off the box, held and deleted: a log that only grows, and in which no
//! line can be changed or left out unnoticed.
//!
//! # On disk
//! `access.jsonl` in the data directory: one JSON object a line ([`Entry`]). `number` counts from 1; `previous` is the SHA-256
//! of the line before, without its line end, in hexadecimal (64 zeros before the first). A line is on disk (`fdatasync`) before
//! [`AccessLog::write`] returns. What a power cut leaves of a line without its end is cut off by the next one who writes: nobody
//! was told that it had been written.
//!
//! A log of [`FILE_BYTES`] is put aside as `access-NUMBER.jsonl`, NUMBER being its last line's; the chain goes on in the
//! next. Of those put aside the newest [`KEPT`] stay.
//!
//! `access.head` names the line that was the last one when it was [published](AccessLog::publish): a log that has lost it is
//! broken. Whoever changes both is found out by those who have heard what was published.
//!
//! The daemon and the command line write into the same log. Each takes the lock (`access.lock`, `flock`) for a line, and reads
//! before it writes what the others have written.

mod chain;
mod entry;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use snowgate_core::{
    ids::Id,
    time::{Moment, Stamp},
};

use self::chain::{Chain, put_aside};
pub use self::{
    chain::Head,
    entry::{Access, AccessedFile, Action, Entry},
};
use crate::{
    durable::{replace_file, sync_directory},
    events::evidence::{AccessLogBroken, Accessed},
    signing::{Seal, SigningKey},
};

/// The log's name.
const FILE: &str = "access.jsonl";
/// The name of what was published of it.
const HEAD: &str = "access.head";
/// The name of the lock.
const LOCK: &str = "access.lock";
/// The size at which a log is put aside.
const FILE_BYTES: u64 = 16 << 20;
/// Logs put aside that are kept.
const KEPT: usize = 16;
/// The most bytes of what names a head.
const HEAD_BYTES: u64 = 4096;
/// How long somebody else may have the lock; writing a line takes them milliseconds.
const LOCK_WITHIN: Duration = Duration::from_secs(5);
/// How often to look whether they have let go of it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

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
    /// Its head cannot be signed.
    #[error("the access log's head cannot be signed: {0}")]
    Sign(io::Error),
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

fn failed(path: &Path) -> impl Fn(io::Error) -> AccessLogError + use<> {
    let path = path.to_owned();
    move |source| AccessLogError::File { path: path.clone(), source }
}

/// The log, open for writing; clones are the same.
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Mutex<Opened>>);

#[derive(Debug)]
struct Opened {
    directory: PathBuf,
    lock: File,
    log: Log,
}

/// The newest file of the log, as far as it has been read.
#[derive(Debug)]
struct Log {
    file: File,
    bytes: u64,
    lines: u64,
    head: Head,
}

impl AccessLog {
    /// Opens the log in the data directory; there need not be one. A log whose chain is broken is told of and put aside for
    /// somebody to look at (`access.jsonl.broken-NUMBER`, the next free number), and a new chain begun.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(directory: &Path) -> Result<Self, AccessLogError> {
        let path = directory.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(failed(&path))?;
        let log = {
            let _locked = Locked::take(&lock, &path)?;
            open_or_begin_anew(directory)?
        };
        Ok(Self(Arc::new(Mutex::new(Opened { directory: directory.to_owned(), lock, log }))))
    }

    /// Adds a line. It is on disk when this returns.
    ///
    /// # Errors
    /// It is not there.
    pub fn write(&self, access: &Access, at: &Stamp) -> Result<(), AccessLogError> {
        self.locked(|directory, log| {
            let path = directory.join(FILE);
            log.append(directory, access, at).map_err(failed(&path))?;
            Accessed { action: access.action.as_str(), granted: access.granted }.emit();
            Ok(())
        })
    }

    /// Takes in what others have written.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn catch_up(&self) -> Result<(), AccessLogError> {
        self.locked(|_, _| Ok(()))
    }

    /// The last line, which is to be published: from now on a log without it is broken.
    ///
    /// # Errors
    /// The log cannot be read, or it cannot be noted down which line that is.
    pub fn publish(&self) -> Result<Head, AccessLogError> {
        self.locked(|directory, log| {
            let path = directory.join(HEAD);
            let note = serde_json::to_vec(&log.head).map_err(|error| failed(&path)(error.into()))?;
            replace_file(&path, &[&note]).map_err(failed(&path))?;
            Ok(log.head.clone())
        })
    }

    /// Does something with the log while nobody else does, after all that others have written.
    fn locked<T>(&self, act: impl FnOnce(&Path, &mut Log) -> Result<T, AccessLogError>) -> Result<T, AccessLogError> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Opened { directory, lock, log } = &mut *opened;
        let _locked = Locked::take(lock, &directory.join(LOCK))?;
        match log.catch_up(directory) {
            Err(broken @ AccessLogError::Broken { .. }) => *log = begin_anew(directory, &broken)?,
            other => other?,
        }
        act(directory, log)
    }
}

/// The lock, until it is dropped.
struct Locked<'l>(&'l File);

impl<'l> Locked<'l> {
    fn take(lock: &'l File, path: &Path) -> Result<Self, AccessLogError> {
        let until = Instant::now() + LOCK_WITHIN;
        loop {
            match flock(lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(lock)),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                Err(error) => return Err(failed(path)(error.into())),
            }
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // The kernel gives back what cannot be given back here, when the process ends.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

fn open_or_begin_anew(directory: &Path) -> Result<Log, AccessLogError> {
    match Log::open(directory) {
        Err(broken @ AccessLogError::Broken { .. }) => begin_anew(directory, &broken),
        opened => opened,
    }
}

/// Puts a broken log aside and begins another one.
fn begin_anew(directory: &Path, broken: &AccessLogError) -> Result<Log, AccessLogError> {
    AccessLogBroken { error: broken }.emit();
    put_broken_aside(directory).map_err(failed(&directory.join(FILE)))?;
    Log::open(directory)
}

impl Log {
    fn open(directory: &Path) -> Result<Self, AccessLogError> {
        let path = directory.join(FILE);
        let failed = failed(&path);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(&failed)?;
        sync_directory(directory).map_err(&failed)?;
        let before = last_put_aside(directory).map_err(&failed)?.unwrap_or_else(Head::none);
        let published = published(directory)?;
        let mut published_is_there = published.as_ref().is_none_or(|published| published.number <= before.number);
        let chain = Chain::read(&file, &path, |head, _| {
            published_is_there |= published.as_ref() == Some(head);
        })?;
        if chain.before.is_some_and(|first| first != before) {
            let what = "lines before it are not there any more";
            return Err(AccessLogError::Broken { path, line: 1, what });
        }
        if !published_is_there {
            return Err(AccessLogError::Broken { path, line: chain.lines + 1, what: ENDS_TOO_SOON });
        }
        file.set_len(chain.bytes).map_err(&failed)?;
        file.seek(SeekFrom::End(0)).map_err(&failed)?;
        Ok(Self { file, bytes: chain.bytes, lines: chain.lines, head: chain.head.unwrap_or(before) })
    }

    /// Reads what others have written since.
    fn catch_up(&mut self, directory: &Path) -> Result<(), AccessLogError> {
        let path = directory.join(FILE);
        let failed = failed(&path);
        let ours = self.file.metadata().map_err(&failed)?;
        let is_still_ours = match fs::metadata(&path) {
            Ok(there) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(error)),
        };
        if !is_still_ours {
            *self = Self::open(directory)?;
            return Ok(());
        }
        if ours.len() == self.bytes {
            return Ok(());
        }
        let broken = |line, what| AccessLogError::Broken { path: path.clone(), line, what };
        if ours.len() < self.bytes {
            return Err(broken(self.lines, ENDS_TOO_SOON));
        }
        self.file.seek(SeekFrom::Start(self.bytes)).map_err(&failed)?;
        let written = Chain::read(&self.file, &path, |_, line| {
            if let Ok(Entry { access, .. }) = serde_json::from_slice(line) {
                Accessed { action: access.action.as_str(), granted: access.granted }.emit();
            }
        });
        let written = written.map_err(|error| match error {
            AccessLogError::Broken { line, what, .. } => broken(self.lines + line, what),
            other => other,
        })?;
        if written.before.is_some_and(|first| first != self.head) {
            return Err(broken(self.lines + 1, "the line before it has been changed or left out"));
        }
        self.bytes += written.bytes;
        self.lines += written.lines;
        self.head = written.head.unwrap_or_else(|| self.head.clone());
        self.file.set_len(self.bytes).map_err(&failed)
    }

    fn append(&mut self, directory: &Path, access: &Access, at: &Stamp) -> io::Result<()> {
        if self.bytes >= FILE_BYTES {
            self.put_aside(directory)?;
        }
        let Head { number, sha256: previous } = self.head.clone();
        let entry = Entry { number: number + 1, previous, at: at.clone(), access: access.clone() };
        let mut line = serde_json::to_vec(&entry)?;
        let head = Head::after(number, &line);
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not be gone on from.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.lines += 1;
        self.head = head;
        Ok(())
    }

    fn put_aside(&mut self, directory: &Path) -> io::Result<()> {
        let path = directory.join(FILE);
        match fs::rename(&path, directory.join(format!("access-{:012}.jsonl", self.head.number))) {
            // Put aside before, when there was no room for the next one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
        (self.bytes, self.lines) = (0, 0);
        let aside = put_aside(directory)?;
        for old in aside.iter().rev().skip(KEPT) {
            fs::remove_file(old)?;
        }
        sync_directory(directory)
    }
}

/// What is wrong with a log that has lost its end.
const ENDS_TOO_SOON: &str = "lines that were there before are not there any more";

/// What was last published, if anything was.
fn published(directory: &Path) -> Result<Option<Head>, AccessLogError> {
    let path = directory.join(HEAD);
    let mut note = Vec::new();
    match File::open(&path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut note)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(failed(&path))?,
    };
    let what = "it does not say which line was published";
    serde_json::from_slice(&note).map(Some).map_err(|_| AccessLogError::Broken { path, line: 1, what })
}

fn put_broken_aside(directory: &Path) -> io::Result<()> {
    let free = (1..).map(|number: u32| directory.join(format!("{FILE}.broken-{number}"))).find(|path| !path.exists());
    let moved = free.map_or(Ok(()), |free| fs::rename(directory.join(FILE), free));
    // What was published belonged to it.
    let forgotten = fs::remove_file(directory.join(HEAD));
    for result in [moved, forgotten] {
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The last line of the newest log that was put aside.
fn last_put_aside(directory: &Path) -> io::Result<Option<Head>> {
    let Some(newest) = put_aside(directory)?.pop() else { return Ok(None) };
    // One that is broken or cannot be read has no last line to go on from; it stays for whoever has to look at it.
    Ok(Chain::read(File::open(&newest)?, &newest, |_, _| {}).map_or(None, |chain| chain.head))
}

/// The last line of the log, as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedHead {
    /// The box.
    pub gateway: Id,
    /// When it was the last line.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Whether the clock that says so was synchronised.
    pub clock_synchronised: bool,
    /// The line.
    #[serde(flatten)]
    pub head: Head,
    /// SHA-256 of the public key that belongs to the signature (SubjectPublicKeyInfo, DER), as hex; missing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// Ed25519 signature, as hex, over `snowgate-access-log 1 GATEWAY NUMBER SHA256` and a line feed; missing where the gateway
    /// has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl PublishedHead {
    /// Signs it, where there is a key.
    ///
    /// # Errors
    /// OpenSSL fails.
    pub fn new(gateway: &Id, head: Head, now: Moment, key: Option<&SigningKey>) -> Result<Self, AccessLogError> {
        let what = format!("snowgate-access-log 1 {gateway} {}", head.number);
        let signed = key.map(|key| {
            let fingerprint = key.fingerprint().map_err(io::Error::other)?;
            Ok((fingerprint, Seal::new(&what, head.sha256.clone(), key)?.signature))
        });
        let (signing_key, signature) = signed.transpose().map_err(AccessLogError::Sign)?.unzip();
        let (gateway, at, clock_synchronised) = (gateway.clone(), now.wall, now.synchronised);
        Ok(Self { gateway, at, clock_synchronised, head, signing_key, signature })
    }
}

/// Reads all of the log in the data directory, changes nothing, and shows each entry with its place in the chain; answers the
/// last line. A daemon may be writing.
///
/// # Errors
/// It cannot be read, or its chain is broken.
pub fn read_all(directory: &Path, mut show: impl FnMut(&Head, &Entry)) -> Result<Head, AccessLogError> {
    let mut files = put_aside(directory).map_err(failed(directory))?;
    // Older ones are kept no longer.
    let may_begin_anywhere = files.len() >= KEPT;
    files.push(directory.join(FILE));
    let published = published(directory)?;
    let mut head = None::<Head>;
    let mut published_is_there = published.as_ref().is_none_or(|published| published.number == 0);
    for path in files {
        let file = match File::open(&path) {
            Ok(file) => file,
            // Nothing has been written yet, or the log was put aside a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&path)(error)),
        };
        let chain = Chain::read(file, &path, |at, line| {
            published_is_there |= published.as_ref() == Some(at);
            if let Ok(entry) = serde_json::from_slice(line) {
                show(at, &entry);
            }
        })?;
        let follows = match (&head, &chain.before) {
            (_, None) => true,
            (Some(head), Some(before)) => head == before,
            (None, Some(before)) => may_begin_anywhere || *before == Head::none(),
        };
        if !follows {
            let what = "lines before it are not there any more";
            return Err(AccessLogError::Broken { path, line: 1, what });
        }
        head = chain.head.or(head);
    }
    let head = head.unwrap_or_else(Head::none);
    if !published_is_there {
        let (path, line) = (directory.join(FILE), head.number + 1);
        return Err(AccessLogError::Broken { path, line, what: ENDS_TOO_SOON });
    }
    Ok(head)
}
