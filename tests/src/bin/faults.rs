//! `make test-faults`: injects every kind of fault, many times, and prints what became of the incidents.

use std::{process::ExitCode, sync::atomic::AtomicUsize, sync::atomic::Ordering, time::Instant};

use clap::Parser;
use snowgate_tests::faults::{self, FAULTS, table};

/// Breaks the daemon in every way we know of, under load, and counts incidents.
#[derive(Debug, Parser)]
#[command(name = "faults")]
struct Arguments {
    /// Only faults whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// So many times each, instead of as often as usual.
    #[arg(long)]
    times: Option<u64>,
    /// So many kinds of faults side by side.
    #[arg(long, default_value_t = 4)]
    side_by_side: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (seed, began) = (faults::seed(), Instant::now());
    let chosen = FAULTS.iter().filter(|fault| fault.name.contains(&arguments.only));
    let chosen: Vec<_> = chosen.map(|fault| (*fault, arguments.times.unwrap_or(fault.times))).collect();
    println!("SNOWGATE_SEED={seed}; memory is bounded by {} MB", table::MEMORY_BOUND >> 20);
    println!("{}", table::header());
    let failed = AtomicUsize::new(0);
    faults::run(&chosen, seed, arguments.side_by_side, |row| {
        println!("{row}");
        failed.fetch_add(usize::from(!row.is_well()), Ordering::SeqCst);
    });
    let failed = failed.into_inner();
    println!("{} kinds of faults in {:.0} s, {failed} not survived", chosen.len(), began.elapsed().as_secs_f64());
    if failed == 0 && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
