//! What the servers for stations over TCP share: a port, who is connected to it, and the life of one connection.
//!
//! A protocol says what a frame means ([`Protocol::hear`]); everything else happens here, and promises:
//! - **The port comes back.** While it cannot be listened on its sensors are told so, and it is tried again with growing
//!   pauses; once it can, that is told too.
//! - **Nobody starves others.** Connections are limited; a new one takes the place of the one that has been silent for
//!   longest without ever saying whose it is. A station may have a few connections: the newest.
//! - **Nothing is acknowledged before the intake took it**, and a connection waits while the intake is full.
//! - **Every wait ends.** A connection that says nothing usable for too long is closed, and so is one that says only what
//!   cannot be used, or does not take its answers.

mod connection;
#[cfg(test)]
pub(crate) mod mutation;
mod register;
mod roster;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use snowgate_core::{
    ids::Id,
    sensor::{codec::Framing, reading::Sample},
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::register::Register;
pub(crate) use self::roster::{Listed, Roster};
use crate::{intake::Intake, listening::ListeningPort, refusals::Refusals};

/// The most values one message gives a sensor: an hour of every five minutes for twenty quantities.
const MOST_SAMPLES: usize = 256;
/// Connections have so long to end by themselves when everything stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Where stations of one protocol connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// The most connections at once.
    pub max_connections: u32,
    /// A connection on which nothing usable is heard for so long is closed.
    pub idle_after: Duration,
}

/// What the frames of a protocol mean to the sensors that are configured.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// Its name, as in the configuration.
    const NAME: &'static str;
    /// How its frames are cut out of a stream.
    type Framing: Framing + Send + Sync;
    /// What is remembered from one frame of a connection to the next. Bounded.
    type Conversation: Default + Send + Sync;

    /// The sensors, by their number.
    fn sensors(&self) -> &[Id];

    /// Whether a sensor's station is expected to stay connected.
    fn stays_connected(&self, _sensor: usize) -> bool {
        true
    }

    /// What a frame says that arrived at `now`, and what is to be answered.
    fn hear(
        &self,
        frame: <Self::Framing as Framing>::Frame<'_>,
        conversation: &mut Self::Conversation,
        now: Timestamp,
    ) -> Outcome;
}

/// What became of a frame.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Sensors that have said something, by their numbers, and what they measured: perhaps nothing.
    pub heard: Vec<(usize, Vec<(Id, Sample)>)>,
    /// What cannot be used of it.
    pub refused: Vec<Refused>,
    /// What is sent back once the intake has taken what was heard.
    pub answer: Option<Vec<u8>>,
}

/// Something that cannot be used.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The sensor's number, if it is known whose it was.
    pub sensor: Option<usize>,
    /// One word, as in [`crate::intake::Rejected::reason`].
    pub reason: &'static str,
    /// In words for people, without the peer's address.
    pub why: String,
}

impl Outcome {
    /// Nothing of it can be used.
    pub fn refused(sensor: Option<usize>, reason: &'static str, why: impl Into<String>) -> Self {
        Self { refused: vec![Refused { sensor, reason, why: why.into() }], ..Self::default() }
    }

    /// A value was heard. More than [`MOST_SAMPLES`] a message are refused.
    pub fn sample(&mut self, sensor: usize, quantity: &Id, sample: Sample) {
        let samples = match self.heard.iter().position(|(heard, _)| *heard == sensor) {
            Some(known) => self.heard.get_mut(known),
            None => {
                self.heard.push((sensor, Vec::new()));
                self.heard.last_mut()
            }
        };
        match samples {
            Some((_, samples)) if samples.len() < MOST_SAMPLES => samples.push((quantity.clone(), sample)),
            _ if self.refused.iter().any(|refused| refused.reason == "too_many") => {}
            _ => {
                let why = format!("the values of its message after the first {MOST_SAMPLES}");
                self.refused.push(Refused { sensor: Some(sensor), reason: "too_many", why });
            }
        }
    }
}

/// What all connections to one port share.
struct Server<P> {
    protocol: P,
    listen: Listen,
    intake: Intake,
    refusals: Refusals,
    register: Arc<Register>,
    shutdown: CancellationToken,
}

/// Listens until it is time to stop.
pub(crate) async fn serve<P: Protocol>(listen: Listen, protocol: P, intake: Intake, shutdown: CancellationToken) {
    let server = Arc::new(Server {
        protocol,
        listen,
        refusals: Refusals::new(P::NAME, intake.clone()),
        intake,
        register: Arc::new(Register::new(listen.max_connections)),
        shutdown: shutdown.clone(),
    });
    let mut connections = JoinSet::new();
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = server.accept(&mut connections) => {}
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(STOP_WITHIN, ended).await;
    connections.shutdown().await;
}

impl<P: Protocol> Server<P> {
    /// Takes connections, for ever.
    async fn accept(self: &Arc<Self>, connections: &mut JoinSet<()>) {
        let port =
            ListeningPort { address: self.listen.address, sensors: self.protocol.sensors(), intake: &self.intake };
        let mut backoff = ListeningPort::backoff();
        let mut listener = port.bind().await;
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        backoff.reset();
                        self.admit(stream, peer, connections).await;
                    }
                    // Somebody has hung up before it was answered.
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                    // Out of descriptors or memory: perhaps a new listener helps, certainly a pause does.
                    Err(error) => {
                        drop(listener);
                        port.tell_lost(&error).await;
                        sleep(backoff.next_pause()).await;
                        listener = port.bind().await;
                        port.tell_back().await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(protocol = P::NAME, %error, "a connection has ended in a bug");
                    }
                }
            }
        }
    }

    /// Gives a connection its place, or closes it.
    async fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        let Some(seat) = self.register.admit() else {
            let most = self.listen.max_connections;
            let message = || format!("{peer}: refused, for {most} stations are connected and no more may be");
            self.refusals.tell(None, "too_many", message).await;
            return;
        };
        connections.spawn(connection::talk(Arc::clone(self), stream, peer, seat));
    }
}
