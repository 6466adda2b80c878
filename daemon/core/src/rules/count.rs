//! Count: more things than a limit are inside a zone at once.

use std::time::Duration;

use super::{
    Condition, CountLimits, Filter, Finding,
    episode::{Alarm, Episodes},
    explain::{Progress, Question, Verdict},
};
use crate::{
    geometry::Polygon,
    observation::{Observation, Track},
    time::Mono,
};

/// Watches how many things are inside a zone. The condition counts as unbroken through gaps shorter than `linger`,
/// so that one person hidden for a moment does not end a crowd. Once told of, it goes on until no more than `end_limit` are
/// left. Where the zone's area is known it tells how many there are on a square metre.
#[derive(Debug)]
pub(super) struct CountRule {
    zone: Polygon,
    limits: CountLimits,
    hold: Duration,
    linger: Duration,
    crowd: Option<Crowd>,
}

#[derive(Debug)]
struct Crowd {
    since: Mono,
    last_over: Mono,
    /// The episode it has alarmed in.
    episode: Option<u64>,
}

impl CountRule {
    pub(super) fn new(zone: Polygon, limits: CountLimits, hold: Duration, linger: Duration) -> Self {
        Self { zone, limits, hold, linger, crowd: None }
    }
}

impl Condition for CountRule {
    fn observe(
        &mut self,
        observation: &Observation<'_>,
        filter: &Filter,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) {
        let at = observation.at;
        let inside = || observation.tracks.iter().filter(|t| filter.admits(t) && self.zone.contains(t.anchor()));
        let count = counted(inside());
        let density = self.limits.area.map(|area| (f64::from(count) / area) as f32);
        let told = self.crowd.as_ref().is_some_and(|crowd| crowd.episode.is_some());
        if count > self.limits.limit || (told && count > self.limits.end_limit) {
            let crowd = self.crowd.get_or_insert(Crowd { since: at, last_over: at, episode: None });
            crowd.last_over = at;
            if let Some(episode) = crowd.episode {
                episodes.counts(episode, count, density);
                episodes.shows(episode, at, inside());
            } else if at.since(crowd.since) >= self.hold {
                let alarm = Alarm { density, ..Alarm::of_all(inside(), crowd.since) };
                crowd.episode = Some(episodes.alarm(at, alarm, findings));
            }
        } else if let Some(crowd) = self.crowd.take_if(|crowd| at >= crowd.last_over + self.linger)
            && let Some(episode) = crowd.episode
        {
            episodes.release(episode);
        }
    }

    /// More things than the limit are inside and have been there for long enough, or have been told of and do not end yet.
    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        self.crowd
            .as_ref()
            .is_some_and(|crowd| crowd.last_over == at && (crowd.episode.is_some() || at.since(crowd.since) >= enough))
    }
    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict {
        let at = question.at();
        if !self.zone.contains(track.anchor()) {
            return Verdict::OutsideZone;
        }
        if !question.filter.admits(track) {
            return question.withheld(track);
        }
        match &self.crowd {
            Some(Crowd { episode: Some(episode), .. }) => question.told(*episode),
            Some(crowd) if crowd.last_over == at => {
                Verdict::Crowd(Progress { held: at.since(crowd.since), hold: self.hold })
            }
            _ => {
                let inside = |t: &&Track| question.filter.admits(t) && self.zone.contains(t.anchor());
                Verdict::Few {
                    count: counted(question.observation.tracks.iter().filter(inside)),
                    limit: self.limits.limit,
                }
            }
        }
    }
}

fn counted<'t>(tracks: impl Iterator<Item = &'t Track>) -> u32 {
    u32::try_from(tracks.count()).unwrap_or(u32::MAX)
}
