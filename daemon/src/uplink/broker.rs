//! The broker as the settings describe it, checked: everything a connection needs.

use std::{fmt, net::Ipv6Addr, sync::Arc, time::Duration};

use native_tls::{Certificate, Identity, Protocol, TlsConnector};
use rumqttc::{LastWill, MqttOptions, NetworkOptions, QoS, TlsConfiguration, Transport};
use snowgate_core::ids::Id;

use super::spec::{MqttSpec, TlsSpec};

/// What the settings name files for, read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MqttSecrets {
    /// The password.
    pub password: Option<String>,
    /// PEM certificates of the authority.
    pub ca: Option<Vec<u8>>,
    /// PEM certificate of this gateway, with those that link it to its authority.
    pub certificate: Option<Vec<u8>>,
    /// PEM (PKCS#8) private key.
    pub key: Option<Vec<u8>>,
}

/// Why the settings describe no broker that could be connected to.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The certificate authority's file is of no use.
    #[error("tls.ca_file holds no PEM certificate")]
    Authority(#[source] Option<native_tls::Error>),
    /// Certificate and key do not make an identity.
    #[error("tls.certificate_file and tls.key_file: {0}; the key must be PEM PKCS#8 (\"BEGIN PRIVATE KEY\")")]
    Identity(#[source] native_tls::Error),
    /// One of the two is missing.
    #[error("tls.certificate_file and tls.key_file only make sense together")]
    HalfIdentity,
    /// The TLS library refuses all this.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] native_tls::Error),
    /// MQTT 3.1.1 has no password without a user name.
    #[error("password_file needs a username")]
    PasswordWithoutUser,
    /// A number out of range.
    #[error("{key} must be {range}")]
    Range {
        /// The key.
        key: &'static str,
        /// What it may be.
        range: &'static str,
    },
}

/// A broker that can be connected to.
#[derive(Clone)]
pub struct Broker {
    /// What it was made of: gateway, settings and secrets.
    made_of: Arc<(Id, MqttSpec, MqttSecrets)>,
    options: MqttOptions,
    network: NetworkOptions,
    /// Publishes on their way at once.
    pub(super) max_inflight: u16,
    /// The largest packet.
    pub(super) max_packet: u64,
    /// Messages of the backlog a second.
    pub(super) drain_rate: u32,
    /// Silence after which a connection is given up.
    pub(super) patience: Duration,
    /// `host:port`, for people.
    pub(super) address: String,
}

impl PartialEq for Broker {
    fn eq(&self, other: &Self) -> bool {
        self.made_of == other.made_of
    }
}

impl fmt::Debug for Broker {
    /// The address only: the options hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Packet identifiers in use, one after the other. Far more than may be on their way at once (`max_inflight` is ours to
/// keep), so that none is used again soon: an acknowledgement that arrives twice must not end another message's life.
const PACKET_IDS: u16 = 8192;

impl Broker {
    /// Puts settings and the contents of the files they name together. For a broker of which only a [`ConnectionSpec`] is
    /// told there is `&connection.into()`.
    ///
    /// [`ConnectionSpec`]: super::spec::ConnectionSpec
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn new(gateway: &Id, spec: &MqttSpec, secrets: &MqttSecrets) -> Result<Self, BrokerError> {
        let whole = spec;
        let MqttSpec { connection: spec, max_inflight, drain_rate } = whole;
        in_range("keep_alive", "1s to 10m", (1..=600).contains(&spec.keep_alive.as_secs()))?;
        in_range("max_inflight", "1 to 1000", (1..=1000).contains(&max_inflight.value))?;
        in_range("drain_rate", "at least 1", **drain_rate >= 1)?;
        in_range("max_packet", "4KiB to 64MiB", (4 << 10..=64 << 20).contains(&spec.max_packet.0))?;
        in_range("host", "a host name or address", !spec.host.is_empty())?;
        // A broker keeps no session for somebody without a name.
        in_range("client_id", "a name", (*spec.client_id).as_ref().is_none_or(|id| !id.is_empty()))?;

        let port = spec.port.unwrap_or(if spec.tls.is_some() { 8883 } else { 1883 });
        let host = match spec.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => spec.host.value.clone(),
        };
        let client_id = (*spec.client_id).clone().unwrap_or_else(|| format!("snowgate-{gateway}"));
        let address = format!("{host}:{port}");
        let mut options = MqttOptions::new(client_id, host, port);
        options.set_keep_alive(Duration::from_secs(spec.keep_alive.as_secs()));
        options.set_inflight(PACKET_IDS);
        let max_packet = usize::try_from(spec.max_packet.0).unwrap_or(usize::MAX);
        options.set_max_packet_size(max_packet, max_packet);
        match (&*spec.username, &secrets.password) {
            (Some(user), password) => {
                options.set_credentials(user.clone(), password.clone().unwrap_or_default());
            }
            (None, Some(_)) => return Err(BrokerError::PasswordWithoutUser),
            (None, None) => {}
        }
        if let Some(tls) = &*spec.tls {
            let connector = connector(tls, secrets)?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::NativeConnector(connector)));
        }
        let patience = Duration::from_secs(spec.keep_alive.as_secs() * 2);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        // Also the time one packet may take onto the wire: five seconds, the default, is too short for a still on a
        // bad line.
        network.set_connection_timeout(patience.as_secs().max(15));
        Ok(Self {
            made_of: Arc::new((gateway.clone(), whole.clone(), secrets.clone())),
            options,
            network,
            max_inflight: **max_inflight,
            max_packet: spec.max_packet.0,
            drain_rate: **drain_rate,
            patience,
            address,
        })
    }

    /// The options of another client of this broker, which listens only and has no last will. Its client id ends in
    /// `-{suffix}`: a broker ends the connection of whoever has the same.
    pub fn subscriber(&self, suffix: &str) -> (MqttOptions, NetworkOptions) {
        let mut options = self.options.clone();
        options.set_client_id(format!("{}-{suffix}", self.options.client_id()));
        (options, self.network.clone())
    }

    /// `host:port`, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.options.transport(), Transport::Tls(_))
    }

    /// The options of one connection, with what the broker says should it break.
    pub(super) fn options(&self, will_topic: String, will: Vec<u8>) -> (MqttOptions, NetworkOptions) {
        let mut options = self.options.clone();
        options.set_last_will(LastWill::new(will_topic, will, QoS::AtLeastOnce, true));
        // rumqttc keeps nothing for us over a broken connection, the outbox does. The broker keeps the commands that come
        // meanwhile, and those that were not carried out before they are acknowledged.
        options.set_clean_session(false);
        options.set_manual_acks(true);
        (options, self.network.clone())
    }
}

fn in_range(key: &'static str, range: &'static str, holds: bool) -> Result<(), BrokerError> {
    if holds { Ok(()) } else { Err(BrokerError::Range { key, range }) }
}

fn connector(tls: &TlsSpec, secrets: &MqttSecrets) -> Result<TlsConnector, BrokerError> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    if let Some(pem) = &secrets.ca {
        // Whoever names an authority means that one and no other.
        builder.disable_built_in_roots(true);
        let authorities = Certificate::stack_from_pem(pem).map_err(|error| BrokerError::Authority(Some(error)))?;
        if authorities.is_empty() {
            return Err(BrokerError::Authority(None));
        }
        for authority in authorities {
            builder.add_root_certificate(authority);
        }
    }
    match (&secrets.certificate, &secrets.key) {
        (Some(certificate), Some(key)) => {
            builder.identity(Identity::from_pkcs8(certificate, key).map_err(BrokerError::Identity)?);
        }
        (None, None) if tls.certificate_file.is_none() && tls.key_file.is_none() => {}
        _ => return Err(BrokerError::HalfIdentity),
    }
    builder.build().map_err(BrokerError::Tls)
}
