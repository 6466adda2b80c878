//! What an event says, key by key. Its JSON Schema is made from these types, so their docs are the contract's.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::{EventKind, LocalTime};
use crate::{
    ids::{Id, IncidentId},
    incidents::{
        Deadline, EndReason, Handling, JoinedIncidents, Light, Measure, Place, Scene, Sealing, SeenByCamera,
        command::CommandId,
        handling::Stage,
        spec::TimeBase,
        verify::{Obstacle, Outcome},
    },
    priority::Priority,
    sensor::reading::Verdict,
    severity::Severity,
};

/// A revision of an incident: CloudEvents 1.0, JSON format.
#[derive(Serialize, JsonSchema)]
pub struct IncidentEvent<'a> {
    /// The version of CloudEvents.
    #[schemars(extend("const" = "1.0"))]
    pub(super) specversion: &'static str,
    /// `{incident}.{revision}`: what has been seen under this id may be dropped.
    #[schemars(extend("pattern" = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}\.[1-9][0-9]*$"))]
    pub(super) id: String,
    /// `/snowgate/{gateway}`.
    #[schemars(extend("format" = "uri-reference", "pattern" = "^/snowgate/[a-z0-9][a-z0-9_.-]{0,63}$"))]
    pub(super) source: String,
    /// What the revision tells.
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    /// The incident's id.
    pub(super) subject: IncidentId,
    /// When the revision was committed.
    pub(super) time: LocalTime,
    /// What `data` is.
    #[schemars(extend("const" = "application/json"))]
    pub(super) datacontenttype: &'static str,
    /// The incident as it is now.
    pub(super) data: IncidentData<'a>,
}

/// An incident at one revision.
#[derive(Serialize, JsonSchema)]
pub(super) struct IncidentData<'a> {
    /// Its id for ever, a ULID.
    pub(super) incident: IncidentId,
    /// Counts from 1; those of one incident arrive in order.
    #[schemars(range(min = 1))]
    pub(super) revision: u32,
    /// Numbers the gateway's events in the order in which they were committed.
    pub(super) sequence: u64,
    /// What the box sees.
    pub(super) scene: Scene,
    /// How far people have come.
    pub(super) handling: Handling,
    /// Whether handling stands still.
    pub(super) suspended: bool,
    /// The disposition that made this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disposition: Option<DispositionData<'a>>,
    /// The verification that made this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verification: Option<VerificationData<'a>>,
    /// How often the condition came again and joined this incident.
    pub(super) recurrences: u32,
    /// The gateway.
    pub(super) gateway: &'a Id,
    /// The boot that the incident was opened in.
    pub(super) boot: &'a str,
    /// Its category.
    pub(super) category: &'a Id,
    /// How bad it is.
    pub(super) severity: Severity,
    /// Whether it goes before others where not everything can be done at once: whose still is made first.
    pub(super) priority: Priority,
    /// The level of the grid tree it starts at.
    pub(super) level: &'a Id,
    /// Code of the node it starts at: `grid` or one above it.
    pub(super) level_grid: &'a str,
    /// Code of the grid it happened in.
    pub(super) grid: &'a str,
    /// The codes from the top of the tree down to `grid`, both included.
    #[schemars(length(min = 1))]
    pub(super) grid_path: &'a [String],
    /// The rule that found it.
    pub(super) rule: &'a Id,
    /// The rule's kind, as in the configuration: `intrusion`, `line_crossing`, `threshold`…; of a joined rule `all`, `any`,
    /// `at_least` or `sequence`.
    pub(super) rule_kind: &'a str,
    /// One line for people, in the gateway's language.
    pub(super) title: &'a str,
    /// Where the camera or the sensor stands, if that is configured; of a joined rule, that which completed its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<&'a Place>,
    /// When it happened.
    pub(super) times: Times,
    /// Time within which it must be handled, if its category has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time_limit: Option<TimeLimitData>,
    /// Seconds from `times.began` to `times.last_seen`.
    #[schemars(range(min = 0))]
    pub(super) duration_seconds: f64,
    /// Best score of any thing that took part; of a sensor the highest anomaly score, 0 where that is not watched; of a
    /// joined rule 0.
    #[schemars(range(min = 0, max = 1))]
    pub(super) score: f64,
    #[serde(flatten)]
    pub(super) origin: OriginData<'a>,
    /// Pictures that belong to it.
    pub(super) evidence: Vec<EvidenceReference<'a>>,
    /// Digest of the configuration it was found under, hexadecimal.
    pub(super) config_digest: &'a str,
}

/// A camera's, a sensor's or a joined rule's own keys.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OriginData<'a> {
    /// What a camera saw.
    Camera(&'a SeenByCamera),
    /// What a sensor told.
    Sensor {
        /// The sensor.
        sensor: &'a Id,
        /// What it measured.
        quantity: &'a Id,
        /// The unit of all values, as UCUM writes it.
        unit: &'a str,
        /// The episode in figures.
        measure: Measure,
        /// The last readings of the quantity, the oldest first.
        #[schemars(length(max = 24))]
        readings: Vec<ReadingData>,
    },
    /// What a joined rule joins.
    Joined {
        /// What it joins.
        joined: &'a JoinedIncidents,
    },
}

/// A reading, as incidents carry it.
#[derive(Serialize, JsonSchema)]
pub(super) struct ReadingData {
    /// The value; null if it was no number.
    pub(super) value: Option<f64>,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
    /// When it was measured, by the device's own clock, if it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured: Option<LocalTime>,
    /// When it arrived, by the gateway's clock.
    pub(super) arrived: LocalTime,
}

/// When it happened.
#[derive(Serialize, JsonSchema)]
pub(super) struct Times {
    /// When the condition began to hold.
    pub(super) began: LocalTime,
    /// When it had held long enough to be an incident.
    pub(super) opened: LocalTime,
    /// When it was last seen to hold.
    pub(super) last_seen: LocalTime,
    /// When the scene ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<LocalTime>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_reason: Option<EndReason>,
    /// When people finished with it, if they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) closed: Option<LocalTime>,
    /// Whether these times are to be relied on: the clock was synchronised then, or they were filled in later in the same boot.
    pub(super) clock_synchronised: bool,
}

/// What people have done.
#[derive(Serialize, JsonSchema)]
pub(super) struct DispositionData<'a> {
    /// The command that said so.
    pub(super) command: &'a CommandId,
    /// What was done.
    pub(super) stage: Stage,
    /// Who did it.
    pub(super) by: &'a str,
    /// What they say about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<&'a str>,
    /// When it was done, as they say.
    pub(super) at: LocalTime,
}

/// What the box has seen when it was asked to look again.
#[derive(Serialize, JsonSchema)]
pub(super) struct VerificationData<'a> {
    /// The command that asked.
    pub(super) command: &'a CommandId,
    /// Who asked.
    pub(super) by: &'a str,
    /// Why.
    pub(super) reason: &'a str,
    /// What was seen.
    pub(super) outcome: Outcome,
    /// Why that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) obstacle: Option<Obstacle>,
    /// Since when the box has looked; missing if it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<LocalTime>,
    /// Until when it has looked, or when it was found that it could not.
    pub(super) until: LocalTime,
    /// Name of the still that was taken, among `evidence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) still: Option<&'a str>,
}

/// Time within which it must be handled.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TimeLimit")]
pub(super) struct TimeLimitData {
    /// How much, without extensions.
    seconds: u64,
    /// Which hours count.
    counted_in: TimeBase,
    /// What was granted beyond that; left out where nothing was.
    #[serde(skip_serializing_if = "is_zero")]
    extended_seconds: u64,
    /// When limit and extensions are used up; left out while it is suspended, and until the clock is synchronised.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<LocalTime>,
    /// How much of it is used up.
    light: Light,
    /// Since when its time does not count; only while it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_since: Option<LocalTime>,
}

impl TimeLimitData {
    pub(super) fn of(deadline: &Deadline, zone: &TimeZone) -> Self {
        Self {
            seconds: deadline.limit().limit_ms / 1000,
            counted_in: deadline.limit().counted_in,
            extended_seconds: deadline.extended_by().as_secs(),
            due: deadline.due().map(|due| LocalTime::new(due, zone)),
            light: deadline.light(),
            suspended_since: deadline.suspended_since().map(|stamp| LocalTime::new(stamp.moment.wall, zone)),
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A picture or a clip that belongs to an incident.
#[derive(Serialize, JsonSchema)]
pub(super) struct EvidenceReference<'a> {
    /// Its name within the incident; of a picture the last part of its topic. Clips stay on the box and have none.
    pub(super) name: &'a str,
    /// The camera that took it; not known of pictures taken by version 0.1.0 and before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) camera: Option<&'a Id>,
    /// Its media type.
    pub(super) media_type: &'a str,
    /// SHA-256 of its bytes, hexadecimal.
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    pub(super) sha256: &'a str,
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// When it was taken; of a clip, its first picture.
    pub(super) taken: LocalTime,
    /// How long a clip takes to play, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<u64>,
    /// How it is sealed, if it is: hash and length are those of the sealed file, the media type is that of what is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sealed: Option<&'a Sealing>,
}
