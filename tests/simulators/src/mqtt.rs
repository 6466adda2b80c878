//! What publishes sensor messages over MQTT: a LoRaWAN network server (ChirpStack v4, The Things Stack) or a device itself.

use std::{io, net::SocketAddr, time::Duration};

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing, Packet, QoS};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Longest time until a message is with the broker.
const PUBLISH_LIMIT: Duration = Duration::from_secs(20);
/// Messages on their way at once.
const AT_ONCE: usize = 64;
/// Pause after a lost connection.
const PAUSE: Duration = Duration::from_millis(100);
/// The largest message, in bytes.
const LARGEST: usize = 4 << 20;

/// A message and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Uplink {
    /// The topic.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
}

impl Uplink {
    /// A message as it stands.
    pub fn plain(topic: impl Into<String>, payload: impl AsRef<[u8]>) -> Self {
        Self { topic: topic.into(), payload: payload.as_ref().to_vec() }
    }

    /// An uplink as ChirpStack v4 publishes it: `object` is the decoded payload. `time` in RFC 3339.
    pub fn chirpstack(application: &str, dev_eui: &str, time: &str, object: Value) -> Self {
        let payload = json!({
            "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
            "time": time,
            "deviceInfo": {
                "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
                "tenantName": "township",
                "applicationId": application,
                "applicationName": "sensors",
                "deviceProfileName": "gauge",
                "deviceName": format!("device {dev_eui}"),
                "devEui": dev_eui,
                "tags": {},
            },
            "devAddr": "00189440",
            "dr": 5,
            "fCnt": 12,
            "fPort": 2,
            "data": "AQID",
            "object": object,
            "rxInfo": [{ "gatewayId": "0016c001f153a14c", "uplinkId": 4217106255u32, "rssi": -57, "snr": 10.5 }],
            "txInfo": { "frequency": 486300000 },
        });
        Self::plain(format!("application/{application}/device/{dev_eui}/event/up"), payload.to_string())
    }

    /// An uplink as The Things Stack publishes it: what is zero, false or empty in the decoded payload is left out.
    pub fn the_things_stack(application: &str, device: &str, dev_eui: &str, time: &str, decoded: Value) -> Self {
        let mut decoded = decoded;
        if let Value::Object(fields) = &mut decoded {
            fields.retain(|_, value| match value {
                Value::Null => false,
                Value::Bool(value) => *value,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(list) => !list.is_empty(),
                Value::Object(object) => !object.is_empty(),
            });
        }
        let mut uplink = json!({
            "session_key_id": "AYBf5mVkPHDeLtgCZmZP5A==",
            "f_port": 2,
            "frm_payload": "AQID",
            "rx_metadata": [{ "gateway_ids": { "gateway_id": "roof" }, "rssi": -57, "snr": 10.5 }],
            "received_at": time,
            "consumed_airtime": "0.056576s",
        });
        if decoded.as_object().is_none_or(|fields| !fields.is_empty()) {
            uplink["decoded_payload"] = decoded;
        }
        let payload = json!({
            "end_device_ids": {
                "device_id": device,
                "application_ids": { "application_id": application },
                "dev_eui": dev_eui,
            },
            "received_at": time,
            "uplink_message": uplink,
        });
        Self::plain(format!("v3/{application}@ttn/devices/{device}/up"), payload.to_string())
    }
}

/// How a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At most once (QoS 0), as network servers do unless told otherwise.
    AtMostOnce,
    /// At least once (QoS 1).
    AtLeastOnce,
    /// At least once, and kept by the broker for whoever subscribes later.
    Retained,
}

/// A client that publishes.
pub struct Publisher {
    options: MqttOptions,
    connection: Option<(AsyncClient, EventLoop)>,
}

impl Publisher {
    /// A client of the broker at `address`; it connects when it has something to publish.
    pub fn new(client_id: &str, address: SocketAddr) -> Self {
        let mut options = MqttOptions::new(client_id, address.ip().to_string(), address.port());
        options.set_keep_alive(Duration::from_secs(60)).set_max_packet_size(LARGEST, LARGEST);
        Self { options, connection: None }
    }

    /// The same with user name and password.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.options.set_credentials(user, password);
        self
    }

    /// Publishes a message, and waits until the broker has it (at most once: until it is sent). A connection that was lost
    /// is made anew.
    ///
    /// # Errors
    /// It does not succeed in time.
    pub async fn publish(&mut self, uplink: &Uplink, delivery: Delivery) -> io::Result<()> {
        self.publish_all(std::slice::from_ref(uplink), delivery).await
    }

    /// Publishes many, several at a time. Those that were on their way when a connection was lost are published again.
    ///
    /// # Errors
    /// The broker refuses the connection, or some do not arrive in time.
    pub async fn publish_all(&mut self, uplinks: &[Uplink], delivery: Delivery) -> io::Result<()> {
        for several in uplinks.chunks(AT_ONCE) {
            let published = async {
                while let Err(error) = self.try_publish(several, delivery).await {
                    self.connection = None;
                    if matches!(error, ConnectionError::ConnectionRefused(_)) {
                        return Err(io::Error::other(error));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(())
            };
            timeout(PUBLISH_LIMIT, published).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        Ok(())
    }

    async fn try_publish(&mut self, uplinks: &[Uplink], delivery: Delivery) -> Result<(), ConnectionError> {
        let Self { options, connection } = self;
        let (client, event_loop) = connection.get_or_insert_with(|| {
            let (client, mut event_loop) = AsyncClient::new(options.clone(), AT_ONCE);
            let mut network = NetworkOptions::new();
            network.set_tcp_nodelay(true);
            event_loop.set_network_options(network);
            (client, event_loop)
        });
        let (quality, retain) = match delivery {
            Delivery::AtMostOnce => (QoS::AtMostOnce, false),
            Delivery::AtLeastOnce => (QoS::AtLeastOnce, false),
            Delivery::Retained => (QoS::AtLeastOnce, true),
        };
        for uplink in uplinks {
            let handed = client.try_publish(&uplink.topic, quality, retain, uplink.payload.as_slice());
            handed.map_err(|_| ConnectionError::RequestsDone)?;
        }
        let mut open = uplinks.len();
        while open > 0 {
            match event_loop.poll().await? {
                Event::Incoming(Packet::PubAck(_)) => open -= 1,
                Event::Outgoing(Outgoing::Publish(_)) if quality == QoS::AtMostOnce => open -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}
