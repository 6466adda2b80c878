//! How a sensor is, and why.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;
use snowgate_core::{
    choice,
    ids::Id,
    sensor::reading::Verdict,
    time::{Clock, Mono},
};

use crate::events::sensor::{SensorForgotten, StateChanged};

choice! {
    /// How a sensor is.
    pub enum SensorState {
        /// Nothing has been heard of it yet.
        Waiting = "waiting",
        /// It is heard.
        Live = "live",
        /// It is heard more often than it may be; what is too much is neither published nor scored.
        Flooding = "flooding",
        /// Nothing has been heard of it for too long.
        Silent = "silent",
        /// It cannot be reached, or what it sends cannot be used.
        Faulty = "faulty",
        /// Its settings cannot be used; an operator has to act.
        Refused = "refused",
    }
}

/// What is known of a sensor that its state follows from.
#[derive(Debug, Clone)]
pub struct Signs {
    /// When anything was last heard of it.
    pub heard: Option<Mono>,
    /// Since when it has been listened for.
    pub since: Mono,
    /// What has gone wrong since it was last heard.
    pub fault: Option<String>,
    /// How many readings a second it may send, if it floods.
    pub flooding: Option<f64>,
    /// Silence after so long.
    pub silent_after: Duration,
}

impl Signs {
    /// The state, and why.
    fn state(&self, now: Mono) -> (SensorState, Option<String>) {
        let silence = now.since(self.heard.unwrap_or(self.since));
        match (&self.fault, self.flooding, self.heard) {
            (Some(fault), ..) => (SensorState::Faulty, Some(fault.clone())),
            _ if silence >= self.silent_after => {
                let reason = format!("nothing has been heard of it for {} s", self.silent_after.as_secs());
                (SensorState::Silent, Some(reason))
            }
            (None, Some(most), _) => {
                (SensorState::Flooding, Some(format!("it sends more than {most} readings a second")))
            }
            (None, None, None) => (SensorState::Waiting, None),
            (None, None, Some(_)) => (SensorState::Live, None),
        }
    }
}

/// Hears a sensor, its state, and the payload of its state topic; nothing of one that is listened to no more.
type Tell = dyn Fn(&Id, Option<(SensorState, Vec<u8>)>) + Send + Sync;

/// Where states are told; clones are the same.
#[derive(Clone)]
pub struct StateSink(Arc<Tell>);

impl SensorState {
    /// Whether its readings can be used.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Live | Self::Flooding)
    }
}

impl StateSink {
    /// Calls `tell` whenever a state changes.
    pub fn new(tell: impl Fn(&Id, Option<(SensorState, Vec<u8>)>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// A sensor that the configuration has no more: nobody keeps anything of it.
    pub fn forget(&self, sensor: &Id) {
        SensorForgotten { sensor: sensor.as_str() }.emit();
        (self.0)(sensor, None);
    }
}

/// How a sensor is, and why: payload of its state topic.
#[derive(Serialize, JsonSchema)]
pub struct SensorStateMessage<'a> {
    /// The sensor.
    sensor: &'a Id,
    /// How it is.
    state: SensorState,
    /// Why, where it is neither waiting nor live.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// What is thought of the last reading of each quantity of which there was one.
    quantities: BTreeMap<&'a Id, Verdict>,
}

/// What was last told of a sensor.
#[derive(Debug, PartialEq)]
struct LastTold {
    state: SensorState,
    reason: Option<String>,
    since: jiff::Timestamp,
    verdicts: BTreeMap<Id, Verdict>,
}

/// Tells of a sensor's state when it changes.
pub struct StateTeller {
    sensor: Id,
    sink: StateSink,
    last: Option<LastTold>,
}

impl StateTeller {
    /// For a sensor of which nothing has been told.
    pub fn new(sensor: Id, sink: StateSink) -> Self {
        Self { sensor, sink, last: None }
    }

    /// It is so; told if it was not before.
    pub fn update<'v>(
        &mut self,
        signs: &Signs,
        quantities: impl Iterator<Item = (&'v Id, Option<Verdict>)>,
        clock: &dyn Clock,
    ) {
        let (state, reason) = signs.state(clock.mono());
        let verdicts = quantities.filter_map(|(quantity, verdict)| Some((quantity.clone(), verdict?))).collect();
        self.tell(state, reason, verdicts, clock);
    }

    /// Its settings cannot be used.
    pub fn refused(&mut self, reason: &str, clock: &dyn Clock) {
        self.tell(SensorState::Refused, Some(reason.to_owned()), BTreeMap::new(), clock);
    }

    fn tell(&mut self, state: SensorState, reason: Option<String>, verdicts: BTreeMap<Id, Verdict>, clock: &dyn Clock) {
        let same = self.last.as_ref().filter(|last| last.state == state && last.reason == reason);
        if same.is_some_and(|last| last.verdicts == verdicts) {
            return;
        }
        let since = match same {
            Some(last) => last.since,
            None => {
                let bad = !matches!(state, SensorState::Waiting | SensorState::Live);
                let (sensor, reason) = (self.sensor.as_str(), reason.as_deref());
                StateChanged { sensor, states: SensorState::WORDS, state: state.as_str(), reason, bad }.emit();
                clock.now().wall
            }
        };
        let message = SensorStateMessage {
            sensor: &self.sensor,
            state,
            reason: reason.as_deref(),
            since: since.to_string(),
            quantities: verdicts.iter().map(|(quantity, verdict)| (quantity, *verdict)).collect(),
        };
        // A struct of strings always serialises.
        (self.sink.0)(&self.sensor, Some((state, serde_json::to_vec(&message).unwrap_or_default())));
        self.last = Some(LastTold { state, reason, since, verdicts });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use snowgate_core::time::ManualClock;

    use super::*;

    #[test]
    fn the_worst_is_told_once() {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let told: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
        let sink = {
            let told = Arc::clone(&told);
            StateSink::new(move |_, state| {
                told.lock().unwrap().push(serde_json::from_slice(&state.unwrap().1).unwrap());
            })
        };
        let gauge: Id = "gauge".parse().unwrap();
        let level: Id = "level".parse().unwrap();
        let mut teller = StateTeller::new(gauge, sink);
        let mut signs =
            Signs { heard: None, since: Mono(0), fault: None, flooding: None, silent_after: Duration::from_secs(60) };
        let mut update = |signs: &Signs, seconds: u64| {
            clock.advance_to(Mono(seconds * 1_000_000_000));
            teller.update(signs, [(&level, signs.heard.map(|_| Verdict::GOOD))].into_iter(), &clock);
        };
        update(&signs, 1);
        update(&signs, 2);
        signs.heard = Some(Mono(3_000_000_000));
        update(&signs, 3);
        signs.flooding = Some(50.0);
        update(&signs, 4);
        signs.fault = Some("no answer".into());
        update(&signs, 5);
        (signs.fault, signs.flooding) = (None, None);
        update(&signs, 63);
        let told = told.lock().unwrap();
        let states: Vec<_> = told.iter().map(|told| told["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["waiting", "live", "flooding", "faulty", "silent"]);
        assert_eq!(told[1]["quantities"]["level"]["quality"], "good");
        assert_eq!(told[3]["reason"], "no answer");
        assert_eq!(told[4]["since"], "2026-03-01T00:01:03Z");
    }
}
