//! What a sensor's replay finds, as it is printed and as golden files hold it.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use snowgate_core::{
    ids::Id,
    incidents::{Incident, ToldBySensor},
    sensor::anomaly::Reason,
    severity::Severity,
};

use crate::cli::replay::expect::Golden;

/// How far a time may be off, in seconds: how often rules are asked the time.
const TOLERANCE: f64 = 1.0;

/// One incident of a sensor's replay, as it stood at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensorIncident {
    /// Incident id: counted, so the same in every replay.
    pub incident: String,
    /// The rule that found it.
    pub rule: Id,
    /// The rule's kind.
    pub kind: String,
    /// The sensor.
    pub sensor: Id,
    /// What it measured.
    pub quantity: Id,
    /// Grid code.
    pub grid: String,
    /// Category id.
    pub category: Id,
    /// How bad it is.
    pub severity: Severity,
    /// For people.
    pub title: String,
    /// When the condition began to hold.
    pub began: Timestamp,
    /// When it was opened.
    pub opened: Timestamp,
    /// When the condition was last known to hold.
    pub last_seen: Timestamp,
    /// When it ended; none if it was still open at the end of the recording.
    pub ended: Option<Timestamp>,
    /// The last value that counted.
    pub value: Option<f64>,
    /// The value that was furthest beyond.
    pub extreme: Option<f64>,
    /// The unit of both.
    pub unit: String,
    /// Readings in which the condition held.
    pub count: u32,
    /// The highest anomaly score, 0..1; 0 where that is not watched.
    pub score: f64,
    /// What was unusual, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The zone of times that people read.
    #[serde(skip, default = "utc")]
    pub zone: TimeZone,
}

fn utc() -> TimeZone {
    TimeZone::UTC
}

impl SensorIncident {
    /// The line of an incident and what the sensor told of it; people read its times in `zone`.
    pub fn new(incident: &Incident, told: &ToldBySensor, reason: Option<Reason>, zone: TimeZone) -> Self {
        Self {
            incident: incident.id.to_string(),
            rule: incident.rule.clone(),
            kind: incident.rule_kind.clone(),
            sensor: told.sensor.clone(),
            quantity: told.quantity.clone(),
            grid: incident.target.grid.clone(),
            category: incident.target.category.clone(),
            severity: incident.target.severity,
            title: incident.title.clone(),
            began: incident.began.wall,
            opened: incident.opened.wall,
            last_seen: incident.last_seen.wall,
            ended: incident.ended.map(|ending| ending.at.wall),
            value: told.measure.value,
            extreme: told.measure.extreme,
            unit: told.unit.clone(),
            count: told.measure.count,
            score: (f64::from(incident.score) * 1000.0).round() / 1000.0,
            reason,
            zone,
        }
    }
}

impl Golden for SensorIncident {
    fn matches(&self, found: &Self) -> bool {
        let near = |a: Timestamp, b: Timestamp| a.duration_since(b).as_secs_f64().abs() <= TOLERANCE;
        let ended = match (self.ended, found.ended) {
            (Some(a), Some(b)) => near(a, b),
            (a, b) => a == b,
        };
        self.rule == found.rule
            && self.sensor == found.sensor
            && self.quantity == found.quantity
            && self.grid == found.grid
            && self.count == found.count
            && near(self.began, found.began)
            && near(self.opened, found.opened)
            && ended
    }
}

impl fmt::Display for SensorIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Timestamp| time.to_zoned(self.zone.clone()).strftime("%F %T").to_string();
        write!(f, "{}: opened {}, ", self.rule, time(self.opened))?;
        match self.ended {
            Some(ended) => write!(f, "ended {}", time(ended))?,
            None => f.write_str("still open at the end")?,
        }
        let unit = if self.unit == "1" { "" } else { &*self.unit };
        for (what, value) in [("last value", self.value), ("furthest", self.extreme)] {
            // An anomaly's furthest value is its score, which follows.
            if let Some(value) = value.filter(|_| what == "last value" || self.kind != "anomaly") {
                write!(f, ", {what} {}", format!("{} {unit}", rounded(value)).trim_end())?;
            }
        }
        write!(f, ", {} reading(s)", self.count)?;
        if self.score > 0.0 {
            write!(f, ", score {:.2}", self.score)?;
        }
        if let Some(reason) = self.reason {
            write!(f, " ({reason})")?;
        }
        write!(f, "; {} · {}", self.severity, self.title)
    }
}

/// Six digits, as many as anybody reads.
pub fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 10f64.powi(5 - value.abs().log10().floor().clamp(-200.0, 200.0) as i32);
    let rounded = (value * digits).round() / digits;
    if rounded.is_finite() { rounded } else { value }
}
