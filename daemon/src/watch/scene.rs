//! One camera's scene: whether its key frames can be relied upon, and the rules that are about that.
//!
//! It sees key frames as they are decoded, quiet or followed, at most one a second, in order and each once; what it has to
//! tell waits until whoever decodes takes it ([`told`](SceneWatch::told)). It decodes nothing by itself: of a camera that
//! is not decoded it says nothing.

use std::{sync::Arc, time::Duration};

use snowgate_core::{
    geometry::Polygon,
    ids::Id,
    rules::{Finding, SceneObservation, SceneRules, explain::Explainer},
    scene::{self, Condition, HealthSpec, Judge, Learnt, Light, Samples, View, anomaly::Outlook},
    time::{Moment, Mono},
};

use crate::{
    camera::{
        health::HealthTracker,
        picture::Picture,
        pixels::{Chroma, Pixels, Plane},
    },
    events::scene::{ConditionChanged, UnknownThings, ViewsKnown},
};

/// Key frames nearer to the last one than this are passed over: some cameras send little else.
const AT_MOST_EVERY: Duration = Duration::from_millis(900);

/// What one camera's key frames are fit for.
pub struct SceneWatch {
    camera: Id,
    view: View,
    judge: Judge,
    rules: SceneRules,
    /// As [`Watcher`](super::Watcher)'s.
    explainer: Option<Explainer>,
    tracker: HealthTracker,
    /// When the last key frame was taken, and how long after the one before.
    last: Option<Mono>,
    gap: Duration,
    /// What was told last to be wrong.
    condition: Option<Condition>,
    /// How many views were known in which light when that was told last.
    known: Option<(Light, usize)>,
    /// How many unknown things were told last, and whether the whole picture was strange.
    outlook: Option<(usize, bool)>,
    /// Whether a key frame was seen since what was learnt was asked for.
    is_new: bool,
    /// Whether a view has become known since then.
    knows_more: bool,
    told: Vec<SceneTold>,
}

/// What a key frame gave somebody to know of.
pub struct SceneTold {
    /// When it was taken.
    pub at: Mono,
    /// When it arrived; `None` where it was time that told.
    pub arrived: Option<Mono>,
    /// It itself, where somebody may want to see it.
    pub picture: Option<Arc<Picture>>,
    /// What the rules have to tell.
    pub findings: Vec<Finding>,
}

impl SceneWatch {
    /// For a camera with these settings that has learnt this before. Nothing is learnt of what is masked.
    pub fn new(
        camera: Id,
        spec: &HealthSpec,
        masks: &[Polygon],
        rules: SceneRules,
        learnt: Learnt,
        tracker: HealthTracker,
    ) -> Self {
        Self {
            camera,
            view: View::masking(masks),
            judge: Judge::new(spec, learnt),
            rules,
            explainer: None,
            tracker,
            last: None,
            gap: Duration::ZERO,
            condition: None,
            known: None,
            outlook: None,
            is_new: false,
            knows_more: false,
            told: Vec::new(),
        }
    }

    /// Takes in a key frame that has just been decoded. `wanted`: somebody wants to know of it whatever it shows. Answers in
    /// which light what is in the scene may be judged by it, if it is fit for that.
    pub fn see(&mut self, picture: &Picture, wanted: bool) -> Option<Light> {
        let at = picture.at();
        if let Some(last) = self.last {
            if at < last + AT_MOST_EVERY {
                return None;
            }
            self.gap = at.since(last);
        }
        self.last = Some(at);
        self.is_new = true;
        self.view.take(&samples(&picture.pixels()));
        let health = self.judge.observe(&self.view, at);
        self.tell_condition(health.leading());
        self.tell_views(health.light);
        let findings = self.hold_rules_against(&SceneObservation::of_health(at, &health));
        if wanted || !findings.is_empty() {
            let arrived = Some(picture.arrived());
            self.told.push(SceneTold { at, arrived, picture: picture.share().ok().map(Arc::new), findings });
        }
        (health.seen.is_none() && self.condition.is_none()).then_some(health.light)
    }

    /// Takes in what is in the scene that was never there, by this picture.
    pub(super) fn take(&mut self, picture: Picture, outlook: Outlook<'_>, wanted: bool) {
        let at = picture.at();
        self.tell_outlook(&outlook);
        let findings = self.hold_rules_against(&SceneObservation::of_outlook(at, outlook));
        if wanted || !findings.is_empty() {
            let arrived = Some(picture.arrived());
            self.told.push(SceneTold { at, arrived, picture: Some(Arc::new(picture)), findings });
        }
    }

    /// As [`Watcher::explain_to`](super::Watcher::explain_to).
    pub fn explain_to(&mut self, explainer: Option<Explainer>) {
        if let Some(mut before) = std::mem::replace(&mut self.explainer, explainer) {
            before.finish();
        }
    }

    fn hold_rules_against(&mut self, observation: &SceneObservation<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.rules.observe(observation, &mut findings);
        if let Some(explainer) = &mut self.explainer {
            explainer.take(observation.at, |explanations| self.rules.explain(observation.at, explanations));
        }
        findings
    }

    /// Time has passed: what was wrong with pictures that no longer come cannot be told any more. `patience`: how long key
    /// frames may be apart.
    pub fn lapse(&mut self, now: Mono, patience: Duration) {
        let Some(last) = self.last else { return };
        if now.since(last) < patience.max(2 * self.gap) || (self.condition.is_none() && !self.rules.is_active()) {
            return;
        }
        self.tell_condition(None);
        let mut findings = Vec::new();
        self.rules.lapse(now, &mut findings);
        if !findings.is_empty() {
            self.told.push(SceneTold { at: now, arrived: None, picture: None, findings });
        }
    }

    /// From now on other rules are followed: see [`SceneRules::succeed`].
    pub(super) fn follow(&mut self, rules: SceneRules, now: Moment, ended: &mut Vec<Finding>) {
        self.rules.succeed(rules, now.mono, ended);
        self.rules.it_is(now);
    }

    /// From now on it is this time, for rules with schedules.
    pub(super) fn it_is(&mut self, now: Moment) {
        self.rules.it_is(now);
    }

    /// Whether a view has become known since it was asked for what it has learnt.
    pub(super) fn knows_more(&self) -> bool {
        self.knows_more
    }

    /// What it has learnt that the camera normally shows, if it has seen anything since it was asked last.
    pub(super) fn learnt_since(&mut self) -> Option<Learnt> {
        self.knows_more = false;
        std::mem::take(&mut self.is_new).then(|| self.judge.learnt().clone())
    }

    /// Forgets all that: what the camera shows from now on is what it is to show.
    pub(super) fn relearn(&mut self) {
        (self.is_new, self.known) = (false, None);
        self.judge.relearn();
    }

    /// What there is to tell since the last time.
    pub fn told(&mut self) -> Vec<SceneTold> {
        std::mem::take(&mut self.told)
    }

    /// The rules, having taken in the last key frame.
    pub fn rules(&self) -> &SceneRules {
        &self.rules
    }

    fn tell_condition(&mut self, condition: Option<Condition>) {
        if std::mem::replace(&mut self.condition, condition) != condition {
            let word = condition.map(Condition::as_str);
            ConditionChanged { camera: self.camera.as_str(), conditions: Condition::WORDS, condition: word }.emit();
            self.tracker.pictures(condition);
        }
    }

    fn tell_outlook(&mut self, outlook: &Outlook<'_>) {
        let seen = (outlook.regions.len(), outlook.whole_frame.is_some());
        if self.outlook.replace(seen).unwrap_or_default() != seen {
            UnknownThings { camera: self.camera.as_str(), things: outlook.regions, whole_frame: seen.1 }.emit();
        }
    }

    fn tell_views(&mut self, light: Light) {
        let known = (light, self.judge.learnt().views(light));
        if self.known.replace(known) != Some(known) {
            self.knows_more = known.1 > 0;
            ViewsKnown { camera: self.camera.as_str(), light: light.as_str(), views: known.1 }.emit();
        }
    }
}

/// A decoded picture as the judgement takes it.
pub fn samples<'a>(pixels: &Pixels<'a>) -> scene::Picture<'a> {
    let plane = |plane: Plane<'a>, step, offset| Samples {
        data: plane.data.get(offset..).unwrap_or(&[]),
        stride: plane.stride,
        step,
        width: plane.width,
        height: plane.height,
    };
    let chroma = match pixels.chroma {
        Chroma::Planar { u, v } => [plane(u, 1, 0), plane(v, 1, 0)],
        Chroma::Interleaved { uv } => [plane(uv, 2, 0), plane(uv, 2, 1)],
    };
    scene::Picture { luma: plane(pixels.luma, 1, 0), chroma: Some(chroma), full_range: pixels.full_range }
}
