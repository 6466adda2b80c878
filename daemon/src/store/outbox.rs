//! The `outbox` table and its books: what waits by class, and what was given up.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use snowgate_core::time::{Moment, Mono};

use super::{
    checksum::{self, GAP},
    clocks::{self, Stamp},
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

/// What a job changes in the books: how much waits by class, and what was given up. Summed up and written once for all of its
/// rows, in the same transaction.
#[derive(Debug, Default)]
#[must_use = "the books are to be written in the same transaction"]
pub(super) struct Books {
    /// Messages and bytes more, or less, by [`Class::index`].
    classes: [(i64, i64); Class::COUNT],
    losses: BTreeMap<(Class, LossReason), Losses>,
    /// The newest message, if there is a new one.
    last_row: Option<RowId>,
}

/// Messages of one class that were given up for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Losses {
    messages: u64,
    bytes: u64,
    /// The one that would have left first, and the one that would have left last: by their rows, never by their times.
    first: (i64, Stamp),
    last: (i64, Stamp),
}

impl Losses {
    fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            first: if other.first.0 < self.first.0 { other.first } else { self.first },
            last: if other.last.0 >= self.last.0 { other.last } else { self.last },
        }
    }
}

impl Books {
    fn wait(&mut self, class: Class, messages: i64, bytes: u64) {
        let (sum, sum_bytes) = &mut self.classes[class.index()];
        *sum += messages;
        // No message is larger than an MQTT packet may be.
        *sum_bytes += messages * i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    /// Adds to the losses of a class.
    pub(super) fn lose(
        &mut self,
        class: Class,
        reason: LossReason,
        messages: u64,
        bytes: u64,
        row: i64,
        committed: Stamp,
    ) {
        let (first, last) = ((row, committed), (row, committed));
        let lost = Losses { messages, bytes, first, last };
        self.losses.entry((class, reason)).and_modify(|before| *before = before.and(lost)).or_insert(lost);
    }

    /// Writes them.
    pub(super) fn write(self, connection: &Connection) -> Result<(), StoreError> {
        for (class, (messages, bytes)) in Class::ALL.into_iter().zip(self.classes) {
            if (messages, bytes) != (0, 0) {
                connection
                    .prepare_cached("UPDATE classes SET messages = messages + ?2, bytes = bytes + ?3 WHERE class = ?1")?
                    .execute(params![class as i64, messages, bytes])?;
            }
        }
        for ((class, reason), lost) in self.losses {
            let known = connection
                .prepare_cached(&format!("SELECT {GAP} FROM gaps WHERE class = ?1 AND reason = ?2"))?
                .query_row([class as i64, reason as i64], read_losses)
                .optional()?;
            let Losses { messages, bytes, first, last } = known.map_or(lost, |known| known.and(lost));
            checksum::write(
                connection,
                &format!(
                    "INSERT INTO gaps ({GAP}, checksum)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                     ON CONFLICT DO UPDATE SET messages = excluded.messages, bytes = excluded.bytes,
                         first_row = excluded.first_row, first_at = excluded.first_at, first_boot = excluded.first_boot,
                         first_mono = excluded.first_mono, first_synchronised = excluded.first_synchronised,
                         last_row = excluded.last_row, last_at = excluded.last_at, last_boot = excluded.last_boot,
                         last_mono = excluded.last_mono, last_synchronised = excluded.last_synchronised,
                         checksum = excluded.checksum"
                ),
                &[
                    &(class as i64),
                    &(reason as i64),
                    &messages,
                    &bytes,
                    &first.0,
                    &first.1.at_millis,
                    &first.1.boot,
                    &first.1.mono,
                    &first.1.synchronised,
                    &last.0,
                    &last.1.at_millis,
                    &last.1.boot,
                    &last.1.mono,
                    &last.1.synchronised,
                ],
            )?;
        }
        if let Some(last) = self.last_row {
            connection
                .prepare_cached("UPDATE meta SET value = ?1, inverse = ~?1 WHERE key = 'last_row'")?
                .execute([last.0])?;
        }
        Ok(())
    }
}

/// Reads losses from the columns [`GAP`].
fn read_losses(row: &Row<'_>) -> rusqlite::Result<Losses> {
    Ok(Losses {
        messages: row.get(2)?,
        bytes: row.get(3)?,
        first: (row.get(4)?, Stamp::read(row, 5)?),
        last: (row.get(9)?, Stamp::read(row, 10)?),
    })
}

/// Puts a message at the end.
pub(super) fn put(
    connection: &Connection,
    message: &Message,
    committed: Stamp,
    books: &mut Books,
) -> Result<RowId, StoreError> {
    let bytes = message.stored_bytes();
    checksum::write(
        connection,
        "INSERT INTO outbox
             (class, lane, topic, retain, committed_at, boot, mono, synchronised, origin, bytes, payload, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        &[
            &(message.class as i64),
            &message.lane,
            &message.topic,
            &message.retain,
            &committed.at_millis,
            &committed.boot,
            &committed.mono,
            &committed.synchronised,
            &message.origin.map(|origin| origin.0),
            &bytes,
            &message.payload,
        ],
    )?;
    books.wait(message.class, 1, bytes);
    let row = RowId(connection.last_insert_rowid());
    books.last_row = Some(row);
    Ok(row)
}

/// Gives up the oldest messages of a class until it is within its quota, writes down how many, and returns that. The books
/// must have been written.
pub(super) fn evict(connection: &Connection, class: Class, quota: u64) -> Result<u64, StoreError> {
    let (mut evicted, mut books) = (0, Books::default());
    let mut bytes: u64 = connection
        .prepare_cached("SELECT bytes FROM classes WHERE class = ?1")?
        .query_row([class as i64], |row| row.get(0))?;
    while bytes > quota {
        let oldest: Option<i64> = connection
            .prepare_cached("SELECT row FROM outbox WHERE class = ?1 ORDER BY row LIMIT 1")?
            .query_row([class as i64], |row| row.get(0))
            .optional()?;
        let Some(oldest) = oldest else { break };
        let given_up = give_up(connection, RowId(oldest), LossReason::Quota, &mut books)?;
        bytes = bytes.saturating_sub(given_up.map_or(0, |(_, bytes)| bytes));
        evicted += 1;
    }
    books.write(connection)?;
    Ok(evicted)
}

/// Takes out a message that will never leave and writes that down; its class and bytes, unless it has gone already.
pub(super) fn give_up(
    connection: &Connection,
    row: RowId,
    reason: LossReason,
    books: &mut Books,
) -> Result<Option<(Class, u64)>, StoreError> {
    let Some((class, bytes, committed)) = remove(connection, row, books)? else { return Ok(None) };
    books.lose(class, reason, 1, bytes, row.0, committed);
    Ok(Some((class, bytes)))
}

/// Takes messages out; those that have gone already are passed over.
pub(super) fn acknowledge(connection: &Connection, rows: &[RowId]) -> Result<(), StoreError> {
    let mut books = Books::default();
    for row in rows {
        remove(connection, *row, &mut books)?;
    }
    books.write(connection)
}

fn remove(connection: &Connection, row: RowId, books: &mut Books) -> Result<Option<(Class, u64, Stamp)>, StoreError> {
    let removed: Option<(Class, u64, Stamp)> = connection
        .prepare_cached(
            "DELETE FROM outbox WHERE row = ?1 RETURNING class, bytes, committed_at, boot, mono, synchronised",
        )?
        .query_row([row.0], |row| Ok((class(row, 0)?, row.get(1)?, Stamp::read(row, 2)?)))
        .optional()?;
    if let Some((class, bytes, _)) = removed {
        books.wait(class, -1, bytes);
    }
    Ok(removed)
}

/// Reads waiting messages; `boot` is the number of the present boot.
pub(super) fn pending(connection: &Connection, select: &Selection, boot: i64) -> Result<Vec<OutboxRow>, StoreError> {
    // The index is named: the other one answers a lane's query by reading all of the class.
    const BY_CLASS: &str = "SELECT row, class, lane, topic, payload, retain, boot, origin
        FROM outbox INDEXED BY outbox_by_class WHERE class = ?1 AND row > ?2 AND row <= ?3 ORDER BY row LIMIT ?4";
    const BY_LANE: &str = "SELECT row, class, lane, topic, payload, retain, boot, origin
        FROM outbox INDEXED BY outbox_by_lane
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

/// Every loss not yet announced; `boot` is the number of the present boot, where that is known.
pub(super) fn gaps(connection: &Connection, boot: Option<i64>) -> Result<Vec<Gap>, StoreError> {
    let mut select = connection.prepare_cached(&format!("SELECT {GAP} FROM gaps ORDER BY class, reason"))?;
    let gaps = select.query_map([], |row| {
        let reason: i64 = row.get(1)?;
        Ok((class(row, 0)?, LossReason::from_number(reason).ok_or_else(|| out_of_range(reason))?, read_losses(row)?))
    })?;
    gaps.map(|gap| {
        let (class, reason, Losses { messages, bytes, first, last }) = gap?;
        let [first, last] = [first, last].map(|(_, stamp)| clocks::resolve(connection, stamp, boot));
        Ok(Gap { class, reason, messages, bytes, first: first?, last: last? })
    })
    .collect()
}

/// Turns every loss not yet announced into a message of class [`Class::Gap`]; forgets the losses with the same transaction.
pub(super) fn announce_gaps(
    connection: &Connection,
    now: Moment,
    boot: i64,
    render: impl Fn(&Gap) -> (String, Vec<u8>),
) -> Result<(), StoreError> {
    let (mut books, stamp) = (Books::default(), Stamp::new(now, boot));
    for gap in gaps(connection, Some(boot))? {
        let (topic, payload) = render(&gap);
        let message = Message { class: Class::Gap, lane: None, topic, payload, retain: false, origin: None };
        put(connection, &message, stamp, &mut books)?;
    }
    books.write(connection)?;
    connection.prepare_cached("DELETE FROM gaps")?.execute([])?;
    Ok(())
}

/// How many messages of a class wait.
pub(super) fn waiting(connection: &Connection, class: Class) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT messages FROM classes WHERE class = ?1")?
        .query_row([class as i64], |row| row.get(0))?)
}

/// What the outbox holds; `boot` is the number of the present boot, where that is known.
pub(super) fn status(connection: &Connection, boot: Option<i64>) -> Result<OutboxStatus, StoreError> {
    let mut status = OutboxStatus {
        last_row: last_row(connection)?,
        gaps: connection.prepare_cached("SELECT count(*) FROM gaps")?.query_row([], |row| row.get(0))?,
        ..OutboxStatus::default()
    };
    let mut oldest = connection.prepare_cached(
        "SELECT committed_at, boot, mono, synchronised FROM outbox WHERE class = ?1 ORDER BY row LIMIT 1",
    )?;
    let mut select = connection.prepare_cached("SELECT class, messages, bytes FROM classes")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let class = class(row, 0)?;
        let messages = row.get(1)?;
        let oldest = match messages {
            0 => None,
            _ => oldest.query_row([class as i64], |row| Stamp::read(row, 0)).optional()?,
        };
        let oldest = oldest.map(|stamp| clocks::resolve(connection, stamp, boot)).transpose()?;
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
    let number = row.get(column)?;
    Class::from_number(number).ok_or_else(|| out_of_range(number))
}

/// A number in the file that this version never wrote.
pub(super) fn out_of_range(value: i64) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, format!("{value} has no meaning here").into())
}
