//! Why there is no connection, in words for an operator.

use std::io;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError, mqttbytes::Error as Packet};

/// What ended a connection or kept one from being made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection: name not found, refused, no route, no answer in time.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// The broker knows no such user, or the password is wrong (CONNACK code 4).
    #[error("the broker refused the user name or password")]
    BadCredentials,
    /// The broker knows who we are and does not let us in (CONNACK code 5; many brokers say so of a wrong password too).
    #[error("the broker says this gateway is not authorised; check user name, password and certificate")]
    NotAuthorised,
    /// The broker refused for another reason.
    #[error("the broker refused the connection: {0}")]
    Refused(&'static str),
    /// The encrypted connection could not be set up or was broken off: an unknown authority, a wrong host name, a
    /// certificate refused.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The broker stopped answering.
    #[error("the broker stopped answering: {0}")]
    Silent(&'static str),
    /// The broker does not keep to MQTT 3.1.1.
    #[error("the broker broke the protocol: {0}")]
    Protocol(String),
    /// The broker delivered what cannot be taken in: too large a packet, or no proper one. It would do so again.
    #[error("the broker delivered what cannot be taken: {0}")]
    Unreadable(String),
}

impl Fault {
    /// A word for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::BadCredentials => "bad_credentials",
            Self::NotAuthorised => "not_authorised",
            Self::Refused(_) => "refused",
            Self::Tls(_) => "tls",
            Self::Lost(_) => "lost",
            Self::Silent(_) => "silent",
            Self::Protocol(_) => "protocol",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Names an error met while connecting.
    pub(super) fn connecting(error: ConnectionError, encrypted: bool) -> Self {
        match error {
            ConnectionError::NotConnAck(packet) => Self::Protocol(format!("it answered CONNECT with {packet:?}")),
            ConnectionError::Io(error) => Self::Unreachable(error.to_string()),
            ConnectionError::NetworkTimeout => Self::Unreachable("no answer in time".to_owned()),
            ConnectionError::MqttState(StateError::ConnectionAborted) => Self::unanswered("end of stream", encrypted),
            ConnectionError::MqttState(StateError::Io(error) | StateError::Deserialization(Packet::Io(error))) => {
                match error.kind() {
                    // What the codec says of half a packet before the end of the stream.
                    io::ErrorKind::Other if !is_tls(&error) => {
                        Self::Protocol("it answered CONNECT with something that is not MQTT".to_owned())
                    }
                    _ => Self::unanswered(&error.to_string(), encrypted),
                }
            }
            ConnectionError::MqttState(StateError::Deserialization(error)) => Self::Protocol(error.to_string()),
            error => Self::connected(error),
        }
    }

    /// The connection was made, and closed before CONNACK. With TLS 1.3 a server looks at the client's certificate only
    /// after the handshake has succeeded on this side, and its refusal may be overtaken by the end of the connection.
    fn unanswered(how: &str, encrypted: bool) -> Self {
        if encrypted {
            Self::Tls(format!("closed before the broker answered ({how}); does it want a certificate, or another one?"))
        } else {
            Self::Unreachable(format!("closed before the broker answered ({how}); is this its MQTT port?"))
        }
    }

    /// Names an error met on a connection that had been made.
    pub(super) fn connected(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Tls(error) => Self::Tls(error.to_string()),
            ConnectionError::Io(error)
            | ConnectionError::MqttState(StateError::Io(error) | StateError::Deserialization(Packet::Io(error))) => {
                Self::lost(error)
            }
            ConnectionError::FlushTimeout => Self::Silent("it takes no more data"),
            ConnectionError::NetworkTimeout => Self::Silent("no answer in time"),
            ConnectionError::MqttState(StateError::AwaitPingResp) => Self::Silent("no PINGRESP"),
            ConnectionError::MqttState(StateError::CollisionTimeout) => {
                Self::Silent("it left one message unacknowledged while it acknowledged later ones")
            }
            ConnectionError::MqttState(StateError::ConnectionAborted) => Self::Lost("the broker closed it".to_owned()),
            ConnectionError::ConnectionRefused(code) => Self::refused(code),
            ConnectionError::MqttState(StateError::Deserialization(Packet::PayloadSizeLimitExceeded(bytes))) => {
                Self::Unreadable(format!("a packet of {bytes} bytes; max_packet allows less"))
            }
            ConnectionError::MqttState(StateError::Deserialization(error)) => Self::Unreadable(error.to_string()),
            ConnectionError::MqttState(error) => Self::Protocol(error.to_string()),
            error => Self::Protocol(error.to_string()),
        }
    }

    fn refused(code: ConnectReturnCode) -> Self {
        match code {
            ConnectReturnCode::BadUserNamePassword => Self::BadCredentials,
            ConnectReturnCode::NotAuthorized => Self::NotAuthorised,
            ConnectReturnCode::RefusedProtocolVersion => Self::Refused("it does not speak MQTT 3.1.1"),
            ConnectReturnCode::BadClientId => Self::Refused("it does not take our client id"),
            ConnectReturnCode::ServiceUnavailable => Self::Refused("it is not available now"),
            ConnectReturnCode::Success => Self::Refused("without a reason"),
        }
    }

    fn lost(error: io::Error) -> Self {
        if is_tls(&error) { Self::Tls(error.to_string()) } else { Self::Lost(error.to_string()) }
    }
}

/// Whether it is an error of the TLS library, not of the system.
fn is_tls(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.get_ref().is_some_and(|inner| inner.to_string().contains("SSL"))
}
