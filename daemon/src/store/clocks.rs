//! The `boots` table: which boot a row is of, and what was learnt of that boot's clocks.
//!
//! A row is stamped with what both clocks showed. Where the wall clock was not synchronised, its time is put right when it is
//! read, from the monotonic clock and the relation of the two that the boot's row holds. So filling in writes one row,
//! whatever waits in the outbox, and it is done for all rows of the boot or for none.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use snowgate_core::time::{BootId, Moment, Mono, Synchronisation};

use super::{checksum, error::StoreError, message::CommitTime, outbox::out_of_range};

/// When a row was committed, as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Milliseconds since 1970, by the wall clock as it was.
    pub(super) at_millis: i64,
    /// The boot's number.
    pub(super) boot: i64,
    /// Nanoseconds on that boot's monotonic clock; not known of rows that the first format wrote.
    pub(super) mono: Option<i64>,
    /// Whether the wall clock was synchronised.
    pub(super) synchronised: bool,
}

impl Stamp {
    pub(super) fn new(now: Moment, boot: i64) -> Self {
        let mono = Some(nanoseconds(now.mono));
        Self { at_millis: now.wall.as_millisecond(), boot, mono, synchronised: now.synchronised }
    }

    /// Reads one from four columns in the order of its fields.
    pub(super) fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            at_millis: row.get(from)?,
            boot: row.get(from + 1)?,
            mono: row.get(from + 2)?,
            synchronised: row.get(from + 3)?,
        })
    }
}

/// The monotonic clock as SQLite can hold it: for 292 years.
fn nanoseconds(mono: Mono) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX)
}

/// The number of a boot: a new one where it is not the one that was here last. Forgets boots that no row is of any more.
pub(super) fn number_of_boot(connection: &mut Connection, boot_id: &BootId) -> Result<i64, StoreError> {
    let transaction = connection.transaction()?;
    let last: Option<(i64, String)> = transaction
        .query_row("SELECT number, id FROM boots ORDER BY number DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let number = match last {
        Some((number, id)) if id == boot_id.0 => number,
        last => {
            let number = last.map_or(1, |(number, _)| number.saturating_add(1));
            put(&transaction, number, &boot_id.0, None)?;
            number
        }
    };
    // Rows are in the order of their boots, so the oldest tells; gaps are few.
    transaction.execute(
        "DELETE FROM boots WHERE number < ?1
             AND number < coalesce((SELECT boot FROM outbox ORDER BY row LIMIT 1), ?1)
             AND number < coalesce((SELECT min(min(first_boot, last_boot)) FROM gaps), ?1)",
        [number],
    )?;
    transaction.commit()?;
    Ok(number)
}

/// Puts down the relation of the present boot's clocks, unless it is known already.
pub(super) fn fill_in(connection: &Connection, boot: i64, known: Moment) -> Result<(), StoreError> {
    let unknown: Option<String> = connection
        .prepare_cached("SELECT id FROM boots WHERE number = ?1 AND known_mono IS NULL")?
        .query_row([boot], |row| row.get(0))
        .optional()?;
    unknown.map_or(Ok(()), |id| put(connection, boot, &id, Some(known)))
}

fn put(connection: &Connection, number: i64, id: &str, known: Option<Moment>) -> Result<(), StoreError> {
    let known = known.map(|known| (nanoseconds(known.mono), known.wall.as_millisecond()));
    checksum::write(
        connection,
        "INSERT INTO boots (number, id, known_mono, known_wall, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET id = excluded.id, known_mono = excluded.known_mono, known_wall = excluded.known_wall,
             checksum = excluded.checksum",
        &[&number, &id, &known.map(|(mono, _)| mono), &known.map(|(_, wall)| wall)],
    )?;
    Ok(())
}

/// When that was, as well as it is known: the wall time filled in where its boot's clocks are known, the monotonic time only
/// where it is of the present boot and so can be compared.
pub(super) fn resolve(
    connection: &Connection,
    stamp: Stamp,
    present_boot: Option<i64>,
) -> Result<CommitTime, StoreError> {
    let wall = timestamp(stamp.at_millis)?;
    let mono = stamp.mono.and_then(|mono| u64::try_from(mono).ok()).map(Mono);
    let told =
        CommitTime { wall, synchronised: stamp.synchronised, mono: mono.filter(|_| present_boot == Some(stamp.boot)) };
    let Some(mono) = mono.filter(|_| !stamp.synchronised) else { return Ok(told) };
    let known: Option<(u64, i64)> = connection
        .prepare_cached("SELECT known_mono, known_wall FROM boots WHERE number = ?1 AND known_mono IS NOT NULL")?
        .query_row([stamp.boot], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((known_mono, known_wall)) = known else { return Ok(told) };
    // The boot's number has told already that both are of one boot.
    let boot = BootId(String::new());
    let known = Moment { mono: Mono(known_mono), wall: timestamp(known_wall)?, synchronised: true };
    let Some(relation) = Synchronisation::told_by(&boot, known) else { return Ok(told) };
    let filled = relation.fill_in(&boot, Moment { mono, wall, synchronised: false });
    Ok(CommitTime { wall: filled.wall, synchronised: filled.synchronised, ..told })
}

fn timestamp(millis: i64) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millisecond(millis).map_err(|_| out_of_range(millis))?)
}
