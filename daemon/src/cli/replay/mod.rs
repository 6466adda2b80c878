//! `snowgate replay`: the same path on a file as on a camera, as fast as it can, with the file's own timestamps.
//!
//! The camera's gate decides what is decoded, as it does live; every picture that is due is looked at, none gives way, and ids are counted, so that the same clip and configuration
//! give the same bytes every time on one machine.

mod expect;

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use snowgate_core::{
    ids::{CountedIds, Id},
    incidents::{Book, Incident},
    rules::Finding,
    time::{Clock as _, ManualClock, Mono},
};

use self::expect::ReplayedIncident;
use super::{Format, exit::Exit};
use crate::{
    camera::{
        access_unit::{AccessUnit, Arrival},
        clip::ClipReader,
        decode::Decoders,
        gop_ring::GopRing,
    },
    config::{CameraConfig, Config},
    reporting::{WatchedRule, rule_of},
    run::{
        cameras,
        models::{LoadedModels, preflight},
    },
    vision::{analyser::VisionError, model::Models},
    watch::{LookDecoders, Outcome, Tools, Watched},
};

/// The most that a golden file may hold.
const MAX_GOLDEN_BYTES: u64 = 16 << 20;

/// Arguments of `snowgate replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// The camera whose zones and rules are used.
    #[arg(long, value_name = "ID")]
    camera: Id,
    /// The video file: any container with H.264 or H.265 in it.
    clip: PathBuf,
    /// How to print incidents; json is one a line.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Wall-clock time of the clip's beginning.
    #[arg(long, value_name = "TIME", default_value = "2000-01-01T00:00:00Z")]
    start: jiff::Timestamp,
    /// File of expected incidents, as --format json prints them; differences end with code 65.
    #[arg(long, value_name = "GOLDEN")]
    expect: Option<PathBuf>,
}

/// Why a replay came to nothing.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("{0}")]
    Config(String),
    #[error("there is no camera {camera} in {}", directory.display())]
    NoCamera { camera: Id, directory: PathBuf },
    #[error("camera {camera} is refused: {reason}")]
    Refused { camera: Id, reason: String },
    #[error("{0}")]
    Data(String),
    #[error("{}: {source}", path.display())]
    Golden { path: PathBuf, source: io::Error },
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl ReplayError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::NoCamera { .. } | Self::Refused { .. } => Exit::BadConfig,
            Self::Data(_) | Self::Golden { .. } => Exit::BadData,
            Self::Print(_) => Exit::Io,
        }
    }
}

impl Replay {
    /// Replays and prints; [`Exit::BadData`] where the clip is no video or the result is not the expected one.
    pub fn run(self) -> Exit {
        match self.replay() {
            Ok(exit) => exit,
            Err(error) => {
                eprintln!("snowgate: {error}");
                error.exit()
            }
        }
    }

    fn replay(&self) -> Result<Exit, ReplayError> {
        let (config, models, decoders) = self.load()?;
        let no_camera = || ReplayError::NoCamera { camera: self.camera.clone(), directory: self.config.clone() };
        let camera = config.camera(&self.camera).ok_or_else(no_camera)?;
        if let Some(reason) = &camera.refused {
            return Err(ReplayError::Refused { camera: camera.id.clone(), reason: reason.clone() });
        }
        let began = Instant::now();
        let mut player = Player::new(&config, camera, &models, decoders, self.start)?;
        let stats = player.play(ClipReader::open(&self.clip, camera.id.clone()).map_err(data)?)?;
        let incidents = player.into_incidents();
        self.print(&incidents)?;
        eprintln!(
            "{}: {} pictures, {} looked at, {} incident(s), {:.1} s",
            self.clip.display(),
            stats.pictures,
            stats.looked_at,
            incidents.len(),
            began.elapsed().as_secs_f64()
        );
        self.compare(&incidents)
    }

    fn load(&self) -> Result<(Config, LoadedModels, Decoders), ReplayError> {
        let loaded = Config::load(&self.config).and_then(preflight);
        loaded.map_err(|problems| ReplayError::Config(problems.render(false)))
    }

    fn print(&self, incidents: &[ReplayedIncident]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for incident in incidents {
            match self.format {
                Format::Json => {
                    serde_json::to_writer(&mut out, incident)?;
                    writeln!(out)?;
                }
                Format::Human => writeln!(out, "{incident}")?,
            }
        }
        out.flush()
    }

    fn compare(&self, found: &[ReplayedIncident]) -> Result<Exit, ReplayError> {
        let Some(path) = &self.expect else { return Ok(Exit::Ok) };
        let unreadable = |source| ReplayError::Golden { path: path.clone(), source };
        if fs::metadata(path).map_err(unreadable)?.len() > MAX_GOLDEN_BYTES {
            return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let expected =
            expect::parse(&text).map_err(|error| ReplayError::Data(format!("{}: {error}", path.display())))?;
        Ok(match expect::diff(&expected, found) {
            None => Exit::Ok,
            Some(diff) => {
                eprint!("not as expected by {} (- expected, + found):\n{diff}", path.display());
                Exit::BadData
            }
        })
    }
}

fn data(error: impl std::fmt::Display) -> ReplayError {
    ReplayError::Data(error.to_string())
}

/// What a replay went through.
#[derive(Debug, Default)]
struct Stats {
    pictures: u64,
    looked_at: u64,
}

/// One camera's path, from encoded pictures to incidents, on one thread: its ring, its gate and its judgement are those
/// that run live.
struct Player {
    ring: Arc<GopRing>,
    watched: Arc<Watched>,
    /// There is something for decoding to do.
    woken: Arc<AtomicBool>,
    tools: Tools,
    looks: LookDecoders,
    judge: Judge,
}

/// The inference side, and what comes of it.
struct Judge {
    models: Models,
    ledger: Ledger,
    looked_at: u64,
    failure: Option<VisionError>,
}

impl Player {
    fn new(
        config: &Config,
        camera: &CameraConfig,
        models: &LoadedModels,
        decoders: Decoders,
        start: jiff::Timestamp,
    ) -> Result<Self, ReplayError> {
        let clock = ManualClock::new("replay", start);
        let ids = CountedIds::default();
        let book = Book::new(config.gateway.locale, clock.boot_id().clone(), config.digest(), ids);
        let rules = cameras::watched_rules(config, camera, models);
        let watcher = cameras::watcher(camera).map_err(|error| ReplayError::Config(error.to_string()))?;
        let ring = Arc::new(GopRing::new(camera.id.clone(), &camera.ring));
        let watched = Arc::new(Watched::new(Arc::clone(&ring), &camera.detect, watcher, rules.clone()));
        let woken = Arc::new(AtomicBool::new(false));
        ring.on_push(Box::new({
            let (watched, woken) = (Arc::clone(&watched), Arc::clone(&woken));
            move |unit| woken.store(watched.arrived(unit), Ordering::Relaxed)
        }));
        let ledger = Ledger { clock, book, rules, incidents: Vec::new() };
        let judge = Judge { models: models.for_thread(), ledger, looked_at: 0, failure: None };
        Ok(Self { ring, watched, woken, tools: Tools::alone(decoders), looks: LookDecoders::default(), judge })
    }

    fn play(&mut self, mut clip: ClipReader) -> Result<Stats, ReplayError> {
        let mut now = Mono(0);
        let mut pictures = 0;
        while let Some(unit) = clip.next_unit().map_err(data)? {
            pictures += 1;
            // A camera sends a picture when it has it: those shown out of order arrive in order.
            now = now.max(unit.at);
            let AccessUnit { key, at, buffer, format, .. } = unit;
            self.ring.push(Arrival { key, at, arrived: now, buffer, format });
            let Self { watched, woken, tools, looks, judge, .. } = self;
            while woken.swap(false, Ordering::Relaxed) {
                let turn = watched.decode(tools, looks, now, &mut || judge.look(watched, tools, now, woken));
                woken.fetch_or(turn.more, Ordering::Relaxed);
            }
            self.judge.checked()?;
        }
        let Self { watched, woken, tools, looks, judge, .. } = self;
        watched.finish_decoding(tools, looks, now, &mut || judge.look(watched, tools, now, woken));
        self.judge.checked()?;
        self.end();
        Ok(Stats { pictures, looked_at: self.judge.looked_at })
    }

    /// The clip is over: nothing holds any more.
    fn end(&mut self) {
        let ledger = &mut self.judge.ledger;
        while self.watched.with_watcher(|watcher| watcher.is_active()) {
            let later = ledger.clock.mono() + Duration::from_secs(1);
            ledger.clock.advance_to(later);
            self.watched.with_watcher(|watcher| ledger.enter(watcher.lapse(later)));
        }
    }

    fn into_incidents(self) -> Vec<ReplayedIncident> {
        let incidents = self.judge.ledger.incidents.iter();
        incidents.filter_map(|incident| ReplayedIncident::new(incident, Mono(0))).collect()
    }
}

impl Judge {
    /// Looks at the picture in the camera's slot; `woken` where that gives decoding something to do.
    fn look(&mut self, watched: &Watched, tools: &Tools, now: Mono, woken: &AtomicBool) {
        let Self { models, ledger, looked_at, failure } = self;
        let mut judge = |outcome: Outcome<'_>| {
            let Outcome::Looked { picture, seen, .. } = outcome else { return };
            *looked_at += 1;
            ledger.clock.advance_to(picture.at());
            match seen {
                Ok(seen) => ledger.enter(seen.findings),
                Err(error) => *failure = Some(error),
            }
        };
        while watched.infer(tools, models, now, || woken.store(true, Ordering::Relaxed), &mut judge).more {}
    }

    fn checked(&mut self) -> Result<(), ReplayError> {
        self.failure.take().map_or(Ok(()), |error| Err(data(error)))
    }
}

/// The book of incidents under the clip's clock.
struct Ledger {
    clock: ManualClock,
    book: Book<CountedIds>,
    rules: Vec<Arc<WatchedRule>>,
    /// As they stand now, in the order they were opened.
    incidents: Vec<Incident>,
}

impl Ledger {
    fn enter(&mut self, findings: &mut Vec<Finding>) {
        for finding in findings.drain(..) {
            let Some(rule) = rule_of(&self.rules, &finding.rule) else { continue };
            let Some(revision) = self.book.found(&rule.source, &finding, &self.clock) else { continue };
            match self.incidents.iter_mut().find(|incident| incident.id == revision.incident.id) {
                Some(incident) => *incident = revision.incident,
                None => self.incidents.push(revision.incident),
            }
        }
    }
}
