//! A device's address on the command line.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use crate::camera::onvif::Target;

/// `[https://]ADDRESS[:PORT]`; an IPv6 address with a port stands in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    tls: bool,
    address: IpAddr,
    port: Option<u16>,
}

impl Host {
    /// What to talk with.
    pub fn target(&self) -> Target {
        Target::at_host(self.tls, self.address, self.port)
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => return Err(format!("ONVIF is spoken over http or https, not {scheme}")),
        };
        let rest = rest.trim_end_matches('/');
        let bare = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(rest);
        if let Ok(address) = bare.parse() {
            return Ok(Self { tls, address, port: None });
        }
        match rest.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 => Ok(Self { tls, address: address.ip(), port: Some(address.port()) }),
            _ => Err("write an IP address, and a port where it is not 80, like 192.168.1.20:8080".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_port() {
        for (text, tls, port) in [
            ("192.168.1.20", false, None),
            ("192.168.1.20:8080", false, Some(8080)),
            ("https://192.168.1.20/", true, None),
            ("http://[fe80::1]:81", false, Some(81)),
            ("[::1]", false, None),
            ("::1", false, None),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.tls, host.port), (tls, port), "{text}");
        }
        for text in ["", "camera", "192.168.1.20:0", "192.168.1.20:70000", "ftp://192.168.1.20", "192.168.1.20/onvif"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
