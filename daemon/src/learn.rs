//! Learning what is normal in a scene, apart from the daemon: from a camera's stream, or from clips of it.
//!
//! - **Stopped and gone on with.** What was learnt is kept every minute and when it is stopped; the same request goes on from
//!   there, and learns from no picture of a clip twice.
//! - **Only what can be relied upon.** Pictures that the camera's health finds something wrong with are passed over.
//! - **Nothing half done is used.** The daemon takes what was learnt when all of it is there, and takes it at once. Of lights in
//!   which nothing was learnt this time it keeps what it knew.
//!
//! One key frame every `anomaly.every` is looked at, whatever moves in it: what passes leaves no trace in what is
//! calibrated by what stays.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use snowgate_core::{
    geometry::Polygon,
    ids::Id,
    scene::{
        Condition, Judge, Light, View,
        anomaly::{Memory, Scratch, Unfit, memory::LEAST_PICTURES},
    },
    time::{Clock, Mono},
};

use crate::{
    camera::{
        access_unit::AccessUnit,
        clip::{ClipError, ClipReader},
        decode::{DecodeError, Decoders},
        gop_ring::GopRing,
        health::{CameraHealth, HealthSink, HealthTracker},
        receive::{Receiver, ReceiverConfig},
    },
    clock::SystemClock,
    config::CameraConfig,
    run::models::LoadedModels,
    shutdown::Shutdown,
    vision::{
        masks::Masks,
        model::ModelError,
        scene::{
            Answer, SceneModel,
            files::{Digest, Expected, SceneFileError, SceneFiles},
            view,
        },
    },
    watch::{DecoderPool, LookDecoders, samples},
};

/// How often what was learnt is kept, and how far it has come is told.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// How often the camera's ring is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between the last picture of a clip and the first one of the next: a pause, which does not count as time spent learning.
const BETWEEN_CLIPS: Duration = Duration::from_secs(3600);

/// Where the pictures come from.
#[derive(Debug, Clone)]
pub enum Pictures {
    /// The camera's stream, until they span so much time.
    Stream(Duration),
    /// Clips of the camera, one after the other.
    Clips(Vec<PathBuf>),
}

impl Pictures {
    /// What tells them from others: learning from one is not gone on with from the other.
    fn digest(&self, every: Duration) -> Digest {
        match self {
            Self::Stream(_) => Digest::of_text("stream"),
            Self::Clips(clips) => {
                let clip = |path: &PathBuf| {
                    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
                    format!("{} {bytes}\n", path.display())
                };
                let clips: String = clips.iter().map(clip).collect();
                Digest::of_text(&format!("every {every:?}\n{clips}"))
            }
        }
    }
}

/// Why a scene was not learnt.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Its model is not there, or does not work.
    #[error("scene model {0} cannot be used; `snowgate models verify` says why")]
    NoModel(Id),
    /// Its model judges by itself.
    #[error("scene model {0} says by itself how strange a picture is: there is nothing to learn")]
    NothingToLearn(Id),
    /// Its model fails.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// What was learnt cannot be read or written.
    #[error(transparent)]
    Files(#[from] SceneFileError),
    /// A clip cannot be read.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// A key frame cannot be decoded at all.
    #[error("{path}: {source}", path = .path.display())]
    Decode {
        /// In this clip.
        path: PathBuf,
        /// Why.
        source: DecodeError,
    },
    /// Pictures are of different sizes.
    #[error(
        "{from}: a picture of {} × {} pixels after others of {} × {}: they are no one view", found.0, found.1, known.0, known.1
    )]
    OtherSize {
        /// Where it comes from.
        from: String,
        /// What came.
        found: (usize, usize),
        /// What came before.
        known: (usize, usize),
    },
    /// There were not enough pictures.
    #[error(
        "only {pictures} pictures could be learnt from in any one light, and it takes {LEAST_PICTURES}: give it more or longer clips, or \
         a smaller --every{}", unfit_in_words(*unfit, *last_unfit)
    )]
    TooFew {
        /// How many, in the light with most of them.
        pictures: u32,
        /// How many were passed over.
        unfit: u32,
        /// What was wrong with the last of those.
        last_unfit: Option<Condition>,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    System(#[from] std::io::Error),
}

/// `; 3 were passed over, the last one because it was moved`, if any were.
fn unfit_in_words(unfit: u32, last: Option<Condition>) -> String {
    last.map_or(String::new(), |condition| {
        format!("; {unfit} were passed over, the last one because it was {}", condition.as_str())
    })
}

/// How far learning has come in one light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LightProgress {
    /// Which.
    pub light: Light,
    /// Pictures learnt from.
    pub pictures: u32,
    /// The time they span.
    pub spanned: Duration,
    /// Whether the scene can be watched in it.
    pub is_known: bool,
}

/// How far learning has come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// The size of the pictures, width first; none before the first.
    pub size: Option<(usize, usize)>,
    /// Every light in which anything was learnt.
    pub lights: Vec<LightProgress>,
    /// Pictures that were passed over, because something was wrong with them, and with the last one what.
    pub unfit: u32,
    /// What was wrong with the last of those.
    pub last_unfit: Option<Condition>,
    /// Pictures that were learnt from before an interruption.
    pub resumed: u32,
}

impl Progress {
    /// The time that all pictures span.
    pub fn spanned(&self) -> Duration {
        self.lights.iter().map(|light| light.spanned).sum()
    }

    fn pictures(&self) -> u32 {
        self.lights.iter().map(|light| light.pictures).sum()
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All is learnt.
    Done,
    /// It was stopped; what was learnt is kept.
    Interrupted,
}

/// What somebody who learns is told meanwhile.
#[derive(Debug)]
pub enum Told<'a> {
    /// How far it has come.
    Progress(&'a Progress),
    /// How the camera is.
    Camera(&'a CameraHealth),
}

/// Everything that learning needs.
pub struct Request<'a> {
    /// Whose scene.
    pub camera: &'a CameraConfig,
    /// Where the pictures come from.
    pub pictures: Pictures,
    /// How far apart pictures are, where that is not as configured.
    pub every: Option<Duration>,
    /// Whether what was interrupted is dropped, instead of gone on with.
    pub restart: bool,
    /// The box's models.
    pub models: &'a LoadedModels,
    /// The box's decoders.
    pub decoders: Decoders,
    /// Where what was learnt lies.
    pub files: SceneFiles,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// Learns a scene until that is done or it is stopped.
///
/// # Errors
/// The model, the clips or the files cannot be used, or there were not enough pictures. What was learnt by then is kept.
pub fn learn(request: Request<'_>, tell: &(dyn Fn(Told<'_>) + Sync)) -> Result<(Ended, Progress), LearnError> {
    let Request { camera, pictures, every, restart, models, decoders, files, shutdown } = request;
    let _lock = files.lock(&camera.id)?;
    if restart {
        files.drop_learning(&camera.id)?;
    }
    let mut learner = Learner::new(camera, models, decoders, files, &pictures, every, restart)?;
    let ended = match &pictures {
        Pictures::Stream(wanted) => learner.watch(camera, *wanted, &shutdown, tell),
        Pictures::Clips(clips) => learner.play(clips, &shutdown, tell),
    };
    match ended {
        Ok(Ended::Done) => learner.finish().map(|progress| (Ended::Done, progress)),
        Ok(Ended::Interrupted) => learner.keep().map(|()| (Ended::Interrupted, learner.progress)),
        Err(error) => learner.keep().and(Err(error)),
    }
}

struct Learner {
    camera: Id,
    files: SceneFiles,
    pictures: Digest,
    /// Whether those that were learnt from before an interruption come once more, as those of clips do.
    pictures_come_again: bool,
    every: Duration,
    pool: DecoderPool,
    looks: LookDecoders,
    view: View,
    judge: Judge,
    model: SceneModel,
    polygons: Vec<Polygon>,
    scratch: Scratch,
    scene: Option<Scene>,
    last: Option<Mono>,
    /// How many of those are still to come.
    skip: u32,
    /// What the pictures of the moment are taken from.
    from: String,
    /// Whether what was learnt of another view may be replaced.
    restart: bool,
    progress: Progress,
    /// When it was kept and told of last.
    told: Option<Instant>,
}

/// What is learnt of pictures of one size.
struct Scene {
    size: (usize, usize),
    masks: Masks,
    memory: Memory,
}

impl Learner {
    fn new(
        camera: &CameraConfig,
        models: &LoadedModels,
        decoders: Decoders,
        files: SceneFiles,
        pictures: &Pictures,
        every: Option<Duration>,
        restart: bool,
    ) -> Result<Self, LearnError> {
        let id = &camera.scene_model;
        let model = models.scene(id).ok_or_else(|| LearnError::NoModel(id.clone()))?.model()?;
        if model.shape().is_none() {
            return Err(LearnError::NothingToLearn(id.clone()));
        }
        // What the daemon knows of the camera helps; without it, what is wrong is told by what any picture would show.
        let known = files.health(&camera.id).ok().flatten().unwrap_or_default();
        let every = every.unwrap_or(camera.anomaly.every.0);
        Ok(Self {
            camera: camera.id.clone(),
            files,
            pictures: pictures.digest(every),
            pictures_come_again: matches!(pictures, Pictures::Clips(_)),
            every,
            pool: DecoderPool::new(decoders),
            looks: LookDecoders::default(),
            view: View::masking(&camera.masks),
            judge: Judge::new(&camera.health, known),
            model,
            polygons: camera.masks.clone(),
            scratch: Scratch::default(),
            scene: None,
            last: None,
            skip: 0,
            from: format!("camera {}", camera.id),
            restart,
            progress: Progress::default(),
            told: None,
        })
    }

    /// Learns from the camera's stream.
    fn watch(
        &mut self,
        camera: &CameraConfig,
        wanted: Duration,
        shutdown: &Shutdown,
        tell: &(dyn Fn(Told<'_>) + Sync),
    ) -> Result<Ended, LearnError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::trusting(false));
        let ring = Arc::new(GopRing::new(camera.id.clone(), &camera.ring));
        let (said, heard) = crossbeam_channel::unbounded();
        let sink = HealthSink::new(move |health: CameraHealth| drop(said.send(health)));
        let stopping = Shutdown::new();
        let receiver = Receiver::spawn(ReceiverConfig {
            address: camera.streams.watched.clone(),
            stream: camera.stream.clone(),
            password: camera.password.clone(),
            ring: Arc::clone(&ring),
            clock,
            shutdown: stopping.clone(),
            health: HealthTracker::new(camera.id.clone(), sink),
        })?;
        let mut newest = None;
        let ended = loop {
            heard.try_iter().for_each(|health| tell(Told::Camera(&health)));
            if self.progress.spanned() >= wanted && self.is_enough() {
                break Ok(Ended::Done);
            }
            if shutdown.wait_for(LOOK_EVERY) {
                break Ok(Ended::Interrupted);
            }
            let key = ring.newest_key().filter(|key| newest.is_none_or(|newest| key.number > newest));
            if let Some(key) = key {
                newest = Some(key.number);
                // A camera may send one broken picture; the next may do.
                if let Err(error) = self.take(&key) {
                    match error {
                        Fault::Decode(error) => tracing::warn!(%error, "key frame cannot be decoded"),
                        Fault::Learn(error) => break Err(error),
                    }
                }
            }
            if let Err(error) = self.keep_if_due(tell) {
                break Err(error);
            }
        };
        stopping.trigger();
        // A thread that has panicked has said so.
        let _ = receiver.join();
        ended
    }

    /// Learns from clips.
    fn play(
        &mut self,
        clips: &[PathBuf],
        shutdown: &Shutdown,
        tell: &(dyn Fn(Told<'_>) + Sync),
    ) -> Result<Ended, LearnError> {
        // A misspelt name is told before hours of the others have been learnt.
        clips.iter().try_for_each(|path| ClipReader::open(path, self.camera.clone()).map(drop))?;
        let mut begin = Mono(0);
        for path in clips {
            let mut clip = ClipReader::open(path, self.camera.clone())?;
            self.from = path.display().to_string();
            let mut end = begin;
            while let Some(mut unit) = clip.next_unit()? {
                unit.at = Mono(begin.0.saturating_add(unit.at.0));
                end = end.max(unit.at);
                if !unit.key {
                    continue;
                }
                self.take(&unit).map_err(|fault| match fault {
                    Fault::Learn(error) => error,
                    Fault::Decode(source) => LearnError::Decode { path: path.clone(), source },
                })?;
                if shutdown.is_triggered() {
                    return Ok(Ended::Interrupted);
                }
                self.keep_if_due(tell)?;
            }
            begin = end + BETWEEN_CLIPS;
        }
        Ok(Ended::Done)
    }

    /// Learns from a key frame, if one is due and it can be relied upon.
    fn take(&mut self, key: &AccessUnit) -> Result<(), Fault> {
        let due = self.last.map_or(Mono(0), |last| last + (self.every - self.every / 8));
        if key.at < due {
            return Ok(());
        }
        let Some(picture) = self.looks.look(&self.pool, key).map_err(Fault::Decode)? else { return Ok(()) };
        self.last = Some(key.at);
        let pixels = picture.pixels();
        let size = (pixels.luma.width, pixels.luma.height);
        self.view.take(&samples(&pixels));
        let health = self.judge.observe(&self.view, key.at);
        if let Some(condition) = health.seen.or(health.leading()) {
            self.progress.unfit += 1;
            self.progress.last_unfit = Some(condition);
            return Ok(());
        }
        let scene = match &mut self.scene {
            Some(scene) if scene.size != size => {
                let (from, known) = (self.from.clone(), scene.size);
                return Err(LearnError::OtherSize { from, found: size, known }.into());
            }
            Some(scene) => scene,
            None => {
                let scene = self.open(size)?;
                self.scene.insert(scene)
            }
        };
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        let answer = self.model.look(&pixels, &scene.masks).map_err(LearnError::from)?;
        if let Answer::Features(maps) = answer {
            let taken = scene.memory.take(health.light, maps.features(), &[], key.at, &mut self.scratch);
            let mismatch =
                |error: Unfit| ModelError::Mismatch { model: self.model.id().clone(), message: error.to_string() };
            taken.map_err(|error| LearnError::from(mismatch(error)))?;
        }
        self.progress.lights = progress(&scene.memory);
        Ok(())
    }

    /// What was learnt of pictures of this size before an interruption, or nothing.
    fn open(&mut self, size: (usize, usize)) -> Result<Scene, LearnError> {
        let shape = self.model.shape().ok_or_else(|| LearnError::NothingToLearn(self.model.id().clone()))?;
        let origin = view::origin(&self.camera, &self.model.running().sha256, size, &self.polygons);
        let expected = Expected { origin: &origin, shape };
        if !self.restart {
            // A scene that was learnt of another view gives way to no clip of the wrong size.
            // What is damaged has been set aside, and is in nobody's way.
            if let Err(error @ SceneFileError::Unusable { .. }) = self.files.learnt(&self.camera, expected) {
                return Err(error.into());
            }
        }
        let before = self.files.learning(&self.camera, &self.pictures, expected)?;
        let memory = before.map_or_else(|| Memory::new(origin.clone(), shape.clone()), |stored| stored.memory);
        self.progress.size = Some(size);
        self.progress.lights = progress(&memory);
        self.progress.resumed = self.progress.pictures();
        self.skip = if self.pictures_come_again { self.progress.resumed } else { 0 };
        Ok(Scene { size, masks: Masks::rasterise(&self.polygons, size.0, size.1), memory })
    }

    fn is_enough(&self) -> bool {
        self.progress.lights.iter().any(|light| light.is_known)
    }

    /// Keeps what was learnt and tells how far it has come: after the first picture, and now and then.
    fn keep_if_due(&mut self, tell: &(dyn Fn(Told<'_>) + Sync)) -> Result<(), LearnError> {
        let has_begun = self.progress.pictures() > self.progress.resumed || self.progress.unfit > 0;
        if has_begun && self.told.is_none_or(|told| told.elapsed() >= KEEP_EVERY) {
            self.told = Some(Instant::now());
            self.keep()?;
            tell(Told::Progress(&self.progress));
        }
        Ok(())
    }

    fn keep(&self) -> Result<(), LearnError> {
        let Some(scene) = &self.scene else { return Ok(()) };
        Ok(self.files.keep_learning(&self.camera, &self.pictures, &scene.memory, Timestamp::now())?)
    }

    /// Puts what was learnt in the place of what was before; the lights that it says nothing of stay as they were.
    fn finish(mut self) -> Result<Progress, LearnError> {
        let Some(mut scene) = self.scene.take().filter(|_| self.is_enough()) else {
            let Progress { lights, unfit, last_unfit, .. } = self.progress;
            let pictures = lights.iter().map(|light| light.pictures).max().unwrap_or(0);
            // There is nothing to go on with.
            self.files.drop_learning(&self.camera)?;
            return Err(LearnError::TooFew { pictures, unfit, last_unfit });
        };
        let (origin, shape) = (scene.memory.origin().clone(), scene.memory.shape().clone());
        let expected = Expected { origin: &origin, shape: &shape };
        // What is of another view is refused, and says nothing of this one.
        let learnt = self.files.learnt(&self.camera, expected).ok().flatten();
        let digest = learnt.as_ref().map(|learnt| &learnt.digest);
        let adapted = self.files.adapted(&self.camera, digest, expected).ok().flatten();
        if let Some(before) = adapted.or(learnt) {
            // Both were read as memories of this very scene.
            let _ = scene.memory.take_over(&before.memory);
        }
        self.files.keep_learnt(&self.camera, &scene.memory, Timestamp::now())?;
        Ok(self.progress)
    }
}

/// Why one key frame was not learnt from.
enum Fault {
    Decode(DecodeError),
    Learn(LearnError),
}

impl From<LearnError> for Fault {
    fn from(error: LearnError) -> Self {
        Self::Learn(error)
    }
}

fn progress(memory: &Memory) -> Vec<LightProgress> {
    let of = |light: Light| {
        let progress = memory.progress(light);
        let (pictures, spanned, is_known) = (progress.pictures, progress.spanned, progress.is_known);
        LightProgress { light, pictures, spanned, is_known }
    };
    Light::ALL.into_iter().map(of).filter(|light| light.pictures > 0).collect()
}
