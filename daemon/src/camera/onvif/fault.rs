//! What goes wrong with a device, in words for an operator. Never holds a password.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{
    soap::{SoapError, SoapFault},
    stream_uri::StreamUriFault,
};

/// Why a device did not tell what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceFault {
    /// It announces itself, and no address of HTTP.
    #[error("it names no address at which it could be asked")]
    NoAddress,
    /// It takes too long.
    #[error("no answer within {} s", .within.as_secs())]
    NoAnswer {
        /// How long it was given.
        within: Duration,
    },
    /// Nothing listens there, or the network says no.
    #[error("it cannot be reached: {why}")]
    Unreachable {
        /// In the system's words.
        why: String,
    },
    /// The connection ended in the middle of an answer.
    #[error("the connection broke: {why}")]
    Broken {
        /// In the system's words.
        why: String,
    },
    /// The encrypted connection failed, mostly for its certificate.
    #[error("its certificate is not trusted, or encryption fails: {why}")]
    Tls {
        /// In the words of the TLS library.
        why: String,
    },
    /// More bytes than any answer of ONVIF has.
    #[error("its answer is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// What answers is another service.
    #[error("what answers there is no ONVIF service: {what}")]
    NotOnvif {
        /// What came.
        what: String,
    },
    /// It sends elsewhere, where it is not followed.
    #[error("it redirects elsewhere, which is not followed")]
    Redirects,
    /// It answered that it does not.
    #[error("it does not answer {action}: {fault}")]
    Refused {
        /// What it was asked.
        action: String,
        /// What it said.
        fault: SoapFault,
    },
    /// It asks for a user, and none was given.
    #[error("it wants a user name and password")]
    UserNeeded,
    /// It was told the password, once.
    #[error("it refused the user name or password; it was not tried again")]
    WrongPassword,
    /// The password is right, and the user is not allowed to.
    #[error("this user may not ask it for {action}")]
    Forbidden {
        /// What it was asked.
        action: String,
    },
    /// It is no camera, or its streams are switched off.
    #[error("it has no media service, or no profile with video")]
    NoMedia,
    /// It tells its time in a way that is none.
    #[error("its answer holds no time")]
    NoTime,
    /// What it gives is no address of a stream.
    #[error(transparent)]
    Stream(#[from] StreamUriFault),
    /// It, or all of them together, took too long.
    #[error("the time for it was up")]
    OutOfTime,
    /// Ours.
    #[error("it could not be asked: {what}")]
    Internal {
        /// What failed.
        what: String,
    },
}

impl DeviceFault {
    /// Whether there is no more use in talking to the device. Otherwise another question may be answered.
    pub fn ends_conversation(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. }
                | Self::UserNeeded
                | Self::WrongPassword
                | Self::Forbidden { .. }
                | Self::NoMedia
                | Self::NoTime
                | Self::Stream(_)
        )
    }
}

impl From<SoapError> for DeviceFault {
    fn from(error: SoapError) -> Self {
        Self::NotOnvif { what: error.to_string() }
    }
}

impl Serialize for DeviceFault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
