//! How every camera is, for whoever asks: the retained MQTT states and the readiness of the box.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::Serialize;
use snowgate_core::{ids::Id, scene::Condition, time::Clock};

use crate::{
    camera::health::{CameraHealth, CameraState, HealthSink},
    events::camera::CameraForgotten,
    health::{Health, Part},
    uplink::{RetainedStates, Topics},
    uptime::{Kind, Uptimes},
};

/// The last word of every camera.
pub struct Board {
    topics: Topics,
    retained: RetainedStates,
    health: Arc<Health>,
    uptimes: Arc<Uptimes>,
    clock: Arc<dyn Clock>,
    cameras: Mutex<BTreeMap<Id, (CameraState, Option<String>)>>,
}

/// How a camera is, and why: payload of its state topic.
#[derive(Serialize, JsonSchema)]
pub struct CameraStateMessage<'a> {
    /// The camera.
    pub camera: &'a Id,
    /// How the stream is that is watched.
    pub state: CameraState,
    /// Why; missing while live and at the first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Why the record stream is not live, where the camera has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_reason: Option<String>,
    /// What is wrong with the pictures; missing while nothing is, or nobody can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Condition>,
    /// Since when the stream is in this state.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

impl Board {
    /// A board for these cameras, none of which has said anything.
    pub fn new(
        topics: Topics,
        retained: RetainedStates,
        health: Arc<Health>,
        uptimes: Arc<Uptimes>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self { topics, retained, health, uptimes, clock, cameras: Mutex::default() })
    }

    /// Where a camera's receiver reports to.
    pub fn sink(self: &Arc<Self>) -> HealthSink {
        let board = Arc::clone(self);
        HealthSink::new(move |health: CameraHealth| board.heard(&health))
    }

    /// A camera that is not even tried, and why.
    pub fn refused(&self, camera: &Id, reason: &str) {
        self.set(camera, CameraState::Refused, Some(reason.to_owned()), None, None, self.clock.now().wall);
    }

    /// A camera that the configuration has no more: nobody keeps anything of it.
    pub fn forget(&self, camera: &Id) {
        self.uptimes.forget(Kind::Camera, camera);
        self.retained.remove(self.topics.camera_state(camera));
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.remove(camera);
        self.health.set(Part::Cameras, readiness(&cameras));
        CameraForgotten { camera: camera.as_str() }.emit();
    }

    /// There are no cameras to be watched: nobody waits for one.
    pub fn nothing_to_watch(&self) {
        self.health.set(Part::Cameras, Ok(()));
    }

    /// Whether anything has been told of a camera.
    pub fn knows(&self, camera: &Id) -> bool {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner).contains_key(camera)
    }

    fn heard(&self, health: &CameraHealth) {
        let reason = health.fault.as_ref().map(ToString::to_string);
        let record_reason = health.record_fault().map(ToString::to_string);
        let since = self.clock.moment_at(health.since).wall;
        self.set(&health.camera, health.state, reason, record_reason, health.condition, since);
    }

    fn set(
        &self,
        camera: &Id,
        state: CameraState,
        reason: Option<String>,
        record_reason: Option<String>,
        pictures: Option<Condition>,
        since: jiff::Timestamp,
    ) {
        self.uptimes.set(Kind::Camera, camera, state == CameraState::Live, self.clock.mono());
        let since = since.to_string();
        let message = CameraStateMessage { camera, state, reason: reason.as_deref(), record_reason, pictures, since };
        // A struct of strings always serialises.
        self.retained.set(self.topics.camera_state(camera), serde_json::to_vec(&message).unwrap_or_default());
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.insert(camera.clone(), (state, reason));
        self.health.set(Part::Cameras, readiness(&cameras));
    }
}

/// Ready when at least one camera is live, or it is known of every one why it is not.
fn readiness(cameras: &BTreeMap<Id, (CameraState, Option<String>)>) -> Result<(), String> {
    let live = cameras.values().any(|(state, _)| *state == CameraState::Live);
    let unknown = || cameras.iter().find(|(_, (_, reason))| reason.is_none());
    match unknown() {
        Some((camera, (state, _))) if !live => Err(format!("camera {camera} is {state}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_one_is_live_or_all_are_known_to_be_down() {
        let camera =
            |name: &str, state, reason: Option<&str>| (name.parse::<Id>().unwrap(), (state, reason.map(str::to_owned)));
        let connecting = camera("a", CameraState::Connecting, None);
        let dead = camera("b", CameraState::Connecting, Some("no answer"));
        let live = camera("c", CameraState::Live, None);
        assert!(readiness(&[connecting.clone(), dead.clone()].into()).is_err());
        assert!(readiness(&[dead].into()).is_ok());
        assert!(readiness(&[connecting, live].into()).is_ok());
    }
}
