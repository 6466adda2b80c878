//! The line between the daemon and the broker breaks; after each fault it is fair again until everything has arrived.

use std::time::{Duration, Instant};

use snowgate_simulators::noise::Noise;

use super::{between, let_pass};
use crate::{
    faults::{
        Order,
        rig::{Plan, Rig},
        table::Row,
        verdict::{self, MayLose},
    },
    proxy::{Packets, Weather},
    wait::{self, PATIENCE},
};

const PLAIN: Plan = Plan::STEADY;
const ENCRYPTED: Plan = Plan { tls: true, ..Plan::STEADY };
const PACKETS: Plan = Plan { packets: true, ..Plan::STEADY };

/// How bad weather ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// After a while.
    Passes,
    /// When the daemon has noticed, and tries another connection.
    Noticed,
}

fn spells(order: Order, plan: Plan, cut: bool, until: Until, weather: impl Fn(&mut Noise) -> Weather) -> Row {
    let mut noise = order.noise();
    let mut rig = Rig::new(plan);
    rig.start();
    let mut recoveries = Vec::new();
    for _ in 0..order.times {
        rig.wait_received(5);
        let connections = rig.proxy.accepted();
        rig.proxy.set(weather(&mut noise));
        if cut {
            rig.proxy.cut();
        }
        match until {
            Until::Passes => let_pass(&mut noise, Duration::from_millis(200), Duration::from_secs(2)),
            Until::Noticed => {
                let noticed = wait::wait_until(PATIENCE, || rig.proxy.accepted() > connections);
                assert!(noticed, "the daemon does not notice\n{}", rig.last_log_lines());
            }
        }
        let ended = Instant::now();
        rig.proxy.set(Weather::default());
        if until == Until::Noticed {
            // The present connection has been lost in the middle of its beginning.
            rig.proxy.cut();
        }
        recoveries.push(rig.recovery(ended));
    }
    let truth = rig.settle();
    verdict::row(&rig, order, &truth, recoveries, MayLose::Nothing)
}

fn swallow_everything(_: &mut Noise) -> Weather {
    Weather { hold_replies: true, hold_requests: true, ..Weather::default() }
}

pub(super) fn half_open(order: Order) -> Row {
    spells(order, PLAIN, false, Until::Noticed, swallow_everything)
}

pub(super) fn half_open_tls(order: Order) -> Row {
    spells(order, ENCRYPTED, false, Until::Noticed, swallow_everything)
}

fn on_packets(order: Order, cut: bool, packets: Packets) -> Row {
    spells(order, PACKETS, cut, Until::Passes, |_| Weather { packets, ..Weather::default() })
}

pub(super) fn acknowledgements_lost(order: Order) -> Row {
    on_packets(order, false, Packets::LoseAcknowledgements)
}

pub(super) fn acknowledgements_doubled(order: Order) -> Row {
    on_packets(order, false, Packets::DoubleAcknowledgements)
}

pub(super) fn publishes_doubled(order: Order) -> Row {
    on_packets(order, false, Packets::DoublePublishes)
}

pub(super) fn sessions_forgotten(order: Order) -> Row {
    on_packets(order, true, Packets::ForgetSessions)
}

fn cut_with(order: Order, plan: Plan) -> Row {
    spells(order, plan, true, Until::Passes, |_| Weather::default())
}

pub(super) fn cut(order: Order) -> Row {
    cut_with(order, PLAIN)
}

pub(super) fn cut_tls(order: Order) -> Row {
    cut_with(order, ENCRYPTED)
}

fn refused_with(order: Order, plan: Plan) -> Row {
    spells(order, plan, true, Until::Passes, |_| Weather { refuse: true, ..Weather::default() })
}

pub(super) fn refused(order: Order) -> Row {
    refused_with(order, PLAIN)
}

pub(super) fn refused_tls(order: Order) -> Row {
    refused_with(order, ENCRYPTED)
}

fn slow(noise: &mut Noise) -> Weather {
    Weather { bytes_per_second: 2_000 + noise.below(8_000) as u64, ..Weather::default() }
}

pub(super) fn throttled(order: Order) -> Row {
    spells(order, PLAIN, false, Until::Passes, slow)
}

pub(super) fn throttled_tls(order: Order) -> Row {
    spells(order, ENCRYPTED, false, Until::Passes, slow)
}

fn late(noise: &mut Noise) -> Weather {
    let delay = between(noise, Duration::from_millis(50), Duration::from_millis(400));
    Weather { delay, ..Weather::default() }
}

pub(super) fn delayed(order: Order) -> Row {
    spells(order, PLAIN, false, Until::Passes, late)
}

pub(super) fn delayed_tls(order: Order) -> Row {
    spells(order, ENCRYPTED, false, Until::Passes, late)
}
