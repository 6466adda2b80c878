//! The `outbox` table and its books: what waits by class, and what was given up.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use snowgate_core::time::Mono;

use super::{
    error::StoreError,
    message::{Class, ClassStatus, Gap, LossReason, Message, OutboxRow, OutboxStatus, RowId},
};

/// Which waiting messages to read: those of one class, or of one of its lanes, in the order they were committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Their class.
    pub class: Class,
    /// Only those of this lane.
    pub lane: Option<String>,
    /// Only those after this row.
    pub after: RowId,
    /// Only those up to and including this row.
    pub up_to: RowId,
    /// The most rows to read.
    pub rows: usize,
    /// No further row is read once this many bytes of payload have been.
    pub bytes: usize,
}

/// Puts a message at the end.
pub(super) fn put(connection: &Connection, message: &Message, at: Timestamp, boot: i64) -> Result<RowId, StoreError> {
    let bytes = message.stored_bytes();
    connection
        .prepare_cached(
            "INSERT INTO outbox (class, lane, topic, payload, retain, committed_at, boot, origin, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            message.class as i64,
            message.lane,
            message.topic,
            message.payload,
            message.retain,
            at.as_millisecond(),
            boot,
            message.origin.map(|origin| origin.0),
            bytes
        ])?;
    let row = RowId(connection.last_insert_rowid());
    connection
        .prepare_cached("UPDATE classes SET messages = messages + 1, bytes = bytes + ?2 WHERE class = ?1")?
        .execute(params![message.class as i64, bytes])?;
    Ok(row)
}

/// Gives up the oldest messages of a class until it is within its quota, writes down how many, and returns that.
pub(super) fn evict(connection: &Connection, class: Class, quota: u64) -> Result<u64, StoreError> {
    let mut evicted = 0;
    let mut bytes: u64 = connection
        .prepare_cached("SELECT bytes FROM classes WHERE class = ?1")?
        .query_row([class as i64], |row| row.get(0))?;
    while bytes > quota {
        let oldest: Option<i64> = connection
            .prepare_cached("SELECT row FROM outbox WHERE class = ?1 ORDER BY row LIMIT 1")?
            .query_row([class as i64], |row| row.get(0))
            .optional()?;
        let Some(oldest) = oldest else { break };
        let given_up = give_up(connection, RowId(oldest), LossReason::Quota)?;
        bytes = bytes.saturating_sub(given_up.map_or(0, |(_, bytes)| bytes));
        evicted += 1;
    }
    Ok(evicted)
}

/// Takes out a message that will never leave and writes that down; its class and bytes, unless it has gone already.
pub(super) fn give_up(
    connection: &Connection,
    row: RowId,
    reason: LossReason,
) -> Result<Option<(Class, u64)>, StoreError> {
    let Some((class, bytes, committed_at)) = remove(connection, row)? else { return Ok(None) };
    record_gap(connection, class, reason, 1, bytes, committed_at)?;
    Ok(Some((class, bytes)))
}

/// Adds to the losses of a class.
pub(super) fn record_gap(
    connection: &Connection,
    class: Class,
    reason: LossReason,
    messages: u64,
    bytes: u64,
    at_millis: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO gaps (class, reason, messages, bytes, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (class, reason) DO UPDATE SET messages = messages + excluded.messages,
                 bytes = bytes + excluded.bytes, first_at = min(first_at, excluded.first_at),
                 last_at = max(last_at, excluded.last_at)",
        )?
        .execute(params![class as i64, reason as i64, messages, bytes, at_millis])?;
    Ok(())
}

/// Takes a message out; nothing happens if it has gone already.
pub(super) fn acknowledge(connection: &Connection, row: RowId) -> Result<(), StoreError> {
    remove(connection, row).map(|_| ())
}

fn remove(connection: &Connection, row: RowId) -> Result<Option<(Class, u64, i64)>, StoreError> {
    let removed: Option<(Class, u64, i64)> = connection
        .prepare_cached("DELETE FROM outbox WHERE row = ?1 RETURNING class, bytes, committed_at")?
        .query_row([row.0], |row| Ok((class(row, 0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((class, bytes, _)) = removed {
        connection
            .prepare_cached("UPDATE classes SET messages = messages - 1, bytes = bytes - ?2 WHERE class = ?1")?
            .execute(params![class as i64, bytes])?;
    }
    Ok(removed)
}

/// Reads waiting messages; `boot` is the number of the present boot.
pub(super) fn pending(connection: &Connection, select: &Selection, boot: i64) -> Result<Vec<OutboxRow>, StoreError> {
    const BY_CLASS: &str = "SELECT row, class, lane, topic, payload, retain, boot, origin FROM outbox
        WHERE class = ?1 AND row > ?2 AND row <= ?3 ORDER BY row LIMIT ?4";
    const BY_LANE: &str = "SELECT row, class, lane, topic, payload, retain, boot, origin FROM outbox
        WHERE class = ?1 AND row > ?2 AND row <= ?3 AND lane = ?5 ORDER BY row LIMIT ?4";
    let limit = i64::try_from(select.rows).unwrap_or(i64::MAX);
    let class = select.class as i64;
    let mut statement = connection.prepare_cached(if select.lane.is_some() { BY_LANE } else { BY_CLASS })?;
    let mut rows = match &select.lane {
        Some(lane) => statement.query(params![class, select.after.0, select.up_to.0, limit, lane])?,
        None => statement.query(params![class, select.after.0, select.up_to.0, limit])?,
    };
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < select.bytes
        && let Some(row) = rows.next()?
    {
        let waiting = read(row, boot)?;
        bytes += waiting.message.payload.len();
        found.push(waiting);
    }
    Ok(found)
}

fn read(row: &Row<'_>, boot: i64) -> rusqlite::Result<OutboxRow> {
    let same_boot = row.get::<_, i64>(6)? == boot;
    Ok(OutboxRow {
        row: RowId(row.get(0)?),
        message: Message {
            class: class(row, 1)?,
            lane: row.get(2)?,
            topic: row.get(3)?,
            payload: row.get(4)?,
            retain: row.get(5)?,
            origin: row.get::<_, Option<u64>>(7)?.filter(|_| same_boot).map(Mono),
        },
    })
}

/// Every loss not yet announced.
pub(super) fn gaps(connection: &Connection) -> Result<Vec<Gap>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT class, reason, messages, bytes, first_at, last_at FROM gaps ORDER BY class, reason")?;
    let gaps = select
        .query_map([], |row| {
            Ok(Gap {
                class: class(row, 0)?,
                reason: LossReason::from_number(row.get(1)?).ok_or_else(|| out_of_range(row, 1))?,
                messages: row.get(2)?,
                bytes: row.get(3)?,
                first: timestamp(row, 4)?,
                last: timestamp(row, 5)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(gaps)
}

/// Forgets losses: their announcement is committed with the same transaction.
pub(super) fn clear_gaps(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM gaps")?.execute([])?;
    Ok(())
}

/// What the outbox holds.
pub(super) fn status(connection: &Connection) -> Result<OutboxStatus, StoreError> {
    let mut status = OutboxStatus {
        last_row: last_row(connection)?,
        gaps: connection.prepare_cached("SELECT count(*) FROM gaps")?.query_row([], |row| row.get(0))?,
        ..OutboxStatus::default()
    };
    let mut oldest =
        connection.prepare_cached("SELECT committed_at FROM outbox WHERE class = ?1 ORDER BY row LIMIT 1")?;
    let mut select = connection.prepare_cached("SELECT class, messages, bytes FROM classes")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let class = class(row, 0)?;
        let messages = row.get(1)?;
        let oldest = match messages {
            0 => None,
            _ => oldest.query_row([class as i64], |row| timestamp(row, 0)).optional()?,
        };
        status.classes[class.index()] = ClassStatus { messages, bytes: row.get(2)?, oldest };
    }
    Ok(status)
}

/// The newest message ever committed.
pub(super) fn last_row(connection: &Connection) -> Result<RowId, StoreError> {
    let row = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(RowId(row.unwrap_or(0)))
}

pub(super) fn class(row: &Row<'_>, column: usize) -> rusqlite::Result<Class> {
    Class::from_number(row.get(column)?).ok_or_else(|| out_of_range(row, column))
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?).map_err(|_| out_of_range(row, column))
}

fn out_of_range(row: &Row<'_>, column: usize) -> rusqlite::Error {
    let value = row.get_ref(column).ok().and_then(|value| value.as_i64().ok()).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, format!("{value} has no meaning here").into())
}
