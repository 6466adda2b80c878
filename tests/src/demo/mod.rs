//! The demo: cameras, a water level gauge, a broker and a grid system around the real daemon, and a look at what arrives.

pub mod gauge;
pub mod print;
pub mod stages;
pub mod wanted;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use snowgate::config::{Config, Problems};

use self::{gauge::Gauge, print::Ticker, wanted::Wanted};
use crate::{
    daemon::{self, Daemon, DaemonError, Launch},
    embedded_broker::{BrokerError, EmbeddedBroker},
    grid_system::{GridSystem, IncidentEvent, JoinedIncident, Origin, Received},
    metrics::Metrics,
    repository,
    rtsp::RtspServer,
};

/// Where the broker listens; configs/demo says the same.
const MQTT_PORT: u16 = 18883;
/// Where the RTSP server listens; configs/demo/cameras.d says the same.
const RTSP_PORT: u16 = 18554;
/// What each camera plays.
const CAMERAS: [(&str, &str); 2] = [("/walkers", "vtest.mp4"), ("/entrance", "face-long.mp4")];
/// By then every kind of rule has reported.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
/// Models are loaded and a camera is live by then.
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(25);
/// A broker in the same process answers at once.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(5);
/// How often signals and the daemon are looked after while nothing arrives.
const LOOK_AFTER: Duration = Duration::from_millis(200);

/// How the demo is played.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Go on until a signal comes.
    pub forever: bool,
    /// Go on so long even if everything has been shown.
    pub at_least: Duration,
    /// Keep the store of the demo before.
    pub keep: bool,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The configuration is not valid.
    #[error("configs/demo is not valid:\n{0}")]
    Config(Problems),
    /// Something that `make` prepares is missing.
    #[error("{file} is missing: run make demo, or make {target}")]
    Missing {
        /// What.
        file: String,
        /// What makes it.
        target: &'static str,
    },
    /// No broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// No RTSP server.
    #[error("RTSP server: cannot listen on 127.0.0.1:{RTSP_PORT}: {0}; is another demo running?")]
    Rtsp(String),
    /// The admin interface's address is taken.
    #[error("admin interface: {0} is taken; is another demo running?")]
    Admin(std::net::SocketAddr),
    /// The daemon failed.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A file, thread or signal could not be had.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something did not arrive, or not as it should.
    #[error("{0}")]
    Failed(String),
}

/// Plays the demo until everything has been shown, or until `interrupted`.
///
/// # Errors
/// It could not be started, the daemon failed, or something that should have arrived did not.
pub fn play(options: &Options, interrupted: &AtomicBool) -> Result<(), DemoError> {
    let directory = repository().join("configs/demo");
    let config = Config::load(&directory).map_err(DemoError::Config)?;
    let folder = repository().join("target/demo");
    let stills = folder.join("stills");
    // The daemon would say so too, but only in its log.
    std::net::TcpListener::bind(config.admin).map_err(|_| DemoError::Admin(config.admin))?;

    println!("Snowgate demo");
    let broker = EmbeddedBroker::start(MQTT_PORT)?;
    println!("  broker   mqtt://{} (in this process)", broker.address());
    let _server = serve_cameras()?;
    // Every port is ours: nobody else uses these files.
    if !options.keep {
        remove(&config.data)?;
        remove(&stills)?;
        remove(&folder.join("snowgate.log"))?;
    }
    let grid = GridSystem::start(broker.address().port(), config.gateway.id.as_str(), &stills)?;
    let subscribed = grid.wait_for(SUBSCRIBE_WITHIN, |received| (received.subscribed > 0).then_some(()));
    subscribed
        .ok_or_else(|| DemoError::Failed("the broker does not take the grid system's subscription".to_owned()))?;

    let started = Instant::now();
    let launch = Launch {
        program: daemon::program()?,
        config: directory.clone(),
        admin: config.admin,
        log: folder.join("snowgate.log"),
        arguments: Vec::new(),
    };
    println!("  daemon   {} run --config {}", print::shown(&launch.program), print::shown(&directory));
    println!("           its log: {}, its metrics: http://{}/metrics", print::shown(&launch.log), config.admin);
    let mut daemon = Daemon::start(launch)?;
    wait_ready(&mut daemon, interrupted)?;
    let _gauge = Gauge::start(broker.address())?;
    println!("  gauge    publishes the water level on {}", gauge::TOPIC);
    println!("  ready    after {:.1} s; what the grid system hears:\n", started.elapsed().as_secs_f64());

    let complete = watch(options, interrupted, &config, &grid, &mut daemon, started)?;
    let metrics = daemon.metrics()?;
    let last_words = daemon.last_log_lines(15);
    println!("\n{}", grid.look(|received| print::summary(&config, received, &metrics)));
    let stopped = daemon.stop(STOP_WITHIN)?;
    println!("the daemon stopped cleanly in {:.1} s", stopped.as_secs_f64());
    judge(&config, &grid, &metrics, complete || options.forever, &last_words)
}

fn serve_cameras() -> Result<RtspServer, DemoError> {
    let server = RtspServer::start_at(RTSP_PORT).map_err(|error| DemoError::Rtsp(error.to_string()))?;
    for (mount, clip) in CAMERAS {
        let file = repository().join("assets/media").join(clip);
        if !file.exists() {
            return Err(DemoError::Missing { file: print::shown(&file), target: "media" });
        }
        server.loop_file(mount, &file);
        println!("  camera   {} plays {}", server.url(mount), print::shown(&file));
    }
    Ok(server)
}

/// Waits until the daemon is ready, and hears signals meanwhile.
fn wait_ready(daemon: &mut Daemon, interrupted: &AtomicBool) -> Result<(), DemoError> {
    let started = Instant::now();
    loop {
        match daemon.wait_ready(LOOK_AFTER) {
            Err(DaemonError::NotReady { .. }) if interrupted.load(Ordering::Relaxed) => {
                return Err(DemoError::Failed("interrupted before the daemon was ready".to_owned()));
            }
            Err(DaemonError::NotReady { .. }) if started.elapsed() < READY_WITHIN => {}
            ready => return Ok(ready?),
        }
    }
}

/// Prints what arrives until it is enough; tells whether everything that must be shown has been.
fn watch(
    options: &Options,
    interrupted: &AtomicBool,
    config: &Config,
    grid: &GridSystem,
    daemon: &mut Daemon,
    started: Instant,
) -> Result<bool, DemoError> {
    let mut ticker = Ticker::default();
    let mut complete = false;
    loop {
        let news = grid.wait_for(LOOK_AFTER, |received| ticker.has_news(received).then(|| ticker.news(received)));
        news.into_iter().flatten().for_each(|line| println!("{line}"));
        daemon.ensure_running()?;
        if interrupted.load(Ordering::Relaxed) {
            return Ok(complete);
        }
        let elapsed = started.elapsed();
        complete = complete || elapsed <= SHOWN_WITHIN && grid.look(|received| missing(config, received).is_empty());
        let enough = if complete { elapsed >= options.at_least } else { elapsed >= SHOWN_WITHIN };
        if enough && !options.forever {
            return Ok(complete);
        }
    }
}

/// What the demo must show and has not yet.
fn missing(config: &Config, received: &Received) -> Vec<String> {
    let kinds = Wanted::ALL.into_iter().filter(|kind| !kind.has_arrived(config, received));
    let still = received.stills.is_empty().then(|| "a still".to_owned());
    let of_gauge = |event: &IncidentEvent| matches!(event.data.origin, Origin::Sensor(_));
    let flood = (!received.events.iter().any(of_gauge)).then(|| "an incident of the water level gauge".to_owned());
    let joined = (!joined_has_arrived(received))
        .then(|| "a critical incident that joins those of the gauge and of people on the bank".to_owned());
    kinds.map(|kind| format!("an incident of kind {kind}")).chain(still).chain(flood).chain(joined).collect()
}

/// Whether a joined incident has arrived that is worse than those it joins, a camera's and a sensor's.
fn joined_has_arrived(received: &Received) -> bool {
    let origin = |incident: &JoinedIncident| {
        let mut events = received.events.iter();
        events.find(|event| event.data.incident == incident.incident).map(|event| &event.data)
    };
    received.events.iter().any(|event| {
        let Origin::Joined(joined) = &event.data.origin else { return false };
        let joins: Vec<_> = joined.incidents.iter().filter_map(origin).collect();
        joins.iter().any(|data| matches!(data.origin, Origin::Camera(_)))
            && joins.iter().any(|data| matches!(data.origin, Origin::Sensor(_)))
            && event.data.severity == "critical"
            && joins.iter().all(|data| data.severity != "critical")
    })
}

/// Whether the grid system got what it should have got.
fn judge(
    config: &Config,
    grid: &GridSystem,
    metrics: &Metrics,
    complete: bool,
    last_words: &str,
) -> Result<(), DemoError> {
    let violations = grid.take_violations();
    grid.look(|received| {
        let mut wrong = Vec::new();
        let missing = missing(config, received);
        if !complete && missing.is_empty() {
            wrong.push(format!("everything arrived, but not within {} s", SHOWN_WITHIN.as_secs()));
        } else if !complete || received.events.is_empty() {
            wrong.push(format!("did not arrive: {}", missing.join(", ")));
            wrong.extend(silence(config, received, metrics));
            wrong.push(format!("the daemon's log ends with:\n{last_words}"));
        }
        let say = |what: &str, which: Vec<String>| (!which.is_empty()).then(|| format!("{what}: {}", which.join(", ")));
        wrong.extend(say("events that were sent and never arrived", received.holes()));
        let forged = received.forged_stills().iter().map(|still| print::shown(&still.file)).collect();
        wrong.extend(say("stills that are not those announced", forged));
        wrong.extend(say("messages that nobody could understand", received.rejected.clone()));
        wrong.extend(say("messages that are not as the schemas say", violations));
        wrong.extend(say("losses the gateway admits", received.gaps.iter().map(ToString::to_string).collect()));
        if wrong.is_empty() { Ok(()) } else { Err(DemoError::Failed(wrong.join("\n"))) }
    })
}

/// Of every rule that should have reported: what each stage saw, and which saw nothing.
fn silence(config: &Config, received: &Received, metrics: &Metrics) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in Wanted::ALL.into_iter().filter(|kind| !kind.has_arrived(config, received)) {
        for (camera, rule) in kind.rules(config) {
            let stages = stages::stages(metrics, received, camera, rule);
            let silent = stages::first_silent(&stages).map_or("nothing", |stage| stage.name);
            let state = received.states.get(&format!("camera/{camera}/state"));
            let state = state.map_or("unknown".to_owned(), ToString::to_string);
            lines.push(format!("{camera}/{rule}: no {silent}; camera {state}"));
            lines.extend(stages.iter().map(|stage| format!("  {:<40} {:>8}", stage.name, stage.count)));
        }
    }
    lines
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path, &error)),
        _ => Ok(()),
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", PathBuf::from(path).display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use snowgate::camera::address::Address;
    use snowgate_sensors::spec::SourceSpec;

    use super::*;

    #[test]
    fn the_configuration_is_the_one_that_is_played() {
        let config = Config::load(&repository().join("configs/demo")).unwrap();
        let wanted: BTreeSet<_> = config
            .cameras
            .iter()
            .map(|camera| match &camera.streams.watched {
                Address::Written(address) => address.clone(),
                asked => panic!("the demo asks nobody for addresses: {asked:?}"),
            })
            .collect();
        let played = CAMERAS.map(|(mount, _)| format!("rtsp://127.0.0.1:{RTSP_PORT}{mount}"));
        assert_eq!(wanted, played.into());
        let topics: Vec<_> = config
            .sensors
            .iter()
            .map(|sensor| match &sensor.source {
                SourceSpec::Mqtt(source) => source.topic.to_string(),
                other => panic!("the demo plays no {}", other.tag()),
            })
            .collect();
        assert_eq!(topics, [gauge::TOPIC]);
        for kind in Wanted::ALL {
            assert!(kind.rules(&config).next().is_some(), "no rule of kind {kind}");
        }
        assert!(config.data.ends_with("target/demo/data"), "{}", config.data.display());
        assert!(format!("{:?}", config.broker).contains(&format!("127.0.0.1:{MQTT_PORT}")), "{:?}", config.broker);
    }
}
