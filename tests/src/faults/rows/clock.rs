//! The wall clock jumps, or does not know what year it is. Order and delivery must not depend on it.

use std::time::{Duration, Instant};

use crate::{
    faults::{
        Order,
        preload::{Preload, Synchronised},
        rig::{Plan, Rig},
        table::Row,
        truth,
        verdict::{self, MayLose},
    },
    wait::{self, PATIENCE},
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// What must arrive under each wrong time.
const EVENTS: u64 = 8;

pub(super) fn steps(order: Order) -> Row {
    let mut rig = Rig::new(Plan { preload: true, ..Plan::STEADY });
    rig.start();
    let mut recoveries = Vec::new();
    let steps: [fn(&Preload); 3] =
        [|clock| clock.step_forward(YEAR), |clock| clock.step_back(YEAR), Preload::right_time];
    for number in 0..order.times {
        let step = steps[usize::try_from(number).unwrap_or_default() % steps.len()];
        rig.wait_received(EVENTS);
        step(rig.preload());
        let stepped = Instant::now();
        recoveries.push(rig.recovery(stepped));
    }
    rig.wait_received(EVENTS);
    let truth = rig.settle();
    verdict::row(&rig, order, &truth, recoveries, MayLose::Nothing)
}

/// Each time: a start in 1970, events, a kill in the middle of it, a time server, events.
pub(super) fn without_time(order: Order) -> Row {
    let mut rig = Rig::new(Plan { preload: true, ..Plan::STEADY });
    let mut recoveries = Vec::new();
    for _ in 0..order.times {
        let since_1970 = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
        rig.preload().step_back(Duration::from_secs(since_1970 - 20));
        rig.preload().synchronised(Synchronised::No);
        let before = rig.receiver.look(|state| state.ledger.unsynchronised());
        rig.start();
        rig.wait_received(EVENTS);
        rig.kill();
        rig.start();
        rig.wait_received(EVENTS);
        let flagged = rig.receiver.look(|state| state.ledger.unsynchronised()) - before;
        if flagged == 0 {
            rig.receiver.breach("events with times of 1970 are not flagged".to_owned());
        }
        rig.preload().right_time();
        rig.preload().synchronised(Synchronised::Yes);
        let ended = Instant::now();
        let put_right = || truth::without_time(rig.data()).is_ok_and(|incidents| incidents == 0);
        if !wait::wait_until(PATIENCE, put_right) {
            let left = truth::without_time(rig.data());
            rig.receiver.breach(format!("times of this boot are not filled in: {left:?} incidents"));
        }
        recoveries.push(rig.recovery(ended));
        rig.stop();
    }
    rig.start();
    let truth = rig.settle();
    let mut row = verdict::row(&rig, order, &truth, recoveries, MayLose::Nothing);
    let flagged = rig.receiver.look(|state| state.ledger.unsynchronised());
    row.notes.push(format!("{flagged} events flagged; recovery: until every time of this boot is filled in and told"));
    row
}
