//! Incident ids on a live box.

use snowgate_core::{
    ids::{IncidentId, IncidentIds},
    time::Moment,
};
use ulid::Ulid;

/// ULIDs with the wall time of the incident and 80 random bits, so that they are unique even where the clock is wrong.
#[derive(Debug, Default)]
pub struct RandomIds;

impl IncidentIds for RandomIds {
    fn next(&mut self, at: Moment) -> IncidentId {
        let millis = u64::try_from(at.wall.as_millisecond()).unwrap_or(0);
        IncidentId(Ulid::from_parts(millis, Ulid::generate().random()))
    }
}
