//! A camera that is asked to look again.

use std::{sync::Arc, time::Duration};

use snowgate_core::{ids::Id, time::Mono};

use super::{Watched, schedule::Schedule};
use crate::{
    camera::picture::Picture,
    evidence::still::StillRequest,
    reporting::rule_of,
    verify::{
        Watchable, Watchpoint,
        verifier::{StillOf, Viewing},
    },
};

/// One of the cameras, by its place in the list, and the queue in which it waits for its turns of decoding.
pub struct AskedCamera {
    camera: usize,
    cameras: Arc<[Watched]>,
    decode: Schedule,
}

impl AskedCamera {
    /// The camera at this place.
    pub fn new(camera: usize, cameras: Arc<[Watched]>, decode: Schedule) -> Self {
        Self { camera, cameras, decode }
    }

    fn watched(&self) -> &Watched {
        &self.cameras[self.camera]
    }
}

impl Watchable for AskedCamera {
    fn watchpoint(&self) -> &Watchpoint {
        &self.watched().watchpoint
    }

    fn watches(&self, rule: &Id) -> bool {
        rule_of(&self.watched().rules, rule).is_some()
    }

    fn longest_gap(&self) -> Duration {
        self.watched().longest_gap()
    }

    fn begin(&self, until: Mono) {
        self.watched().ask(until);
        self.go_on();
    }

    fn go_on(&self) {
        // A camera that is followed has its turns; one that was refused a token asks again.
        if !self.watched().pulse.is_live() {
            self.decode.wake(self.camera);
        }
    }

    fn view(&self) -> Viewing {
        Viewing::Own
    }

    fn still(&self, rule: &Id, of: StillOf) -> Option<StillRequest<Arc<Picture>>> {
        let watched = self.watched();
        let rule = rule_of(&watched.rules, rule)?;
        Some(StillRequest {
            incident: of.incident,
            verification: Some(of.command),
            camera: watched.camera.clone(),
            picture: of.view.picture,
            taken: of.taken,
            subjects: Vec::new(),
            people: of.view.people.to_vec(),
            outline: rule.outline.clone(),
            masks: Arc::clone(&rule.masks),
        })
    }
}
