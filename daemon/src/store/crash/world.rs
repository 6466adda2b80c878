//! A box with a store, a bad disk and a bad line, and what must hold after each thing that happens to it.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
};

use snowgate_core::{spec::ByteSize, time::ManualClock};
use tempfile::TempDir;

use super::{
    super::{Class, CommitReceipt, LossReason, OpenReport, RowId, Store, StoreError, spec::StorageSpec, writer::Call},
    books::{Books, Holdings, INCIDENT_QUOTA, QUOTA, announcement},
    broker::{Broker, Client},
    disk::{Disk, Fault, Plan},
    script::{Draft, Line, Step},
    vfs,
};

pub(super) struct World {
    home: TempDir,
    disk: Arc<Disk>,
    store: Option<Store>,
    boot: u32,
    books: Books,
    /// What the store may turn out to hold after a power loss: requests that failed, but may have reached the disk
    /// whole, unless a later one was committed over them.
    doubts: Vec<Books>,
    broker: Broker,
    client: Client,
    /// Faults to come, each after the one before it is over.
    faults: VecDeque<Plan>,
    /// Those that were.
    past: Vec<Plan>,
}

/// How a step ended; afterwards the disk is sound and the store holds what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At once.
    Done,
    /// At the second attempt: the first one failed, because of this.
    Retried(Fault),
    /// The power was lost, and is back.
    PowerLost,
}

impl World {
    /// A fresh disk; the store is not open yet.
    pub(super) fn new(seed: u64, faults: impl IntoIterator<Item = Plan>) -> Self {
        let (home, disk) = (TempDir::new().unwrap(), Arc::new(Disk::new(seed)));
        vfs::mount(home.path(), &disk);
        let (books, broker, client) = (Books::default(), Broker::default(), Client::default());
        let faults = faults.into_iter().collect();
        let (store, doubts, past) = (None, Vec::new(), Vec::new());
        let mut world = Self { home, disk, store, boot: 1, books, doubts, broker, client, faults, past };
        world.plan_next();
        world
    }

    fn plan_next(&mut self) {
        if !self.disk.has_plan() && !self.disk.is_broken() {
            let plan = self.faults.pop_front();
            self.past.extend(plan);
            self.disk.plan(plan);
        }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// An orderly stop.
    pub(super) fn close(&mut self) {
        self.store = None;
    }

    fn open(&mut self) -> Result<(), StoreError> {
        let quota = ByteSize(QUOTA);
        let mut empty = toml_span::parse("").unwrap();
        let spec = StorageSpec {
            incident_quota: ByteSize(INCIDENT_QUOTA),
            unsent_evidence_quota: quota,
            unsent_telemetry_quota: quota,
            ..snowgate_core::spec::read_table(&mut empty).unwrap()
        };
        let clock = ManualClock::new(format!("boot {}", self.boot), "2026-01-01T00:00:00Z".parse().unwrap());
        let (store, OpenReport { set_aside, .. }) =
            Store::open(self.home.path(), &spec, ByteSize::mib(1), Arc::new(clock))?;
        assert_eq!(set_aside, None);
        self.store = Some(store);
        Ok(())
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    /// What the store holds.
    fn holdings(&self) -> Result<Holdings, StoreError> {
        self.store().read_blocking(Holdings::read)
    }

    /// Opens the store if it is closed, and does one thing.
    pub(super) fn try_step(&mut self, step: &Step) -> Result<(), StoreError> {
        if self.store.is_none() {
            self.open()?;
        }
        match step {
            Step::Commit(drafts) => self.commit(drafts),
            Step::Together(commits) => self.commit_together(commits),
            Step::Send { seed, line } => self.send(*seed, *line),
            Step::GiveUp(class, count) => {
                let mut after = self.books.clone();
                let rows = after.oldest(*class, *count);
                rows.iter().for_each(|row| after.give_up(*row, LossReason::Oversize));
                let rows = rows.into_iter().map(RowId).collect();
                let outcome = wait(self.store().give_up(rows, LossReason::Oversize));
                self.turn(after, outcome)
            }
            Step::Announce => {
                let mut after = self.books.clone();
                after.announce();
                let outcome = wait(self.store().announce_gaps(|gap| {
                    let message = announcement(gap.class, gap.reason, gap.messages);
                    (message.topic, message.payload)
                }));
                self.turn(after, outcome)
            }
            Step::Checkpoint => self.store().read_blocking(|connection| {
                Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
            }),
            Step::Reopen => {
                self.store = None;
                self.open()
            }
            Step::PowerLoss => {
                self.disk.cut_power();
                Ok(())
            }
        }
    }

    fn commit(&mut self, drafts: &[Draft]) -> Result<(), StoreError> {
        let mut after = self.books.clone();
        let mut last = after.holdings.sequence;
        let commit = self.books.draw_up(drafts, || {
            last += 1;
            last
        });
        after.commit(drafts, &commit, last);
        // The same, with the numbers the store gives.
        let outcome = self.store().commit(|sequence| self.books.draw_up(drafts, || sequence.next()));
        let outcome = outcome.map(|CommitReceipt { last_row }| assert_eq!(last_row.0, after.holdings.last_row));
        self.turn(after, outcome)
    }

    /// Several commits in one transaction: the writer is held up until all of them are queued.
    fn commit_together(&mut self, commits: &[Vec<Draft>]) -> Result<(), StoreError> {
        let (entered, inside) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let (gate, _) = Call::prepare(false, move |_| {
            entered.send(()).unwrap();
            held.recv().unwrap();
            Ok(())
        });
        let store = self.store();
        store.inner.queue.as_ref().unwrap().blocking_send(gate).map_err(|_| StoreError::Stopped)?;
        inside.recv().unwrap();
        let commits: Vec<_> =
            commits.iter().map(|drafts| (drafts, self.books.draw_up(drafts, || unreachable!()))).collect();
        let answers: Vec<_> = commits.iter().map(|(_, commit)| store.submit(|_| commit.clone()).unwrap()).collect();
        release.send(()).unwrap();
        let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect();
        let mut failed = None;
        let mut all = self.books.clone();
        for ((drafts, commit), outcome) in commits.iter().zip(outcomes) {
            let sequence = all.holdings.sequence;
            all.commit(drafts, commit, sequence);
            match outcome {
                Ok(_) => {
                    let mut after = self.books.clone();
                    after.commit(drafts, commit, sequence);
                    self.turn(after, Ok(()))?;
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| {
            self.doubts.push(all);
            Err(error)
        })
    }

    fn send(&mut self, seed: u64, line: Line) -> Result<(), StoreError> {
        let store = self.store.as_ref().expect("the store is open");
        let rows = wait(self.client.send(store, &mut self.broker, line, seed))?;
        let mut after = self.books.clone();
        rows.iter().for_each(|row| after.acknowledge(row.0));
        let outcome = wait(store.acknowledge(rows));
        for row in self.broker.received().keys() {
            let sent = self.broker.received().get(row);
            assert_eq!(sent, self.books.committed.get(row), "row {row} was sent and never committed");
        }
        self.turn(after, outcome)
    }

    /// Turns the page: a request that would make it `after` has been answered.
    fn turn<T>(&mut self, after: Books, outcome: Result<T, StoreError>) -> Result<(), StoreError> {
        match outcome {
            Ok(_) => {
                if after.holdings != self.books.holdings {
                    self.doubts.clear();
                }
                self.books = after;
                Ok(())
            }
            Err(error) => {
                self.doubts.push(after);
                Err(error)
            }
        }
    }

    /// Checks that the store, open, holds what it must.
    fn check(&self) {
        let held = self.disk.calmly(|| self.holdings()).unwrap();
        assert_eq!(held, self.books.holdings);
        let status = self.store().status();
        assert_eq!(status.last_row.0, held.last_row);
        assert_eq!(status.messages(), held.waiting.len() as u64);
    }

    /// Does one thing. If the power fails meanwhile, starts again; if it cannot be done for another fault, mends that
    /// and does it once more.
    pub(super) fn step(&mut self, step: &Step) -> End {
        let mut end = End::Done;
        loop {
            let outcome = self.try_step(step);
            if !self.disk.has_power() {
                self.start_again();
                return End::PowerLost;
            }
            match outcome {
                Ok(()) => break,
                Err(error) => end = End::Retried(self.mend(&error)),
            }
            // Nothing of it is stored.
            if self.store.is_some() {
                self.check();
            }
        }
        // Before the first fault, nothing can be wrong that would not be wrong without any.
        if self.past.len() != 1 || !self.disk.has_plan() {
            self.check();
        }
        self.plan_next();
        end
    }

    /// Mends what made a request fail, after a look at what was said about it.
    fn mend(&mut self, error: &StoreError) -> Fault {
        let fault = self.disk.repair().unwrap_or_else(|| panic!("failed without a cause: {error:?}"));
        match fault {
            Fault::Full => assert!(matches!(error, StoreError::DiskFull(_)), "{error:?}"),
            _ => assert!(matches!(error, StoreError::Sqlite(_) | StoreError::Open { .. }), "{fault:?}: {error:?}"),
        }
        self.plan_next();
        fault
    }

    /// The power is back, perhaps not for long.
    fn start_again(&mut self) {
        loop {
            if !self.disk.has_power() {
                self.store = None;
                self.disk.restore_power();
                self.boot += 1;
                self.client = Client::default();
                self.plan_next();
            }
            match self.open() {
                Ok(()) => break,
                Err(_) if !self.disk.has_power() => {}
                Err(error) => drop(self.mend(&error)),
            }
        }
        let held = self.disk.calmly(|| self.holdings()).unwrap();
        let doubts = std::mem::take(&mut self.doubts);
        let mut candidates: Vec<_> = [std::mem::take(&mut self.books)].into_iter().chain(doubts).collect();
        match candidates.iter().position(|books| books.holdings == held) {
            Some(found) => self.books = candidates.swap_remove(found),
            None => panic!("the store holds {held:#?}\nand should {:#?}", candidates.swap_remove(0).holdings),
        }
        self.check();
    }

    /// Everything is fine again at last: sends all that waits, and draws the balance.
    pub(super) fn settle(mut self) {
        self.faults.clear();
        self.disk.plan(None);
        self.disk.repair();
        assert_eq!(self.step(&Step::PowerLoss), End::PowerLost);
        for _ in 0..3 {
            self.step(&Step::Send { seed: 0, line: Line::Good });
            self.step(&Step::Announce);
        }
        let Self { books, broker, .. } = &self;
        assert_eq!((books.holdings.waiting.len(), books.holdings.gaps.len()), (0, 0));
        for (row, message) in &books.committed {
            assert!(broker.received().contains_key(row) || books.given_up.contains_key(row), "lost: {row} {message:?}");
        }
        for class in Class::ALL {
            let given_up = books.given_up.values().filter(|lost| **lost == class).count();
            assert_eq!(broker.told_lost(class), given_up as u64, "given up of {class:?}");
        }
        let numbers: Vec<u64> = events(books).map(|text| text.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (1..=books.holdings.sequence).collect::<Vec<_>>(), "event numbers");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the faults were {:?}", self.past);
        }
    }
}

/// The events ever committed.
fn events(books: &Books) -> impl Iterator<Item = &str> {
    let events = books.committed.values().filter(|message| message.class == Class::Incident);
    events.map(|message| std::str::from_utf8(&message.payload).unwrap())
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
