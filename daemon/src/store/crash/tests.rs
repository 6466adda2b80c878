//! Histories, and every way in which they are interrupted.

use proptest::prelude::*;

use super::{
    super::StoreError,
    disk::{Fault, Plan},
    script::{self, Draft, Step},
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
    Plan { fault, after, reads_count: true }
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

#[test]
fn a_power_loss_at_every_operation_loses_nothing() {
    let script = script::short();
    let operations = operations(false);
    for round in 0..times(3, 200) {
        for after in 0..operations {
            // Every other time it is lost once more while the store is opened again.
            let second = (round % 2 == 1).then(|| power_loss(after % 17));
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
    let operations = operations(true);
    let faults = [Fault::IoErrorOnce, Fault::IoErrors, Fault::Full, Fault::ReadOnly];
    let mut failed = [0; 4];
    for (number, fault) in faults.into_iter().enumerate() {
        for round in 0..times(1, 20) {
            for after in 0..operations {
                let mut world = World::new(round << 32 | after, [failure(fault, after)]);
                for step in &script {
                    match world.step(step) {
                        End::Done => {}
                        End::Retried(struck) => {
                            assert_eq!(struck, fault);
                            failed[number] += 1;
                        }
                        End::PowerLost => unreachable!(),
                    }
                }
                world.settle();
            }
        }
        assert!(failed[number] > operations / 3, "{fault:?}: only {failed:?} of {operations} had an effect");
    }
}

#[test]
fn a_read_only_disk_is_said_and_named() {
    let mut world = World::new(0, []);
    world.step(&Step::Commit(vec![Draft::Revision { incident: 0, scene_active: true, length: 10 }]));
    world.close();
    world.disk().plan(Some(failure(Fault::ReadOnly, 0)));
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
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

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
