//! What a line of the log says.

use serde::{Deserialize, Serialize};
use snowgate_core::{
    ids::{Id, IncidentId},
    time::Stamp,
};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The grid system makes the box look again.
    Verify,
    /// Somebody takes evidence off the box.
    Export,
    /// Somebody has evidence kept until it is released.
    Hold,
    /// Somebody lets go of evidence that was held.
    Release,
    /// The box deletes evidence.
    Delete,
    /// Somebody takes all state of the box, evidence too, for a box that takes its place.
    HandOver,
    /// Somebody takes a backup of all state of the box, evidence too.
    BackUp,
    /// Somebody takes a covered picture of what a camera shows.
    Look,
}

impl Action {
    /// The word that stands for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Export => "export",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Delete => "delete",
            Self::HandOver => "hand_over",
            Self::BackUp => "back_up",
            Self::Look => "look",
        }
    }
}

/// A file that something is done with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessedFile {
    /// Its name within the incident; that of a picture which belongs to none.
    pub name: String,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
}

/// Somebody does something, or is refused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// What.
    pub action: Action,
    /// The incident it is about; none where it is refused because it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// The camera, where it is about what one shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Id>,
    /// The id of the command, where one asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Who, as they say.
    pub by: String,
    /// The unit that they act for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Why.
    pub reason: String,
    /// The account at the box, where it is done there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Which files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<AccessedFile>,
    /// Whether it is granted.
    pub granted: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counted from 1.
    pub(super) number: u64,
    /// SHA-256 of the line before.
    pub(super) previous: String,
    /// When it was written.
    pub at: Stamp,
    /// What it says.
    #[serde(flatten)]
    pub access: Access,
}
