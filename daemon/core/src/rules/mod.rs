//! Rules: pure state machines from observations to findings.
//!
//! A camera's rules see every picture's tracks once, in order ([`CameraRules::observe`]); those about the whole scene see
//! what its key frames are fit for, and what in them was never there ([`SceneRules::observe`]); those about the stream see when its
//! last picture came ([`StreamRules::observe`]). Each rule watches for one condition and tells of it in *episodes*: an episode begins when the condition has held long enough, grows when
//! further things join it, and ends when the condition has been over for a while. What holds for every rule:
//!
//! - A track is told of once in an episode, however long it stays: a parked car does not alarm again.
//! - `Began` comes first, `Ended` last and exactly once; `Grew` at most every few seconds in between.
//! - Time is the pictures' own time, so a replay tells the same findings as the live camera did.
//!
//! # Whether a condition holds
//!
//! Beside what they tell by themselves, rules can be asked of the last picture ([`CameraRules::holds`]), as a verification
//! does. What the picture shows decides; `linger` and `cool_down` keep an episode open for longer than that.
//!
//! | rule | its condition holds |
//! |---|---|
//! | `intrusion`, `loitering` | a thing that counts is inside the zone, and was told of already or has been there for `for` |
//! | `count` | more things than the limit, or denser, are inside for `for`; of what was told of already, more than `end_limit`, or denser than `end_density`, are left |
//! | `stationary` | a thing that has come stands still inside the zone, and was told of already or has stood there for `for` |
//! | `wrong_way` | a thing inside the zone goes the wrong way, and was told of already or has done so for `for` |
//! | `speed` | a thing inside the zone is too fast, and was told of already or has been so for `for` |
//! | `absence` | fewer things than enough are inside, and that was told of already or has been so for `for` |
//! | `line_crossing` | in the very picture in which a crossing is complete: it is over as soon as it is told |
//! | `tamper` | what counts holds, by [`crate::scene`], and was told of already or has been so for `for` |
//! | `anomaly` | an unknown thing that counts is to be seen in the very picture, and was told of already or has been there for `for` |
//! | `offline` | no picture has come for longer than the stream may stall, and that was told of already or has been so for `for` |
//!
//! Who asks may not have the time that `for` demands; then the patience it brings is enough. A heap that is to be told
//! of after ten minutes persists if it has lain there for half a verification.

mod absence;
mod count;
mod count_limits;
pub(crate) mod duty;
mod episode;
pub mod explain;
mod line;
mod scene_rules;
pub mod spec;
mod speed;
mod stationary;
mod stay;
mod stream_rules;
mod succession;
mod wrong_way;

use std::{fmt, time::Duration};

use self::{
    absence::AbsenceRule,
    count::CountRule,
    duty::Duty,
    episode::Episodes,
    explain::{Explanation, Question, Verdict},
    line::LineRule,
    spec::{LineSpec, RuleKind, RuleSpec, ZoneSpec},
    speed::SpeedRule,
    stationary::StationaryRule,
    stay::StayRule,
    succession::{Definition, Followed, succeed},
    wrong_way::WrongWayRule,
};
use crate::{
    geometry::{GroundPlaneError, Rect, Segment},
    ids::Id,
    observation::{Label, Observation, Track, TrackId},
    scene,
    schedule::Schedules,
    time::{Moment, Mono},
};

pub use self::{
    count_limits::{CountLimits, CountLimitsError},
    scene_rules::{SceneObservation, SceneRules},
    stream_rules::StreamRules,
};

/// Something a rule has to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule's id.
    pub rule: Id,
    /// Which episode of this rule; counted from 1 since the rules were made.
    pub episode: u64,
    /// When, in the pictures' time.
    pub at: Mono,
    /// What happened.
    pub change: Change,
    /// The episode so far.
    pub tally: Tally,
    /// The things the episode began with, where they are in this picture; empty later on.
    pub subjects: Vec<Subject>,
}

/// What happened to an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The condition has held long enough.
    Began,
    /// More things joined.
    Grew,
    /// The condition has been over for a while.
    Ended,
}

impl Change {
    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Grew => "grew",
            Self::Ended => "ended",
        }
    }
}

/// An episode in figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tally {
    /// Things that took part.
    pub things: u32,
    /// The most of them at once.
    pub peak: u32,
    /// Crossings from the left-hand side to the right-hand side of the line.
    pub left_to_right: u32,
    /// Crossings from the right-hand side to the left-hand side of the line.
    pub right_to_left: u32,
    /// Best score of any thing that took part, 0..1.
    pub score: f32,
    /// What is wrong with the camera, if the rule is about that.
    pub condition: Option<scene::Condition>,
    /// The greatest height of any thing that took part, as a share of the frame's, if the rule is about things that are followed.
    pub height: Option<f32>,
    /// The highest speed of any thing that took part, in kilometres per hour, if the rule is about that.
    pub speed: Option<f32>,
    /// The most things on a square metre at once, if the rule is about that.
    pub density: Option<f32>,
    /// When the condition began to hold.
    pub since: Mono,
    /// When the condition was last seen to hold.
    pub last_seen: Mono,
}

impl Tally {
    /// An episode whose condition began then and was last seen to hold then; nothing has taken part yet.
    pub const fn new(since: Mono, last_seen: Mono) -> Self {
        Self {
            things: 0,
            peak: 0,
            left_to_right: 0,
            right_to_left: 0,
            score: 0.0,
            condition: None,
            height: None,
            speed: None,
            density: None,
            since,
            last_seen,
        }
    }
}

/// One thing a finding is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// What it is.
    pub label: Label,
    /// Where it is, in fractions of the frame.
    pub rect: Rect,
    /// Its track, if it is followed.
    pub track: Option<TrackId>,
}

impl From<&Track> for Subject {
    fn from(track: &Track) -> Self {
        Self { label: track.label.clone(), rect: track.rect, track: Some(track.id) }
    }
}

/// Why rules cannot be made: something they refer to is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: there is no {what} {missing}")]
pub struct MissingReference {
    /// The rule's id.
    pub rule: Id,
    /// "zone", "line" or "schedule".
    pub what: &'static str,
    /// The id it names.
    pub missing: Id,
}

/// Why a camera's rules cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// Something that a rule refers to is not there.
    #[error(transparent)]
    Missing(#[from] MissingReference),
    /// The zone in which a rule measures cannot be measured.
    #[error("rule {rule}: zone {zone}: {source}")]
    Unmeasurable {
        /// The rule's id.
        rule: Id,
        /// The zone's.
        zone: Id,
        /// Why.
        source: GroundPlaneError,
    },
    /// What it says of too many makes no limits.
    #[error("rule {rule}: {source}")]
    Limits {
        /// The rule's id.
        rule: Id,
        /// Why.
        source: CountLimitsError,
    },
}

/// All rules of one camera about things in its pictures, with their state.
#[derive(Debug, Default)]
pub struct CameraRules {
    rules: Vec<Rule>,
}

impl CameraRules {
    /// Rules that have seen nothing yet; those about the whole scene or the stream are passed over.
    ///
    /// # Errors
    /// The first rule that names a zone, line or schedule which is not there, or measures in a zone that cannot be measured.
    pub fn new(
        zones: &[ZoneSpec],
        lines: &[LineSpec],
        schedules: &Schedules,
        rules: &[RuleSpec],
    ) -> Result<Self, RuleError> {
        let rules = rules.iter().filter_map(|rule| Rule::new(zones, lines, schedules, rule).transpose());
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// From now on others are followed. A rule that is the same among them, its zone or line and its schedule included, keeps
    /// its state; what is under way of the rest ends at once.
    pub fn succeed(&mut self, successors: Self, at: Mono, findings: &mut Vec<Finding>) {
        succeed(&mut self.rules, successors.rules, at, findings);
    }

    /// From now on it is this time: rules watch or rest by their schedules. Until it is told, all of them watch.
    pub fn it_is(&mut self, now: Moment) {
        self.rules.iter_mut().for_each(|rule| rule.duty.it_is(now));
    }

    /// Whether any of them rests at times.
    pub fn keeps_hours(&self) -> bool {
        self.rules.iter().any(|rule| rule.duty.is_part_time())
    }

    /// Takes in one picture and appends what there is to tell.
    pub fn observe(&mut self, observation: &Observation<'_>, findings: &mut Vec<Finding>) {
        for rule in &mut self.rules {
            rule.observe(observation, findings);
        }
    }

    /// Time has passed without pictures: conditions that nobody could see end after their `linger` as if seen over. Nobody
    /// is missing because nobody looks: an absence ends likewise, and one that was not told of yet begins anew.
    pub fn lapse(&mut self, at: Mono, findings: &mut Vec<Finding>) {
        for rule in &mut self.rules {
            rule.lapse(at, findings);
        }
    }

    /// Whether the condition of a rule holds in the last picture; what must last for longer than `patience` need last no
    /// longer. `None` if there is no such rule, or it rests by its schedule.
    pub fn holds(&self, rule: &Id, patience: Duration) -> Option<bool> {
        let rule = self.rules.iter().find(|known| known.episodes.rule() == rule)?;
        rule.duty.is_on().then(|| rule.holds(patience))
    }

    /// Appends what each rule has to say of each track of a picture, which is the one taken in last.
    pub fn explain(&self, observation: &Observation<'_>, explanations: &mut Vec<Explanation>) {
        self.rules.iter().for_each(|rule| rule.explain(observation, explanations));
    }

    /// Whether any episode is under way.
    pub fn is_active(&self) -> bool {
        self.rules.iter().any(|rule| !rule.episodes.is_empty())
    }

    /// Whether a rule must be shown pictures in which nothing moves and nothing is followed.
    pub fn needs_still_pictures(&self) -> bool {
        self.rules.iter().any(|rule| rule.condition.needs_still_pictures())
    }
}

#[derive(Debug)]
struct Rule {
    definition: Definition,
    duty: Duty,
    filter: Filter,
    condition: Box<dyn Condition>,
    episodes: Episodes,
    /// When the last picture was taken.
    last: Option<Mono>,
}

/// What one kind of rule watches for.
trait Condition: fmt::Debug + Send {
    /// Takes in one picture: raises alarms with `episodes` and releases them.
    fn observe(
        &mut self,
        observation: &Observation<'_>,
        filter: &Filter,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    );

    /// Takes in that nobody could see: where nothing is seen nothing holds.
    fn lapse(&mut self, at: Mono, filter: &Filter, episodes: &mut Episodes, findings: &mut Vec<Finding>) {
        self.observe(&Observation { picture: 0, at, tracks: &[] }, filter, episodes, findings);
    }

    /// Whether the condition holds in the last picture taken in, which is of this time. What must last for longer than
    /// `patience` need last no longer.
    fn holds(&self, at: Mono, patience: Duration) -> bool;

    /// What there is to say of a track of the picture taken in last. It is of the kind and size looked for, and not told of in
    /// this very picture.
    fn explain(&self, track: &Track, question: &Question<'_>) -> Verdict;

    /// What there is to say of that picture as a whole, if the rule is about that.
    fn explain_picture(&self, _: &Question<'_>) -> Option<Verdict> {
        None
    }

    /// Whether it must be shown pictures in which nothing moves and nothing is followed.
    fn needs_still_pictures(&self) -> bool {
        false
    }
}

impl Rule {
    /// `None` if it is no rule about things.
    fn new(
        zones: &[ZoneSpec],
        lines: &[LineSpec],
        schedules: &Schedules,
        spec: &RuleSpec,
    ) -> Result<Option<Self>, RuleError> {
        let zone = |id: &Id| spec.zone(zones, id).cloned();
        let (hold, linger) = (spec.hold().0, spec.linger.0);
        let mut definition =
            Definition { spec: spec.clone(), polygon: spec.kind.zone().map(|id| zone(id)).transpose()?, line: None };
        let condition: Box<dyn Condition> = match &spec.kind {
            RuleKind::Intrusion(keys) => Box::new(StayRule::new(zone(&keys.zone)?, keys.include_parked, hold, linger)),
            RuleKind::Loitering(keys) => Box::new(StayRule::new(zone(&keys.zone)?, keys.include_parked, hold, linger)),
            RuleKind::Count(keys) => {
                let polygon = zone(&keys.zone)?;
                let rule = || spec.id.value.clone();
                let limits = keys.limits(&polygon).map_err(|source| RuleError::Limits { rule: rule(), source })?;
                Box::new(CountRule::new(polygon, limits, hold, linger))
            }
            RuleKind::LineCrossing(keys) => {
                let line = lines.iter().find(|line| line.id.value == keys.line.value);
                let line = line.ok_or_else(|| MissingReference {
                    rule: spec.id.value.clone(),
                    what: "line",
                    missing: keys.line.value.clone(),
                })?;
                let line = Segment { start: line.start, end: line.end.value };
                definition.line = Some(line);
                Box::new(LineRule::new(line, keys.direction))
            }
            RuleKind::Stationary(keys) => Box::new(StationaryRule::new(zone(&keys.zone)?, keys, hold, linger)),
            RuleKind::WrongWay(keys) => Box::new(WrongWayRule::new(zone(&keys.zone)?, keys, hold)),
            RuleKind::Absence(keys) => Box::new(AbsenceRule::new(zone(&keys.zone)?, keys, hold, linger)),
            RuleKind::Speed(keys) => {
                let polygon = zone(&keys.zone)?;
                let ground = keys.ground(&polygon).map_err(|source| RuleError::Unmeasurable {
                    rule: spec.id.value.clone(),
                    zone: keys.zone.value.clone(),
                    source,
                })?;
                Box::new(SpeedRule::new(polygon, ground, keys.above.0, hold, linger))
            }
            RuleKind::Tamper(_) | RuleKind::Anomaly(_) | RuleKind::Offline(_) => return Ok(None),
        };
        let episodes = Episodes::new(spec.id.value.clone(), spec.cool_down.0, linger);
        let duty = Duty::new(&spec.id, spec.schedule.as_ref(), schedules)?;
        Ok(Some(Self { definition, duty, filter: Filter::new(spec), condition, episodes, last: None }))
    }

    fn observe(&mut self, observation: &Observation<'_>, findings: &mut Vec<Finding>) {
        if !self.duty.is_on() {
            return self.lapse(observation.at, findings);
        }
        self.episodes.next_picture();
        self.condition.observe(observation, &self.filter, &mut self.episodes, findings);
        self.episodes.settle(observation.at, findings);
        self.last = Some(observation.at);
    }

    fn lapse(&mut self, at: Mono, findings: &mut Vec<Finding>) {
        self.episodes.next_picture();
        self.condition.lapse(at, &self.filter, &mut self.episodes, findings);
        self.episodes.settle(at, findings);
        self.last = Some(at);
    }

    fn holds(&self, patience: Duration) -> bool {
        self.last.is_some_and(|at| self.condition.holds(at, patience))
    }
}

impl Followed for Rule {
    fn definition(&self) -> (&Definition, &Duty) {
        (&self.definition, &self.duty)
    }

    fn episodes(&mut self) -> &mut Episodes {
        &mut self.episodes
    }
}

/// Which tracks a rule looks at.
#[derive(Debug)]
struct Filter {
    labels: Vec<Label>,
    min_score: f32,
    min_height: f32,
}

impl Filter {
    fn new(spec: &RuleSpec) -> Self {
        Self {
            labels: spec.labels.iter().map(|label| label.as_str().into()).collect(),
            min_score: spec.min_score.value.0,
            min_height: spec.min_height.value.0,
        }
    }

    /// Whether this is a thing of the kind and size looked for, however sure the model is of it just now.
    fn concerns(&self, track: &Track) -> bool {
        self.labels.contains(&track.label) && track.rect.height >= self.min_height
    }

    /// Whether it counts as of this picture: of the kind looked for, and the model is sure enough.
    fn admits(&self, track: &Track) -> bool {
        self.concerns(track) && track.score >= self.min_score
    }
}

#[cfg(test)]
pub(crate) mod tests;
