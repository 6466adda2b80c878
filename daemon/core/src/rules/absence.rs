//! Absence: fewer things than a post needs are inside a zone.

use std::time::Duration;

use super::{
    Condition, Filter, Finding,
    episode::{Alarm, Episodes},
    explain::{Progress, Question, Verdict},
    spec::AbsenceSpec,
};
use crate::{
    geometry::Polygon,
    observation::{Observation, Track},
    time::Mono,
};

/// Between pictures further apart than any that a camera is looked at by, nobody knows who was there.
const LONGEST_GAP: Duration = Duration::from_secs(120);

/// Watches a post that must be manned.
///
/// Time counts from the first picture that shows too few. Until that is told of, one picture that shows enough makes it begin
/// anew; afterwards the post must have been manned for `linger`. Time in which nobody could see is no absence: the time begins
/// anew when pictures come again, and what was told of ends.
#[derive(Debug)]
pub(super) struct AbsenceRule {
    zone: Polygon,
    least: usize,
    hold: Duration,
    linger: Duration,
    absence: Option<Absence>,
}

#[derive(Debug)]
struct Absence {
    since: Mono,
    last_short: Mono,
    /// The episode it has alarmed in.
    episode: Option<u64>,
}

impl AbsenceRule {
    pub(super) fn new(zone: Polygon, keys: &AbsenceSpec, hold: Duration, linger: Duration) -> Self {
        Self { zone, least: keys.least.get(), hold, linger, absence: None }
    }

    fn inside(&self, observation: &Observation<'_>, filter: &Filter) -> usize {
        observation.tracks.iter().filter(|t| filter.admits(t) && self.zone.contains(t.anchor())).count()
    }

    fn manned(&self, question: &Question<'_>) -> Verdict {
        Verdict::Manned { count: self.inside(question.observation, question.filter), least: self.least }
    }

    fn too_few(&mut self, at: Mono, episodes: &mut Episodes, findings: &mut Vec<Finding>) {
        let absence = self.absence.get_or_insert(Absence { since: at, last_short: at, episode: None });
        if absence.episode.is_none() && at.since(absence.last_short) > LONGEST_GAP {
            absence.since = at;
        }
        absence.last_short = at;
        if let Some(episode) = absence.episode {
            episodes.holds(episode, at, 1.0);
        } else if at.since(absence.since) >= self.hold {
            absence.episode = Some(episodes.alarm(at, Alarm::holding(absence.since), findings));
        }
    }

    /// It is not seen to hold.
    fn not_seen(&mut self, at: Mono, episodes: &mut Episodes) {
        let linger = self.linger;
        let over = |absence: &mut Absence| absence.episode.is_none() || at >= absence.last_short + linger;
        if let Some(Absence { episode: Some(episode), .. }) = self.absence.take_if(over) {
            episodes.release(episode);
        }
    }
}

impl Condition for AbsenceRule {
    fn observe(
        &mut self,
        observation: &Observation<'_>,
        filter: &Filter,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) {
        let at = observation.at;
        if self.inside(observation, filter) < self.least {
            self.too_few(at, episodes, findings)
        } else {
            self.not_seen(at, episodes)
        }
    }

    fn lapse(&mut self, at: Mono, _: &Filter, episodes: &mut Episodes, _: &mut Vec<Finding>) {
        self.not_seen(at, episodes);
    }

    /// Too few are inside, and that was told of or has been so for long enough.
    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        self.absence
            .as_ref()
            .is_some_and(|it| it.last_short == at && (it.episode.is_some() || at.since(it.since) >= enough))
    }

    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict {
        if !self.zone.contains(track.anchor()) {
            Verdict::OutsideZone
        } else if question.filter.admits(track) {
            self.manned(question)
        } else {
            question.withheld(track)
        }
    }

    fn explain_picture(&self, question: &Question<'_>) -> Option<Verdict> {
        let at = question.at();
        Some(match &self.absence {
            Some(Absence { episode: Some(episode), .. }) => question.told(*episode),
            Some(absence) if absence.last_short == at => {
                Verdict::Unmanned(Progress { held: at.since(absence.since), hold: self.hold })
            }
            _ => self.manned(question),
        })
    }

    /// Whether nobody is there, only looking can tell.
    fn needs_still_pictures(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
