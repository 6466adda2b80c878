//! One camera's watch for unknown things with features: it learns each light until that is known, watches from then on, and
//! follows slow change.
//!
//! What it follows is bounded, so that nothing creeps in. Once in ten minutes each place takes in one picture, when it is well below
//! its limit (half of it at most) and its surroundings are below theirs; limits themselves stay as they were learnt. An
//! intruder that is to be taken for the scene has to come in steps of half the limit, ten minutes each: one that would look
//! eight times as strange as the limit, as the things left behind in our measurements did, needs hours in which it is never more than half seen. What
//! stands there at once is never learnt until somebody says so
//! ([`Strangeness::accept`]).

use std::time::Duration;

use super::{
    features::{Features, Unfit},
    memory::{Memory, Scratch},
    spec::SceneAnomalySpec as AnomalySpec,
    watch::{Outlook, Watch},
};
use crate::{geometry::Rect, scene::Light, time::Mono};

/// A camera's memory, and its watch.
#[derive(Debug, Clone)]
pub struct Strangeness {
    memory: Memory,
    watch: Watch,
    learn_for: Duration,
    taught: [bool; Light::ALL.len()],
    excluded: Vec<Rect>,
    cells: Vec<bool>,
}

impl Strangeness {
    /// Goes on from what was learnt. In the lights that somebody has `taught` it watches however short that was.
    pub fn new(spec: &AnomalySpec, memory: Memory, taught: &[Light]) -> Self {
        let taught = Light::ALL.map(|light| taught.contains(&light));
        let (watch, learn_for) = (Watch::new(spec), spec.learn_for.0);
        Self { memory, watch, learn_for, taught, excluded: Vec::new(), cells: Vec::new() }
    }

    /// What has been learnt.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether it watches in this light; it learns otherwise.
    pub fn watches(&self, light: Light) -> bool {
        let progress = self.memory.progress(light);
        progress.is_known && (self.taught[light.index()] || progress.spanned >= self.learn_for)
    }

    /// Takes in the features of a picture. `excluded` are the boxes of what is known to move, and of what must not be seen.
    ///
    /// In a light that is still to be learnt what was told before stays told, and its places are not learnt.
    ///
    /// # Errors
    /// Features of another form than those of the memory.
    pub fn observe(
        &mut self,
        light: Light,
        features: Features<'_>,
        excluded: &[Rect],
        at: Mono,
        scratch: &mut Scratch,
    ) -> Result<Outlook<'_>, Unfit> {
        if !self.watches(light) {
            self.excluded.clear();
            self.excluded.extend_from_slice(excluded);
            self.excluded.extend(self.watch.outlook().regions.iter().map(|region| region.rect));
            self.memory.take(light, features, &self.excluded, at, scratch)?;
            return Ok(self.unjudged());
        }
        let Some(heat) = self.memory.score(light, features, excluded, scratch)? else {
            return Ok(self.unjudged());
        };
        self.watch.observe(heat, excluded, at);
        if self.watch.accepted(&mut self.cells) {
            self.memory.accept(light, &self.cells, scratch);
        } else {
            self.watch.calm(&mut self.cells);
            self.memory.adapt(light, &self.cells, at, scratch);
        }
        Ok(self.watch.outlook())
    }

    /// What is to be told as things stand.
    pub fn outlook(&self) -> Outlook<'_> {
        self.watch.outlook()
    }

    /// What stays told though this picture says nothing of it.
    fn unjudged(&self) -> Outlook<'_> {
        Outlook { is_judged: false, ..self.watch.outlook() }
    }

    /// Says that what is in a region is normal: it is told no more, and the next pictures of its place are learnt until it
    /// is as usual. False where there is no such region.
    pub fn accept(&mut self, id: u64) -> bool {
        self.watch.accept(id)
    }
}
