//! The cameras that are watched: what runs for each, and how that follows the configuration.
//!
//! A start and a reload are the same to it: it is told what is to be watched, and does what that takes. What is said of
//! [`CameraChange`] is what it goes by.

use std::{collections::BTreeMap, mem, sync::Arc, thread::JoinHandle, time::Duration};

use snowgate_core::{
    ids::Id,
    rules::{CameraRules, RuleError, SceneRules},
    time::Clock,
};

use super::{RunError, board::Board, cameras, models::LoadedModels, stop::Stopping};
use crate::{
    camera::{
        gop_ring::GopRing,
        health::HealthTracker,
        receive::{Receiver, ReceiverConfig},
        spec::StreamRole,
    },
    config::{CameraConfig, Config, changes::CameraChange},
    current::Current,
    evidence::clip::recorder::EvidenceRings,
    shutdown::Shutdown,
    vision::scene::files::SceneFiles,
    watch::{Judgement, Watched, Workers, lookout::Viewpoint},
};

/// So long a reload waits for streams that it ends: most cameras serve only a few at once.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Every camera that is watched.
pub struct Fleet {
    cameras: BTreeMap<Id, Camera>,
    /// Receivers that were told to stop and have not yet.
    leaving: Vec<(String, JoinHandle<()>)>,
    /// Where a sensor's incident can be looked at from.
    pub viewpoints: Current<Vec<Viewpoint>>,
    /// What clips are made of.
    pub evidence_rings: EvidenceRings,
    pub workers: Workers,
    pub board: Arc<Board>,
    pub files: SceneFiles,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
}

/// One camera.
struct Camera {
    ring: Arc<GopRing>,
    /// The ring of the stream that is kept for evidence, where that is another one.
    record: Option<Arc<GopRing>>,
    tracker: HealthTracker,
    watched: Arc<Watched>,
    stop: Shutdown,
    receivers: Vec<(String, JoinHandle<()>)>,
}

impl Fleet {
    /// Without cameras.
    pub fn new(
        workers: Workers,
        board: Arc<Board>,
        files: SceneFiles,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        let (cameras, leaving, viewpoints) = (BTreeMap::new(), Vec::new(), Current::new(Vec::new()));
        let evidence_rings = Current::new(BTreeMap::new());
        Self { cameras, leaving, viewpoints, evidence_rings, workers, board, files, clock, shutdown }
    }

    /// From now on the cameras of `after` are watched; until now those of `before` were. Either all of it is done or, if a rule
    /// cannot be followed, none.
    ///
    /// # Errors
    /// A rule cannot be followed, as none of a checked configuration; or the system gave no thread.
    pub fn follow(&mut self, before: Option<&Config>, after: &Config, models: &LoadedModels) -> Result<(), RunError> {
        let mut next = BTreeMap::new();
        let mut judgements = Vec::new();
        let reported_differently = before.is_none_or(|before| before.reports_differently(after));
        for config in after.cameras.iter().filter(|camera| camera.is_watched()) {
            let known = self.cameras.get(&config.id);
            let change = known
                .and_then(|_| before?.camera(&config.id))
                .map_or(CameraChange::Stream, |before| before.change_to(config));
            let (known, parts) = match (known, change) {
                (Some(known), CameraChange::Nothing | CameraChange::Rules) => {
                    if change == CameraChange::Rules || reported_differently {
                        judgements.push((Arc::clone(&known.watched), judgement(after, config, models)?));
                    }
                    (true, (Arc::clone(&known.ring), known.tracker.clone(), Arc::clone(&known.watched)))
                }
                (Some(known), CameraChange::Sight) => {
                    // What it has learnt of its scene goes on.
                    known.watched.keep(&self.files);
                    let (ring, tracker) = (Arc::clone(&known.ring), known.tracker.clone());
                    // What was wrong with its pictures is to be seen anew.
                    tracker.pictures(None);
                    let watched = self.watched(after, config, models, &ring, &tracker)?;
                    (true, (ring, tracker, watched))
                }
                (None, _) | (_, CameraChange::Stream) => {
                    let ring = Arc::new(GopRing::new(config.id.clone(), &config.ring));
                    let tracker = HealthTracker::new(config.id.clone(), self.board.sink());
                    let watched = self.watched(after, config, models, &ring, &tracker)?;
                    (false, (ring, tracker, watched))
                }
            };
            next.insert(config.id.clone(), (config, known, parts));
        }

        // Nothing can be refused from here on.
        let mut cameras = mem::take(&mut self.cameras);
        let stays = |id: &Id| next.get(id).is_some_and(|(_, known, _)| *known);
        for (_, camera) in cameras.extract_if(.., |id, _| !stays(id)).collect::<Vec<_>>() {
            camera.tracker.retire();
            camera.stop.trigger();
            self.leaving.extend(camera.receivers);
        }
        let mut fresh = Vec::new();
        for (id, (config, known, (ring, tracker, watched))) in next {
            let (stop, record, receivers) = match cameras.remove(&id) {
                Some(camera) if known => (camera.stop, camera.record, camera.receivers),
                _ => {
                    fresh.push((id.clone(), config));
                    (self.shutdown.part(), None, Vec::new())
                }
            };
            self.cameras.insert(id, Camera { ring, record, tracker, watched, stop, receivers });
        }
        self.workers.watch(self.cameras.values().map(|camera| Arc::clone(&camera.watched)).collect());
        for (watched, judgement) in judgements {
            self.workers.follow(&watched, judgement);
        }
        self.see_off();
        for (id, config) in fresh {
            self.receive(&id, config)?;
        }
        self.tell(before, after);
        Ok(())
    }

    /// The receiver that has ended by itself, if one has.
    pub fn ended(&self) -> Option<&str> {
        let mut receivers = self.cameras.values().flat_map(|camera| &camera.receivers);
        receivers.find(|(_, thread)| thread.is_finished()).map(|(name, _)| name.as_str())
    }

    /// How many cameras are watched.
    pub fn len(&self) -> usize {
        self.cameras.len()
    }

    /// Waits until every receiver has ended: they have been told to stop.
    pub fn join(self, stopping: &mut Stopping) {
        let receivers = self.cameras.into_values().flat_map(|camera| camera.receivers);
        for (name, thread) in receivers.chain(self.leaving) {
            stopping.join(&name, thread);
        }
    }

    fn watched(
        &self,
        config: &Config,
        camera: &CameraConfig,
        models: &LoadedModels,
        ring: &Arc<GopRing>,
        tracker: &HealthTracker,
    ) -> Result<Arc<Watched>, RunError> {
        let rules = cameras::watched_rules(config, camera, models);
        // What the files cannot give has been told of: it is learnt anew.
        let _ = self.files.is_to_forget(&camera.id);
        let learnt = self.files.health(&camera.id).ok().flatten().unwrap_or_default();
        let scene = cameras::scene(camera, &config.schedules, learnt, tracker.clone()).map_err(RuleError::from)?;
        let anomaly = cameras::anomaly(camera, Some(&self.files));
        let watcher = cameras::watcher(camera, &config.schedules)?;
        let stream = cameras::stream_rules(camera, &config.schedules).map_err(RuleError::from)?;
        let watched = Watched::new(Arc::clone(ring), &camera.detect, watcher, scene, anomaly, stream, rules);
        cameras::explain_in_log(&camera.id, &watched);
        Ok(Arc::new(watched))
    }

    /// Waits for a moment until what was told to stop has: whoever takes longer is waited for at the end.
    fn see_off(&mut self) {
        let stopping = Stopping::within(CLOSE_WITHIN);
        let leaving = mem::take(&mut self.leaving);
        self.leaving = leaving.into_iter().filter_map(|(name, thread)| stopping.join_in_time(&name, thread)).collect();
    }

    fn receive(&mut self, id: &Id, config: &CameraConfig) -> Result<(), RunError> {
        let Some(camera) = self.cameras.get_mut(id) else { return Ok(()) };
        for (role, address) in config.streams.iter() {
            let receiver = ReceiverConfig {
                address: address.clone(),
                stream: config.stream.clone(),
                password: config.password.clone(),
                ring: match role {
                    StreamRole::Detect => Arc::clone(&camera.ring),
                    StreamRole::Record => {
                        let ring = Arc::new(GopRing::new(id.clone(), &config.ring).of(role));
                        Arc::clone(camera.record.insert(ring))
                    }
                },
                clock: Arc::clone(&self.clock),
                shutdown: camera.stop.clone(),
                health: camera.tracker.clone(),
            };
            camera.receivers.push((receiver.thread_name(), Receiver::spawn(receiver)?));
        }
        Ok(())
    }

    /// Tells who makes clips, who looks on demand, and those who want to know how cameras are.
    fn tell(&self, before: Option<&Config>, after: &Config) {
        let viewpoint = |camera: &CameraConfig| Some(cameras::viewpoint(camera, &self.cameras.get(&camera.id)?.ring));
        self.viewpoints.set(after.cameras.iter().filter_map(viewpoint).collect());
        let evidence_ring = |camera: &Camera| Arc::clone(camera.record.as_ref().unwrap_or(&camera.ring));
        let rings = self.cameras.iter().map(|(id, camera)| (id.clone(), evidence_ring(camera)));
        self.evidence_rings.set(rings.collect());
        for camera in before.iter().flat_map(|before| &before.cameras) {
            if !after.camera(&camera.id).is_some_and(|camera| camera.enabled) && self.board.knows(&camera.id) {
                self.board.forget(&camera.id);
            }
        }
        for camera in after.cameras.iter().filter(|camera| camera.enabled) {
            if let Some(reason) = &camera.refused {
                self.board.refused(&camera.id, reason);
            }
        }
        if self.cameras.is_empty() {
            self.board.nothing_to_watch();
        }
    }
}

fn judgement(config: &Config, camera: &CameraConfig, models: &LoadedModels) -> Result<Judgement, RuleError> {
    let specs = cameras::specs(camera);
    Ok(Judgement {
        things: CameraRules::new(&camera.zones, &camera.lines, &config.schedules, &specs)?,
        scene: SceneRules::new(&camera.zones, &config.schedules, &specs)?,
        stream: cameras::stream_rules(camera, &config.schedules)?,
        reported: cameras::watched_rules(config, camera, models),
    })
}
