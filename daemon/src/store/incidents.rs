//! The `incidents` table: the newest revision of each incident.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{error::StoreError, message::IncidentRecord};

/// Stores a revision.
pub(super) fn put(connection: &Connection, record: &IncidentRecord) -> Result<(), StoreError> {
    let before: u64 = connection
        .prepare_cached("SELECT length(json) FROM incidents WHERE id = ?1")?
        .query_row([&record.id], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let changed = connection
        .prepare_cached(
            "INSERT INTO incidents (id, revision, scene_active, json) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, scene_active = excluded.scene_active,
                 json = excluded.json
             WHERE excluded.revision > revision",
        )?
        .execute(params![record.id, record.revision, record.scene_active, record.json])?;
    if changed == 0 {
        return Err(StoreError::StaleRevision { id: record.id.clone(), offered: record.revision });
    }
    grow(connection, record.json.len() as u64, before)
}

/// Forgets the oldest incidents that have ended until the table is within its quota.
pub(super) fn forget_oldest(connection: &Connection, quota: u64) -> Result<(), StoreError> {
    let mut bytes = bytes(connection)?;
    while bytes > quota {
        let oldest: Option<(i64, u64)> = connection
            .prepare_cached(
                "SELECT rowid, length(json) FROM incidents WHERE scene_active = 0 ORDER BY scene_active, id LIMIT 1",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // What is going on in front of a camera is never forgotten.
        let Some((rowid, length)) = oldest else { break };
        connection.prepare_cached("DELETE FROM incidents WHERE rowid = ?1")?.execute([rowid])?;
        grow(connection, 0, length)?;
        bytes = bytes.saturating_sub(length);
    }
    Ok(())
}

fn bytes(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'incident_bytes'")?
        .query_row([], |row| row.get(0))?)
}

fn grow(connection: &Connection, by: u64, less: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE meta SET value = value + ?1 - ?2 WHERE key = 'incident_bytes'")?
        .execute([by, less])?;
    Ok(())
}

/// Every incident the scene still shows, oldest first.
pub(super) fn active(connection: &Connection) -> Result<Vec<IncidentRecord>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT id, revision, scene_active, json FROM incidents WHERE scene_active = 1 ORDER BY id")?;
    let records = select.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(records)
}

/// One incident.
pub(super) fn one(connection: &Connection, id: &str) -> Result<Option<IncidentRecord>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT id, revision, scene_active, json FROM incidents WHERE id = ?1")?
        .query_row([id], read)
        .optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<IncidentRecord> {
    Ok(IncidentRecord { id: row.get(0)?, revision: row.get(1)?, scene_active: row.get(2)?, json: row.get(3)? })
}
