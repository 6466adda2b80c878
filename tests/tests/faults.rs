//! A short selection of what `make test-faults` does, each fault a few times; `snowgate_tests::faults` says what must hold.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

use snowgate_tests::faults::{self, FAULTS, table};

/// So many side by side: they mostly wait.
const SIDE_BY_SIDE: usize = 6;

#[test]
fn a_short_selection_of_faults_loses_nothing() {
    let seed = faults::seed();
    let chosen: Vec<_> = FAULTS.iter().filter(|fault| fault.short > 0).map(|fault| (*fault, fault.short)).collect();
    println!("SNOWGATE_SEED={seed}\n{}", table::header());
    let failed = Mutex::new(Vec::new());
    faults::run(&chosen, seed, SIDE_BY_SIDE.max(thread::available_parallelism().map_or(1, usize::from)), |row| {
        println!("{row}");
        if !row.is_well() {
            failed.lock().unwrap_or_else(PoisonError::into_inner).push(row.to_string());
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "SNOWGATE_SEED={seed}\n{}", failed.join("\n"));
}
