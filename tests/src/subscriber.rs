//! A plain subscriber that plays the grid system: a persistent session, everything it gets in the order it came.
//!
//! It is for tests that report stand-ins ([`contract::is_stand_in`]); all else must be as the published schemas say.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::{
    runtime::Runtime,
    sync::watch,
    time::{sleep, timeout},
};

use crate::contract;

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it from before the subscription.
    pub retained: bool,
}

impl Received {
    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// Subscribes until it is dropped, through every restart of the broker. Dropping it panics if anything came that is neither a
/// stand-in nor as the published schemas say.
pub struct Subscriber {
    received: Arc<Mutex<Vec<Received>>>,
    count: watch::Receiver<usize>,
    runtime: Option<Runtime>,
}

impl Subscriber {
    /// Subscribes to everything of every gateway, and waits until the broker has confirmed.
    pub fn start(broker: SocketAddr) -> Self {
        Self::start_with("grid-system", broker, None)
    }

    /// Subscribes under a client id, with a user name and password.
    pub fn start_with(client_id: &str, broker: SocketAddr, login: Option<(&str, &str)>) -> Self {
        let mut options = MqttOptions::new(client_id, broker.ip().to_string(), broker.port());
        options.set_clean_session(false).set_max_packet_size(16 << 20, 16 << 20);
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime needs nothing but a thread");
        let received = Arc::new(Mutex::new(Vec::new()));
        let (count, follow) = watch::channel(0);
        let (subscribed, mut confirmation) = watch::channel(false);
        runtime.spawn(subscribe(options, received.clone(), count, subscribed));
        runtime.block_on(async {
            let confirmed = timeout(Duration::from_secs(20), confirmation.wait_for(|confirmed| *confirmed)).await;
            assert!(confirmed.is_ok(), "the broker does not confirm the subscription");
        });
        Self { received, count: follow, runtime: Some(runtime) }
    }

    /// All that has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what has come satisfies a condition, and returns it; panics after a minute, saying what was awaited.
    pub fn wait_until(&self, awaited: &str, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut count = self.count.clone();
        let wait = async {
            loop {
                count.mark_unchanged();
                let received = self.received();
                if condition(&received) || count.changed().await.is_err() {
                    return received;
                }
            }
        };
        let runtime = self.runtime.as_ref().expect("it runs until it is dropped");
        match runtime.block_on(async { timeout(Duration::from_secs(60), wait).await }) {
            Ok(received) => received,
            Err(_) => {
                let received = self.received();
                let last: Vec<_> = received.iter().rev().take(5).map(|m| (&m.topic, m.text())).collect();
                panic!("waited in vain for {awaited}; {} messages came, the last {last:?}", received.len());
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let checked = self.received().into_iter().filter(|m| !contract::is_stand_in(&m.topic, &m.payload));
        let violations = checked.filter_map(|m| contract::check(&m.topic, &m.payload).err());
        contract::answer_for(&violations.map(|violation| violation.to_string()).collect::<Vec<_>>());
    }
}

async fn subscribe(
    options: MqttOptions,
    received: Arc<Mutex<Vec<Received>>>,
    count: watch::Sender<usize>,
    subscribed: watch::Sender<bool>,
) {
    loop {
        let (client, mut event_loop) = AsyncClient::new(options.clone(), 4);
        loop {
            match event_loop.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if client.try_subscribe("snowgate/v1/#", QoS::AtLeastOnce).is_err() {
                        break;
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    subscribed.send_replace(true);
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
                    received.push(Received {
                        topic: publish.topic,
                        payload: publish.payload.to_vec(),
                        retained: publish.retain,
                    });
                    count.send_replace(received.len());
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}
