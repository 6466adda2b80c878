//! A checksum a row, and their sum a table. SQLite's pages have none, so a bit that flips in a payload would leave the box as it
//! is; and a page that the disk did not write holds what was there before, sound rows of the past. Triggers keep the sums, so
//! that nothing that writes a row can forget them. Opening the store computes all of them again
//! ([`soundness`](super::soundness)).

use crc32fast::Hasher;
use rusqlite::{
    Connection, Row, ToSql,
    types::{ToSqlOutput, Type, Value, ValueRef},
};

/// The tables whose rows have a checksum in their column `checksum`, and the columns it covers, in that order.
pub(super) const TABLES: [(&str, &str); 6] = [
    ("incidents", INCIDENT),
    ("commands", COMMAND),
    ("day", "json"),
    ("outbox", MESSAGE),
    ("gaps", GAP),
    ("boots", BOOT),
];
pub(super) const INCIDENT: &str = "id, revision, scene_active, finished, json";
pub(super) const COMMAND: &str = "name, id, expires, open, json";
pub(super) const MESSAGE: &str =
    "class, lane, topic, retain, committed_at, boot, mono, synchronised, origin, bytes, payload";
pub(super) const GAP: &str = "class, reason, messages, bytes,
    first_row, first_at, first_boot, first_mono, first_synchronised,
    last_row, last_at, last_boot, last_mono, last_synchronised";
pub(super) const BOOT: &str = "number, id, known_mono, known_wall";

/// Has the sums of all tables kept from now on, beginning with the rows that are there.
pub(super) fn keep_sums(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE sums (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, checksums INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    )?;
    for (table, _) in TABLES {
        // A checksum has 32 bits, so the sum of two thousand million rows fits.
        connection.execute_batch(&format!(
            "INSERT INTO sums SELECT '{table}', count(*), coalesce(sum(checksum), 0) FROM {table};
             CREATE TRIGGER {table}_added AFTER INSERT ON {table} BEGIN
                 UPDATE sums SET rows = rows + 1, checksums = checksums + new.checksum WHERE name = '{table}';
             END;
             CREATE TRIGGER {table}_changed AFTER UPDATE ON {table} BEGIN
                 UPDATE sums SET checksums = checksums + new.checksum - old.checksum WHERE name = '{table}';
             END;
             CREATE TRIGGER {table}_removed AFTER DELETE ON {table} BEGIN
                 UPDATE sums SET rows = rows - 1, checksums = checksums - old.checksum WHERE name = '{table}';
             END;"
        ))?;
    }
    Ok(())
}

/// CRC-32 (IEEE 802.3) over values, each with its type and length.
#[derive(Default)]
struct Checksum(Hasher);

impl Checksum {
    fn add(&mut self, value: ValueRef<'_>) {
        let kind: u8 = match value.data_type() {
            Type::Null => 0,
            Type::Integer => 1,
            Type::Real => 2,
            Type::Text => 3,
            Type::Blob => 4,
        };
        self.0.update(&[kind]);
        match value {
            ValueRef::Null => {}
            ValueRef::Integer(number) => self.0.update(&number.to_le_bytes()),
            ValueRef::Real(number) => self.0.update(&number.to_le_bytes()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                self.0.update(&(bytes.len() as u64).to_le_bytes());
                self.0.update(bytes);
            }
        }
    }

    fn finish(self) -> i64 {
        self.0.finalize().into()
    }
}

/// Runs a statement that writes one row, and never `OR REPLACE`, which removes rows without a trigger: its first parameters are the columns the checksum covers, in their order; the one
/// after them is the checksum.
pub(super) fn write(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut checksum = Checksum::default();
    for (index, value) in values.iter().enumerate() {
        match value.to_sql()? {
            ToSqlOutput::Borrowed(value) => checksum.add(value),
            ToSqlOutput::Owned(value) => checksum.add(ValueRef::from(&value)),
            // No row of ours has a value that only SQLite knows.
            _ => checksum.add(ValueRef::from(&Value::Null)),
        }
        statement.raw_bind_parameter(index + 1, value)?;
    }
    statement.raw_bind_parameter(values.len() + 1, checksum.finish())?;
    statement.raw_execute()
}

/// The checksum of the first columns of a row.
pub(super) fn of_row(row: &Row<'_>, columns: usize) -> rusqlite::Result<i64> {
    let mut checksum = Checksum::default();
    for column in 0..columns {
        checksum.add(row.get_ref(column)?);
    }
    Ok(checksum.finish())
}
