//! Line crossing: a thing goes from one side of a line to the other.

use std::time::Duration;

use super::{
    Condition, Filter, Finding,
    episode::{Alarm, Episodes},
    explain::{Question, Verdict},
    spec::Direction,
};
use crate::{
    geometry::{Crossing, Point, Segment},
    observation::{Observation, Track, TrackId},
    time::Mono,
};

/// How far beyond the line a thing must be, in shares of its own height, before it counts as across. Boxes jitter by
/// a few per cent of their height; somebody who stands on the line must not be counted again and again.
const CLEAR_OF_LINE: f32 = 0.08;

/// Watches things cross a line. Only positions really seen count; between two of them the way is taken as straight. Where a
/// track may have changed places with another between two looks, nothing is concluded from what it was before.
#[derive(Debug)]
pub(super) struct LineRule {
    line: Segment,
    direction: Direction,
    walkers: Vec<Walker>,
    /// When a crossing that counts was last complete.
    crossed: Option<Mono>,
}

#[derive(Debug)]
struct Walker {
    track: TrackId,
    last: Point,
    last_seen: Mono,
    /// Whether the model has ever been sure enough of it. The moment it crosses may be one when it is half hidden.
    sure: bool,
    /// The side on which it was last clear of the line.
    side: Option<Side>,
    /// Whether the last change of sides went through the segment rather than around its ends.
    through: bool,
    /// Its last crossing, and the episode that was told in, if it was.
    crossed: Option<(Crossing, Option<u64>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl LineRule {
    pub(super) fn new(line: Segment, direction: Direction) -> Self {
        Self { line, direction, walkers: Vec::new(), crossed: None }
    }
}

impl Condition for LineRule {
    fn observe(
        &mut self,
        observation: &Observation<'_>,
        filter: &Filter,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) {
        let at = observation.at;
        self.walkers.retain(|walker| observation.tracks.iter().any(|track| track.id == walker.track));
        for track in observation.tracks.iter().filter(|track| filter.concerns(track) && track.is_seen_at(at)) {
            let margin = CLEAR_OF_LINE * track.rect.height;
            let walker = match self.walkers.iter_mut().find(|walker| walker.track == track.id) {
                Some(walker) => walker,
                None => {
                    let last = track.anchor();
                    self.walkers.push(Walker::new(track.id, last, at));
                    let index = self.walkers.len() - 1;
                    &mut self.walkers[index]
                }
            };
            if track.sure_since > walker.last_seen {
                (walker.last, walker.side, walker.through) = (track.anchor(), None, false);
            }
            walker.last_seen = at;
            walker.sure |= filter.admits(track);
            let Some(crossing) = walker.step(&self.line, track.anchor(), margin) else { continue };
            walker.crossed = Some((crossing, None));
            if self.direction.includes(crossing) && walker.sure {
                let alarm = Alarm { holds: false, crossing: Some(crossing), ..Alarm::of(track, at) };
                walker.crossed = Some((crossing, Some(episodes.alarm(at, alarm, findings))));
                self.crossed = Some(at);
            }
        }
    }

    /// Somebody has just crossed.
    fn holds(&self, at: Mono, _patience: Duration) -> bool {
        self.crossed == Some(at)
    }

    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict {
        let walker = self.walkers.iter().find(|walker| walker.track == track.id);
        match walker.and_then(|walker| walker.crossed) {
            Some((_, Some(episode))) => question.told(episode),
            Some((crossing, None)) if !self.direction.includes(crossing) => Verdict::CrossedOtherWay { crossing },
            Some((_, None)) => question.withheld(track),
            None if !track.is_seen_at(question.at()) => Verdict::Hidden,
            None => Verdict::NotAcross { distance: self.line.offset(track.anchor()).abs() },
        }
    }
}

impl Walker {
    fn new(track: TrackId, last: Point, last_seen: Mono) -> Self {
        Self { track, last, last_seen, sure: false, side: None, through: false, crossed: None }
    }

    /// Goes on to `point`; answers the crossing that is thereby complete.
    fn step(&mut self, line: &Segment, point: Point, margin: f32) -> Option<Crossing> {
        let sides = (line.side(self.last), line.side(point));
        if (sides.0 <= 0.0) != (sides.1 <= 0.0) {
            self.through = line.meets(self.last, point);
        }
        self.last = point;
        if line.offset(point).abs() < margin {
            return None;
        }
        let side = if sides.1 > 0.0 { Side::Right } else { Side::Left };
        let before = self.side.replace(side)?;
        let through = std::mem::take(&mut self.through);
        match (before, side) {
            (Side::Left, Side::Right) if through => Some(Crossing::LeftToRight),
            (Side::Right, Side::Left) if through => Some(Crossing::RightToLeft),
            _ => None,
        }
    }
}

impl Direction {
    fn includes(self, crossing: Crossing) -> bool {
        match self {
            Self::Both => true,
            Self::LeftToRight => crossing == Crossing::LeftToRight,
            Self::RightToLeft => crossing == Crossing::RightToLeft,
        }
    }
}
