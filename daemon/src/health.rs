//! Whether the box does its job, as its parts have last said.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// A part that must work before the box is ready.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All models are loaded.
    Models,
    /// The outbox can be written to.
    Outbox,
    /// At least one camera is live, or it is known why none is.
    Cameras,
}

impl Part {
    fn name(&self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Outbox => "outbox",
            Self::Cameras => "cameras",
        }
    }
}

/// What each part has last said of itself; a part that has said nothing is not ready.
#[derive(Debug)]
pub struct Health(Mutex<BTreeMap<Part, Result<(), String>>>);

impl Default for Health {
    fn default() -> Self {
        let silent = [Part::Models, Part::Outbox, Part::Cameras].map(|part| (part, Err("not started yet".to_owned())));
        Self(Mutex::new(silent.into()))
    }
}

impl Health {
    /// A part says whether it works, or why not.
    pub fn set(&self, part: Part, state: Result<(), String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, state);
    }

    /// Every part that does not work, with its reason; empty when the box is ready.
    pub fn not_ready(&self) -> Vec<String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = parts.iter().filter_map(|(part, state)| Some((part, state.as_ref().err()?)));
        failing.map(|(part, reason)| format!("{}: {reason}", part.name())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_part_has_said_so() {
        let health = Health::default();
        assert_eq!(health.not_ready().len(), 3);
        for part in [Part::Models, Part::Outbox, Part::Cameras] {
            health.set(part, Ok(()));
        }
        assert_eq!(health.not_ready(), Vec::<String>::new());
        health.set(Part::Outbox, Err("disk full".into()));
        assert_eq!(health.not_ready(), ["outbox: disk full"]);
    }
}
