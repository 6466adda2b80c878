//! A server for stations, running on a runtime of its own, and what it tells.

// Each test file uses its part of this.
#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use snowgate_core::{
    ids::Id,
    secret::Secret,
    sensor::reading::Sample,
    spec::{Section, read_table},
    time::{BootId, Clock, Moment, Mono},
};
use snowgate_sensors::{
    hj212::Listen,
    intake::{Device, Fault, Intake, Rejected, Told},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Whatever is waited for comes within so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The system's clock.
struct SystemClock(Instant, BootId);

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let mono = Mono(u64::try_from(self.0.elapsed().as_nanos()).unwrap());
        Moment { mono, wall: jiff::Timestamp::now(), synchronised: true }
    }
    fn boot_id(&self) -> &BootId {
        &self.1
    }
}

pub struct Bench {
    pub address: SocketAddr,
    told: mpsc::Receiver<Told>,
    shutdown: CancellationToken,
    server: Option<JoinHandle<()>>,
    runtime: Runtime,
}

/// An address that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A sensor with this `[source]`, and its password.
pub fn device<S: Section>(sensor: &str, source: &str, secret: Option<&str>) -> Device<S> {
    Device {
        sensor: sensor.parse().unwrap(),
        source: read_table(&mut toml_span::parse(source).unwrap()).unwrap_or_else(|error| panic!("{error:?}")),
        secret: secret.map(|secret| Secret::from(secret.to_owned())),
    }
}

impl Bench {
    /// Starts a server at an address of its own and waits until it listens.
    pub fn start<F>(serve: impl FnOnce(Listen, Intake, CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let bench = Self::start_at(Self::listen(), serve);
        let began = Instant::now();
        while std::net::TcpStream::connect(bench.address).is_err() {
            assert!(began.elapsed() < PATIENCE, "nobody listens on {}", bench.address);
            std::thread::yield_now();
        }
        bench
    }

    /// At a free address, with room for plenty and patience for a test.
    pub fn listen() -> Listen {
        Listen { address: free_address(), max_connections: 16, idle_after: Duration::from_secs(60) }
    }

    /// Starts a server as told.
    pub fn start_at<F>(listen: Listen, serve: impl FnOnce(Listen, Intake, CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (intake, told) = Intake::new(Arc::new(SystemClock(Instant::now(), BootId("test".to_owned()))));
        let shutdown = CancellationToken::new();
        let server = Some(runtime.spawn(serve(listen, intake, shutdown.clone())));
        Self { address: listen.address, told, shutdown, server, runtime }
    }

    /// What is told next.
    pub fn told(&mut self) -> Told {
        let next = self.runtime.block_on(async { timeout(PATIENCE, self.told.recv()).await });
        next.expect("nothing was told").expect("the server has ended")
    }

    /// The samples heard next, and of which sensor; nothing else may be told before.
    pub fn heard(&mut self) -> (String, Vec<(String, Sample)>) {
        match self.told() {
            Told::Heard { sensor, samples, .. } => (sensor.to_string(), named(samples)),
            other => panic!("{other:?}"),
        }
    }

    /// The values heard next, whose times do not matter.
    pub fn values(&mut self) -> (String, BTreeMap<String, f64>) {
        let (sensor, samples) = self.heard();
        (sensor, samples.into_iter().map(|(quantity, sample)| (quantity, sample.value)).collect())
    }

    /// What is refused next; nothing else may be told before.
    pub fn rejected(&mut self) -> Rejected {
        match self.told() {
            Told::Rejected(rejected) => rejected,
            other => panic!("{other:?}"),
        }
    }

    /// The fault told next; nothing else may be told before.
    pub fn fault(&mut self) -> (String, Fault) {
        match self.told() {
            Told::Fault { sensor, fault } => (sensor.to_string(), fault),
            other => panic!("{other:?}"),
        }
    }

    /// Whatever has been told and nobody has asked for; how many messages.
    pub fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.told.try_recv().ok()).count()
    }

    /// Nobody takes what is told any more.
    pub fn stop_listening_to_it(&mut self) {
        self.told.close();
        while self.told.try_recv().is_ok() {}
    }

    /// Stops the server; what it has told and nobody has asked for.
    pub fn stop(mut self) -> Vec<Told> {
        self.shutdown.cancel();
        let server = self.server.take().unwrap();
        self.runtime.block_on(async { timeout(PATIENCE, server).await }).expect("the server does not stop").unwrap();
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }
}

fn named(samples: Vec<(Id, Sample)>) -> Vec<(String, Sample)> {
    samples.into_iter().map(|(quantity, sample)| (quantity.to_string(), sample)).collect()
}

pub fn time(text: &str) -> Option<jiff::Timestamp> {
    Some(text.parse().unwrap())
}
