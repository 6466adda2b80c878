//! What an adapter tells, as its tests read it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{fmt::Debug, sync::Arc, time::Duration};

use snowgate_core::{ids::Id, spec::Section, time::ManualClock};
use snowgate_sensors::intake::{Device, Fault, Intake, Rejected, Told};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout_at},
};

/// Longest time until something that must be told is.
const LIMIT: Duration = Duration::from_secs(30);

/// The other end of an intake.
pub struct Ear {
    told: Receiver<Told>,
    /// What was told and not asked for yet.
    waiting: Vec<Told>,
    /// The intake's clock: it stands still unless it is moved.
    pub clock: Arc<ManualClock>,
}

/// An intake and its other end.
pub fn intake() -> (Intake, Ear) {
    let wall = "2026-05-01T00:30:00Z".parse().expect("a time");
    let clock = Arc::new(ManualClock::new("boot", wall));
    let (intake, told) = Intake::new(clock.clone());
    (intake, Ear { told, waiting: Vec::new(), clock })
}

impl Ear {
    /// Waits for the first of what is told that `want` takes; the rest stays for later.
    pub async fn wait_for<T>(&mut self, what: &str, mut want: impl FnMut(&Told) -> Option<T>) -> T {
        if let Some(at) = self.waiting.iter().position(|told| want(told).is_some()) {
            let told = self.waiting.remove(at);
            return want(&told).expect("it was wanted a moment ago");
        }
        let end = Instant::now() + LIMIT;
        loop {
            let Ok(told) = timeout_at(end, self.told.recv()).await else {
                panic!("{what} was not told within {LIMIT:?}, but: {:?}", self.waiting);
            };
            let told = told.expect("the adapter holds its intake");
            match want(&told) {
                Some(wanted) => return wanted,
                None => self.waiting.push(told),
            }
        }
    }

    /// The quantities and values that a sensor says next.
    pub async fn heard(&mut self, sensor: &str) -> Vec<(String, f64)> {
        let samples = |samples: &[(Id, _)]| -> Vec<(String, f64)> {
            let value = |(id, sample): &(Id, snowgate_core::sensor::reading::Sample)| (id.to_string(), sample.value);
            samples.iter().map(value).collect()
        };
        self.wait_for(&format!("what {sensor} says"), |told| match told {
            Told::Heard { sensor: heard, samples: said, .. } if heard.as_str() == sensor => Some(samples(said)),
            _ => None,
        })
        .await
    }

    /// The next fault of a sensor.
    pub async fn fault(&mut self, sensor: &str) -> Fault {
        self.wait_for(&format!("a fault of {sensor}"), |told| match told {
            Told::Fault { sensor: faulty, fault } if faulty.as_str() == sensor => Some(fault.clone()),
            _ => None,
        })
        .await
    }

    /// That a sensor is reached again.
    pub async fn reached(&mut self, sensor: &str) {
        self.wait_for(&format!("that {sensor} is reached"), |told| match told {
            Told::Reached { sensor: reached } if reached.as_str() == sensor => Some(()),
            _ => None,
        })
        .await;
    }

    /// The next refusal: of which sensor, and the message.
    pub async fn rejected(&mut self, reason: &str) -> (Option<String>, String) {
        self.wait_for(&format!("a refusal ({reason})"), |told| match told {
            Told::Rejected(Rejected { sensor, reason: known, message, .. }) if *known == reason => {
                Some((sensor.as_ref().map(Id::to_string), message.clone()))
            }
            _ => None,
        })
        .await
    }

    /// What has been told and not asked for.
    pub fn rest(&mut self) -> &[Told] {
        while let Ok(told) = self.told.try_recv() {
            self.waiting.push(told);
        }
        &self.waiting
    }
}

/// A sensor whose `[source]` this is.
pub fn device<S: Section + Debug>(sensor: &str, source: &str, secret: Option<&str>) -> Device<S> {
    let mut table = toml_span::parse(source).expect("TOML");
    let source = snowgate_core::spec::read_table(&mut table).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    let secret = secret.map(|secret| secret.to_owned().into());
    Device { sensor: sensor.parse().expect("an id"), source, secret }
}
