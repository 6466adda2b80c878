//! Reading everything that waits, and letting go of it, beside the daemon that works on the store: for `outbox export`.
//!
//! SQLite lets a second process in: a reader sees one moment however long it reads, and writers take turns. So that the
//! daemon's own commits never wait long for theirs, messages are let go of a few at a time. A crash in between leaves
//! messages that have been exported already; their receiver removes duplicates by their ids.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params};
use snowgate_core::time::{BootId, Moment};

use super::{
    clocks::{self, Stamp},
    error::StoreError,
    file,
    message::{Gap, Message, RowId},
    outbox,
};

/// Longest wait for the daemon to finish a transaction; none of its own takes as long.
const TURN: Duration = Duration::from_secs(30);
/// Messages let go of in one transaction: a few hundred milliseconds on a slow disk, where the daemon waits five seconds.
const BATCH: usize = 4000;
/// How long the daemon gets between two such transactions: it asks again ten times a second at the least.
const GIVE_WAY: Duration = Duration::from_millis(120);

/// Everything that waited at one moment.
pub struct WaitingSnapshot {
    connection: Connection,
    /// How many messages.
    pub messages: u64,
    /// The last of them.
    pub last: Option<RowId>,
    /// The boot the store was last used in.
    pub boot_id: BootId,
}

/// A message as it waits, with what is known of when it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Its place.
    pub row: RowId,
    /// When it was committed, as well as the store knows.
    pub committed_at: Timestamp,
    /// Whether that is right: the wall clock was synchronised, or its boot has learnt the time since.
    pub synchronised: bool,
    /// The message; without `origin`, which means nothing outside of the process.
    pub message: Message,
}

impl WaitingSnapshot {
    /// Begins to read the store in a directory; what changes from now on is not seen.
    ///
    /// # Errors
    /// There is no store, or it cannot be read.
    pub fn take(directory: &Path) -> Result<Self, StoreError> {
        let connection = file::open_beside(directory)?;
        // Ends with the connection.
        connection.execute_batch("BEGIN")?;
        let (messages, last) = connection.query_row("SELECT count(*), max(row) FROM outbox", [], |row| {
            Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(RowId)))
        })?;
        let (_, boot_id) = last_boot(&connection)?;
        Ok(Self { connection, messages, last, boot_id })
    }

    /// Visits every message in the order in which they were committed, one at a time.
    ///
    /// # Errors
    /// The store cannot be read, or what `visit` says.
    pub fn for_each<E: From<StoreError>>(
        &self,
        mut visit: impl FnMut(WaitingMessage) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut select = self
            .connection
            .prepare(
                "SELECT row, class, lane, topic, payload, retain, committed_at, boot, mono, synchronised
                 FROM outbox ORDER BY row",
            )
            .map_err(StoreError::from)?;
        let mut rows = select.query([]).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            visit(read(&self.connection, row)?)?;
        }
        Ok(())
    }
}

fn read(connection: &Connection, row: &Row<'_>) -> Result<WaitingMessage, StoreError> {
    let committed = clocks::resolve(connection, Stamp::read(row, 6)?, None)?;
    Ok(WaitingMessage {
        row: RowId(row.get(0)?),
        committed_at: committed.wall,
        synchronised: committed.synchronised,
        message: Message {
            class: outbox::class(row, 1)?,
            lane: row.get(2)?,
            topic: row.get(3)?,
            payload: row.get(4)?,
            retain: row.get(5)?,
            origin: None,
        },
    })
}

/// Turns every loss not yet announced into a message of class [`Class::Gap`] that waits like the others. Without a loss
/// nothing is written, so that a store on a read-only disk can be exported.
///
/// # Errors
/// The losses stand as before.
pub fn announce_gaps_beside(
    directory: &Path,
    now: Moment,
    render: impl Fn(&Gap) -> (String, Vec<u8>),
) -> Result<(), StoreError> {
    if outbox::gaps(&file::open_beside(directory)?, None)?.is_empty() {
        return Ok(());
    }
    let mut connection = open_to_write(directory)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (boot, _) = last_boot(&transaction)?;
    outbox::announce_gaps(&transaction, now, boot, render)?;
    Ok(transaction.commit()?)
}

/// Lets go of every message up to a row, as if the broker had acknowledged it; answers how many there were. Those that
/// have left meanwhile are passed over.
///
/// # Errors
/// Some of them still wait.
pub fn remove_exported(directory: &Path, up_to: RowId) -> Result<u64, StoreError> {
    let mut connection = open_to_write(directory)?;
    let mut removed = 0;
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rows: Vec<RowId> = transaction
            .prepare_cached("SELECT row FROM outbox WHERE row <= ?1 ORDER BY row LIMIT ?2")?
            .query_map(params![up_to.0, BATCH as i64], |row| row.get(0).map(RowId))?
            .collect::<Result<_, _>>()?;
        outbox::acknowledge(&transaction, &rows)?;
        transaction.commit()?;
        removed += rows.len() as u64;
        if rows.len() < BATCH {
            return Ok(removed);
        }
        std::thread::sleep(GIVE_WAY);
    }
}

/// Number and id of the boot the store was last used in.
fn last_boot(connection: &Connection) -> Result<(i64, BootId), StoreError> {
    let last = "SELECT number, id FROM boots ORDER BY number DESC LIMIT 1";
    Ok(connection.query_row(last, [], |row| Ok((row.get(0)?, BootId(row.get(1)?))))?)
}

fn open_to_write(directory: &Path) -> Result<Connection, StoreError> {
    // Says what is wrong with the store's place or format.
    drop(file::open_beside(directory)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(directory.join(file::FILE), flags)?;
    connection.busy_timeout(TURN)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}
