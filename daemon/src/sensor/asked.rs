//! A sensor that is asked to look again: nothing can make it speak, so it is listened to.

use std::{sync::Arc, time::Duration};

use snowgate_core::{ids::Id, time::Mono};

use crate::{
    camera::picture::Picture,
    evidence::still::StillRequest,
    verify::{
        Watchable, Watchpoint,
        verifier::{StillOf, Viewing},
    },
};

/// One sensor.
#[derive(Clone)]
pub struct AskedSensor {
    /// Where it tells what it hears.
    pub watchpoint: Arc<Watchpoint>,
    /// Its rules.
    pub rules: Vec<Id>,
    /// Nothing heard for so long is silence: several times what lies between two readings.
    pub silent_after: Duration,
}

impl Watchable for AskedSensor {
    fn watchpoint(&self) -> &Watchpoint {
        &self.watchpoint
    }

    fn watches(&self, rule: &Id) -> bool {
        self.rules.contains(rule)
    }

    fn longest_gap(&self) -> Duration {
        self.silent_after
    }

    fn begin(&self, _until: Mono) {}

    fn go_on(&self) {}

    fn view(&self) -> Viewing {
        Viewing::Neighbour
    }

    fn still(&self, _rule: &Id, _of: StillOf) -> Option<StillRequest<Arc<Picture>>> {
        None
    }
}
