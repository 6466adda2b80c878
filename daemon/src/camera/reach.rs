//! Whether anything listens at a camera's address: asked before a pipeline is built, so that a camera that never answers
//! costs no pipeline, no buffers and none of GStreamer's threads.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use super::{health::CameraFault, patience};
use crate::shutdown::Shutdown;

/// How long a host may take to accept a connection.
const WITHIN: Duration = Duration::from_secs(5);
/// How long one knock may take; between two of them a shutdown is noticed.
const KNOCK: Duration = Duration::from_secs(1);
/// RTSP's registered port (RFC 7826); rtsps:// without a port uses the one registered for it.
const RTSP_PORT: u16 = 554;
const RTSPS_PORT: u16 = 322;

/// Where a stream is, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
    /// Path and query, with their leading slash.
    path: String,
}

impl Endpoint {
    /// Takes an rtsp:// or rtsps:// address apart.
    ///
    /// # Errors
    /// Another scheme, no host, a port that is none, or user and password in it: they belong into their own keys.
    pub fn parse(url: &str) -> Result<Self, CameraFault> {
        let wrong = |why: &str| {
            // Whatever stands before an @ may be a password.
            let shown = url.rsplit_once('@').map_or(url.to_owned(), |(_, rest)| format!("…@{rest}"));
            CameraFault::Address { url: shown, why: why.to_owned() }
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let tls = match scheme {
            "rtsp" => false,
            "rtsps" => true,
            _ => return Err(wrong("its scheme is another one")),
        };
        let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |slash| rest.split_at(slash));
        if authority.contains('@') {
            return Err(wrong("user and password must not stand in it"));
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let default = if tls { RTSPS_PORT } else { RTSP_PORT };
        let port = port.map_or(Ok(default), |port| port.parse().map_err(|_| wrong("its port is no port")))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { tls, host: host.to_owned(), port, path: format!("{slash}{path}") })
    }

    /// Host and port.
    pub fn address(&self) -> String {
        let host = &self.host;
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }

    /// The whole address, with its port.
    pub fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "rtsps" } else { "rtsp" }, self.address(), self.path)
    }

    /// Whether the connection is encrypted.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Opens a connection and closes it again; returns early, with `Ok`, when it is time to stop.
    ///
    /// # Errors
    /// The name is unknown, nobody answers, or somebody says no.
    pub fn reach(&self, shutdown: &Shutdown) -> Result<(), CameraFault> {
        let end = Instant::now() + WITHIN;
        let mut addresses = self.resolve(end, shutdown)?.into_iter().cycle();
        while let Some(address) = addresses.next()
            && !shutdown.is_triggered()
        {
            let left = end.saturating_duration_since(Instant::now()).min(KNOCK);
            if left.is_zero() {
                return Err(CameraFault::NoAnswer { address: self.address(), within: WITHIN });
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(CameraFault::Unreachable { address: self.address(), why: plain(&error) }),
            }
        }
        Ok(())
    }

    fn resolve(&self, end: Instant, shutdown: &Shutdown) -> Result<Vec<SocketAddr>, CameraFault> {
        if let Ok(ip) = self.host.parse() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        // The system's resolver cannot be given a time limit.
        let (host, port) = (self.host.clone(), self.port);
        let resolve = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter).unwrap_or_default();
        let resolved = patience::ask("resolve", end.saturating_duration_since(Instant::now()), shutdown, resolve)
            .map_err(|error| CameraFault::Internal { what: error.to_string() })?;
        match resolved {
            _ if shutdown.is_triggered() => Ok(Vec::new()),
            Some(addresses) if !addresses.is_empty() => Ok(addresses),
            _ => Err(CameraFault::UnknownHost { host: self.host.clone() }),
        }
    }
}

/// The system's message without its number.
pub(super) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        ErrorKind::HostUnreachable => "no route to the host".to_owned(),
        ErrorKind::NetworkUnreachable => "no route to the network".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, whole) in [
            ("rtsp://10.0.0.7/Streaming/Channels/101?x=1", "rtsp://10.0.0.7:554/Streaming/Channels/101?x=1"),
            ("rtsp://gate.local:8554", "rtsp://gate.local:8554/"),
            ("rtsps://[fe80::1]/a", "rtsps://[fe80::1]:322/a"),
            ("rtsp://[::1]:99?x", "rtsp://[::1]:99/?x"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().url(), whole);
        }
        for url in ["gate", "http://gate/", "rtsp://", "rtsp://:554/", "rtsp://gate:x/", "rtsp://u:hunter2@gate/"] {
            let error = Endpoint::parse(url).unwrap_err();
            assert!(matches!(error, CameraFault::Address { .. }) && !error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_closed_port_is_told_from_an_open_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("rtsp://{}/", listener.local_addr().unwrap());
        let endpoint = Endpoint::parse(&url).unwrap();
        assert_eq!(endpoint.reach(&Shutdown::new()), Ok(()));
        drop(listener);
        assert!(matches!(endpoint.reach(&Shutdown::new()), Err(CameraFault::Unreachable { .. })));
    }
}
