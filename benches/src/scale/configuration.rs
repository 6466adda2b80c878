//! The daemon's configuration for a run: one file a camera, one rule each.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use clap::ValueEnum;
use serde::Serialize;
use snowgate_core::spec::TimeSpan;
use snowgate_tests::repository;

use super::{error::ScaleError, machine::onnxruntime};

/// The gateway's id.
pub const GATEWAY: &str = "bench";
/// A rule's condition holds for so long before it is an incident.
pub const HOLD: Duration = Duration::from_millis(500);
/// An incident ends so long after its condition: shortly, so that the next event is one of its own.
const LINGER: &str = "1s";
const GRID: &str = "330182101201001";

/// When pictures are decoded and inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Key frames are looked at until something moves.
    Keyframe,
    /// Everything is decoded, what moves is inferred.
    Pixels,
    /// Everything is decoded and inferred.
    Always,
}

impl Gate {
    /// Its word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyframe => "keyframe",
            Self::Pixels => "pixels",
            Self::Always => "always",
        }
    }
}

/// What all cameras of a run have in common, and where the daemon finds things.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Broker's port on loopback.
    pub broker_port: u16,
    /// Address of metrics and health.
    pub admin: SocketAddr,
    /// When pictures are decoded.
    pub gate: Gate,
    /// The look interval of a quiet camera.
    pub look_every: Duration,
    /// Pictures looked at a second.
    pub fps: u32,
    /// Whether incidents get stills.
    pub stills: bool,
}

/// One camera.
#[derive(Debug, Clone)]
pub struct Camera<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its stream.
    pub url: String,
    /// Where people count, fractions of the frame.
    pub zone: &'a [[f64; 2]],
}

/// Writes a configuration directory.
///
/// # Errors
/// A file cannot be written, or ONNX Runtime is not there.
pub fn write(folder: &Path, settings: &Settings, cameras: &[Camera<'_>]) -> Result<(), ScaleError> {
    let put = |file: &str, text: String| {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(ScaleError::file(folder))?;
        fs::write(&path, text).map_err(ScaleError::file(path))
    };
    put("gateway.toml", gateway(settings)?)?;
    let categories = repository().join("configs/demo/categories.toml");
    put("categories.toml", fs::read_to_string(&categories).map_err(ScaleError::file(&categories))?)?;
    cameras.iter().try_for_each(|it| put(&format!("cameras.d/{}.toml", it.id), camera(settings, it)))
}

fn gateway(settings: &Settings) -> Result<String, ScaleError> {
    let Settings { broker_port, admin, stills, .. } = settings;
    let models = quoted(&repository().join("models"));
    let library = quoted(&onnxruntime()?);
    Ok(format!(
        r#"[gateway]
id = "{GATEWAY}"
locale = "en"
time_zone = "UTC"

[grid]
levels = ["county", "township", "village", "grid"]
major_level = "township"
nodes = [
    {{ code = "330182", name = "Xuefeng County", level = "county" }},
    {{ code = "330182101", name = "Mingliang Township", level = "township", parent = "330182" }},
    {{ code = "330182101201", name = "Qiaotou Village", level = "village", parent = "330182101" }},
    {{ code = "{GRID}", name = "Qiaotou Grid 1", level = "grid", parent = "330182101201" }},
]

[mqtt]
host = "127.0.0.1"
port = {broker_port}

[storage]
directory = "../data"

[models]
directory = {models}
onnxruntime = {library}

[evidence]
stills = {stills}

[admin]
listen = "{admin}"
"#
    ))
}

fn camera(settings: &Settings, camera: &Camera<'_>) -> String {
    let Settings { gate, look_every, fps, .. } = settings;
    let Camera { id, url, zone } = camera;
    let corners: Vec<String> = zone.iter().map(|[x, y]| format!("[{x}, {y}]")).collect();
    let corners = corners.join(", ");
    // Only this gate looks at intervals.
    let look_every = match gate {
        Gate::Keyframe => format!("look_every = \"{}\"\n", TimeSpan(*look_every)),
        Gate::Pixels | Gate::Always => String::new(),
    };
    format!(
        r#"id = "{id}"
grid = "{GRID}"

[stream]
detect = "{url}"

[detect]
gate = "{gate}"
fps = {fps}
{look_every}
[[zones]]
id = "street"
polygon = [{corners}]

[[rules]]
id = "somebody"
kind = "intrusion"
zone = "street"
labels = ["person"]
for = "{hold}"
cool_down = "0s"
linger = "{LINGER}"
category = "intrusion"
"#,
        gate = gate.as_str(),
        hold = TimeSpan(HOLD),
    )
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use snowgate::config::Config;

    use super::*;

    #[test]
    fn a_daemon_takes_it() {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings {
            broker_port: 1883,
            admin: ([127, 0, 0, 1], 9464).into(),
            gate: Gate::Pixels,
            look_every: Duration::from_secs(2),
            fps: 5,
            stills: false,
        };
        let zone = [[0.1, 0.2], [0.9, 0.2], [0.9, 1.0]];
        let cameras =
            ["cam-001", "cam-002"].map(|id| Camera { id, url: format!("rtsp://127.0.0.1:8554/{id}"), zone: &zone });
        write(home.path(), &settings, &cameras).unwrap();
        let config = Config::load(home.path()).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.cameras.len(), 2);
        assert_eq!(config.cameras[0].rules.len(), 1);
    }
}
