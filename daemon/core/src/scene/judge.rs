//! From measurements to conditions.
//!
//! Each picture gets a level for each condition, by two thresholds; the order of [`Condition::PRECEDENCE`] decides which
//! of those present is believed, and a latch for each waits for it to last. What each is held against:
//!
//! | condition | present | clear again |
//! |---|---|---|
//! | corrupted | 20 % of the frame in impossible colours; blocky cells 15 % of the frame above what is usual, once anything is; or noise of 25 steps and three times normal in a scene not known again | 10 %; 7 %; 18 steps, twice, or known again |
//! | black | 99.5 % of the frame nearly black | 98 % |
//! | white | 90 % of the frame nearly white | 75 % |
//! | covered | 70 % of the structured tiles of every known view have lost their structure; where the light is not learnt yet, 97 % of all tiles show nothing; or areas of the frame differ by 1.5 levels | 50 %; 93 %; and 2.5 levels |
//! | frozen | identical pictures for `frozen_for`, four at least | any other picture |
//! | defocused | edges twice as wide as in the light in which they normally are widest, and four mean deviations wider | 60 % of that, as logarithms |
//! | moved | the place is known again, `least_shift` away | half of that |
//! | wrong_scene | no known view reaches 40 % of its normal similarity anywhere | 50 % |
//!
//! *Frozen* takes identical key frames, not identical pictures: between key frames an encoder may repeat a picture for
//! as long as it likes (skipped macroblocks), and of a still, noiseless scene it does. A key frame is coded anew from what the sensor gives, and
//! no two exposures of a sensor have the same noise; after coding two may be equal by chance where light and noise are
//! low, four over a minute are not.

use std::time::Duration;

use super::{
    condition::{Condition, Level},
    latch::{Latch, Patience},
    learnt::{LEARN_EVERY, Learnt, RECOGNISED, Recognition},
    light::{Light, LightMeter},
    spec::HealthSpec,
    view::{Measures, View},
};
use crate::time::Mono;

/// Leave and enter, in this order, for each; see the module.
const UNNATURAL: [f32; 2] = [0.1, 0.2];
const BLOCKY: [f32; 2] = [0.07, 0.15];
const NOISE: [f32; 2] = [18.0, 25.0];
const NOISE_FACTOR: [f32; 2] = [2.0, 3.0];
const BLACK: [f32; 2] = [0.98, 0.995];
const WHITE: [f32; 2] = [0.75, 0.9];
const LOST: [f32; 2] = [0.5, 0.7];
const FLAT: [f32; 2] = [0.93, 0.97];
/// Less contrast than this, in levels between areas of a picture, is noise that the coder has smeared; a dim yard by night has five.
const BLANK: [f32; 2] = [2.5, 1.5];
const UNKNOWN: [f32; 2] = [RECOGNISED, 0.5];
/// Edges so many times as wide as normal, at least, are out of focus.
const WIDER: f32 = 2.0;
/// So many mean deviations from normal, at least.
const DEVIATIONS: f32 = 4.0;
/// The share of the way back from there at which they are in focus again.
const REFOCUSED: f32 = 0.6;
/// Clear below this share of the shift that is present.
const BACK: f32 = 0.5;
/// Identical pictures that count as frozen.
const FROZEN_PICTURES: u32 = 4;
/// Pictures that a condition takes to hold, and to end.
const PICTURES: (u32, u32) = (3, 2);
/// A condition ends after this share of the time it takes to begin.
const RELEASE: f32 = 0.5;
/// Without a picture for so many times that, what was about to change begins anew.
const GAP: u32 = 3;

/// Which place a picture shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// Not to be told: nothing, or nothing in this light, has been learnt yet, or nothing is to be seen.
    Learning,
    /// A known one.
    Known {
        /// Which, counted from 0 in the order in which they were learnt; each light has its own.
        view: usize,
        /// How similar it is, as a share of what is normal.
        similarity: f32,
        /// How far it has gone to the right, in widths of the frame.
        dx: f32,
        /// How far it has gone down, in heights of the frame.
        dy: f32,
    },
    /// None of those known.
    Unknown {
        /// The similarity of the one that is most similar, as a share of what is normal.
        similarity: f32,
    },
}

/// What is wrong, after one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Health {
    /// Since when each condition has held, in the order of [`Condition::PRECEDENCE`].
    since: [Option<Mono>; Condition::COUNT],
    /// The place that this picture shows.
    pub place: Place,
    /// The light that it is judged by.
    pub light: Light,
    /// What this picture alone says, before anything has lasted: the first condition that is present.
    pub seen: Option<Condition>,
}

impl Health {
    /// What to tell: the first of the conditions that hold.
    pub fn leading(&self) -> Option<Condition> {
        self.holding().next().map(|(condition, _)| condition)
    }

    /// Every condition that holds, and the time of the first picture that showed it.
    pub fn holding(&self) -> impl Iterator<Item = (Condition, Mono)> {
        let held = Condition::PRECEDENCE.into_iter().zip(self.since);
        held.filter_map(|(condition, since)| since.map(|since| (condition, since)))
    }

    /// Health as a test of others wants it.
    #[cfg(test)]
    pub(crate) fn of(holding: &[(Condition, Mono)]) -> Self {
        let mut since = [None; Condition::COUNT];
        holding.iter().for_each(|(condition, at)| since[condition.index()] = Some(*at));
        Self { since, place: Place::Learning, light: Light::Day, seen: None }
    }

    /// Since when a condition has held.
    pub fn since(&self, condition: Condition) -> Option<Mono> {
        self.since[condition.index()]
    }
}

/// Judges the key frames of one camera, in their order, each once.
#[derive(Debug)]
pub struct Judge {
    patience: Patience,
    frozen_for: Duration,
    least_shift: f32,
    presets: usize,
    learnt: Learnt,
    meter: LightMeter,
    /// The view last recognised.
    view: usize,
    run: Run,
    latches: [Latch; Condition::COUNT],
    learnt_at: Option<Mono>,
    last: Option<Health>,
}

/// Identical pictures in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    digest: u64,
    since: Mono,
    pictures: u32,
}

impl Run {
    fn take(&mut self, digest: u64, at: Mono) {
        *self = match self.pictures {
            pictures if pictures > 0 && digest == self.digest => Self { pictures: pictures.saturating_add(1), ..*self },
            _ => Self { digest, since: at, pictures: 1 },
        };
    }

    fn level(&self, at: Mono, frozen_for: Duration) -> Level {
        match self.pictures {
            0 | 1 => Level::Clear,
            FROZEN_PICTURES.. if at.since(self.since) >= frozen_for => Level::Present,
            _ => Level::Between,
        }
    }
}

impl Judge {
    /// One for a camera with these settings that has learnt this before.
    pub fn new(spec: &HealthSpec, learnt: Learnt) -> Self {
        let hold = spec.r#for.0;
        Self {
            patience: Patience {
                hold: (hold, PICTURES.0),
                release: (hold.mul_f32(RELEASE), PICTURES.1),
                gap: hold.max(LEARN_EVERY).saturating_mul(GAP),
            },
            frozen_for: spec.frozen_for.0,
            least_shift: spec.least_shift.0,
            presets: spec.presets.get(),
            learnt,
            meter: LightMeter::default(),
            view: 0,
            run: Run::default(),
            latches: [Latch::default(); Condition::COUNT],
            learnt_at: None,
            last: None,
        }
    }

    /// What it has learnt so far, to be stored.
    pub fn learnt(&self) -> &Learnt {
        &self.learnt
    }

    /// Forgets all it has learnt: what the camera shows from now on is what it is to show.
    pub fn relearn(&mut self) {
        self.learnt = Learnt::default();
        self.view = 0;
        self.latches = [Latch::default(); Condition::COUNT];
    }

    /// Judges the next key frame, taken then. A view without a picture changes nothing.
    pub fn observe(&mut self, view: &View, at: Mono) -> Health {
        let measures = view.measures();
        if measures.size == (0, 0) {
            return self.health(Place::Learning, None);
        }
        self.run.take(measures.digest, at);
        let blinded = [Condition::Black, Condition::White].map(|condition| absolute(condition, measures));
        let is_blind = blinded.contains(&Level::Present) || measures.unnatural >= UNNATURAL[1];
        if !is_blind && self.latches.iter().all(|latch| latch.held_since().is_none()) {
            self.meter.take(measures, at);
        }
        let place = if is_blind { Place::Learning } else { self.locate(view) };

        let mut levels = Condition::PRECEDENCE.map(|condition| self.level(condition, view, at, &place));
        let first = levels.iter().position(|level| *level == Some(Level::Present));
        if let Some(first) = first {
            // What lies below it is its consequence, or cannot be told.
            levels[first + 1..].fill(None);
        }
        let frozen = Patience { hold: (Duration::ZERO, 1), ..self.patience };
        for (condition, (latch, level)) in Condition::PRECEDENCE.into_iter().zip(self.latches.iter_mut().zip(levels)) {
            // A run of identical pictures has lasted already.
            let patience = if condition == Condition::Frozen { &frozen } else { &self.patience };
            latch.take(level.unwrap_or(Level::Between), at, patience);
        }
        if first.is_none() && self.latches.iter().all(|latch| latch.held_since().is_none()) {
            self.learn(view, at, &place, &levels);
        }
        self.health(place, first.map(|first| Condition::PRECEDENCE[first]))
    }

    /// What the last picture said; none before the first.
    pub fn health_now(&self) -> Option<Health> {
        self.last
    }

    fn health(&mut self, place: Place, seen: Option<Condition>) -> Health {
        let since = self.latches.map(|latch| latch.held_since());
        *self.last.insert(Health { since, place, light: self.meter.light(), seen })
    }

    /// Finds out which place is shown.
    fn locate(&mut self, view: &View) -> Place {
        let light = self.meter.light();
        let Some(found) = self.learnt.recognise(view.structure(), self.view, light) else { return Place::Learning };
        let Recognition { view, similarity, dx, dy } = found;
        if similarity >= RECOGNISED {
            self.view = view;
            Place::Known { view, similarity, dx, dy }
        } else if self.learnt.views(light) < self.presets {
            Place::Learning
        } else {
            Place::Unknown { similarity }
        }
    }

    /// What a picture says of a condition; `None` where it cannot be told.
    fn level(&self, condition: Condition, view: &View, at: Mono, place: &Place) -> Option<Level> {
        let measures = view.measures();
        match condition {
            Condition::Corrupted => Some(self.corrupted(measures, place)),
            Condition::Black | Condition::White => Some(absolute(condition, measures)),
            Condition::Covered => self.covered(view),
            Condition::Frozen => Some(self.run.level(at, self.frozen_for)),
            Condition::Defocused => self.defocused(measures),
            Condition::Moved => match place {
                Place::Known { dx, dy, .. } => {
                    let shift = dx.abs().max(dy.abs());
                    Some(Level::rising(shift, BACK * self.least_shift, self.least_shift))
                }
                _ => None,
            },
            Condition::WrongScene => match place {
                Place::Learning => None,
                Place::Known { similarity, .. } | Place::Unknown { similarity } => {
                    Some(Level::rising(-similarity, -UNKNOWN[1], -UNKNOWN[0]))
                }
            },
        }
    }

    fn corrupted(&self, measures: &Measures, place: &Place) -> Level {
        let colour = Level::rising(measures.unnatural, UNNATURAL[0], UNNATURAL[1]);
        let light = self.meter.light();
        let blocks = match self.usually_blocky(light, measures) {
            Some(usual) => Level::rising(measures.blocky, usual + BLOCKY[0], usual + BLOCKY[1]),
            None => Level::Clear,
        };
        let fits = self.learnt.fits(measures);
        let usual = self.learnt.normals(light).noise.known().filter(|_| fits).map_or(0.0, |(mean, _)| mean);
        let noise = match place {
            Place::Known { .. } => Level::Clear,
            _ => {
                let limits = [0, 1].map(|limit| NOISE[limit].max(NOISE_FACTOR[limit] * usual));
                Level::rising(measures.noise, limits[0], limits[1])
            }
        };
        colour.or(blocks).or(noise)
    }

    /// The share of blocky cells that is usual: level and upright edges of the scene itself may lie on the coder's grid. In a light
    /// that is not known yet it is the most of the others, for the same edges stand in all of them; `None` before any is.
    fn usually_blocky(&self, light: Light, measures: &Measures) -> Option<f32> {
        if !self.learnt.fits(measures) {
            return None;
        }
        let known = |light: Light| self.learnt.normals(light).blocky.known().map(|(mean, _)| mean);
        known(light).or_else(|| Light::ALL.into_iter().filter_map(known).max_by(f32::total_cmp))
    }

    fn covered(&self, view: &View) -> Option<Level> {
        let light = self.meter.light();
        let measures = view.measures();
        // Noise has edges too, where the coder leaves some of it.
        let blank = Level::rising(-measures.spread, -BLANK[0], -BLANK[1]);
        if self.learnt.views(light) > 0
            && let Some(lost) = self.learnt.lost(view.structure())
        {
            return Some(Level::rising(lost, LOST[0], LOST[1]).or(blank));
        }
        // A street without lamps shows as little.
        (light != Light::Dark).then(|| Level::rising(measures.flat, FLAT[0], FLAT[1]).or(blank))
    }

    fn defocused(&self, measures: &Measures) -> Option<Level> {
        // The light of the moment must be known; then the least sharp of all lights is good enough: lamps are points and
        // make the dark look sharper than dusk, and many lenses are softer under infra-red.
        self.learnt.normals(self.meter.light()).sharpness.known()?;
        if !self.learnt.fits(measures) {
            return None;
        }
        let known = Light::ALL.into_iter().filter_map(|light| self.learnt.normals(light).sharpness.known());
        let (normal, deviation) = known.min_by(|a, b| a.0.total_cmp(&b.0))?;
        let limit = WIDER.ln().max(DEVIATIONS * deviation);
        let wider = normal - measures.sharpness?.max(f32::MIN_POSITIVE).ln();
        Some(Level::rising(wider, REFOCUSED * limit, limit))
    }

    /// Learns from a picture that nothing is wrong with.
    fn learn(&mut self, view: &View, at: Mono, place: &Place, levels: &[Option<Level>; Condition::COUNT]) {
        let is_clear = |condition: Condition| levels[condition.index()].is_none_or(|level| level == Level::Clear);
        let measures = view.measures();
        if measures.flat >= FLAT[0] || !is_clear(Condition::Frozen) || !is_clear(Condition::Covered) {
            return;
        }
        let light = self.meter.light();
        let is_unknown = matches!(place, Place::Unknown { .. });
        if !is_unknown && is_clear(Condition::Moved) && is_clear(Condition::WrongScene) {
            self.learnt.learn(light, view.structure(), self.presets, at);
        }
        if self.learnt_at.is_some_and(|learnt| at.since(learnt) < LEARN_EVERY) {
            return;
        }
        self.learnt_at = Some(at);
        let normals = self.learnt.normals_mut(light, measures);
        if let Some(sharpness) = measures.sharpness.filter(|_| is_clear(Condition::Defocused)) {
            normals.sharpness.learn(sharpness.max(f32::MIN_POSITIVE).ln());
        }
        if is_clear(Condition::Corrupted) {
            normals.noise.learn(measures.noise);
            normals.blocky.learn(measures.blocky);
        }
    }
}

/// What a picture says of blackness and whiteness, whatever the camera normally shows.
fn absolute(condition: Condition, measures: &Measures) -> Level {
    match condition {
        Condition::Black => Level::rising(measures.black, BLACK[0], BLACK[1]),
        _ => Level::rising(measures.white, WHITE[0], WHITE[1]),
    }
}
