//! Why a rule tells of a thing or does not: asked after a picture was taken in, answered with the numbers that decided.
//!
//! Asking reads what the rules know and changes nothing; where nobody asks, nothing is computed. What is said of a thing is the
//! *first* that keeps it from being told, on the way from what never counts to what nearly does: what it is, how large it is,
//! where it is, how sure the model is of it, and then what its kind of rule watches for and for how long. A score counts against
//! a thing only where the rule would ask for it: one that was sure when it came in may be half hidden now.

mod story;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::{Filter, Rule, episode::Episodes};
use crate::{
    geometry::Crossing,
    ids::Id,
    observation::{Label, Observation, Track, TrackId},
    scene,
    time::Mono,
};

pub use self::story::{Explainer, Line};

/// What a rule has to say of one thing in the last picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The rule's id.
    pub rule: Id,
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// What kind of thing that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Whether it is told of, or why not.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What an explanation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum About {
    /// A thing that is followed.
    Track {
        /// Its number, which is that of this run and of no other.
        #[serde(serialize_with = "number")]
        track: TrackId,
    },
    /// Something unknown in the scene.
    Region {
        /// The number of its region.
        region: u64,
    },
    /// All that the camera shows.
    Picture,
}

impl From<&Track> for About {
    fn from(track: &Track) -> Self {
        Self::Track { track: track.id }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Track { track } => write!(f, "track {}", track.0),
            Self::Region { region } => write!(f, "region {region}"),
            Self::Picture => f.write_str("the picture"),
        }
    }
}

/// For how long something has held of the time that it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// So long, in seconds.
    #[serde(rename = "held_s", serialize_with = "seconds")]
    pub held: Duration,
    /// Of so long, in seconds: what `for` says.
    #[serde(rename = "for_s", serialize_with = "seconds")]
    pub hold: Duration,
}

impl Progress {
    /// The share that has passed; 1 where no time is asked for.
    fn share(self) -> f32 {
        if self.hold.is_zero() { 1.0 } else { self.held.as_secs_f32() / self.hold.as_secs_f32() }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for {:.1} s of the {:.1} s of `for`", self.held.as_secs_f64(), self.hold.as_secs_f64())
    }
}

/// Whether a thing is told of, and what keeps it from that.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The rule rests by its schedule.
    Resting {
        /// The schedule's id.
        schedule: Id,
    },
    /// It is not one of the rule's labels.
    OtherLabel,
    /// It is too small.
    TooSmall {
        /// Its height as a share of the frame's.
        height: f32,
        /// What it must be.
        min_height: f32,
    },
    /// It is followed but was not seen in this picture.
    Hidden,
    /// It is outside the zone.
    OutsideZone,
    /// It has stood there all along, and such things do not count.
    StoodThere,
    /// The model is not sure enough of it.
    Unsure {
        /// Its score, 0..1.
        score: f32,
        /// What it must be.
        min_score: f32,
    },
    /// It is inside, and not yet for long enough.
    Inside(Progress),
    /// It has not crossed the line.
    NotAcross {
        /// How far it is from the line, as a share of the frame.
        distance: f32,
    },
    /// It has crossed in a direction that does not count.
    CrossedOtherWay {
        /// Which it was.
        crossing: Crossing,
    },
    /// Not too many are inside.
    Few {
        /// So many are.
        count: u32,
        /// Of which the limit is so many.
        limit: u32,
    },
    /// Too many are inside, and not yet for long enough.
    Crowd(Progress),
    /// It is not at rest.
    Moving,
    /// Somebody is near what would count as left behind.
    Attended,
    /// It stands, and not yet for long enough.
    Stands(Progress),
    /// It has not gone far enough for its direction to be told.
    SetsOff {
        /// How far it has gone, as a share of the frame.
        gone: f32,
        /// How far it must.
        min_distance: f32,
    },
    /// It goes a way that is allowed.
    RightWay {
        /// How far its last step led away from the arrow, in degrees.
        off_degrees: f32,
        /// How far it may.
        tolerance_degrees: f32,
    },
    /// It goes the wrong way, and not yet for long enough.
    WrongWay(Progress),
    /// It has not been seen for long enough for its speed to be told.
    NotMeasured,
    /// It is not too fast.
    Slow {
        /// Its speed in kilometres per hour.
        speed_kmh: f32,
        /// The limit.
        above_kmh: f32,
    },
    /// It is too fast, and not yet for long enough.
    TooFast {
        /// Its speed in kilometres per hour.
        speed_kmh: f32,
        /// For how long.
        #[serde(flatten)]
        progress: Progress,
    },
    /// Enough are inside.
    Manned {
        /// So many are.
        count: usize,
        /// Of which so many are enough.
        least: usize,
    },
    /// Too few are inside, and not yet for long enough.
    Unmanned(Progress),
    /// Nothing that counts is wrong with the pictures.
    Sound,
    /// Something is wrong with the pictures, and not yet for long enough.
    Wrong {
        /// What it is.
        condition: scene::Condition,
        /// For how long.
        #[serde(flatten)]
        progress: Progress,
    },
    /// It was told of before.
    Told {
        /// In which episode.
        episode: u64,
        /// For how long what comes joins that episode, because of `cool_down`.
        #[serde(rename = "joins_for_s", serialize_with = "seconds")]
        joins_for: Duration,
    },
    /// It is told of in this very picture.
    Fired {
        /// In which episode.
        episode: u64,
    },
}

impl Verdict {
    /// Whether it is told of, now or before.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::Told { .. } | Self::Fired { .. })
    }

    /// How near this is to being told of, to be compared: the stage, and how much of it is passed.
    fn nearness(&self) -> (u8, f32) {
        let share = |value: f32, of: f32| if of > 0.0 { value / of } else { 1.0 };
        match self {
            Self::Resting { .. } => (0, 0.0),
            Self::OtherLabel => (1, 0.0),
            Self::TooSmall { height, min_height } => (2, share(*height, *min_height)),
            Self::Hidden => (3, 0.0),
            Self::OutsideZone => (4, 0.0),
            Self::StoodThere => (5, 0.0),
            Self::Unsure { score, min_score } => (6, share(*score, *min_score)),
            Self::CrossedOtherWay { .. } | Self::Moving | Self::NotMeasured | Self::Sound => (7, 0.0),
            Self::NotAcross { distance } => (7, -distance),
            Self::SetsOff { gone, min_distance } => (7, share(*gone, *min_distance)),
            Self::Few { count, limit } => (8, *count as f32 - *limit as f32),
            Self::Manned { count, least } => (8, *least as f32 - *count as f32),
            Self::RightWay { off_degrees, .. } => (8, *off_degrees),
            Self::Slow { speed_kmh, .. } => (8, *speed_kmh),
            Self::Attended => (8, 0.0),
            Self::Inside(progress)
            | Self::Crowd(progress)
            | Self::Stands(progress)
            | Self::WrongWay(progress)
            | Self::Unmanned(progress)
            | Self::TooFast { progress, .. }
            | Self::Wrong { progress, .. } => (9, progress.share()),
            Self::Told { .. } => (10, 0.0),
            Self::Fired { .. } => (11, 0.0),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resting { schedule } => write!(f, "resting by schedule {schedule}"),
            Self::OtherLabel => f.write_str("not one of the labels"),
            Self::TooSmall { height, min_height } => write!(f, "height {height:.3} below min_height {min_height}"),
            Self::Hidden => f.write_str("not seen in this picture"),
            Self::OutsideZone => f.write_str("outside the zone"),
            Self::StoodThere => f.write_str("has stood there all along"),
            Self::Unsure { score, min_score } => write!(f, "score {score:.2} below min_score {min_score}"),
            Self::Inside(progress) => write!(f, "inside {progress}"),
            Self::NotAcross { distance } => write!(f, "not across the line: {distance:.3} away from it"),
            Self::CrossedOtherWay { crossing: Crossing::LeftToRight } => f.write_str("crossed left to right only"),
            Self::CrossedOtherWay { crossing: Crossing::RightToLeft } => f.write_str("crossed right to left only"),
            Self::Few { count, limit } => write!(f, "{count} inside, not more than the limit of {limit}"),
            Self::Crowd(progress) => write!(f, "too many inside {progress}"),
            Self::Moving => f.write_str("not at rest"),
            Self::Attended => f.write_str("somebody is near it"),
            Self::Stands(progress) => write!(f, "stands {progress}"),
            Self::SetsOff { gone, min_distance } => {
                write!(f, "has gone {gone:.3} of the min_distance {min_distance:.3}")
            }
            Self::RightWay { off_degrees, tolerance_degrees } => {
                write!(f, "direction {off_degrees:.0}° off, tolerance {tolerance_degrees:.0}°")
            }
            Self::WrongWay(progress) => write!(f, "goes the wrong way {progress}"),
            Self::NotMeasured => f.write_str("seen too shortly for a speed"),
            Self::Slow { speed_kmh, above_kmh } => write!(f, "speed {speed_kmh:.0} of {above_kmh:.0} km/h"),
            Self::TooFast { speed_kmh, progress } => write!(f, "speed {speed_kmh:.0} km/h {progress}"),
            Self::Manned { count, least } => write!(f, "{count} inside, {least} are enough"),
            Self::Unmanned(progress) => write!(f, "too few inside {progress}"),
            Self::Sound => f.write_str("nothing that counts is wrong"),
            Self::Wrong { condition, progress } => write!(f, "{condition} {progress}"),
            Self::Told { episode, joins_for } if joins_for.is_zero() => write!(f, "told of in episode {episode}"),
            Self::Told { episode, joins_for } => {
                write!(f, "told of in episode {episode}, cool-down for another {:.0} s", joins_for.as_secs_f64())
            }
            Self::Fired { episode } => write!(f, "told of now, in episode {episode}"),
        }
    }
}

/// What a rule is asked of: the picture that was taken in last.
pub(super) struct Question<'a> {
    pub(super) observation: &'a Observation<'a>,
    pub(super) filter: &'a Filter,
    pub(super) episodes: &'a Episodes,
}

impl Question<'_> {
    /// When the picture was taken.
    pub(super) fn at(&self) -> Mono {
        self.observation.at
    }

    /// What is said of a thing that was told of in this episode.
    pub(super) fn told(&self, episode: u64) -> Verdict {
        Verdict::Told { episode, joins_for: self.episodes.joins_for(episode, self.at()) }
    }

    /// What is said of a thing whose condition has held for long enough: the score is too low, or it is out of sight.
    pub(super) fn withheld(&self, track: &Track) -> Verdict {
        let (score, min_score) = (track.score, self.filter.min_score);
        if self.filter.admits(track) { Verdict::Hidden } else { Verdict::Unsure { score, min_score } }
    }
}

impl Filter {
    /// Why a thing is none of the kind and size looked for, if it is not.
    fn unconcerned(&self, track: &Track) -> Option<Verdict> {
        if !self.labels.contains(&track.label) {
            return Some(Verdict::OtherLabel);
        }
        let (height, min_height) = (track.rect.height, self.min_height);
        (height < min_height).then_some(Verdict::TooSmall { height, min_height })
    }
}

impl Rule {
    /// Appends what there is to say of every track of the picture that was taken in last, and of the picture as a whole where
    /// the rule is about that.
    pub(super) fn explain(&self, observation: &Observation<'_>, explanations: &mut Vec<Explanation>) {
        let Self { duty, filter, condition, episodes, .. } = self;
        let question = Question { observation, filter, episodes };
        let resting = || duty.resting().map(|schedule| Verdict::Resting { schedule: schedule.clone() });
        let rule = episodes.rule();
        for track in observation.tracks {
            let about = About::from(track);
            let verdict = resting().or_else(|| episodes.fired(about)).or_else(|| filter.unconcerned(track));
            let verdict = verdict.unwrap_or_else(|| condition.explain(track, &question));
            explanations.push(Explanation { rule: rule.clone(), about, label: Some(track.label.clone()), verdict });
        }
        if let Some(verdict) = condition.explain_picture(&question) {
            let verdict = resting().or_else(|| episodes.fired(About::Picture)).unwrap_or(verdict);
            explanations.push(Explanation { rule: rule.clone(), about: About::Picture, label: None, verdict });
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn number<S: Serializer>(id: &TrackId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(id.0)
}

/// In seconds, to a millisecond.
fn seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((span.as_secs_f64() * 1000.0).round() / 1000.0)
}
