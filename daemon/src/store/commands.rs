//! The `commands` table: what came from the grid system and how it was answered, so that a command that comes again gets
//! the same answer. Beside it the `day` table, the day's summary as it stands.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{checksum, error::StoreError, message::CommandRecord};

/// What is remembered of commands at most. The ones that expire first give way, those still open last.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommandLimits {
    /// Commands.
    pub(super) commands: u64,
    /// Bytes of what is remembered of them.
    pub(super) bytes: u64,
}

impl CommandLimits {
    /// A week of a command every ten seconds, and three times the size that a command with its answer usually has.
    pub(super) const DEFAULT: Self = Self { commands: 65_536, bytes: 128 << 20 };
}

/// Remembers a command, or what is known of it now.
pub(super) fn put(connection: &Connection, command: &CommandRecord) -> Result<(), StoreError> {
    let before: Option<u64> = connection
        .prepare_cached("SELECT length(json) FROM commands WHERE name = ?1 AND id = ?2")?
        .query_row([&command.name, &command.id], |row| row.get(0))
        .optional()?;
    checksum::write(
        connection,
        "INSERT INTO commands (name, id, expires, open, json, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (name, id) DO UPDATE SET expires = excluded.expires, open = excluded.open,
             json = excluded.json, checksum = excluded.checksum",
        &[&command.name, &command.id, &command.expires.as_millisecond(), &command.open, &command.json],
    )?;
    let (more, bytes) = (i64::from(before.is_none()), command.json.len() as u64);
    change_books(connection, more, signed(bytes) - signed(before.unwrap_or(0)))
}

/// Forgets the commands that expire first until the table is within its limits; how many those were.
pub(super) fn forget_surplus(connection: &Connection, limits: CommandLimits) -> Result<u64, StoreError> {
    let (mut commands, mut bytes) = books(connection)?;
    let mut forgotten = 0;
    while commands > limits.commands || bytes > limits.bytes {
        let first: Option<(i64, u64)> = connection
            .prepare_cached("SELECT rowid, length(json) FROM commands ORDER BY open, expires, rowid LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((rowid, length)) = first else { break };
        connection.prepare_cached("DELETE FROM commands WHERE rowid = ?1")?.execute([rowid])?;
        change_books(connection, -1, -signed(length))?;
        (commands, bytes) = (commands.saturating_sub(1), bytes.saturating_sub(length));
        forgotten += 1;
    }
    Ok(forgotten)
}

/// Forgets the commands that are not open and expired before then; how many those were.
pub(super) fn forget_expired(connection: &Connection, before: Timestamp) -> Result<u64, StoreError> {
    let expired = "open = 0 AND expires < ?1";
    let (commands, bytes): (u64, u64) = connection
        .prepare_cached(&format!("SELECT count(*), coalesce(sum(length(json)), 0) FROM commands WHERE {expired}"))?
        .query_row([before.as_millisecond()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if commands > 0 {
        connection
            .prepare_cached(&format!("DELETE FROM commands WHERE {expired}"))?
            .execute([before.as_millisecond()])?;
        change_books(connection, -signed(commands), -signed(bytes))?;
    }
    Ok(commands)
}

/// What is remembered of one command.
pub(super) fn one(connection: &Connection, name: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT json FROM commands WHERE name = ?1 AND id = ?2")?
        .query_row([name, id], |row| row.get(0))
        .optional()?)
}

/// Every command of this name that is still open, the one that was first committed first.
pub(super) fn open(connection: &Connection, name: &str) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT json FROM commands WHERE open = 1 AND name = ?1 ORDER BY rowid")?;
    let open = select.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(open)
}

/// Puts down the day as it stands.
pub(super) fn put_day(connection: &Connection, json: &[u8]) -> Result<(), StoreError> {
    checksum::write(
        connection,
        "INSERT INTO day (only, json, checksum) VALUES (1, ?1, ?2)
         ON CONFLICT DO UPDATE SET json = excluded.json, checksum = excluded.checksum",
        &[&json],
    )?;
    Ok(())
}

/// The day as it stood.
pub(super) fn day(connection: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(connection.prepare_cached("SELECT json FROM day")?.query_row([], |row| row.get(0)).optional()?)
}

/// How many commands are remembered, and their bytes.
fn books(connection: &Connection) -> Result<(u64, u64), StoreError> {
    let mut select = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let mut value = |key: &str| select.query_row([key], |row| row.get(0));
    Ok((value("commands")?, value("command_bytes")?))
}

fn change_books(connection: &Connection, commands: i64, bytes: i64) -> Result<(), StoreError> {
    let mut update =
        connection.prepare_cached("UPDATE meta SET value = value + ?2, inverse = ~(value + ?2) WHERE key = ?1")?;
    update.execute(params!["commands", commands])?;
    update.execute(params!["command_bytes", bytes])?;
    Ok(())
}

/// Lengths of what SQLite holds are far below the limit.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
