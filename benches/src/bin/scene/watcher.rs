//! Everything that judges pictures, side by side: the daemon's health, its watch for strange things, and plain detectors.

use std::{error::Error, time::Duration};

use snowgate_core::{
    geometry::Rect,
    scene::{
        Health, HealthSpec, Judge, Learnt, View,
        anomaly::{AnomalySpec, Features, Memory, Origin, Scratch, Shape, Strangeness},
    },
    spec::{TimeSpan, all_defaults},
    time::Mono,
};

use crate::{
    baselines::{Baseline, Method, Score},
    features::Backbone,
    frame::Frame,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The detectors of strange things, in the order of their scores.
pub const DETECTORS: [&str; 3] = ["snowgate", "background", "feature mean"];
/// Each detector's score.
pub type Scores = [Score; DETECTORS.len()];

/// The settings of the watch for strange things: the defaults; what is learnt is what is shown to learn from.
pub fn anomaly_spec() -> AnomalySpec {
    AnomalySpec { learn_for: TimeSpan::secs(0), ..all_defaults() }
}

/// What a camera has learnt.
#[derive(Debug, Clone)]
pub struct Knowledge {
    health: Learnt,
    memory: Option<Memory>,
    baselines: [Baseline; 2],
}

impl Knowledge {
    /// Nothing yet, of a camera that is judged so often.
    pub fn none(every: Duration) -> Self {
        let lasts = (anomaly_spec().r#for.0.as_secs_f32() / every.as_secs_f32()).ceil() as u32 + 1;
        let baselines = [Method::Background, Method::FeatureMean].map(|method| Baseline::new(method, lasts));
        Self { health: Learnt::default(), memory: None, baselines }
    }

    /// What was learnt of strange things.
    pub fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }
}

/// What was said of one picture.
#[derive(Debug, Clone)]
pub struct Said {
    /// Of the camera.
    pub health: Health,
    /// By each detector; nothing where none was asked.
    pub scores: Option<Scores>,
    /// Where Snowgate tells of something strange, with its number and its score.
    pub regions: Vec<(u64, Rect, f32)>,
    /// Whether it says that the whole picture is strange.
    pub whole_frame: bool,
}

/// Watches one camera from the daemon's start on.
#[derive(Debug)]
pub struct Watcher {
    knowledge: Knowledge,
    judge: Judge,
    strangeness: Option<Strangeness>,
    scratch: Scratch,
    view: View,
    every: Duration,
    at: Mono,
}

impl Watcher {
    /// One that knows this, and sees a picture every so often.
    pub fn new(knowledge: &Knowledge, every: Duration) -> Self {
        let spec: HealthSpec = all_defaults();
        Self {
            knowledge: knowledge.clone(),
            judge: Judge::new(&spec, knowledge.health.clone()),
            strangeness: knowledge.memory.clone().map(|memory| Strangeness::new(&anomaly_spec(), memory, &[])),
            scratch: Scratch::default(),
            view: View::new(),
            every,
            at: Mono(3_600_000_000_000),
        }
    }

    /// Learns from an ordinary picture.
    ///
    /// # Errors
    /// When the backbone fails.
    pub fn learn(&mut self, frame: &Frame, backbone: &mut Backbone, calibrating: bool) -> Outcome<()> {
        let health = self.judge(frame);
        let Self { knowledge, view, scratch, at, .. } = self;
        backbone.look(frame, |features| {
            for baseline in &mut knowledge.baselines {
                baseline.learn(health.light, view, features, calibrating);
            }
            let memory = match &mut knowledge.memory {
                Some(memory) => memory,
                none => none.insert(new_memory(features)?),
            };
            memory.take(health.light, features, &[], *at, scratch)?;
            Ok(())
        })?
    }

    /// What it has learnt.
    pub fn into_knowledge(self) -> Knowledge {
        Knowledge { health: self.judge.learnt().clone(), ..self.knowledge }
    }

    /// Judges a picture; by its health alone where no backbone is given.
    ///
    /// # Errors
    /// When the backbone fails.
    pub fn see(&mut self, frame: &Frame, backbone: Option<&mut Backbone>) -> Outcome<Said> {
        let health = self.judge(frame);
        let mut said = Said { health, scores: None, regions: Vec::new(), whole_frame: false };
        let Some(backbone) = backbone else { return Ok(said) };
        let Self { knowledge, strangeness, view, scratch, at, .. } = self;
        backbone.look(frame, |features| {
            let mut scores = Scores::default();
            if let Some(strangeness) = strangeness {
                let outlook = strangeness.observe(health.light, features, &[], *at, scratch)?;
                said.regions = outlook.regions.iter().map(|region| (region.id, region.rect, region.score)).collect();
                said.whole_frame = outlook.whole_frame.is_some();
                scores[0].now = scratch.heat().hottest();
                scores[0].held = said.regions.iter().map(|region| region.2).fold(0.0, f32::max);
            }
            for (score, baseline) in scores[1..].iter_mut().zip(&mut knowledge.baselines) {
                *score = baseline.score(health.light, view, features);
            }
            said.scores = Some(scores);
            Ok(said)
        })?
    }

    fn judge(&mut self, frame: &Frame) -> Health {
        self.at = Mono(self.at.0 + self.every.as_nanos() as u64);
        self.view.take(&frame.picture());
        self.judge.observe(&self.view, self.at)
    }
}

fn new_memory(features: Features<'_>) -> Outcome<Memory> {
    let origin = Origin { camera: "bench".to_owned(), model: "bench".to_owned(), view: "bench".to_owned() };
    Ok(Memory::new(origin, Shape::of(features)?))
}
