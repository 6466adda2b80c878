//! Rules of sensors: pure state machines from readings to alarms.
//!
//! A sensor's rules hear every reading once, in the order of arrival ([`SensorRules::hear`]), and are asked the time now and
//! then ([`SensorRules::tick`]), because silence says nothing by itself and a condition may have held long enough with nothing
//! new to hear. As with cameras a rule tells of its condition in *episodes*: `Began` first, `Ended` last and exactly once,
//! `Grew` in between.
//!
//! - A value that [does not count](super::reading::Verdict::counts) neither begins nor ends anything. It breaks silence.
//! - A pressed button is told of at once, whatever the device's clock says: `for` does not hold it back, and each further press while the incident is open is
//!   a `Grew` of its own.
//! - A rule that rests by its schedule hears nothing: what it has told of ends after its `linger`, and nothing of that time
//!   counts when its hours begin, neither a value nor silence.
//! - Time is that of arrival; a recording tells the same alarms as the live sensor did.
//!
//! # Whether a condition holds
//!
//! Beside what they tell by themselves, rules can be asked what is [known](SensorRules::known) of their condition, as a
//! verification does, and when that was learnt. What was heard decides; `for`, `linger` and `cool_down` do not matter.
//!
//! | rule | its condition holds | it does not | learnt |
//! |---|---|---|---|
//! | `threshold` | the value is beyond the limit or, once it was, not yet back behind the hysteresis | else | with each value that counts |
//! | `change` | the change within its while is too great | else | with each value that counts |
//! | `anomaly` | the score is high, or the run of ordinary readings that ends it is not complete | else | with each score |
//! | `silence` | nothing has been heard for so long | something is heard | as time passes; with anything heard |
//! | `button` | it is pressed | it is let go | with each message: of a button that sends nothing when it is let go nothing can be known but that it was pressed again |

pub mod spec;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use self::spec::{AnomalyRuleSpec, ButtonSpec, ChangeSpec, SensorRuleKind, SensorRuleSpec, SilenceSpec, ThresholdSpec};
use super::reading::{Verdict, tidy};
use crate::{
    ids::Id,
    rules::{Change, MissingReference, duty::Duty},
    schedule::Schedules,
    time::{Moment, Mono},
};

/// The most values a change rule remembers; more within its while are thinned.
const REMEMBERED: usize = 512;

/// What rules are told of a reading.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// What was measured.
    pub quantity: &'a Id,
    /// The value, in the reported unit.
    pub value: f64,
    /// Whether it can be relied upon.
    pub verdict: Verdict,
    /// How unlike what the sensor has shown before it is, 0..1, where that is watched.
    pub score: Option<f64>,
    /// When it arrived.
    pub at: Mono,
}

/// Something a rule of a sensor has to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The rule.
    pub rule: Id,
    /// The quantity it watches.
    pub quantity: Id,
    /// Which episode of this rule; counted from 1 since the rules were made.
    pub episode: u64,
    /// When.
    pub at: Mono,
    /// What happened.
    pub change: Change,
    /// The episode so far.
    pub tally: AlarmTally,
}

/// An episode of a sensor in figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmTally {
    /// The last value that counted; none for silence that followed nothing.
    pub value: Option<f64>,
    /// The value that was furthest beyond: the highest above a limit, the lowest below one, the greatest change.
    pub extreme: Option<f64>,
    /// Readings in which the condition held; presses of a button.
    pub count: u32,
    /// The highest anomaly score, 0..1; 0 where that is not watched.
    pub score: f64,
    /// When the condition began to hold.
    pub since: Mono,
    /// When it was last known to hold.
    pub last_seen: Mono,
}

/// What is known of a rule's condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Since when: what was heard then says it.
    pub at: Mono,
    /// Whether it holds.
    pub holds: bool,
}

/// All rules of one sensor, with their state.
#[derive(Debug, Default)]
pub struct SensorRules {
    rules: Vec<Rule>,
}

impl SensorRules {
    /// Rules that have heard nothing yet; silence is counted from `now` on.
    ///
    /// # Errors
    /// The first rule that names a schedule which is not there.
    pub fn new<'a>(
        rules: impl IntoIterator<Item = &'a SensorRuleSpec>,
        schedules: &Schedules,
        now: Mono,
    ) -> Result<Self, MissingReference> {
        let rules = rules.into_iter().map(|spec| Rule::new(spec, schedules, now));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// From now on it is this time: rules watch or rest by their schedules. Until it is told, all of them watch.
    pub fn it_is(&mut self, now: Moment) {
        self.rules.iter_mut().for_each(|rule| rule.duty.it_is(now));
    }

    /// From now on others are followed. A rule that is the same among them keeps its state; what is under way of the rest ends
    /// at once.
    pub fn succeed(&mut self, successors: Self, at: Mono, alarms: &mut Vec<Alarm>) {
        let mut before = std::mem::take(&mut self.rules);
        let goes_on = |successor: Rule| match before.iter().position(|rule| rule.is_same(&successor)) {
            Some(place) => before.swap_remove(place),
            None => successor,
        };
        self.rules = successors.rules.into_iter().map(goes_on).collect();
        end(&before, at, alarms);
    }

    /// Those of a quantity are followed no more: what is under way of them ends at once.
    pub fn close(&mut self, quantity: &Id, at: Mono, alarms: &mut Vec<Alarm>) {
        let closed: Vec<Rule> = self.rules.extract_if(.., |rule| rule.quantity == *quantity).collect();
        end(&closed, at, alarms);
    }

    /// Takes in one reading and appends what there is to tell.
    pub fn hear(&mut self, heard: &Heard<'_>, alarms: &mut Vec<Alarm>) {
        for rule in self.rules.iter_mut().filter(|rule| rule.quantity == *heard.quantity) {
            rule.hear(heard, alarms);
        }
    }

    /// It is `now`, and nothing was heard.
    pub fn tick(&mut self, now: Mono, alarms: &mut Vec<Alarm>) {
        for rule in &mut self.rules {
            rule.tick(now, alarms);
        }
    }

    /// What is known of the condition of a rule. `None` if there is no such rule, it rests by its schedule, or nothing was heard
    /// that says anything about it.
    pub fn known(&self, rule: &Id) -> Option<Known> {
        self.rules.iter().find(|known| known.id == *rule).and_then(|rule| rule.known)
    }

    /// Whether any episode is under way.
    pub fn is_active(&self) -> bool {
        self.rules.iter().any(|rule| rule.open.is_some())
    }
}

/// Tells that what is under way of these rules is over.
fn end(rules: &[Rule], at: Mono, alarms: &mut Vec<Alarm>) {
    alarms.extend(rules.iter().filter(|rule| rule.open.is_some()).map(|rule| rule.alarm(Change::Ended, at)));
}

#[derive(Debug)]
struct Rule {
    /// What it was made of.
    spec: SensorRuleSpec,
    id: Id,
    quantity: Id,
    duty: Duty,
    hold: Duration,
    linger: Duration,
    cool_down: Duration,
    condition: Condition,
    /// The condition as it stands, if it holds or has only just been over.
    holding: Option<Holding>,
    /// The episode that was told of, since when.
    open: Option<Mono>,
    episodes: u64,
    value: Option<f64>,
    known: Option<Known>,
}

/// A condition that holds, or has held a moment ago.
#[derive(Debug)]
struct Holding {
    tally: AlarmTally,
    /// The extreme that was last told.
    told: Option<f64>,
    /// Since when it has been over.
    over_since: Option<Mono>,
}

impl Holding {
    fn new(since: Mono, value: Option<f64>) -> Self {
        let tally = AlarmTally { value, extreme: None, count: 0, score: 0.0, since, last_seen: since };
        Self { tally, told: None, over_since: None }
    }
}

impl Rule {
    fn new(spec: &SensorRuleSpec, schedules: &Schedules, now: Mono) -> Result<Self, MissingReference> {
        let hold = match spec.kind {
            SensorRuleKind::Button(_) => Duration::ZERO,
            _ => spec.r#for.0,
        };
        Ok(Self {
            spec: spec.clone(),
            id: spec.id.value.clone(),
            quantity: spec.quantity.value.clone(),
            duty: Duty::new(&spec.id, spec.schedule.as_ref(), schedules)?,
            hold,
            linger: spec.linger.0,
            cool_down: spec.cool_down.0,
            condition: Condition::new(&spec.kind, now),
            holding: None,
            open: None,
            episodes: 0,
            value: None,
            known: None,
        })
    }

    /// Whether another one watches for the same at the same hours.
    fn is_same(&self, other: &Self) -> bool {
        self.spec == other.spec && self.duty.has_the_hours_of(&other.duty)
    }

    fn hear(&mut self, heard: &Heard<'_>, alarms: &mut Vec<Alarm>) {
        // What came before is settled by the time it had until now.
        self.tick(heard.at, alarms);
        if !self.duty.is_on() {
            return;
        }
        let counts = match self.condition {
            Condition::Button { .. } => heard.verdict.tells_of_a_press(),
            _ => heard.verdict.counts(),
        };
        if counts {
            self.value = Some(heard.value);
        }
        let stage = match (&self.holding, self.open) {
            (None, _) => Stage::Not,
            (Some(_), None) => Stage::NotForLong,
            (Some(_), Some(_)) => Stage::Told,
        };
        let sign = self.condition.hear(heard, counts, stage);
        if let Some(holds) = sign.holds() {
            self.known = Some(Known { at: heard.at, holds });
        }
        match sign {
            Sign::Nothing | Sign::GoesOn => {}
            Sign::Over => self.over(heard.at),
            Sign::Holds { extreme, moment } => self.holds(heard, extreme, moment, alarms),
        }
        self.tick(heard.at, alarms);
    }

    fn tick(&mut self, now: Mono, alarms: &mut Vec<Alarm>) {
        if !self.duty.is_on() {
            self.condition.begin_anew(now);
            (self.value, self.known) = (None, None);
            self.over(now);
        } else if let Some(since) = self.condition.silent_since(now) {
            let holding = self.holding.get_or_insert_with(|| Holding::new(since, self.value));
            (holding.tally.last_seen, holding.over_since) = (now, None);
            self.known = Some(Known { at: now, holds: true });
        }
        self.begin_if_due(now, alarms);
        self.end_if_due(now, alarms);
    }

    fn holds(&mut self, heard: &Heard<'_>, extreme: Extreme, moment: bool, alarms: &mut Vec<Alarm>) {
        let holding = self.holding.get_or_insert_with(|| Holding::new(heard.at, None));
        holding.over_since = moment.then_some(heard.at);
        let tally = &mut holding.tally;
        let further = match (extreme, tally.extreme) {
            (Extreme::Highest(value), Some(before)) => value.max(before),
            (Extreme::Lowest(value), Some(before)) => value.min(before),
            (Extreme::Highest(value) | Extreme::Lowest(value), None) => value,
        };
        tally.value = Some(heard.value);
        tally.count = tally.count.saturating_add(1);
        tally.score = tally.score.max(heard.score.unwrap_or(0.0));
        tally.last_seen = heard.at;
        tally.extreme = Some(further);
        let grew = moment || holding.told.is_some_and(|told| is_much_further(told, further));
        if grew && self.open.is_some() {
            holding.told = Some(further);
            alarms.push(self.alarm(Change::Grew, heard.at));
        }
    }

    fn over(&mut self, at: Mono) {
        match (&mut self.holding, self.open) {
            // It has not held for long enough.
            (Some(_), None) => self.holding = None,
            (Some(holding), Some(_)) => {
                holding.over_since.get_or_insert(at);
            }
            (None, _) => {}
        }
    }

    fn begin_if_due(&mut self, now: Mono, alarms: &mut Vec<Alarm>) {
        let Some(holding) = &mut self.holding else { return };
        if self.open.is_none() && now.since(holding.tally.since) >= self.hold {
            holding.told = holding.tally.extreme;
            self.open = Some(now);
            self.episodes += 1;
            alarms.push(self.alarm(Change::Began, now));
        }
    }

    fn end_if_due(&mut self, now: Mono, alarms: &mut Vec<Alarm>) {
        let (Some(opened), Some(over_since)) = (self.open, self.holding.as_ref().and_then(|it| it.over_since)) else {
            return;
        };
        if now.since(over_since) >= self.linger && now.since(opened) >= self.cool_down {
            alarms.push(self.alarm(Change::Ended, now));
            (self.open, self.holding) = (None, None);
        }
    }

    fn alarm(&self, change: Change, at: Mono) -> Alarm {
        let nothing = AlarmTally { value: self.value, extreme: None, count: 0, score: 0.0, since: at, last_seen: at };
        let tally = self.holding.as_ref().map_or(nothing, |holding| holding.tally);
        Alarm { rule: self.id.clone(), quantity: self.quantity.clone(), episode: self.episodes, at, change, tally }
    }
}

/// A new extreme is worth telling when it is a tenth further than the last one told of.
fn is_much_further(before: f64, now: f64) -> bool {
    (now - before).abs() > 0.1 * before.abs()
}

/// How things stand with a condition before a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It does not hold.
    Not,
    /// It holds, but not for long enough.
    NotForLong,
    /// It has been told of, and is not over.
    Told,
}

/// What a reading says about a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    /// Nothing.
    Nothing,
    /// It holds as before, and there is nothing new about it.
    GoesOn,
    /// It does not hold.
    Over,
    /// It holds; `moment`: for this moment only, and people must be told of it each time.
    Holds { extreme: Extreme, moment: bool },
}

/// A value, and which way is worse.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Extreme {
    Highest(f64),
    Lowest(f64),
}

impl Sign {
    /// Whether it holds, if the reading says anything about it.
    fn holds(self) -> Option<bool> {
        match self {
            Self::Nothing => None,
            Self::Over => Some(false),
            Self::GoesOn | Self::Holds { .. } => Some(true),
        }
    }

    fn when(holds: bool, extreme: Extreme) -> Self {
        if holds { Self::Holds { extreme, moment: false } } else { Self::Over }
    }
}

#[derive(Debug)]
enum Condition {
    Threshold(ThresholdSpec),
    Change {
        spec: ChangeSpec,
        past: VecDeque<(Mono, f64)>,
    },
    Silence {
        after: Duration,
        last: Mono,
    },
    /// With how many readings, one after the other, have scored less.
    Anomaly {
        spec: AnomalyRuleSpec,
        calm: usize,
    },
    Button {
        spec: ButtonSpec,
        pressed: bool,
    },
}

impl Condition {
    fn new(kind: &SensorRuleKind, now: Mono) -> Self {
        match kind {
            SensorRuleKind::Threshold(spec) => Self::Threshold(spec.clone()),
            SensorRuleKind::Change(spec) => Self::Change { spec: spec.clone(), past: VecDeque::new() },
            SensorRuleKind::Silence(SilenceSpec { after, .. }) => Self::Silence { after: after.0, last: now },
            SensorRuleKind::Anomaly(spec) => Self::Anomaly { spec: spec.clone(), calm: 0 },
            SensorRuleKind::Button(spec) => Self::Button { spec: spec.clone(), pressed: false },
        }
    }

    /// Forgets what it has heard: it counts from `now` on.
    fn begin_anew(&mut self, now: Mono) {
        match self {
            Self::Threshold(_) => {}
            Self::Change { past, .. } => past.clear(),
            Self::Silence { last, .. } => *last = now,
            Self::Anomaly { calm, .. } => *calm = 0,
            Self::Button { pressed, .. } => *pressed = false,
        }
    }

    /// What a reading says. `counts`: its value can be concluded from.
    fn hear(&mut self, heard: &Heard<'_>, counts: bool, stage: Stage) -> Sign {
        if let Self::Silence { last, .. } = self {
            // Whatever is heard breaks the silence.
            *last = heard.at;
            return Sign::Over;
        }
        if !counts {
            return Sign::Nothing;
        }
        match self {
            Self::Threshold(spec) => threshold(spec, heard.value, stage != Stage::Not),
            Self::Change { spec, past } => change(spec, past, heard.at, heard.value),
            Self::Silence { .. } => Sign::Nothing,
            Self::Anomaly { spec, calm } => match heard.score {
                Some(score) => anomaly(spec, calm, score, stage),
                None => Sign::Nothing,
            },
            Self::Button { spec, pressed } => {
                let before = std::mem::replace(pressed, heard.value >= spec.pressed_from.0);
                match *pressed {
                    false => Sign::Over,
                    true if before && !spec.every_message => Sign::GoesOn,
                    true => Sign::Holds { extreme: Extreme::Highest(heard.value), moment: spec.every_message },
                }
            }
        }
    }

    /// Since when nothing has been heard, where that is what it watches for and it has been too long.
    fn silent_since(&self, now: Mono) -> Option<Mono> {
        match self {
            Self::Silence { after, last } if now.since(*last) >= *after => Some(*last),
            _ => None,
        }
    }
}

fn threshold(spec: &ThresholdSpec, value: f64, holds: bool) -> Sign {
    // Once it holds it takes more to be over.
    let back = if holds { spec.hysteresis.0 } else { 0.0 };
    let above = spec.above.is_some_and(|limit| value > limit.0 - back);
    let below = spec.below.is_some_and(|limit| value < limit.0 + back);
    Sign::when(above || below, if below { Extreme::Lowest(value) } else { Extreme::Highest(value) })
}

/// One anomaly is one episode: once told of, it takes a run of ordinary readings to be over. (The *runs* way of telling
/// extreme events apart: S. Coles, *An Introduction to Statistical Modeling of Extreme Values*, 2001, section 5.3.)
fn anomaly(spec: &AnomalyRuleSpec, calm: &mut usize, score: f64, stage: Stage) -> Sign {
    let unusual = score >= f64::from(spec.min_score.0);
    *calm = if unusual { 0 } else { calm.saturating_add(1) };
    match unusual {
        false if stage == Stage::Told && *calm < spec.over_after.get() => Sign::GoesOn,
        _ => Sign::when(unusual, Extreme::Highest(score)),
    }
}

fn change(spec: &ChangeSpec, past: &mut VecDeque<(Mono, f64)>, at: Mono, value: f64) -> Sign {
    while past.front().is_some_and(|(then, _)| at.since(*then) > spec.within.0) {
        past.pop_front();
    }
    let (lowest, highest) =
        past.iter().fold((value, value), |(low, high), (_, then)| (low.min(*then), high.max(*then)));
    if past.len() >= REMEMBERED {
        // Every second one: what is left still spans the while.
        let mut odd = false;
        past.retain(|_| {
            odd = !odd;
            odd
        });
    }
    past.push_back((at, value));
    let (risen, fallen) = (tidy(value - lowest), tidy(highest - value));
    let falls = spec.fall.is_some_and(|most| fallen > most.0);
    let rises = spec.rise.is_some_and(|most| risen > most.0);
    Sign::when(rises || falls, if rises { Extreme::Highest(risen) } else { Extreme::Lowest(-fallen) })
}
