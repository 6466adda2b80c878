//! What finds incidents, cameras, sensors and joined rules, and what each tells of them.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Merge, ModelDigest, Place, Target};
use crate::{
    ids::{Id, IncidentId},
    joined::{Coincidence, Device},
    priority::Priority,
    rules::Tally,
    scene::Condition,
    schedule::Schedule,
    sensor::{
        reading::{Reading, Verdict},
        rules::AlarmTally,
        unit::Unit,
    },
    time::Moment,
};

/// Everything about a rule that its incidents carry; `O` is whose rule it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Source<O> {
    /// Whose rule it is.
    pub of: O,
    /// Where the camera or the sensor stands; of a joined rule, that which completed its condition.
    pub place: Option<Place>,
    /// The rule's id.
    pub rule: Id,
    /// The rule's kind, as in the configuration.
    pub rule_kind: String,
    /// How and to whom it is reported.
    pub target: Target,
    /// The same in its place while schedules hold; the first that does decides. Only the severity differs, and what follows from
    /// it.
    pub target_during: Vec<(Arc<Schedule>, Target)>,
    /// Whether what it finds joins an incident that people have not finished with.
    pub merge: Option<Merge>,
    /// For how long it opens no incident after people have finished with one.
    pub quiet_after: Duration,
    /// Who goes first where not everything can be done at once.
    pub priority: Priority,
}

impl<O> Source<O> {
    /// How and to whom what begins at this moment is reported; as ever while the box does not know what time it is.
    pub fn target_at(&self, at: Moment) -> &Target {
        let mut during = self.target_during.iter().filter(|(schedule, _)| at.synchronised && schedule.holds(at.wall));
        during.next().map_or(&self.target, |(_, target)| target)
    }
}

/// A camera, as its rules' incidents tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSource {
    /// The camera's id.
    pub camera: Id,
    /// What people call the camera.
    pub camera_name: String,
    /// The rule's zone or line; none if it is about all that the camera shows.
    pub area: Option<Area>,
    /// The models that look for it.
    pub models: Vec<ModelDigest>,
}

/// A zone or line.
#[derive(Debug, Clone, PartialEq)]
pub struct Area {
    /// Its id.
    pub id: Id,
    /// What people call it.
    pub name: String,
}

/// A sensor, as its rules' incidents tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorSource {
    /// The sensor's id.
    pub sensor: Id,
    /// What people call the sensor.
    pub sensor_name: String,
    /// The quantity that the rule watches.
    pub quantity: Id,
    /// What people call the quantity.
    pub quantity_name: String,
    /// The unit in which it is reported.
    pub unit: Unit,
}

/// A joined rule, as its incidents tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedSource {
    /// What people call the rule.
    pub name: String,
}

/// What found an incident, and what it found. In JSON its keys stand among the incident's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    /// A camera.
    Camera(SeenByCamera),
    /// A sensor.
    Sensor(ToldBySensor),
    /// A joined rule.
    Joined {
        /// What it joins.
        joined: JoinedIncidents,
    },
}

impl Origin {
    /// `camera`, `sensor` or `joined`, and the id of the camera, the sensor or the joined rule.
    pub fn kind_and_id(&self) -> (&'static str, &Id) {
        match self {
            Self::Camera(seen) => ("camera", &seen.camera),
            Self::Sensor(told) => ("sensor", &told.sensor),
            Self::Joined { joined } => ("joined", &joined.rule),
        }
    }

    /// What the camera saw, if it is one.
    pub fn camera(&self) -> Option<&SeenByCamera> {
        match self {
            Self::Camera(seen) => Some(seen),
            Self::Sensor(_) | Self::Joined { .. } => None,
        }
    }

    /// What the sensor told, if it is one.
    pub fn sensor(&self) -> Option<&ToldBySensor> {
        match self {
            Self::Sensor(told) => Some(told),
            Self::Camera(_) | Self::Joined { .. } => None,
        }
    }

    /// The readings that it carries.
    pub(super) fn readings(&self) -> &[MeasuredValue] {
        self.sensor().map_or(&[], |told| &told.readings)
    }

    /// The readings that it carries.
    pub(super) fn readings_mut(&mut self) -> &mut [MeasuredValue] {
        match self {
            Self::Sensor(told) => &mut told.readings,
            Self::Camera(_) | Self::Joined { .. } => &mut [],
        }
    }
}

/// What a camera saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenByCamera {
    /// The camera.
    pub camera: Id,
    /// The zone or line it is about; missing if it is about all that the camera shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Id>,
    /// What is wrong with the camera, if it is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// The highest speed of any thing that took part, in kilometres per hour, if it is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_kmh: Option<f32>,
    /// The greatest height of any thing that took part, as a share of the frame's, if it is about things that are followed.
    // Version 0.1.0 stored none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub height: Option<f32>,
    /// The most things on a square metre at once, to two decimals, if it is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub density_m2: Option<f32>,
    /// How many things took part.
    pub counts: Counts,
    /// The models that looked.
    pub models: Vec<ModelDigest>,
}

/// How many things took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// In all.
    pub things: u32,
    /// The most at once.
    pub peak: u32,
    /// Crossings from the left to the right of the line.
    pub left_to_right: u32,
    /// Crossings from the right to the left of the line.
    pub right_to_left: u32,
}

impl From<&Tally> for Counts {
    fn from(tally: &Tally) -> Self {
        Self {
            things: tally.things,
            peak: tally.peak,
            left_to_right: tally.left_to_right,
            right_to_left: tally.right_to_left,
        }
    }
}

/// What a sensor told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToldBySensor {
    /// The sensor.
    pub sensor: Id,
    /// What it measured.
    pub quantity: Id,
    /// The unit of all values, as UCUM writes it.
    pub unit: String,
    /// The episode in figures.
    pub measure: Measure,
    /// The last readings of the quantity, the oldest first.
    pub readings: Vec<MeasuredValue>,
}

/// An episode of a sensor in figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// The last value that counted; none for silence that followed nothing.
    pub value: Option<f64>,
    /// The value that was furthest beyond: the highest above a limit, the lowest below one, the greatest change.
    pub extreme: Option<f64>,
    /// Readings in which the condition held; presses of a button.
    pub count: u32,
}

impl From<&AlarmTally> for Measure {
    fn from(tally: &AlarmTally) -> Self {
        Self { value: tally.value, extreme: tally.extreme, count: tally.count }
    }
}

/// A reading, as incidents carry it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredValue {
    /// The value; none if it was no number.
    pub value: Option<f64>,
    /// What is to be thought of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// When it was measured, by the device's own clock, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<jiff::Timestamp>,
    /// When it arrived.
    pub arrived: Moment,
}

impl From<&Reading> for MeasuredValue {
    fn from(reading: &Reading) -> Self {
        Self {
            value: Some(reading.value).filter(|value| value.is_finite()),
            verdict: reading.verdict,
            measured: reading.measured,
            arrived: reading.arrived,
        }
    }
}

/// What a joined rule joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinedIncidents {
    /// The joined rule.
    pub rule: Id,
    /// The incidents, in the order of their joining.
    #[schemars(length(max = 64))]
    pub incidents: Vec<JoinedIncident>,
}

/// An incident that a joined rule joins, and the rule that found it: a camera's or a sensor's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinedIncident {
    /// Its id.
    pub incident: IncidentId,
    /// The camera, if it is a camera's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Id>,
    /// The sensor, if it is a sensor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<Id>,
    /// The rule.
    pub rule: Id,
}

impl From<&Coincidence> for JoinedIncidents {
    fn from(coincidence: &Coincidence) -> Self {
        let joins = coincidence.joins.iter().map(|(incident, by)| {
            let (camera, sensor) = match &by.device {
                Device::Camera(camera) => (Some(camera.clone()), None),
                Device::Sensor(sensor) => (None, Some(sensor.clone())),
            };
            JoinedIncident { incident: *incident, camera, sensor, rule: by.rule.clone() }
        });
        Self { rule: coincidence.rule.clone(), incidents: joins.collect() }
    }
}
