//! Why there is no connection to a broker, in words for an operator.

use rumqttc::{ConnectReturnCode, ConnectionError, StateError, mqttbytes::Error as PacketError};

use crate::intake::Fault;

/// What ended a connection, or kept one from being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrokerFault {
    /// What follows from it.
    pub(super) kind: FaultKind,
    /// In the system's or the broker's words.
    pub(super) why: String,
}

/// What follows from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// There is no connection: it is tried again with growing pauses.
    Network,
    /// The broker says no, and will go on saying it: it is asked seldom.
    Refused,
    /// A packet cannot be received; in a persistent session it comes again.
    Packet,
}

impl BrokerFault {
    pub(super) fn network(why: impl Into<String>) -> Self {
        Self { kind: FaultKind::Network, why: why.into() }
    }

    /// What a sensor of this broker suffers from.
    pub(super) fn of_sensor(&self, address: &str) -> Fault {
        let (address, why) = (address.to_owned(), self.why.clone());
        match self.kind {
            FaultKind::Refused => Fault::Refused { address, why },
            FaultKind::Network | FaultKind::Packet => Fault::Unreachable { address, why },
        }
    }
}

impl From<ConnectionError> for BrokerFault {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectionRefused(code) => refused(code),
            ConnectionError::NetworkTimeout => Self::network("no answer in time"),
            ConnectionError::FlushTimeout => Self::network("it takes no more data"),
            ConnectionError::MqttState(StateError::ConnectionAborted) => Self::network("it closed the connection"),
            ConnectionError::MqttState(StateError::AwaitPingResp) => Self::network("it stopped answering"),
            ConnectionError::Io(error)
            | ConnectionError::MqttState(StateError::Io(error) | StateError::Deserialization(PacketError::Io(error))) => {
                Self::network(error.to_string())
            }
            ConnectionError::MqttState(StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(bytes))) => {
                let limit = super::LARGEST_PACKET;
                let why = format!("it sends a packet of {bytes} bytes; the limit is {limit}");
                Self { kind: FaultKind::Packet, why }
            }
            ConnectionError::MqttState(error) => {
                Self { kind: FaultKind::Packet, why: format!("it does not keep to MQTT 3.1.1: {error}") }
            }
            error => Self::network(error.to_string()),
        }
    }
}

fn refused(code: ConnectReturnCode) -> BrokerFault {
    let (kind, why) = match code {
        ConnectReturnCode::BadUserNamePassword => (FaultKind::Refused, "wrong user name or password"),
        ConnectReturnCode::NotAuthorized => {
            (FaultKind::Refused, "this gateway is not authorised; check user name, password and certificate")
        }
        ConnectReturnCode::BadClientId => (FaultKind::Refused, "it does not take our client id"),
        ConnectReturnCode::RefusedProtocolVersion => (FaultKind::Refused, "it does not speak MQTT 3.1.1"),
        ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => (FaultKind::Network, "not available now"),
    };
    BrokerFault { kind, why: why.to_owned() }
}
