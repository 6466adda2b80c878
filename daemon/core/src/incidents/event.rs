//! How a revision is announced: CloudEvents 1.0 in JSON format, one event a revision.
//!
//! `id` is `{incident}.{revision}` and unique for ever, so a receiver that has seen it may drop it. `type` is
//! `org.snowgate.incident.` + `opened`, `updated`, `ended`, `verified` or `closed`. Times carry the gateway's UTC offset.

mod payload;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

pub use self::payload::IncidentEvent;
use self::payload::{
    DispositionData, EvidenceReference, IncidentData, OriginData, ReadingData, TimeLimitData, Times, VerificationData,
};
use super::{Incident, Origin, command::Note};
use crate::{ids::Id, time::Moment};

/// What a revision tells. In messages it is the CloudEvents type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum EventKind {
    /// The incident is new.
    #[schemars(rename = "org.snowgate.incident.opened")]
    Opened,
    /// Something about it has changed.
    #[schemars(rename = "org.snowgate.incident.updated")]
    Updated,
    /// What the box saw is over.
    #[schemars(rename = "org.snowgate.incident.ended")]
    Ended,
    /// Somebody asked the box to look again, and it has.
    #[schemars(rename = "org.snowgate.incident.verified")]
    Verified,
    /// People have finished with it.
    #[schemars(rename = "org.snowgate.incident.closed")]
    Closed,
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.event_type())
    }
}

impl EventKind {
    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Ended => "ended",
            Self::Verified => "verified",
            Self::Closed => "closed",
        }
    }

    /// The event's CloudEvents type.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Opened => "org.snowgate.incident.opened",
            Self::Updated => "org.snowgate.incident.updated",
            Self::Ended => "org.snowgate.incident.ended",
            Self::Verified => "org.snowgate.incident.verified",
            Self::Closed => "org.snowgate.incident.closed",
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

impl Revision {
    /// The receiver's key for removing duplicates: `{incident}.{revision}`.
    pub fn event_id(&self) -> String {
        format!("{}.{}", self.incident.id, self.incident.revision)
    }

    fn disposition(&self, zone: &TimeZone) -> Option<DispositionData<'_>> {
        let step = self.incident.dispositions.step_of(self.incident.revision)?;
        Some(DispositionData {
            command: &step.command,
            stage: step.stage,
            by: step.by.as_str(),
            note: step.note.as_ref().map(Note::as_str),
            at: LocalTime::new(step.at, zone),
        })
    }

    fn verification(&self, zone: &TimeZone) -> Option<VerificationData<'_>> {
        let last = self.incident.verifications.last()?;
        (last.revision == self.incident.revision).then(|| VerificationData {
            command: &last.command,
            by: last.by.as_str(),
            reason: last.reason.as_str(),
            outcome: last.outcome,
            obstacle: last.obstacle,
            from: last.from.map(|from| LocalTime::new(from.wall, zone)),
            until: LocalTime::new(last.until.wall, zone),
            still: last.still.as_deref(),
        })
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
                        measured: reading.measured.map(|time| LocalTime::new(time, zone)),
                        arrived: LocalTime::new(reading.arrived.wall, zone),
                    })
                    .collect(),
            },
            Origin::Joined { joined } => OriginData::Joined { joined },
        }
    }

    /// The event in CloudEvents' JSON format. `sequence` grows with every event of the gateway; `now` is the time
    /// of the event.
    pub fn to_json(&self, gateway: &Gateway, sequence: u64, now: Moment) -> Vec<u8> {
        let incident = &self.incident;
        let time = |moment: Moment| LocalTime::new(moment.wall, &gateway.time_zone);
        let duration = incident.last_seen.mono.since(incident.began.mono);
        let event = IncidentEvent {
            specversion: "1.0",
            id: self.event_id(),
            source: format!("/snowgate/{}", gateway.id),
            kind: self.kind,
            subject: incident.id,
            time: time(now),
            datacontenttype: "application/json",
            data: IncidentData {
                incident: incident.id,
                revision: incident.revision,
                sequence,
                scene: incident.scene,
                handling: incident.handling,
                suspended: incident.dispositions.is_suspended(),
                disposition: self.disposition(&gateway.time_zone),
                verification: self.verification(&gateway.time_zone),
                recurrences: incident.recurrences,
                gateway: &gateway.id,
                boot: &incident.boot.0,
                category: &incident.target.category,
                severity: incident.target.severity,
                priority: incident.priority,
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
                    ended: incident.ended.as_ref().map(|ending| time(ending.at)),
                    end_reason: incident.ended.as_ref().map(|ending| ending.reason),
                    closed: incident.dispositions.finished.as_ref().map(|finished| time(finished.moment)),
                    clock_synchronised: incident.times_are_known(),
                },
                time_limit: incident.deadline.as_ref().map(|deadline| TimeLimitData::of(deadline, &gateway.time_zone)),
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
                        duration_ms: evidence.duration_ms,
                        sealed: evidence.sealed.as_ref(),
                    })
                    .collect(),
                config_digest: &incident.config_digest,
            },
        };
        // Only maps with keys that are no strings and failing writers can fail to serialise; this has neither.
        serde_json::to_vec(&event).unwrap_or_default()
    }
}

/// A time as messages carry it: RFC 3339 with milliseconds and the gateway's UTC offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("format" = "date-time"))]
pub struct LocalTime(String);

impl LocalTime {
    /// A time in a zone.
    pub fn new(time: jiff::Timestamp, zone: &TimeZone) -> Self {
        Self(format_time(time, zone))
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
    use crate::{
        incidents::{disposition, testing, verify},
        time::{Clock, ManualClock, Stamp},
    };

    #[test]
    fn the_revision_that_a_disposition_or_a_verification_made_tells_of_it_and_no_later_one() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let gateway = Gateway { id: "demo".parse().unwrap(), time_zone: TimeZone::fixed(jiff::tz::offset(8)) };
        let json = |revision: &Revision| {
            serde_json::from_slice::<serde_json::Value>(&revision.to_json(&gateway, 7, clock.now())).unwrap()
        };
        let incident = testing::incident(&clock);
        let command = serde_json::json!({ "id": "c", "incident": incident.id, "stage": "rejected_false_alarm",
            "by": "desk", "note": "a shadow", "at": "2026-03-01T00:00:00Z", "expires": "2026-03-01T01:00:00Z" });
        let command = serde_json::from_value(command).unwrap();
        let decision = disposition::decide(&command, None, Some(incident), Stamp::now(&clock), &testing::calendar());
        let revision = decision.revision.unwrap();
        let event = json(&revision);
        assert_eq!(event["type"], "org.snowgate.incident.closed");
        let data = &event["data"];
        assert_eq!(
            (&data["handling"], &data["scene"]),
            (&"rejected_false_alarm".into(), &"active".into()),
            "people have finished; the box still sees it"
        );
        assert_eq!(data["disposition"]["note"], "a shadow");
        assert_eq!(data["disposition"]["at"], "2026-03-01T08:00:00.000+08:00");
        assert_eq!(data["times"]["closed"], "2026-03-01T08:00:00.000+08:00");

        let verification = serde_json::json!({ "command": "v", "revision": 0, "by": "desk", "reason": "asked",
            "outcome": "cannot_tell", "obstacle": "not_seen", "until": clock.now(), "boot": "boot" });
        let verified = verify::record(revision.incident, serde_json::from_value(verification).unwrap());
        let data = &json(&verified)["data"];
        assert_eq!(data["verification"]["obstacle"], "not_seen");
        assert!(data["disposition"].is_null(), "{data}");
        let later = Revision { kind: EventKind::Updated, incident: Incident { revision: 9, ..verified.incident } };
        assert!(json(&later)["data"]["verification"].is_null());
    }

    #[test]
    fn times_carry_the_gateways_offset() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let time = "2026-03-01T00:00:00.123456Z".parse().unwrap();
        assert_eq!(format_time(time, &zone), "2026-03-01T08:00:00.123+08:00");
    }
}
