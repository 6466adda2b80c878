//! One camera's watch for what was never in its scene.
//!
//! Key frames that are fit for it, by the camera's [health](super::scene), wait in a slot of their own, one every
//! `anomaly.every`, whether the camera is quiet or followed: a square that is never empty must not be blind. Inference takes
//! one when no camera has anything else for it to do, and shows the whole picture to the camera's model of scenes.
//!
//! What was learnt is opened with the first picture, whose size is part of the view: what was learnt of another one,
//! of another camera or by another model is refused by name, and the camera learns anew.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use snowgate_core::{
    geometry::{Polygon, Rect},
    ids::Id,
    observation::Track,
    scene::{
        Light,
        anomaly::{AnomalySpec, Memory, Origin, Outlook, Shape, Strangeness, Unfit, Watch},
    },
};

use super::Slot;
use crate::{
    camera::picture::Picture,
    events::scene::{SceneGaveWay, SceneLookedAt, SceneWatched},
    vision::{
        analyser::VisionError,
        masks::Masks,
        model::{ModelError, Models},
        scene::{
            Answer, SceneModel,
            files::{Digest, Expected, SceneFiles, Stamp},
            view,
        },
    },
};

/// A light must have this part, at least, of the pictures of the one that has most to count as taught.
const LEAST_PART: u32 = 8;

/// Everything that the watch for what was never in a scene goes by.
pub struct AnomalySettings {
    /// Whose scene.
    pub camera: Id,
    /// The model that its scene is learnt or judged by.
    pub model: Id,
    /// What it can be told.
    pub spec: AnomalySpec,
    /// What nobody may look at.
    pub masks: Vec<Polygon>,
    /// Where what was learnt lies; where it does not, what is learnt is forgotten at the end.
    pub files: Option<SceneFiles>,
}

/// A key frame that waits to be looked at.
struct Offer {
    picture: Picture,
    light: Light,
}

/// One camera's watch.
pub struct AnomalyWatch {
    camera: Id,
    slot: Slot<Offer>,
    every: Duration,
    /// When the next key frame is due (monotonic nanoseconds).
    due: AtomicU64,
    judge: Mutex<Judge>,
    /// Whether anything was looked at since it was last kept.
    is_new: AtomicBool,
    /// Bytes that what was learnt takes.
    bytes: AtomicUsize,
}

struct Judge {
    settings: AnomalySettings,
    opened: Option<Opened>,
    told: [Option<bool>; Light::ALL.len()],
}

/// What it goes by, for pictures of one size.
struct Opened {
    size: (usize, usize),
    masks: Masks,
    by: By,
    /// The file of what was learnt, as it was then.
    stamp: Option<Stamp>,
}

enum By {
    /// What was learnt of the scene, and the digest of the file that it comes from.
    Features(Box<Strangeness>, Option<Digest>),
    /// A model of a township's own.
    Itself(Box<Watch>),
}

impl AnomalyWatch {
    /// For a camera of which nothing has been seen yet.
    pub fn new(settings: AnomalySettings) -> Self {
        Self {
            camera: settings.camera.clone(),
            slot: Slot::default(),
            bytes: AtomicUsize::new(0),
            every: settings.spec.every.0,
            due: AtomicU64::new(0),
            judge: Mutex::new(Judge { settings, opened: None, told: Default::default() }),
            is_new: AtomicBool::new(false),
        }
    }

    /// Offers a key frame in this light; takes it, and answers `true`, if one is due. One that still waits gives way.
    pub(super) fn offer(&self, picture: &Picture, light: Light) -> bool {
        let at = picture.at();
        if at.0 < self.due.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(picture) = picture.share() else { return false };
        // Key frames jitter around their grid; one that is a little early is the one meant.
        self.due.store((at + (self.every - self.every / 8)).0, Ordering::Relaxed);
        if self.slot.put(Offer { picture, light }).is_some() {
            SceneGaveWay { camera: &self.camera }.emit();
        }
        true
    }

    /// How far apart key frames are that it looks at.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// Somebody waits: the next key frame is due.
    pub(super) fn hurry(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// Bytes that what was learnt takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Looks at the key frame that waits, if one does, and hands over what is to be told. Boxes of what is `known` are not
    /// looked at.
    ///
    /// # Errors
    /// The model is not there, or it fails. The next picture may do.
    pub(super) fn look(
        &self,
        known: Vec<Rect>,
        models: &mut Models,
        tell: impl FnOnce(Picture, Outlook<'_>),
    ) -> Option<Result<(), VisionError>> {
        let Offer { picture, light } = self.slot.take()?;
        let mut judge = lock(&self.judge);
        let looked = judge.look(&picture, light, &known, models).map(|outlook| tell(picture, outlook));
        self.bytes.store(judge.bytes(), Ordering::Relaxed);
        self.is_new.store(true, Ordering::Relaxed);
        SceneLookedAt { camera: &self.camera }.emit();
        Some(looked)
    }

    /// Keeps what was learnt since the last time. What the files cannot take has been told of.
    pub fn keep(&self) {
        if !self.is_new.swap(false, Ordering::Relaxed) {
            return;
        }
        let judge = lock(&self.judge);
        let Some(Opened { by: By::Features(strangeness, learnt), .. }) = &judge.opened else { return };
        let Some(files) = judge.settings.files.clone() else { return };
        let (camera, memory, learnt) = (judge.settings.camera.clone(), strangeness.memory().clone(), learnt.clone());
        // Writing takes long, and inference waits for nobody.
        drop(judge);
        let _ = files.keep_adapted(&camera, learnt.as_ref(), &memory, Timestamp::now());
    }

    /// Begins with what was learnt anew, if that has happened since it was opened.
    pub fn refresh(&self) {
        let mut judge = lock(&self.judge);
        let Judge { settings: AnomalySettings { camera, files: Some(files), .. }, opened, .. } = &mut *judge else {
            return;
        };
        if opened.as_ref().is_some_and(|opened| opened.stamp != files.stamp(camera)) {
            *opened = None;
            self.is_new.store(false, Ordering::Relaxed);
        }
    }

    /// Forgets everything: what is shown from now on is learnt.
    pub fn forget(&self) {
        lock(&self.judge).opened = None;
        self.is_new.store(false, Ordering::Relaxed);
    }
}

/// The boxes of what is followed and known: people wherever they are, and other things as long as they move. A car that is
/// parked where cars never stood is an unknown thing.
pub(super) fn known<'t>(tracks: impl Iterator<Item = &'t Track>) -> Vec<Rect> {
    let counts = |track: &&Track| track.label.is_person() || track.label.is_face() || track.stationary_since.is_none();
    tracks.filter(counts).map(|track| track.rect).collect()
}

impl Judge {
    fn bytes(&self) -> usize {
        match &self.opened {
            Some(Opened { by: By::Features(strangeness, _), .. }) => strangeness.memory().bytes(),
            _ => 0,
        }
    }

    fn look(
        &mut self,
        picture: &Picture,
        light: Light,
        known: &[Rect],
        models: &mut Models,
    ) -> Result<Outlook<'_>, VisionError> {
        let pixels = picture.pixels();
        let size = (pixels.luma.width, pixels.luma.height);
        let id = &self.settings.model;
        let Some((model, scratch)) = models.scene_mut(id) else { return Err(VisionError::NoModel(id.clone())) };
        if self.opened.take_if(|opened| opened.size != size).is_some() {
            self.told = Default::default();
        }
        let opened = self.opened.get_or_insert_with(|| open(&self.settings, size, model));
        let at = picture.at();
        let watches = match &opened.by {
            By::Features(strangeness, _) => strangeness.watches(light),
            By::Itself(_) => true,
        };
        let told = &mut self.told[light.index()];
        if told.replace(watches) != Some(watches) {
            SceneWatched { camera: self.settings.camera.as_str(), light: light.as_str(), watches }.emit();
        }
        let unfit = |error: Unfit| ModelError::Mismatch { model: id.clone(), message: error.to_string() };
        match (model.look(&pixels, &opened.masks)?, &mut opened.by) {
            (Answer::Features(maps), By::Features(strangeness, _)) => {
                Ok(strangeness.observe(light, maps.features(), known, at, scratch).map_err(unfit)?)
            }
            (Answer::Heat(heat), By::Itself(watch)) => Ok(watch.observe(heat, known, at)),
            // A model gives what it gave when it was opened.
            (Answer::Features(_) | Answer::Heat(_), _) => Err(VisionError::NoModel(id.clone())),
        }
    }
}

fn open(settings: &AnomalySettings, size: (usize, usize), model: &SceneModel) -> Opened {
    let AnomalySettings { camera, spec, masks, files, .. } = settings;
    let stamp = files.as_ref().and_then(|files| files.stamp(camera));
    let by = match model.shape() {
        Some(shape) => {
            let origin = view::origin(camera, &model.running().sha256, size, masks);
            let (strangeness, learnt) = recall(files.as_ref(), camera, spec, &origin, shape);
            By::Features(Box::new(strangeness), learnt)
        }
        None => By::Itself(Box::new(Watch::new(spec))),
    };
    Opened { size, masks: Masks::rasterise(masks, size.0, size.1), by, stamp }
}

/// What was learnt and adapted since, or nothing. What cannot be used has been told of.
fn recall(
    files: Option<&SceneFiles>,
    camera: &Id,
    spec: &AnomalySpec,
    origin: &Origin,
    shape: &Shape,
) -> (Strangeness, Option<Digest>) {
    let expected = Expected { origin, shape };
    let learnt = files.and_then(|files| files.learnt(camera, expected).ok().flatten());
    let (learnt, digest) = learnt.map(|learnt| (learnt.memory, learnt.digest)).unzip();
    let adapted = files.and_then(|files| files.adapted(camera, digest.as_ref(), expected).ok().flatten());
    let taught = learnt.as_ref().map(lights_taught).unwrap_or_default();
    let memory = adapted.map(|adapted| adapted.memory).or(learnt);
    let memory = memory.unwrap_or_else(|| Memory::new(origin.clone(), shape.clone()));
    (Strangeness::new(spec, memory, &taught), digest)
}

/// The lights that a memory was really taught: a few minutes of dusk among the pictures of a day are not enough.
fn lights_taught(memory: &Memory) -> Vec<Light> {
    let pictures = |light: Light| memory.progress(light).pictures;
    let most = Light::ALL.map(pictures).into_iter().max().unwrap_or(0);
    let is_taught = |light: &Light| memory.progress(*light).is_known && pictures(*light) >= most / LEAST_PART;
    Light::ALL.into_iter().filter(is_taught).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
