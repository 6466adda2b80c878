//! The one thread that owns the connection. Requests that wait while it is busy share the next transaction (group
//! commit), so that many callers cost one `fsync`; each is undone and answered by itself.

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::{error::StoreError, file::DirectoryLock, message::OutboxStatus, outbox};
use crate::events::store as events;

/// Requests that may wait for the writer; more callers block.
pub(super) const QUEUE: usize = 256;
/// Requests that share one transaction.
const GROUP: usize = 128;

/// A request to the thread.
pub(super) trait Job: Send {
    /// Whether it changes anything: if not, it runs outside the group's transaction and sees what is committed only.
    fn writes(&self) -> bool;
    /// Does the work. Runs a second time, alone, when its group's transaction failed.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;
    /// Tells the caller: `Ok` only after the work is durable.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A [`Job`] made of a closure and a place to answer to.
pub(super) struct Call<T, F> {
    writes: bool,
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Call<T, F>
where
    T: Send + 'static,
    F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    pub(super) fn prepare(writes: bool, work: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { writes, work, done: None, reply }), answer)
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, StoreError> + Send,
{
    fn writes(&self) -> bool {
        self.writes
    }

    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.done = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        // A caller that has gone away does not want to know.
        let _ = reply.send(outcome.and_then(|()| done.ok_or(StoreError::Stopped)));
    }
}

/// Serves requests until every handle is gone, or until the file turns out to be damaged: then nothing that is written can be
/// relied upon, and only opening it anew sets it aside. The lock on the directory is given back after the file is closed.
pub(super) fn serve(
    mut connection: Connection,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    status: &watch::Sender<OutboxStatus>,
    boot: i64,
    lock: DirectoryLock,
) {
    let mut writes = Vec::with_capacity(GROUP);
    let mut reads = Vec::with_capacity(GROUP);
    let mut damaged = false;
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some(job) = next {
            if job.writes() { &mut writes } else { &mut reads }.push(job);
            next = if writes.len() + reads.len() < GROUP { queue.try_recv().ok() } else { None };
        }
        if !writes.is_empty() {
            let outcomes = commit_group(&mut connection, &mut writes);
            publish_status(&connection, status, boot);
            for (job, outcome) in writes.drain(..).zip(outcomes) {
                damaged |= is_damage(&outcome);
                job.answer(outcome);
            }
        }
        for mut job in reads.drain(..) {
            let outcome = job.run(&connection);
            damaged |= is_damage(&outcome);
            job.answer(outcome);
        }
        if damaged {
            events::Damaged {}.emit();
            break;
        }
    }
    if let Err((_, error)) = connection.close() {
        events::CloseFailed { error: &StoreError::from(error) }.emit();
    }
    drop(lock);
}

fn is_damage(outcome: &Result<(), StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Corrupt(_)))
}

/// Commits all jobs in one transaction; where that fails as a whole, each in one of its own, so that a job too large
/// for the space left does not take others down with it.
fn commit_group(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> Vec<Result<(), StoreError>> {
    match commit_together(connection, jobs) {
        Ok(outcomes) => outcomes,
        Err(error) if jobs.len() == 1 => vec![Err(error)],
        Err(_) => jobs
            .chunks_mut(1)
            .map(|alone| commit_together(connection, alone).and_then(|mut outcomes| outcomes.pop().unwrap_or(Ok(()))))
            .collect(),
    }
}

fn commit_together(
    connection: &mut Connection,
    jobs: &mut [Box<dyn Job>],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        transaction.execute_batch("SAVEPOINT job")?;
        match job.run(&transaction) {
            Ok(()) => {
                transaction.execute_batch("RELEASE job")?;
                outcomes.push(Ok(()));
            }
            // SQLite has undone everything by itself: a full disk, an I/O error.
            Err(error) if transaction.is_autocommit() => return Err(error),
            Err(error) => {
                transaction.execute_batch("ROLLBACK TO job; RELEASE job")?;
                outcomes.push(Err(error));
            }
        }
    }
    transaction.commit()?;
    Ok(outcomes)
}

fn publish_status(connection: &Connection, status: &watch::Sender<OutboxStatus>, boot: i64) {
    match outbox::status(connection, Some(boot)) {
        Ok(now) => {
            status.send_replace(now);
        }
        Err(error) => events::StatusUnknown { error: &error }.emit(),
    }
}
