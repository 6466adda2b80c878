//! What people's judgement of incidents says about the rule that found them: how many were false alarms, and which threshold
//! would have kept most of them away. Pure; it suggests and changes nothing.
//!
//! # What counts
//! An incident is a *false alarm* where people rejected it as one, and *true* where they took it further in any other way. Those
//! that nobody has judged count neither way, and neither do those that the rule's present thresholds would not let through any
//! more ([`Review::outgrown`]).
//!
//! # The choice
//! For each threshold of the rule every value is tried that would have kept one of the false alarms away. Of those that lose no
//! more than the allowed share of the true incidents, rounded down, the one is chosen that keeps most false alarms away; among
//! equals the one that loses fewer true ones; among those the least change; and at last the first of [`limits`]. Of a rule with
//! fewer than [`LEAST_JUDGED`] judged incidents, or fewer than [`LEAST_OF_EACH`] of either kind, nothing is suggested.
//!
//! A threshold is held against what the incident itself carries: its best score, the greatest height of its things, how long its
//! condition held, its worst value. An incident that does not carry it is taken to come through. Of several things in one
//! incident the best decides, so a threshold is never thought to keep away more than it would; what the rule would have found
//! later in the place of what it is kept from cannot be known.

#[cfg(test)]
mod tests;

use serde::{Serialize, Serializer};

use crate::{
    incidents::{Handling, Incident},
    rules::spec::{RuleKind, RuleSpec},
    sensor::rules::spec::{SensorRuleKind, SensorRuleSpec},
    spec::{Fraction, TimeSpan},
};

/// The fewest judged incidents that say anything.
pub const LEAST_JUDGED: usize = 20;
/// The fewest true incidents, and the fewest false alarms, likewise.
pub const LEAST_OF_EACH: usize = 5;

/// A setting of a rule that decides what comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// The least score.
    MinScore,
    /// The least height, as a share of the frame's.
    MinHeight,
    /// How long the condition must hold, in seconds.
    For,
    /// The value that must be exceeded.
    Above,
    /// The value that the measure must fall short of.
    Below,
}

impl Threshold {
    /// The key in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MinScore => "min_score",
            Self::MinHeight => "min_height",
            Self::For => "for",
            Self::Above => "above",
            Self::Below => "below",
        }
    }

    /// A value as the configuration has it.
    pub fn written(self, value: f64) -> String {
        match self {
            Self::For => format!("\"{}\"", TimeSpan::millis((value * 1000.0).round() as u64)),
            _ => format!("{value:?}"),
        }
    }

    /// What an incident carries that it is held against.
    fn of(self, incident: &Incident) -> Option<f64> {
        match self {
            Self::MinScore => Some(decimal(incident.score)),
            Self::MinHeight => incident.origin.camera()?.height.map(decimal),
            // What came again and joined has gaps.
            Self::For if incident.recurrences > 0 => None,
            Self::For => Some(incident.last_seen.mono.since(incident.began.mono).as_secs_f64()),
            Self::Above | Self::Below => incident.origin.sensor()?.measure.extreme,
        }
    }

    /// Whether an incident with this value is kept away by the threshold `at`.
    fn keeps_away(self, value: f64, at: f64) -> bool {
        match self {
            Self::MinScore | Self::MinHeight | Self::For => value < at,
            Self::Above => value <= at,
            Self::Below => value >= at,
        }
    }

    /// The mildest threshold, as round as people write them, that keeps this value away; `None` where there is none.
    fn against(self, value: f64) -> Option<f64> {
        let step = match self {
            Self::MinScore => 0.01,
            Self::MinHeight => 0.005,
            Self::For if value < 10.0 => 0.1,
            Self::For => 1.0,
            Self::Above | Self::Below => return Some(value),
        };
        let next = |steps: f64| (steps * step * 1000.0).round() / 1000.0;
        let steps = (value / step).floor() + 1.0;
        // What is divided may come out a little too small.
        let against = if next(steps) > value { next(steps) } else { next(steps + 1.0) };
        (against <= 1.0 || self == Self::For).then_some(against)
    }
}

/// A share as it was written: an f32 has more digits as an f64.
fn decimal(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

/// A threshold of a rule as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Which.
    pub threshold: Threshold,
    /// Its value.
    pub now: f64,
}

/// The thresholds of a camera's rule that incidents can be held against.
pub fn limits(rule: &RuleSpec) -> Vec<Limit> {
    let hold = Limit { threshold: Threshold::For, now: rule.hold().0.as_secs_f64() };
    let score = Limit { threshold: Threshold::MinScore, now: decimal(rule.min_score.value.0) };
    let height = Limit { threshold: Threshold::MinHeight, now: decimal(rule.min_height.value.0) };
    match rule.kind {
        RuleKind::Intrusion(_) | RuleKind::Loitering(_) | RuleKind::Count(_) | RuleKind::Stationary(_) => {
            vec![score, height, hold]
        }
        // They ask whether the model was ever sure of the thing; the incident carries how sure it was in that moment.
        RuleKind::WrongWay(_) | RuleKind::Speed(_) => vec![height, hold],
        RuleKind::LineCrossing(_) => vec![height],
        RuleKind::Absence(_) | RuleKind::Tamper(_) | RuleKind::Anomaly(_) | RuleKind::Offline(_) => vec![hold],
    }
}

/// The thresholds of a sensor's rule that incidents can be held against: none of one without a limit.
pub fn sensor_limits(rule: &SensorRuleSpec) -> Vec<Limit> {
    let hold = Limit { threshold: Threshold::For, now: rule.r#for.0.as_secs_f64() };
    match &rule.kind {
        SensorRuleKind::Threshold(keys) => match (keys.above.0, keys.below.0) {
            (Some(above), None) => vec![Limit { threshold: Threshold::Above, now: above.0 }, hold],
            (None, Some(below)) => vec![Limit { threshold: Threshold::Below, now: below.0 }, hold],
            // Which of them an incident is of is not known.
            _ => vec![hold],
        },
        SensorRuleKind::Anomaly(keys) => {
            let Fraction(min_score) = keys.min_score;
            vec![Limit { threshold: Threshold::MinScore, now: decimal(min_score) }]
        }
        SensorRuleKind::Change(_) | SensorRuleKind::Silence(_) | SensorRuleKind::Button(_) => Vec::new(),
    }
}

/// What is known of one incident of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Whether people rejected it as a false alarm; `None` if nobody has judged it.
    pub is_false_alarm: Option<bool>,
    /// What it carries, by the rule's limits.
    pub values: Vec<Option<f64>>,
}

impl Case {
    /// Of an incident of a rule with these limits.
    pub fn new(incident: &Incident, limits: &[Limit]) -> Self {
        let is_false_alarm = match incident.handling {
            Handling::Reported => None,
            Handling::RejectedFalseAlarm => Some(true),
            _ => Some(false),
        };
        Self { is_false_alarm, values: limits.iter().map(|limit| limit.threshold.of(incident)).collect() }
    }

    /// Whether the limits as they are now would not let it through.
    fn is_outgrown(&self, limits: &[Limit]) -> bool {
        let mut held = limits.iter().zip(&self.values);
        held.any(|(limit, value)| value.is_some_and(|value| limit.threshold.keeps_away(value, limit.now)))
    }
}

/// What a rule's incidents say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Review {
    /// Incidents stored.
    pub incidents: usize,
    /// Those of them that the present thresholds would not let through any more; they count nowhere else.
    pub outgrown: usize,
    /// Those that people have judged.
    pub judged: usize,
    /// Those that were false alarms.
    pub false_alarms: usize,
    /// Their share of the judged ones; none where nobody has judged any.
    pub share: Option<Share>,
    /// What follows.
    #[serde(flatten)]
    pub advice: Advice,
}

/// What to do about a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "advice", rename_all = "snake_case")]
pub enum Advice {
    /// Too few were judged to say.
    TooFew,
    /// No threshold keeps a false alarm away without losing too many true incidents.
    Nothing,
    /// This.
    Change(Suggestion),
}

/// A threshold that would have kept false alarms away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Suggestion {
    /// Which.
    pub threshold: Threshold,
    /// As it is now.
    pub now: f64,
    /// As it would be.
    pub then: f64,
    /// False alarms that it would have kept away.
    pub kept_away: usize,
    /// True incidents that it would have lost.
    pub lost: usize,
}

/// A share with the interval that it lies in with 95 % confidence.
///
/// The interval is Wilson's score interval: E. B. Wilson, "Probable inference, the law of succession, and statistical
/// inference", Journal of the American Statistical Association 22 (1927), 209–212.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The share, 0..1.
    #[serde(serialize_with = "rounded")]
    pub value: f64,
    /// The interval's lower end.
    #[serde(serialize_with = "rounded")]
    pub low: f64,
    /// Its upper end.
    #[serde(serialize_with = "rounded")]
    pub high: f64,
}

impl Share {
    /// So many of so many; `None` of none.
    pub fn new(part: usize, of: usize) -> Option<Self> {
        /// The standard normal quantile of 97.5 %.
        const Z: f64 = 1.959_964;
        if of == 0 {
            return None;
        }
        let count = of as f64;
        let value = part as f64 / count;
        let middle = (value + Z * Z / (2.0 * count)) / (1.0 + Z * Z / count);
        let spread = value * (1.0 - value) / count + Z * Z / (4.0 * count * count);
        let half = Z / (1.0 + Z * Z / count) * spread.sqrt();
        Some(Self { value, low: (middle - half).clamp(0.0, value), high: (middle + half).clamp(value, 1.0) })
    }
}

fn rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1000.0).round() / 1000.0)
}

/// What the incidents of a rule with these limits say, where at most the share `lose` of the true ones may be lost.
pub fn review(limits: &[Limit], cases: &[Case], lose: f64) -> Review {
    let present: Vec<_> = cases.iter().filter(|case| !case.is_outgrown(limits)).collect();
    let of = |kind| present.iter().filter(move |case| case.is_false_alarm == Some(kind)).copied().collect::<Vec<_>>();
    let (false_alarms, true_ones) = (of(true), of(false));
    let judged = false_alarms.len() + true_ones.len();
    let advice = if judged < LEAST_JUDGED || false_alarms.len().min(true_ones.len()) < LEAST_OF_EACH {
        Advice::TooFew
    } else {
        let may_lose = (lose.clamp(0.0, 1.0) * true_ones.len() as f64) as usize;
        let swept = limits.iter().enumerate().filter_map(|(index, limit)| {
            let values = |cases: &[&Case]| cases.iter().filter_map(|case| case.values[index]).collect();
            sweep(*limit, values(&false_alarms), values(&true_ones), may_lose)
        });
        swept.reduce(better).map_or(Advice::Nothing, Advice::Change)
    };
    Review {
        incidents: cases.len(),
        outgrown: cases.len() - present.len(),
        judged,
        false_alarms: false_alarms.len(),
        share: Share::new(false_alarms.len(), judged),
        advice,
    }
}

/// The best value of one threshold, by what false alarms and true incidents carry.
fn sweep(limit: Limit, mut false_alarms: Vec<f64>, mut true_ones: Vec<f64>, may_lose: usize) -> Option<Suggestion> {
    let Limit { threshold, now } = limit;
    // Those that are kept away first come first.
    let order = |a: &f64, b: &f64| if threshold == Threshold::Below { b.total_cmp(a) } else { a.total_cmp(b) };
    false_alarms.sort_by(order);
    true_ones.sort_by(order);
    let kept_away = |values: &[f64], at| values.partition_point(|value| threshold.keeps_away(*value, at));
    let tried = false_alarms.iter().filter_map(|value| threshold.against(*value)).map(|then| Suggestion {
        threshold,
        now,
        then,
        kept_away: kept_away(&false_alarms, then),
        lost: kept_away(&true_ones, then),
    });
    tried.filter(|tried| tried.lost <= may_lose).reduce(better)
}

/// The better of two; the first of equals, which is the milder one.
fn better(one: Suggestion, other: Suggestion) -> Suggestion {
    let worth = |it: &Suggestion| (it.kept_away, std::cmp::Reverse(it.lost));
    if worth(&other) > worth(&one) { other } else { one }
}
