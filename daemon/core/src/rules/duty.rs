//! When a rule watches: always, or while a schedule holds.

use std::sync::Arc;

use super::MissingReference;
use crate::{
    ids::Id,
    schedule::{Schedule, Schedules},
    spec::Located,
    time::Moment,
};

/// A rule's hours. Outside of them it is as if nobody could see: what is under way ends after its `linger`, and nothing of
/// that time counts later.
///
/// While the box does not know what time it is the rule watches: better an alarm too many than a night without one.
#[derive(Debug)]
pub(crate) struct Duty {
    schedule: Option<(Id, Arc<Schedule>)>,
    is_on: bool,
}

impl Duty {
    /// On, until it is told the time.
    ///
    /// # Errors
    /// The rule names a schedule that is not there.
    pub(crate) fn new(
        rule: &Id,
        schedule: Option<&Located<Id>>,
        schedules: &Schedules,
    ) -> Result<Self, MissingReference> {
        let missing = |id: &Id| MissingReference { rule: rule.clone(), what: "schedule", missing: id.clone() };
        let named = schedule.map(|id| schedules.get_key_value(&id.value).ok_or_else(|| missing(&id.value)));
        let schedule = named.transpose()?.map(|(id, schedule)| (id.clone(), Arc::clone(schedule)));
        Ok(Self { schedule, is_on: true })
    }

    /// From now on it is this time.
    pub(crate) fn it_is(&mut self, now: Moment) {
        self.is_on = self.schedule.as_ref().is_none_or(|(_, schedule)| !now.synchronised || schedule.holds(now.wall));
    }

    /// Whether the rule watches.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether another one watches at the same hours.
    pub(crate) fn has_the_hours_of(&self, other: &Self) -> bool {
        self.schedule == other.schedule
    }

    /// The schedule by which it rests, if it does.
    pub(crate) fn resting(&self) -> Option<&Id> {
        self.schedule.as_ref().filter(|_| !self.is_on).map(|(id, _)| id)
    }

    /// Whether it ever does not.
    pub(crate) fn is_part_time(&self) -> bool {
        self.schedule.is_some()
    }
}
