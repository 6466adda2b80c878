//! Looking again (任务核查), as the reporting thread asks for it and hears of it.

use std::sync::Arc;

use snowgate_core::{
    ids::Id,
    incidents::{
        Place,
        verify::{Seen, Verify},
    },
    time::Moment,
};

use crate::evidence::{provenance::Provenance, worker::StillReady};

/// The wish to look again: at what a rule watches, for as long as the command says.
#[derive(Debug, Clone)]
pub struct LookAgain {
    /// The command, admitted.
    pub command: Verify,
    /// The incident.
    pub of: Arc<Provenance>,
    /// Who found the incident.
    pub by: Finder,
    /// The rule whose condition is held against what is seen.
    pub rule: Id,
    /// The incident's grid.
    pub grid: String,
    /// Where the camera or the sensor stands.
    pub place: Option<Place>,
}

/// Who has found an incident.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finder {
    /// A camera.
    Camera(Id),
    /// A sensor.
    Sensor(Id),
}

impl Finder {
    /// Its name.
    pub fn name(&self) -> &Id {
        match self {
            Self::Camera(id) | Self::Sensor(id) => id,
        }
    }
}

/// What was seen.
pub struct Looked {
    /// The command.
    pub command: Verify,
    /// What.
    pub seen: Seen,
    /// Since when.
    pub from: Moment,
    /// Until when.
    pub until: Moment,
    /// A fresh still, redacted like every other; none where none could be had in time.
    pub still: Option<StillReady>,
}
