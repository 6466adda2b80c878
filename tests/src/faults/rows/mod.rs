//! The kinds of faults, each with how it is injected.

mod broker;
mod kill;
mod network;

use std::{thread, time::Duration};

use snowgate_simulators::noise::Noise;

use super::Fault;

/// Every kind of fault, the longest first.
pub const FAULTS: &[Fault] = &[
    Fault { name: "kill -9 at random instants", times: 200, short: 8, alone: false, inject: kill::random_instants },
    Fault { name: "broker restarts, keeps its state", times: 25, short: 2, alone: false, inject: broker::persistent },
    Fault { name: "broker restarts, forgets everything", times: 25, short: 2, alone: false, inject: broker::fleeting },
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
