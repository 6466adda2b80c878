//! Which sensors stand behind a station's number: mostly one, but a cabinet may be several.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use snowgate_core::ids::Id;

use crate::intake::{Device, Fault, Intake};

/// The sensors of a port, by their stations' numbers.
#[derive(Debug)]
pub(crate) struct Roster<K, T> {
    sensors: Vec<Id>,
    stations: HashMap<K, Vec<Listed<T>>>,
    unusable: Vec<(Id, String)>,
}

/// A sensor and what its protocol needs to know of it.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    /// The sensor's number.
    pub sensor: usize,
    /// What its protocol expects of it.
    pub expected: T,
}

impl<K: Hash + Eq, T> Roster<K, T> {
    /// `read` makes a station's number and what is expected of it out of a sensor's file, or says why that cannot be used.
    pub fn new<S>(devices: Vec<Device<S>>, read: impl Fn(&Device<S>) -> Result<(K, T), String>) -> Self {
        let mut roster = Self { sensors: Vec::new(), stations: HashMap::new(), unusable: Vec::new() };
        for device in devices {
            match read(&device) {
                Ok((station, expected)) => {
                    let listed = Listed { sensor: roster.sensors.len(), expected };
                    roster.stations.entry(station).or_default().push(listed);
                    roster.sensors.push(device.sensor);
                }
                Err(why) => roster.unusable.push((device.sensor, why)),
            }
        }
        roster
    }

    /// Tells which sensors cannot be heard for what their files say; a checked configuration has none.
    pub async fn tell_unusable(&self, intake: &Intake) {
        for (sensor, why) in &self.unusable {
            intake.fault(sensor, Fault::Malformed { why: why.clone() }).await;
        }
    }

    /// The sensors, by their number.
    pub fn sensors(&self) -> &[Id] {
        &self.sensors
    }

    /// The sensors of a station; none if nobody knows it.
    pub fn of<Q: Hash + Eq + ?Sized>(&self, station: &Q) -> &[Listed<T>]
    where
        K: Borrow<Q>,
    {
        self.stations.get(station).map(Vec::as_slice).unwrap_or_default()
    }

    /// A sensor, by its number.
    pub fn find(&self, sensor: usize) -> Option<&T> {
        self.stations.values().flatten().find(|listed| listed.sensor == sensor).map(|listed| &listed.expected)
    }
}
