//! The power goes, at whatever instruction the daemon is at.

use std::time::{Duration, Instant};

use super::let_pass;
use crate::faults::{
    Order,
    rig::{Plan, Rig},
    table::Row,
    verdict::{self, MayLose},
};

/// A quarter of the kills hit a daemon that starts.
const STARTING: Duration = Duration::from_millis(250);
/// The others hit one that works, so long at the most after it has sent something.
const WORKING: Duration = Duration::from_millis(500);
/// So often everything is waited for in between.
const RECOVER_EVERY: u64 = 10;

pub(super) fn random_instants(order: Order) -> Row {
    let mut noise = order.noise();
    let mut rig = Rig::new(Plan::STEADY);
    rig.start();
    rig.wait_received(2);
    let mut recoveries = Vec::new();
    for number in 1..=order.times {
        if noise.below(4) == 0 {
            let_pass(&mut noise, Duration::ZERO, STARTING);
        } else {
            rig.wait_received(1);
            let_pass(&mut noise, Duration::ZERO, WORKING);
        }
        rig.kill();
        let ended = Instant::now();
        rig.launch();
        if number % RECOVER_EVERY == 0 || number == order.times {
            rig.wait_ready();
            recoveries.push(rig.recovery(ended));
        }
    }
    let truth = rig.settle();
    verdict::row(&rig, order, &truth, recoveries, MayLose::Nothing)
}
