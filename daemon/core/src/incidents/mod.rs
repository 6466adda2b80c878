//! Incidents: what becomes of findings.
//!
//! [`Book`] is the life cycle: findings of cameras, alarms of sensors and coincidences of joined rules go in, *revisions* of incidents come out. An incident carries two states that
//! are never mixed: the [`Scene`] (what the box sees) and the [`Handling`] (what people do about it: [`handling`],
//! [`disposition`]). Either may be over long before the other. Every revision is announced as one event ([`event`]); incident id and revision together are what a receiver removes duplicates by.

mod book;
pub mod command;
pub mod disposition;
pub mod event;
pub mod grid;
pub mod handling;
mod merge;
mod origin;
pub mod spec;
pub mod summary;
#[cfg(test)]
mod testing;
pub mod time_limit;
mod times;
mod title;
pub mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use book::{Book, RuleKey};
pub use grid::GridTree;
pub use handling::{Dispositions, Handling};
pub use merge::{Merge, Worse};
pub use origin::{
    Area, CameraSource, Counts, JoinedIncident, JoinedIncidents, JoinedSource, Measure, MeasuredValue, Origin,
    SeenByCamera, SensorSource, Source, ToldBySensor,
};
pub use spec::Locale;
pub use time_limit::{Deadline, Light, LightTimer, TimeLimit};

use self::verify::Verification;
use crate::{
    ids::{Id, IncidentId},
    priority::Priority,
    severity::Severity,
    time::{BootId, Moment},
};

/// One incident at one revision: all that is stored of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name for ever.
    pub id: IncidentId,
    /// Counts from 1; each revision is announced once.
    pub revision: u32,
    /// The boot it was opened in.
    pub boot: BootId,
    /// What the box sees.
    pub scene: Scene,
    /// How far people have come with it.
    pub handling: Handling,
    /// What they have done about it.
    #[serde(default, skip_serializing_if = "Dispositions::is_empty")]
    pub dispositions: Dispositions,
    /// What the box has seen when it was asked to look again, the oldest first; the last few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifications: Vec<Verification>,
    /// How often the condition came again and joined it ([`Merge`]).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recurrences: u32,
    /// What found it, and what it found.
    #[serde(flatten)]
    pub origin: Origin,
    /// The rule that found it.
    pub rule: Id,
    /// The rule's kind: `intrusion`, `line_crossing`, `threshold`…
    pub rule_kind: String,
    /// Whether it goes before others where not everything can be done at once; `normal` of those that version 0.1.0 stored.
    #[serde(default)]
    pub priority: Priority,
    /// How and to whom it is reported.
    pub target: Target,
    /// Where the camera or the sensor stands.
    pub place: Option<Place>,
    /// One line for people, in the gateway's language.
    pub title: String,
    /// When the condition began to hold.
    pub began: Moment,
    /// When the incident was opened.
    pub opened: Moment,
    /// When the condition was last seen to hold.
    pub last_seen: Moment,
    /// Its time limit as it runs. Those that version 0.1.0 and before stored have none until they are asked for it.
    #[serde(default)]
    pub deadline: Option<Deadline>,
    /// When it ended, if it has.
    pub ended: Option<Ending>,
    /// Best score of any thing that took part, 0..1; of a sensor, the highest anomaly score, 0 where that is not watched; of a
    /// joined rule 0.
    pub score: f32,
    /// Pictures and clips that belong to it.
    pub evidence: Vec<Evidence>,
    /// Digest of the configuration it was found under, hexadecimal.
    pub config_digest: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What the box sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scene {
    /// The condition holds, or is over too shortly to be sure.
    Active,
    /// The condition is over.
    Ended,
}

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When.
    pub at: Moment,
    /// The boot that was in, if it was a later one than that which opened the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootId>,
    /// Why.
    pub reason: EndReason,
}

/// Why an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The condition was seen to be over, or could not be seen any more.
    ConditionOver,
    /// The daemon started anew; whether the condition still holds is for a new incident to tell.
    Restarted,
}

/// How and to whom an incident is reported, with everything looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Category id.
    pub category: Id,
    /// The category's name in the gateway's language.
    pub category_name: String,
    /// How bad it is.
    pub severity: Severity,
    /// Code of the grid it happened in.
    pub grid: String,
    /// Codes from the top of the tree down to `grid`, both included.
    pub path: Vec<String>,
    /// The level it starts at; a major incident starts higher than its grid's own level.
    pub level: Id,
    /// Code of the node it starts at: an ancestor of `grid`, or `grid` itself.
    pub level_grid: String,
    /// Time within which it must be handled.
    #[serde(default, alias = "time_limit_ms")]
    pub time_limit: Option<TimeLimit>,
}

/// Where a camera or a sensor stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Latitude in degrees, WGS 84.
    #[schemars(range(min = -90, max = 90))]
    pub lat: f64,
    /// Longitude in degrees, WGS 84.
    #[schemars(range(min = -180, max = 180))]
    pub lon: f64,
    /// What people call it.
    pub name: Option<String>,
}

impl Place {
    /// How far it is to another place, in metres as the crow flies: along a great circle of a sphere with the earth's mean radius.
    pub fn metres_to(&self, other: &Self) -> f64 {
        const MEAN_RADIUS: f64 = 6_371_008.8;
        let (lat, other_lat) = (self.lat.to_radians(), other.lat.to_radians());
        let (north, east) = ((other_lat - lat) / 2.0, (other.lon - self.lon).to_radians() / 2.0);
        let haversine = north.sin().powi(2) + lat.cos() * other_lat.cos() * east.sin().powi(2);
        2.0 * MEAN_RADIUS * haversine.sqrt().min(1.0).asin()
    }
}

/// A picture or a clip that belongs to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Name within the incident: the last part of its topic.
    pub name: String,
    /// The camera that took it; not known of pictures taken by version 0.1.0 and before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Id>,
    /// Media type.
    pub media_type: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
    /// When the picture was taken; of a clip, its first one.
    pub taken: Moment,
    /// How long a clip takes to play, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How it is sealed, if it is. Hash and length are those of the sealed file, the media type that of what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealing>,
}

/// How evidence is sealed, and who can open it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sealing {
    /// The format.
    pub format: SealFormat,
    /// Public keys of those who can open it.
    pub recipients: Vec<String>,
}

/// How files are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SealFormat {
    /// age-encryption.org/v1, for X25519 recipients.
    Age,
}

/// A model that looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelDigest {
    /// Its manifest's id.
    pub id: Id,
    /// SHA-256 of its file, hexadecimal.
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    pub sha256: String,
}
