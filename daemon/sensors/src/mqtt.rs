//! Sensors whose messages come over MQTT: one task a broker, which subscribes to the topics of all its sensors.
//!
//! Promised:
//! - **What the broker has taken from a sensor at QoS 1 reaches the intake**, across lost connections and restarts of either
//!   side: the session is persistent (a stable client id, `clean_session` off), so the broker keeps what comes while we are
//!   away, and a message is acknowledged only after the intake took it. What cannot be acknowledged comes again: at least
//!   once, never less. A press of an SOS button sent at QoS 0 has no such promise; nor has one that a broker drops because
//!   its own queue is full (mosquitto: `max_queued_messages`). What arrives late is judged by its own time, where it has one.
//! - **What a broker retained is old**, however lately it is delivered: an alarm of last week must not be raised at every
//!   start. A retained message counts only if it carries its own time, by which late and repeated ones are known; otherwise it
//!   is refused (`retained`). Messages that were published as retained while we were subscribed count as any other.
//! - **Bounded**: packets have a size, and nothing more is read from the socket until the messages read are with the intake.
//!   Should it stay full beyond the keep-alive time, the broker ends the connection and sends again what it had no
//!   acknowledgement for.
//! - **A message that cannot be received at all** (beyond the packet limit) would come again after every connection. The
//!   second time in a row that a connection ends so, the session is discarded at the broker, with what is still queued there.
//!
//! A broker keeps the subscriptions of a session, too, also those of sensors that have since been removed: a message that no
//! sensor listens to is refused (`unknown_sensor`), and its topic given up.
//!
//! Nothing that rumqttc keeps for a connection outlives it: it is dropped with its client, and a new one subscribes anew.

mod fault;
mod route;
mod session;
mod topic;

use std::time::Duration;

use rumqttc::{MqttOptions, NetworkOptions};
use snowgate_core::{backoff::Backoff, sensor::json};
use tokio_util::sync::CancellationToken;

pub use self::topic::{TopicError, TopicFilter};
use self::{
    fault::{BrokerFault, FaultKind},
    route::Routes,
    session::{Ended, Links},
};
use crate::{
    intake::{Device, Intake},
    spec::MqttSource,
};

/// The largest packet that is received: sixteen times the longest message, so that one that is too long is refused by name. A
/// larger one ends the connection.
const LARGEST_PACKET: usize = 16 * json::LONGEST;
/// The shortest pause between connections.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between connections.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that has stood so long was no failure.
const LASTING: Duration = Duration::from_secs(30);

/// A broker, and how it is reached.
pub struct Connection {
    /// Its id, as in the configuration.
    pub name: String,
    /// Host and port, for people.
    pub address: String,
    /// Host, port, client id, credentials, encryption, keep-alive. The client id must be this gateway's own, another than any
    /// other of its connections has, and always the same. Session, acknowledgements and packet sizes are set here.
    pub options: MqttOptions,
    /// Time-outs.
    pub network: NetworkOptions,
}

/// Hears all sensors of one broker until it is time to stop.
pub async fn subscribe(
    mut broker: Connection,
    devices: Vec<Device<MqttSource>>,
    intake: Intake,
    shutdown: CancellationToken,
) {
    let options = &mut broker.options;
    // A broker gives a client without a name a session that nobody can come back to.
    let persistent = !options.client_id().is_empty();
    options.set_manual_acks(true).set_clean_session(!persistent).set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    let routes = Routes::new(&broker.name, &devices, intake.clone());
    let mut links = Links::new(&broker.address, devices, intake.clone());
    let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
    let mut unreceivable = 0u32;
    loop {
        let began = intake.now().mono;
        let ended = if unreceivable >= 2 && persistent {
            unreceivable = 0;
            session::discard(&broker, &shutdown).await
        } else {
            session::run(&broker, &routes, &mut links, &shutdown).await
        };
        let fault = match ended {
            Ended::Stopped => return,
            Ended::Discarded => continue,
            Ended::Broken(fault) => fault,
        };
        unreceivable = if fault.kind == FaultKind::Packet { unreceivable + 1 } else { 0 };
        if intake.now().mono.since(began) > LASTING {
            backoff.reset();
        }
        let pause = match fault.kind {
            FaultKind::Refused => backoff.longest_pause(),
            _ => backoff.next_pause(),
        };
        tokio::select! {
            () = links.down(&fault) => {}
            () = shutdown.cancelled() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
