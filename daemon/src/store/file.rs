//! The file itself: who may use it, and whether it is sound.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use rustix::fs::{FlockOperation, flock};
use snowgate_core::time::{BootId, Moment};

use super::{
    clocks::{self, Stamp},
    error::StoreError,
    message::{Class, LossReason},
    outbox::Books,
    schema, soundness,
};
use crate::{durable::sync_directory, events::store as events};

/// The store's file in the data directory.
pub const FILE: &str = "store.sqlite";
/// Held by whoever works on the data directory.
pub const LOCK: &str = "lock";
/// Damaged stores kept for a look; older ones are deleted, so that they never fill the disk.
const SET_ASIDE_KEPT: usize = 2;
/// Event numbers that are passed over where nobody knows which have been given.
const ROOM: u64 = 1_000_000;

/// Holds the data directory for this process until it is dropped.
pub(super) struct DirectoryLock(File);

impl Drop for DirectoryLock {
    /// Gives it back by name: closing the file would not, while a process forked just now still has a copy of it.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl DirectoryLock {
    /// Takes the lock, or says who has it. The kernel gives it back when the process ends, however it ends.
    pub(super) fn take(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(LOCK);
        let failed = |source| StoreError::File { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // The holder's number is a courtesy: without it the error stands as well.
                let _ = file.take(16).read_to_string(&mut holder);
                return Err(StoreError::InUse { directory: directory.to_owned(), pid: holder.trim().parse().ok() });
            }
            Err(error) => return Err(failed(error.into())),
        }
        // On a full disk the number cannot be written, but the lock holds.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

/// A data directory on which no daemon works, nor will while this is held.
pub struct Offline(#[allow(dead_code, reason = "held")] DirectoryLock);

impl Offline {
    /// Takes a directory.
    ///
    /// # Errors
    /// A daemon works there, or the file system refuses.
    pub fn take(directory: &Path) -> Result<Self, StoreError> {
        DirectoryLock::take(directory).map(Self)
    }

    /// Has the store in a directory, that of a backup, go on where the box that it was taken of may have told more since.
    ///
    /// # Errors
    /// It is damaged, or cannot be written.
    pub fn begin_after_restore(directory: &Path, now: Moment) -> Result<(), StoreError> {
        let connection = open_sound(&directory.join(FILE))?;
        let sequence = query_sequence(&connection)?.saturating_add(ROOM);
        begin_after_loss(&connection, sequence, LossReason::Restored, now)
    }
}

/// A store that was found damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// An opened file.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) set_aside: Option<SetAside>,
    /// The last number given to an event.
    pub(super) sequence: u64,
    /// Counts the boots this store has seen.
    pub(super) boot: i64,
}

/// Opens the store in a directory, a fresh one if there is none or a damaged one had to be set aside.
pub(super) fn open(directory: &Path, now: Moment, boot_id: &BootId) -> Result<Opened, StoreError> {
    let path = directory.join(FILE);
    open_or_set_aside(&path, now, boot_id).map_err(|error| match error {
        StoreError::Sqlite(source) => StoreError::Open { path, source },
        other => other,
    })
}

fn open_or_set_aside(path: &Path, now: Moment, boot_id: &BootId) -> Result<Opened, StoreError> {
    // A page that cannot be read for once looks damaged to the check; what is damaged still is at a second look.
    let opened = open_sound(path).or_else(|error| match error {
        StoreError::Corrupt(_) => open_sound(path),
        other => Err(other),
    });
    let (mut connection, set_aside) = match opened {
        Ok(connection) => (connection, None),
        Err(StoreError::Corrupt(error)) => {
            let sequence = salvage_sequence(path, now);
            let set_aside = set_aside(path, now, error.to_string())?;
            let connection = open_sound(path)?;
            begin_after_loss(&connection, sequence, LossReason::Corrupt, now)?;
            (connection, Some(set_aside))
        }
        Err(error) => return Err(error),
    };
    let boot = clocks::number_of_boot(&mut connection, boot_id)?;
    let sequence = query_sequence(&connection)?;
    Ok(Opened { connection, set_aside, sequence, boot })
}

/// The last number given to an event.
fn query_sequence(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT value FROM meta WHERE key = 'sequence'", [], |row| row.get(0))
}

/// Opens for reading only, beside a daemon that writes: for `outbox status`.
pub(super) fn open_beside(directory: &Path) -> Result<Connection, StoreError> {
    let path = directory.join(FILE);
    if let Err(source) = fs::metadata(&path) {
        return Err(StoreError::File { path, source });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    schema::refuse_other_format(&connection, &path)?;
    Ok(connection)
}

fn open_sound(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = connect(path)?;
    // A reader beside us (`outbox status`) may hold up a checkpoint for a moment.
    connection.busy_timeout(Duration::from_secs(5))?;
    prepare(&mut connection, path).map_err(soundness::blame)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    soundness::check_header(connection, path)?;
    let found = schema::known_format(connection, path)?;
    soundness::check_file(connection)?;
    use_write_ahead_log(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // In KiB. Without this the file itself may say how much memory to use.
    connection.pragma_update(None, "cache_size", -2000)?;
    // A burst must not leave its log behind at full length.
    connection.pragma_update(None, "journal_size_limit", 8 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    schema::migrate(connection, found)?;
    soundness::check(connection)
}

/// Only with the log is a commit durable when it returns. Where SQLite cannot use it, it goes on without and says so in
/// its answer; and only when that has been read to its end is the change committed, and known not to have failed.
fn use_write_ahead_log(connection: &Connection) -> Result<(), StoreError> {
    let mut change = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut answers = change.query([])?;
    let mut mode = String::new();
    while let Some(answer) = answers.next()? {
        mode = answer.get(0)?;
    }
    if mode == "wal" {
        return Ok(());
    }
    let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    let message = format!("no write-ahead log can be kept: the journal mode stays {mode:?}");
    Err(StoreError::Sqlite(rusqlite::Error::SqliteFailure(failure, Some(message))))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    #[cfg(test)]
    if let Some(vfs) = super::crash::vfs_for(path) {
        return Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs);
    }
    Connection::open(path)
}

/// The number events of a fresh store begin after, so that none is used twice: the damaged store's, where it can still
/// be read, with room for what it can no longer say; else the milliseconds since 1970, which no box outruns.
fn salvage_sequence(path: &Path, now: Moment) -> u64 {
    /// 2025: a clock that says less is wrong.
    const EARLIEST: u64 = 1_735_689_600_000;
    let read = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| query_sequence(&connection).optional());
    match read {
        Ok(Some(sequence)) => sequence.saturating_add(ROOM),
        Ok(None) | Err(_) => u64::try_from(now.wall.as_millisecond()).unwrap_or(0).max(EARLIEST),
    }
}

/// Has a store go on where nobody knows what another one has told since: event numbers begin anew far above those that may have been
/// given, and the loss is announced.
fn begin_after_loss(connection: &Connection, sequence: u64, reason: LossReason, now: Moment) -> Result<(), StoreError> {
    connection.execute("UPDATE meta SET value = ?1, inverse = ~?1 WHERE key = 'sequence'", params![sequence])?;
    // Before every row of the store, and of no boot that it knows.
    let mut books = Books::default();
    books.lose(Class::Incident, reason, 0, 0, 0, Stamp::new(now, 0));
    books.write(connection)
}

fn set_aside(path: &Path, now: Moment, reason: String) -> Result<SetAside, StoreError> {
    let failed = |source| StoreError::File { path: path.to_owned(), source };
    let stamp = now.wall.strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    let to = with_suffix(path, &format!(".corrupt-{stamp}"));
    // The log belongs to the file: without it, what a person may still rescue is less.
    for part in ["-wal", "-shm", ""] {
        match fs::rename(with_suffix(path, part), with_suffix(&to, part)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if let Some(directory) = path.parent() {
        sync_directory(directory).map_err(failed)?;
        delete_older(directory).map_err(failed)?;
    }
    events::SetAside { path: &to, reason: &reason }.emit();
    Ok(SetAside { path: to, reason })
}

fn delete_older(directory: &Path) -> io::Result<()> {
    let prefix = format!("{FILE}.corrupt-");
    let mut stores: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm") {
            stores.push(path);
        }
    }
    stores.sort();
    let surplus = stores.len().saturating_sub(SET_ASIDE_KEPT);
    for store in &stores[..surplus] {
        for part in ["-wal", "-shm", ""] {
            match fs::remove_file(with_suffix(store, part)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
