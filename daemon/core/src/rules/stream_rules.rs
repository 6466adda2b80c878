//! Rules about a camera's stream: whether pictures come from it at all.
//!
//! They see no pictures. They are told when the last one arrived, again and again, whether anybody looks at them or not:
//! that nobody can see ends what other rules have told of, and is what these tell of.

use std::time::Duration;

use super::{
    Finding, MissingReference,
    duty::Duty,
    episode::{Alarm, Episodes},
    spec::{RuleKind, RuleSpec},
    succession::{Definition, Followed, succeed},
};
use crate::{
    ids::Id,
    schedule::Schedules,
    time::{Moment, Mono},
};

/// All rules of one camera about its stream, with their state.
#[derive(Debug, Default)]
pub struct StreamRules {
    rules: Vec<OfflineRule>,
}

impl StreamRules {
    /// Rules that were told nothing yet; those about pictures are passed over. A stream without pictures for `stall_after` is
    /// not live.
    ///
    /// # Errors
    /// The first rule that names a schedule which is not there.
    pub fn new(stall_after: Duration, schedules: &Schedules, rules: &[RuleSpec]) -> Result<Self, MissingReference> {
        let of_stream = rules.iter().filter(|rule| matches!(rule.kind, RuleKind::Offline(_)));
        let rules = of_stream.map(|rule| OfflineRule::new(stall_after, schedules, rule));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// As [`CameraRules::succeed`](super::CameraRules::succeed); and from now on it is this time.
    pub fn succeed(&mut self, successors: Self, now: Moment, findings: &mut Vec<Finding>) {
        succeed(&mut self.rules, successors.rules, now.mono, findings);
        self.it_is(now);
    }

    /// As [`CameraRules::it_is`](super::CameraRules::it_is).
    pub fn it_is(&mut self, now: Moment) {
        self.rules.iter_mut().for_each(|rule| rule.duty.it_is(now));
    }

    /// As [`CameraRules::keeps_hours`](super::CameraRules::keeps_hours).
    pub fn keeps_hours(&self) -> bool {
        self.rules.iter().any(|rule| rule.duty.is_part_time())
    }

    /// Takes in at this time when the last picture arrived that can be decoded, if one ever has, and appends what there is to
    /// tell. To be called every second or so.
    pub fn observe(&mut self, at: Mono, last_picture: Option<Mono>, findings: &mut Vec<Finding>) {
        self.rules.iter_mut().for_each(|rule| rule.observe(at, last_picture, findings));
    }

    /// Whether the condition of a rule held when it was last observed; what must last for longer than `patience` need last no
    /// longer. `None` if there is no such rule, it rests by its schedule, or nothing was observed.
    pub fn holds(&self, rule: &Id, patience: Duration) -> Option<bool> {
        let rule = self.rules.iter().find(|known| known.episodes.rule() == rule)?;
        rule.observed.filter(|_| rule.duty.is_on()).map(|at| rule.holds(at, patience))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Offline: no pictures come. Time counts from when the last one arrived, or from the first time at which somebody waited for
/// one. Once told of, it is over when pictures have come again for `linger` without stalling.
#[derive(Debug)]
struct OfflineRule {
    definition: Definition,
    duty: Duty,
    episodes: Episodes,
    stall_after: Duration,
    hold: Duration,
    linger: Duration,
    /// When it was first observed.
    awaited_from: Option<Mono>,
    /// When it was last observed.
    observed: Option<Mono>,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    /// When the last picture before it arrived.
    since: Mono,
    /// When pictures came again, as long as they do.
    back: Option<Mono>,
    /// The episode it has alarmed in.
    episode: Option<u64>,
}

impl Followed for OfflineRule {
    fn definition(&self) -> (&Definition, &Duty) {
        (&self.definition, &self.duty)
    }

    fn episodes(&mut self) -> &mut Episodes {
        &mut self.episodes
    }
}

impl OfflineRule {
    fn new(stall_after: Duration, schedules: &Schedules, spec: &RuleSpec) -> Result<Self, MissingReference> {
        Ok(Self {
            definition: Definition { spec: spec.clone(), polygon: None, line: None },
            duty: Duty::new(&spec.id, spec.schedule.as_ref(), schedules)?,
            episodes: Episodes::new(spec.id.value.clone(), spec.cool_down.0, spec.linger.0),
            stall_after,
            hold: spec.hold().0,
            linger: spec.linger.0,
            awaited_from: None,
            observed: None,
            outage: None,
        })
    }

    fn observe(&mut self, at: Mono, last_picture: Option<Mono>, findings: &mut Vec<Finding>) {
        let awaited_from = *self.awaited_from.get_or_insert(at);
        let last = last_picture.unwrap_or(awaited_from);
        self.observed = Some(at);
        if !self.duty.is_on() {
            self.is_over();
        } else if at.since(last) >= self.stall_after {
            self.stalls(at, last, findings);
        } else {
            self.goes_on(last);
        }
        self.episodes.settle(at, findings);
    }

    fn stalls(&mut self, at: Mono, last: Mono, findings: &mut Vec<Finding>) {
        let outage = self.outage.get_or_insert(Outage { since: last, back: None, episode: None });
        outage.back = None;
        if let Some(episode) = outage.episode {
            self.episodes.holds(episode, at, 1.0);
            return;
        }
        // A picture in between, however lonely, makes it begin anew.
        outage.since = last;
        if at.since(last) >= self.hold {
            outage.episode = Some(self.episodes.alarm(at, Alarm::holding(last), findings));
        }
    }

    fn goes_on(&mut self, last: Mono) {
        let Some(outage) = &mut self.outage else { return };
        let back = *outage.back.get_or_insert(last);
        if outage.episode.is_none() || last.since(back) >= self.linger {
            self.is_over();
        }
    }

    fn is_over(&mut self) {
        if let Some(Outage { episode: Some(episode), .. }) = self.outage.take() {
            self.episodes.release(episode);
        }
    }

    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        let lasts = |outage: &Outage| outage.episode.is_some() || at.since(outage.since) >= enough;
        self.outage.as_ref().is_some_and(|outage| outage.back.is_none() && lasts(outage))
    }
}

#[cfg(test)]
mod tests;
