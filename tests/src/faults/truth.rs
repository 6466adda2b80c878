//! What the daemon has committed, read from its store beside it.

use std::{fs, io, path::Path};

use rusqlite::{Connection, OpenFlags};
use snowgate_core::ids::IncidentId;
use tempfile::TempDir;

use super::ledger::{Truth, digest};

/// The store's file in the data directory.
pub const STORE: &str = "store.sqlite";

/// An event that waits in the outbox: its incident, revision and digest.
pub type Waiting = (IncidentId, u32, u64);

fn open(data: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(data.join(STORE), flags)
}

/// The number of the newest event that is committed.
///
/// # Errors
/// The store cannot be read now.
pub fn sequence(data: &Path) -> rusqlite::Result<u64> {
    open(data)?.query_row("SELECT value FROM meta WHERE key = 'sequence'", [], |row| row.get(0))
}

/// Every incident and its newest revision.
///
/// # Errors
/// The store cannot be read.
pub fn read(data: &Path) -> rusqlite::Result<Truth> {
    let connection = open(data)?;
    let mut select = connection.prepare("SELECT id, revision FROM incidents")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?)))?;
    let mut truth = Truth { sequence: sequence(data)?, ..Truth::default() };
    for row in rows {
        let (id, revision) = row?;
        let id = IncidentId::try_from(id).map_err(rusqlite::Error::InvalidParameterName)?;
        truth.incidents.insert(id, revision);
    }
    Ok(truth)
}

/// The events that wait in the outbox.
///
/// # Errors
/// The store cannot be read.
pub fn waiting(data: &Path) -> rusqlite::Result<Vec<Waiting>> {
    let connection = open(data)?;
    let mut select =
        connection.prepare("SELECT lane, payload FROM outbox WHERE topic LIKE '%/incident/%' ORDER BY row")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut waiting = Vec::new();
    for row in rows {
        let (lane, payload) = row?;
        let incident = IncidentId::try_from(lane).map_err(rusqlite::Error::InvalidParameterName)?;
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
        let revision = event["data"]["revision"].as_u64().and_then(|revision| u32::try_from(revision).ok());
        waiting.push((incident, revision.unwrap_or(0), digest(&payload)));
    }
    Ok(waiting)
}

/// How many events wait in the outbox.
///
/// # Errors
/// The store cannot be read.
pub fn waiting_count(data: &Path) -> rusqlite::Result<u64> {
    open(data)?.query_row("SELECT count(*) FROM outbox WHERE topic LIKE '%/incident/%'", [], |row| row.get(0))
}

/// How many incidents have times from a clock that was not synchronised.
///
/// # Errors
/// The store cannot be read now.
pub fn without_time(data: &Path) -> rusqlite::Result<u64> {
    let count = "SELECT count(*) FROM incidents WHERE NOT json_extract(CAST(json AS TEXT), '$.opened.synchronised')";
    open(data)?.query_row(count, [], |row| row.get(0))
}

/// A copy of the store with its log, so that reading it changes nothing of what a kill has left behind.
pub fn snapshot(data: &Path) -> TempDir {
    let copy = TempDir::new().expect("a temporary directory");
    for part in ["", "-wal"] {
        let name = format!("{STORE}{part}");
        match fs::copy(data.join(&name), copy.path().join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{name}: {error}"),
            _ => {}
        }
    }
    copy
}

/// How many incidents people have come so far with.
///
/// # Errors
/// The store cannot be read now.
pub fn handled(data: &Path, handling: &str) -> rusqlite::Result<u64> {
    let count = "SELECT count(*) FROM incidents WHERE json_extract(CAST(json AS TEXT), '$.handling') = ?1";
    open(data)?.query_row(count, [handling], |row| row.get(0))
}

/// How many dispositions have been carried out, of all incidents.
///
/// # Errors
/// The store cannot be read.
pub fn steps(data: &Path) -> rusqlite::Result<u64> {
    let count = "SELECT total(json_array_length(CAST(json AS TEXT), '$.dispositions.steps')) FROM incidents";
    open(data)?.query_row(count, [], |row| row.get::<_, f64>(0)).map(|steps| steps as u64)
}
