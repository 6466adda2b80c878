//! Everything that a run needs, running: cameras, a broker, a daemon, and a grid system that listens.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use snowgate::clock::SystemClock;
use snowgate_core::time::{Clock, Mono};
use snowgate_simulators::broker::Mosquitto;
use snowgate_tests::{
    daemon::{self, Daemon, Launch},
    grid_system::{GridSystem, IncidentEvent},
    metrics::Metrics,
};
use tempfile::TempDir;

use super::{
    cameras::{Cameras, Plan, PlannedCamera, Totals},
    clips::Clip,
    configuration::{self, Camera, GATEWAY, Gate, Settings},
    error::ScaleError,
    patience::Patience,
    process::Usage,
    recall::{Appearance, Sighting},
};

/// Models are loaded, and a camera is live.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// The daemon's own deadline is shorter.
const STOP_WITHIN: Duration = Duration::from_secs(40);
/// A broker on loopback answers at once.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(10);

/// What is to run.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// What each camera plays; the cameras are numbered in this order.
    pub clips: Vec<&'a Clip>,
    /// Clips that cameras may be told to play later.
    pub standby: Vec<String>,
    /// When pictures are decoded.
    pub gate: Gate,
    /// The look interval of a quiet camera.
    pub look_every: Duration,
    /// Pictures looked at a second.
    pub fps: u32,
    /// Whether incidents get stills.
    pub stills: bool,
}

/// Everything, running. Dropping it ends it.
pub struct Rig {
    // In this order they are dropped: the daemon before what it talks to.
    daemon: Daemon,
    grid: GridSystem,
    broker: Mosquitto,
    cameras: Cameras,
    names: Vec<String>,
    clock: SystemClock,
    _home: TempDir,
}

/// Everything as it was at one moment.
pub struct Sample {
    /// When.
    pub at: Instant,
    /// When, on the machine's monotonic clock.
    pub mono: Mono,
    /// The daemon's process.
    pub daemon: Usage,
    /// The camera server's process.
    pub cameras: Usage,
    /// The broker's process.
    pub broker: Usage,
    /// The daemon's metrics.
    pub metrics: Metrics,
}

impl Rig {
    /// Starts everything and waits until every camera delivers.
    ///
    /// # Errors
    /// Something does not start, or not in time.
    pub fn start(wanted: &Wanted<'_>, patience: &Patience) -> Result<Self, ScaleError> {
        let home = TempDir::new().map_err(ScaleError::system("temporary directory"))?;
        let names: Vec<String> = (1..=wanted.clips.len()).map(|number| format!("cam-{number:03}")).collect();
        let planned = names.iter().zip(&wanted.clips).enumerate().map(|(index, (name, clip))| PlannedCamera {
            name: name.clone(),
            clip: clip.name.clone(),
            offset_s: offset(index, clip.seconds),
        });
        let plan = Plan { listen: "127.0.0.1:0".into(), cameras: planned.collect(), standby: wanted.standby.clone() };
        let mut cameras = Cameras::start(&plan, home.path(), patience)?;
        let broker = Mosquitto::start();
        let grid = GridSystem::start(broker.address().port(), GATEWAY, &home.path().join("stills"))
            .map_err(ScaleError::system("grid system"))?;
        grid.wait_for(SUBSCRIBED_WITHIN, |received| (received.subscribed > 0).then_some(())).ok_or_else(|| {
            ScaleError::Deadline { what: "the broker's answer".into(), within: SUBSCRIBED_WITHIN, detail: None }
        })?;

        let port = daemon::free_port().map_err(ScaleError::system("a free port"))?;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let settings = Settings {
            broker_port: broker.address().port(),
            admin,
            gate: wanted.gate,
            look_every: wanted.look_every,
            fps: wanted.fps,
            stills: wanted.stills,
        };
        let configured = names.iter().zip(&wanted.clips);
        let configured = configured.map(|(id, clip)| Camera { id, url: cameras.url(id), zone: &clip.zone });
        let config = home.path().join("config");
        configuration::write(&config, &settings, &configured.collect::<Vec<_>>())?;
        let program = daemon::program().map_err(ScaleError::system("the daemon's program"))?;
        let log = home.path().join("snowgate.log");
        let mut daemon = Daemon::start(Launch { program, config, admin, log, arguments: Vec::new() })?;
        daemon.wait_ready(READY_WITHIN)?;
        let delivering = Duration::from_secs(60) + Duration::from_millis(500) * u32::try_from(names.len()).unwrap_or(0);
        patience.wait_for("a picture from every camera", delivering, || {
            daemon.ensure_running()?;
            cameras.ensure_running()?;
            let metrics = daemon.metrics()?;
            let silent: Vec<&str> =
                names.iter().map(String::as_str).filter(|name| received(&metrics, name) == 0.0).collect();
            Ok(if silent.is_empty() { Ok(()) } else { Err(format!("nothing from {}", silent.join(", "))) })
        })?;
        Ok(Self { daemon, grid, broker, cameras, names, clock: SystemClock::new(), _home: home })
    }

    /// The cameras' names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Everything as it is now.
    ///
    /// # Errors
    /// Something has ended.
    pub fn sample(&mut self) -> Result<Sample, ScaleError> {
        self.daemon.ensure_running()?;
        self.cameras.ensure_running()?;
        let broker = self.broker.pid().ok_or_else(|| ScaleError::Media("the broker has ended".into()))?;
        Ok(Sample {
            at: Instant::now(),
            mono: self.clock.mono(),
            daemon: Usage::of(self.daemon.pid())?,
            cameras: Usage::of(self.cameras.pid())?,
            broker: Usage::of(broker)?,
            metrics: self.daemon.metrics()?,
        })
    }

    /// Lets every camera play another clip, from its next key frame on.
    ///
    /// # Errors
    /// The camera server has ended.
    pub fn play_everywhere(&mut self, clip: &Clip) -> Result<(), ScaleError> {
        self.cameras.play_everywhere(&clip.name)
    }

    /// Checks that every camera plays what it was told to.
    ///
    /// # Errors
    /// Some do not.
    pub fn ensure_playing(&self, clip: &Clip) -> Result<(), ScaleError> {
        let (cameras, playing) = (self.names.len(), self.cameras.switches(&clip.name)?);
        if playing == cameras {
            return Ok(());
        }
        Err(ScaleError::Media(format!("{playing} of {cameras} cameras play {} as they were told to", clip.name)))
    }

    /// What has appeared in front of the cameras.
    ///
    /// # Errors
    /// The camera server's log cannot be read.
    pub fn appeared(&self) -> Result<Vec<Appearance>, ScaleError> {
        self.cameras.appeared()
    }

    /// The incidents the grid system has been told of.
    pub fn sightings(&self) -> Vec<Sighting> {
        let time = |event: &IncidentEvent, name: &str| {
            let text = event.json.get("data")?.get("times")?.get(name)?.as_str()?;
            self.mono_of(text.parse().ok()?)
        };
        self.grid.look(|received| {
            let of_kind = |kind: &'static str| received.events.iter().filter(move |event| event.kind() == kind);
            let sighting = |event: &IncidentEvent| {
                let end = of_kind("ended").find(|other| other.data.incident == event.data.incident);
                Some(Sighting {
                    camera: event.data.origin.id().to_string(),
                    opened: time(event, "opened")?,
                    ended: end.and_then(|end| time(end, "ended")),
                    arrived: event.arrived,
                })
            };
            of_kind("opened").filter_map(sighting).collect()
        })
    }

    /// A wall-clock time of this machine on its monotonic clock; times of the past few minutes, for clocks drift.
    fn mono_of(&self, wall: jiff::Timestamp) -> Option<Mono> {
        let now = self.clock.now();
        let ago = u64::try_from(now.wall.duration_since(wall).as_nanos()).unwrap_or(0);
        Some(Mono(now.mono.0.checked_sub(ago)?))
    }

    /// Ends everything in good order; what the camera server has counted.
    ///
    /// # Errors
    /// The daemon does not stop as it should, or the camera server did not count.
    pub fn stop(self) -> Result<Totals, ScaleError> {
        let Self { daemon, cameras, .. } = self;
        let stopped = daemon.stop(STOP_WITHIN);
        let totals = cameras.stop();
        stopped?;
        totals
    }
}

/// Pictures received of a camera.
pub fn received(metrics: &Metrics, camera: &str) -> f64 {
    metrics.total("snowgate_frames_received_total", &[("camera", camera)])
}

/// Where in its clip a camera begins, so that neither events nor key frames of many cameras fall together: multiples of
/// the golden ratio lie far apart on a circle however many there are.
fn offset(index: usize, seconds: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let turn = (index as f64 * GOLDEN).fract();
    // Whole pictures, lest rounding be the server's business.
    (turn * seconds * 25.0).floor() / 25.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_begin_far_apart() {
        let mut offsets: Vec<f64> = (0..64).map(|index| offset(index, 120.0)).collect();
        offsets.sort_by(f64::total_cmp);
        assert!(offsets.iter().all(|offset| (0.0..120.0).contains(offset)));
        let closest = offsets.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::MAX, f64::min);
        assert!(closest > 0.5 * 120.0 / 64.0, "{closest}");
    }
}
