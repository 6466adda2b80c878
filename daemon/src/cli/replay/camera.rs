//! A camera's clip, looked at as the camera would be: its ring, its gate and its judgement are those that run live.
//!
//! The gate decides what is decoded, as it does live; every picture that is due is looked at, none gives way, and ids are
//! counted, so that the same clip and configuration give the same bytes every time on one machine.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use snowgate_core::{
    ids::{CountedIds, Id},
    incidents::{Book, Incident},
    rules::{Finding, MissingReference},
    time::{Clock as _, ManualClock, Mono},
};

use super::{ReplayError, data, expect::ReplayedIncident};
use crate::{
    camera::{
        access_unit::{AccessUnit, Arrival},
        clip::ClipReader,
        decode::Decoders,
        gop_ring::GopRing,
        health::{HealthSink, HealthTracker},
    },
    config::{CameraConfig, Config},
    reporting::{WatchedRule, rule_of},
    run::{
        cameras,
        models::{LoadedModels, preflight},
    },
    vision::{analyser::VisionError, model::Models, scene::files::SceneFiles},
    watch::{LookDecoders, Outcome, Tools, Watched},
};

/// Looks at a whole clip that begins at `start`: what was found, and what it took.
pub(super) fn replay(
    directory: &Path,
    id: &Id,
    clip: &Path,
    start: jiff::Timestamp,
    data_directory: Option<&Path>,
) -> Result<(Vec<ReplayedIncident>, Stats), ReplayError> {
    let loaded = Config::load(directory).and_then(preflight);
    let (config, models, decoders) = loaded.map_err(|problems| ReplayError::Config(problems.render(false)))?;
    let missing = || ReplayError::Missing { what: "camera", id: id.clone(), directory: directory.to_owned() };
    let camera = config.camera(id).ok_or_else(missing)?;
    if let Some(reason) = &camera.refused {
        return Err(ReplayError::Refused { what: "camera", id: id.clone(), reason: reason.clone() });
    }
    let files = data_directory.map(SceneFiles::beneath);
    let mut player = Player::new(&config, camera, &models, decoders, start, files.as_ref())?;
    let stats = player.play(ClipReader::open(clip, camera.id.clone()).map_err(data)?)?;
    Ok((player.into_incidents(), stats))
}

/// What a replay went through.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// Pictures in the clip.
    pub pictures: u64,
    /// Pictures that models were shown.
    pub looked_at: u64,
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
        files: Option<&SceneFiles>,
    ) -> Result<Self, ReplayError> {
        let clock = ManualClock::new("replay", start);
        let ids = CountedIds::default();
        let book = Book::new(
            config.gateway.locale,
            clock.boot_id().clone(),
            config.digest(),
            Arc::clone(&config.calendar),
            ids,
        );
        let rules = cameras::watched_rules(config, camera, models);
        let watcher =
            cameras::watcher(camera, &config.schedules).map_err(|error| ReplayError::Config(error.to_string()))?;
        let ring = Arc::new(GopRing::new(camera.id.clone(), &camera.ring));
        let nobody = HealthTracker::new(camera.id.clone(), HealthSink::new(drop));
        let missing = |error: MissingReference| ReplayError::Config(error.to_string());
        let known = files.and_then(|files| files.health(&camera.id).ok().flatten()).unwrap_or_default();
        let scene = cameras::scene(camera, &config.schedules, known, nobody).map_err(missing)?;
        let anomaly = cameras::anomaly(camera, files);
        let watched = Arc::new(Watched::new(Arc::clone(&ring), &camera.detect, watcher, scene, anomaly, rules.clone()));
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
            watched.it_is(judge.ledger.clock.moment_at(now));
            while woken.swap(false, Ordering::Relaxed) {
                let turn = watched.decode(tools, looks, now, &mut |_| judge.look(watched, tools, now, woken));
                judge.hear(watched);
                woken.fetch_or(turn.more, Ordering::Relaxed);
            }
            self.judge.checked()?;
        }
        let Self { watched, woken, tools, looks, judge, .. } = self;
        watched.finish_decoding(tools, looks, now, &mut |_| judge.look(watched, tools, now, woken));
        self.judge.checked()?;
        self.end();
        Ok(Stats { pictures, looked_at: self.judge.looked_at })
    }

    /// The clip is over: nothing holds any more.
    fn end(&mut self) {
        let Self { watched, judge, .. } = self;
        while watched.is_active() {
            let later = judge.ledger.clock.mono() + Duration::from_secs(1);
            judge.ledger.clock.advance_to(later);
            watched.with_watcher(|watcher| judge.ledger.enter(watcher.lapse(later)));
            watched.with_scene(|scene| scene.lapse(later, Duration::ZERO));
            judge.hear(watched);
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

    /// Looks at the key frame that waits for the scene's sake, and takes in what key frames gave to know.
    fn hear(&mut self, watched: &Watched) {
        if let Err(error) = watched.look_at_scene(&mut self.models) {
            self.failure = Some(error);
        }
        watched.tell_scene(|mut told| {
            self.ledger.clock.advance_to(told.at);
            self.ledger.enter(&mut told.findings);
        });
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
