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
    incidents::{Book, Incident, event::EventKind},
    rules::{Finding, MissingReference, StreamRules, explain::Line},
    time::{Clock as _, ManualClock, Mono},
};

use super::{ReplayError, expect::ReplayedIncident};
use crate::{
    camera::{
        access_unit::{AccessUnit, Arrival},
        clip::ClipReader,
        decode::Decoders,
        gop_ring::GopRing,
        health::{HealthSink, HealthTracker},
        picture::Picture,
    },
    config::{CameraConfig, Config},
    evidence::{provenance::Provenance, still::StillRequest},
    reporting::{Sight, WatchedRule, people, rule_of},
    run::{
        cameras,
        models::{LoadedModels, preflight},
    },
    vision::{analyser::VisionError, model::Models, scene::files::SceneFiles},
    watch::{LookDecoders, Outcome, Tools, Watched},
};

/// One camera of a configuration with the models of this machine: whatever clips of it are looked at.
pub(in crate::cli) struct Prepared {
    config: Config,
    camera: CameraConfig,
    models: LoadedModels,
    decoders: Decoders,
    start: jiff::Timestamp,
    files: Option<SceneFiles>,
}

impl Prepared {
    /// Loads a configuration whose camera is looked at in clips that begin at `start`; what was learnt of it lies in
    /// `data_directory`.
    ///
    /// # Errors
    /// The configuration is wrong, has no such camera, or refuses it.
    pub fn load(
        directory: &Path,
        id: &Id,
        start: jiff::Timestamp,
        data_directory: Option<&Path>,
    ) -> Result<Self, ReplayError> {
        let loaded = Config::load(directory).and_then(preflight);
        let (config, models, decoders) = loaded.map_err(|problems| ReplayError::Config(problems.render(false)))?;
        let missing = || ReplayError::Missing { what: "camera", id: id.clone(), directory: directory.to_owned() };
        let camera = config.camera(id).ok_or_else(missing)?.clone();
        if let Some(reason) = camera.refused {
            return Err(ReplayError::Refused { what: "camera", id: id.clone(), reason });
        }
        let files = data_directory.map(SceneFiles::beneath);
        Ok(Self { config, camera, models, decoders, start, files })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The camera.
    pub fn camera(&self) -> &Id {
        &self.camera.id
    }

    /// The models of this machine.
    pub fn models(&self) -> &LoadedModels {
        &self.models
    }

    /// Looks at a whole clip, with nothing known of any before it. Why rules tell of things or do not is told to `explain`, if
    /// it is given.
    ///
    /// # Errors
    /// The clip is none, or ends in the middle; a model fails.
    pub fn replay(&self, clip: &Path, explain: Option<fn(&Line)>) -> Result<Replayed, ReplayError> {
        let player = self.player(None)?;
        player.watched.explain_to(explain);
        player.play(clip)
    }

    /// Who plays one clip, and hands what is needed for a still of each incident that opens to `stills`.
    ///
    /// # Errors
    /// A rule cannot be followed; a checked configuration has no such rule.
    pub fn player<'a>(&self, stills: Option<StillSink<'a>>) -> Result<Player<'a>, ReplayError> {
        let Self { config, camera, models, decoders, start, files } = self;
        let clock = ManualClock::new("replay", *start);
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
        let known = files.as_ref().and_then(|files| files.health(&camera.id).ok().flatten()).unwrap_or_default();
        let scene = cameras::scene(camera, &config.schedules, known, nobody).map_err(missing)?;
        let anomaly = cameras::anomaly(camera, files.as_ref());
        // A clip is no stream that could break off.
        let stream = StreamRules::default();
        let (ring_of, spec) = (Arc::clone(&ring), &camera.detect);
        let watched = Arc::new(Watched::new(ring_of, spec, watcher, scene, anomaly, stream, rules.clone()));
        let woken = Arc::new(AtomicBool::new(false));
        ring.on_push(Box::new({
            let (watched, woken) = (Arc::clone(&watched), Arc::clone(&woken));
            move |unit| woken.store(watched.arrived(unit), Ordering::Relaxed)
        }));
        let ledger = Ledger { clock, book, rules, incidents: Vec::new(), stills, wanted: Vec::new() };
        let judge = Judge { models: models.for_thread(), ledger, looked_at: 0, failure: None };
        Ok(Player { ring, watched, woken, tools: Tools::alone(*decoders), looks: LookDecoders::default(), judge })
    }
}

/// Who makes stills of the incidents that open.
pub(in crate::cli) type StillSink<'a> = &'a mut dyn FnMut(StillRequest<Arc<Picture>>);

/// What a clip showed, and what it took.
pub(in crate::cli) struct Replayed {
    /// As they stood at the end, in the order they were opened.
    pub incidents: Vec<ReplayedIncident>,
    /// Pictures in the clip.
    pub pictures: u64,
    /// Pictures that models were shown.
    pub looked_at: u64,
    /// From the clip's beginning to its last picture.
    pub lasts: Duration,
}

/// One camera's path, from encoded pictures to incidents, on one thread: its ring, its gate and its judgement are those
/// that run live.
pub(in crate::cli) struct Player<'a> {
    ring: Arc<GopRing>,
    watched: Arc<Watched>,
    /// There is something for decoding to do.
    woken: Arc<AtomicBool>,
    tools: Tools,
    looks: LookDecoders,
    judge: Judge<'a>,
}

/// The inference side, and what comes of it.
struct Judge<'a> {
    models: Models,
    ledger: Ledger<'a>,
    looked_at: u64,
    failure: Option<VisionError>,
}

impl Player<'_> {
    /// Plays a clip from its beginning to its end.
    ///
    /// # Errors
    /// As [`Prepared::replay`].
    pub fn play(mut self, clip: &Path) -> Result<Replayed, ReplayError> {
        let mut clip = ClipReader::open(clip, self.ring.camera().clone())?;
        let mut now = Mono(0);
        let mut pictures = 0;
        while let Some(unit) = clip.next_unit()? {
            pictures += 1;
            // A camera sends a picture when it has it: those shown out of order arrive in order.
            now = now.max(unit.at);
            let AccessUnit { key, at, buffer, format, .. } = unit;
            self.ring.push(Arrival { key, at, arrived: now, buffer, format });
            let Self { watched, woken, tools, looks, judge, .. } = &mut self;
            watched.it_is(judge.ledger.clock.moment_at(now));
            while woken.swap(false, Ordering::Relaxed) {
                let turn = watched.decode(tools, looks, now, &mut |_| judge.look(watched, tools, now, woken));
                judge.hear(watched);
                woken.fetch_or(turn.more, Ordering::Relaxed);
            }
            self.judge.checked()?;
        }
        let Self { watched, woken, tools, looks, judge, .. } = &mut self;
        watched.finish_decoding(tools, looks, now, &mut |_| judge.look(watched, tools, now, woken));
        self.judge.checked()?;
        self.end();
        let Judge { ledger, looked_at, .. } = self.judge;
        let incidents = ledger.incidents.iter().filter_map(|incident| ReplayedIncident::new(incident, Mono(0)));
        Ok(Replayed { incidents: incidents.collect(), pictures, looked_at, lasts: now.since(Mono(0)) })
    }

    /// The clip is over: nothing holds any more.
    fn end(&mut self) {
        let Self { watched, judge, .. } = self;
        while watched.is_active() {
            let later = judge.ledger.clock.mono() + Duration::from_secs(1);
            judge.ledger.clock.advance_to(later);
            watched.with_watcher(|watcher| {
                judge.ledger.enter(watcher.lapse(later), |finding| {
                    watched.is_over(finding);
                    None
                });
            });
            watched.with_scene(|scene| scene.lapse(later, Duration::ZERO));
            judge.hear(watched);
        }
        judge.ledger.make_stills(|_| true);
        watched.explain_to(None::<fn(&Line)>);
    }
}

impl Judge<'_> {
    /// Looks at the picture in the camera's slot; `woken` where that gives decoding something to do.
    fn look(&mut self, watched: &Watched, tools: &Tools, now: Mono, woken: &AtomicBool) {
        let Self { models, ledger, looked_at, failure } = self;
        let mut judge = |outcome: Outcome<'_>| {
            let Outcome::Looked { picture, seen, .. } = outcome else { return };
            *looked_at += 1;
            ledger.clock.advance_to(picture.at());
            match seen {
                Ok(seen) if seen.findings.is_empty() && !watched.wants_pictures() => {}
                Ok(seen) => {
                    let (picture, people, now) = (Arc::new(picture), people(seen.tracks), ledger.clock.mono());
                    watched.show(&picture, seen.tracks, &people);
                    ledger.enter(seen.findings, |finding| {
                        watched.is_over(finding);
                        watched.sight(finding, &picture, seen.tracks, &people, now)
                    });
                }
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
            let sight = told.picture.map(Sight::only);
            self.ledger.enter(&mut told.findings, |_| sight.clone());
        });
    }

    fn checked(&mut self) -> Result<(), ReplayError> {
        self.failure.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// The book of incidents under the clip's clock.
struct Ledger<'a> {
    clock: ManualClock,
    book: Book<CountedIds>,
    rules: Vec<Arc<WatchedRule>>,
    /// As they stand now, in the order they were opened.
    incidents: Vec<Incident>,
    stills: Option<StillSink<'a>>,
    /// Stills that are wanted, and wait for a better picture.
    wanted: Vec<StillRequest<Arc<Picture>>>,
}

impl Ledger<'_> {
    /// Takes in what was found, and what a still of it is made of.
    fn enter(&mut self, findings: &mut Vec<Finding>, mut sight: impl FnMut(&Finding) -> Option<Sight>) {
        let now = self.clock.mono();
        self.make_stills(|request| request.is_due(now));
        for finding in findings.drain(..) {
            let sight = sight(&finding);
            let Some(rule) = rule_of(&self.rules, &finding.rule) else { continue };
            let Some(revision) = self.book.found(&rule.source, &finding, &self.clock) else { continue };
            if let (EventKind::Opened, Some(sight), Some(_)) = (revision.kind, sight, &self.stills) {
                let of = Arc::new(Provenance::of(&revision.incident));
                self.wanted.push(rule.still(of, revision.incident.opened, finding.subjects, sight));
            }
            match self.incidents.iter_mut().find(|incident| incident.id == revision.incident.id) {
                Some(incident) => *incident = revision.incident,
                None => self.incidents.push(revision.incident),
            }
        }
    }

    /// Has the stills made for which it is time.
    fn make_stills(&mut self, mut is_time: impl FnMut(&StillRequest<Arc<Picture>>) -> bool) {
        let Some(stills) = &mut self.stills else { return };
        for request in self.wanted.extract_if(.., |request| is_time(request)) {
            stills(request.settled(&self.clock));
        }
    }
}
