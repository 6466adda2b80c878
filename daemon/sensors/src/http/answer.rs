//! What is answered.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use snowgate_core::sensor::json::{self, JsonError};

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no such path: POST /sensors/ID")]
    Path,
    #[error("only POST is allowed")]
    Method,
    #[error("no such sensor, or not its token")]
    Unauthorised,
    #[error("the message is compressed: send it as it is")]
    Compressed,
    #[error("more messages than this sensor may send; again in {} s", seconds(.again))]
    TooMany { again: Duration },
    #[error("a message is at most {} bytes long", json::LONGEST)]
    TooLong,
    #[error("the message did not come in time")]
    TooSlow,
    #[error("the message broke off")]
    BrokenOff,
    #[error("{0}")]
    Unusable(JsonError),
    #[error("{0}")]
    Nothing(JsonError),
    #[error("the gateway cannot keep up; again in 5 s")]
    Busy,
    #[error("too many connections; again in 5 s")]
    Full,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::Compressed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BrokenOff => StatusCode::BAD_REQUEST,
            Self::Unusable(_) | Self::Nothing(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A word for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Path | Self::Method | Self::Compressed | Self::BrokenOff | Self::Unusable(_) => "malformed",
            Self::Nothing(_) => "nothing_for_sensor",
            Self::Unauthorised => "unauthorised",
            Self::TooMany { .. } => "too_many",
            Self::TooLong => "too_long",
            Self::TooSlow => "too_slow",
            Self::Busy | Self::Full => "busy",
        }
    }

    pub(super) fn response(&self) -> Answer {
        let body = serde_json::json!({ "error": self.to_string() }).to_string() + "\n";
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Method => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
            Self::Unauthorised => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::TooMany { again } => drop(headers.insert(RETRY_AFTER, HeaderValue::from(seconds(again)))),
            Self::Busy | Self::Full => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("5"))),
            _ => {}
        }
        response
    }
}

/// Whole seconds, at least one.
fn seconds(time: &Duration) -> u64 {
    time.as_millis().div_ceil(1000).clamp(1, 3600) as u64
}

/// The readings have been taken.
pub(super) fn taken() -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
