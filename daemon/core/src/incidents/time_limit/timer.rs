//! When which incident's light changes next.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::{
    calendar::Calendar,
    ids::IncidentId,
    incidents::Incident,
    time::{BootId, Moment},
};

/// The incidents whose light will change, or whose times wait for the clock to be synchronised: one entry each, in the order
/// in which they come up.
///
/// It is made anew at a start, from all incidents that are not done with, and needs no store of its own: what was due while
/// the daemon was away comes up at once. The owner asks [`take_due`](Self::take_due) at [`next`](Self::next), and also every
/// now and then, since the wall clock may jump; brings each incident up to date
/// ([`Book::refresh`](crate::incidents::Book::refresh)) and plans it again.
#[derive(Debug, Default)]
pub struct LightTimer {
    entries: BTreeSet<(Timestamp, IncidentId)>,
    of: HashMap<IncidentId, Timestamp>,
}

impl LightTimer {
    /// Plans an incident as it is now, in this boot, in the place of how it was planned before. Done with, it is forgotten.
    pub fn plan(&mut self, incident: &Incident, calendar: &Calendar, boot: &BootId) {
        self.forget(incident.id);
        let next = if incident.awaits_times(boot) {
            // Whatever the time is: as soon as it is known.
            Some(Timestamp::MIN)
        } else {
            incident.deadline.as_ref().and_then(|deadline| deadline.next_turn(calendar))
        };
        if let Some(next) = next {
            self.entries.insert((next, incident.id));
            self.of.insert(incident.id, next);
        }
    }

    /// Plans an incident no longer.
    pub fn forget(&mut self, incident: IncidentId) {
        if let Some(planned) = self.of.remove(&incident) {
            self.entries.remove(&(planned, incident));
        }
    }

    /// The wall time at which something comes up next; one in the distant past as long as the clock has to be
    /// synchronised first.
    pub fn next(&self) -> Option<Timestamp> {
        self.entries.first().map(|(next, _)| *next)
    }

    /// Takes what has come up out, in order and at most so many; nothing while the clock is not synchronised.
    pub fn take_due(&mut self, now: Moment, most: usize) -> Vec<IncidentId> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some((next, incident)) = self.entries.first().copied()
            && now.synchronised
            && next <= now.wall
        {
            self.forget(incident);
            due.push(incident);
        }
        due
    }

    /// How many incidents are planned.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
