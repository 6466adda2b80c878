//! One message of each kind, as the gateway's own code writes it: examples.json is what a test of the whole loop has made.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Name of the [`MessageKind`](super::MessageKind) that it is of.
    pub message: String,
    /// Where it was sent.
    pub topic: String,
    /// What it said.
    pub payload: Value,
}

/// An example of each message that is JSON.
pub fn examples() -> Vec<Example> {
    // The file is a part of the program: a test reads it.
    serde_json::from_str(include_str!("examples.json")).unwrap_or_default()
}
