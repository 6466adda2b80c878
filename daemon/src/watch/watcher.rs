//! One camera's judgement: pictures in, findings out.

use snowgate_core::{
    observation::Track,
    rules::{CameraRules, Finding, explain::Explainer},
    time::{Moment, Mono},
};

use crate::{
    camera::picture::Picture,
    vision::{
        analyser::{Analyser, Glance, Step, VisionError},
        model::Models,
    },
};

/// Looks at the pictures of one camera, in order, and holds its rules against what they show. The same pictures
/// always give the same findings, live or in replay.
///
/// A picture is looked at region by region, so that others may have their turn between two: [`begin`](Self::begin),
/// [`step`](Self::step) until it is done, [`finish`](Self::finish).
pub struct Watcher {
    analyser: Analyser,
    rules: CameraRules,
    findings: Vec<Finding>,
    /// Who wants to know why rules tell of things or do not; mostly nobody.
    explainer: Option<Explainer>,
}

/// What one picture gave.
pub struct Seen<'a> {
    /// What there is to tell.
    pub findings: &'a mut Vec<Finding>,
    /// Every live track.
    pub tracks: &'a [Track],
    /// The rules, having taken it in.
    pub rules: &'a CameraRules,
    /// Whether parts of the frame have yet to be shown to models.
    pub has_unseen: bool,
}

impl Watcher {
    /// A watcher that has seen nothing yet.
    pub fn new(analyser: Analyser, rules: CameraRules) -> Self {
        Self { analyser, rules, findings: Vec::new(), explainer: None }
    }

    /// Compares a key frame with what was last seen, between two pictures. A still one counts as seen.
    pub fn glance(&mut self, picture: &Picture) -> Glance {
        self.analyser.glance(&picture.pixels(), picture.at())
    }

    /// Begins to look at a picture, and shows each model at most so many regions of it.
    pub fn begin(&mut self, picture: &Picture, max_regions: u32) {
        self.analyser.limit_regions(max_regions);
        self.analyser.begin(&picture.pixels(), picture.number(), picture.at());
    }

    /// Looks at one more region of the picture begun.
    pub fn step(&mut self, picture: &Picture, models: &mut Models) -> Step {
        self.analyser.step(&picture.pixels(), models)
    }

    /// Forgets the picture begun, if one was.
    pub fn give_up(&mut self) {
        self.analyser.give_up();
    }

    /// What the picture showed.
    ///
    /// # Errors
    /// A model failed; the picture is lost, the next one may do.
    pub fn finish(&mut self) -> Result<Seen<'_>, VisionError> {
        let has_unseen = self.analyser.has_unseen();
        let analysis = self.analyser.finish()?;
        let observation = analysis.observation();
        self.rules.observe(&observation, &mut self.findings);
        if let Some(explainer) = &mut self.explainer {
            explainer.take(observation.at, |explanations| self.rules.explain(&observation, explanations));
        }
        Ok(Seen { findings: &mut self.findings, tracks: analysis.tracks, rules: &self.rules, has_unseen })
    }

    /// From now on it is told why rules tell of things or do not; `None`: no longer, and who was told hears the ends.
    pub fn explain_to(&mut self, explainer: Option<Explainer>) {
        if let Some(mut before) = std::mem::replace(&mut self.explainer, explainer) {
            before.finish();
        }
    }

    /// What is followed as of the last picture.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.analyser.tracks()
    }

    /// Whether the last picture showed motion, or something moving is followed.
    pub fn is_lively(&self) -> bool {
        self.analyser.is_lively()
    }

    /// Whether something moving is followed.
    pub fn is_following(&self) -> bool {
        self.analyser.is_following()
    }

    /// Whether still pictures matter to it: to what is at rest, to what is under way, to who is missing.
    pub fn is_occupied(&self) -> bool {
        self.rules.is_active() || self.rules.needs_still_pictures() || self.analyser.is_occupied()
    }

    /// From the next picture on models are shown all of the frame once more, a part with each picture.
    pub fn look_afresh(&mut self) {
        self.analyser.look_afresh();
    }

    /// Whether parts of the frame were never looked at: something may have been standing there all the time.
    pub fn has_unseen(&self) -> bool {
        self.analyser.has_unseen()
    }

    /// Whether anything is under way that has yet to end.
    pub fn is_active(&self) -> bool {
        self.rules.is_active()
    }

    /// From now on other rules are followed, of the same tracks: see [`CameraRules::succeed`].
    pub fn follow(&mut self, rules: CameraRules, now: Moment, ended: &mut Vec<Finding>) {
        self.rules.succeed(rules, now.mono, ended);
        self.rules.it_is(now);
    }

    /// From now on it is this time, for rules with schedules.
    pub fn it_is(&mut self, now: Moment) {
        self.rules.it_is(now);
    }

    /// Whether any rule keeps to a schedule.
    pub fn keeps_hours(&self) -> bool {
        self.rules.keeps_hours()
    }

    /// No picture has come for a while: what nobody can see comes to its end.
    pub fn lapse(&mut self, at: Mono) -> &mut Vec<Finding> {
        if self.rules.is_active() || self.rules.needs_still_pictures() {
            self.rules.lapse(at, &mut self.findings);
        }
        &mut self.findings
    }

    /// Bytes that watching this camera takes beside its ring and decoder.
    pub fn bytes(&self) -> usize {
        self.analyser.bytes()
    }
}
