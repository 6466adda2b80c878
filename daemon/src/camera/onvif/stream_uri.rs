//! The address of a stream as a device gives it, made usable: no user and password in it, and a host that can be reached from here.

use std::net::IpAddr;

use serde::Serialize;

use crate::camera::reach::Endpoint;

/// The longest address taken, in bytes: a device gives no more than 128 (ONVIF Media2 Service Specification, "GetStreamUri").
const LONGEST: usize = 512;

/// An address that a camera file can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamUri {
    /// rtsp:// or rtsps://, without user and password.
    pub url: String,
    /// What was changed, and what is to be looked at.
    pub notes: Vec<String>,
}

/// Why what a device gives is no address of a stream. What it gave is not repeated: there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamUriFault {
    /// Not rtsp:// or rtsps://.
    #[error("it gives an address of another kind than rtsp:// or rtsps://")]
    OtherScheme,
    /// Too long, with blanks or other characters that no address has, a port that is none.
    #[error("it gives an address that cannot be used")]
    Unusable,
}

impl StreamUri {
    /// Makes what the device at `answered` said usable. The host that it names stays, unless nobody could reach it there.
    ///
    /// # Errors
    /// It is no address of a stream.
    pub fn read(said: &str, answered: IpAddr) -> Result<Self, StreamUriFault> {
        let said = said.trim();
        if said.len() > LONGEST || !said.chars().all(|c| c.is_ascii_graphic()) {
            return Err(StreamUriFault::Unusable);
        }
        let (scheme, rest) = said.split_once("://").ok_or(StreamUriFault::OtherScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if !["rtsp", "rtsps"].contains(&scheme.as_str()) {
            return Err(StreamUriFault::OtherScheme);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let mut notes = Vec::new();
        let authority = match authority.rsplit_once('@') {
            Some((_, authority)) => {
                notes.push("user and password stood in it and were taken out".to_owned());
                authority
            }
            None => authority,
        };
        let (host, port) = host_and_port(authority);
        let named: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let leads_nowhere = host.is_empty()
            || host.eq_ignore_ascii_case("localhost")
            || named.is_some_and(|ip| ip.is_unspecified() || ip.is_loopback());
        let own = written(answered);
        let host = match named {
            _ if leads_nowhere => {
                if named != Some(answered) {
                    notes.push(format!("the device names {host:?}, where nobody reaches it: {own} stands instead"));
                }
                own
            }
            Some(ip) if ip == answered => own,
            _ => {
                let host = named.map_or(host.to_owned(), written);
                notes.push(format!(
                    "the device names {host}, and answers at {own}: check which of them is right from the box"
                ));
                host
            }
        };
        if port.trim_start_matches([':', '0']).is_empty() && !port.is_empty() {
            return Err(StreamUriFault::Unusable);
        }
        let url = format!("{scheme}://{host}{port}{path}");
        Endpoint::parse(&url).map_err(|_| StreamUriFault::Unusable)?;
        Ok(Self { url, notes })
    }
}

/// As it stands in an address.
fn written(host: IpAddr) -> String {
    match host {
        IpAddr::V4(host) => host.to_string(),
        IpAddr::V6(host) => format!("[{host}]"),
    }
}

/// A host, in brackets if it was, and what follows with its colon.
fn host_and_port(authority: &str) -> (&str, &str) {
    // An IPv6 address without brackets is no authority, but is sent.
    if authority.ends_with(']') || authority.parse::<IpAddr>().is_ok() {
        return (authority, "");
    }
    authority.rfind(':').map_or((authority, ""), |colon| authority.split_at(colon))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(said: &str) -> Result<StreamUri, StreamUriFault> {
        StreamUri::read(said, "10.0.0.7".parse().unwrap())
    }

    #[test]
    fn a_host_stays_unless_it_leads_nowhere() {
        for (said, url, notes) in [
            ("rtsp://10.0.0.7:554/Streaming/101?a=1&b", "rtsp://10.0.0.7:554/Streaming/101?a=1&b", 0),
            ("RTSP://0.0.0.0:8554/a", "rtsp://10.0.0.7:8554/a", 1),
            ("rtsp://127.0.0.1/a", "rtsp://10.0.0.7/a", 1),
            ("rtsp://[::]/a", "rtsp://10.0.0.7/a", 1),
            ("rtsp://[::1]:99/a", "rtsp://10.0.0.7:99/a", 1),
            ("rtsp://localhost/a", "rtsp://10.0.0.7/a", 1),
            ("rtsp:///a", "rtsp://10.0.0.7/a", 1),
            ("rtsps://192.168.1.64:322/a", "rtsps://192.168.1.64:322/a", 1),
            ("rtsp://fd00::8/a", "rtsp://[fd00::8]/a", 1),
            ("rtsp://camera.local/a", "rtsp://camera.local/a", 1),
            ("rtsp://admin:hunter2@10.0.0.7/a", "rtsp://10.0.0.7/a", 1),
            ("rtsp://admin:hunt@er2@0.0.0.0?a", "rtsp://10.0.0.7?a", 2),
        ] {
            let uri = read(said).unwrap();
            assert_eq!((uri.url.as_str(), uri.notes.len()), (url, notes), "{said}: {uri:?}");
            assert!(!uri.notes.concat().contains("hunter2"));
        }
        assert_eq!(StreamUri::read("rtsp://[::]/a", "fe80::7".parse().unwrap()).unwrap().url, "rtsp://[fe80::7]/a");
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        for said in ["", "http://10.0.0.7/", "file:///etc/passwd", "10.0.0.7"] {
            assert_eq!(read(said), Err(StreamUriFault::OtherScheme), "{said}");
        }
        for said in [
            "rtsp://10.0.0.7/a b",
            "rtsp://10.0.0.7:x/",
            "rtsp://10.0.0.7:0/",
            "rtsp://u:hunter/2@10.0.0.7/",
            &format!("rtsp://h/{}", "x".repeat(600)),
        ] {
            assert_eq!(read(said), Err(StreamUriFault::Unusable), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_password_is_left(said in "rtsp://([a-z0-9:@/?#%\\[\\].]){0,40}") {
            if let Ok(uri) = read(&said) {
                let authority = uri.url.trim_start_matches("rtsp://").split(['/', '?']).next().unwrap_or_default();
                prop_assert!(!authority.contains('@'), "{}", uri.url);
            }
        }
    }
}
