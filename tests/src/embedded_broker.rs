//! An MQTT broker inside this process, on loopback: for the demo, and for tests that do not need the broker to die.
//! Tests of faults use mosquitto, which can be killed.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// The largest payload taken; a still has some 100 KB.
const MAX_PAYLOAD: usize = 4 << 20;
/// What the broker keeps for slow subscribers.
const SEGMENT: usize = 8 << 20;
const SEGMENTS: usize = 4;
/// A broker that does not answer by then has failed to start.
const START_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Somebody else has the port.
    #[error("MQTT broker: cannot listen on {address}: {source}; is another demo running?")]
    Listen {
        /// Where it should have listened.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// It gave up, or does not answer.
    #[error("MQTT broker on {address}: {reason}")]
    Start {
        /// Where it should have listened.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
}

/// A broker that lives as long as the process.
#[derive(Debug)]
pub struct EmbeddedBroker {
    address: SocketAddr,
}

impl EmbeddedBroker {
    /// Starts it on a loopback port, and returns when it can be connected to. Port 0 finds a free one.
    ///
    /// # Errors
    /// The port is taken, or the broker does not start.
    pub fn start(port: u16) -> Result<Self, BrokerError> {
        // rumqttd binds in a thread of its own and only logs that it could not: find out before.
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(wanted).and_then(|listener| listener.local_addr());
        let address = listener.map_err(|source| BrokerError::Listen { address: wanted, source })?;
        let failed = |reason: String| BrokerError::Start { address, reason };
        let server = thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || Broker::new(config(address)).start().map_err(|error| error.to_string()))
            .map_err(|error| failed(error.to_string()))?;
        let end = Instant::now() + START_WITHIN;
        while TcpStream::connect_timeout(&address, START_WITHIN).is_err() {
            if server.is_finished() {
                let error = server.join().ok().and_then(Result::err);
                return Err(failed(error.unwrap_or_else(|| "it stopped at once".to_owned())));
            }
            if Instant::now() > end {
                return Err(failed(format!("it does not answer within {START_WITHIN:?}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn config(address: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5000,
        max_payload_size: MAX_PAYLOAD,
        max_inflight_count: 200,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "broker".to_owned(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 32,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    Config { router, v4: Some(HashMap::from([("v4".to_owned(), server)])), ..Config::default() }
}
