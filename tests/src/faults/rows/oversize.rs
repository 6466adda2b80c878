//! The largest packet is lowered while larger messages wait: they cannot leave any more, and the gateway says so.

use std::{sync::Arc, time::Instant};

use snowgate::{
    clock::SystemClock,
    store::{Class, Commit, Message, Store, spec::StorageSpec},
};
use snowgate_core::spec::ByteSize;

use crate::{
    faults::{
        Order,
        rig::{Plan, RECOVER_WITHIN, Rig},
        table::Row,
        verdict::{self, MayLose},
    },
    proxy::Weather,
    reporter::spec,
};

const REASON: &str = "oversize";

pub(super) fn lowered(order: Order) -> Row {
    let mut noise = order.noise();
    let mut rig = Rig::new(Plan::STEADY);
    rig.start();
    let (mut recoveries, mut oversize) = (Vec::new(), 0);
    for _ in 0..order.times {
        rig.load().resume();
        rig.wait_received(2);
        rig.proxy.set(Weather { refuse: true, ..Weather::default() });
        rig.proxy.cut();
        rig.wait_produced(6);
        rig.stop();
        let large = 1 + noise.below(5) as u64;
        put_large(&rig, large, 17_000 + noise.below(40_000));
        oversize += large;
        rig.configure("max_packet = \"16KiB\"");
        rig.proxy.set(Weather::default());
        let ended = Instant::now();
        rig.start();
        let announced = rig.receiver.wait_for(RECOVER_WITHIN, |state| {
            let lost: u64 = state.ledger.gaps().iter().map(|gap| gap.messages).sum();
            (lost >= oversize).then_some(lost)
        });
        if announced != Some(oversize) {
            rig.receiver.breach(format!("{announced:?} messages announced as lost, {oversize} were too large"));
        }
        rig.wait_received(2);
        rig.wait_outbox_empty();
        recoveries.push(ended.elapsed());
    }
    rig.load().pause();
    rig.wait_outbox_empty();
    rig.stop();
    let truth = rig.read_truth();
    let mut row = verdict::row(&rig, order, &truth, recoveries, MayLose::Announced(REASON));
    (row.produced, row.announced) = (row.produced + oversize, oversize);
    row
}

/// Commits messages beside the daemon, which is down.
fn put_large(rig: &Rig, messages: u64, bytes: usize) {
    let clock = Arc::new(SystemClock::new());
    let opened = Store::open(rig.data(), &spec::<StorageSpec>(""), ByteSize::mib(1), clock);
    let (store, _) = opened.unwrap_or_else(|error| panic!("{error}"));
    for number in 0..messages {
        let message = |sequence| Message {
            class: Class::Incident,
            lane: Some(format!("large-{sequence}-{number}")),
            topic: format!("snowgate/v1/{}/incident/village/330182101201", crate::faults::rig::GATEWAY),
            payload: vec![b'x'; bytes],
            retain: false,
            origin: None,
        };
        let committed =
            store.commit(|sequence| Commit { messages: vec![message(sequence.next())], ..Commit::default() });
        committed.unwrap_or_else(|error| panic!("{error}"));
    }
}
