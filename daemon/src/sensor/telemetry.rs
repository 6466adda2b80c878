//! Readings on their way to whoever wants all of them: JSON, many in a message.

use jiff::tz::TimeZone;
use serde::Serialize;
use snowgate_core::{
    ids::Id,
    incidents::event::{format_time, round},
    sensor::{reading::Verdict, watch::Seen},
};

/// The most readings in one message.
const MOST: usize = 500;

/// Readings of one sensor, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The sensor.
    pub sensor: Id,
    /// The message.
    pub payload: Vec<u8>,
}

/// Readings of one sensor that wait to be published.
#[derive(Debug, Default)]
pub struct Telemetry {
    waiting: Vec<Seen>,
}

#[derive(Serialize)]
struct Message<'a> {
    sensor: &'a Id,
    readings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    quantity: &'a Id,
    /// None if it is no number.
    value: Option<f64>,
    unit: &'a str,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<String>,
    arrived: String,
}

impl Telemetry {
    /// Adds a reading; answers whether it is time to publish.
    pub fn push(&mut self, seen: Seen) -> bool {
        self.waiting.push(seen);
        self.waiting.len() >= MOST
    }

    /// What has come together, if anything has. Times carry the zone's offset.
    pub fn take(&mut self, sensor: &Id, zone: &TimeZone) -> Option<Batch> {
        if self.waiting.is_empty() {
            return None;
        }
        let readings = self.waiting.iter().map(|Seen { reading, score, .. }| Entry {
            quantity: &reading.quantity,
            value: Some(reading.value).filter(|value| value.is_finite()),
            unit: reading.unit.code(),
            verdict: reading.verdict,
            score: score.map(round),
            measured: reading.measured.map(|time| format_time(time, zone)),
            arrived: format_time(reading.arrived.wall, zone),
        });
        // A struct of numbers and strings always serialises.
        let payload = serde_json::to_vec(&Message { sensor, readings: readings.collect() }).unwrap_or_default();
        self.waiting.clear();
        Some(Batch { sensor: sensor.clone(), payload })
    }
}
