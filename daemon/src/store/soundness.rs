//! Whether a file is what a store wrote: looked at once, when it is opened, so that nothing that reads afterwards meets
//! anything else.
//!
//! - Pages, indexes and constraints are SQLite's own business (`integrity_check`).
//! - Every row has the checksum it was written with.
//! - The schema has the digest it was written with.
//! - The sums that are kept (`classes`, `meta`, and of all rows' checksums, `sums`) are the sums.
//!
//! What a log (`-wal`) held is found by SQLite itself, whose log has checksums: a frame that is not whole ends it, as a power
//! cut would have.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, ffi};

use super::{checksum, error::StoreError, outbox, schema};

/// Looks at everything in the file.
///
/// # Errors
/// [`StoreError::Corrupt`] says what is wrong first.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    check_schema(connection)?;
    for (table, columns) in checksum::TABLES {
        check_rows(connection, table, columns)?;
    }
    check_partial_indexes(connection)?;
    check_books(connection)
}

/// What SQLite takes as it is: what is left of a file that was cut off within its first page is an empty database to it, and
/// one whose header asks for a later SQLite can only be read.
pub(super) fn check_header(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(source) => return Err(StoreError::File { path: path.to_owned(), source }),
    };
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages == 0 && length > 0 {
        return Err(damaged(format!("{length} bytes are no database")));
    }
    if connection.is_readonly("main")? && wants_later_sqlite(path) {
        return Err(damaged("it asks for a later SQLite".to_owned()));
    }
    Ok(())
}

/// SQLite's own check of the file.
pub(super) fn check_file(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if answer == "ok" { Ok(()) } else { Err(damaged(answer)) }
}

fn check_schema(connection: &Connection) -> Result<(), StoreError> {
    let kept: Option<i64> =
        connection.query_row("SELECT value FROM meta WHERE key = 'schema'", [], |row| row.get(0)).optional()?;
    if kept != Some(schema::digest(connection)?) {
        return Err(damaged("its schema is not what was written".to_owned()));
    }
    Ok(())
}

fn check_rows(connection: &Connection, table: &str, columns: &str) -> Result<(), StoreError> {
    let count = columns.split(',').count();
    let mut select = connection.prepare(&format!("SELECT {columns}, checksum FROM {table}"))?;
    let mut rows = select.query([])?;
    let (mut found, mut sum) = (0, 0);
    while let Some(row) = rows.next()? {
        let checksum: i64 = row.get(count)?;
        if checksum::of_row(row, count)? != checksum {
            return Err(damaged(format!("a row of {table} is not what was written")));
        }
        (found, sum) = (found + 1, sum + checksum);
    }
    let kept: Option<(i64, i64)> = connection
        .query_row("SELECT rows, checksums FROM sums WHERE name = ?1", [table], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if kept != Some((found, sum)) {
        return Err(damaged(format!("the rows of {table} are not those that were written last")));
    }
    Ok(())
}

/// SQLite checks that an index has every row of its own, and of a partial one no more: one with surplus rows would bring them
/// as well.
fn check_partial_indexes(connection: &Connection) -> Result<(), StoreError> {
    for (index, table, condition) in
        [("incidents_unfinished", "incidents", "finished = 0"), ("outbox_by_lane", "outbox", "lane IS NOT NULL")]
    {
        let counts = format!(
            "SELECT (SELECT count(*) FROM {table} INDEXED BY {index} WHERE {condition})
                  = (SELECT count(*) FROM {table} NOT INDEXED WHERE {condition})"
        );
        if !connection.query_row(&counts, [], |row| row.get(0))? {
            return Err(damaged(format!("the index {index} has rows that are not its own")));
        }
    }
    Ok(())
}

fn check_books(connection: &Connection) -> Result<(), StoreError> {
    let wrong: i64 = connection.query_row(
        "SELECT count(*) FROM classes LEFT JOIN
             (SELECT class, count(*) AS rows, sum(bytes) AS sum FROM outbox GROUP BY class) USING (class)
         WHERE messages <> coalesce(rows, 0) OR bytes <> coalesce(sum, 0)",
        [],
        |row| row.get(0),
    )?;
    let count = super::Class::COUNT as i64;
    let (all, known): (i64, i64) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE class BETWEEN 0 AND ?1 - 1) FROM classes",
        [count],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if wrong != 0 || (all, known) != (count, count) {
        return Err(damaged("the books of the classes are not the sums of the outbox".to_owned()));
    }
    for (key, value) in [
        ("format", schema::FORMAT.to_string().as_str()),
        ("schema", "value"),
        ("sequence", "value"),
        ("last_row", "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox')"),
        ("incident_bytes", "(SELECT coalesce(sum(length(json)), 0) FROM incidents)"),
        ("commands", "(SELECT count(*) FROM commands)"),
        ("command_bytes", "(SELECT coalesce(sum(length(json)), 0) FROM commands)"),
    ] {
        let right = format!("SELECT count(*) FROM meta WHERE key = ?1 AND value = {value} AND inverse = ~value");
        if connection.query_row(&right, [key], |row| row.get::<_, i64>(0))? != 1 {
            return Err(damaged(format!("the books do not hold the right {key}")));
        }
    }
    let newest: i64 = connection.query_row("SELECT coalesce(max(row), 0) FROM outbox", [], |row| row.get(0))?;
    if newest > outbox::last_row(connection)?.0 {
        return Err(damaged("a message is newer than the newest".to_owned()));
    }
    Ok(())
}

/// What an error means that comes while a file is opened and looked at: what nothing but damage explains is
/// [`StoreError::Corrupt`]. Full disks, missing rights and other processes explain the rest.
pub(super) fn blame(error: StoreError) -> StoreError {
    let StoreError::Sqlite(error) = error else { return error };
    let Some(failure) = error.sqlite_error() else { return StoreError::Corrupt(error) };
    match failure.code {
        // A statement that fits the schema does not fit what the file says it is; or a value has another type.
        ErrorCode::Unknown
        | ErrorCode::InternalMalfunction
        | ErrorCode::TypeMismatch
        | ErrorCode::ConstraintViolation
        | ErrorCode::TooBig => StoreError::Corrupt(error),
        // The medium does not give back what it was given.
        ErrorCode::SystemIoFailure
            if matches!(
                failure.extended_code,
                ffi::SQLITE_IOERR_READ
                    | ffi::SQLITE_IOERR_SHORT_READ
                    | ffi::SQLITE_IOERR_DATA
                    | ffi::SQLITE_IOERR_CORRUPTFS
            ) =>
        {
            StoreError::Corrupt(error)
        }
        _ => StoreError::Sqlite(error),
    }
}

/// Whether the file's header says that only a later SQLite may write it: byte 18, which is 1 or 2 (§1.3.3 of SQLite's file
/// format). No later one has ever been there.
fn wants_later_sqlite(path: &Path) -> bool {
    let mut header = [0; 20];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18] > 2
}

pub(super) fn damaged(what: String) -> StoreError {
    StoreError::Corrupt(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what)))
}
