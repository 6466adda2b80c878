//! One SQLite file, one writer: nothing is lost between "decided" and "the broker has it".
//!
//! # On disk
//! `store.sqlite` in the data directory (write-ahead log, `synchronous = FULL`), format number in `user_version`:
//!
//! | table | a row is |
//! |---|---|
//! | `incidents` | the newest revision of one incident |
//! | `commands` | a command of the grid system and how it was answered |
//! | `day` | the day's summary as it stands; one row |
//! | `outbox` | a message waiting for the broker's acknowledgement; `row` only ever grows and is never used again |
//! | `classes` | how many messages and bytes a class has waiting |
//! | `gaps` | messages of one class given up for one reason and not yet announced: how many, from when to when |
//! | `boots` | a boot that rows are of, and what was learnt of its clocks |
//! | `sums` | how many rows another table has, and the sum of their checksums |
//! | `meta` | the last event number given, bytes of all incidents, how many commands are remembered and their bytes, a digest of the schema |
//!
//! `lock` beside it is held (`flock`) by the one daemon that works here. `store.sqlite.corrupt-TIME` is a store that
//! was found damaged; the newest two are kept.
//!
//! A store that an older version wrote is brought to the present format in one transaction when it is opened; one that a
//! newer version wrote is left alone.
//!
//! # What always holds
//! 1. A [`Commit`] is on disk as a whole or not at all, and [`Store::commit`] returns `Ok` only after it is.
//! 2. Nobody reads a row that is not committed: reads run between transactions.
//! 3. A row leaves `outbox` by an acknowledgement, or into `gaps` in the same transaction. A row leaves `gaps` in the
//!    transaction that puts its announcement into `outbox`.
//!    `outbox export --remove` acknowledges too: what it takes out is on another disk.
//! 4. `classes` is the sum over `outbox`; a class over its quota gives up its oldest messages in the transaction that
//!    took it over. Evidence cannot displace incidents: each class has a quota of its own.
//! 5. An event number is given to one committed event only, ever: the highest is written in the commit that uses it. A
//!    commit that fails gives its numbers back.
//! 6. An incident's revision only grows. Over the quota of all incidents give way first those that have ended and people
//!    have finished with, then those that have ended, and what the scene still shows only when nothing else is left; of
//!    each the oldest first.
//! 7. A command is remembered until it is forgotten on demand after it has expired ([`Store::forget_commands`]); one that is
//!    still open is not. Over their limits (65,536, and bytes) those that expire first give way, open ones last.
//! 8. Order is the order of rows, never that of times. A row has the time of both clocks, the boot, and whether the wall clock
//!    was synchronised. Wall times that were not right are, once the same boot learns the time ([`Store::fill_in`]); those
//!    of other boots stay as they are, and so do those that were right.
//!
//! `crash` proves it on a disk in memory, with the power lost and the disk failing at every single file operation.
//!
//! Freed pages are used again but the file does not shrink: it stays below the sum of its quotas.

mod checksum;
mod clocks;
mod commands;
mod commit;
#[cfg(test)]
mod crash;
mod error;
mod export;
mod file;
mod incidents;
mod message;
mod outbox;
mod schema;
mod soundness;
pub mod spec;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rusqlite::Connection;
use snowgate_core::{
    spec::ByteSize,
    time::{Clock, Synchronisation},
};
use tokio::sync::{mpsc, watch};

use self::{
    commit::{GivenWay, Limits},
    file::{DirectoryLock, Opened},
    outbox::Books,
    spec::StorageSpec,
    writer::{Call, Job},
};
pub use self::{
    error::StoreError,
    export::{WaitingMessage, WaitingSnapshot, announce_gaps_beside, remove_exported},
    file::{FILE, LOCK, Offline, SetAside},
    message::{
        Class, ClassStatus, CommandRecord, Commit, CommitReceipt, CommitTime, Gap, IncidentRecord, LossReason, Message,
        OutboxRow, OutboxStatus, RowId, publish_packet_bytes,
    },
    outbox::Selection,
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

/// Gives the numbers of events in the order they are committed, without holes: a commit that fails gives back its own.
/// (Where several threads commit events at the same time, later numbers may be in use by then; then they leave a hole.)
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
        let now = outbox::status(&connection, Some(boot))?;
        let (queue, requests) = mpsc::channel(writer::QUEUE);
        let (publish, status) = watch::channel(now);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer::serve(connection, requests, &publish, boot, lock))
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
        let mut taken = 0..0;
        let submitted = self.submit(|sequence| {
            taken.start = sequence.last;
            let commit = build(sequence);
            taken.end = sequence.last;
            commit
        });
        let outcome = submitted.and_then(|answer| {
            answer.blocking_recv().unwrap_or(Err(StoreError::Stopped)).inspect_err(|_| self.give_back(taken))
        });
        let outcome = outcome.map(|(receipt, gave_way)| {
            gave_way.count(LossReason::Quota);
            receipt
        });
        let failure = outcome.as_ref().err().map(|error| (error.kind(), error as &dyn std::error::Error));
        events::Committed { took: self.inner.clock.mono().since(began), failure }.emit();
        outcome
    }

    /// Whether a message can be stored and sent.
    ///
    /// # Errors
    /// Its topic is none, or it is too large.
    pub fn check(&self, message: &Message) -> Result<(), StoreError> {
        self.inner.limits.check(message)
    }

    /// Takes back the numbers of a commit that failed, unless later ones have been given meanwhile.
    fn give_back(&self, taken: Range<u64>) {
        let mut sequence = self.inner.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        if sequence.last == taken.end {
            sequence.last = taken.start;
        }
    }

    fn submit(
        &self,
        build: impl FnOnce(&mut Sequence) -> Commit,
    ) -> Result<Answer<(CommitReceipt, GivenWay)>, StoreError> {
        let inner = &*self.inner;
        // Held until the request is queued: events are committed in the order of their numbers.
        let mut sequence = inner.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Sequence { last: sequence.last };
        let commit = build(&mut taken);
        commit.messages.iter().try_for_each(|message| inner.limits.check(message))?;
        // One that takes no number must not make that of another, which may fail yet, durable.
        let last = if taken.last > sequence.last { taken.last } else { 0 };
        let (limits, boot, now) = (inner.limits, inner.boot, inner.clock.now());
        let apply = move |connection: &Connection| commit::apply(connection, &commit, &limits, last, now, boot);
        let (job, answer) = Call::prepare(true, apply);
        let queue = inner.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.blocking_send(job).map_err(|_| StoreError::Stopped)?;
        *sequence = taken;
        Ok(answer)
    }

    /// Whether it has stopped by itself: nothing is stored any more.
    pub fn has_stopped(&self) -> bool {
        self.inner.thread.as_ref().is_none_or(JoinHandle::is_finished)
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

    /// Incidents that people have not finished with, newest first, at most so many: those older than the one with the id
    /// `before`, if one is given. All of them may be as many as the history's quota holds. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn unfinished_incidents(&self, before: Option<&str>, rows: usize) -> Result<Vec<IncidentRecord>, StoreError> {
        let before = before.map(str::to_owned);
        self.read_blocking(move |connection| incidents::unfinished(connection, before.as_deref(), rows))
    }

    /// Incidents that have ended and that people have finished with, newest first, at most so many. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn finished_incidents(&self, rows: usize) -> Result<Vec<IncidentRecord>, StoreError> {
        self.read_blocking(move |connection| incidents::finished(connection, rows))
    }

    /// What is remembered of a command. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn command(&self, name: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (name, id) = (name.to_owned(), id.to_owned());
        self.read_blocking(move |connection| commands::one(connection, &name, &id))
    }

    /// What is remembered of every command of this name that is still open, the first first. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open_commands(&self, name: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.read_blocking(move |connection| commands::open(connection, &name))
    }

    /// Forgets commands that are not open and expired before then. Blocks.
    ///
    /// # Errors
    /// They are remembered still.
    pub fn forget_commands(&self, expired_before: jiff::Timestamp) -> Result<(), StoreError> {
        self.write_blocking(move |connection| commands::forget_expired(connection, expired_before).map(drop))
    }

    /// The day's summary as it was last committed. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn day(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_blocking(commands::day)
    }

    /// Puts the wall times of this boot right that were written down before its clock was synchronised, for good: what is
    /// learnt later changes nothing. Knowledge of another boot is passed over. Blocks.
    ///
    /// # Errors
    /// They are as they were.
    pub fn fill_in(&self, known: Synchronisation) -> Result<(), StoreError> {
        if known.boot() != self.inner.clock.boot_id() {
            return Ok(());
        }
        let (boot, known) = (self.inner.boot, known.known());
        self.write_blocking(move |connection| clocks::fill_in(connection, boot, known))
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
        self.call(true, move |connection| outbox::acknowledge(connection, &rows)).await
    }

    /// Gives up messages that cannot be sent; they are counted among the [`Gap`]s.
    ///
    /// # Errors
    /// They are still there.
    pub async fn give_up(&self, rows: Vec<RowId>, reason: LossReason) -> Result<(), StoreError> {
        let gave_way = self
            .call(true, move |connection| {
                let (mut gave_way, mut books) = (GivenWay::default(), Books::default());
                for row in &rows {
                    if let Some((class, _)) = outbox::give_up(connection, *row, reason, &mut books)? {
                        gave_way.messages[class.index()] += 1;
                    }
                }
                books.write(connection)?;
                Ok(gave_way)
            })
            .await?;
        gave_way.count(reason);
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
        let (now, boot) = (self.inner.clock.now(), self.inner.boot);
        self.call(true, move |connection| {
            if outbox::waiting(connection, Class::Gap)? > 0 {
                return Ok(());
            }
            outbox::announce_gaps(connection, now, boot, &render)
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
        let (status, now) = (self.status(), self.inner.clock.now());
        for class in Class::ALL {
            let ClassStatus { messages, bytes, oldest } = status.of(class);
            let age = oldest.map_or(0.0, |oldest| oldest.age(now).as_secs_f64());
            events::OutboxHeld { class: class.as_str(), messages, bytes, oldest_age_seconds: age }.emit();
        }
    }

    fn read_blocking<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call_blocking(false, work)
    }

    fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call_blocking(true, work)
    }

    fn call_blocking<T: Send + 'static>(
        &self,
        writes: bool,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Call::prepare(writes, work);
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
        path: directory.join(FILE),
        outbox: outbox::status(&snapshot, None)?,
        gaps: outbox::gaps(&snapshot, None)?,
    })
}

/// Visits every stored incident, the oldest first, beside the daemon that works on the store: for `suggest`.
///
/// # Errors
/// There is no store, or it cannot be read.
pub fn for_each_incident(directory: &Path, visit: impl FnMut(IncidentRecord)) -> Result<(), StoreError> {
    incidents::for_each(&file::open_beside(directory)?, visit)
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
