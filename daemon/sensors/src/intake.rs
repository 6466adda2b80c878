//! Where all adapters end: samples, and what is wrong with their sensors, on their way to be judged.

use std::sync::Arc;

use snowgate_core::{
    ids::Id,
    secret::Secret,
    sensor::reading::Sample,
    time::{Clock, Moment},
};
use tokio::sync::mpsc;

/// Messages that wait at the most. Policy `block`: who sends waits.
const QUEUED: usize = 1024;

/// A sensor as an adapter knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device<S> {
    /// The sensor.
    pub sensor: Id,
    /// How it is reached: the source of its file.
    pub source: S,
    /// Its password or token, where its file names one.
    pub secret: Option<Secret>,
}

/// What an adapter tells.
#[derive(Debug)]
pub enum Told {
    /// A sensor has said something; it is reached.
    Heard {
        /// The sensor.
        sensor: Id,
        /// What it measured: quantities and values. May be empty: a sign of life.
        samples: Vec<(Id, Sample)>,
        /// When it arrived.
        arrived: Moment,
    },
    /// A sensor cannot be reached, or says what cannot be used.
    Fault {
        /// The sensor.
        sensor: Id,
        /// What is wrong.
        fault: Fault,
    },
    /// What stood between the gateway and a sensor, and was told as a fault, is there again: its broker, its port. The sensor
    /// itself has said nothing yet.
    Reached {
        /// The sensor.
        sensor: Id,
    },
    /// Something arrived that was refused.
    Rejected(Rejected),
}

/// Something that arrived and was refused.
#[derive(Debug)]
pub struct Rejected {
    /// The protocol, as in the configuration.
    pub protocol: &'static str,
    /// The sensor, if it is known whose it was.
    pub sensor: Option<Id>,
    /// Why, in one word for metrics: `malformed`, `unknown_sensor`, `unauthorised`, `too_long`, `too_many`…
    pub reason: &'static str,
    /// Why, for people: with the peer's address where there is one; never with a secret.
    pub message: String,
}

/// Why a sensor cannot be reached, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing answers, or the network says no.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Host and port, or the device.
        address: String,
        /// In the system's or the library's words.
        why: String,
    },
    /// It is there but does not answer in time.
    #[error("no answer from {address} within {} ms", .within.as_millis())]
    NoAnswer {
        /// Host and port, or the device, and the slave.
        address: String,
        /// How long it was given.
        within: std::time::Duration,
    },
    /// It answers, and says no.
    #[error("{address} refuses: {why}")]
    Refused {
        /// Host and port, or the device, and the slave.
        address: String,
        /// In its words.
        why: String,
    },
    /// Nobody can connect because the gateway cannot listen.
    #[error("nothing can connect: {address}: {why}")]
    NotListening {
        /// Address and port.
        address: String,
        /// In the system's words.
        why: String,
    },
    /// It has closed its connection.
    #[error("{address} has disconnected")]
    Disconnected {
        /// Host and port.
        address: String,
    },
    /// What it sends cannot be used.
    #[error("its messages cannot be used: {why}")]
    Malformed {
        /// What is wrong with the last one.
        why: String,
    },
}

/// The adapters' end; clones are the same queue.
#[derive(Clone)]
pub struct Intake {
    sender: mpsc::Sender<Told>,
    clock: Arc<dyn Clock>,
}

impl Intake {
    /// A queue and its other end.
    pub fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<Told>) {
        let (sender, receiver) = mpsc::channel(QUEUED);
        (Self { sender, clock }, receiver)
    }

    /// The time.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// A sensor has said something just now. Waits while the queue is full. Answers whether it was taken: if not, everything
    /// is about to stop, and what was said must not be acknowledged.
    #[must_use = "what was not taken must not be acknowledged"]
    pub async fn heard(&self, sensor: &Id, samples: Vec<(Id, Sample)>) -> bool {
        let arrived = self.clock.now();
        self.tell(Told::Heard { sensor: sensor.clone(), samples, arrived }).await
    }

    /// A sensor cannot be reached.
    pub async fn fault(&self, sensor: &Id, fault: Fault) {
        self.tell(Told::Fault { sensor: sensor.clone(), fault }).await;
    }

    /// What stood between the gateway and a sensor is there again.
    pub async fn reached(&self, sensor: &Id) {
        self.tell(Told::Reached { sensor: sensor.clone() }).await;
    }

    /// Something arrived that was refused.
    pub async fn rejected(&self, rejected: Rejected) {
        self.tell(Told::Rejected(rejected)).await;
    }

    /// Whether it was taken: the other end is dropped only when everything stops.
    async fn tell(&self, told: Told) -> bool {
        self.sender.send(told).await.is_ok()
    }
}
