//! One request and its answer, over HTTP or HTTPS, bounded in time and size. No redirect is followed, no proxy asked.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use ureq::{
    Agent, Error,
    http::{
        Response,
        header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
};

use super::{super::text::plain, fault::DeviceFault, service::Service};
use crate::camera::{http_agent::agent, reach};

/// How long a request may take, from the connection to the last byte of the answer.
pub const WITHIN: Duration = Duration::from_secs(5);
/// The largest answer read: the profiles of a recorder of 64 channels take a third of it.
pub const LARGEST: u64 = 2 << 20;

/// What asks.
#[derive(Debug, Clone)]
pub struct HttpClient(Agent);

/// An answer of any status.
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// Values of `WWW-Authenticate`.
    pub challenges: Vec<String>,
    /// What was sent.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// With `insecure`, certificates are not looked at.
    pub fn new(insecure: bool) -> Self {
        Self(agent(WITHIN, insecure))
    }

    /// Posts a SOAP message.
    ///
    /// # Errors
    /// No whole answer came.
    pub fn post(
        &self,
        service: &Service,
        action: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> Result<Answer, DeviceFault> {
        let mut request = self
            .0
            .post(service.to_string())
            .header(CONTENT_TYPE, format!("application/soap+xml; charset=utf-8; action=\"{action}\""));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut response = request.send(body).map_err(fault)?;
        let challenges = challenges(&response);
        let body = response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(fault)?;
        Ok(Answer { status: response.status().as_u16(), challenges, body })
    }
}

fn challenges<B>(response: &Response<B>) -> Vec<String> {
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

fn fault(error: Error) -> DeviceFault {
    // A library may repeat what the device sent.
    let words = |error: &dyn std::error::Error| plain(&error.to_string()).unwrap_or_default();
    match error {
        Error::Timeout(_) => DeviceFault::NoAnswer { within: WITHIN },
        Error::Io(error) => of_connection(&error),
        Error::ConnectionFailed => DeviceFault::Unreachable { why: "no connection".to_owned() },
        Error::BodyExceedsLimit(limit) => DeviceFault::TooLarge { limit },
        Error::NativeTls(error) => DeviceFault::Tls { why: of_tls(&error.to_string()) },
        Error::Tls(why) => DeviceFault::Tls { why: why.to_owned() },
        other => DeviceFault::NotOnvif { what: words(&other) },
    }
}

/// OpenSSL's words without the places in its source: what is wrong with a certificate stands in brackets at the end.
fn of_tls(said: &str) -> String {
    let why = said.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map_or(said, |(_, why)| why);
    plain(why).unwrap_or_default()
}

fn of_connection(error: &io::Error) -> DeviceFault {
    let why = reach::plain(error);
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => DeviceFault::NoAnswer { within: WITHIN },
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            DeviceFault::Unreachable { why }
        }
        _ => DeviceFault::Broken { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_openssls_words_the_reason_is_kept() {
        let said =
            "error:0A000086:SSL routines:x:certificate verify failed:../ssl/statem.c:1889: (self-signed certificate)";
        assert_eq!(of_tls(said), "self-signed certificate");
        assert_eq!(of_tls("unexpected EOF"), "unexpected EOF");
    }
}
