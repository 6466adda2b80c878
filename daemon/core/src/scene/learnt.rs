//! What a camera normally shows: its views, and what its pictures measure, by light.
//!
//! A view is the average structure of one place in one light. It is averaged over the first pictures, a few seconds apart, so that who
//! walks through them leaves no trace; from then on it goes a sixteenth of the way towards the picture of the
//! moment once a minute, which follows the sun's shadows and forgets a parked car's edges in a quarter of an hour.
//!
//! Memory: 38 KB a view; a fixed camera has up to three views (by day, in the dark, under infra-red), one with eight
//! presets up to 24, 0.9 MB, and one under way for each light. It can be stored and read back; what is read back is checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    light::Light,
    registration::{Match, register, similarity},
    structure::Structure,
    view::{HEIGHT, Measures, WIDTH},
};
use crate::{hex::hex, time::Mono};

/// The form in which it is stored. A reader takes this one only.
pub const VERSION: u32 = 1;
/// The most places remembered.
pub const MOST_PLACES: usize = 8;

/// Pictures after which a view, or what is normal, is known.
pub(super) const KNOWN_AFTER: u32 = 6;
/// Pictures are learnt from no oftener than this…
pub(super) const LEARN_EVERY: Duration = Duration::from_secs(10);
/// …and a known view than this.
const ADAPT_EVERY: Duration = Duration::from_secs(60);
/// How much of a known view each picture replaces at least.
const ADAPT: f32 = 1.0 / 16.0;
/// Pictures that what is normal is averaged over: half an hour.
const MEMORY: u32 = 180;
/// A view under way begins anew with a picture that is so unlike it.
const UNLIKE: f32 = 0.3;
/// The similarity that a known view is expected to reach at least: where wind moves most of it, nothing can be known again.
const LEAST_NORMAL: f32 = 0.35;
/// A picture as similar as this share of what is normal stands where the view stands; no search is needed.
const SURE: f32 = 0.9;
/// A picture as similar as this share of what is normal shows the view.
pub(super) const RECOGNISED: f32 = 0.4;
/// Tiles of a view that hold at least so much structure are missed when it goes.
const STRUCTURED: f32 = 0.2;
/// A tile has lost its structure when less than this share of it is left.
const LOST: f32 = 0.35;
/// So many structured tiles it takes to tell a share of them.
const LEAST_STRUCTURED: usize = 12;

/// A mean and a mean deviation that follow slowly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Normal {
    mean: f32,
    deviation: f32,
    seen: u32,
}

impl Normal {
    pub(super) fn learn(&mut self, value: f32) {
        if !value.is_finite() {
            return;
        }
        self.seen = (self.seen + 1).min(MEMORY);
        let weight = 1.0 / self.seen as f32;
        let difference = value - self.mean;
        self.mean += weight * difference;
        if self.seen > 1 {
            self.deviation += weight * (difference.abs() - self.deviation);
        }
    }

    /// Mean and mean deviation, once enough was seen.
    pub(super) fn known(&self) -> Option<(f32, f32)> {
        (self.seen >= KNOWN_AFTER).then_some((self.mean, self.deviation))
    }

    fn is_sound(&self) -> bool {
        self.mean.is_finite() && self.deviation.is_finite() && self.deviation >= 0.0 && self.seen <= MEMORY
    }
}

/// What pictures normally measure in one light.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Normals {
    /// Natural logarithm of the sharpness.
    pub sharpness: Normal,
    /// Noise, in steps of 1/255.
    pub noise: Normal,
    /// Share of blocky cells.
    pub blocky: Normal,
}

/// One place in one light.
#[derive(Debug, Clone, PartialEq)]
struct LearntView {
    light: Light,
    structure: Structure,
    seen: u32,
    /// How similar to it its own pictures are.
    similarity: Normal,
    learnt: Option<Mono>,
}

impl LearntView {
    fn new(light: Light) -> Self {
        Self { light, structure: Structure::default(), seen: 0, similarity: Normal::default(), learnt: None }
    }

    fn is_known(&self) -> bool {
        self.seen >= KNOWN_AFTER
    }

    fn normal_similarity(&self) -> f32 {
        self.similarity.mean.max(LEAST_NORMAL)
    }

    fn learn(&mut self, now: &Structure, at: Mono) {
        let every = if self.is_known() { ADAPT_EVERY } else { LEARN_EVERY };
        if self.learnt.is_some_and(|learnt| at.since(learnt) < every) {
            return;
        }
        self.learnt = Some(at);
        let similarity = similarity(&self.structure, now);
        if self.seen == 0 || !self.is_known() && similarity < UNLIKE {
            (self.structure, self.seen, self.similarity) = (now.clone(), 1, Normal::default());
            return;
        }
        self.similarity.learn(similarity);
        self.seen = self.seen.saturating_add(1);
        self.structure.approach(now, ADAPT.max(1.0 / self.seen as f32));
    }

    /// Share of its structured tiles that show nothing of it; `None` where too few have any structure.
    fn lost(&self, now: &Structure) -> Option<f32> {
        let structured = self.structure.tiles().iter().zip(now.tiles()).filter(|(own, _)| **own >= STRUCTURED);
        let (count, lost) = structured
            .fold((0usize, 0usize), |(count, lost), (own, now)| (count + 1, lost + usize::from(*now < LOST * own)));
        (count >= LEAST_STRUCTURED).then(|| lost as f32 / count as f32)
    }
}

/// What a camera normally shows. See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Learnt {
    views: Vec<LearntView>,
    normals: [Normals; Light::ALL.len()],
    /// The size of the pictures that the normals were measured on.
    size: (usize, usize),
}

/// Which view a picture shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Recognition {
    pub view: usize,
    /// Similarity as a share of what is normal for the view.
    pub similarity: f32,
    pub dx: f32,
    pub dy: f32,
}

impl Recognition {
    fn new(view: usize, learnt: &LearntView, found: Match) -> Self {
        Self { view, similarity: found.similarity / learnt.normal_similarity(), dx: found.dx, dy: found.dy }
    }
}

impl Learnt {
    /// How many views are known in a light.
    pub fn views(&self, light: Light) -> usize {
        self.known().filter(|(_, view)| view.light == light).count()
    }

    pub(super) fn normals(&self, light: Light) -> &Normals {
        &self.normals[light.index()]
    }

    /// What is normal, to be learnt from a picture that measures these; forgotten where pictures have another size now.
    pub(super) fn normals_mut(&mut self, light: Light, measures: &Measures) -> &mut Normals {
        if self.size != measures.size {
            (self.size, self.normals) = (measures.size, Default::default());
        }
        &mut self.normals[light.index()]
    }

    /// Whether the normals were measured on pictures of this size.
    pub(super) fn fits(&self, measures: &Measures) -> bool {
        self.size == measures.size
    }

    fn known(&self) -> impl Iterator<Item = (usize, &LearntView)> {
        self.views.iter().enumerate().filter(|(_, view)| view.is_known())
    }

    /// How each known view agrees with a picture where it stands.
    fn standing(&self, now: &Structure) -> impl Iterator<Item = Recognition> {
        self.known().map(|(index, view)| {
            let found = Match { similarity: similarity(&view.structure, now), dx: 0.0, dy: 0.0 };
            Recognition::new(index, view, found)
        })
    }

    /// The known view that agrees best, of any light and wherever in the frame. `None` if none is known.
    ///
    /// All are compared where they stand. Shifts are searched for of three: the one that was last `presumed`, the best and
    /// the best in this light.
    pub(super) fn recognise(&self, now: &Structure, presumed: usize, light: Light) -> Option<Recognition> {
        let best = self.standing(now).max_by(less_similar)?;
        if best.similarity >= SURE {
            return Some(best);
        }
        let own = self.standing(now).filter(|found| self.views[found.view].light == light).max_by(less_similar);
        let candidates = [Some(presumed), Some(best.view), own.map(|own| own.view)];
        let mut found = best;
        for (place, candidate) in candidates.iter().enumerate() {
            let view = candidate.filter(|view| !candidates[..place].contains(&Some(*view)));
            let Some((index, view)) = view.and_then(|index| Some((index, self.views.get(index)?))) else { continue };
            if !view.is_known() {
                continue;
            }
            let shifted = Recognition::new(index, view, register(&view.structure, now));
            if shifted.similarity > found.similarity {
                found = shifted;
            }
            if found.similarity >= SURE {
                break;
            }
        }
        Some(found)
    }

    /// Share of the structure of a known view that is gone, of the one that has lost least; `None` where too little has
    /// ever been there. What hides the scene hides all views alike, and the one that is shown loses nothing otherwise.
    pub(super) fn lost(&self, now: &Structure) -> Option<f32> {
        self.known().filter_map(|(_, view)| view.lost(now)).min_by(f32::total_cmp)
    }

    /// Learns from a picture: the view of this light that it shows, or another one where there are less than `most`.
    pub(super) fn learn(&mut self, light: Light, now: &Structure, most: usize, at: Mono) {
        let own = |found: &Recognition| self.views[found.view].light == light;
        let shown = self.standing(now).filter(own).max_by(less_similar);
        let has_room = self.views(light) < most.min(MOST_PLACES);
        let index = match shown {
            Some(shown) if shown.similarity >= RECOGNISED || !has_room => Some(shown.view),
            _ => self.views.iter().position(|view| view.light == light && !view.is_known()),
        };
        match index.and_then(|index| self.views.get_mut(index)) {
            Some(view) => view.learn(now, at),
            None if has_room => {
                let mut view = LearntView::new(light);
                view.learn(now, at);
                self.views.push(view);
            }
            None => {}
        }
    }
}

fn less_similar(a: &Recognition, b: &Recognition) -> std::cmp::Ordering {
    a.similarity.total_cmp(&b.similarity)
}

/// Why stored views cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another version wrote them.
    #[error("learnt views of version {0}, expected {VERSION}")]
    Version(u32),
    /// They are damaged.
    #[error("learnt views are damaged: {0}")]
    Damaged(&'static str),
}

/// How it is stored: vectors as hexadecimal digits, two a number.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    width: usize,
    height: usize,
    normals: Vec<StoredNormals>,
    views: Vec<StoredView>,
}

#[derive(Serialize, Deserialize)]
struct StoredNormals {
    light: Light,
    #[serde(flatten)]
    normals: Normals,
}

#[derive(Serialize, Deserialize)]
struct StoredView {
    light: Light,
    seen: u32,
    similarity: Normal,
    cos: String,
    sin: String,
}

impl From<Learnt> for Stored {
    fn from(learnt: Learnt) -> Self {
        let digits = |vectors: &[i8]| hex(vectors.iter().map(|value| value.cast_unsigned()).collect::<Vec<_>>());
        let view = |view: LearntView| {
            let fine = view.structure.fine();
            let (cos, sin) = (digits(&fine.cos), digits(&fine.sin));
            StoredView { light: view.light, seen: view.seen, similarity: view.similarity, cos, sin }
        };
        let normals = Light::ALL.into_iter().zip(learnt.normals);
        Self {
            version: VERSION,
            width: learnt.size.0,
            height: learnt.size.1,
            normals: normals.map(|(light, normals)| StoredNormals { light, normals }).collect(),
            views: learnt.views.into_iter().map(view).collect(),
        }
    }
}

impl TryFrom<Stored> for Learnt {
    type Error = Unusable;

    fn try_from(stored: Stored) -> Result<Self, Unusable> {
        if stored.version != VERSION {
            return Err(Unusable::Version(stored.version));
        }
        let mut learnt = Self { size: (stored.width, stored.height), ..Self::default() };
        for StoredNormals { light, normals } in stored.normals {
            if ![normals.sharpness, normals.noise, normals.blocky].iter().all(Normal::is_sound) {
                return Err(Unusable::Damaged("what is normal is not a number"));
            }
            learnt.normals[light.index()] = normals;
        }
        for StoredView { light, seen, similarity, cos, sin } in stored.views {
            if learnt.views.iter().filter(|view| view.light == light).count() > MOST_PLACES {
                return Err(Unusable::Damaged("too many views"));
            }
            if !similarity.is_sound() {
                return Err(Unusable::Damaged("a similarity is not a number"));
            }
            let structure = Structure::from_vectors(vectors(&cos)?, vectors(&sin)?);
            let structure = structure.ok_or(Unusable::Damaged("a view has another size"))?;
            learnt.views.push(LearntView { light, structure, seen, similarity, learnt: None });
        }
        Ok(learnt)
    }
}

fn vectors(digits: &str) -> Result<Box<[i8]>, Unusable> {
    if digits.len() != 2 * WIDTH * HEIGHT {
        return Err(Unusable::Damaged("a view has another size"));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(Unusable::Damaged("a view is not hexadecimal"));
    let pairs = digits.as_bytes().as_chunks::<2>().0;
    pairs.iter().map(|[high, low]| Ok((digit(*high)? as u8 * 16 + digit(*low)? as u8).cast_signed())).collect()
}
