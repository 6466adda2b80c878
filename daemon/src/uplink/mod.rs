//! MQTT: sends what the store holds, hears commands.
//!
//! What is promised: a message committed to the store reaches the broker at least once, those of one lane in order,
//! however often the connection, the broker or this process break in between; a message leaves the store only when
//! the broker has acknowledged it. On every connection the status and all retained states are published anew; should
//! it break, the broker publishes the offline status itself (last will).
//!
//! Commands are heard in a persistent session: those sent while nobody is here wait at the broker, and each is
//! acknowledged only when its [`Receipt`] is settled. A broker that does not let commands through, or a flood of them,
//! keeps no incident from going out.
//!
//! A connection that fails, for whatever reason, is followed by a new one after a pause that grows from half a second
//! to a minute; [`Uplink::state`] says what is wrong meanwhile.

mod broker;
mod command;
mod connection;
mod exchange;
mod fault;
mod import;
mod inbox;
mod poller;
mod retained;
mod schedule;
pub mod spec;
mod status;
mod subscription;
mod suspects;
mod topics;

use std::{sync::Arc, time::Duration};

use snowgate_core::{backoff::Backoff, ids::Id, time::Clock};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

pub use self::{
    broker::{Broker, BrokerError, MqttSecrets},
    command::{Command, Fate, Receipt},
    fault::Fault,
    import::{Progress, Stopped, Why, import},
    retained::RetainedStates,
    status::{Absence, GapReport, Presence, Status},
    topics::Topics,
};
use self::{
    connection::{Ended, Memory},
    schedule::LiveMark,
};
use crate::{
    events::uplink as events,
    shutdown::Shutdown,
    store::{Gap, Store},
};

/// A loss as it is announced: topic and payload.
pub fn gap_message(gateway: &Id, gap: &Gap) -> (String, Vec<u8>) {
    (Topics::new(gateway).gap(), status::gap(gateway, gap))
}

/// The first and the longest pause between connections.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// What the uplink works with.
pub struct UplinkConfig {
    /// This gateway.
    pub gateway: Id,
    /// Where to send.
    pub broker: Broker,
    /// What to send.
    pub store: Store,
    /// What to publish anew on every connection.
    pub retained: RetainedStates,
    /// Where commands go; bounded. Those of quality of service 0 get half of it. Overflow policy: those are dropped, the
    /// others stay with the broker for a later connection.
    pub commands: crossbeam_channel::Sender<Command>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// How things stand with the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Trying for the first time.
    Connecting,
    /// Connected.
    Online,
    /// Not connected: why, and the pause until the next try.
    Waiting {
        /// Why.
        fault: Fault,
        /// The pause.
        pause: Duration,
    },
    /// Stopped.
    Stopped,
}

/// Handle to the running uplink.
pub struct Uplink {
    state: watch::Receiver<LinkState>,
    task: JoinHandle<()>,
}

/// What the uplink's parts share.
struct Shared {
    gateway: Id,
    topics: Topics,
    broker: Broker,
    store: Store,
    retained: RetainedStates,
    commands: crossbeam_channel::Sender<Command>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    state: watch::Sender<LinkState>,
}

impl Shared {
    fn online(&self) {
        self.state.send_replace(LinkState::Online);
        events::Connected { broker: &self.broker.address }.emit();
    }
}

impl Uplink {
    /// Starts it on a runtime. A broker that is not there is no error: it keeps trying.
    pub fn spawn(config: UplinkConfig, runtime: &Handle) -> Self {
        let UplinkConfig { gateway, broker, store, retained, commands, clock, shutdown } = config;
        let (state, follow) = watch::channel(LinkState::Connecting);
        let topics = Topics::new(&gateway);
        let shared = Shared { gateway, topics, broker, store, retained, commands, clock, shutdown, state };
        Self { state: follow, task: runtime.spawn(run(shared)) }
    }

    /// Follows how things stand with the broker.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Whether it has stopped.
    pub fn has_stopped(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until it has stopped, within a few seconds of the shutdown. False if it ended by a panic.
    pub async fn stopped(self) -> bool {
        self.task.await.is_ok()
    }
}

async fn run(shared: Shared) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut memory = Memory::new(LiveMark::new(shared.store.status().last_row));
    loop {
        match connection::run(&shared, &mut memory).await {
            Ended::Stopped => break,
            Ended::Renewed => backoff.reset(),
            Ended::Broken { fault, progress } => {
                if progress {
                    backoff.reset();
                }
                let pause = backoff.next_pause();
                events::Disconnected { broker: &shared.broker.address, kind: fault.kind(), fault: &fault, pause }
                    .emit();
                shared.state.send_replace(LinkState::Waiting { fault, pause });
                if wait(&shared, &mut memory, pause).await {
                    break;
                }
            }
        }
    }
    events::Stopped {}.emit();
    shared.state.send_replace(LinkState::Stopped);
}

/// Waits out a pause, keeping count of what is committed meanwhile. True if it is time to stop.
async fn wait(shared: &Shared, memory: &mut Memory, pause: Duration) -> bool {
    let mut outbox = shared.store.watch();
    let pause = tokio::time::sleep(pause);
    tokio::pin!(pause);
    loop {
        shared.store.observe();
        memory.mark.observe(shared.clock.mono(), outbox.borrow_and_update().last_row);
        tokio::select! {
            () = &mut pause => return false,
            () = shared.shutdown.triggered() => return true,
            // Once the store has stopped there is nothing more to come.
            Ok(()) = outbox.changed() => {}
        }
    }
}
