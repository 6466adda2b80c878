//! Starts, wires, joins and stops everything. The order of starting is the order in which data arrives, backwards: what
//! takes data stands before what gives it; stopping goes the other way, so that what is on its way gets home.
//!
//! What is watched follows the configuration: the cameras ([`fleet`]), the sensors ([`sensors`]) and the adapters that hear
//! them ([`adapters`]) are told at the start what there is, and again whenever that changes ([`reload`]).

mod adapters;
mod board;
pub mod cameras;
mod clips;
mod config_state;
mod fleet;
mod joined;
pub mod models;
mod reload;
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

use self::{
    adapters::Adapters,
    board::Board,
    clips::Clips,
    config_state::ConfigState,
    fleet::Fleet,
    models::LoadedModels,
    reload::{Next, ReloadWish},
    sensors::Sensors,
    stop::Stopping,
};
pub use self::{
    board::CameraStateMessage,
    config_state::{ConfigStateMessage, Origin, Refusal},
    stop::on_signals,
};
use crate::{
    admin,
    camera::decode::Decoders,
    clock::SystemClock,
    config::{
        self, Config, Problems,
        directory_watch::{DirectoryWatch, Snapshot},
        last_good,
    },
    current::Current,
    events::{
        clock::ClockJudged,
        config::{LastGoodUsed, Loaded},
    },
    evidence::{
        access_log::{AccessLog, AccessLogError},
        clip,
        detectors::StillModels,
        files::{EVIDENCE, EvidenceFiles, FilesError, Keeping, RESERVE},
        keeper,
        still::StillMaker,
        worker::{self, OpenError, StillReady},
    },
    handover::{HANDED_OVER, Mark},
    health::{Health, Part},
    reporting::{self, Item, Items, Reporting, StillRequests},
    sensor::state::StateSink,
    shutdown::Shutdown,
    store::{Store, StoreError},
    uplink::{RetainedStates, Topics, Uplink, UplinkConfig},
    uptime::{Kind, Uptimes},
    verify::Watchables,
    vision::scene::files::SceneFiles,
    watch::{Tools, Workers, lookout},
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
    /// The state of this box was handed over to another one.
    #[error(
        "the state of this box was handed over{}: another box goes on with it, and this one would tell everything again. If none \
         does, delete {}",
        .0.as_ref().map(|mark| format!(" at {} ({})", mark.at, mark.file.display())).unwrap_or_default(),
        .1.display()
    )]
    HandedOver(Option<Mark>, PathBuf),
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

/// How a daemon that had nothing wrong with it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// What it is built upon has changed in its configuration: it is to be started anew.
    ToStartAnew,
}

/// What is in force, and what follows it.
struct Daemon {
    options: Options,
    config: Config,
    models: LoadedModels,
    /// Where state is kept.
    data: PathBuf,
    fleet: Fleet,
    sensors: Sensors,
    adapters: Adapters,
    /// What evidence there is.
    evidence: EvidenceFiles,
    /// Who can be asked to look again.
    watched: Current<Watchables>,
    items: Items,
    state: ConfigState,
    directory: DirectoryWatch,
    wish: ReloadWish,
    clock: Arc<dyn Clock>,
}

/// Refuses a data directory whose state another box goes on with.
fn refuse_handed_over(data: &Path) -> Result<(), RunError> {
    let path = data.join(HANDED_OVER);
    match Mark::on(data) {
        Ok(Some(mark)) => Err(RunError::HandedOver(mark.ok(), path)),
        Ok(None) => Ok(()),
        Err(source) => Err(StoreError::File { path, source }.into()),
    }
}

/// Runs the daemon until it is told to stop, or is to start anew.
///
/// # Errors
/// It could not start, or a part of it ended by itself.
pub fn run(options: &Options) -> Result<Ended, RunError> {
    let (shutdown, wish) = (Shutdown::new(), ReloadWish::default());
    on_signals(shutdown.clone(), Some(wish.clone()))?;
    gstreamer::init()?;

    // Looked at first: what changes while it is read is read again.
    let directory = DirectoryWatch::new(Snapshot::of(&options.config));
    let (config, mut models, decoders, refused) = load(options)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::trusting(config.gateway.trust_clock));
    let data = options.data.clone().unwrap_or_else(|| config.data.clone());
    log_problems(&config.problems);
    let health = Arc::new(Health::default());
    health.set(Part::Models, Ok(()));

    refuse_handed_over(&data)?;
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
    let state = config_state(&config, refused.as_ref(), &topics, &retained, &*clock);
    let board =
        Board::new(topics.clone(), retained.clone(), Arc::clone(&health), Arc::clone(&uptimes), Arc::clone(&clock));
    let sensor_states = sensor_states(topics, &retained, &uptimes, &clock);
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
    let access_log = AccessLog::open(&data)?;
    let files = open_evidence(&config, &data, access_log.clone(), &*clock)?;
    let ready = (items.clone(), look_ends.made);
    let evidence = start_evidence(&config, &models, ready, files.clone(), &clock, &shutdown)?;
    let (evidence_thread, stills) = evidence.unzip();
    let verify_stills = stills.clone();
    let lookout_stills = stills.clone();
    let clip_stills = stills.clone();
    let (clips, clip_wishes) = clip::queue();
    let (looks, wished) = crossbeam_channel::bounded(lookout::QUEUED);
    let looks = lookout_stills.is_some().then_some(looks);
    let reporting_thread = Reporting {
        locale: config.gateway.locale,
        gateway: Gateway { id: config.gateway.id.clone(), time_zone: config.gateway.time_zone.clone() },
        config_digest: config.digest(),
        joined: joined::joined(&config)?,
        calendar: Arc::clone(&config.calendar),
        store: store.clone(),
        commands: commanded,
        stills,
        clips,
        looks: looks.clone(),
        look_again: look_ends.look_again,
        verify: config.verify.clone(),
        access_log: access_log.clone(),
        signing_key: config.signing_key.clone(),
        retained,
        uptimes,
        health: Arc::clone(&health),
        clock: Arc::clone(&clock),
        shutdown: shutdown.clone(),
    }
    .spawn(queued)?;

    let mut threads: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
    let scene_files = SceneFiles::beneath(&data);
    let tools = Tools::new(pool_size(config.workers.decode.value), decoders);
    let workers = Workers::new(tools, items.clone(), Arc::clone(&clock), shutdown.clone());
    start_workers(&config, &models, &workers, &mut threads)?;
    threads.insert("scenes".to_owned(), workers.spawn_keeper(scene_files.clone())?);
    // Every thread has its sessions.
    models.let_go_of_files();
    let fleet = Fleet::new(workers.clone(), board, scene_files, Arc::clone(&clock), shutdown.clone());
    let reported = items.clone();
    let tell = move |deleted| drop(reported.send(Item::Deleted(deleted)));
    threads.insert(
        "retention".to_owned(),
        keeper::spawn(files.clone(), access_log, Arc::clone(&clock), shutdown.clone(), tell)?,
    );
    Clips {
        rings: fleet.evidence_rings.clone(),
        files: files.clone(),
        open: still_maker(&config, &models, &shutdown),
        stills: clip_stills,
        items: items.clone(),
        clock: Arc::clone(&clock),
        shutdown: shutdown.clone(),
    }
    .spawn(&config, clip_wishes, &mut threads)?;
    if let Some(stills) = lookout_stills {
        threads.insert("lookout".to_owned(), workers.lookout(fleet.viewpoints.clone(), stills).spawn(wished)?);
    }
    let (intake, told) = Intake::new(Arc::clone(&clock));
    let (sensors, judge) = Sensors::spawn(&config, told, items.clone(), sensor_states, &clock, &shutdown)?;
    threads.insert("sensors".to_owned(), judge);
    let adapters = Adapters::new(intake, network.handle().clone(), shutdown.clone());
    let watched = Current::new(Watchables::new());
    let stills = verify::Stills { own: verify_stills, lookout: looks };
    let verifier = verify::spawn(watched.clone(), stills, look_queues, items.clone(), &clock, &shutdown)?;
    threads.insert("verify".to_owned(), verifier);

    let options = options.clone();
    let mut daemon = Daemon {
        options,
        config,
        models,
        data,
        fleet,
        sensors,
        adapters,
        evidence: files,
        watched,
        items,
        state,
        directory,
        wish,
        clock,
    };
    daemon.begin(refused.is_none())?;
    notify(&[NotifyState::Ready]);

    let ended = daemon.look_after(&store, &shutdown, || {
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
    daemon.stop(&mut stopping);
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
    ended
}

impl Daemon {
    /// What is configured is watched from now on. `is_given`: it is what lies in the directory.
    fn begin(&mut self, is_given: bool) -> Result<(), RunError> {
        self.watch(None)?;
        if is_given && let Err(error) = last_good::save(&self.config, &self.data) {
            tracing::error!(%error, "this start's configuration is not kept for a bad one's sake");
        }
        tracing::info!(
            gateway = %self.config.gateway.id,
            cameras = self.fleet.len(),
            sensors = self.config.sensors.iter().filter(|sensor| sensor.is_watched()).count(),
            config = self.config.digest(),
            version = env!("CARGO_PKG_VERSION"),
            "snowgate is running"
        );
        Ok(())
    }

    /// From now on what is configured is watched; until now it was what is said in `before`.
    fn watch(&mut self, before: Option<&Config>) -> Result<(), RunError> {
        self.fleet.follow(before, &self.config, &self.models)?;
        self.sensors.follow(before, &self.config, self.models.sensors())?;
        self.adapters.follow(&self.config);
        self.evidence.keep_by(self.config.retention());
        self.watched.set(verify::watchables(&self.fleet.workers, self.sensors.watchables()));
        Ok(())
    }

    /// Tells the watchdog, refreshes slow gauges and follows the configuration until it is time to stop. A daemon that has lost
    /// a part of itself stops, and systemd starts it anew.
    fn look_after(
        &mut self,
        store: &Store,
        shutdown: &Shutdown,
        ended: impl Fn() -> Option<String>,
    ) -> Result<Ended, RunError> {
        let mut synchronised = None;
        while !shutdown.wait_for(LOOK_AFTER) {
            if let Some(part) = ended().or_else(|| self.fleet.ended().map(str::to_owned)) {
                // It may have ended because all of them have just been told to.
                if shutdown.is_triggered() {
                    break;
                }
                tracing::error!(part, "a part of the daemon ended by itself: stopping");
                return Err(RunError::PartLost(part));
            }
            let now = self.clock.now().synchronised;
            if synchronised.replace(now) != Some(now) {
                ClockJudged { synchronised: now }.emit();
            }
            store.observe();
            notify(&[NotifyState::Watchdog]);
            if self.reload_if_due()? == Next::StartAnew {
                return Ok(Ended::ToStartAnew);
            }
        }
        Ok(Ended::Stopped)
    }

    /// Everything has been told to stop: waits for what listens and watches.
    fn stop(self, stopping: &mut Stopping) {
        self.fleet.join(stopping);
    }
}

/// The configuration that was given, or else, loudly (I4), the last good one, with why the other one is refused.
fn load(options: &Options) -> Result<(Config, LoadedModels, Decoders, Option<Problems>), RunError> {
    let problems = match Config::load(&options.config).and_then(models::preflight) {
        Ok((config, models, decoders)) => {
            Loaded { directory: &options.config, digest: &config.digest() }.emit();
            return Ok((config, models, decoders, None));
        }
        Err(problems) => problems,
    };
    log_problems(&problems);
    let data = options.data.clone().unwrap_or_else(|| last_good::data_directory(&options.config));
    match last_good::load(&data, &options.config).and_then(models::preflight) {
        Ok((config, models, decoders)) => {
            let errors = problems.count(config::Severity::Error);
            LastGoodUsed { directory: &options.config, errors }.emit();
            Ok((config, models, decoders, Some(problems)))
        }
        Err(_) => Err(RunError::Config(problems)),
    }
}

fn config_state(
    config: &Config,
    refused: Option<&Problems>,
    topics: &Topics,
    retained: &RetainedStates,
    clock: &dyn Clock,
) -> ConfigState {
    let since = clock.now().wall;
    let message = ConfigStateMessage {
        digest: config.digest(),
        origin: if refused.is_some() { Origin::LastGood } else { Origin::Given },
        generation: 1,
        since,
        refused: refused.map(|problems| Refusal::new(problems, since)),
    };
    ConfigState::new(message, topics, retained.clone())
}

/// Where sensors' states are told.
fn sensor_states(
    topics: Topics,
    retained: &RetainedStates,
    uptimes: &Arc<Uptimes>,
    clock: &Arc<dyn Clock>,
) -> StateSink {
    let (retained, uptimes, clock) = (retained.clone(), Arc::clone(uptimes), Arc::clone(clock));
    StateSink::new(move |sensor, told| match told {
        Some((state, payload)) => {
            uptimes.set(Kind::Sensor, sensor, state.is_up(), clock.mono());
            retained.set(topics.sensor_state(sensor), payload);
        }
        None => {
            uptimes.forget(Kind::Sensor, sensor);
            retained.remove(topics.sensor_state(sensor));
        }
    })
}

fn log_problems(problems: &Problems) {
    for problem in problems.iter() {
        match problem.severity {
            config::Severity::Error => tracing::error!("{problem}"),
            config::Severity::Warning => tracing::warn!("{problem}"),
        }
    }
}

type Evidence = (JoinHandle<()>, StillRequests);

/// Where evidence lies.
fn open_evidence(config: &Config, data: &Path, log: AccessLog, clock: &dyn Clock) -> Result<EvidenceFiles, FilesError> {
    let keeping = Keeping {
        gateway: config.gateway.id.clone(),
        key: config.signing_key.clone(),
        retention: config.retention(),
        reserve: RESERVE,
        log,
        boot: clock.boot_id().clone(),
    };
    EvidenceFiles::open(&data.join(EVIDENCE), keeping)
}

/// What loads the models that stills and covered clips are made with.
fn still_maker(
    config: &Config,
    models: &LoadedModels,
    shutdown: &Shutdown,
) -> impl FnMut() -> Result<StillMaker, OpenError> + Send + use<> {
    let spec = config.evidence.clone();
    let (stopping, runtime) = (shutdown.clone(), models.runtime().cloned());
    let (face, object) =
        (models.manifest(&config.models.face).cloned(), models.manifest(&config.models.object).cloned());
    let folder = config.models.directory.clone();
    move || match (&runtime, &face, &object) {
        (Some(runtime), Some(face), Some(object)) => {
            StillModels { runtime, face, object, folder: &folder }.open(&spec, stopping.clone())
        }
        _ => Err("the gateway's face or object model is not usable".into()),
    }
}

fn start_evidence(
    config: &Config,
    models: &LoadedModels,
    (items, made_for_looks): (Items, Sender<StillReady>),
    files: EvidenceFiles,
    clock: &Arc<dyn Clock>,
    shutdown: &Shutdown,
) -> Result<Option<Evidence>, RunError> {
    if !config.evidence.stills {
        return Ok(None);
    }
    let max_bytes = usize::try_from(config.max_packet.0.saturating_sub(STILL_TOPIC)).unwrap_or(usize::MAX);
    let mut open_models = still_maker(config, models, shutdown);
    let open = move || open_models().map(|maker| maker.at_most(max_bytes));
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

/// Tells systemd, where there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
