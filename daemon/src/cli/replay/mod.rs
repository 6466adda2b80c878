//! `snowgate replay`: the same path on a file as on a camera, as fast as it can, with the file's own timestamps.
//!
//! Every picture that is due is looked at, none gives way, and ids are counted, so that the same clip and configuration
//! give the same bytes every time on one machine.

mod expect;

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    time::Instant,
};

use clap::Args;
use snowgate_core::{
    ids::{CountedIds, Id},
    incidents::{Book, Incident, Report},
    rules::Finding,
    time::{Clock as _, ManualClock, Mono},
};

use self::expect::ReplayedIncident;
use super::{Format, exit::Exit};
use crate::{
    camera::{
        clip::ClipReader,
        decode::{Decoder, Decoders},
        picture::Picture,
    },
    config::{CameraConfig, Config},
    reporting::rule_of,
    run::{
        cameras,
        models::{LoadedModels, preflight},
    },
    vision::model::Models,
    watch::{Sampler, Watcher},
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
        let mut player = Player::new(&config, camera, &models, self.start)?;
        let stats = player.play(decoders, ClipReader::open(&self.clip, camera.id.clone()).map_err(data)?)?;
        let incidents = player.into_incidents();
        self.print(&incidents)?;
        eprintln!(
            "{}: {} pictures, {} looked at, {} incident(s), {:.1} s",
            self.clip.display(),
            stats.decoded,
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
    decoded: u64,
    looked_at: u64,
}

/// One camera's path, from encoded pictures to incidents, on one thread.
struct Player {
    sampler: Sampler,
    watcher: Watcher,
    models: Models,
    ledger: Ledger,
}

impl Player {
    fn new(
        config: &Config,
        camera: &CameraConfig,
        models: &LoadedModels,
        start: jiff::Timestamp,
    ) -> Result<Self, ReplayError> {
        let clock = ManualClock::new("replay", start);
        let ids = CountedIds::default();
        let book = Book::new(config.gateway.locale, clock.boot_id().clone(), config.digest(), ids);
        let rules = cameras::watched_rules(config, camera, models);
        Ok(Self {
            sampler: Sampler::new(camera.detect.fps.value),
            watcher: cameras::watcher(camera).map_err(|error| ReplayError::Config(error.to_string()))?,
            models: models.for_thread(),
            ledger: Ledger { clock, book, rules, incidents: Vec::new() },
        })
    }

    fn play(&mut self, decoders: Decoders, mut clip: ClipReader) -> Result<Stats, ReplayError> {
        let mut stats = Stats::default();
        let mut decoder: Option<Decoder> = None;
        let mut pictures = Vec::new();
        while let Some(unit) = clip.next_unit().map_err(data)? {
            let decoder = match &mut decoder {
                Some(decoder) => decoder,
                empty => empty.insert(decoders.open(unit.format.codec).map_err(data)?),
            };
            decoder.decode(&unit, &mut |picture| pictures.push(picture)).map_err(data)?;
            self.look_at(&mut pictures, &mut stats)?;
        }
        if let Some(mut decoder) = decoder {
            decoder.drain(&mut |picture| pictures.push(picture)).map_err(data)?;
            self.look_at(&mut pictures, &mut stats)?;
        }
        self.end();
        Ok(stats)
    }

    fn look_at(&mut self, pictures: &mut Vec<Picture>, stats: &mut Stats) -> Result<(), ReplayError> {
        for picture in pictures.drain(..) {
            stats.decoded += 1;
            if self.sampler.is_due(picture.at()) {
                stats.looked_at += 1;
                self.ledger.clock.advance_to(picture.at());
                let seen = self.watcher.look(&picture, &mut self.models).map_err(data)?;
                self.ledger.enter(seen.findings);
            }
        }
        Ok(())
    }

    /// The clip is over: nothing holds any more.
    fn end(&mut self) {
        while self.watcher.is_active() {
            let later = self.ledger.clock.mono() + std::time::Duration::from_secs(1);
            self.ledger.clock.advance_to(later);
            self.ledger.enter(self.watcher.lapse(later));
        }
    }

    fn into_incidents(self) -> Vec<ReplayedIncident> {
        let incidents = self.ledger.incidents.iter();
        incidents.map(|incident| ReplayedIncident::new(incident, Mono(0))).collect()
    }
}

/// The book of incidents under the clip's clock.
struct Ledger {
    clock: ManualClock,
    book: Book<CountedIds>,
    rules: Vec<std::sync::Arc<crate::reporting::WatchedRule>>,
    /// As they stand now, in the order they were opened.
    incidents: Vec<Incident>,
}

impl Ledger {
    fn enter(&mut self, findings: &mut Vec<Finding>) {
        for finding in findings.drain(..) {
            let Some(rule) = rule_of(&self.rules, &finding.rule) else { continue };
            let report = Report { source: &rule.source, finding: &finding };
            let Some(revision) = self.book.apply(report, &self.clock) else { continue };
            match self.incidents.iter_mut().find(|incident| incident.id == revision.incident.id) {
                Some(incident) => *incident = revision.incident,
                None => self.incidents.push(revision.incident),
            }
        }
    }
}
