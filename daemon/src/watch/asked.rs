//! A camera that is asked to look again.

use std::{sync::Arc, time::Duration};

use snowgate_core::{ids::Id, priority::Priority, time::Mono};

use super::{Watched, schedule::Schedule};
use crate::{
    camera::picture::Picture,
    evidence::still::StillRequest,
    verify::{
        Watchable, Watchpoint,
        verifier::{StillOf, Viewing},
    },
};

/// One of the cameras, its place in the list, and the queue in which it waits for its turns of decoding.
pub struct AskedCamera {
    watched: Arc<Watched>,
    place: usize,
    decode: Schedule,
}

impl AskedCamera {
    /// The camera that stands at this place.
    pub fn new(watched: Arc<Watched>, place: usize, decode: Schedule) -> Self {
        Self { watched, place, decode }
    }
}

impl Watchable for AskedCamera {
    fn watchpoint(&self) -> &Watchpoint {
        &self.watched.watchpoint
    }

    fn watches(&self, rule: &Id) -> bool {
        self.watched.rule(rule).is_some()
    }

    fn longest_gap(&self) -> Duration {
        self.watched.longest_gap()
    }

    fn begin(&self, until: Mono) {
        self.watched.ask(until);
        self.go_on();
    }

    fn go_on(&self) {
        // A camera that is followed has its turns; one that was refused a token asks again.
        if !self.watched.pulse.is_live() {
            self.decode.wake(self.place);
        }
    }

    fn view(&self) -> Viewing {
        Viewing::Own
    }

    fn still(&self, rule: &Id, of: StillOf) -> Option<StillRequest<Arc<Picture>>> {
        let rule = self.watched.rule(rule)?;
        Some(StillRequest {
            of: of.of,
            verification: Some(of.command),
            // Somebody waits for it.
            priority: Priority::High,
            camera: self.watched.camera.clone(),
            picture: of.view.picture,
            taken: of.taken,
            subjects: Vec::new(),
            people: of.view.people.to_vec(),
            outline: rule.outline.clone(),
            masks: Arc::clone(&rule.masks),
            retake: None,
        })
    }
}
