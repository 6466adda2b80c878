//! The tables, their format number, and how a store that an older version wrote is brought to it.

use std::{io, path::Path};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Deserialize;
use snowgate_core::incidents::Handling;

use super::{checksum, error::StoreError, message::Class, soundness};

/// The format this version writes, as `user_version` and, since the second, in `meta`.
pub(super) const FORMAT: i64 = 2;

/// What a fresh store is made of. Large columns stand last: what is behind them is read through them.
const FRESH: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL, inverse INTEGER NOT NULL DEFAULT -1)
        STRICT, WITHOUT ROWID;
    INSERT INTO meta (key, value) VALUES ('sequence', 0), ('incident_bytes', 0);

    CREATE TABLE incidents (
        id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, scene_active INTEGER NOT NULL, finished INTEGER NOT NULL,
        checksum INTEGER NOT NULL, json BLOB NOT NULL
    ) STRICT;

    CREATE TABLE outbox (
        row INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL, lane TEXT, topic TEXT NOT NULL,
        retain INTEGER NOT NULL, committed_at INTEGER NOT NULL, boot INTEGER NOT NULL, mono INTEGER,
        synchronised INTEGER NOT NULL, origin INTEGER, bytes INTEGER NOT NULL, checksum INTEGER NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX outbox_by_class ON outbox (class);
    CREATE INDEX outbox_by_lane ON outbox (class, lane) WHERE lane IS NOT NULL;

    CREATE TABLE classes (class INTEGER PRIMARY KEY, messages INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
";

/// What the second format adds to the tables of the first.
const TO_SECOND: &str = "
    ALTER TABLE meta ADD COLUMN inverse INTEGER NOT NULL DEFAULT -1;
    ALTER TABLE incidents ADD COLUMN finished INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE incidents ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN mono INTEGER;
    ALTER TABLE outbox ADD COLUMN synchronised INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    DROP INDEX incidents_by_scene;
    ALTER TABLE gaps RENAME TO first_gaps;
";

/// What came with the second format.
const SECOND: &str = "
    INSERT INTO meta (key, value) VALUES ('format', 2), ('last_row', 0), ('commands', 0), ('command_bytes', 0);

    CREATE INDEX incidents_by_need ON incidents (scene_active, finished DESC, id);
    CREATE INDEX incidents_unfinished ON incidents (id) WHERE finished = 0;

    CREATE TABLE commands (
        name TEXT NOT NULL, id TEXT NOT NULL, expires INTEGER NOT NULL, open INTEGER NOT NULL,
        checksum INTEGER NOT NULL, json BLOB NOT NULL, UNIQUE (name, id)
    ) STRICT;
    CREATE INDEX commands_by_expiry ON commands (open, expires);

    CREATE TABLE day (only INTEGER PRIMARY KEY CHECK (only = 1), checksum INTEGER NOT NULL, json BLOB NOT NULL) STRICT;

    CREATE TABLE boots (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL, known_mono INTEGER, known_wall INTEGER,
        checksum INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE gaps (
        class INTEGER NOT NULL, reason INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
        first_row INTEGER NOT NULL, first_at INTEGER NOT NULL, first_boot INTEGER NOT NULL, first_mono INTEGER,
        first_synchronised INTEGER NOT NULL,
        last_row INTEGER NOT NULL, last_at INTEGER NOT NULL, last_boot INTEGER NOT NULL, last_mono INTEGER,
        last_synchronised INTEGER NOT NULL, checksum INTEGER NOT NULL, UNIQUE (class, reason)
    ) STRICT;
";

/// What the first format knew, in the tables of the second. It kept no monotonic times and did not say whether a wall time
/// was right, so these cannot be put right; its losses come before every row still there.
const FROM_FIRST: &str = "
    INSERT INTO gaps SELECT class, reason, messages, bytes, 0, first_at, 0, NULL, 0, 0, last_at, 0, NULL, 0, 0
        FROM first_gaps;
    DROP TABLE first_gaps;
    INSERT INTO boots SELECT number.value, id.value, NULL, NULL, 0 FROM meta AS number, meta AS id
        WHERE number.key = 'boot_number' AND id.key = 'boot_id' AND number.value > 0;
    DELETE FROM meta WHERE key IN ('boot_number', 'boot_id');
    UPDATE meta SET value = (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox')
        WHERE key = 'last_row';
";

fn format(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// The format of a file, which must be one that this version knows.
pub(super) fn known_format(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found = format(connection)?;
    // In two places, so that a flipped bit is not taken for another version's work.
    let again: Option<i64> = match connection.table_exists(None, "meta")? {
        true => connection
            .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
            .optional()
            .unwrap_or(None),
        false => None,
    };
    match again {
        Some(again) if again != found => {
            Err(soundness::damaged(format!("its format is {found} in one place and {again} in another")))
        }
        None if found > 1 => Err(soundness::damaged(format!("its format is {found} in one place only"))),
        _ if found > FORMAT => Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }),
        _ => Ok(found),
    }
}

/// For who only reads, and so cannot migrate.
pub(super) fn refuse_other_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let what = match known_format(connection, path)? {
        FORMAT => return Ok(()),
        0 => "no store has been made here yet",
        _ => "an older version wrote this store; the daemon brings it up to date when it starts",
    };
    Err(StoreError::File { path: path.to_owned(), source: io::Error::new(io::ErrorKind::InvalidData, what) })
}

/// Brings a file of the format `found` to [`FORMAT`], in one transaction.
pub(super) fn migrate(connection: &mut Connection, found: i64) -> Result<(), StoreError> {
    if found == FORMAT {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    if found == 0 {
        transaction.execute_batch(FRESH)?;
        for class in Class::ALL {
            transaction.execute("INSERT INTO classes VALUES (?1, 0, 0)", [class as i64])?;
        }
        transaction.execute_batch(SECOND)?;
    } else {
        transaction.execute_batch(TO_SECOND)?;
        transaction.execute_batch(SECOND)?;
        transaction.execute_batch(FROM_FIRST)?;
        mark_finished(&transaction)?;
        for (table, columns) in checksum::TABLES {
            seal(&transaction, table, columns)?;
        }
    }
    checksum::keep_sums(&transaction)?;
    let schema = digest(&transaction)?;
    transaction.execute("INSERT INTO meta (key, value) VALUES ('schema', ?1)", [schema])?;
    transaction.execute("UPDATE meta SET inverse = ~value", [])?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    Ok(transaction.commit()?)
}

/// A digest of the schema as the file has it: what a flipped bit makes of a trigger or an index is still SQL, mostly.
pub(super) fn digest(connection: &Connection) -> Result<i64, StoreError> {
    let mut select = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let mut rows = select.query([])?;
    let mut sum = 0;
    while let Some(row) = rows.next()? {
        sum += checksum::of_row(row, 4)?;
    }
    Ok(sum)
}

/// The first format did not know which incidents people had finished with; what is stored of them may say so.
fn mark_finished(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Handled {
        handling: Handling,
    }
    let mut finished: Vec<i64> = Vec::new();
    let mut select = transaction.prepare("SELECT rowid, json FROM incidents")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let json = row.get_ref(1)?.as_blob().unwrap_or_default();
        if serde_json::from_slice::<Handled>(json).is_ok_and(|incident| incident.handling.is_finished()) {
            finished.push(row.get(0)?);
        }
    }
    let mut update = transaction.prepare("UPDATE incidents SET finished = 1 WHERE rowid = ?1")?;
    finished.into_iter().try_for_each(|rowid| update.execute([rowid]).map(drop))?;
    Ok(())
}

/// Gives every row of a table its checksum.
fn seal(transaction: &Transaction<'_>, table: &str, columns: &str) -> Result<(), StoreError> {
    let count = columns.split(',').count();
    let mut select = transaction
        .prepare(&format!("SELECT {columns}, rowid FROM {table} WHERE rowid > ?1 ORDER BY rowid LIMIT 1"))?;
    let mut update = transaction.prepare(&format!("UPDATE {table} SET checksum = ?2 WHERE rowid = ?1"))?;
    let mut after = i64::MIN;
    let next = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(count)?, checksum::of_row(row, count)?));
    while let Some((rowid, checksum)) = select.query_row([after], next).optional()? {
        update.execute(params![rowid, checksum])?;
        after = rowid;
    }
    Ok(())
}
