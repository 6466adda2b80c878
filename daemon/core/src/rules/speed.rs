//! Speed: a thing goes faster than a limit over measured ground.

use std::{collections::VecDeque, time::Duration};

use super::{
    Condition, Filter, Finding,
    episode::{Alarm, Episodes},
    explain::{Progress, Question, Verdict},
};
use crate::{
    geometry::{GroundPlane, Polygon},
    observation::{Observation, Track, TrackId},
    time::Mono,
};

/// A speed is that over so long at least.
const WINDOW: Duration = Duration::from_secs(1);
/// Fewer positions than this tell a jump of a box, not a speed.
const LEAST_POSITIONS: usize = 3;
/// The most positions kept of a thing: more than a second of any camera's pictures.
const MOST_POSITIONS: usize = 64;
/// Kilometres per hour in a metre per second.
const KMH: f64 = 3.6;

/// Watches how fast things go inside a zone that is the picture of a rectangle on the ground.
///
/// The speed of a thing is the slope of the straight line through its positions on the ground over the last second or a little
/// more (least squares). Only positions really seen inside the zone count; where a track may have changed places with another
/// between two looks they are forgotten.
#[derive(Debug)]
pub(super) struct SpeedRule {
    zone: Polygon,
    ground: GroundPlane,
    /// Kilometres per hour.
    above: f64,
    hold: Duration,
    linger: Duration,
    goers: Vec<Goer>,
}

#[derive(Debug)]
struct Goer {
    track: TrackId,
    /// When it was where on the ground, in metres; the oldest first.
    positions: VecDeque<(Mono, [f64; 2])>,
    /// Whether the model has ever been sure enough of it.
    sure: bool,
    /// Since when it has been too fast, if it is.
    fast_since: Option<Mono>,
    /// When it was last seen to be too fast.
    last_fast: Option<Mono>,
    /// The highest speed since then, in kilometres per hour.
    highest: f64,
    /// The episode it has alarmed in.
    episode: Option<u64>,
}

impl SpeedRule {
    /// For things faster than `above` kilometres per hour.
    pub(super) fn new(zone: Polygon, ground: GroundPlane, above: f32, hold: Duration, linger: Duration) -> Self {
        Self { zone, ground, above: f64::from(above), hold, linger, goers: Vec::new() }
    }

    fn index_of(&mut self, track: &Track) -> usize {
        self.goers.iter().position(|goer| goer.track == track.id).unwrap_or_else(|| {
            self.goers.push(Goer::new(track.id));
            self.goers.len() - 1
        })
    }
}

impl Condition for SpeedRule {
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
            let Some(place) = self.ground.locate(track.anchor()) else { continue };
            let index = self.index_of(track);
            let goer = &mut self.goers[index];
            goer.sure |= filter.admits(track);
            goer.go_on(at, place, track.sure_since);
            let Some(speed) = goer.speed() else { continue };
            if speed <= self.above {
                goer.fast_since = None;
                continue;
            }
            let since = *goer.fast_since.get_or_insert(at);
            goer.highest = if since == at && goer.episode.is_none() { speed } else { goer.highest.max(speed) };
            goer.last_fast = Some(at);
            if let Some(episode) = goer.episode {
                episodes.shows(episode, at, std::iter::once(track));
                episodes.goes(episode, goer.highest as f32);
            } else if at.since(since) >= self.hold && goer.sure {
                let alarm = Alarm { speed: Some(goer.highest as f32), ..Alarm::of(track, since) };
                goer.episode = Some(episodes.alarm(at, alarm, findings));
            }
        }
        let linger = self.linger;
        self.goers.retain_mut(|goer| {
            let followed = observation.tracks.iter().any(|track| track.id == goer.track);
            let slowed = |last: Mono| last < at && at >= last + linger;
            let over = !followed || goer.last_fast.is_none_or(slowed);
            if let Some(episode) = goer.episode.take_if(|_| over) {
                episodes.release(episode);
            }
            followed
        });
    }

    /// A thing inside is too fast in this picture, and was told of already or has been so for long enough.
    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        let for_long = |goer: &Goer| goer.fast_since.is_some_and(|since| at.since(since) >= enough);
        self.goers.iter().any(|goer| goer.last_fast == Some(at) && (goer.episode.is_some() || for_long(goer)))
    }

    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict {
        let at = question.at();
        let goer = self.goers.iter().find(|goer| goer.track == track.id);
        match goer {
            Some(Goer { episode: Some(episode), .. }) => question.told(*episode),
            _ if !track.is_seen_at(at) => Verdict::Hidden,
            _ if !self.zone.contains(track.anchor()) => Verdict::OutsideZone,
            Some(goer) => goer.explain(track, question, self),
            None => Verdict::NotMeasured,
        }
    }
}

impl Goer {
    fn new(track: TrackId) -> Self {
        let positions = VecDeque::with_capacity(MOST_POSITIONS);
        Self { track, positions, sure: false, fast_since: None, last_fast: None, highest: 0.0, episode: None }
    }

    /// Of one that is inside.
    fn explain(&self, track: &Track, question: &Question<'_>, rule: &SpeedRule) -> Verdict {
        let Some(speed_kmh) = self.speed().map(|speed| speed as f32) else { return Verdict::NotMeasured };
        let Some(since) = self.fast_since else { return Verdict::Slow { speed_kmh, above_kmh: rule.above as f32 } };
        let progress = Progress { held: question.at().since(since), hold: rule.hold };
        let unsure = progress.held >= rule.hold && !self.sure;
        if unsure { question.withheld(track) } else { Verdict::TooFast { speed_kmh, progress } }
    }

    /// Was seen there; what was seen before it was surely this thing is forgotten, and so is what is too old.
    fn go_on(&mut self, at: Mono, place: [f64; 2], sure_since: Mono) {
        if self.positions.back().is_some_and(|(last, _)| sure_since > *last) {
            self.positions.clear();
            self.fast_since = None;
        }
        while self.positions.len() >= MOST_POSITIONS {
            self.positions.pop_front();
        }
        self.positions.push_back((at, place));
        while self.positions.len() > LEAST_POSITIONS
            && self.positions.get(1).is_some_and(|(second, _)| at.since(*second) >= WINDOW)
        {
            self.positions.pop_front();
        }
    }

    /// Kilometres per hour over the positions kept; `None` if they are too few, or of too short a time.
    fn speed(&self) -> Option<f64> {
        let (first, last) = (self.positions.front()?.0, self.positions.back()?.0);
        let enough = self.positions.len() >= LEAST_POSITIONS && last.since(first) >= WINDOW;
        let slope =
            |axis: usize| slope(self.positions.iter().map(|(at, place)| (at.since(first).as_secs_f64(), place[axis])));
        enough.then(|| slope(0).hypot(slope(1)) * KMH)
    }
}

/// The slope of the straight line through points (x, y) by least squares: the covariance over the variance of x. Zero where
/// all x are one.
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (count, sum_x, sum_y) =
        points.clone().fold((0.0, 0.0, 0.0), |(count, sum_x, sum_y), (x, y)| (count + 1.0, sum_x + x, sum_y + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (covariance, variance) = points.fold((0.0, 0.0), |(covariance, variance), (x, y)| {
        (covariance + (x - mean_x) * (y - mean_y), variance + (x - mean_x) * (x - mean_x))
    });
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

#[cfg(test)]
mod tests;
