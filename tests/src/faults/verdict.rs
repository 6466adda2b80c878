//! From a rig that has settled to a row of the table.

use std::time::Duration;

use super::{
    Order,
    ledger::{Comparison, Truth},
    rig::Rig,
    table::{MEMORY_BOUND, Row},
};

/// What a fault may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum MayLose {
    /// Nothing.
    #[default]
    Nothing,
    /// Messages whose loss is announced for this reason.
    Announced(&'static str),
}

/// The row of a rig whose faults are over: what was committed against what arrived.
pub(super) fn row(rig: &Rig, order: Order, truth: &Truth, recoveries: Vec<Duration>, may_lose: MayLose) -> Row {
    let mut row = Row {
        fault: order.name.to_owned(),
        injected: order.times,
        produced: truth.incidents.len() as u64,
        events: truth.revisions(),
        recoveries,
        memory: rig.memory.most(),
        ..Row::default()
    };
    rig.receiver.look(|state| {
        let ledger = &state.ledger;
        let Comparison { delivered, missing, missing_sequences, invented } = ledger.compare(truth);
        row.delivered = delivered;
        row.duplicates = ledger.duplicates();
        let excused = |reason: &str| matches!(may_lose, MayLose::Announced(expected) if expected == reason);
        for gap in ledger.gaps().iter().filter(|gap| !excused(&gap.reason)) {
            row.failures.push(format!("a gap that nothing explains: {gap:?}"));
        }
        let announced = ledger.gaps().iter().any(|gap| excused(&gap.reason));
        let lost = (missing.len() as u64).max(if may_lose == MayLose::Nothing { missing_sequences } else { 0 });
        if announced {
            row.announced = lost;
        } else if lost > 0 {
            row.lost = lost;
            let first: Vec<_> = missing.iter().take(5).collect();
            row.failures.push(format!("never arrived: {first:?}; {missing_sequences} event numbers"));
        }
        if invented > 0 {
            row.failures.push(format!("{invented} events arrived that are not in the store"));
        }
        let (breached, breaches) = ledger.breaches();
        if breached > 0 {
            row.failures.push(format!("{breached} breaches of the contract: {breaches:?}"));
        }
    });
    if row.produced == 0 {
        row.failures.push("nothing was produced: the faults hit nothing".to_owned());
    }
    if row.memory > MEMORY_BOUND {
        row.failures.push(format!("{} MiB of memory, more than {}", row.memory >> 20, MEMORY_BOUND >> 20));
    }
    row
}
