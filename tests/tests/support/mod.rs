//! A receiver on a stream, with everything it tells.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use snowgate::{
    camera::{
        access_unit::AccessUnit,
        address::Address,
        gop_ring::{GopRing, Next, RingReader},
        health::{CameraFault, CameraHealth, CameraState, HealthSink, HealthTracker},
        receive::{Receiver, ReceiverConfig},
        spec::{RingSpec, StreamSpec, Transport},
    },
    clock::SystemClock,
    shutdown::Shutdown,
};
use snowgate_core::{
    secret::Secret,
    spec::{ByteSize, Located, Maybe, TimeSpan},
};
use snowgate_tests::{
    encode::encode,
    wait::{PATIENCE, wait_for, wait_until},
};

/// How a stream is reached, over TCP and without a password.
pub fn stream(url: String) -> StreamSpec {
    StreamSpec {
        detect: Maybe(Some(Located::nowhere(url))),
        record: Maybe::NONE,
        detect_from: Maybe::NONE,
        record_from: Maybe::NONE,
        username: Maybe::NONE,
        password_file: Maybe::NONE,
        ca_file: Maybe::NONE,
        transport: Transport::Tcp,
        latency: TimeSpan::millis(100),
        stall_after: TimeSpan::secs(2),
    }
}

/// A receiver that runs, and all it has told so far.
pub struct Watched {
    pub ring: Arc<GopRing>,
    pub reader: RingReader,
    told: Arc<Mutex<Vec<CameraHealth>>>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    pub fn new(stream: StreamSpec) -> Self {
        Self::with_password(stream, None)
    }

    pub fn with_password(stream: StreamSpec, password: Option<&str>) -> Self {
        let address = stream.detect.as_ref().unwrap().value.clone();
        Self::at(Address::Written(address), stream, password)
    }

    pub fn at(address: Address, stream: StreamSpec, password: Option<&str>) -> Self {
        let camera: snowgate_core::ids::Id = "gate".parse().unwrap();
        let ring_spec = RingSpec { duration: TimeSpan::secs(10), size: ByteSize::mib(16) };
        let ring = Arc::new(GopRing::new(camera.clone(), &ring_spec));
        let told = Arc::new(Mutex::new(Vec::new()));
        let shutdown = Shutdown::new();
        let reader = ring.reader();
        let health = HealthSink::new({
            let told = Arc::clone(&told);
            move |health| told.lock().unwrap().push(health)
        });
        let thread = Receiver::spawn(ReceiverConfig {
            address,
            stream,
            password: password.map(|password| Secret::from(password.to_owned())),
            ring: Arc::clone(&ring),
            clock: Arc::new(SystemClock::new()),
            shutdown: shutdown.clone(),
            health: HealthTracker::new(camera, health),
        });
        Self { ring, reader, told, shutdown, thread: Some(thread.unwrap()) }
    }

    /// Every state so far, in order.
    pub fn states(&self) -> Vec<CameraState> {
        self.told.lock().unwrap().iter().map(|health| health.state).collect()
    }

    /// Asserts that it has become live over its first connection and stayed so. That it stalled before says how busy the machine
    /// is.
    pub fn assert_live_over_one_connection(&self) {
        let mut states = self.states();
        if states.get(1) == Some(&CameraState::Stalled) {
            states.remove(1);
        }
        assert_eq!(states, [CameraState::Connecting, CameraState::Live], "{}", self.story());
    }

    /// Waits for the next unit in the ring, whatever was lost before it.
    pub fn next_unit(&mut self) -> AccessUnit {
        let unit = wait_for(PATIENCE, || match self.reader.next() {
            Next::Unit(unit) => Some(unit),
            Next::Lost { .. } | Next::Nothing => None,
        });
        unit.unwrap_or_else(|| panic!("no pictures; told: {}", self.story()))
    }

    pub fn units(&mut self, count: usize) -> Vec<AccessUnit> {
        (0..count).map(|_| self.next_unit()).collect()
    }

    /// Waits until the camera has been in `state` at least `times` times.
    pub fn wait_for_state(&self, state: CameraState, times: usize) {
        let reached = wait_until(PATIENCE, || self.states().iter().filter(|s| **s == state).count() >= times);
        assert!(reached, "never {state} ({times}); told: {}", self.story());
    }

    /// Waits for the first fault.
    pub fn fault(&self) -> CameraFault {
        let first = || self.told.lock().unwrap().iter().find_map(|health| health.fault.clone());
        wait_for(PATIENCE, first).unwrap_or_else(|| panic!("no fault; told: {}", self.story()))
    }

    pub fn story(&self) -> String {
        self.told.lock().unwrap().iter().map(|health| format!("{health}; ")).collect()
    }

    /// Stops the receiver; how long that took.
    pub fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.shutdown.trigger();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        began.elapsed()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// A clip of `launch`, for as long as the directory lives.
pub fn clip(launch: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clip.mkv");
    encode(launch, &file);
    (directory, file)
}

/// What each unit is: milliseconds since the one before as shown and as arrived, size, and the types of its first NAL units.
pub fn times(units: &[AccessUnit]) -> String {
    let millis = |a: snowgate_core::time::Mono, b: snowgate_core::time::Mono| {
        (b.0.cast_signed() - a.0.cast_signed()) / 1_000_000
    };
    let nals = |unit: &AccessUnit| {
        let bytes = unit.buffer.map_readable().unwrap().to_vec();
        bytes.windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| format!("{:02x}.", w[3])).take(6).collect::<String>()
    };
    units
        .windows(2)
        .map(|pair| {
            let (shown, arrived) = (millis(pair[0].at, pair[1].at), millis(pair[0].arrived, pair[1].arrived));
            format!("{shown}/{arrived}:{}{}{} ", if pair[1].key { "K" } else { "" }, pair[1].size, nals(&pair[1]))
        })
        .collect()
}
