//! An incident's times: filled in once the clock is synchronised, and held against its time limit.

use super::{Ending, Incident, time_limit::Deadline};
use crate::{
    calendar::Calendar,
    time::{BootId, Moment, Stamp, Synchronisation},
};

impl Incident {
    /// Whether a synchronised clock of this boot would tell something about its times that is not known yet.
    pub fn awaits_times(&self, boot: &BootId) -> bool {
        let deadline = match &self.deadline {
            Some(deadline) => !deadline.is_known(),
            // Stored by a version that kept no deadlines.
            None => self.target.time_limit.is_some(),
        };
        let unknown = |of: &BootId, moment: &Moment| *of == *boot && !moment.synchronised;
        deadline
            || self.moments().any(|moment| unknown(&self.boot, moment))
            || self
                .ended
                .as_ref()
                .is_some_and(|Ending { at, boot, .. }| unknown(boot.as_ref().unwrap_or(&self.boot), at))
            || self.dispositions.stamps().any(|stamp| unknown(&stamp.boot, &stamp.moment))
            || self.verifications.iter().any(|it| it.moments().any(|moment| unknown(&it.boot, moment)))
    }

    /// Fills in the wall times that this boot wrote down before its clock was synchronised. Whether any was.
    ///
    /// Moments without a boot of their own are those of the boot that opened the incident, or of later ones; so all of them
    /// are this boot's if it is the one that opened it. If it is not, they stay as they are.
    pub fn fill_in(&mut self, sync: &Synchronisation) -> bool {
        let mut filled = self.deadline_mut().is_some_and(|deadline| deadline.fill_in(sync));
        if self.boot == *sync.boot() {
            let boot = self.boot.clone();
            for moment in self.moments_mut() {
                filled |= put_right(sync, &boot, moment);
            }
        }
        if let Some(Ending { at, boot, .. }) = &mut self.ended {
            filled |= put_right(sync, boot.as_ref().unwrap_or(&self.boot), at);
        }
        for Stamp { boot, moment } in self.dispositions.stamps_mut() {
            filled |= put_right(sync, boot, moment);
        }
        for verification in &mut self.verifications {
            let boot = verification.boot.clone();
            for moment in verification.moments_mut() {
                filled |= put_right(sync, &boot, moment);
            }
        }
        filled
    }

    /// Whether the wall times of its life so far are to be relied on, from when it began until people finished with it.
    pub fn times_are_known(&self) -> bool {
        let ended = self.ended.as_ref().map(|ending| &ending.at);
        let finished = self.dispositions.finished.as_ref().map(|finished| &finished.moment);
        let mut life = [&self.began, &self.opened, &self.last_seen].into_iter().chain(ended).chain(finished);
        life.all(|moment| moment.synchronised)
    }

    /// Brings light and due time up to `now`. Whether either has changed.
    pub fn turn_light(&mut self, calendar: &Calendar, now: Moment) -> bool {
        self.deadline_mut().is_some_and(|deadline| deadline.turn(calendar, now))
    }

    /// Its deadline, if its category sets a time limit.
    pub fn deadline_mut(&mut self) -> Option<&mut Deadline> {
        if self.deadline.is_none() {
            let counted_from = Stamp { boot: self.boot.clone(), moment: self.opened };
            self.deadline = self.target.time_limit.map(|limit| Deadline::new(limit, counted_from));
        }
        self.deadline.as_mut()
    }

    /// The moments that have no boot of their own.
    fn moments(&self) -> impl Iterator<Item = &Moment> {
        [&self.began, &self.opened, &self.last_seen]
            .into_iter()
            .chain(self.evidence.iter().map(|evidence| &evidence.taken))
            .chain(self.origin.readings().iter().map(|reading| &reading.arrived))
    }

    /// The moments that have no boot of their own.
    fn moments_mut(&mut self) -> impl Iterator<Item = &mut Moment> {
        [&mut self.began, &mut self.opened, &mut self.last_seen]
            .into_iter()
            .chain(self.evidence.iter_mut().map(|evidence| &mut evidence.taken))
            .chain(self.origin.readings_mut().iter_mut().map(|reading| &mut reading.arrived))
    }
}

/// Fills a moment of `boot` in. Whether that could be done.
fn put_right(sync: &Synchronisation, boot: &BootId, moment: &mut Moment) -> bool {
    let known = sync.fill_in(boot, *moment);
    std::mem::replace(moment, known) != known
}
