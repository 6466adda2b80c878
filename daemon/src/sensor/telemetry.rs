//! Readings on their way to whoever wants all of them: JSON, many in a message.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use snowgate_core::{
    ids::Id,
    incidents::event::{LocalTime, round},
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

/// Readings of a sensor, the oldest first: payload of its telemetry topic.
#[derive(Serialize, JsonSchema)]
pub struct Readings<'a> {
    /// The sensor.
    sensor: &'a Id,
    /// Its readings, of one quantity or of several.
    #[schemars(length(min = 1, max = MOST))]
    readings: Vec<TelemetryReading<'a>>,
}

/// One value of one quantity, with what is to be thought of it.
#[derive(Serialize, JsonSchema)]
struct TelemetryReading<'a> {
    /// What was measured.
    quantity: &'a Id,
    /// The value, in `unit`; null if what came is no number.
    value: Option<f64>,
    /// Its unit, as UCUM writes it; `1` for what is counted, and for switches.
    unit: &'a str,
    #[serde(flatten)]
    verdict: Verdict,
    /// Where it is watched for anomalies: how unlike what the sensor has shown before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    score: Option<f64>,
    /// When it was measured, by the device's own clock, if it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<LocalTime>,
    /// When it arrived, by the gateway's clock.
    arrived: LocalTime,
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
        let readings = self.waiting.iter().map(|Seen { reading, score, .. }| TelemetryReading {
            quantity: &reading.quantity,
            value: Some(reading.value).filter(|value| value.is_finite()),
            unit: reading.unit.code(),
            verdict: reading.verdict,
            score: score.map(round),
            measured: reading.measured.map(|time| LocalTime::new(time, zone)),
            arrived: LocalTime::new(reading.arrived.wall, zone),
        });
        // A struct of numbers and strings always serialises.
        let payload = serde_json::to_vec(&Readings { sensor, readings: readings.collect() }).unwrap_or_default();
        self.waiting.clear();
        Some(Batch { sensor: sensor.clone(), payload })
    }
}
