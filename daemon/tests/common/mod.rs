//! A good configuration to be changed by tests.

#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    fs,
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
        model("ssdlite-mobilenet-v2", Ok(&["person", "car", "dog", ""])),
        model("centerface", Ok(&["face"])),
        model("broken", Err("broken.onnx is not an ONNX file")),
    ];
    KnownModels { unusable: None, models: models.into_iter().collect() }
}
