//! One camera's vision: motion tells where to look, models tell what is there, trackers tell what stays the same.
//!
//! Deterministic: it has no clock and no chance in it, the same pictures at the same times give the same tracks.

use snowgate_core::{
    geometry::{Polygon, Rect},
    ids::Id,
    observation::{Detection, Label, Observation, Track},
    time::Mono,
};

use super::{
    attention::Attention,
    masks::Masks,
    model::{Model, ModelError, Models},
    motion::Motion,
    nms::{Candidate, merge_regions},
    preprocess::PixelRect,
    regions::Planner,
    spec::{DetectSpec, Gate},
    tracker::Tracker,
};
use crate::{
    camera::pixels::Pixels,
    events::vision::{PictureAnalysed, RegionsLookedAt},
};

/// Tiles of the first sweep shown with each picture.
const FIRST_TILES: usize = 2;
/// The most boxes of all regions of one picture.
const MAX_MERGED: usize = 1024;

/// Which models a camera's rules need, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The model's manifest id.
    pub model: Id,
    /// The labels that matter; what else the model finds is dropped.
    pub labels: Vec<String>,
}

impl Need {
    /// What the rules of a camera need: `labels` are all the labels they name.
    pub fn of_labels<'a>(object_model: &Id, face_model: &Id, labels: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let mut objects = Self { model: object_model.clone(), labels: Vec::new() };
        let mut faces = Self { model: face_model.clone(), labels: Vec::new() };
        for label in labels {
            let need = if label == Label::FACE { &mut faces } else { &mut objects };
            if !need.labels.iter().any(|known| known == label) {
                need.labels.push(label.to_owned());
            }
        }
        [objects, faces].into_iter().filter(|need| !need.labels.is_empty()).collect()
    }
}

/// Why a picture could not be analysed. The camera's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// A model the camera needs could not be opened.
    #[error("model {0} is not loaded")]
    NoModel(Id),
    /// A model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What one picture showed.
#[derive(Debug, Clone, Copy)]
pub struct Analysis<'a> {
    /// The picture's number.
    pub picture: u64,
    /// When it was taken.
    pub at: Mono,
    /// Share of the unmasked frame that has changed, 0..1.
    pub motion: f32,
    /// Where it has changed, fractions of the frame.
    pub clusters: &'a [Rect],
    /// What was shown to models, fractions of the frame.
    pub looked_at: &'a [Rect],
    /// All live, confirmed tracks.
    pub tracks: &'a [Track],
}

impl<'a> Analysis<'a> {
    /// What rules are told of it.
    pub fn observation(&self) -> Observation<'a> {
        Observation { picture: self.picture, at: self.at, tracks: self.tracks }
    }
}

/// Whether a key frame differs from what the camera last showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// Nothing has moved.
    Still,
    /// Something has.
    Moved,
    /// Most of the picture has changed at once: lights, infra-red switch, exposure.
    LightChanged,
}

/// How far the analysis of a picture has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A region was inferred, and there may be more.
    Region,
    /// Nothing is left to infer.
    Done,
}

/// A picture that is being analysed.
#[derive(Debug)]
struct Job {
    picture: u64,
    at: Mono,
    /// The eye whose turn it is.
    eye: usize,
    /// Regions of that eye inferred so far; none before they are planned.
    inferred: Option<usize>,
    failure: Option<VisionError>,
}

/// How much of a picture models may be shown.
#[derive(Debug, Clone, Copy)]
struct Settings {
    gate: Gate,
    max_regions: u32,
    /// Regions are fewer than that for the time being.
    scarce: bool,
}

/// One camera's vision.
#[derive(Debug)]
pub struct Analyser {
    camera: Id,
    settings: Settings,
    polygons: Vec<Polygon>,
    masks: Masks,
    frame: (u32, u32),
    motion: Motion,
    eyes: Vec<Eye>,
    /// Whether models shall be shown the whole frame again.
    afresh: bool,
    job: Option<Job>,
    looked_at: Vec<Rect>,
    tracks: Vec<Track>,
}

/// One model's view of the camera.
#[derive(Debug)]
struct Eye {
    need: Need,
    /// Known when the model is first met.
    sight: Option<Sight>,
    tracker: Tracker,
    attention: Attention,
    tiles: Vec<PixelRect>,
    /// Counts on past the last tile, so that the first sweep stays done.
    next_tile: usize,
    tiles_now: Vec<PixelRect>,
    /// Tiles that will have been shown when the picture is done with.
    tiles_planned: usize,
    candidates: Vec<Candidate>,
    detections: Vec<Detection>,
    looked_at: Vec<Rect>,
}

#[derive(Debug)]
struct Sight {
    planner: Planner,
    /// Whether each class of the model is needed.
    needed: Vec<bool>,
}

impl Analyser {
    /// Vision of a camera with these settings and privacy masks that needs these models.
    pub fn new(camera: Id, spec: &DetectSpec, polygons: Vec<Polygon>, needs: Vec<Need>) -> Self {
        let step = needs.len() as u64;
        let eyes = needs.into_iter().zip(1..).map(|(need, first)| Eye {
            need,
            sight: None,
            // Each eye counts on its own, but no two tracks of a camera have one number.
            tracker: Tracker::numbered(spec, first, step),
            attention: Attention::default(),
            tiles: Vec::new(),
            next_tile: 0,
            tiles_now: Vec::new(),
            tiles_planned: 0,
            candidates: Vec::new(),
            detections: Vec::new(),
            looked_at: Vec::new(),
        });
        Self {
            camera,
            settings: Settings { gate: spec.gate, max_regions: spec.max_regions.value, scarce: false },
            masks: Masks::default(),
            frame: (0, 0),
            motion: Motion::new(spec, polygons.clone()),
            eyes: eyes.collect(),
            afresh: false,
            job: None,
            looked_at: Vec::new(),
            tracks: Vec::new(),
            polygons,
        }
    }

    /// Compares a key frame with what the camera last showed, between two analyses. If nothing has moved, the picture
    /// counts as seen.
    pub fn glance(&mut self, pixels: &Pixels<'_>, at: Mono) -> Glance {
        self.motion.update_if_still(&pixels.luma, at);
        match (self.motion.light_changed(), self.motion.is_motion()) {
            (true, _) => Glance::LightChanged,
            (false, true) => Glance::Moved,
            (false, false) => Glance::Still,
        }
    }

    /// Whether the last picture analysed showed motion, or something is followed that is not at rest.
    pub fn is_lively(&self) -> bool {
        self.motion.is_motion() || self.is_following()
    }

    /// Whether something is followed that is not at rest. Without a model motion is all there is to follow.
    pub fn is_following(&self) -> bool {
        let motion = self.eyes.is_empty() && self.motion.is_motion();
        motion || self.eyes.iter().any(|eye| eye.tracker.is_anything_moving())
    }

    /// Whether anything is followed, at rest or not.
    pub fn is_occupied(&self) -> bool {
        self.eyes.iter().any(|eye| eye.tracker.is_following())
    }

    /// From the next picture on models are shown all of the frame once more, a part with each picture, as at the very
    /// beginning. What is known by then stays known.
    pub fn look_afresh(&mut self) {
        self.afresh = true;
    }

    /// Whether parts of the frame were never looked at, or not [afresh](Self::look_afresh).
    pub fn has_unseen(&self) -> bool {
        self.afresh || self.eyes.iter().any(|eye| eye.next_tile < eye.tiles.len() || eye.tiles.is_empty())
    }

    /// Regions of one picture shown to one model from the next picture on, where fewer than configured.
    pub fn limit_regions(&mut self, most: u32) {
        self.settings.scarce = most < self.settings.max_regions;
        for sight in self.eyes.iter_mut().filter_map(|eye| eye.sight.as_mut()) {
            sight.planner.set_limit(most.min(self.settings.max_regions));
        }
    }

    /// Bytes this camera's vision takes, but for a few small lists.
    pub fn bytes(&self) -> usize {
        self.motion.bytes()
    }

    /// Analyses the next picture: its number, and when it was taken.
    ///
    /// # Errors
    /// When a model is missing or fails. The other models' tracks go on; those of this model wait.
    pub fn analyse(
        &mut self,
        pixels: &Pixels<'_>,
        picture: u64,
        at: Mono,
        models: &mut Models,
    ) -> Result<Analysis<'_>, VisionError> {
        self.begin(pixels, picture, at);
        while self.step(pixels, models) == Step::Region {}
        self.finish()
    }

    /// Begins with a picture: what has moved in it. The same picture is then handed to [`step`](Self::step) until that is
    /// done, and [`finish`](Self::finish) tells what it showed.
    pub fn begin(&mut self, pixels: &Pixels<'_>, picture: u64, at: Mono) {
        let frame = (pixels.luma.width as u32, pixels.luma.height as u32);
        if frame != self.frame {
            self.frame = frame;
            self.masks = Masks::rasterise(&self.polygons, pixels.luma.width, pixels.luma.height);
            self.eyes.iter_mut().for_each(Eye::start_over);
        }
        if std::mem::take(&mut self.afresh) {
            self.eyes.iter_mut().for_each(|eye| eye.next_tile = 0);
        }
        self.motion.update(&pixels.luma, at);
        self.looked_at.clear();
        self.tracks.clear();
        self.eyes.iter_mut().for_each(Eye::pass);
        self.job = Some(Job { picture, at, eye: 0, inferred: None, failure: None });
    }

    /// Infers one region of the picture begun.
    pub fn step(&mut self, pixels: &Pixels<'_>, models: &mut Models) -> Step {
        let Self { job: Some(job), eyes, masks, motion, settings, frame, .. } = self else { return Step::Done };
        while let Some(eye) = eyes.get_mut(job.eye) {
            let Some(model) = models.get_mut(&eye.need.model) else {
                job.failure.get_or_insert_with(|| VisionError::NoModel(eye.need.model.clone()));
                (job.eye, job.inferred) = (job.eye + 1, None);
                continue;
            };
            let index = *job.inferred.get_or_insert_with(|| {
                eye.plan(*settings, *frame, motion, job.at, model);
                0
            });
            match eye.infer(index, pixels, masks, model) {
                Ok(true) => {
                    job.inferred = Some(index + 1);
                    return Step::Region;
                }
                Ok(false) => {
                    eye.conclude(&self.camera, job.at, model);
                    eye.attention.remember_vain(motion, &eye.looked_at, &eye.detections, job.at);
                }
                Err(error) => {
                    job.failure.get_or_insert(error);
                    eye.pass();
                }
            }
            (job.eye, job.inferred) = (job.eye + 1, None);
        }
        Step::Done
    }

    /// What is followed as of the last picture.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.eyes.iter().flat_map(|eye| eye.tracker.tracks())
    }

    /// Forgets the picture begun: trackers have not heard of it, and it tells nothing.
    pub fn give_up(&mut self) {
        self.job = None;
    }

    /// What the picture showed, once every step is done.
    ///
    /// # Errors
    /// The first model that was missing or failed.
    pub fn finish(&mut self) -> Result<Analysis<'_>, VisionError> {
        let job = self.job.take().unwrap_or(Job { picture: 0, at: Mono(0), eye: 0, inferred: None, failure: None });
        for eye in &self.eyes {
            self.looked_at.extend_from_slice(&eye.looked_at);
            self.tracks.extend_from_slice(eye.tracker.tracks());
        }
        PictureAnalysed {
            camera: &self.camera,
            motion: self.motion.is_motion(),
            inferred: !self.looked_at.is_empty(),
            tracks: self.tracks.len(),
        }
        .emit();
        match job.failure {
            Some(error) => Err(error),
            None => Ok(Analysis {
                picture: job.picture,
                at: job.at,
                motion: self.motion.share(),
                clusters: self.motion.clusters(),
                looked_at: &self.looked_at,
                tracks: &self.tracks,
            }),
        }
    }

    /// The masks as rasterised for the last picture: what else looks at this camera's pictures must honour them too.
    pub fn masks(&self) -> &Masks {
        &self.masks
    }
}

impl Eye {
    /// The picture's size has changed: tiles are made anew.
    fn start_over(&mut self) {
        self.tiles.clear();
        self.next_tile = 0;
    }

    /// Plans which regions of a picture the model is shown.
    fn plan(&mut self, settings: Settings, frame: (u32, u32), motion: &Motion, at: Mono, model: &Model) {
        let wanted = self.attention.gather(&self.tracker, motion, at, settings.scarce);
        let sight = self.sight.get_or_insert_with(|| {
            let sizes: Vec<(u32, u32)> = model.input_sizes().collect();
            let needed = |label: &str| self.need.labels.iter().any(|wanted| wanted == label);
            Sight {
                planner: Planner::new(&sizes, settings.max_regions),
                needed: model.labels().iter().map(|label| needed(label.as_str())).collect(),
            }
        });
        if self.tiles.is_empty() {
            sight.planner.sweep(frame, &mut self.tiles);
        }
        self.tiles_now.clear();
        let count =
            if self.next_tile < self.tiles.len() { FIRST_TILES } else { usize::from(settings.gate == Gate::Always) };
        let coming = self.tiles.iter().cycle().skip(self.next_tile % self.tiles.len().max(1));
        self.tiles_now.extend(coming.take(count.min(self.tiles.len())));
        // What there was no room for is shown with a later picture.
        self.tiles_planned = sight.planner.plan(frame, wanted, &self.tiles_now);
        self.candidates.clear();
    }

    /// Infers the region planned at `index`; `false` if there is none.
    fn infer(
        &mut self,
        index: usize,
        pixels: &Pixels<'_>,
        masks: &Masks,
        model: &mut Model,
    ) -> Result<bool, VisionError> {
        let Some(sight) = &self.sight else { return Ok(false) };
        let Some(region) = sight.planner.regions().get(index) else { return Ok(false) };
        let found = model.candidates(pixels, masks, *region, model.min_score())?;
        let needed = found.iter().filter(|found| sight.needed.get(usize::from(found.class)) == Some(&true));
        let room = MAX_MERGED.saturating_sub(self.candidates.len());
        self.candidates.extend(needed.take(room));
        self.looked_at.push(region.in_frame(pixels.luma.width as u32, pixels.luma.height as u32));
        Ok(true)
    }

    /// Follows what was found in the regions inferred.
    fn conclude(&mut self, camera: &Id, at: Mono, model: &Model) {
        self.next_tile += std::mem::take(&mut self.tiles_planned);
        merge_regions(&mut self.candidates, model.nms_iou());
        self.detections.clear();
        self.detections.extend(self.candidates.iter().filter_map(|found| {
            let label = model.label(found.class)?.clone();
            Some(Detection { label, score: found.score, rect: found.rect })
        }));
        self.tracker.update(at, &self.detections, &self.looked_at);
        let cut = self.sight.as_ref().map_or(0, |sight| sight.planner.cut());
        RegionsLookedAt { camera, model: model.id(), count: self.looked_at.len(), cut }.emit();
    }

    /// This picture shows the model nothing.
    fn pass(&mut self) {
        self.looked_at.clear();
    }
}
