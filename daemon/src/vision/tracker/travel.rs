//! How far a thing can have come between two looks, and whether that leaves a choice.

use std::time::Duration;

use snowgate_core::{geometry::Rect, observation::Label};

/// Widths and heights a person makes in a second, at the most. Across: a brisk walk is a height, which is 2.5 widths. Down:
/// who comes nearer is seen from above and does so more slowly. Whoever runs is lost between two looks: a reach that holds a
/// runner holds everybody else too.
const PERSON: [f32; 2] = [2.5, 0.8];
/// The same for all else. Traffic is faster, but then one car after another fits, and none can be told from the next.
const OTHER: [f32; 2] = [1.5, 1.5];
/// Widths and heights by which two boxes of one thing at one place may differ.
const SLACK: f32 = 0.4;
/// A box may become so many times as high, for things come nearer, and as wide, for they turn.
const STRETCH: [f32; 2] = [2.2, 1.7];
/// Nothing is concluded over a longer time.
const LONGEST: Duration = Duration::from_secs(5);

/// How much of what a thing can do in a while it takes to come from one box to another and to change its size so, 0 to 1;
/// none if it cannot.
pub(super) fn effort(label: &Label, from: &Rect, to: &Rect, passed: Duration) -> Option<f32> {
    let seconds = passed.as_secs_f32();
    let speed = if label.is_person() { PERSON } else { OTHER };
    let stretch = |a: f32, b: f32, most: f32| (a / b).max(b / a).ln() / most.ln();
    let (wide, high) = (stretch(from.width, to.width, STRETCH[0]), stretch(from.height, to.height, STRETCH[1]));
    let (a, b) = (from.foot(), to.foot());
    let across = (b.x - a.x) / ((speed[0] * seconds + SLACK) * (from.width + to.width) / 2.0);
    let down = (b.y - a.y) / ((speed[1] * seconds + SLACK) * (from.height + to.height) / 2.0);
    let way = across.hypot(down);
    let possible = passed <= LONGEST && way <= 1.0 && wide <= 1.0 && high <= 1.0;
    possible.then_some(0.6 * way + 0.4 * high)
}

/// How many partners each track and each detection could have.
#[derive(Debug)]
pub(super) struct Choices {
    tracks: Vec<u16>,
    detections: Vec<u16>,
}

impl Choices {
    /// For so many tracks and detections at the most.
    pub(super) fn with_capacity(tracks: usize, detections: usize) -> Self {
        Self { tracks: Vec::with_capacity(tracks), detections: Vec::with_capacity(detections) }
    }

    /// There is nothing to choose: every pairing is beyond doubt.
    pub(super) fn clear(&mut self) {
        self.tracks.clear();
        self.detections.clear();
    }

    /// So many tracks and detections, of which none may be paired yet.
    pub(super) fn begin(&mut self, tracks: usize, detections: usize) {
        self.clear();
        self.tracks.resize(tracks, 0);
        self.detections.resize(detections, 0);
    }

    /// This track and this detection may be paired.
    pub(super) fn add(&mut self, track: usize, detection: usize) {
        self.tracks[track] += 1;
        self.detections[detection] += 1;
    }

    /// Whether one of them could have been paired otherwise.
    pub(super) fn is_doubtful(&self, track: usize, detection: usize) -> bool {
        let several = |counts: &[u16], index: usize| counts.get(index).is_some_and(|count| *count > 1);
        several(&self.tracks, track) || several(&self.detections, detection)
    }
}
