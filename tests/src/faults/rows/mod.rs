//! The kinds of faults, each with how it is injected.

mod backlog;
mod broker;
mod clock;
mod commands;
mod damage;
mod disk;
mod kill;
mod network;
mod oversize;

use std::{thread, time::Duration};

use snowgate_simulators::noise::Noise;

use super::Fault;

/// Every kind of fault, the longest first.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "three days offline",
        times: 1_000_000,
        short: 4_000,
        alone: true,
        inject: backlog::three_days_offline,
    },
    Fault { name: "kill -9 at random instants", times: 200, short: 8, alone: false, inject: kill::random_instants },
    Fault { name: "broker restarts, keeps its state", times: 25, short: 2, alone: false, inject: broker::persistent },
    Fault { name: "broker restarts, forgets everything", times: 25, short: 2, alone: false, inject: broker::fleeting },
    Fault { name: "store truncated", times: 20, short: 1, alone: false, inject: damage::truncated },
    Fault { name: "store with flipped bits", times: 40, short: 2, alone: false, inject: damage::flipped },
    Fault { name: "store partly overwritten", times: 20, short: 0, alone: false, inject: damage::overwritten },
    Fault { name: "disk full", times: 20, short: 3, alone: false, inject: disk::full },
    Fault { name: "file system read only", times: 20, short: 3, alone: false, inject: disk::read_only },
    Fault { name: "clock stepped by a year", times: 30, short: 3, alone: false, inject: clock::steps },
    Fault { name: "start in 1970, then synchronised", times: 10, short: 1, alone: false, inject: clock::without_time },
    Fault { name: "largest packet lowered", times: 10, short: 1, alone: false, inject: oversize::lowered },
    Fault { name: "malformed commands", times: 10_000, short: 200, alone: false, inject: commands::malformed },
    Fault { name: "flood of dispositions", times: 10_000, short: 200, alone: false, inject: commands::flood },
    Fault { name: "half-open connection", times: 8, short: 0, alone: false, inject: network::half_open },
    Fault { name: "half-open connection, TLS", times: 8, short: 0, alone: false, inject: network::half_open_tls },
    Fault { name: "PUBACKs lost", times: 10, short: 1, alone: false, inject: network::acknowledgements_lost },
    Fault { name: "PUBACKs doubled", times: 20, short: 1, alone: false, inject: network::acknowledgements_doubled },
    Fault { name: "PUBLISHes doubled", times: 20, short: 1, alone: false, inject: network::publishes_doubled },
    Fault { name: "session_present = 0", times: 20, short: 1, alone: false, inject: network::sessions_forgotten },
    Fault { name: "connection cut", times: 30, short: 2, alone: false, inject: network::cut },
    Fault { name: "connection cut, TLS", times: 30, short: 2, alone: false, inject: network::cut_tls },
    Fault { name: "connections refused", times: 20, short: 0, alone: false, inject: network::refused },
    Fault { name: "connections refused, TLS", times: 20, short: 0, alone: false, inject: network::refused_tls },
    Fault { name: "slow line (2 to 10 kB/s)", times: 20, short: 0, alone: false, inject: network::throttled },
    Fault { name: "slow line (2 to 10 kB/s), TLS", times: 20, short: 0, alone: false, inject: network::throttled_tls },
    Fault { name: "late line (50 to 400 ms)", times: 20, short: 0, alone: false, inject: network::delayed },
    Fault { name: "late line (50 to 400 ms), TLS", times: 20, short: 0, alone: false, inject: network::delayed_tls },
];

/// Lets time pass: how long, chance decides. This is the fault's own length, no waiting for anything.
fn let_pass(noise: &mut Noise, from: Duration, to: Duration) {
    thread::sleep(between(noise, from, to));
}

/// A random duration.
fn between(noise: &mut Noise, from: Duration, to: Duration) -> Duration {
    let span = usize::try_from(to.saturating_sub(from).as_micros()).unwrap_or(usize::MAX);
    from + Duration::from_micros(noise.below(span) as u64)
}
