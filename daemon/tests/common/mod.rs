//! A good configuration to be changed by tests.

#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use snowgate::config::KnownModels;
use tempfile::TempDir;

pub const GATEWAY: &str = r#"[gateway]
id = "box"
locale = "en"

[grid]
levels = ["county", "village"]
major_level = "county"
nodes = [
    { code = "33", name = "County", level = "county" },
    { code = "3301", name = "Village", level = "village", parent = "33" },
]

[mqtt]
host = "broker"
"#;

pub const CATEGORIES: &str = r#"[[category]]
id = "intrusion"
name = { zh = "闯入", en = "Intrusion" }
severity = "major"

[[category]]
id = "crossing"
name = { zh = "越线", en = "Line crossed" }
"#;

pub const NORTH: &str = r#"id = "north"
grid = "3301"
place = { lat = 29, lon = 119.5 }

[stream]
detect = "rtsp://10.0.0.1/north"

[detect]
fps = 5

[[zones]]
id = "yard"
name = "后院"
polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
category = "intrusion"
severity = "critical"

[[lines]]
id = "gate"
start = [0.2, 0.5]
end = [0.8, 0.5]

[[rules]]
id = "in-yard"
kind = "intrusion"
zone = "yard"
labels = ["person", "face"]
for = "2s"

[[rules]]
id = "crossed"
kind = "line_crossing"
line = "gate"
category = "crossing"
"#;

pub const SOUTH: &str = r#"id = "south"
grid = "33"
category = "intrusion"
stream = { detect = "rtsp://10.0.0.1/south" }
zones = [{ id = "all", polygon = [[0, 0], [1, 0], [1, 1], [0, 1]] }]
rules = [{ id = "anyone", kind = "count", zone = "all", limit = 3 }]
"#;

/// What gateway.toml says of sensors.
pub const NETWORK: &str = r#"
[sensors]
http = { listen = "127.0.0.1:9465" }
hj212 = { listen = "0.0.0.0:9212" }
sl651 = { listen = "0.0.0.0:9651" }
gbt26875 = { listen = "0.0.0.0:9268" }
brokers = [{ id = "lora", host = "lora" }]

[[sensors.buses]]
id = "line"
serial = "/dev/ttyS0"

[[sensors.buses]]
id = "net"
tcp = "10.0.0.9:502"
"#;

/// A sensor of each protocol.
pub const SENSORS: [(&str, &str); 6] = [
    (
        "level",
        r#"id = "level"
name = "水位计"
grid = "3301"
category = "intrusion"
place = { lat = 29, lon = 119.5 }
silent_after = "2h"

[source]
protocol = "mqtt"
broker = "lora"
topic = "application/7/device/24e1/event/up"
format = "chirpstack"

[[source.values]]
id = "water_level"
unit = "cm"
report_in = "m"
min = -0.5
max = 12
pointer = "/level"
anomaly = { method = "auto" }

[[source.values]]
id = "battery"
unit = "%"
pointer = "/battery"

[[rules]]
id = "high"
kind = "threshold"
quantity = "water_level"
above = 3.5
hysteresis = 0.1

[[rules]]
id = "rising"
kind = "change"
quantity = "water_level"
rise = 0.5
within = "30m"
severity = "critical"

[[rules]]
id = "odd"
kind = "anomaly"
quantity = "water_level"
category = "crossing"
"#,
    ),
    (
        "meter",
        r#"id = "meter"
grid = "3301"

[source]
protocol = "modbus"
bus = "line"
slave = 3
poll_every = "10s"

[[source.values]]
id = "voltage"
unit = "V"
scale = 0.1
address = 0

[[source.values]]
id = "power"
unit = "W"
address = 18
kind = "f32"

[[rules]]
id = "no-answer"
kind = "silence"
quantity = "voltage"
after = "1m"
category = "crossing"
"#,
    ),
    (
        "outlet",
        r#"id = "outlet"

[source]
protocol = "hj212"
station = "010000A8900016F000169DC0"

[[source.values]]
id = "cod"
unit = "mg/L"
factor = "w01018"
"#,
    ),
    (
        "gauge",
        r#"id = "gauge"

[source]
protocol = "sl651"
station = "0012345678"

[[source.values]]
id = "water_level"
unit = "m"
element = "39"
"#,
    ),
    (
        "smoke",
        r#"id = "smoke"

[source]
protocol = "gbt26875"
device = "0d0080150c16"

[[source.values]]
id = "fire"
state = "fire"
"#,
    ),
    (
        "sos",
        r#"id = "sos"
grid = "3301"

[source]
protocol = "http"
token_file = "secrets/token"

[[source.values]]
id = "button"
min = 0
max = 1
pointer = "/pressed"

[[rules]]
id = "help"
kind = "button"
quantity = "button"
category = "intrusion"
"#,
    ),
];

/// A configuration directory that lives as long as the test.
pub struct Directory {
    _keeper: TempDir,
    path: PathBuf,
}

impl Directory {
    /// Two cameras, nothing wrong.
    pub fn good() -> Self {
        let keeper = tempfile::tempdir().unwrap();
        let path = keeper.path().join("config");
        fs::create_dir_all(path.join("cameras.d")).unwrap();
        let directory = Self { _keeper: keeper, path };
        for (name, text) in [
            ("gateway.toml", GATEWAY),
            ("categories.toml", CATEGORIES),
            ("cameras.d/north.toml", NORTH),
            ("cameras.d/south.toml", SOUTH),
        ] {
            directory.write(name, text.as_bytes());
        }
        directory
    }

    /// The same with a sensor of each protocol.
    pub fn with_sensors() -> Self {
        let directory = Self::good();
        fs::create_dir(directory.path.join("sensors.d")).unwrap();
        directory.write("gateway.toml", format!("{GATEWAY}{NETWORK}").as_bytes());
        for (id, text) in SENSORS {
            directory.write(&format!("sensors.d/{id}.toml"), text.as_bytes());
        }
        fs::create_dir(directory.path.join("secrets")).unwrap();
        directory.write_secret("secrets/token", "a-long-token");
        directory
    }

    /// A file that only its owner can read.
    pub fn write_secret(&self, name: &str, secret: &str) {
        self.write(name, secret.as_bytes());
        fs::set_permissions(self.path.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path.join(name)).unwrap()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path.join(name), bytes).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path.join(name)).unwrap();
    }

    /// Replaces what must stand in the file.
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} holds no {from:?}");
        self.write(name, text.replace(from, to).as_bytes());
    }
}

/// A machine with the default models and a broken one.
pub fn known_models() -> KnownModels {
    let model = |id: &str, labels: Result<&[&str], &str>| {
        let labels = labels.map(|labels| labels.iter().map(|&label| label.to_owned()).collect());
        (id.parse().unwrap(), labels.map_err(str::to_owned))
    };
    let models = [
        model("ssdlite-mobilenet-v2", Ok(&["person", "car", "dog", "suitcase", ""])),
        model("centerface", Ok(&["face"])),
        model("broken", Err("broken.onnx is not an ONNX file")),
    ];
    let sensor_models = [("tides", Ok(())), ("torn", Err("torn.onnx is not an ONNX file"))]
        .map(|(id, state)| (id.parse().unwrap(), state.map_err(str::to_owned)));
    KnownModels {
        unusable: None,
        models: models.into_iter().collect(),
        sensor_models: sensor_models.into_iter().collect(),
        scene_models: [("efficientnet-lite0".parse().unwrap(), Ok(()))].into(),
    }
}
