//! The broker goes and comes back. Whatever it has acknowledged it has pushed to the receiver's socket before, so nothing
//! may be missing even if it forgets everything; but the daemon is let through only once the receiver has subscribed again.

use std::time::{Duration, Instant};

use super::let_pass;
use crate::{
    faults::{
        Order,
        rig::{Plan, RECOVER_WITHIN, Rig},
        table::Row,
        verdict::{self, MayLose},
    },
    proxy::Weather,
};

/// The longest the broker is away.
const AWAY: Duration = Duration::from_millis(800);

pub(super) fn persistent(order: Order) -> Row {
    restarts(order, Plan::STEADY)
}

pub(super) fn fleeting(order: Order) -> Row {
    restarts(order, Plan { fleeting: true, ..Plan::STEADY })
}

fn restarts(order: Order, plan: Plan) -> Row {
    let mut noise = order.noise();
    let mut rig = Rig::new(plan);
    rig.start();
    let mut recoveries = Vec::new();
    for _ in 0..order.times {
        rig.wait_received(5);
        let before = rig.receiver.look(|state| state.subscribed);
        match noise.below(2) {
            0 => rig.broker.kill9(),
            _ => rig.broker.stop(),
        }
        rig.proxy.set(Weather { refuse: true, ..Weather::default() });
        let_pass(&mut noise, Duration::ZERO, AWAY);
        rig.broker.restart();
        let subscribed = rig.receiver.wait_for(RECOVER_WITHIN, |state| (state.subscribed > before).then_some(()));
        assert!(subscribed.is_some(), "the receiver cannot subscribe again");
        let ended = Instant::now();
        rig.proxy.set(Weather::default());
        recoveries.push(rig.recovery(ended));
    }
    let truth = rig.settle();
    verdict::row(&rig, order, &truth, recoveries, MayLose::Nothing)
}
