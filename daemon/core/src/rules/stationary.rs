//! Stationary: a thing has come and stands still inside a zone: a parked car, dumped rubbish, something left behind.

use std::time::Duration;

use super::{
    Condition, Filter, Finding,
    episode::{Alarm, Episodes},
    explain::{Progress, Question, Verdict},
    spec::StationarySpec,
};
use crate::{
    geometry::{Polygon, Rect},
    observation::{Label, Observation, Track, TrackId},
    time::Mono,
};

/// What is found so soon after the first picture may have stood there before: models see a frame part by part.
const FIRST_SIGHT: Duration = Duration::from_secs(120);
/// Boxes whose intersection over union is no less are of things at the same place.
const SAME_PLACE: f32 = 0.5;
/// What stood there all along is known again for so long after it was lost.
const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);

/// Watches single things come to rest inside a zone.
///
/// A thing *has come* if it was seen to move, or was first seen when the frame had long been looked at. It stands while its
/// track is at rest, or its box stays where it came to rest. While it is hidden it counts as standing where it was, and
/// when its track is lost and another of the same label begins there, it is the same thing. It is over when it has not stood
/// inside for `linger`.
///
/// What is *left behind* has nobody near it. Who was near is a track of the moment: nothing is kept of anybody but when
/// somebody was last near.
#[derive(Debug)]
pub(super) struct StationaryRule {
    zone: Polygon,
    /// How near somebody must be to be with a thing, in heights of that person; none where nobody matters.
    attended_within: Option<f32>,
    hold: Duration,
    linger: Duration,
    things: Vec<Thing>,
    /// When the first picture was taken.
    began: Option<Mono>,
}

#[derive(Debug)]
struct Thing {
    track: TrackId,
    label: Label,
    /// Where it stands.
    place: Rect,
    /// Since when it stands there.
    since: Mono,
    last_standing: Mono,
    /// When somebody was last near.
    attended: Option<Mono>,
    /// Whether it came, rather than having stood there all along.
    has_come: bool,
    /// Whether its track is still followed.
    followed: bool,
    /// The episode it has alarmed in.
    episode: Option<u64>,
}

impl StationaryRule {
    pub(super) fn new(zone: Polygon, keys: &StationarySpec, hold: Duration, linger: Duration) -> Self {
        let attended_within = keys.after_bringer_left.then_some(keys.bringer_distance.0);
        Self { zone, attended_within, hold, linger, things: Vec::new(), began: None }
    }
}

impl Condition for StationaryRule {
    fn observe(
        &mut self,
        observation: &Observation<'_>,
        filter: &Filter,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) {
        let at = observation.at;
        let began = *self.began.get_or_insert(at);
        for thing in &mut self.things {
            thing.followed = observation.tracks.iter().any(|track| track.id == thing.track);
        }
        for track in observation.tracks.iter().filter(|track| filter.concerns(track)) {
            if !self.zone.contains(track.anchor()) {
                continue;
            }
            let known = self.things.iter().position(|thing| thing.track == track.id);
            let index = match (known.or_else(|| self.take_over(track)), track.stationary_since) {
                (Some(index), _) => index,
                (None, Some(since)) if filter.admits(track) => {
                    let has_come = track.has_moved || track.first_seen >= began + FIRST_SIGHT;
                    self.begin(track, since, at, has_come)
                }
                (None, _) => continue,
            };
            let attended = self.attended_within.is_some_and(|within| is_attended(track, observation.tracks, within));
            let thing = &mut self.things[index];
            if attended {
                thing.attended = Some(at);
            }
            if !thing.stands(track) {
                continue;
            }
            thing.last_standing = at;
            if let Some(episode) = thing.episode {
                episodes.shows(episode, at, std::iter::once(track));
            } else if thing.has_come
                && at.since(thing.alone_since()) >= self.hold
                && filter.admits(track)
                && track.is_seen_at(at)
            {
                thing.episode = Some(episodes.alarm(at, Alarm::of(track, thing.alone_since()), findings));
            }
        }
        let linger = self.linger;
        self.things.retain_mut(|thing| {
            let over = at > thing.last_standing && at >= thing.last_standing + linger;
            if over && let Some(episode) = thing.episode.take() {
                episodes.release(episode);
            }
            let was_there = !thing.has_come && !thing.followed && at < thing.last_standing + REMEMBERED_FOR;
            !over || was_there
        });
    }

    /// A thing that has come stands inside, and has been told of or has stood there, alone if need be, for long enough.
    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        let alone = |thing: &Thing| thing.attended != Some(at) && at.since(thing.alone_since()) >= enough;
        let holds = |thing: &Thing| thing.episode.is_some() || alone(thing);
        self.things.iter().any(|thing| thing.has_come && thing.last_standing == at && holds(thing))
    }

    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict {
        let at = question.at();
        let thing = self.things.iter().find(|thing| thing.track == track.id);
        match thing {
            Some(Thing { episode: Some(episode), .. }) => question.told(*episode),
            _ if !self.zone.contains(track.anchor()) => Verdict::OutsideZone,
            Some(thing) if thing.last_standing != at => Verdict::Moving,
            Some(thing) if !thing.has_come => Verdict::StoodThere,
            Some(thing) if thing.attended == Some(at) => Verdict::Attended,
            Some(thing) => {
                let progress = Progress { held: at.since(thing.alone_since()), hold: self.hold };
                if progress.held < self.hold { Verdict::Stands(progress) } else { question.withheld(track) }
            }
            None if track.stationary_since.is_none() => Verdict::Moving,
            None => question.withheld(track),
        }
    }
}

impl StationaryRule {
    fn begin(&mut self, track: &Track, since: Mono, at: Mono, has_come: bool) -> usize {
        self.things.push(Thing {
            track: track.id,
            label: track.label.clone(),
            place: track.rect,
            since,
            last_standing: at,
            attended: None,
            has_come,
            followed: true,
            episode: None,
        });
        self.things.len() - 1
    }

    /// Finds the thing whose track was lost where this new track begins, and stays.
    fn take_over(&mut self, track: &Track) -> Option<usize> {
        let overlap = |thing: &Thing| thing.place.iou(&track.rect).min(thing.place.iou(&track.first_rect));
        let continues = |thing: &Thing| {
            // What moves is something else.
            let same = !thing.followed && thing.label == track.label && !track.has_moved;
            same && track.first_seen >= thing.last_standing && overlap(thing) >= SAME_PLACE
        };
        let index = (0..self.things.len())
            .filter(|&index| continues(&self.things[index]))
            .max_by(|&a, &b| overlap(&self.things[a]).total_cmp(&overlap(&self.things[b])))?;
        let thing = &mut self.things[index];
        thing.track = track.id;
        thing.followed = true;
        Some(index)
    }
}

impl Thing {
    /// Whether it stands, and where: a box that wavers for a moment does not wake what it is of.
    fn stands(&mut self, track: &Track) -> bool {
        let here = self.place.iou(&track.rect) >= SAME_PLACE;
        match track.stationary_since {
            // It has gone somewhere else, and come there.
            Some(since) if !here => (self.since, self.place, self.has_come) = (since, track.rect, true),
            Some(_) => self.place = track.rect,
            None => return here,
        }
        true
    }

    /// Since when it has stood there with nobody near it, as far as that matters.
    fn alone_since(&self) -> Mono {
        self.attended.map_or(self.since, |attended| self.since.max(attended))
    }
}

/// Whether somebody is near a thing: feet no further from its box than so many times the height of that person. Both are in
/// fractions of the frame, so sideways it reaches a little further.
fn is_attended(thing: &Track, tracks: &[Track], within: f32) -> bool {
    tracks.iter().filter(|track| track.label.is_person() && track.id != thing.id).any(|person| {
        let (foot, rect) = (person.rect.foot(), &thing.rect);
        let beside = (rect.x - foot.x).max(foot.x - rect.right()).max(0.0);
        let above = (rect.y - foot.y).max(foot.y - rect.bottom()).max(0.0);
        beside.hypot(above) <= within * person.rect.height
    })
}

#[cfg(test)]
mod tests;
