//! One SQLite file, one writer: nothing is lost between "decided" and "the broker has it".
//!
//! # On disk
//! `store.sqlite` in the data directory (write-ahead log, `synchronous = FULL`), format number in `user_version`:
//!
//! | table | a row is |
//! |---|---|
//! | `incidents` | the newest revision of one incident |
//! | `outbox` | a message waiting for the broker's acknowledgement; `row` only ever grows and is never used again |
//! | `classes` | how many messages and bytes a class has waiting |
//! | `gaps` | messages of one class given up for one reason and not yet announced: how many, from when to when |
//! | `meta` | the last event number given, this boot's number and id, bytes of all incidents |
//!
//! `lock` beside it is held (`flock`) by the one daemon that works here. `store.sqlite.corrupt-TIME` is a store that
//! was found damaged; the newest two are kept.
//!
//! # What always holds
//! 1. A [`Commit`] is on disk as a whole or not at all, and [`Store::commit`] returns `Ok` only after it is.
//! 2. Nobody reads a row that is not committed: reads run between transactions.
//! 3. A row leaves `outbox` by an acknowledgement, or into `gaps` in the same transaction. A row leaves `gaps` in the
//!    transaction that puts its announcement into `outbox`.
//!    `outbox export --remove` acknowledges too: what it takes out is on another disk.
//! 4. `classes` is the sum over `outbox`; a class over its quota gives up its oldest messages in the transaction that
//!    took it over. Evidence cannot displace incidents: each class has a quota of its own.
//! 5. An event number is given to one committed event only, ever: the highest is written in the commit that uses it.
//! 6. An incident's revision only grows.
//!
//! Freed pages are used again but the file does not shrink: it stays below the sum of its quotas.

mod error;
mod export;
mod file;
mod incidents;
mod message;
mod outbox;
pub mod spec;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rusqlite::Connection;
use snowgate_core::{spec::ByteSize, time::Clock};
use tokio::sync::{mpsc, watch};

pub use self::{
    error::StoreError,
    export::{WaitingMessage, WaitingSnapshot, announce_gaps_beside, remove_exported},
    file::SetAside,
    message::{
        Class, ClassStatus, Commit, CommitReceipt, Gap, IncidentRecord, LossReason, Message, OutboxRow, OutboxStatus,
        RowId, publish_packet_bytes,
    },
    outbox::Selection,
};
use self::{
    file::{DirectoryLock, Opened},
    spec::StorageSpec,
    writer::{Call, Job},
};
use crate::events::store as events;

/// Handle to the store; clones are the same store. When the last one goes, what is queued is written, the file closed
/// and the directory given back.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// A damaged store that had to be set aside; the one now open is fresh.
    pub set_aside: Option<SetAside>,
    /// What was waiting.
    pub outbox: OutboxStatus,
}

/// Gives the numbers of events in the order they are committed, without holes.
#[derive(Debug)]
pub struct Sequence {
    last: u64,
}

impl Sequence {
    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

struct Inner {
    /// `None` only while the store is being dropped.
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    status: watch::Receiver<OutboxStatus>,
    sequence: Mutex<Sequence>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    boot: i64,
}

/// What the store takes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    packet: u64,
    incidents: u64,
    /// By [`Class::index`].
    classes: [u64; Class::COUNT],
}

impl Limits {
    fn new(spec: &StorageSpec, max_packet: ByteSize) -> Self {
        let quota = |class| match class {
            Class::Gap => u64::MAX,
            Class::Incident | Class::DispositionAck => spec.incident_quota.0,
            Class::Evidence => spec.unsent_evidence_quota.0,
            Class::Summary | Class::Telemetry => spec.unsent_telemetry_quota.0,
        };
        Self { packet: max_packet.0, incidents: spec.incident_history_quota.0, classes: Class::ALL.map(quota) }
    }

    fn check(&self, message: &Message) -> Result<(), StoreError> {
        if !message.has_valid_topic() {
            return Err(StoreError::Topic { topic: message.topic.clone() });
        }
        let bytes = message.packet_bytes();
        let limit = self.packet.min(self.classes[message.class.index()]);
        if bytes > limit || message.stored_bytes() > self.classes[message.class.index()] {
            return Err(StoreError::Oversize { topic: message.topic.clone(), bytes, limit });
        }
        Ok(())
    }
}

impl Store {
    /// Opens the store in a directory, which is created if there is none, and starts its thread.
    ///
    /// # Errors
    /// The directory cannot be used or is in use, a newer version wrote the store, or the disk fails. A damaged store
    /// is no error: it is set aside and reported.
    pub fn open(
        directory: &Path,
        spec: &StorageSpec,
        max_packet: ByteSize,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, OpenReport), StoreError> {
        let failed = |source| StoreError::File { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = DirectoryLock::take(directory)?;
        let Opened { connection, set_aside, sequence, boot } = file::open(directory, clock.now(), clock.boot_id())?;
        let now = outbox::status(&connection)?;
        let (queue, requests) = mpsc::channel(writer::QUEUE);
        let (publish, status) = watch::channel(now);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer::serve(connection, requests, &publish, lock))
            .map_err(failed)?;
        let inner = Inner {
            queue: Some(queue),
            thread: Some(thread),
            status,
            sequence: Mutex::new(Sequence { last: sequence }),
            limits: Limits::new(spec, max_packet),
            clock,
            boot,
        };
        let store = Self { inner: Arc::new(inner) };
        store.observe();
        Ok((store, OpenReport { set_aside, outbox: now }))
    }

    /// Commits what `build` makes; the event numbers it takes are its own. Blocks until it is on disk, so it must not
    /// be called from an asynchronous task. `build` runs here, while other commits wait: it should only assemble.
    ///
    /// # Errors
    /// Nothing is stored, and the reason says what to do: a message too large, a revision too old, no space left.
    pub fn commit(&self, build: impl FnOnce(&mut Sequence) -> Commit) -> Result<CommitReceipt, StoreError> {
        let began = self.inner.clock.mono();
        let outcome = self.submit(build).and_then(|answer| answer.blocking_recv().unwrap_or(Err(StoreError::Stopped)));
        let outcome = outcome.map(|(receipt, evicted)| {
            count_losses(&evicted, LossReason::Quota);
            receipt
        });
        let failure = outcome.as_ref().err().map(|error| (error.kind(), error as &dyn std::error::Error));
        events::Committed { took: self.inner.clock.mono().since(began), failure }.emit();
        outcome
    }

    fn submit(
        &self,
        build: impl FnOnce(&mut Sequence) -> Commit,
    ) -> Result<Answer<(CommitReceipt, Losses)>, StoreError> {
        let inner = &*self.inner;
        // Held until the request is queued: events are committed in the order of their numbers.
        let mut sequence = inner.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Sequence { last: sequence.last };
        let commit = build(&mut taken);
        commit.messages.iter().try_for_each(|message| inner.limits.check(message))?;
        let (limits, boot, last, at) = (inner.limits, inner.boot, taken.last, inner.clock.now().wall);
        let (job, answer) = Call::prepare(true, move |connection| apply(connection, &commit, &limits, last, at, boot));
        let queue = inner.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.blocking_send(job).map_err(|_| StoreError::Stopped)?;
        *sequence = taken;
        Ok(answer)
    }

    /// Every incident the scene still showed when it was last committed, oldest first. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn active_incidents(&self) -> Result<Vec<IncidentRecord>, StoreError> {
        self.read_blocking(incidents::active)
    }

    /// The newest revision of an incident. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn incident(&self, id: &str) -> Result<Option<IncidentRecord>, StoreError> {
        let id = id.to_owned();
        self.read_blocking(move |connection| incidents::one(connection, &id))
    }

    /// Waiting messages, in the order they were committed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pending(&self, selection: Selection) -> Result<Vec<OutboxRow>, StoreError> {
        let boot = self.inner.boot;
        self.call(false, move |connection| outbox::pending(connection, &selection, boot)).await
    }

    /// Takes out messages the broker has acknowledged; rows that have gone already are passed over.
    ///
    /// # Errors
    /// They are still there, and may be acknowledged again.
    pub async fn acknowledge(&self, rows: Vec<RowId>) -> Result<(), StoreError> {
        self.call(true, move |connection| rows.iter().try_for_each(|row| outbox::acknowledge(connection, *row))).await
    }

    /// Gives up messages that cannot be sent; they are counted among the [`Gap`]s.
    ///
    /// # Errors
    /// They are still there.
    pub async fn give_up(&self, rows: Vec<RowId>, reason: LossReason) -> Result<(), StoreError> {
        let losses = self
            .call(true, move |connection| {
                let mut losses = Losses::default();
                for row in &rows {
                    if let Some((class, _)) = outbox::give_up(connection, *row, reason)? {
                        losses[class.index()] += 1;
                    }
                }
                Ok(losses)
            })
            .await?;
        count_losses(&losses, reason);
        Ok(())
    }

    /// Turns every loss not yet announced into messages of class [`Class::Gap`], unless earlier announcements still
    /// wait: their number stays small however long the broker is away.
    ///
    /// # Errors
    /// The losses stand as before.
    pub async fn announce_gaps(
        &self,
        render: impl Fn(&Gap) -> (String, Vec<u8>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let (at, boot) = (self.inner.clock.now().wall, self.inner.boot);
        self.call(true, move |connection| {
            if outbox::status(connection)?.of(Class::Gap).messages > 0 {
                return Ok(());
            }
            for gap in outbox::gaps(connection)? {
                let (topic, payload) = render(&gap);
                let class = Class::Gap;
                let message = Message { class, lane: None, topic, payload, retain: false, origin: None };
                outbox::put(connection, &message, at, boot)?;
            }
            outbox::clear_gaps(connection)
        })
        .await
    }

    /// What the outbox held after the last transaction.
    pub fn status(&self) -> OutboxStatus {
        *self.inner.status.borrow()
    }

    /// Follows [`Store::status`]: changes whenever something was committed or taken out.
    pub fn watch(&self) -> watch::Receiver<OutboxStatus> {
        self.inner.status.clone()
    }

    /// Brings the outbox metrics up to date; ages grow by themselves, so this wants to be called now and then.
    pub fn observe(&self) {
        let (status, now) = (self.status(), self.inner.clock.now().wall);
        for class in Class::ALL {
            let ClassStatus { messages, bytes, oldest } = status.of(class);
            let age = oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
            events::OutboxHeld { class: class.as_str(), messages, bytes, oldest_age_seconds: age }.emit();
        }
    }

    fn read_blocking<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Call::prepare(false, work);
        let queue = self.inner.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.blocking_send(job).map_err(|_| StoreError::Stopped)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Stopped))
    }

    async fn call<T: Send + 'static>(
        &self,
        writes: bool,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Call::prepare(writes, work);
        let queue = self.inner.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.send(job).await.map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }
}

type Answer<T> = tokio::sync::oneshot::Receiver<Result<T, StoreError>>;

/// Messages given up in one transaction, by [`Class::index`]: counted in the metrics only after it is durable.
type Losses = [u64; Class::COUNT];

fn count_losses(losses: &Losses, reason: LossReason) {
    for class in Class::ALL {
        let messages = losses[class.index()];
        if messages > 0 {
            events::MessagesLost { class: class.as_str(), reason: reason.as_str(), messages }.emit();
        }
    }
}

fn apply(
    connection: &Connection,
    commit: &Commit,
    limits: &Limits,
    sequence: u64,
    at: jiff::Timestamp,
    boot: i64,
) -> Result<(CommitReceipt, Losses), StoreError> {
    for record in &commit.incidents {
        incidents::put(connection, record)?;
    }
    if !commit.incidents.is_empty() {
        incidents::forget_oldest(connection, limits.incidents)?;
    }
    let mut last_row = None;
    let mut touched = [false; Class::COUNT];
    let mut evicted = Losses::default();
    for message in &commit.messages {
        last_row = Some(outbox::put(connection, message, at, boot)?);
        touched[message.class.index()] = true;
    }
    for class in Class::ALL.into_iter().filter(|class| touched[class.index()]) {
        evicted[class.index()] = outbox::evict(connection, class, limits.classes[class.index()])?;
    }
    connection.prepare_cached("UPDATE meta SET value = max(value, ?1) WHERE key = 'sequence'")?.execute([sequence])?;
    let last_row = match last_row {
        Some(row) => row,
        None => outbox::last_row(connection)?,
    };
    Ok((CommitReceipt { last_row }, evicted))
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            events::WriterDied {}.emit();
        }
    }
}

/// What a store holds, read beside the daemon that works on it: for `outbox status`.
///
/// # Errors
/// There is no store, or it cannot be read.
pub fn inspect(directory: &Path) -> Result<Inspection, StoreError> {
    let connection = file::open_beside(directory)?;
    // One transaction: the figures belong to one moment.
    let snapshot = connection.unchecked_transaction()?;
    Ok(Inspection {
        path: directory.join(file::FILE),
        outbox: outbox::status(&snapshot)?,
        gaps: outbox::gaps(&snapshot)?,
    })
}

/// What [`inspect`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The store's file.
    pub path: PathBuf,
    /// What waits.
    pub outbox: OutboxStatus,
    /// Losses not yet announced.
    pub gaps: Vec<Gap>,
}
