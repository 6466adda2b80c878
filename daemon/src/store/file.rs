//! The file itself: who may use it, whether it is sound, which format it has.

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
    error::StoreError,
    message::{Class, LossReason},
    outbox,
};
use crate::events::store as events;

/// The store's file in the data directory.
pub(super) const FILE: &str = "store.sqlite";
const LOCK: &str = "lock";
/// Damaged stores kept for a look; older ones are deleted, so that they never fill the disk.
const SET_ASIDE_KEPT: usize = 2;

/// The format this version writes, as `user_version`.
const FORMAT: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('sequence', 0), ('boot_number', 0), ('boot_id', ''), ('incident_bytes', 0);

    CREATE TABLE incidents (
        id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, scene_active INTEGER NOT NULL, json BLOB NOT NULL
    ) STRICT;
    CREATE INDEX incidents_by_scene ON incidents (scene_active, id);

    CREATE TABLE outbox (
        row INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL, lane TEXT, topic TEXT NOT NULL,
        retain INTEGER NOT NULL, committed_at INTEGER NOT NULL, boot INTEGER NOT NULL, origin INTEGER,
        bytes INTEGER NOT NULL, payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX outbox_by_class ON outbox (class);
    CREATE INDEX outbox_by_lane ON outbox (class, lane) WHERE lane IS NOT NULL;

    CREATE TABLE classes (class INTEGER PRIMARY KEY, messages INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
    CREATE TABLE gaps (
        class INTEGER NOT NULL, reason INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (class, reason)
    ) STRICT, WITHOUT ROWID;
";

/// Holds the data directory for this process until it is dropped.
pub(super) struct DirectoryLock {
    _file: File,
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
        Ok(Self { _file: file })
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
            begin_after_loss(&connection, sequence, now)?;
            (connection, Some(set_aside))
        }
        Err(error) => return Err(error),
    };
    let boot = number_of_boot(&mut connection, boot_id)?;
    let sequence =
        connection.query_row("SELECT value FROM meta WHERE key = 'sequence'", [], |row| row.get::<_, u64>(0))?;
    Ok(Opened { connection, set_aside, sequence, boot })
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
    refuse_other_format(&connection, &path)?;
    Ok(connection)
}

fn open_sound(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = connect(path)?;
    // A reader beside us (`outbox status`) may hold up a checkpoint for a moment.
    connection.busy_timeout(Duration::from_secs(5))?;
    refuse_newer(&connection, path)?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(StoreError::Corrupt(rusqlite::Error::SqliteFailure(damaged, Some(check))));
    }
    use_write_ahead_log(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A burst must not leave its log behind at full length.
    connection.pragma_update(None, "journal_size_limit", 8 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&mut connection)?;
    Ok(connection)
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

fn format(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match format(connection)? {
        found if found > FORMAT => Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }),
        _ => Ok(()),
    }
}

fn refuse_other_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    refuse_newer(connection, path)?;
    if format(connection)? == FORMAT {
        return Ok(());
    }
    let source = io::Error::new(io::ErrorKind::InvalidData, "no store has been made here yet");
    Err(StoreError::File { path: path.to_owned(), source })
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    if format(connection)? == FORMAT {
        return Ok(());
    }
    // The only older format is none at all.
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    for class in Class::ALL {
        transaction.execute("INSERT INTO classes VALUES (?1, 0, 0)", [class as i64])?;
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    Ok(transaction.commit()?)
}

/// Monotonic times can be compared within one boot only, so each boot has a number, and each message that of its own.
fn number_of_boot(connection: &mut Connection, boot_id: &BootId) -> Result<i64, StoreError> {
    let transaction = connection.transaction()?;
    let known: String = transaction.query_row("SELECT value FROM meta WHERE key = 'boot_id'", [], |row| row.get(0))?;
    if known != boot_id.0 {
        transaction.execute("UPDATE meta SET value = value + 1 WHERE key = 'boot_number'", [])?;
        transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'boot_id'", [&boot_id.0])?;
    }
    let number = transaction.query_row("SELECT value FROM meta WHERE key = 'boot_number'", [], |row| row.get(0))?;
    transaction.commit()?;
    Ok(number)
}

/// The number events of a fresh store begin after, so that none is used twice: the damaged store's, where it can still
/// be read, with room for what it can no longer say; else the milliseconds since 1970, which no box outruns.
fn salvage_sequence(path: &Path, now: Moment) -> u64 {
    const ROOM: u64 = 1_000_000;
    let read = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
        connection.query_row("SELECT value FROM meta WHERE key = 'sequence'", [], |row| row.get::<_, u64>(0)).optional()
    });
    match read {
        Ok(Some(sequence)) => sequence.saturating_add(ROOM),
        Ok(None) | Err(_) => u64::try_from(now.wall.as_millisecond()).unwrap_or(ROOM),
    }
}

fn begin_after_loss(connection: &Connection, sequence: u64, now: Moment) -> Result<(), StoreError> {
    connection.execute("UPDATE meta SET value = ?1 WHERE key = 'sequence'", params![sequence])?;
    outbox::record_gap(connection, Class::Incident, LossReason::Corrupt, 0, 0, now.wall.as_millisecond())
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
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
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
