//! Wrong way: a thing moves against the allowed direction inside a zone.

use std::time::Duration;

use super::{
    Condition, Filter, Finding,
    episode::{Alarm, Episodes},
    explain::{Progress, Question, Verdict},
    spec::WrongWaySpec,
};
use crate::{
    geometry::{Point, Polygon},
    observation::{Observation, Track, TrackId},
    time::Mono,
};

/// The least length of a step in heights of the thing, where that is more: what is close to the camera jitters more.
const LEAST_STEP_IN_HEIGHTS: f32 = 0.15;
/// Nearer than this share of a step to where that began, a thing has not set off.
const SET_OFF: f32 = 0.25;
/// What has made no further step for so long has stopped.
const STOPPED_AFTER: Duration = Duration::from_secs(10);

/// Watches which way things move inside a zone.
///
/// A thing's way is cut into *steps*, each at least `min_distance` long as the crow flies. A step is wrong if it leads away
/// from the allowed direction by more than the tolerance. One right step, leaving the zone or stopping puts an end to going
/// the wrong way. Only positions really seen count; where a track may have changed places with another between two looks, its
/// way begins anew.
#[derive(Debug)]
pub(super) struct WrongWayRule {
    zone: Polygon,
    way: AllowedWay,
    min_distance: f32,
    hold: Duration,
    movers: Vec<Mover>,
}

#[derive(Debug)]
struct Mover {
    track: TrackId,
    /// Where its present step began…
    from: Point,
    /// …and when it set off from there.
    set_off: Mono,
    last_inside: Mono,
    /// Whether the model has ever been sure enough of it.
    sure: bool,
    /// Since when it has been going the wrong way, if it is.
    wrong_since: Option<Mono>,
    /// When its last wrong step was complete.
    last_wrong: Mono,
    /// The cosine of the angle between its last step and the allowed way, if it has made one.
    last_cosine: Option<f32>,
    /// The episode it has alarmed in.
    episode: Option<u64>,
}

/// The direction in which things may move, and how far they may turn from it.
#[derive(Debug, Clone, Copy)]
struct AllowedWay {
    along: (f32, f32),
    least_cosine: f32,
}

impl WrongWayRule {
    pub(super) fn new(zone: Polygon, keys: &WrongWaySpec, hold: Duration) -> Self {
        let way = AllowedWay::new(keys.from, keys.to.value, keys.tolerance.0);
        Self { zone, way, min_distance: keys.min_distance.0, hold, movers: Vec::new() }
    }

    fn least_step(&self, track: &Track) -> f32 {
        self.min_distance.max(LEAST_STEP_IN_HEIGHTS * track.rect.height)
    }

    fn index_of(&mut self, track: &Track, at: Mono) -> usize {
        self.movers.iter().position(|mover| mover.track == track.id).unwrap_or_else(|| {
            self.movers.push(Mover::new(track, at));
            self.movers.len() - 1
        })
    }
}

impl Condition for WrongWayRule {
    fn observe(
        &mut self,
        observation: &Observation<'_>,
        filter: &Filter,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) {
        let at = observation.at;
        let seen = |track: &&Track| filter.concerns(track) && track.is_seen_at(at);
        for track in observation.tracks.iter().filter(seen) {
            if !self.zone.contains(track.anchor()) {
                continue;
            }
            let index = self.index_of(track, at);
            let (way, length) = (self.way, self.least_step(track));
            let mover = &mut self.movers[index];
            if track.sure_since > mover.last_inside {
                mover.begin_anew(track.anchor(), at);
            }
            mover.last_inside = at;
            mover.sure |= filter.admits(track);
            if !mover.goes_wrong(track.anchor(), at, length, way) {
                continue;
            }
            let since = *mover.wrong_since.get_or_insert(mover.set_off);
            mover.begin_step(track.anchor(), at);
            mover.last_wrong = at;
            if let Some(episode) = mover.episode {
                episodes.shows(episode, at, std::iter::once(track));
            } else if at.since(since) >= self.hold && mover.sure {
                mover.episode = Some(episodes.alarm(at, Alarm::of(track, since), findings));
            }
        }
        let zone = &self.zone;
        self.movers.retain_mut(|mover| {
            let track = observation.tracks.iter().find(|track| track.id == mover.track);
            let inside = track.is_some_and(|track| zone.contains(track.anchor()));
            if at >= mover.last_wrong + STOPPED_AFTER && mover.wrong_since.take().is_some() {
                mover.last_cosine = None;
            }
            let over = !inside || mover.wrong_since.is_none();
            if let Some(episode) = mover.episode.take_if(|_| over) {
                episodes.release(episode);
            }
            inside
        });
    }

    /// A thing is inside that has gone the wrong way without a break, and was told of already or has done so for long enough.
    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        let for_long = |mover: &Mover| mover.wrong_since.is_some_and(|since| at.since(since) >= enough);
        let holds = |mover: &Mover| mover.episode.is_some() || for_long(mover);
        self.movers.iter().any(|mover| mover.last_inside == at && holds(mover))
    }

    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict {
        let at = question.at();
        let mover = self.movers.iter().find(|mover| mover.track == track.id);
        match mover {
            Some(Mover { episode: Some(episode), .. }) => question.told(*episode),
            _ if !track.is_seen_at(at) => Verdict::Hidden,
            None => Verdict::OutsideZone,
            Some(mover) => mover.explain(track, question, self),
        }
    }
}

impl Mover {
    fn new(track: &Track, at: Mono) -> Self {
        Self {
            track: track.id,
            from: track.anchor(),
            set_off: at,
            last_inside: at,
            sure: false,
            wrong_since: None,
            last_wrong: at,
            last_cosine: None,
            episode: None,
        }
    }

    /// Of one that is inside.
    fn explain(&self, track: &Track, question: &Question<'_>, rule: &WrongWayRule) -> Verdict {
        if let Some(since) = self.wrong_since {
            let held = question.at().since(since);
            let unsure = held >= rule.hold && !self.sure;
            let wrong = Verdict::WrongWay(Progress { held, hold: rule.hold });
            return if unsure { question.withheld(track) } else { wrong };
        }
        let degrees = |cosine: f32| cosine.clamp(-1.0, 1.0).acos().to_degrees();
        match self.last_cosine {
            Some(cosine) => {
                Verdict::RightWay { off_degrees: degrees(cosine), tolerance_degrees: degrees(rule.way.least_cosine) }
            }
            None => {
                let (from, here) = (self.from, track.anchor());
                let gone = (here.x - from.x).hypot(here.y - from.y);
                Verdict::SetsOff { gone, min_distance: rule.least_step(track) }
            }
        }
    }

    fn begin_step(&mut self, from: Point, at: Mono) {
        (self.from, self.set_off) = (from, at);
    }

    fn begin_anew(&mut self, from: Point, at: Mono) {
        self.begin_step(from, at);
        self.wrong_since = None;
    }

    /// Goes on to `point`; answers whether a wrong step is thereby complete. A right one ends going the wrong way, and so does
    /// one that takes for ever: boxes creep while shadows do.
    fn goes_wrong(&mut self, point: Point, at: Mono, length: f32, way: AllowedWay) -> bool {
        let gone = (point.x - self.from.x, point.y - self.from.y);
        let distance = gone.0.hypot(gone.1);
        if distance < SET_OFF * length {
            self.set_off = at;
            return false;
        }
        let complete = distance >= length;
        let in_time = at.since(self.set_off) < STOPPED_AFTER;
        let wrong = complete && in_time && !way.allows(gone, distance);
        if complete && in_time {
            self.last_cosine = Some(way.cosine(gone, distance));
        }
        if !wrong && (complete || !in_time) {
            self.begin_anew(point, at);
        }
        wrong
    }
}

impl AllowedWay {
    /// From one point to another, give or take so many degrees.
    fn new(from: Point, to: Point, tolerance: f32) -> Self {
        let (x, y) = (to.x - from.x, to.y - from.y);
        let length = x.hypot(y).max(f32::EPSILON);
        Self { along: (x / length, y / length), least_cosine: tolerance.to_radians().cos() }
    }

    fn allows(self, gone: (f32, f32), distance: f32) -> bool {
        self.along(gone) >= self.least_cosine * distance
    }

    /// Of the angle between it and a step so long.
    fn cosine(self, gone: (f32, f32), distance: f32) -> f32 {
        if distance > 0.0 { self.along(gone) / distance } else { 1.0 }
    }

    /// How far a step leads along it.
    fn along(self, (x, y): (f32, f32)) -> f32 {
        x * self.along.0 + y * self.along.1
    }
}

#[cfg(test)]
mod tests;
