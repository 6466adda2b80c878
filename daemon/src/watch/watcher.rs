//! One camera's judgement: pictures in, findings out.

use snowgate_core::{
    observation::{Observation, Track},
    rules::{CameraRules, Finding},
    time::Mono,
};

use crate::{
    camera::picture::Picture,
    vision::{
        analyser::{Analyser, VisionError},
        model::Models,
    },
};

/// Looks at the pictures of one camera, in order, and holds its rules against what they show. The same pictures
/// always give the same findings, live or in replay.
pub struct Watcher {
    analyser: Analyser,
    rules: CameraRules,
    findings: Vec<Finding>,
}

/// What one picture gave.
pub struct Seen<'a> {
    /// What there is to tell.
    pub findings: &'a mut Vec<Finding>,
    /// Every live track.
    pub tracks: &'a [Track],
}

impl Watcher {
    /// A watcher that has seen nothing yet.
    pub fn new(analyser: Analyser, rules: CameraRules) -> Self {
        Self { analyser, rules, findings: Vec::new() }
    }

    /// Looks at one picture.
    ///
    /// # Errors
    /// A model failed; the picture is lost, the next one may do.
    pub fn look(&mut self, picture: &Picture, models: &mut Models) -> Result<Seen<'_>, VisionError> {
        let analysis = self.analyser.analyse(&picture.pixels(), picture.number(), picture.at(), models)?;
        let observation = Observation { picture: picture.number(), at: picture.at(), tracks: analysis.tracks };
        self.rules.observe(&observation, &mut self.findings);
        Ok(Seen { findings: &mut self.findings, tracks: analysis.tracks })
    }

    /// Whether anything is under way that has yet to end.
    pub fn is_active(&self) -> bool {
        self.rules.is_active()
    }

    /// No picture has come for a while: what nobody can see comes to its end.
    pub fn lapse(&mut self, at: Mono) -> &mut Vec<Finding> {
        if self.rules.is_active() {
            self.rules.lapse(at, &mut self.findings);
        }
        &mut self.findings
    }
}
