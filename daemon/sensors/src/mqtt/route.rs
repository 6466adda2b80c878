//! From a message to the sensors it is of. It is parsed once, for all of them.

use std::collections::HashMap;

use rumqttc::Publish;
use snowgate_core::{
    ids::Id,
    sensor::json::{JsonError, JsonFields, JsonPlan, JsonReader},
};

use super::TopicFilter;
use crate::{
    intake::{Device, Intake},
    refusals::Refusals,
    spec::{MqttSource, json_reader},
};

/// So much of a topic is shown.
const SHOWN: usize = 128;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Whatever of it counts is with the intake.
    Taken,
    /// Nobody listens to its topic.
    Unwanted,
    /// The intake takes nothing any more: it must come again.
    NotTaken,
}

/// Who hears what.
pub(super) struct Routes {
    broker: String,
    plan: JsonPlan,
    listeners: Vec<Listener>,
    /// Listeners on one topic.
    exact: HashMap<String, Vec<usize>>,
    /// Listeners on any topic that a filter stands for.
    wild: Vec<(TopicFilter, Vec<usize>)>,
    intake: Intake,
    refusals: Refusals,
}

struct Listener {
    sensor: Id,
    reader: JsonReader,
    /// It shares its topic with other devices, and their messages are none of its business.
    is_choosy: bool,
}

impl Routes {
    pub(super) fn new(broker: &str, devices: &[Device<MqttSource>], intake: Intake) -> Self {
        let mut plan = JsonPlan::new();
        let (mut exact, mut wild) = (HashMap::<_, Vec<usize>>::new(), Vec::<(TopicFilter, Vec<usize>)>::new());
        let mut listeners = Vec::with_capacity(devices.len());
        for Device { sensor, source, .. } in devices {
            let filter = &source.topic.value;
            if filter.is_exact() {
                exact.entry(filter.as_str().to_owned()).or_default().push(listeners.len());
            } else if let Some((_, known)) = wild.iter_mut().find(|(known, _)| known == filter) {
                known.push(listeners.len());
            } else {
                wild.push((filter.clone(), vec![listeners.len()]));
            }
            let reader = json_reader(&mut plan, source.json(), &source.values);
            listeners.push(Listener { sensor: sensor.clone(), reader, is_choosy: source.device.is_some() });
        }
        let refusals = Refusals::new("mqtt", intake.clone());
        Self { broker: broker.to_owned(), plan, listeners, exact, wild, intake, refusals }
    }

    /// Tells the intake what a message says; waits while the intake is full.
    pub(super) async fn hear(&self, message: &Publish) -> Heard {
        let parsed = self.plan.parse(&message.payload);
        let mut heard = Heard::Unwanted;
        for listener in self.listeners(&message.topic) {
            heard = Heard::Taken;
            match &parsed {
                Ok(parsed) if listener.reader.is_from(parsed) => {
                    if !self.hear_for(listener, parsed, message).await {
                        return Heard::NotTaken;
                    }
                }
                // Rubbish on a topic that sensors share is nobody's in particular.
                Err(error) if !listener.is_choosy => self.unusable(listener, error, message).await,
                Ok(_) | Err(_) => {}
            }
        }
        if heard == Heard::Unwanted {
            // A subscription of an earlier configuration, which the broker has kept with the session.
            let why = || self.text(message, &"no sensor listens to this topic");
            self.refusals.tell(None, "unknown_sensor", why).await;
        } else if let Err(error) = &parsed
            && self.listeners(&message.topic).all(|listener| listener.is_choosy)
        {
            self.refusals.tell(None, reason(error), || self.text(message, error)).await;
        }
        heard
    }

    /// Answers whether the intake took what counts of it.
    async fn hear_for(&self, listener: &Listener, parsed: &JsonFields, message: &Publish) -> bool {
        let read = match listener.reader.read(parsed) {
            Ok(read) => read,
            Err(error) => {
                self.unusable(listener, &error, message).await;
                return true;
            }
        };
        // All samples of a message have the same time.
        if message.retain && read.samples.iter().any(|(_, sample)| sample.measured.is_none()) {
            let why = || self.text(message, &"the broker had kept it, and it does not say of when it is");
            self.refusals.tell(Some(&listener.sensor), "retained", why).await;
            return true;
        }
        let nothing = listener.reader.nothing(&message.payload, &read);
        let nothing_else = read.samples.is_empty();
        // A message without values and without errors is a sign of life.
        let counts = !nothing_else || read.errors.is_empty();
        if counts && !self.intake.heard(&listener.sensor, read.samples).await {
            return false;
        }
        if let Some(nothing) = nothing {
            let why = || self.text(message, &nothing);
            self.refusals.tell(Some(&listener.sensor), "nothing_for_sensor", why).await;
        }
        for error in read.errors.iter().map(|(_, error)| error).chain(&read.time_error) {
            if nothing_else {
                self.unusable(listener, error, message).await;
            } else {
                let why = || self.text(message, error);
                self.refusals.tell(Some(&listener.sensor), reason(error), why).await;
            }
        }
        true
    }

    async fn unusable(&self, listener: &Listener, error: &JsonError, message: &Publish) {
        let told = || self.text(message, error);
        self.refusals.unusable(&listener.sensor, reason(error), told, &error.to_string()).await;
    }

    fn listeners<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Listener> {
        let exact = self.exact.get(topic).into_iter().flatten();
        let wild =
            self.wild.iter().filter(move |(filter, _)| filter.matches(topic)).flat_map(|(_, listeners)| listeners);
        exact.chain(wild).map(|listener| &self.listeners[*listener])
    }

    fn text(&self, message: &Publish, why: &dyn std::fmt::Display) -> String {
        let topic = &message.topic[..message.topic.floor_char_boundary(SHOWN)];
        format!("{topic:?} of broker {}: {why}", self.broker)
    }
}

fn reason(error: &JsonError) -> &'static str {
    match error {
        JsonError::Length(_) => "too_long",
        _ => "malformed",
    }
}
