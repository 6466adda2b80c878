//! Where a device's service is: always on the host that answered.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use ureq::http::{Uri, uri::PathAndQuery};

/// The path that every device has (ONVIF Core Specification, "Services overview": the entry point is fixed).
const DEVICE_SERVICE: &str = "/onvif/device_service";
/// The longest path of a service that is taken, in bytes.
const LONGEST_PATH: usize = 1024;

/// A service of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    tls: bool,
    address: SocketAddr,
    path: String,
}

/// A URL of HTTP, taken apart.
struct Said {
    tls: bool,
    host: Option<IpAddr>,
    port: u16,
    path: String,
}

impl Service {
    /// The device service of a host; its port is 80 or 443 where none is given.
    pub fn at_host(tls: bool, host: IpAddr, port: Option<u16>) -> Self {
        let address = SocketAddr::new(host, port.unwrap_or(default_port(tls)));
        Self { tls, address, path: DEVICE_SERVICE.to_owned() }
    }

    /// The device service of the host that `answered`, by one of the addresses that it named: one of the host itself, http before https,
    /// since cameras sign their certificates themselves and no password travels in the clear. Where it named none of itself (its address
    /// was changed, or translated on the way), the first one's port and path. `None` where none is an address of HTTP.
    pub fn announced<'a>(addresses: impl IntoIterator<Item = &'a str>, answered: IpAddr) -> Option<Self> {
        let said = addresses.into_iter().filter_map(Said::parse);
        let best = said
            .min_by_key(|said| (said.host != Some(answered), said.host.is_some_and(|host| host.is_ipv6()), said.tls))?;
        Some(Self { tls: best.tls, address: SocketAddr::new(answered, best.port), path: best.path })
    }

    /// Another service of the same device, by the address that it gave. A host other than this one is a wrong or an inner address: then
    /// the way that led here leads there too, and only the path is taken.
    pub fn sibling(&self, url: &str) -> Option<Self> {
        let said = Said::parse(url)?;
        Some(if said.host == Some(self.address.ip()) {
            Self { tls: said.tls, address: SocketAddr::new(self.address.ip(), said.port), path: said.path }
        } else {
            Self { path: said.path, ..self.clone() }
        })
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.address.port() == default_port(self.tls) {
            let host = match self.address.ip() {
                IpAddr::V4(host) => host.to_string(),
                IpAddr::V6(host) => format!("[{host}]"),
            };
            write!(f, "{scheme}://{host}{}", self.path)
        } else {
            write!(f, "{scheme}://{}{}", self.address, self.path)
        }
    }
}

impl Said {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        (path.len() <= LONGEST_PATH && path.chars().all(|c| c.is_ascii_graphic())).then(|| Self {
            tls,
            host,
            port: uri.port_u16().unwrap_or(default_port(tls)),
            path: path.to_owned(),
        })
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_device_is_only_asked_where_it_answered() {
        let announced = |addresses: &[&str]| {
            Service::announced(addresses.iter().copied(), ip("10.0.0.7")).map(|service| service.to_string())
        };
        let own = "http://10.0.0.7:8080/onvif/device_service";
        assert_eq!(announced(&["https://10.0.0.7/x", "http://169.254.1.1/y", own]).as_deref(), Some(own));
        assert_eq!(announced(&["http://[fe80::1]/x", "http://10.9.9.9/y"]).as_deref(), Some("http://10.0.0.7/y"));
        assert_eq!(
            announced(&["http://user:pw@metadata.internal:99/z?q=1"]).as_deref(),
            Some("http://10.0.0.7:99/z?q=1")
        );
        assert_eq!(announced(&["ftp://10.0.0.7/x", "nonsense", ""]), None);
    }

    #[test]
    fn services_follow_the_way_that_led_to_the_device() {
        let device = Service::at_host(false, ip("203.0.113.5"), Some(8081));
        assert_eq!(device.to_string(), "http://203.0.113.5:8081/onvif/device_service");
        let sibling = |url| device.sibling(url).map(|service| service.to_string());
        assert_eq!(sibling("http://192.168.1.2/onvif/Media").as_deref(), Some("http://203.0.113.5:8081/onvif/Media"));
        assert_eq!(sibling("https://203.0.113.5/m").as_deref(), Some("https://203.0.113.5/m"));
        assert_eq!(sibling("gopher://203.0.113.5/m"), None);
        assert_eq!(Service::at_host(true, ip("::1"), None).to_string(), "https://[::1]/onvif/device_service");
    }

    proptest! {
        #[test]
        fn whatever_it_says_the_host_stays(url in "(https?://|[a-z0-9.:@/?#\\[\\]%-]){0,30}") {
            let device = Service::at_host(false, ip("10.0.0.7"), None);
            if let Some(service) = device.sibling(&url) {
                prop_assert_eq!(service.address().ip(), ip("10.0.0.7"));
            }
        }
    }
}
