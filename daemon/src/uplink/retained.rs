//! States the broker keeps for whoever asks later: health of cameras. The newest value of each topic is all that
//! matters, so they are kept in memory, not in the outbox, and published anew on every connection.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// The newest payload of each retained topic; clones share it. Overflow policy: latest wins.
#[derive(Debug, Clone)]
pub struct RetainedStates {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    states: Mutex<BTreeMap<String, State>>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct State {
    version: u64,
    payload: Vec<u8>,
}

/// A state as it is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) version: u64,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

impl Default for RetainedStates {
    fn default() -> Self {
        Self { shared: Arc::new(Shared { states: Mutex::default(), version: watch::Sender::new(0) }) }
    }
}

impl RetainedStates {
    /// No states yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a topic's payload; the same payload again changes nothing. Never blocks on the network.
    pub fn set(&self, topic: impl Into<String>, payload: impl Into<Vec<u8>>) {
        let (topic, payload) = (topic.into(), payload.into());
        let mut states = self.shared.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.get(&topic).is_some_and(|state| state.payload == payload) {
            return;
        }
        self.shared.version.send_modify(|version| {
            *version += 1;
            states.insert(topic, State { version: *version, payload });
        });
    }

    /// Takes a topic's payload from the broker, if it was ever set: an empty one is kept for nobody (MQTT 3.1.1, 3.3.1.3).
    pub fn remove(&self, topic: impl Into<String>) {
        let topic = topic.into();
        let is_set = self.shared.states.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&topic);
        if is_set {
            self.set(topic, Vec::new());
        }
    }

    /// What has changed since a version, in the order it changed.
    pub(super) fn since(&self, version: u64) -> Vec<Changed> {
        let states = self.shared.states.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = states.iter().filter(|(_, state)| state.version > version);
        let mut changed: Vec<_> = newer
            .map(|(topic, state)| Changed {
                version: state.version,
                topic: topic.clone(),
                payload: state.payload.clone(),
            })
            .collect();
        changed.sort_by_key(|changed| changed.version);
        changed
    }

    /// Follows changes.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_wins_and_the_same_is_no_change() {
        let states = RetainedStates::new();
        let mut watch = states.watch();
        states.set("a", "1");
        states.set("b", "1");
        states.set("a", "2");
        let topics = |since| -> Vec<_> { states.since(since).into_iter().map(|c| (c.topic, c.payload)).collect() };
        assert_eq!(topics(0), [("b".to_owned(), b"1".to_vec()), ("a".to_owned(), b"2".to_vec())]);
        assert_eq!(topics(2), [("a".to_owned(), b"2".to_vec())]);
        watch.mark_unchanged();
        states.set("a", "2");
        assert!(!watch.has_changed().unwrap());
    }
}
