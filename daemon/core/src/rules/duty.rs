//! When a rule watches: always, or while a schedule holds.

use std::sync::Arc;

use super::{MissingReference, spec::RuleSpec};
use crate::{
    ids::Id,
    schedule::{Schedule, Schedules},
    time::Moment,
};

/// A rule's hours. Outside of them it is as if nobody could see: what is under way ends after its `linger`, and nothing of
/// that time counts later.
///
/// While the box does not know what time it is the rule watches: better an alarm too many than a night without one.
#[derive(Debug)]
pub(super) struct Duty {
    schedule: Option<(Id, Arc<Schedule>)>,
    is_on: bool,
}

impl Duty {
    /// On, until it is told the time.
    ///
    /// # Errors
    /// The rule names a schedule that is not there.
    pub(super) fn new(spec: &RuleSpec, schedules: &Schedules) -> Result<Self, MissingReference> {
        let missing =
            |id| MissingReference { rule: spec.id.value.clone(), what: "schedule", missing: Clone::clone(id) };
        let named =
            spec.schedule.as_ref().map(|id| schedules.get_key_value(&id.value).ok_or_else(|| missing(&id.value)));
        let schedule = named.transpose()?.map(|(id, schedule)| (id.clone(), Arc::clone(schedule)));
        Ok(Self { schedule, is_on: true })
    }

    /// From now on it is this time.
    pub(super) fn it_is(&mut self, now: Moment) {
        self.is_on = self.schedule.as_ref().is_none_or(|(_, schedule)| !now.synchronised || schedule.holds(now.wall));
    }

    /// Whether the rule watches.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether another one watches at the same hours.
    pub(super) fn has_the_hours_of(&self, other: &Self) -> bool {
        self.schedule == other.schedule
    }

    /// The schedule by which it rests, if it does.
    pub(super) fn resting(&self) -> Option<&Id> {
        self.schedule.as_ref().filter(|_| !self.is_on).map(|(id, _)| id)
    }

    /// Whether it ever does not.
    pub(super) fn is_part_time(&self) -> bool {
        self.schedule.is_some()
    }
}
