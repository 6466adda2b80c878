//! Where messages go: `snowgate/v1/{gateway}/…`.

use std::fmt;

use snowgate_core::ids::{Id, IncidentId};

/// The topics of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// Topics below `snowgate/v1/{gateway}`.
    pub fn new(gateway: &Id) -> Self {
        Self { root: format!("snowgate/v1/{gateway}") }
    }

    /// What all of them begin with.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Whether the gateway is online; retained, and the last will.
    pub fn status(&self) -> String {
        format!("{}/status", self.root)
    }

    /// Which configuration is in force; retained.
    pub fn config_state(&self) -> String {
        format!("{}/config/state", self.root)
    }

    /// A camera's health; retained.
    pub fn camera_state(&self, camera: &Id) -> String {
        format!("{}/camera/{camera}/state", self.root)
    }

    /// A sensor's health; retained.
    pub fn sensor_state(&self, sensor: &Id) -> String {
        format!("{}/sensor/{sensor}/state", self.root)
    }

    /// A sensor's readings.
    pub fn telemetry(&self, sensor: &Id) -> String {
        format!("{}/telemetry/{sensor}", self.root)
    }

    /// Revisions of incidents that start at a level of the grid tree, in one grid.
    pub fn incident(&self, level: impl fmt::Display, grid: impl fmt::Display) -> String {
        format!("{}/incident/{level}/{grid}", self.root)
    }

    /// A redacted picture that goes with an incident.
    pub fn evidence(&self, incident: IncidentId, name: impl fmt::Display) -> String {
        format!("{}/evidence/{incident}/{name}", self.root)
    }

    /// What a day has brought, once it is over; retained.
    pub fn daily_summary(&self) -> String {
        format!("{}/summary/daily", self.root)
    }

    /// What the day that goes on has brought so far; retained.
    pub fn summary_today(&self) -> String {
        format!("{}/summary/today", self.root)
    }

    /// Reports of evidence that was deleted.
    pub fn evidence_deleted(&self) -> String {
        format!("{}/evidence-deleted", self.root)
    }

    /// The last line of the access log; retained.
    pub fn access_head(&self) -> String {
        format!("{}/access-log/head", self.root)
    }

    /// Reports of messages that were given up.
    pub fn gap(&self) -> String {
        format!("{}/gap", self.root)
    }

    /// What the topics of commands begin with; a command's name follows.
    pub(super) fn command_prefix(&self) -> String {
        format!("{}/cmd/", self.root)
    }

    /// Commands of every name, as a subscription.
    pub fn commands(&self) -> String {
        format!("{}/cmd/+", self.root)
    }

    /// Answers to commands of a name.
    pub fn command_answer(&self, name: &str) -> String {
        format!("{}/cmd-ack/{name}", self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_the_contract() {
        let topics = Topics::new(&"gate-1".parse().unwrap());
        assert_eq!(topics.status(), "snowgate/v1/gate-1/status");
        assert_eq!(topics.camera_state(&"north".parse().unwrap()), "snowgate/v1/gate-1/camera/north/state");
        assert_eq!(topics.sensor_state(&"gauge".parse().unwrap()), "snowgate/v1/gate-1/sensor/gauge/state");
        assert_eq!(topics.telemetry(&"gauge".parse().unwrap()), "snowgate/v1/gate-1/telemetry/gauge");
        assert_eq!(topics.incident("village", "330110001"), "snowgate/v1/gate-1/incident/village/330110001");
        let incident = IncidentId::try_from("01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned()).unwrap();
        assert_eq!(
            topics.evidence(incident, "still.jpg"),
            "snowgate/v1/gate-1/evidence/01ARZ3NDEKTSV4RRFFQ69G5FAV/still.jpg"
        );
        assert_eq!(topics.gap(), "snowgate/v1/gate-1/gap");
        assert_eq!(topics.commands(), "snowgate/v1/gate-1/cmd/+");
        assert_eq!(topics.command_prefix(), "snowgate/v1/gate-1/cmd/");
        assert_eq!(topics.command_answer("verify"), "snowgate/v1/gate-1/cmd-ack/verify");
    }
}
