//! The `incidents` table: the newest revision of each incident.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{checksum, error::StoreError, message::IncidentRecord};

/// Stores a revision.
pub(super) fn put(connection: &Connection, record: &IncidentRecord) -> Result<(), StoreError> {
    let before: u64 = connection
        .prepare_cached("SELECT length(json) FROM incidents WHERE id = ?1")?
        .query_row([&record.id], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let changed = checksum::write(
        connection,
        "INSERT INTO incidents (id, revision, scene_active, finished, json, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, scene_active = excluded.scene_active,
             finished = excluded.finished, json = excluded.json, checksum = excluded.checksum
         WHERE excluded.revision > revision",
        &[&record.id, &record.revision, &record.scene_active, &record.finished, &record.json],
    )?;
    if changed == 0 {
        return Err(StoreError::StaleRevision { id: record.id.clone(), offered: record.revision });
    }
    grow(connection, record.json.len() as u64, before)
}

/// How many incidents were forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// Ended, and finished with.
    pub(super) finished: u64,
    /// Ended, but people had not finished with them.
    pub(super) unfinished: u64,
    /// Still shown by the scene.
    pub(super) active: u64,
}

/// Forgets incidents until the table is within its quota: first those that have ended and are finished with, then those that
/// have ended, and what is going on in front of a camera only when nothing else is left; of each the oldest first.
pub(super) fn forget_oldest(connection: &Connection, quota: u64) -> Result<Forgotten, StoreError> {
    let mut bytes = bytes(connection)?;
    let mut forgotten = Forgotten::default();
    while bytes > quota {
        let least_needed: Option<(i64, u64, bool, bool)> = connection
            .prepare_cached(
                "SELECT rowid, length(json), scene_active, finished FROM incidents
                 ORDER BY scene_active, finished DESC, id LIMIT 1",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((rowid, length, active, finished)) = least_needed else { break };
        connection.prepare_cached("DELETE FROM incidents WHERE rowid = ?1")?.execute([rowid])?;
        grow(connection, 0, length)?;
        bytes = bytes.saturating_sub(length);
        match (active, finished) {
            (true, _) => forgotten.active += 1,
            (false, true) => forgotten.finished += 1,
            (false, false) => forgotten.unfinished += 1,
        }
    }
    Ok(forgotten)
}

fn bytes(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'incident_bytes'")?
        .query_row([], |row| row.get(0))?)
}

fn grow(connection: &Connection, by: u64, less: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE meta SET value = value + ?1 - ?2, inverse = ~(value + ?1 - ?2) WHERE key = 'incident_bytes'",
        )?
        .execute([by, less])?;
    Ok(())
}

/// Every incident the scene still shows, oldest first.
pub(super) fn active(connection: &Connection) -> Result<Vec<IncidentRecord>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, revision, scene_active, finished, json FROM incidents WHERE scene_active = 1 ORDER BY id",
    )?;
    let records = select.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(records)
}

/// Incidents that people have not finished with, newest first: those before this id, if there is one, at most so many.
pub(super) fn unfinished(
    connection: &Connection,
    before: Option<&str>,
    rows: usize,
) -> Result<Vec<IncidentRecord>, StoreError> {
    // Every text is less than a blob.
    let mut select = connection.prepare_cached(
        "SELECT id, revision, scene_active, finished, json FROM incidents WHERE finished = 0 AND id < coalesce(?1, x'')
         ORDER BY id DESC LIMIT ?2",
    )?;
    let records = select.query_map(params![before, rows], read)?.collect::<Result<_, _>>()?;
    Ok(records)
}

/// Visits all of them, the oldest first, one at a time.
pub(super) fn for_each(connection: &Connection, mut visit: impl FnMut(IncidentRecord)) -> Result<(), StoreError> {
    let mut select =
        connection.prepare("SELECT id, revision, scene_active, finished, json FROM incidents ORDER BY id")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        visit(read(row)?);
    }
    Ok(())
}

/// Incidents that have ended and that people have finished with, newest first, at most so many.
pub(super) fn finished(connection: &Connection, rows: usize) -> Result<Vec<IncidentRecord>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, revision, scene_active, finished, json FROM incidents WHERE scene_active = 0 AND finished = 1
         ORDER BY id DESC LIMIT ?1",
    )?;
    let records = select.query_map([rows], read)?.collect::<Result<_, _>>()?;
    Ok(records)
}

/// One incident.
pub(super) fn one(connection: &Connection, id: &str) -> Result<Option<IncidentRecord>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT id, revision, scene_active, finished, json FROM incidents WHERE id = ?1")?
        .query_row([id], read)
        .optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<IncidentRecord> {
    Ok(IncidentRecord {
        id: row.get(0)?,
        revision: row.get(1)?,
        scene_active: row.get(2)?,
        finished: row.get(3)?,
        json: row.get(4)?,
    })
}
