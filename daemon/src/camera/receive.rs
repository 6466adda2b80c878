//! One camera's stream, from the first attempt to the shutdown: connect, live, stalled, back off, again.
//!
//! Each camera has one thread that does nothing but this, and sleeps nearly always. It never decodes.

use std::{io, sync::Arc, thread, time::Duration};

use snowgate_core::{ids::Id, time::Clock};

use super::{
    gop_ring::GopRing,
    health::{CameraFault, HealthSink, HealthTracker},
    reach::Endpoint,
    spec::StreamSpec,
    stream::{Session, SessionEnd},
};
use crate::{
    backoff::Backoff,
    events::camera::{Connecting, StreamEnded},
    secret::Secret,
    shutdown::Shutdown,
};

/// A stream that was live for so long is stable: the next back-off starts short again.
const STABLE: Duration = Duration::from_secs(60);
/// How long a camera may take from the first request to telling what its streams are.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(15);
/// The first and the longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often the watchdog looks, and a shutdown is noticed at the latest.
const WATCH: Duration = Duration::from_millis(500);

/// What a receiver needs.
pub struct ReceiverConfig {
    /// Whose stream.
    pub camera: Id,
    /// How it is reached.
    pub stream: StreamSpec,
    /// The password, read from its file.
    pub password: Option<Secret>,
    /// Where its access units go.
    pub ring: Arc<GopRing>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Who is told how the camera is.
    pub health: HealthSink,
}

/// Receives one camera's stream until the shutdown.
pub struct Receiver {
    config: ReceiverConfig,
    health: HealthTracker,
    backoff: Backoff,
}

impl Receiver {
    /// Starts the camera's thread. It ends within a few seconds of the shutdown, whatever the camera does.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(config: ReceiverConfig) -> io::Result<thread::JoinHandle<()>> {
        let name = format!("camera-{}", config.camera);
        let health = HealthTracker::new(config.camera.clone(), config.health.clone());
        let backoff = Backoff::new(PAUSES.0, PAUSES.1);
        thread::Builder::new().name(name).spawn(move || Self { config, health, backoff }.run())
    }

    /// The stream's whole life.
    fn run(mut self) {
        self.health.connecting(self.config.clock.mono());
        while !self.config.shutdown.is_triggered() {
            let camera = self.config.camera.clone();
            Connecting { camera: camera.as_str() }.emit();
            let Err(SessionEnd { fault, detail }) = self.receive() else { return };
            let wait = if fault.needs_an_operator() { self.backoff.longest_pause() } else { self.backoff.next_pause() };
            self.health.fault(fault, self.config.clock.mono());
            StreamEnded { camera: camera.as_str(), detail: &detail, wait }.emit();
            if self.config.shutdown.wait_for(wait) {
                return;
            }
        }
    }

    /// One session, from knocking at the camera's door to its end. `Ok` at the shutdown.
    fn receive(&mut self) -> Result<(), SessionEnd> {
        let ReceiverConfig { stream, password, ring, clock, shutdown, .. } = &self.config;
        let endpoint = Endpoint::parse(&stream.url)?;
        endpoint.reach(shutdown)?;
        if shutdown.is_triggered() {
            return Ok(());
        }
        let session = Session::open(&endpoint, stream, password.as_ref(), ring, clock)?;
        let ended = self.watch(&session);
        if session.live_since().is_some_and(|since| self.config.clock.mono().since(since) >= STABLE) {
            self.backoff.reset();
        }
        session.close();
        ended
    }

    /// Watches a session until it ends, goes silent, or it is time to stop.
    fn watch(&mut self, session: &Session) -> Result<(), SessionEnd> {
        let opened = self.config.clock.mono();
        let stall_after = self.config.stream.stall_after.0;
        while !self.config.shutdown.is_triggered() {
            if let Some(end) = session.wait_for_end(WATCH) {
                return Err(end);
            }
            if let Some(since) = session.live_since() {
                self.health.live(since);
            }
            let now = self.config.clock.mono();
            match session.last_unit() {
                None if !session.described() && now.since(opened) >= DESCRIBE_DEADLINE => {
                    return Err(session.no_answer().into());
                }
                None if now.since(opened) < DESCRIBE_DEADLINE.max(stall_after) => {}
                None => return Err(CameraFault::Silent { silent_for: DESCRIBE_DEADLINE.max(stall_after) }.into()),
                Some(last) if now.since(last) >= stall_after => {
                    return Err(CameraFault::Silent { silent_for: stall_after }.into());
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
