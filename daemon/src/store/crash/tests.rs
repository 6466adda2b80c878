//! Histories, and every way in which they are interrupted.

use std::sync::Arc;

use proptest::prelude::*;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{
    super::StoreError,
    disk::{Disk, Fault, Plan},
    script::{self, Draft, Step},
    vfs,
    world::{End, World},
};

/// How many times to do something that is done `usual` times, but for `PROPTEST_CASES`.
fn times(usual: u64, most: u64) -> u64 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(usual).min(most)
}

fn power_loss(after: u64) -> Plan {
    Plan { fault: Fault::PowerLoss, after, reads_count: false }
}

fn failure(fault: Fault, after: u64) -> Plan {
    // A disk that is full or read-only is no matter to who reads.
    Plan { fault, after, reads_count: matches!(fault, Fault::IoErrorOnce | Fault::IoErrors) }
}

/// Operations the short script takes, from the very first opening on.
fn operations(reads_count: bool) -> u64 {
    let mut world = World::new(0, [Plan { reads_count, ..power_loss(u64::MAX) }]);
    script::short().iter().for_each(|step| assert_eq!(world.step(step), End::Done));
    let operations = world.disk().operations();
    assert!(operations > 150, "only {operations} operations: the script does not do what it should");
    world.settle();
    operations
}

/// What SQLite by itself, with a `synchronous` setting, makes of a power loss after its last commit: whether rows were
/// ever lost, whether the database was ever damaged.
fn without_the_store(synchronous: &str) -> (bool, bool) {
    let (mut lost, mut damaged) = (false, false);
    for seed in 0..100 {
        let (home, disk) = (TempDir::new().unwrap(), Arc::new(Disk::new(seed)));
        vfs::mount(home.path(), &disk);
        let path = home.path().join("plain.sqlite");
        let open = || Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), vfs::for_path(&path).unwrap());
        let connection = open().unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", synchronous).unwrap();
        connection.execute_batch("CREATE TABLE t (number INTEGER PRIMARY KEY, text TEXT)").unwrap();
        for number in 0..10 {
            connection.execute("INSERT INTO t VALUES (?1, ?2)", (number, "x".repeat(3000))).unwrap();
            if number == 6 {
                connection.query_row("PRAGMA wal_checkpoint", [], |_| Ok(())).unwrap();
            }
        }
        disk.cut_power();
        drop(connection);
        disk.restore_power();
        let connection = open().unwrap();
        let check = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        let count = connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u64>(0));
        damaged |= check.as_deref() != Ok("ok");
        lost |= count != Ok(10);
    }
    (lost, damaged)
}

#[test]
fn the_disk_is_as_bad_as_sqlite_says_disks_are() {
    assert_eq!(without_the_store("OFF"), (true, true));
    assert_eq!(without_the_store("NORMAL"), (true, false));
    assert_eq!(without_the_store("FULL"), (false, false));
}

#[test]
fn a_power_loss_at_every_operation_loses_nothing() {
    let script = script::short();
    let operations = operations(false);
    for round in 0..times(1, 40) {
        for after in 0..operations {
            // Every other time it is lost once more while the store is opened again.
            let second = ((round + after) % 2 == 1).then(|| power_loss(after % 17));
            let mut world = World::new(round << 32 | after, [power_loss(after)].into_iter().chain(second));
            let losses = script.iter().filter(|step| world.step(step) == End::PowerLost).count();
            assert!(losses > 0, "no power loss at operation {after}");
            world.settle();
        }
    }
}

#[test]
fn a_failure_at_every_operation_is_said_and_passes() {
    let script = script::short();
    let rounds = times(1, 5);
    // Those that last may miss a few beginnings where time is short.
    let faults = [(Fault::IoErrorOnce, 1), (Fault::Full, 1), (Fault::IoErrors, 5), (Fault::ReadOnly, 5)];
    for (fault, step_by) in faults {
        let operations = operations(failure(fault, 0).reads_count);
        let mut failed = 0;
        for round in 0..rounds {
            for after in (0..operations).step_by(if rounds > 1 { 1 } else { step_by }) {
                let mut world = World::new(round << 32 | after, [failure(fault, after)]);
                for step in &script {
                    match world.step(step) {
                        End::Done => {}
                        End::Retried(struck) => {
                            assert_eq!(struck, fault);
                            failed += 1;
                        }
                        End::PowerLost => unreachable!(),
                    }
                }
                world.settle();
            }
        }
        assert!(failed > operations / 15, "{fault:?}: only {failed} of {operations} had an effect");
    }
}

#[test]
fn a_read_only_disk_is_said_and_named() {
    let mut world = World::new(0, []);
    world.step(&Step::Commit(vec![Draft::Revision { incident: 0, scene_active: true, length: 10 }]));
    world.close();
    world.disk().plan(Some(Plan { reads_count: true, ..failure(Fault::ReadOnly, 0) }));
    let refused = world.try_step(&Step::Announce).unwrap_err();
    assert!(matches!(&refused, StoreError::Open { path, .. } if path.ends_with("store.sqlite")), "{refused:?}");
    assert!(refused.to_string().contains("store.sqlite"), "{refused}");
    assert_eq!(world.disk().repair(), Some(Fault::ReadOnly));
    assert_eq!(world.step(&Step::Announce), End::Done);
    world.settle();
}

fn faults() -> impl Strategy<Value = Vec<Plan>> {
    const FAILURES: [Fault; 5] =
        [Fault::IoErrorOnce, Fault::IoErrorOnce, Fault::IoErrors, Fault::Full, Fault::ReadOnly];
    let fault = prop_oneof![
        2 => (0..150_u64).prop_map(power_loss),
        1 => (prop::sample::select(&FAILURES), 0..300_u64).prop_map(|(fault, after)| failure(fault, after)),
    ];
    prop::collection::vec(fault, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_history_with_any_faults_keeps_the_books(
        script in script::histories(), faults in faults(), seed in any::<u64>(),
    ) {
        let mut world = World::new(seed, faults);
        for step in &script {
            world.step(step);
        }
        world.settle();
    }
}
