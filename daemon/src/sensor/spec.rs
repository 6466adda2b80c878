//! What gateway.toml says of sensors: where they connect to, and what of their readings goes on.

use snowgate_core::{
    ids::Id,
    spec,
    spec::{Located, Maybe, Number, TimeSpan},
};
use snowgate_sensors::spec::{HttpListenSpec, ListenSpec, ModbusBusSpec};

use crate::uplink::spec::ConnectionSpec;

spec! {
    /// What sensors share. A port that is left out is not opened.
    pub struct SensorsSpec {
        /// Where readings are posted over HTTP.
        http: Maybe<HttpListenSpec> = Maybe::NONE,
        /// Where HJ 212 stations (环保) connect.
        hj212: Maybe<ListenSpec> = Maybe::NONE,
        /// Where SL 651 stations (水文) connect.
        sl651: Maybe<ListenSpec> = Maybe::NONE,
        /// Where GB/T 26875.3 transmission devices (消防) connect.
        gbt26875: Maybe<ListenSpec> = Maybe::NONE,
        /// Brokers on which sensors are listened to, beside the one that incidents go to.
        brokers: Vec<SensorBrokerSpec> = Vec::new(),
        /// Modbus lines.
        buses: Vec<ModbusBusSpec> = Vec::new(),
        /// Readings a second of one sensor that are published and held against what it showed before; more than these only
        /// its rules hear.
        most_a_second: Number = Number(50.0),
        /// How often readings are published, those of a sensor in one message.
        publish_every: TimeSpan = TimeSpan::secs(10),
    }
}

spec! {
    /// A broker on which sensors are listened to.
    pub struct SensorBrokerSpec {
        /// Name that sensors refer to.
        id: Located<Id>,
        /// How to reach it.
        flatten connection: ConnectionSpec,
    }
}
