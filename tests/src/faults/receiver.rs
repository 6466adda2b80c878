//! The receiver of fault tests: a real subscriber with a persistent session that enters everything into a [`Ledger`] and
//! keeps nothing else, so that a million events fit.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rumqttc::{Client, Connection, Event, MqttOptions, Packet, Publish, QoS, TlsConfiguration, Transport};

use super::ledger::Ledger;

/// Pause before connecting again.
const RECONNECT: Duration = Duration::from_millis(20);
/// The largest packet taken.
const MAX_PACKET: usize = 16 << 20;

/// Listens until it is dropped.
pub struct Receiver {
    inbox: Arc<Inbox>,
    client: Client,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the receiver knows.
#[derive(Default)]
pub struct State {
    /// What arrived.
    pub ledger: Ledger,
    /// Times a broker has confirmed the subscription.
    pub subscribed: u64,
    /// Answers to commands, by their `result` and `reason`.
    pub answers: BTreeMap<String, u64>,
    stopping: bool,
}

impl Receiver {
    /// Subscribes to a gateway's events at a broker, encrypted if there is an authority, and waits until that is confirmed.
    pub fn start(broker: SocketAddr, gateway: &str, authority: Option<Vec<u8>>) -> Self {
        let mut options = MqttOptions::new("fault-receiver", broker.ip().to_string(), broker.port());
        options.set_clean_session(false).set_max_packet_size(MAX_PACKET, MAX_PACKET);
        options.set_keep_alive(Duration::from_secs(5));
        if let Some(ca) = authority {
            let tls = TlsConfiguration::SimpleNative { ca, client_auth: None };
            options.set_transport(Transport::Tls(tls));
        }
        let (client, connection) = Client::new(options, 16);
        let inbox = Arc::new(Inbox::default());
        let (listening, subscriber, root) = (inbox.clone(), client.clone(), format!("snowgate/v1/{gateway}"));
        let thread = thread::Builder::new().name("receiver".to_owned());
        let thread = thread.spawn(move || listen(&listening, &subscriber, connection, &root));
        let receiver = Self { inbox, client, thread: Some(thread.expect("a thread can be had")) };
        let confirmed = receiver.wait_for(Duration::from_secs(20), |state| (state.subscribed > 0).then_some(()));
        assert!(confirmed.is_some(), "the broker does not confirm the subscription");
        receiver
    }

    /// Waits until what is known satisfies `look`, or the time is up; answers what `look` found.
    pub fn wait_for<T>(&self, within: Duration, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let end = Instant::now() + within;
        let mut state = self.inbox.lock();
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.inbox.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Looks at what is known now.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inbox.lock())
    }

    /// Events up to this number are to come in the order of their numbers.
    pub fn expect_in_order_up_to(&self, sequence: u64) {
        self.inbox.lock().ledger.expect_in_order_up_to(sequence);
    }

    /// Notes a breach that somebody else has found.
    pub fn breach(&self, what: String) {
        self.inbox.lock().ledger.breach(what);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.inbox.lock().stopping = true;
        self.inbox.changed.notify_all();
        // Wakes a connection that waits for messages; one that is not connected notices by itself.
        let _ = self.client.try_disconnect();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn take(&self, publish: &Publish, root: &str) {
        let at = Instant::now();
        let below = publish.topic.strip_prefix(root).unwrap_or_default();
        match below.split('/').nth(1) {
            Some("incident") => self.change(|state| state.ledger.take(&publish.payload, at)),
            Some("gap") => self.change(|state| state.ledger.take_gap(&publish.payload)),
            Some("cmd-ack") => self.change(|state| *state.answers.entry(answer(&publish.payload)).or_default() += 1),
            _ => {}
        }
    }
}

fn answer(payload: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    let word = |key: &str| json.get(key).and_then(|value| value.as_str()).unwrap_or("-").to_owned();
    match word("reason").as_str() {
        "-" => word("result"),
        reason => format!("{} ({reason})", word("result")),
    }
}

fn listen(inbox: &Inbox, client: &Client, mut connection: Connection, root: &str) {
    while let Ok(event) = connection.recv() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                // A broker that forgot our session forgot our subscription.
                let _ = client.try_subscribe(format!("{root}/#"), QoS::AtLeastOnce);
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => inbox.change(|state| state.subscribed += 1),
            Ok(Event::Incoming(Packet::Publish(publish))) => inbox.take(&publish, root),
            Ok(_) => {}
            Err(_) => thread::sleep(RECONNECT),
        }
        if inbox.lock().stopping {
            return;
        }
    }
}
