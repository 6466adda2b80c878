//! What arrived, against what was committed: whether anything is lost, out of order, or twice but not the same.
//!
//! The contract that is held against every event: its `id` is `{incident}.{revision}`; of what arrives twice under one id,
//! every byte is the same; first arrivals of one incident's revisions come in their order; event numbers have no holes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map},
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

use serde::Deserialize;
use snowgate_core::ids::IncidentId;

/// Breaches of the contract are kept in words, up to so many.
const MAX_BREACHES: usize = 20;

/// A loss that the gateway has announced.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AnnouncedGap {
    /// What was lost.
    pub class: String,
    /// Why.
    pub reason: String,
    /// How many messages; zero where that is not known.
    pub messages: u64,
}

/// An event that has arrived for the first time, as far as delays are measured by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The sensor that told it.
    pub sensor: String,
    /// The value that opened it.
    pub value: f64,
    /// When it arrived.
    pub at: Instant,
}

/// Everything that has arrived.
#[derive(Debug, Default)]
pub struct Ledger {
    incidents: HashMap<IncidentId, Vec<(u32, u64)>>,
    sequences: Sequences,
    events: u64,
    duplicates: u64,
    openings: Vec<Opening>,
    in_order_up_to: u64,
    last_in_order: u64,
    unsynchronised: u64,
    gaps: Vec<AnnouncedGap>,
    breaches: Vec<String>,
    breached: u64,
}

/// What was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// The newest revision of every incident.
    pub incidents: BTreeMap<IncidentId, u32>,
    /// The number of the newest event.
    pub sequence: u64,
}

impl Truth {
    /// Revisions of all incidents.
    pub fn revisions(&self) -> u64 {
        self.incidents.values().map(|revision| u64::from(*revision)).sum()
    }

    /// Takes in what another store, or the same one later, says.
    pub fn merge(&mut self, other: Self) {
        for (incident, revision) in other.incidents {
            let known = self.incidents.entry(incident).or_default();
            *known = revision.max(*known);
        }
        self.sequence = self.sequence.max(other.sequence);
    }
}

/// How what arrived compares with what was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Incidents of which every revision arrived.
    pub delivered: u64,
    /// Ids of events that never arrived.
    pub missing: Vec<String>,
    /// Event numbers that never arrived.
    pub missing_sequences: u64,
    /// Events that arrived and were never committed.
    pub invented: u64,
}

/// Event numbers seen: all up to one, and some beyond.
#[derive(Debug, Default)]
struct Sequences {
    all_up_to: u64,
    beyond: BTreeSet<u64>,
}

impl Sequences {
    fn insert(&mut self, sequence: u64) {
        if sequence > self.all_up_to {
            self.beyond.insert(sequence);
        }
        while self.beyond.remove(&(self.all_up_to + 1)) {
            self.all_up_to += 1;
        }
    }

    fn missing_between(&self, first: u64, last: u64) -> u64 {
        let first = first.max(self.all_up_to + 1);
        if first > last { 0 } else { last - first + 1 - self.beyond.range(first..=last).count() as u64 }
    }
}

#[derive(Deserialize)]
struct Event {
    id: String,
    r#type: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    incident: IncidentId,
    revision: u32,
    sequence: u64,
    sensor: Option<String>,
    measure: Option<Measure>,
    times: Times,
}

#[derive(Deserialize)]
struct Measure {
    value: f64,
}

#[derive(Deserialize)]
struct Times {
    clock_synchronised: bool,
}

impl Ledger {
    /// Enters an event as it arrived.
    pub fn take(&mut self, payload: &[u8], at: Instant) {
        let event: Event = match serde_json::from_slice(payload) {
            Ok(event) => event,
            Err(error) => return self.breach(format!("no event: {error}")),
        };
        let Event { id, data, .. } = &event;
        if *id != format!("{}.{}", data.incident, data.revision) {
            self.breach(format!("{id} is revision {} of {}", data.revision, data.incident));
        }
        let digest = digest(payload);
        let revisions = match self.incidents.entry(data.incident) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => entry.insert(Vec::with_capacity(2)),
        };
        match revisions.iter().find(|(revision, _)| *revision == data.revision) {
            Some((_, before)) if *before == digest => self.duplicates += 1,
            Some(_) => self.breach(format!("{id} came twice, and not the same")),
            None => {
                let newest = revisions.iter().map(|(revision, _)| *revision).max();
                revisions.push((data.revision, digest));
                if let Some(newest) = newest.filter(|newest| *newest > data.revision) {
                    self.breach(format!("{id} came after revision {newest}"));
                }
                self.enter(event, at);
            }
        }
    }

    fn enter(&mut self, event: Event, at: Instant) {
        self.events += 1;
        self.sequences.insert(event.data.sequence);
        if event.data.sequence <= self.in_order_up_to {
            if event.data.sequence < self.last_in_order {
                self.breach(format!("event {} came after event {}", event.data.sequence, self.last_in_order));
            }
            self.last_in_order = event.data.sequence;
        }
        self.unsynchronised += u64::from(!event.data.times.clock_synchronised);
        if let (true, Some(sensor), Some(measure)) =
            (event.r#type.ends_with(".opened"), event.data.sensor, event.data.measure)
        {
            self.openings.push(Opening { sensor, value: measure.value, at });
        }
    }

    /// Enters a gap as it was announced.
    pub fn take_gap(&mut self, payload: &[u8]) {
        match serde_json::from_slice(payload) {
            Ok(gap) => self.gaps.push(gap),
            Err(error) => self.breach(format!("no gap: {error}")),
        }
    }

    /// Notes a breach of the contract.
    pub fn breach(&mut self, what: String) {
        self.breached += 1;
        if self.breaches.len() < MAX_BREACHES {
            self.breaches.push(what);
        }
    }

    /// Events up to this number are to come in the order of their numbers, whatever incident they are about.
    pub fn expect_in_order_up_to(&mut self, sequence: u64) {
        self.in_order_up_to = sequence;
    }

    /// Event numbers of this range, both ends included, that have not arrived.
    pub fn missing_between(&self, first: u64, last: u64) -> u64 {
        self.sequences.missing_between(first, last)
    }

    /// Incidents of which at least so many revisions have arrived.
    pub fn incidents_with(&self, revisions: usize) -> u64 {
        self.incidents.values().filter(|arrived| arrived.len() >= revisions).count() as u64
    }

    /// Incidents that have arrived, as many as asked for if there are.
    pub fn some_incidents(&self, most: usize) -> Vec<IncidentId> {
        let mut incidents: Vec<_> = self.incidents.keys().copied().collect();
        incidents.sort_unstable();
        incidents.truncate(most);
        incidents
    }

    /// Different events that have arrived.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Events that had arrived before, byte by byte the same.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Events whose times come from a clock that was not synchronised.
    pub fn unsynchronised(&self) -> u64 {
        self.unsynchronised
    }

    /// First arrivals that opened an incident, in order of arrival.
    pub fn openings(&self) -> &[Opening] {
        &self.openings
    }

    /// Losses that were announced.
    pub fn gaps(&self) -> &[AnnouncedGap] {
        &self.gaps
    }

    /// What went against the contract: how often, and the first of them in words.
    pub fn breaches(&self) -> (u64, &[String]) {
        (self.breached, &self.breaches)
    }

    /// Every event up to this number has arrived.
    pub fn has_all_up_to(&self, sequence: u64) -> bool {
        self.sequences.all_up_to >= sequence
    }

    /// Up to which number every event has arrived.
    pub fn all_up_to(&self) -> u64 {
        self.sequences.all_up_to
    }

    /// The digest of an event that has arrived.
    pub fn digest_of(&self, incident: IncidentId, revision: u32) -> Option<u64> {
        self.incidents.get(&incident)?.iter().find(|(known, _)| *known == revision).map(|(_, digest)| *digest)
    }

    /// Compares what arrived with what was committed.
    pub fn compare(&self, truth: &Truth) -> Comparison {
        let mut comparison = Comparison {
            missing_sequences: self.sequences.missing_between(1, truth.sequence),
            invented: self.invented(truth),
            ..Comparison::default()
        };
        for (incident, newest) in &truth.incidents {
            let before = comparison.missing.len();
            let arrived = |revision| self.digest_of(*incident, revision).is_some();
            let missing = (1..=*newest).filter(|revision| !arrived(*revision));
            comparison.missing.extend(missing.map(|revision| format!("{incident}.{revision}")));
            comparison.delivered += u64::from(comparison.missing.len() == before);
        }
        comparison
    }

    fn invented(&self, truth: &Truth) -> u64 {
        let invented = |(incident, revisions): (&IncidentId, &Vec<(u32, u64)>)| {
            let newest = truth.incidents.get(incident).copied().unwrap_or(0);
            revisions.iter().filter(|(revision, _)| *revision > newest).count() as u64
        };
        self.incidents.iter().map(invented).sum()
    }
}

/// Tells payloads apart: 64 bits, no secret.
pub fn digest(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "01JZZZZZZZZZZZZZZZZZZZZZZA";
    const B: &str = "01JZZZZZZZZZZZZZZZZZZZZZZB";

    fn event(incident: &str, revision: u32, sequence: u64, title: &str) -> Vec<u8> {
        let times = json!({ "clock_synchronised": true });
        let data = json!({
            "incident": incident, "revision": revision, "sequence": sequence, "title": title, "times": times
        });
        let event = json!({
            "id": format!("{incident}.{revision}"), "type": "org.snowgate.incident.updated", "data": data
        });
        serde_json::to_vec(&event).unwrap()
    }

    fn ledger(events: &[(&str, u32, u64, &str)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (incident, revision, sequence, title) in events {
            ledger.take(&event(incident, *revision, *sequence, title), Instant::now());
        }
        ledger
    }

    fn truth(incidents: &[(&str, u32)]) -> Truth {
        let incidents: BTreeMap<_, _> =
            incidents.iter().map(|(id, revision)| ((*id).to_owned().try_into().unwrap(), *revision)).collect();
        let sequence = incidents.values().map(|revision| u64::from(*revision)).sum();
        Truth { incidents, sequence }
    }

    #[test]
    fn all_there_with_a_duplicate_is_well() {
        let ledger = ledger(&[(A, 1, 1, ""), (B, 1, 2, ""), (A, 1, 1, ""), (A, 2, 3, "")]);
        assert_eq!((ledger.duplicates(), ledger.breaches().0, ledger.events()), (1, 0, 3));
        assert!(ledger.has_all_up_to(3) && !ledger.has_all_up_to(4));
        let comparison = ledger.compare(&truth(&[(A, 2), (B, 1)]));
        assert_eq!(comparison, Comparison { delivered: 2, ..Comparison::default() });
    }

    #[test]
    fn what_is_missing_is_named() {
        let comparison = ledger(&[(A, 1, 1, ""), (A, 3, 3, "")]).compare(&truth(&[(A, 3), (B, 1)]));
        assert_eq!((comparison.delivered, comparison.missing_sequences), (0, 2));
        assert_eq!(comparison.missing, [format!("{A}.2"), format!("{B}.1")]);
    }

    #[test]
    fn a_backlog_comes_in_order_and_what_is_live_need_not_wait() {
        let mut ledger = Ledger::default();
        ledger.expect_in_order_up_to(3);
        for (incident, revision, sequence) in [(A, 1, 1), (B, 1, 9), (A, 2, 3), (A, 3, 2)] {
            ledger.take(&event(incident, revision, sequence, ""), Instant::now());
        }
        assert_eq!(ledger.breaches(), (1, ["event 2 came after event 3".to_owned()].as_slice()));
        assert_eq!((ledger.missing_between(1, 3), ledger.missing_between(4, 9)), (0, 5));
    }

    #[test]
    fn what_nobody_committed_is_counted() {
        let comparison = ledger(&[(A, 1, 1, ""), (B, 1, 2, "")]).compare(&truth(&[(A, 1)]));
        assert_eq!(comparison.invented, 1);
    }

    #[test]
    fn disorder_and_duplicates_that_differ_are_breaches() {
        let out_of_order = ledger(&[(A, 2, 2, ""), (A, 1, 1, "")]);
        assert_eq!(out_of_order.breaches(), (1, [format!("{A}.1 came after revision 2")].as_slice()));
        let differing = ledger(&[(A, 1, 1, "one"), (A, 1, 1, "another")]);
        assert_eq!(differing.breaches(), (1, [format!("{A}.1 came twice, and not the same")].as_slice()));
        let mut malformed = Ledger::default();
        malformed.take(b"{", Instant::now());
        assert_eq!(malformed.breaches().0, 1);
    }
}
