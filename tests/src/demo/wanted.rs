//! What the demo must show: one incident at least of each of three kinds of rules.

use std::fmt;

use snowgate::config::Config;
use snowgate_core::{
    ids::Id,
    rules::spec::{RuleKind, RuleSpec},
};

use crate::grid_system::Received;

/// A kind of rule that the demo must show at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Somebody enters a zone.
    Intrusion,
    /// Somebody crosses a line.
    LineCrossing,
    /// There is a face in a zone.
    FaceInZone,
}

impl Wanted {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Intrusion, Self::LineCrossing, Self::FaceInZone];

    /// The kind that a rule is of; none for kinds that need not be shown.
    fn of(rule: &RuleSpec) -> Option<Self> {
        match &rule.kind {
            RuleKind::Intrusion(_) if rule.labels.iter().any(|label| label == "face") => Some(Self::FaceInZone),
            RuleKind::Intrusion(_) => Some(Self::Intrusion),
            RuleKind::LineCrossing(_) => Some(Self::LineCrossing),
            _ => None,
        }
    }

    /// Every rule of this kind, with its camera.
    pub fn rules(self, config: &Config) -> impl Iterator<Item = (&Id, &Id)> {
        config.cameras.iter().flat_map(move |camera| {
            let rules = camera.rules.iter().filter(move |rule| Self::of(&rule.spec) == Some(self));
            rules.map(move |rule| (&camera.id, &rule.spec.id.value))
        })
    }

    /// Whether an incident of this kind has arrived.
    pub fn has_arrived(self, config: &Config, received: &Received) -> bool {
        let mut rules = self.rules(config);
        rules.any(|rule| received.events.iter().any(|event| rule == (event.data.origin.id(), &event.data.rule)))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Intrusion => "intrusion",
            Self::LineCrossing => "line crossing",
            Self::FaceInZone => "face in a zone",
        })
    }
}
