//! What the daemon has committed, read from its store beside it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use snowgate_core::ids::IncidentId;

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
