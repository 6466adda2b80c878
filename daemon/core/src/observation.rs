//! What a camera's pictures show: detections of one picture and the tracks that join them over time.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    geometry::{Point, Rect},
    time::Mono,
};

/// Pictures so far apart are single looks: what happened in between is not seen but concluded.
pub const LOOKS_APART: Duration = Duration::from_millis(800);

/// What a thing is, in the words of the model's manifest: `person`, `car`, `face`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(Arc<str>);

impl Label {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Label {
    /// The label of every face model.
    pub const FACE: &'static str = "face";

    /// The label of people in COCO and every model trained on it.
    pub const PERSON: &'static str = "person";

    /// The label of what is in a scene and was never there: nobody knows what it is.
    pub const UNKNOWN: &'static str = "unknown";

    /// Whether this is a person.
    pub fn is_person(&self) -> bool {
        &*self.0 == Self::PERSON
    }

    /// Whether this is a face.
    pub fn is_face(&self) -> bool {
        &*self.0 == Self::FACE
    }
}

impl From<&str> for Label {
    fn from(word: &str) -> Self {
        Self(word.into())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing a model found in one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// What it is.
    pub label: Label,
    /// How sure the model is, 0..1.
    pub score: f32,
    /// Where, in fractions of the frame.
    pub rect: Rect,
}

/// A track's number: unique within one camera and one run, gone with the track, and never sent anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u64);

/// One thing followed over pictures, as known at one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Its number.
    pub id: TrackId,
    /// What it is.
    pub label: Label,
    /// Score of its last detection, 0..1.
    pub score: f32,
    /// Where it is now (filtered), in fractions of the frame.
    pub rect: Rect,
    /// When it was first detected.
    pub first_seen: Mono,
    /// Where it was then, in fractions of the frame.
    pub first_rect: Rect,
    /// When it was last detected; earlier than the picture while it is only predicted.
    pub last_seen: Mono,
    /// Since when it is beyond doubt the same thing. Later than [`first_seen`](Self::first_seen) where, between two looks,
    /// it may have changed places with another.
    pub sure_since: Mono,
    /// Since when it has not moved, if it is at rest.
    pub stationary_since: Option<Mono>,
    /// Whether it has ever moved since it was first seen. A car that was parked there all along has not.
    pub has_moved: bool,
}

impl Track {
    /// The point that is held against zones and lines: where the thing touches the ground, or a face's middle, which
    /// touches none.
    pub fn anchor(&self) -> Point {
        self.anchor_of(&self.rect)
    }

    /// The same when it was first seen.
    pub fn first_anchor(&self) -> Point {
        self.anchor_of(&self.first_rect)
    }

    fn anchor_of(&self, rect: &Rect) -> Point {
        if self.label.is_face() { rect.centre() } else { rect.foot() }
    }

    /// Whether it was really detected at this time, rather than only predicted.
    pub fn is_seen_at(&self, at: Mono) -> bool {
        self.last_seen >= at
    }
}

/// What one picture showed, after tracking. Tracks not listed are dead.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The picture's number, counted by the camera; gaps are lost pictures.
    pub picture: u64,
    /// When the picture was taken, on the box's monotonic clock.
    pub at: Mono,
    /// All live, confirmed tracks, the lost-but-not-yet-given-up ones included.
    pub tracks: &'a [Track],
}
