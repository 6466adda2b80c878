//! Starts, wires, joins and stops everything. The order of starting is the order in which data arrives, backwards: what
//! takes data stands before what gives it; stopping goes the other way, so that what is on its way gets home.

mod board;
pub mod cameras;
pub mod models;
pub mod sensors;
mod stop;
mod verify;

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::Sender;
use sd_notify::NotifyState;
use snowgate_core::{ids::Id, incidents::event::Gateway, rules::RuleError, sensor::watch::WatchError, time::Clock};
use snowgate_sensors::intake::Intake;

use self::{board::Board, models::LoadedModels, stop::Stopping};
pub use self::{board::CameraStateMessage, stop::on_signals};
use crate::{
    admin,
    camera::{
        decode::Decoders,
        gop_ring::GopRing,
        health::HealthTracker,
        receive::{Receiver, ReceiverConfig},
        spec::StreamRole,
    },
    clock::SystemClock,
    config::{self, CameraConfig, Config, Problems, last_good},
    events::{
        clock::ClockJudged,
        config::{LastGoodUsed, Loaded},
    },
    evidence::{
        access_log::{AccessLog, AccessLogError},
        detectors::StillModels,
        files::{EvidenceFiles, FilesError, Limits},
        worker::{self, StillReady},
    },
    health::{Health, Part},
    reporting::{self, Item, Reporting, StillRequests},
    sensor::state::StateSink,
    shutdown::Shutdown,
    store::{Store, StoreError},
    uplink::{RetainedStates, Topics, Uplink, UplinkConfig},
    uptime::{Kind, Uptimes},
    vision::scene::files::SceneFiles,
    watch::{Tools, Watched, Workers, lookout},
};

/// Stopping may take so long; systemd's own limit is longer.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Commands of the grid system that wait; the broker keeps the rest.
const QUEUED_COMMANDS: usize = 1024;

/// What a packet needs beside a still: its header, and its topic, of which ids are the larger part.
const STILL_TOPIC: u64 = 512;

/// How often the main thread looks after the others, tells the watchdog and refreshes slow gauges.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// What `snowgate run` was told on the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration directory.
    pub config: PathBuf,
    /// Where state is kept, instead of what the configuration says.
    pub data: Option<PathBuf>,
}

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Neither the configuration nor the last good one can be used.
    #[error("no usable configuration")]
    Config(Problems),
    /// The store cannot be opened.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// A sensor cannot be watched as it is described; a checked configuration has no such sensor.
    #[error("sensor {sensor}: {source}")]
    Sensor {
        /// Which.
        sensor: Id,
        /// Why.
        source: WatchError,
    },
    /// A rule cannot be followed; a checked configuration has no such rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The admin interface cannot be offered.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// The evidence directory cannot be used.
    #[error("evidence: {0}")]
    Evidence(#[from] FilesError),
    /// The access log cannot be used.
    #[error("access log: {0}")]
    AccessLog(#[from] AccessLogError),
    /// The system gave no thread, runtime or signal.
    #[error("cannot start a thread: {0}")]
    System(#[from] std::io::Error),
    /// GStreamer cannot be used.
    #[error("GStreamer cannot be used: {0}")]
    GStreamer(#[from] gstreamer::glib::Error),
    /// A thread or task ended that should not have.
    #[error("{0} ended by itself; the log says why")]
    PartLost(String),
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// It could not start, or a part of it ended by itself.
pub fn run(options: &Options) -> Result<(), RunError> {
    let shutdown = Shutdown::new();
    on_signals(shutdown.clone())?;
    gstreamer::init()?;

    let (config, models, decoders, origin) = load(options)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::trusting(config.gateway.trust_clock));
    let data = options.data.clone().unwrap_or_else(|| config.data.clone());
    log_problems(&config.problems);
    let health = Arc::new(Health::default());
    health.set(Part::Models, Ok(()));

    let (store, opened) = Store::open(&data, &config.storage, config.max_packet, Arc::clone(&clock))?;
    if let Some(set_aside) = &opened.set_aside {
        tracing::error!(path = %set_aside.path.display(), reason = set_aside.reason, "damaged store set aside");
    }
    health.set(Part::Outbox, Ok(()));

    let (admin_thread, admin_address) = admin::spawn(config.admin, Arc::clone(&health), shutdown.clone())?;
    tracing::info!(address = %admin_address, "admin interface");

    let topics = Topics::new(&config.gateway.id);
    let retained = RetainedStates::new();
    let uptimes = Arc::new(Uptimes::default());
    let board =
        Board::new(topics.clone(), retained.clone(), Arc::clone(&health), Arc::clone(&uptimes), Arc::clone(&clock));
    let sensor_states = {
        let (retained, uptimes, clock) = (retained.clone(), Arc::clone(&uptimes), Arc::clone(&clock));
        StateSink::new(move |sensor, state, payload| {
            uptimes.set(Kind::Sensor, sensor, state.is_up(), clock.mono());
            retained.set(topics.sensor_state(sensor), payload);
        })
    };
    let (commands, commanded) = crossbeam_channel::bounded(QUEUED_COMMANDS);
    let network =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("network").enable_all().build()?;
    let uplink = Uplink::spawn(
        UplinkConfig {
            gateway: config.gateway.id.clone(),
            broker: config.broker.clone(),
            store: store.clone(),
            retained: retained.clone(),
            commands,
            clock: Arc::clone(&clock),
            shutdown: shutdown.clone(),
        },
        network.handle(),
    );

    let (items, queued) = reporting::queue();
    let (look_ends, look_queues) = verify::queues();
    let evidence = start_evidence(&config, &models, (items.clone(), look_ends.made), &clock, &shutdown, &data)?;
    let (evidence_thread, stills) = evidence.unzip();
    let verify_stills = stills.clone();
    let lookout_stills = stills.clone().filter(|_| !config.sensors.is_empty());
    let (looks, wished) = crossbeam_channel::bounded(lookout::QUEUED);
    let looks = lookout_stills.is_some().then_some(looks);
    let reporting_thread = Reporting {
        locale: config.gateway.locale,
        gateway: Gateway { id: config.gateway.id.clone(), time_zone: config.gateway.time_zone.clone() },
        config_digest: config.digest(),
        calendar: Arc::clone(&config.calendar),
        store: store.clone(),
        commands: commanded,
        stills,
        looks: looks.clone(),
        look_again: look_ends.look_again,
        verify: config.verify.clone(),
        access_log: open_access_log(&data)?,
        retained,
        uptimes,
        health: Arc::clone(&health),
        clock: Arc::clone(&clock),
        shutdown: shutdown.clone(),
    }
    .spawn(queued)?;

    let mut threads: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
    let watched = config.cameras.iter().filter(|camera| camera.is_watched());
    let watched: Vec<_> =
        watched.map(|camera| (camera, Arc::new(GopRing::new(camera.id.clone(), &camera.ring)))).collect();
    let trackers: Vec<_> =
        watched.iter().map(|(camera, _)| HealthTracker::new(camera.id.clone(), board.sink())).collect();
    let scene_files = SceneFiles::beneath(&data);
    let cameras = watched_cameras(&config, &models, &scene_files, &watched, &trackers)?;
    let tools = Tools::new(pool_size(config.workers.decode.value), decoders);
    let workers = Workers::new(cameras, tools, items.clone(), Arc::clone(&clock), shutdown.clone());
    start_workers(&config, &models, &workers, &mut threads)?;
    threads.insert("scenes".to_owned(), workers.spawn_keeper(scene_files)?);
    // Every thread has its sessions: the files they were opened from need no memory any more.
    let sensor_models = models.into_sensors();
    for (index, ((camera, ring), health)) in watched.iter().zip(trackers).enumerate() {
        ring.on_push(Box::new(workers.waker(index)));
        for (role, address) in camera.stream.streams() {
            let receiver = ReceiverConfig {
                address: address.to_owned(),
                stream: camera.stream.clone(),
                password: camera.password.clone(),
                ring: match role {
                    StreamRole::Detect => Arc::clone(ring),
                    StreamRole::Record => Arc::new(GopRing::new(camera.id.clone(), &camera.ring).of(role)),
                },
                clock: Arc::clone(&clock),
                shutdown: shutdown.clone(),
                health: health.clone(),
            };
            threads.insert(receiver.thread_name(), Receiver::spawn(receiver)?);
        }
    }
    for camera in config.cameras.iter().filter(|camera| camera.enabled) {
        if let Some(reason) = &camera.refused {
            board.refused(&camera.id, reason);
        }
    }
    if watched.is_empty() {
        health.set(Part::Cameras, Ok(()));
    }
    if let Some(stills) = lookout_stills {
        let viewpoints = watched.iter().map(|(camera, ring)| cameras::viewpoint(camera, ring)).collect();
        threads.insert("lookout".to_owned(), workers.lookout(viewpoints, stills).spawn(wished)?);
    }
    // Held to the end: the judge stops with everything else, not when the last adapter gives up.
    let (intake, told) = Intake::new(Arc::clone(&clock));
    let (judge, sensor_watchables) =
        sensors::spawn_judge(&config, &sensor_models, told, items.clone(), sensor_states, &clock, &shutdown)?;
    threads.insert("sensors".to_owned(), judge);
    let stills = verify::Stills { own: verify_stills, lookout: looks };
    let verifier = verify::spawn(&workers, sensor_watchables, stills, look_queues, items, &clock, &shutdown)?;
    threads.insert("verify".to_owned(), verifier);
    sensors::spawn_adapters(&config, &intake, &shutdown, network.handle());

    if origin == Origin::Given
        && let Err(error) = last_good::save(&config, &data)
    {
        tracing::error!(%error, "this start's configuration is not kept for a bad one's sake");
    }
    tracing::info!(
        gateway = %config.gateway.id,
        cameras = watched.len(),
        sensors = config.sensors.iter().filter(|sensor| sensor.is_watched()).count(),
        config = config.digest(),
        version = env!("CARGO_PKG_VERSION"),
        "snowgate is running"
    );
    notify(&[NotifyState::Ready]);

    let lost = look_after(&store, &*clock, &shutdown, || {
        let others = [
            ("store", store.has_stopped()),
            ("reporting", reporting_thread.is_finished()),
            ("evidence", evidence_thread.as_ref().is_some_and(JoinHandle::is_finished)),
            ("uplink", uplink.has_stopped()),
            ("admin", admin_thread.is_finished()),
        ];
        let threads = threads.iter().map(|(name, thread)| (name.as_str(), thread.is_finished()));
        others.into_iter().chain(threads).find(|(_, finished)| *finished).map(|(name, _)| name.to_owned())
    });
    shutdown.trigger();
    notify(&[NotifyState::Stopping]);

    let mut stopping = Stopping::within(STOP_WITHIN);
    for (name, thread) in threads {
        stopping.join(&name, thread);
    }
    // With the workers goes the last sender of findings but the evidence thread's.
    drop(workers);
    if let Some(thread) = evidence_thread {
        stopping.join("evidence", thread);
    }
    stopping.join("reporting", reporting_thread);
    let stopped = network.block_on(async { tokio::time::timeout(stopping.left(), uplink.stopped()).await });
    if stopped.is_err() {
        stopping.missed("uplink");
    }
    network.shutdown_timeout(stopping.left());
    stopping.join("admin", admin_thread);
    drop(store);
    let in_time = stopping.finish();
    tracing::info!(in_time, "stopped");
    lost.map_or(Ok(()), |part| Err(RunError::PartLost(part)))
}

/// Where the configuration in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The directory that was given.
    Given,
    /// The copy of the last good one.
    LastGood,
}

/// The configuration that was given, or else the last good one, loudly (I4).
fn load(options: &Options) -> Result<(Config, LoadedModels, Decoders, Origin), RunError> {
    let problems = match Config::load(&options.config).and_then(models::preflight) {
        Ok((config, models, decoders)) => {
            Loaded { directory: &options.config, digest: &config.digest() }.emit();
            return Ok((config, models, decoders, Origin::Given));
        }
        Err(problems) => problems,
    };
    log_problems(&problems);
    let data = options.data.clone().unwrap_or_else(|| last_good::data_directory(&options.config));
    match last_good::load(&data, &options.config).and_then(models::preflight) {
        Ok((config, models, decoders)) => {
            let errors = problems.count(config::Severity::Error);
            LastGoodUsed { directory: &options.config, errors }.emit();
            Ok((config, models, decoders, Origin::LastGood))
        }
        Err(_) => Err(RunError::Config(problems)),
    }
}

fn log_problems(problems: &Problems) {
    for problem in problems.iter() {
        match problem.severity {
            config::Severity::Error => tracing::error!("{problem}"),
            config::Severity::Warning => tracing::warn!("{problem}"),
        }
    }
}

/// The access log; one whose chain is broken is put aside for whoever has to look at it, and a new one begun.
fn open_access_log(data: &Path) -> Result<AccessLog, RunError> {
    let (log, broken) = AccessLog::open(data)?;
    if let Some(error) = broken {
        tracing::error!(%error, "the access log has been tampered with or damaged: it is put aside");
    }
    Ok(log)
}

type Evidence = (JoinHandle<()>, StillRequests);

fn start_evidence(
    config: &Config,
    models: &LoadedModels,
    (items, made_for_looks): (reporting::Items, Sender<StillReady>),
    clock: &Arc<dyn Clock>,
    shutdown: &Shutdown,
    data: &Path,
) -> Result<Option<Evidence>, RunError> {
    if !config.evidence.stills {
        return Ok(None);
    }
    let limits =
        Limits { quota: config.storage.evidence_quota.0, keep: config.evidence.keep.0, reserve: Limits::RESERVE };
    let files = EvidenceFiles::open(&data.join("evidence"), limits)?;
    let spec = config.evidence.clone();
    let (stopping, runtime) = (shutdown.clone(), models.runtime().cloned());
    let (face, object) =
        (models.manifest(&config.models.face).cloned(), models.manifest(&config.models.object).cloned());
    let folder = config.models.directory.clone();
    let max_bytes = usize::try_from(config.max_packet.0.saturating_sub(STILL_TOPIC)).unwrap_or(usize::MAX);
    let open = move || match (&runtime, &face, &object) {
        (Some(runtime), Some(face), Some(object)) => {
            let maker = StillModels { runtime, face, object, folder: &folder }.open(&spec, stopping.clone())?;
            Ok(maker.at_most(max_bytes))
        }
        _ => Err("the gateway's face or object model is not usable".into()),
    };
    let ready = move |still: StillReady| {
        // The reporting thread outlives this one; it takes every still that is made. One that was made for a look is nobody's
        // once there is no verifier any more.
        let _ = match still.verification {
            None => items.send(Item::Still(Box::new(still))).is_ok(),
            Some(_) => made_for_looks.try_send(still).is_ok(),
        };
    };
    Ok(Some(worker::spawn(open, files, Arc::clone(clock), shutdown.clone(), ready)?))
}

/// What the workers need of every camera that is watched.
fn watched_cameras(
    config: &Config,
    models: &LoadedModels,
    files: &SceneFiles,
    watched: &[(&CameraConfig, Arc<GopRing>)],
    trackers: &[HealthTracker],
) -> Result<Vec<Watched>, RunError> {
    let camera = |((camera, ring), tracker): (&(&CameraConfig, Arc<GopRing>), &HealthTracker)| {
        let rules = cameras::watched_rules(config, camera, models);
        // What the files cannot give has been told of: it is learnt anew.
        let _ = files.is_to_forget(&camera.id);
        let learnt = files.health(&camera.id).ok().flatten().unwrap_or_default();
        let scene = cameras::scene(camera, &config.schedules, learnt, tracker.clone()).map_err(RuleError::from)?;
        let anomaly = cameras::anomaly(camera, Some(files));
        Ok(Watched::new(
            Arc::clone(ring),
            &camera.detect,
            cameras::watcher(camera, &config.schedules)?,
            scene,
            anomaly,
            rules,
        ))
    };
    watched.iter().zip(trackers).map(camera).collect()
}

/// Starts the decoding and inference threads, and the one that applies the overload policy.
fn start_workers(
    config: &Config,
    models: &LoadedModels,
    workers: &Workers,
    threads: &mut BTreeMap<String, JoinHandle<()>>,
) -> Result<(), RunError> {
    for number in 0..pool_size(config.workers.decode.value) {
        threads.insert(format!("decode-{number}"), workers.spawn_decode(number)?);
    }
    for number in 0..pool_size(config.workers.infer.value) {
        threads.insert(format!("infer-{number}"), workers.spawn_infer(number, models.for_thread())?);
    }
    threads.insert("steward".to_owned(), workers.spawn_steward()?);
    Ok(())
}

/// As many threads as configured, or one a core.
fn pool_size(configured: u32) -> usize {
    match usize::try_from(configured) {
        Ok(0) | Err(_) => thread::available_parallelism().map_or(1, NonZero::get),
        Ok(configured) => configured,
    }
}

/// Tells the watchdog and refreshes slow gauges until it is time to stop. Answers the part that has ended by itself, if one
/// has: a daemon that has lost a part of itself stops, and systemd starts it anew.
fn look_after(
    store: &Store,
    clock: &dyn Clock,
    shutdown: &Shutdown,
    ended: impl Fn() -> Option<String>,
) -> Option<String> {
    let mut synchronised = None;
    while !shutdown.wait_for(LOOK_AFTER) {
        if let Some(part) = ended() {
            // It may have ended because all of them have just been told to.
            if shutdown.is_triggered() {
                break;
            }
            tracing::error!(part, "a part of the daemon ended by itself: stopping");
            return Some(part);
        }
        let now = clock.now().synchronised;
        if synchronised.replace(now) != Some(now) {
            ClockJudged { synchronised: now }.emit();
        }
        store.observe();
        notify(&[NotifyState::Watchdog]);
    }
    None
}

/// Tells systemd, where there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
