//! The newest encoded pictures of one camera, as whole groups of pictures (GOPs), for decoding and for pre-roll.
//!
//! Promises:
//! - It never holds more than its bytes. While it holds more than its seconds, the oldest GOP goes, as long as
//!   another follows it: a GOP that is longer than the ring (cameras with "smart" coding send them) stays usable.
//! - A GOP that exceeds the bytes on its own loses its head, and that is counted: those who follow it read on, everyone
//!   else waits for the next key frame. But for such a GOP the ring starts with a key frame.
//! - A reader begins with a key frame, and goes on with one wherever it has missed something.
//! - Units are numbered from 1 as they arrive, whether they can be kept or not. A reader that cannot follow is put to the
//!   newest key frame and told exactly which numbers it missed.
//!
//! Pushing takes a short lock, moves a reference and wakes who asked for it; it never waits for a reader.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use snowgate_core::{ids::Id, time::Mono};

use super::{
    access_unit::{AccessUnit, Arrival},
    spec::{RingSpec, StreamRole},
};
use crate::events::camera::{GopTooLarge, UnitReceived, UnitsLost};

/// What becomes of a reader's place when the ring moves on without it: the oldest units go, never the newest.
pub const OVERFLOW_POLICY: &str = "drop_oldest";

/// Charged for each unit beside its bytes, so that a flood of empty ones is bounded too.
const UNIT_OVERHEAD: usize = 512;

/// What is told of a unit as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Its number.
    pub number: u64,
    /// Whether decoding can start here.
    pub key: bool,
    /// Presentation time on the box's monotonic axis.
    pub at: Mono,
    /// Bytes.
    pub size: usize,
}

type Wake = Box<dyn Fn(&Pushed) + Send + Sync>;

/// The ring of one camera; shared by its receiver and any number of readers.
pub struct GopRing {
    camera: Id,
    stream: StreamRole,
    limit_bytes: usize,
    limit_span: Duration,
    held: Mutex<Held>,
    wake: RwLock<Option<Wake>>,
    key_wanted: AtomicBool,
}

struct Held {
    /// In order of their numbers; a gap in the numbers is followed by a key frame.
    units: VecDeque<AccessUnit>,
    /// The numbers of the key frames among them.
    keys: VecDeque<u64>,
    bytes: usize,
    /// The last number given.
    last_number: u64,
    /// Whether units are worthless until the next key frame.
    broken: bool,
    /// When the last unit arrived that was not.
    last_arrival: Option<Mono>,
}

impl Held {
    /// Whether the oldest GOP has lost its key frame.
    fn is_headless(&self) -> bool {
        self.units.front().is_some_and(|unit| !unit.key)
    }

    fn gops(&self) -> usize {
        self.keys.len() + usize::from(self.is_headless())
    }

    fn drop_oldest_gop(&mut self) {
        if !self.is_headless() {
            self.keys.pop_front();
        }
        let end = self.keys.front().copied().unwrap_or(u64::MAX);
        while self.units.front().is_some_and(|unit| unit.number < end) {
            self.drop_oldest_unit();
        }
    }

    fn drop_oldest_unit(&mut self) {
        self.bytes -= self.units.pop_front().as_ref().map_or(0, cost);
    }

    fn span(&self) -> Duration {
        match (self.units.front(), self.units.back()) {
            (Some(oldest), Some(newest)) => newest.at.since(oldest.at),
            _ => Duration::ZERO,
        }
    }

    fn get(&self, number: u64) -> Option<&AccessUnit> {
        let index = self.units.binary_search_by_key(&number, |unit| unit.number).ok()?;
        self.units.get(index)
    }

    /// The key frame that a reader whose unit `lost` is not held goes on with: the newest if it fell out of the ring,
    /// the next if the stream was interrupted there.
    fn resume(&self, lost: u64) -> Option<u64> {
        let fell_out = self.keys.front().is_some_and(|oldest| lost < *oldest);
        let newest = self.keys.back().copied().filter(|key| *key > lost);
        if fell_out { newest } else { self.keys.iter().copied().find(|key| *key > lost) }
    }
}

fn cost(unit: &AccessUnit) -> usize {
    unit.size + UNIT_OVERHEAD
}

impl GopRing {
    /// An empty ring.
    pub fn new(camera: Id, spec: &RingSpec) -> Self {
        Self {
            camera,
            stream: StreamRole::Detect,
            limit_bytes: usize::try_from(spec.size.0).unwrap_or(usize::MAX),
            limit_span: spec.duration.0,
            held: Mutex::new(Held {
                units: VecDeque::new(),
                keys: VecDeque::new(),
                bytes: 0,
                last_number: 0,
                broken: true,
                last_arrival: None,
            }),
            wake: RwLock::default(),
            key_wanted: AtomicBool::new(false),
        }
    }

    /// The ring of another stream than the one that is watched.
    pub fn of(self, stream: StreamRole) -> Self {
        Self { stream, ..self }
    }

    /// Which of the camera's streams it holds.
    pub fn stream(&self) -> StreamRole {
        self.stream
    }

    /// Whose ring this is.
    pub fn camera(&self) -> &Id {
        &self.camera
    }

    /// Numbers an arrival and keeps it if it can be decoded; wakes who asked. Returns its number.
    pub fn push(&self, arrival: Arrival) -> u64 {
        let mut too_large = false;
        let (pushed, ring_bytes) = {
            let mut held = self.lock();
            held.last_number += 1;
            let unit = AccessUnit::numbered(held.last_number, arrival);
            let pushed = Pushed { number: unit.number, key: unit.key, at: unit.at, size: unit.size };
            if unit.key {
                held.keys.push_back(unit.number);
                held.broken = false;
            }
            if !held.broken {
                held.last_arrival = Some(unit.arrived);
                held.bytes += cost(&unit);
                held.units.push_back(unit);
                while held.gops() > 1 && (held.bytes > self.limit_bytes || held.span() > self.limit_span) {
                    held.drop_oldest_gop();
                }
                too_large = held.bytes > self.limit_bytes && held.keys.pop_front().is_some();
                while held.bytes > self.limit_bytes {
                    held.drop_oldest_unit();
                }
            }
            (pushed, held.bytes)
        };
        let camera = self.camera.as_str();
        UnitReceived { camera, stream: self.stream.as_str(), bytes: pushed.size, ring_bytes }.emit();
        if too_large {
            GopTooLarge { camera, limit: self.limit_bytes }.emit();
        }
        if let Some(wake) = &*self.wake.read().unwrap_or_else(PoisonError::into_inner) {
            wake(&pushed);
        }
        pushed.number
    }

    /// The stream was interrupted: what comes next builds on nothing the ring holds, until a key frame.
    pub fn interrupt(&self) {
        self.lock().broken = true;
    }

    /// Tells the receiver that nothing more can be decoded until a key frame comes, and that none is in sight.
    pub fn want_key(&self) {
        self.key_wanted.store(true, Ordering::Release);
    }

    /// Whether somebody has called [`want_key`](Self::want_key) since the last time this was asked.
    pub fn take_key_wanted(&self) -> bool {
        self.key_wanted.swap(false, Ordering::AcqRel)
    }

    /// Has `wake` called with every unit pushed from now on, on the receiving thread: it must return at once. What was called
    /// before is called no more.
    pub fn on_push(&self, wake: Wake) {
        *self.wake.write().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// Nobody is called any more.
    pub fn wake_nobody(&self) {
        *self.wake.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Bytes held, the fixed charge for each unit included.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// When the last unit arrived that can be decoded, whether it is still held or not.
    pub fn last_arrival(&self) -> Option<Mono> {
        self.lock().last_arrival
    }

    /// A reader that starts at the newest key frame, or at the next one if there is none yet.
    pub fn reader(self: &Arc<Self>) -> RingReader {
        let next = {
            let held = self.lock();
            held.keys.back().copied().unwrap_or(held.last_number + 1)
        };
        RingReader::at(self, next)
    }

    /// The newest key frame, if there is one.
    pub fn newest_key(&self) -> Option<AccessUnit> {
        let held = self.lock();
        held.keys.back().and_then(|key| held.get(*key)).cloned()
    }

    /// A reader that starts at the key frame `number`, or else at the oldest one held after it.
    pub fn reader_from(self: &Arc<Self>, number: u64) -> RingReader {
        let next = {
            let held = self.lock();
            held.keys.iter().copied().find(|key| *key >= number).unwrap_or(held.last_number + 1)
        };
        RingReader::at(self, next)
    }

    /// A reader that starts at the last key frame shown at or before `at`, or at the oldest one held: the pre-roll of a clip.
    pub fn reader_since(self: &Arc<Self>, at: Mono) -> RingReader {
        let next = {
            let held = self.lock();
            let shown_by_then = |key: &&u64| held.get(**key).is_some_and(|unit| unit.at <= at);
            let start = held.keys.iter().rev().find(shown_by_then).or(held.keys.front());
            start.copied().unwrap_or(held.last_number + 1)
        };
        RingReader::at(self, next)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader gets.
#[derive(Debug, Clone)]
pub enum Next {
    /// The next unit in order.
    Unit(AccessUnit),
    /// Units this reader will never see. The next unit is a key frame.
    Lost {
        /// The first number lost.
        from: u64,
        /// The last number lost.
        to: u64,
        /// The number of the key frame reading goes on with.
        resumes: u64,
    },
    /// Nothing new; wait for a wake-up.
    Nothing,
}

/// One consumer's place in a ring.
pub struct RingReader {
    ring: Arc<GopRing>,
    next: u64,
    /// Whether the unit before `next` has been read: only then does one that is no key frame fit.
    in_step: bool,
}

impl RingReader {
    fn at(ring: &Arc<GopRing>, next: u64) -> Self {
        Self { ring: Arc::clone(ring), next, in_step: false }
    }

    /// Whether it has read the unit before the next one, so that it need not wait for a key frame.
    pub fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// The number of the next unit it would read.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Takes the next unit; never waits.
    #[allow(clippy::should_implement_trait, reason = "a ring does not end when it has nothing new")]
    pub fn next(&mut self) -> Next {
        let found = {
            let held = self.ring.lock();
            match held.get(self.next) {
                Some(unit) if unit.key || self.in_step => Next::Unit(unit.clone()),
                _ => match held.resume(self.next) {
                    Some(key) => Next::Lost { from: self.next, to: key - 1, resumes: key },
                    None => Next::Nothing,
                },
            }
        };
        match &found {
            Next::Unit(unit) => (self.next, self.in_step) = (unit.number + 1, true),
            Next::Lost { from, to, resumes } => {
                (self.next, self.in_step) = (*resumes, false);
                let camera = self.ring.camera.as_str();
                UnitsLost { camera, policy: OVERFLOW_POLICY, count: to - from + 1 }.emit();
            }
            Next::Nothing => {}
        }
        found
    }
}

#[cfg(test)]
#[path = "gop_ring_tests.rs"]
mod tests;
