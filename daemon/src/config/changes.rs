//! What differs between two configurations, as far as it matters to what runs.
//!
//! Where a thing is written, and how, makes no difference: what is compared is what the files say, with their secrets and
//! everything that they refer to.

use super::{CameraConfig, Config, Gateway, SensorConfig};

/// How much of a camera that is watched before and after begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CameraChange {
    /// Nothing.
    Nothing,
    /// What its pictures are held against: zones, lines, rules and how they are reported. It is followed on, and rules that stay
    /// the same keep their state.
    Rules,
    /// How its pictures are looked at: it is seen with new eyes, from the same stream.
    Sight,
    /// Everything: its stream is opened anew.
    Stream,
}

impl Config {
    /// Sections of gateway.toml that the whole daemon is built upon and that differ in `other`: the daemon has to start anew.
    pub fn foundations_that_differ(&self, other: &Self) -> Vec<&'static str> {
        // The sun is looked at through schedules, which are compared by themselves.
        let gateway = |config: &Self| Gateway { place: None, ..config.gateway.clone() };
        let sections = [
            ("gateway", gateway(self) != gateway(other) || self.signing_key != other.signing_key),
            ("mqtt", self.broker != other.broker || self.max_packet != other.max_packet),
            ("storage", self.data != other.data || self.storage != other.storage),
            ("models", self.models != other.models),
            ("decoders", self.decoders != other.decoders),
            ("workers", self.workers != other.workers),
            ("evidence", self.evidence != other.evidence),
            ("verify", self.verify != other.verify),
            ("admin", self.admin != other.admin),
            ("sensors", self.sensor_network != other.sensor_network),
        ];
        sections.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| section).collect()
    }

    /// Whether what rules refer to outside of their camera's or sensor's file differs: categories, grids, schedules.
    pub fn reports_differently(&self, other: &Self) -> bool {
        self.categories != other.categories || self.grid != other.grid || self.schedules != other.schedules
    }
}

impl CameraConfig {
    /// What begins anew of this camera if it is watched as `other` says, its rules being reported as before.
    pub fn change_to(&self, other: &Self) -> CameraChange {
        let stream = |camera: &Self| {
            (camera.stream.clone(), camera.streams.clone(), camera.password.clone(), camera.ring.clone())
        };
        let sight = |camera: &Self| {
            let models = (camera.object_model.clone(), camera.face_model.clone(), camera.scene_model.clone());
            (camera.detect.clone(), camera.masks.clone(), camera.health.clone(), camera.anomaly.clone(), models)
        };
        let looks_for = |camera: &Self| {
            let mut labels: Vec<_> = camera
                .rules
                .iter()
                .flat_map(|rule| rule.spec.looks_for().map(str::to_owned).collect::<Vec<_>>())
                .collect();
            labels.sort();
            labels.dedup();
            (labels, camera.watches_for_anomalies())
        };
        let rules = |camera: &Self| {
            let shown = (camera.name.clone(), camera.place.clone());
            (shown, camera.zones.clone(), camera.lines.clone(), camera.rules.clone())
        };
        if self.id != other.id || stream(self) != stream(other) {
            CameraChange::Stream
        } else if sight(self) != sight(other) || looks_for(self) != looks_for(other) {
            CameraChange::Sight
        } else if rules(self) != rules(other) {
            CameraChange::Rules
        } else {
            CameraChange::Nothing
        }
    }
}

impl SensorConfig {
    /// Whether what is made of what it says differs in `other`. How it is reached is another matter.
    pub fn judges_differently(&self, other: &Self) -> bool {
        let judged = |sensor: &Self| {
            let quantities: Vec<_> = sensor.source.quantities().into_iter().cloned().collect();
            let shown = (sensor.name.clone(), sensor.place.clone());
            (shown, sensor.silent_after, quantities, sensor.rules.clone())
        };
        judged(self) != judged(other)
    }
}
