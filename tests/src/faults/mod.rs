//! Faults: the whole daemon under load, broken in every way we know of, and a table that says what became of each incident.
//!
//! # What is held to be true
//! An incident counts as produced when it is committed: what is in the daemon's store after a clean stop is the truth. The
//! receiver is a subscriber with a persistent session at a real mosquitto. After every kind of fault, a row says how many
//! incidents were produced and how many arrived whole, and fails if
//! - a revision never arrived and no gap record says so, or an event number is missing,
//! - the first arrivals of an incident's revisions are out of order,
//! - something came twice and not byte by byte the same, or came that nobody had committed,
//! - the daemon held more than [`table::MEMORY_BOUND`] of memory.
//!
//! # What is random
//! Everything that chance decides is drawn from one seed (`SNOWGATE_SEED`, printed). The daemon's own timing is not: a seed
//! repeats the faults, not the instruction they hit.

pub mod ledger;
pub mod load;
pub mod memory;
pub mod preload;
pub mod receiver;
pub mod rig;
mod rows;
pub mod table;
pub mod truth;
mod verdict;

use std::{
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use snowgate_simulators::noise::Noise;

pub use self::rows::FAULTS;
use self::table::Row;

/// A kind of fault.
#[derive(Clone, Copy)]
pub struct Fault {
    /// As it stands in the table.
    pub name: &'static str,
    /// How often it is injected in `make test-faults`.
    pub times: u64,
    /// How often in `make test`; never, if zero.
    pub short: u64,
    /// Whether it needs the machine for itself, because it measures delays.
    pub alone: bool,
    /// Injects it.
    inject: fn(Order) -> Row,
}

/// What a row is to do.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// The fault's name.
    pub name: &'static str,
    /// How often to inject it.
    pub times: u64,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Order {
    fn noise(&self) -> Noise {
        Noise::new(self.seed)
    }
}

/// The seed: `SNOWGATE_SEED`, or one that differs from run to run.
///
/// # Panics
/// It is set to something else than a number.
pub fn seed() -> u64 {
    match std::env::var("SNOWGATE_SEED") {
        Ok(seed) => seed.parse().expect("SNOWGATE_SEED: a number"),
        Err(_) => u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default(),
    }
}

impl Fault {
    /// Injects it so many times. A row that cannot go on has failed.
    pub fn inject(&self, times: u64, seed: u64) -> Row {
        // Each kind of fault has a chance of its own: adding one does not change the others.
        let seed = seed ^ ledger::digest(self.name.as_bytes());
        let (order, began) = (Order { name: self.name, times, seed }, Instant::now());
        let row = panic::catch_unwind(AssertUnwindSafe(|| (self.inject)(order)));
        let row = row.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Row::failed(self.name, text.unwrap_or_else(|| "a panic without words".to_owned()))
        });
        Row { took: began.elapsed(), ..row }
    }
}

/// Injects faults: those that need the machine for themselves one by one, then the others, `side_by_side` at a time (they
/// mostly wait). Calls `tell` with each row when it is done.
pub fn run(faults: &[(Fault, u64)], seed: u64, side_by_side: usize, tell: impl FnMut(Row) + Send) {
    let (alone, others): (Vec<_>, Vec<_>) = faults.iter().copied().partition(|(fault, _)| fault.alone);
    let tell = Mutex::new(tell);
    let tell = |row| (tell.lock().unwrap_or_else(PoisonError::into_inner))(row);
    for (fault, times) in alone {
        tell(fault.inject(times, seed));
    }
    let others = Mutex::new(VecDeque::from(others));
    let next = || others.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..side_by_side {
            scope.spawn(|| {
                while let Some((fault, times)) = next() {
                    tell(fault.inject(times, seed));
                }
            });
        }
    });
}
