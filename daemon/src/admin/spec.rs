//! What the admin interface can be told.

use snowgate_core::{spec, spec::Located};

spec! {
    /// Metrics and health over HTTP.
    pub struct AdminSpec {
        /// Address to listen on; keep it on loopback.
        listen: Located<String> = Located::nowhere("127.0.0.1:9464".to_owned()),
    }
}
