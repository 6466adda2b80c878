//! One connection's whole life: connect, say who is there, send what waits, settle what is acknowledged, until it
//! breaks or it is time to stop. Client and event loop live exactly as long: what rumqttc carries over from a broken
//! connection cannot be relied upon (it drops what is pending when the broker knows no session, and keeps what may
//! have broken the connection), so nothing is carried over. The outbox has it all.
//!
//! The broker, though, carries something over: the session is persistent, so that commands wait while nobody is here, and
//! those that were not acknowledged come again. It owes this side nothing else: a publish it has taken it has either
//! acknowledged or not, and the next connection sends it anew, under a new packet identifier, which to a broker of
//! quality of service 1 is the same as a repetition. So it does not matter whether the broker still has the session: the
//! subscription is asked for on every connection, before anything is published.

use std::{collections::HashSet, time::Duration};

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing};
use snowgate_core::{backoff::Backoff, time::Mono};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    Shared,
    exchange::{Ending, Exchange},
    fault::Fault,
    inbox::ACKS_OUT,
    poller::{REPORTS, poll},
    schedule::LiveMark,
    status,
    subscription::Subscription,
    suspects::Suspects,
};
use crate::{events::uplink as events, store::RowId};

/// Longest time until the broker has answered CONNECT.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// A connection that has stood so long was no failure, even if there was nothing to send.
const LASTING: Duration = Duration::from_secs(60);
/// The first and the longest time between connections made for nothing but commands left with the broker.
const FETCHES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// How a connection ended.
pub(super) enum Ended {
    /// It was time to stop.
    Stopped,
    /// In good order, to begin a new one at once.
    Renewed,
    /// Something broke. `progress` if messages were acknowledged: it is worth coming back soon.
    Broken { fault: Fault, progress: bool },
}

/// What outlives a connection.
pub(super) struct Memory {
    /// What is live.
    pub(super) mark: LiveMark,
    /// What connections broke over.
    pub(super) suspects: Suspects,
    /// Acknowledged, but the store has not let go of them yet.
    pub(super) settled: Vec<RowId>,
    /// Handed to the newest socket, and not acknowledged: sent again, but not measured again.
    pub(super) handed: HashSet<RowId>,
    /// Whether commands are heard.
    pub(super) subscription: Subscription,
    /// The broker holds for this session what no connection survives.
    pub(super) session_is_spoilt: bool,
    /// When commands left with the broker may be fetched by a new connection, and the pause until the next time.
    pub(super) fetch: (Mono, Backoff),
}

impl Memory {
    pub(super) fn new(mark: LiveMark) -> Self {
        Self {
            mark,
            suspects: Suspects::default(),
            settled: Vec::new(),
            handed: HashSet::new(),
            subscription: Subscription::default(),
            session_is_spoilt: false,
            fetch: (Mono(0), Backoff::new(FETCHES.0, FETCHES.1)),
        }
    }
}

/// Runs one connection.
pub(super) async fn run(shared: &Shared, memory: &mut Memory) -> Ended {
    let (options, network) = shared.broker.options(shared.topics.status(), status::lost(shared));
    let connecting = async {
        if memory.session_is_spoilt {
            discard_session(shared, options.clone(), network.clone()).await?;
            memory.session_is_spoilt = false;
        }
        connect(options, network, usize::from(shared.broker.max_inflight)).await
    };
    let connected = tokio::select! {
        connected = timeout(CONNECT_LIMIT, connecting) => connected,
        () = shared.shutdown.triggered() => return Ended::Stopped,
    };
    let (client, event_loop) = match connected {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            return Ended::Broken { fault: Fault::connecting(error, shared.broker.is_encrypted()), progress: false };
        }
        Err(_) => {
            let fault = Fault::Unreachable("no answer in time".to_owned());
            return Ended::Broken { fault, progress: false };
        }
    };
    shared.online();

    let (reports, from_poller) = mpsc::channel(REPORTS);
    let mut poller = JoinSet::new();
    poller.spawn(poll(event_loop, shared.topics.command_prefix(), reports));
    let began = shared.clock.mono();
    let mut exchange = Exchange::new(shared, memory, client, from_poller);
    let ending = exchange.serve().await;
    if let Ending::Fault(fault) = &ending {
        exchange.broke(fault);
    }
    let progress = exchange.progress || shared.clock.mono().since(began) > LASTING;
    exchange.leave(&ending).await;
    match ending {
        Ending::Stop => Ended::Stopped,
        Ending::Fetch => Ended::Renewed,
        Ending::Fault(fault) => Ended::Broken { fault, progress },
    }
}

/// Connects, and polls no further.
async fn connect(
    options: MqttOptions,
    network: NetworkOptions,
    max_inflight: usize,
) -> Result<(AsyncClient, EventLoop), ConnectionError> {
    // The event loop takes so many publishes and acknowledgements; a few places more, and handing over never has to wait.
    let (client, mut event_loop) = AsyncClient::new(options, max_inflight + ACKS_OUT + 4);
    event_loop.set_network_options(network);
    event_loop.poll().await?;
    Ok((client, event_loop))
}

/// Has the broker forget the session, and with it all commands that wait for this gateway.
async fn discard_session(
    shared: &Shared,
    mut options: MqttOptions,
    network: NetworkOptions,
) -> Result<(), ConnectionError> {
    options.set_clean_session(true);
    let (client, mut event_loop) = connect(options, network, 1).await?;
    // The place for it is free: nothing else was handed over.
    let _ = client.try_disconnect();
    while event_loop.poll().await? != Event::Outgoing(Outgoing::Disconnect) {}
    events::SessionDiscarded { broker: &shared.broker.address }.emit();
    Ok(())
}
