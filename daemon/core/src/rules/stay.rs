//! Intrusion and loitering: a thing stays inside a zone.

use std::time::Duration;

use super::{
    Condition, Filter, Finding,
    episode::{Alarm, Episodes},
    explain::{Progress, Question, Verdict},
};
use crate::{
    geometry::{Polygon, Rect},
    observation::{LOOKS_APART, Label, Observation, Track, TrackId},
    time::Mono,
};

/// A follower's new track may start so many heights away from where the old one was lost and still be the same thing.
const SAME_THING_WITHIN_HEIGHTS: f32 = 1.0;

/// Watches single things inside a zone.
///
/// A *stay* begins when a thing is seen inside and is over when it has not been inside for `linger`; going in and out
/// within that time is one stay. While a thing is hidden it counts as being where it was last seen. When a track is
/// lost inside the zone and another begins there right afterwards, it takes the stay over: one walk is one incident.
///
/// Between two looks seconds apart a thing that was inside at both was inside: it is where it was found, and what lies between
/// took it no longer than that. It is a stay from the first of them on, even where only the second made it a track.
#[derive(Debug)]
pub(super) struct StayRule {
    zone: Polygon,
    include_parked: bool,
    hold: Duration,
    linger: Duration,
    stays: Vec<Stay>,
    /// When the picture before this one was taken.
    last: Option<Mono>,
}

#[derive(Debug)]
struct Stay {
    track: TrackId,
    label: Label,
    rect: Rect,
    entered: Mono,
    last_inside: Mono,
    /// Whether the track is still followed.
    followed: bool,
    /// The episode this stay has alarmed in.
    episode: Option<u64>,
}

impl StayRule {
    pub(super) fn new(zone: Polygon, include_parked: bool, hold: Duration, linger: Duration) -> Self {
        Self { zone, include_parked, hold, linger, stays: Vec::new(), last: None }
    }
}

impl Condition for StayRule {
    fn observe(
        &mut self,
        observation: &Observation<'_>,
        filter: &Filter,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) {
        let at = observation.at;
        for stay in &mut self.stays {
            stay.followed = observation.tracks.iter().any(|track| track.id == stay.track);
        }
        for track in observation.tracks.iter().filter(|track| filter.concerns(track)) {
            let known = self.stays.iter().position(|stay| stay.track == track.id);
            if !self.is_inside(track, at, known) {
                continue;
            }
            let index = match known.or_else(|| self.take_over(track, at)) {
                Some(index) => index,
                None if filter.admits(track) => self.begin(track, at),
                None => continue,
            };
            let stay = &mut self.stays[index];
            stay.last_inside = at;
            stay.rect = track.rect;
            if let Some(episode) = stay.episode {
                episodes.shows(episode, at, std::iter::once(track));
            } else if at.since(stay.entered) >= self.hold && filter.admits(track) && track.is_seen_at(at) {
                stay.episode = Some(episodes.alarm(at, Alarm::of(track, stay.entered), findings));
            }
        }
        let linger = self.linger;
        self.stays.retain(|stay| {
            let over = at >= stay.last_inside + linger;
            if let (true, Some(episode)) = (over, stay.episode) {
                episodes.release(episode);
            }
            !over
        });
        self.last = Some(at);
    }

    /// A thing that counts is inside, and has been told of or has been there for long enough.
    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        self.stays
            .iter()
            .any(|stay| stay.last_inside == at && (stay.episode.is_some() || at.since(stay.entered) >= enough))
    }

    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict {
        let at = question.at();
        let stay = self.stays.iter().find(|stay| stay.track == track.id);
        match stay {
            Some(Stay { episode: Some(episode), .. }) => question.told(*episode),
            Some(stay) if stay.last_inside == at => {
                let progress = Progress { held: at.since(stay.entered), hold: self.hold };
                if progress.held < self.hold { Verdict::Inside(progress) } else { question.withheld(track) }
            }
            _ if !track.is_seen_at(at) => Verdict::Hidden,
            _ if !self.zone.contains(track.anchor()) => Verdict::OutsideZone,
            _ if self.passes_over(track) => Verdict::StoodThere,
            _ if question.filter.admits(track) => Verdict::Inside(Progress { held: Duration::ZERO, hold: self.hold }),
            _ => question.withheld(track),
        }
    }
}

impl StayRule {
    /// Whether it has stood there all along, and such things do not count.
    fn passes_over(&self, track: &Track) -> bool {
        !self.include_parked && !track.has_moved && track.stationary_since.is_some()
    }

    fn is_inside(&self, track: &Track, at: Mono, known: Option<usize>) -> bool {
        if self.passes_over(track) {
            return false;
        }
        if track.is_seen_at(at) {
            self.zone.contains(track.anchor())
        } else {
            // Hidden: it stays where it was last seen, which was inside if its stay was not interrupted.
            known.is_some_and(|index| self.stays[index].last_inside >= track.last_seen)
        }
    }

    fn begin(&mut self, track: &Track, at: Mono) -> usize {
        // Seen at the last look and inside by then, but only now known to be a thing.
        let since_last_look = self.last.is_some_and(|last| track.first_seen >= last);
        let inside = at.since(track.first_seen) >= LOOKS_APART && self.zone.contains(track.first_anchor());
        let entered = if since_last_look && inside { track.first_seen } else { at };
        self.stays.push(Stay {
            track: track.id,
            label: track.label.clone(),
            rect: track.rect,
            entered,
            last_inside: at,
            followed: true,
            episode: None,
        });
        self.stays.len() - 1
    }

    /// Finds the stay whose track was lost where this new track begins.
    fn take_over(&mut self, track: &Track, at: Mono) -> Option<usize> {
        // Only a track that is younger than the loss can be its continuation.
        let distance = |stay: &Stay| {
            let (lost, found) = (stay.rect.foot(), track.rect.foot());
            (lost.x - found.x).hypot(lost.y - found.y) / stay.rect.height.max(track.rect.height).max(f32::EPSILON)
        };
        let index = (0..self.stays.len())
            .filter(|&index| {
                let stay = &self.stays[index];
                !stay.followed
                    && stay.label == track.label
                    && track.first_seen >= stay.last_inside
                    && at.since(stay.last_inside) < self.linger
                    && distance(stay) <= SAME_THING_WITHIN_HEIGHTS
            })
            .min_by(|&a, &b| distance(&self.stays[a]).total_cmp(&distance(&self.stays[b])))?;
        let stay = &mut self.stays[index];
        stay.track = track.id;
        stay.followed = true;
        Some(index)
    }
}
