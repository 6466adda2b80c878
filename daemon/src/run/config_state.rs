//! Which configuration is in force, and why it is not the one that lies in the directory: for whoever asks over MQTT.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use snowgate_core::choice;

use crate::{
    config::{Problems, Severity},
    uplink::{RetainedStates, Topics},
};

choice! {
    /// Where the configuration in force comes from.
    pub enum Origin {
        /// The directory that was given.
        Given = "given",
        /// The copy of the last good one: what was given at the start cannot be used.
        LastGood = "last_good",
    }
}

/// Which configuration is in force: payload of its state topic.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConfigStateMessage {
    /// Its digest, as incidents carry it.
    pub digest: String,
    /// Where it comes from.
    pub origin: Origin,
    /// How many have been in force since the daemon started, itself included.
    pub generation: u64,
    /// Since when it is in force.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// Why what lies in the directory is not in force; missing while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// Why a configuration was refused.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Refusal {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// How many errors it has; the gateway's log and `snowgate check` name all of them.
    pub errors: usize,
    /// The first of them, with file, line and column.
    pub first: String,
}

/// Keeps the state topic.
pub struct ConfigState {
    message: ConfigStateMessage,
    topic: String,
    retained: RetainedStates,
}

impl ConfigState {
    /// The first configuration is in force.
    pub fn new(message: ConfigStateMessage, topics: &Topics, retained: RetainedStates) -> Self {
        let state = Self { message, topic: topics.config_state(), retained };
        state.tell();
        state
    }

    /// What is in force.
    pub fn message(&self) -> &ConfigStateMessage {
        &self.message
    }

    /// The directory's configuration is in force, as it was already, or from now on.
    pub fn taken(&mut self, digest: String, at: Timestamp) {
        let message = &mut self.message;
        (message.origin, message.refused) = (Origin::Given, None);
        if message.digest != digest {
            (message.digest, message.since) = (digest, at);
            message.generation += 1;
        }
        self.tell();
    }

    /// The directory's configuration is refused: everything stays as it was.
    pub fn refused(&mut self, refusal: Refusal) {
        self.message.refused = Some(refusal);
        self.tell();
    }

    fn tell(&self) {
        // A struct of plain fields always serialises.
        self.retained.set(self.topic.clone(), serde_json::to_vec(&self.message).unwrap_or_default());
    }
}

impl Refusal {
    /// By these problems.
    pub fn new(problems: &Problems, at: Timestamp) -> Self {
        let first = problems.iter().find(|problem| problem.severity == Severity::Error);
        let first = first.map(ToString::to_string).unwrap_or_default();
        Self { at, errors: problems.count(Severity::Error), first }
    }
}
