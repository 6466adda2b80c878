//! A bus under test: polled, its devices written as in their files, and what they tell waited for.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "for tests; not every one uses all")]

use std::{sync::Arc, time::Duration};

use snowgate_core::{ids::Id, spec::Deserialize, time::ManualClock};
use snowgate_sensors::{
    intake::{Device, Fault, Intake, Told},
    modbus::{self, Bus},
    spec::{ModbusBusSpec, ModbusSource},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// No test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bus that is polled.
pub struct Bench {
    told: mpsc::Receiver<Told>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    /// Polls devices, each a name and its `[source]` without the bus, on a bus written as in gateway.toml without its id.
    pub fn poll(bus: &str, devices: &[(&str, &str)]) -> Self {
        let bus = self::bus(bus);
        let devices = devices.iter().map(|(name, source)| {
            let source: ModbusSource = read(&format!("bus = 'bus'\n{source}"));
            source.check(&bus).unwrap();
            Device { sensor: id(name), source, secret: None }
        });
        let devices = devices.collect();
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let (intake, told) = Intake::new(Arc::new(clock));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(modbus::poll(bus, devices, intake, shutdown.clone()));
        Self { told, shutdown, task }
    }

    /// The next thing told for which there is an answer.
    pub async fn until<T>(&mut self, what: &str, mut answer: impl FnMut(&Told) -> Option<T>) -> T {
        let search = async {
            loop {
                let told = self.told.recv().await.expect("the adapter runs");
                if let Some(answer) = answer(&told) {
                    return answer;
                }
            }
        };
        timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("waited for {what} in vain"))
    }

    /// The next values of a sensor.
    pub async fn heard(&mut self, name: &str) -> Vec<f64> {
        self.until(&format!("values of {name}"), |told| match told {
            Told::Heard { sensor, samples, .. } if *sensor == id(name) => Some(values(samples)),
            _ => None,
        })
        .await
    }

    /// The next fault of a sensor.
    pub async fn fault(&mut self, name: &str) -> Fault {
        self.until(&format!("a fault of {name}"), |told| match told {
            Told::Fault { sensor, fault } if *sensor == id(name) => Some(fault.clone()),
            _ => None,
        })
        .await
    }

    /// The next so many polls of a sensor: all have these values, and nobody has a fault meanwhile.
    pub async fn goes_on(&mut self, name: &str, polls: usize, expected: &[f64]) {
        let mut seen = 0;
        self.until(&format!("{polls} polls of {name}"), |told| {
            match told {
                Told::Fault { sensor, fault } => panic!("{sensor}: {fault}"),
                Told::Heard { sensor, samples, .. } if *sensor == id(name) => {
                    assert_eq!(values(samples), expected);
                    seen += 1;
                }
                Told::Heard { .. } | Told::Reached { .. } | Told::Rejected(_) => {}
            }
            (seen == polls).then_some(())
        })
        .await;
    }

    /// Stops the adapter, which must not take long.
    pub async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(5), self.task).await.expect("it stops at once").unwrap();
    }
}

/// A bus as written in gateway.toml, but for its id.
pub fn bus(text: &str) -> Bus {
    read::<ModbusBusSpec>(&format!("id = 'bus'\n{text}")).bus().unwrap()
}

/// An id.
pub fn id(name: &str) -> Id {
    name.parse().unwrap()
}

fn values(samples: &[(Id, snowgate_core::sensor::reading::Sample)]) -> Vec<f64> {
    samples.iter().map(|(_, sample)| sample.value).collect()
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> T {
    T::deserialize(&mut toml_span::parse(text).unwrap()).unwrap()
}
