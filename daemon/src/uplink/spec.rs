//! What an MQTT connection can be told.

use snowgate_core::{
    spec,
    spec::{ByteSize, Located, Maybe, Span, TimeSpan},
};

spec! {
    /// The broker that incidents go to.
    pub struct MqttSpec {
        /// How to reach it.
        flatten connection: ConnectionSpec,
        /// Publishes on their way at once without an acknowledgement.
        max_inflight: Located<u16> = MAX_INFLIGHT,
        /// Messages a second with which a backlog drains; live incidents are not held back.
        drain_rate: Located<u32> = DRAIN_RATE,
    }
}

const MAX_INFLIGHT: Located<u16> = Located { value: 32, span: Span { start: 0, end: 0 } };
const DRAIN_RATE: Located<u32> = Located { value: 50, span: Span { start: 0, end: 0 } };

impl From<ConnectionSpec> for MqttSpec {
    /// A broker of which nothing is told but how to reach it.
    fn from(connection: ConnectionSpec) -> Self {
        Self { connection, max_inflight: MAX_INFLIGHT, drain_rate: DRAIN_RATE }
    }
}

spec! {
    /// How to reach an MQTT broker.
    pub struct ConnectionSpec {
        /// Host name or address.
        host: Located<String>,
        /// Port; 1883, or 8883 with TLS, if left out.
        port: Maybe<u16> = Maybe::NONE,
        /// Encrypted connection.
        tls: Maybe<TlsSpec> = Maybe::NONE,
        /// User name.
        username: Maybe<String> = Maybe::NONE,
        /// File that holds the password; relative to the configuration directory, or a systemd credential as "credential:NAME".
        password_file: Maybe<Located<String>> = Maybe::NONE,
        /// Client id; made from the gateway's id if left out.
        client_id: Maybe<String> = Maybe::NONE,
        /// Keep-alive interval.
        keep_alive: TimeSpan = TimeSpan::secs(30),
        /// Largest packet sent or taken.
        max_packet: ByteSize = ByteSize::mib(1),
    }
}

spec! {
    /// TLS to the broker.
    pub struct TlsSpec {
        /// PEM file with the certificate authority; the system's otherwise.
        ca_file: Maybe<Located<String>> = Maybe::NONE,
        /// PEM file with this gateway's certificate.
        certificate_file: Maybe<Located<String>> = Maybe::NONE,
        /// PEM file (PKCS#8) with its private key, or a systemd credential as "credential:NAME".
        key_file: Maybe<Located<String>> = Maybe::NONE,
    }
}
