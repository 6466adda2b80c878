//! Joined rules: pure state machines from what the rules of several cameras and sensors tell to what that means together.
//!
//! [`JoinedRules`] hear every beginning and end that rules of cameras and sensors tell once, in order ([`JoinedRules::hear`]),
//! and are asked the time now and then ([`JoinedRules::tick`]), because what counts now does not count for ever. As every rule
//! they tell of their condition in *episodes*: `Began` first, `Ended` last and exactly once, `Grew` at most every few seconds in
//! between.
//!
//! What they join are incidents: that two of them happened near each other, within a while. Nothing that was seen by one camera
//! is held to be the thing that was seen by another; of people, vehicles or things they know nothing.
//!
//! # When a condition holds
//!
//! An input is *met* by each episode of a rule that it listens to, from the moment in which that began until `within` after it
//! ended: what goes on counts however long ago it began, what is over counts for a while.
//!
//! | `when` | the condition holds while |
//! |---|---|
//! | `all` | every input is met |
//! | `any` | one input at least is met |
//! | `at_least` | `count` inputs at least are met |
//! | `sequence` | every input is met, and of what meets them each began no earlier than what meets the input before it |
//!
//! A rule that rests by its schedule goes on hearing: what goes on when its hours begin counts, for it was told by rules with hours
//! of their own.
//!
//! # Where it holds
//!
//! What is tied by place must be near: in one grid (`same = "grid"`), or no further than `within_metres` from one of them. Each
//! such place is a group of rules with a condition, and episodes, of its own. Groups by distance may overlap; then what counts in
//! one group's episode does not count in another group while that lasts, so that one happening is one incident.
//!
//! Memory is bounded: of each rule that is listened to [`REMEMBERED`] episodes are kept, those that ended last before others.

mod group;
mod rule;
pub mod spec;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use self::rule::Rule;
use crate::{
    ids::{Id, IncidentId},
    incidents::Place,
    joined::spec::JoinedRuleSpec,
    rules::{Change, MissingReference},
    schedule::Schedules,
    time::{Moment, Mono},
};

/// The most episodes that are remembered of each rule.
pub const REMEMBERED: usize = 16;
/// The most incidents that one episode names.
pub const MOST_NAMED: usize = 64;

/// A camera or a sensor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// A camera.
    Camera(Id),
    /// A sensor.
    Sensor(Id),
}

/// A rule of a camera or of a sensor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleOf {
    /// Whose rule it is.
    pub device: Device,
    /// The rule's id.
    pub rule: Id,
}

/// A rule that an input listens to, and where what it tells happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Listened {
    /// The rule.
    pub to: RuleOf,
    /// The grid it reports to.
    pub grid: String,
    /// Where the camera or the sensor stands.
    pub place: Option<Place>,
}

/// Something that a rule of a camera or of a sensor has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The rule.
    pub by: RuleOf,
    /// Which episode of it.
    pub episode: u64,
    /// What happened.
    pub change: Change,
    /// When.
    pub at: Mono,
    /// The incident that it is part of.
    pub incident: IncidentId,
}

/// Something a joined rule has to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Coincidence {
    /// The joined rule's id.
    pub rule: Id,
    /// Which episode of this rule; counted from 1 since the rules were made.
    pub episode: u64,
    /// When.
    pub at: Mono,
    /// What happened.
    pub change: Change,
    /// What completed the condition when the episode began: the last that did.
    pub completed_by: Listened,
    /// When the condition began to hold.
    pub since: Mono,
    /// When it was last known to hold.
    pub last_seen: Mono,
    /// The incidents that the episode joins, and the rules that found them, in the order of their joining; at most
    /// [`MOST_NAMED`].
    pub joins: Vec<(IncidentId, RuleOf)>,
}

/// A joined rule, and the rules that each of its inputs listens to.
#[derive(Debug, Clone, PartialEq)]
pub struct Wiring {
    /// The rule.
    pub spec: JoinedRuleSpec,
    /// Of every input, in their order. No rule is listened to by two inputs.
    pub inputs: Vec<Vec<Listened>>,
}

impl Wiring {
    /// Whether there is a place where its condition could ever hold.
    pub fn can_be_met(&self) -> bool {
        !group::groups(self).is_empty()
    }
}

/// All joined rules, with their state.
#[derive(Debug, Default)]
pub struct JoinedRules {
    rules: Vec<Rule>,
    /// Which joined rules listen to a rule, and which of the rules that they listen to it is.
    listeners: HashMap<RuleOf, Vec<(usize, usize)>>,
    now: Mono,
}

impl JoinedRules {
    /// Rules that have heard nothing yet.
    ///
    /// # Errors
    /// The first rule that names a schedule which is not there.
    pub fn new(wirings: impl IntoIterator<Item = Wiring>, schedules: &Schedules) -> Result<Self, MissingReference> {
        let rules: Vec<Rule> =
            wirings.into_iter().map(|wiring| Rule::new(wiring, schedules)).collect::<Result<_, _>>()?;
        let mut listeners: HashMap<_, Vec<_>> = HashMap::new();
        for (number, rule) in rules.iter().enumerate() {
            for (position, listened) in rule.listened().enumerate() {
                listeners.entry(listened.to.clone()).or_default().push((number, position));
            }
        }
        Ok(Self { rules, listeners, now: Mono::default() })
    }

    /// From now on it is this time: rules watch or rest by their schedules. Until it is told, all of them watch.
    pub fn it_is(&mut self, now: Moment) {
        self.rules.iter_mut().for_each(|rule| rule.it_is(now));
    }

    /// Takes in what a rule has told and appends what there is to tell.
    pub fn hear(&mut self, told: &Told, coincidences: &mut Vec<Coincidence>) {
        self.now = self.now.max(told.at);
        for &(number, position) in self.listeners.get(&told.by).into_iter().flatten() {
            self.rules[number].hear(position, told);
            self.rules[number].settle(self.now, coincidences);
        }
    }

    /// It is `now`, and nothing was told.
    pub fn tick(&mut self, now: Mono, coincidences: &mut Vec<Coincidence>) {
        self.now = self.now.max(now);
        self.rules.iter_mut().for_each(|rule| rule.settle(self.now, coincidences));
    }

    /// Puts other rules in the place of these. Those that are the same as before go on with what they have heard; what is under
    /// way of the others ends.
    pub fn replace(&mut self, new: Self, coincidences: &mut Vec<Coincidence>) {
        let now = self.now;
        let old = std::mem::replace(self, Self { now, ..new });
        let mut old: BTreeMap<Id, Rule> = old.rules.into_iter().map(|rule| (rule.id().clone(), rule)).collect();
        for rule in &mut self.rules {
            if let Some(before) = old.remove(rule.id()) {
                rule.take_over(before, now, coincidences);
            }
        }
        old.into_values().for_each(|mut rule| rule.end(now, coincidences));
    }
}
