//! What a sensor's replay finds, as it is printed and as golden files hold it.

use std::fmt;

use jiff::{
    Timestamp,
    fmt::temporal::Pieces,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use snowgate_core::{
    ids::Id,
    incidents::{Incident, ToldBySensor},
    sensor::anomaly::Reason,
    severity::Severity,
    time::Moment,
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
    pub began: Time,
    /// When it was opened.
    pub opened: Time,
    /// When the condition was last known to hold.
    pub last_seen: Time,
    /// When it ended; none if it was still open at the end of the recording.
    pub ended: Option<Time>,
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
}

/// A time as people around the gateway write it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Time {
    /// When.
    pub at: Timestamp,
    offset: Offset,
}

impl Time {
    fn new(moment: Moment, zone: &TimeZone) -> Self {
        Self { at: moment.wall, offset: zone.to_offset(moment.wall) }
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> f64 {
        self.at.as_duration().as_secs_f64()
    }

    fn is_near(self, other: Self) -> bool {
        self.at.duration_since(other.at).as_secs_f64().abs() <= TOLERANCE
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.at.display_with_offset(self.offset))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = text.parse().map_err(D::Error::custom)?;
        let offset = Pieces::parse(&text).ok().and_then(|pieces| pieces.to_numeric_offset());
        Ok(Self { at, offset: offset.unwrap_or(Offset::UTC) })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.offset.to_datetime(self.at).strftime("%F %T"))
    }
}

impl SensorIncident {
    /// The line of an incident and what the sensor told of it; people read its times in `zone`.
    pub fn new(incident: &Incident, told: &ToldBySensor, reason: Option<Reason>, zone: &TimeZone) -> Self {
        let time = |moment| Time::new(moment, zone);
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
            began: time(incident.began),
            opened: time(incident.opened),
            last_seen: time(incident.last_seen),
            ended: incident.ended.as_ref().map(|ending| time(ending.at)),
            value: told.measure.value,
            extreme: told.measure.extreme,
            unit: told.unit.clone(),
            count: told.measure.count,
            score: (f64::from(incident.score) * 1000.0).round() / 1000.0,
            reason,
        }
    }
}

impl Golden for SensorIncident {
    fn matches(&self, found: &Self) -> bool {
        let ended = match (self.ended, found.ended) {
            (Some(a), Some(b)) => a.is_near(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        self.rule == found.rule
            && self.sensor == found.sensor
            && self.quantity == found.quantity
            && self.grid == found.grid
            && self.count == found.count
            && self.began.is_near(found.began)
            && self.opened.is_near(found.opened)
            && ended
    }
}

impl fmt::Display for SensorIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: opened {}, ", self.rule, self.opened)?;
        match self.ended {
            Some(ended) => write!(f, "ended {ended}")?,
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
