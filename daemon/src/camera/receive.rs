//! One stream of a camera, from the first attempt to the shutdown: connect, live, stalled, back off, again.
//!
//! Each stream has one thread that does nothing but this, and sleeps nearly always. It never decodes. A camera has one
//! stream, or two: one that is watched and one that is kept for evidence.

use std::{io, sync::Arc, thread, time::Duration};

use snowgate_core::{backoff::Backoff, secret::Secret, time::Clock};

use super::{
    address::Address,
    gop_ring::GopRing,
    health::{CameraFault, HealthTracker},
    spec::{StreamRole, StreamSpec},
    stream::{Session, SessionEnd},
};
use crate::{
    events::camera::{Connecting, StreamEnded},
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
    /// Where it is, or who knows.
    pub address: Address,
    /// How it is reached.
    pub stream: StreamSpec,
    /// The password, read from its file.
    pub password: Option<Secret>,
    /// Where its access units go: also says whose stream it is, and which.
    pub ring: Arc<GopRing>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Who is told how the stream is.
    pub health: HealthTracker,
}

impl ReceiverConfig {
    /// What its thread is called. The slash keeps the record stream of one camera apart from another camera's name.
    pub fn thread_name(&self) -> String {
        let camera = self.ring.camera();
        match self.ring.stream() {
            StreamRole::Detect => format!("camera-{camera}"),
            StreamRole::Record => format!("camera-{camera}/record"),
        }
    }
}

/// Receives one stream until the shutdown.
pub struct Receiver {
    config: ReceiverConfig,
    backoff: Backoff,
}

impl Receiver {
    /// Starts the stream's thread. It ends within a few seconds of the shutdown, whatever the camera does.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(config: ReceiverConfig) -> io::Result<thread::JoinHandle<()>> {
        let name = config.thread_name();
        let backoff = Backoff::new(PAUSES.0, PAUSES.1);
        thread::Builder::new().name(name).spawn(move || Self { config, backoff }.run())
    }

    /// The stream's whole life.
    fn run(mut self) {
        let role = self.config.ring.stream();
        self.config.health.connecting(role, self.config.clock.mono());
        while !self.config.shutdown.is_triggered() {
            let camera = self.config.ring.camera().clone();
            Connecting { camera: camera.as_str(), stream: role.as_str() }.emit();
            let Err(SessionEnd { fault, detail }) = self.receive() else { return };
            let wait = if fault.needs_an_operator() { self.backoff.longest_pause() } else { self.backoff.next_pause() };
            self.config.health.fault(role, fault, self.config.clock.mono());
            StreamEnded { camera: camera.as_str(), stream: role.as_str(), detail: &detail, wait }.emit();
            if self.config.shutdown.wait_for(wait) {
                return;
            }
        }
    }

    /// One session, from knocking at the camera's door to its end. `Ok` at the shutdown.
    fn receive(&mut self) -> Result<(), SessionEnd> {
        let ReceiverConfig { address, stream, password, ring, clock, shutdown, .. } = &self.config;
        let Some(endpoint) = address.endpoint(shutdown)? else { return Ok(()) };
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
                self.config.health.live(self.config.ring.stream(), since);
            }
            if self.config.ring.take_key_wanted() {
                return Err(CameraFault::NoKeyFrame.into());
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
