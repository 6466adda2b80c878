//! How a revision is announced: CloudEvents 1.0 in JSON format, one event a revision.
//!
//! `id` is `{incident}.{revision}` and unique for ever, so a receiver that has seen it may drop it. `type` is
//! `org.snowgate.incident.` + `opened`, `updated` or `ended`. Times carry the gateway's UTC offset.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{EndReason, Handling, Incident, Measure, Origin, Place, Scene, SeenByCamera};
use crate::{
    ids::{Id, IncidentId},
    sensor::reading::Verdict,
    severity::Severity,
    time::Moment,
};

/// What a revision tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The incident is new.
    Opened,
    /// Something about it has changed.
    Updated,
    /// What the box saw is over.
    Ended,
}

impl EventKind {
    /// The event's CloudEvents type.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Opened => "org.snowgate.incident.opened",
            Self::Updated => "org.snowgate.incident.updated",
            Self::Ended => "org.snowgate.incident.ended",
        }
    }
}

/// A revision to be stored and announced.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// What it tells.
    pub kind: EventKind,
    /// The incident as it is now.
    pub incident: Incident,
}

/// What an event says of the gateway that sends it.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Its id.
    pub id: Id,
    /// Its time zone.
    pub time_zone: TimeZone,
}

/// Share of the time limit from which the light is yellow.
const YELLOW_FROM: f64 = 0.8;

/// How much of the time limit is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    /// Less than 80 %.
    Green,
    /// From 80 % on.
    Yellow,
    /// All of it, and more.
    Red,
}

impl Light {
    /// The light of an incident that was opened then and must be handled by `due`.
    pub fn at(now: jiff::Timestamp, opened: jiff::Timestamp, due: jiff::Timestamp) -> Self {
        let total = due.duration_since(opened).as_secs_f64();
        let used = now.duration_since(opened).as_secs_f64();
        if used >= total {
            Self::Red
        } else if used >= YELLOW_FROM * total {
            Self::Yellow
        } else {
            Self::Green
        }
    }
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: &'static str,
    subject: IncidentId,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    incident: IncidentId,
    revision: u32,
    sequence: u64,
    scene: Scene,
    handling: Handling,
    gateway: &'a Id,
    boot: &'a str,
    category: &'a Id,
    severity: Severity,
    level: &'a Id,
    level_grid: &'a str,
    grid: &'a str,
    grid_path: &'a [String],
    rule: &'a Id,
    rule_kind: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a Place>,
    times: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_limit: Option<TimeLimit>,
    duration_seconds: f64,
    score: f64,
    #[serde(flatten)]
    origin: OriginData<'a>,
    evidence: Vec<EvidenceReference<'a>>,
    config_digest: &'a str,
}

/// A camera's or a sensor's own keys.
#[derive(Serialize)]
#[serde(untagged)]
enum OriginData<'a> {
    Camera(&'a SeenByCamera),
    Sensor { sensor: &'a Id, quantity: &'a Id, unit: &'a str, measure: Measure, readings: Vec<ReadingData> },
}

#[derive(Serialize)]
struct ReadingData {
    value: Option<f64>,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<String>,
    arrived: String,
}

#[derive(Serialize)]
struct Times {
    began: String,
    opened: String,
    last_seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<EndReason>,
    clock_synchronised: bool,
}

#[derive(Serialize)]
struct TimeLimit {
    seconds: u64,
    due: String,
    light: Light,
}

#[derive(Serialize)]
struct EvidenceReference<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera: Option<&'a Id>,
    media_type: &'a str,
    sha256: &'a str,
    bytes: u64,
    taken: String,
}

impl Revision {
    /// The receiver's key for removing duplicates: `{incident}.{revision}`.
    pub fn event_id(&self) -> String {
        format!("{}.{}", self.incident.id, self.incident.revision)
    }

    fn origin(&self, zone: &TimeZone) -> OriginData<'_> {
        match &self.incident.origin {
            Origin::Camera(seen) => OriginData::Camera(seen),
            Origin::Sensor(told) => OriginData::Sensor {
                sensor: &told.sensor,
                quantity: &told.quantity,
                unit: &told.unit,
                measure: told.measure,
                readings: told
                    .readings
                    .iter()
                    .map(|reading| ReadingData {
                        value: reading.value,
                        verdict: reading.verdict,
                        measured: reading.measured.map(|time| format_time(time, zone)),
                        arrived: format_time(reading.arrived.wall, zone),
                    })
                    .collect(),
            },
        }
    }

    /// The event in CloudEvents' JSON format. `sequence` grows with every event of the gateway; `now` is the time
    /// of the event.
    pub fn to_json(&self, gateway: &Gateway, sequence: u64, now: Moment) -> Vec<u8> {
        let incident = &self.incident;
        let time = |moment: Moment| format_time(moment.wall, &gateway.time_zone);
        let duration = incident.last_seen.mono.since(incident.began.mono);
        let event = CloudEvent {
            specversion: "1.0",
            id: self.event_id(),
            source: format!("/snowgate/{}", gateway.id),
            r#type: self.kind.event_type(),
            subject: incident.id,
            time: time(now),
            datacontenttype: "application/json",
            data: Data {
                incident: incident.id,
                revision: incident.revision,
                sequence,
                scene: incident.scene,
                handling: incident.handling,
                gateway: &gateway.id,
                boot: &incident.boot.0,
                category: &incident.target.category,
                severity: incident.target.severity,
                level: &incident.target.level,
                level_grid: &incident.target.level_grid,
                grid: &incident.target.grid,
                grid_path: &incident.target.path,
                rule: &incident.rule,
                rule_kind: &incident.rule_kind,
                title: &incident.title,
                place: incident.place.as_ref(),
                times: Times {
                    began: time(incident.began),
                    opened: time(incident.opened),
                    last_seen: time(incident.last_seen),
                    ended: incident.ended.map(|ending| time(ending.at)),
                    end_reason: incident.ended.map(|ending| ending.reason),
                    clock_synchronised: incident.opened.synchronised,
                },
                time_limit: incident.target.time_limit().map(|limit| {
                    let opened = incident.opened.wall;
                    let due = opened.saturating_add(limit.0).unwrap_or(opened);
                    TimeLimit {
                        seconds: limit.as_secs(),
                        due: format_time(due, &gateway.time_zone),
                        light: Light::at(now.wall, opened, due),
                    }
                }),
                duration_seconds: round(duration.as_secs_f64()),
                score: round(f64::from(incident.score)),
                origin: self.origin(&gateway.time_zone),
                evidence: incident
                    .evidence
                    .iter()
                    .map(|evidence| EvidenceReference {
                        name: &evidence.name,
                        camera: evidence.camera.as_ref(),
                        media_type: &evidence.media_type,
                        sha256: &evidence.sha256,
                        bytes: evidence.bytes,
                        taken: time(evidence.taken),
                    })
                    .collect(),
                config_digest: &incident.config_digest,
            },
        };
        // Only maps with keys that are no strings and failing writers can fail to serialise; this has neither.
        serde_json::to_vec(&event).unwrap_or_default()
    }
}

/// RFC 3339 with milliseconds and the zone's offset at that time.
pub fn format_time(time: jiff::Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// Three decimals: more would be noise, and would differ between machines.
pub fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lights_change_at_eighty_and_a_hundred_per_cent() {
        let at = |seconds| jiff::Timestamp::from_second(seconds).unwrap();
        assert_eq!(Light::at(at(0), at(0), at(100)), Light::Green);
        assert_eq!(Light::at(at(79), at(0), at(100)), Light::Green);
        assert_eq!(Light::at(at(80), at(0), at(100)), Light::Yellow);
        assert_eq!(Light::at(at(100), at(0), at(100)), Light::Red);
    }

    #[test]
    fn times_carry_the_gateways_offset() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let time = "2026-03-01T00:00:00.123456Z".parse().unwrap();
        assert_eq!(format_time(time, &zone), "2026-03-01T08:00:00.123+08:00");
    }
}
