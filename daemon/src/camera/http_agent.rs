//! How HTTP is spoken with what stands beside cameras: no redirect is followed and no proxy asked, for what is sent is secret.

use std::time::Duration;

use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig, TlsProvider},
};

/// The most bytes of a head.
const LARGEST_HEAD: usize = 16 << 10;

/// One whose requests take `within` at the most, from the connection to the last byte of the answer. The system says whom to trust;
/// with `insecure`, certificates are not looked at. An answer of any status is an answer.
pub fn agent(within: Duration, insecure: bool) -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::PlatformVerifier)
        .disable_verification(insecure)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(within))
        .max_response_header_size(LARGEST_HEAD)
        // Cameras close connections as they like: one that is kept may be gone.
        .max_idle_connections(0)
        .user_agent("snowgate")
        .build();
    config.new_agent()
}
