//! One camera's vision: motion tells where to look, models tell what is there, trackers tell what stays the same.
//!
//! Deterministic: it has no clock and no chance in it, the same pictures at the same times give the same tracks.

use std::time::Duration;

use snowgate_core::{
    geometry::{Polygon, Rect},
    ids::Id,
    observation::{Detection, Label, Observation, Track},
    time::Mono,
};

use super::{
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

/// A thing at rest that nothing moves at is looked at so seldom.
const REST_LOOK: Duration = Duration::from_secs(10);
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

/// One camera's vision.
#[derive(Debug)]
pub struct Analyser {
    camera: Id,
    gate: Gate,
    polygons: Vec<Polygon>,
    masks: Masks,
    frame: (u32, u32),
    motion: Motion,
    eyes: Vec<Eye>,
    looked_at: Vec<Rect>,
    tracks: Vec<Track>,
}

/// One model's view of the camera.
#[derive(Debug)]
struct Eye {
    need: Need,
    max_regions: u32,
    /// Known when the model is first met.
    sight: Option<Sight>,
    tracker: Tracker,
    wanted: Vec<Rect>,
    tiles: Vec<PixelRect>,
    /// Counts on past the last tile, so that the first sweep stays done.
    next_tile: usize,
    tiles_now: Vec<PixelRect>,
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
            max_regions: spec.max_regions.value,
            sight: None,
            // Each eye counts on its own, but no two tracks of a camera have one number.
            tracker: Tracker::numbered(spec, first, step),
            wanted: Vec::new(),
            tiles: Vec::new(),
            next_tile: 0,
            tiles_now: Vec::new(),
            candidates: Vec::new(),
            detections: Vec::new(),
            looked_at: Vec::new(),
        });
        Self {
            camera,
            gate: spec.gate,
            masks: Masks::default(),
            frame: (0, 0),
            motion: Motion::new(spec, polygons.clone()),
            eyes: eyes.collect(),
            looked_at: Vec::new(),
            tracks: Vec::new(),
            polygons,
        }
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
        let frame = (pixels.luma.width as u32, pixels.luma.height as u32);
        if frame != self.frame {
            self.frame = frame;
            self.masks = Masks::rasterise(&self.polygons, pixels.luma.width, pixels.luma.height);
            self.eyes.iter_mut().for_each(Eye::start_over);
        }
        self.motion.update(&pixels.luma, at);
        self.looked_at.clear();
        self.tracks.clear();
        let mut failure = None;
        for eye in &mut self.eyes {
            let result = match models.get_mut(&eye.need.model) {
                Some(model) => eye.look(&self.camera, self.gate, pixels, &self.masks, &self.motion, at, model),
                None => Err(VisionError::NoModel(eye.need.model.clone())),
            };
            failure = failure.or(result.err());
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
        match failure {
            Some(error) => Err(error),
            None => Ok(Analysis {
                picture,
                at,
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

    #[allow(clippy::too_many_arguments, reason = "one picture and what the analyser knows of it")]
    fn look(
        &mut self,
        camera: &Id,
        gate: Gate,
        pixels: &Pixels<'_>,
        masks: &Masks,
        motion: &Motion,
        at: Mono,
        model: &mut Model,
    ) -> Result<(), VisionError> {
        let frame = (pixels.luma.width as u32, pixels.luma.height as u32);
        self.looked_at.clear();
        self.gather_wanted(motion, at);
        let sight = self.sight.get_or_insert_with(|| {
            let sizes: Vec<(u32, u32)> = model.input_sizes().collect();
            let needed = |label: &str| self.need.labels.iter().any(|wanted| wanted == label);
            Sight {
                planner: Planner::new(&sizes, self.max_regions),
                needed: model.labels().iter().map(|label| needed(label.as_str())).collect(),
            }
        });
        if self.tiles.is_empty() {
            sight.planner.sweep(frame, &mut self.tiles);
        }
        self.tiles_now.clear();
        let count = if self.next_tile < self.tiles.len() { FIRST_TILES } else { usize::from(gate == Gate::Always) };
        for _ in 0..count.min(self.tiles.len()) {
            self.tiles_now.push(self.tiles[self.next_tile % self.tiles.len()]);
            self.next_tile += 1;
        }
        sight.planner.plan(frame, &self.wanted, &self.tiles_now);
        self.candidates.clear();
        for region in sight.planner.regions() {
            let found = model.candidates(pixels, masks, *region, model.min_score())?;
            let needed = found.iter().filter(|found| sight.needed.get(usize::from(found.class)) == Some(&true));
            let room = MAX_MERGED.saturating_sub(self.candidates.len());
            self.candidates.extend(needed.take(room));
            self.looked_at.push(region.in_frame(frame.0, frame.1));
        }
        merge_regions(&mut self.candidates, model.nms_iou());
        self.detections.clear();
        self.detections.extend(self.candidates.iter().filter_map(|found| {
            let label = model.label(found.class)?.clone();
            Some(Detection { label, score: found.score, rect: found.rect })
        }));
        self.tracker.update(at, &self.detections, &self.looked_at);
        let (count, cut) = (sight.planner.regions().len(), sight.planner.cut());
        RegionsLookedAt { camera, model: model.id(), count, cut }.emit();
        Ok(())
    }

    /// What should be looked at, the most urgent first: moving things, motion, then things at rest that are due.
    fn gather_wanted(&mut self, motion: &Motion, at: Mono) {
        self.wanted.clear();
        self.wanted.extend(self.tracker.wanted(at).filter(|wanted| !wanted.at_rest).map(|wanted| wanted.area));
        self.wanted.extend_from_slice(motion.clusters());
        let due = self.tracker.wanted(at).filter(|wanted| {
            let touched = || motion.clusters().iter().any(|cluster| cluster.intersection(&wanted.area).area() > 0.0);
            wanted.at_rest && (wanted.unlooked_for >= REST_LOOK || touched())
        });
        self.wanted.extend(due.map(|wanted| wanted.area));
    }
}
