//! What the threads that serve one camera tell each other: small words that are set and read without waiting.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use snowgate_core::time::Mono;

use super::{
    cadence::Cadence,
    overload::{Busy, LADDER, Limits},
    packet_sizes::{Informative, PacketSizes},
};
use crate::camera::gop_ring::Pushed;

/// What tells motion without a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Alarm {
    /// The sizes of encoded pictures.
    PacketSizes = 1,
    /// Inference has found something moving in the key frame that was looked at.
    Found = 2,
    /// Somebody [wants to look](Pulse::ask).
    Asked = 3,
}

const NO_ALARM: u8 = 0;

/// What the receiving thread hears of the stream.
pub struct Heard {
    /// How regular its key frames are.
    pub cadence: Cadence,
    /// What the sizes of the others tell.
    pub sizes: PacketSizes,
}

/// One camera's pulse.
pub struct Pulse {
    /// Which units are worth a turn of decoding: 0 for all, else key frames from this time on (monotonic nanoseconds).
    wants: AtomicU64,
    /// What has told motion while only key frames are looked at.
    alarm: AtomicU8,
    heard: Mutex<Heard>,
    /// Decoding waits for inference to take what it has put into the slot.
    catching_up: AtomicBool,
    /// Time of the last picture analysed, of the last one with anything lively in it, and of the last one in which something
    /// moving was followed.
    analysed: AtomicU64,
    lively: AtomicU64,
    followed: AtomicU64,
    rung: AtomicUsize,
    busy: AtomicU8,
    /// Until when somebody wants to look, whether anything moves or not (monotonic nanoseconds).
    asked_until: AtomicU64,
}

impl Pulse {
    /// For a camera whose key frames may be so far apart.
    pub fn new(max_key_interval: Duration) -> Self {
        Self {
            wants: AtomicU64::new(0),
            alarm: AtomicU8::new(NO_ALARM),
            heard: Mutex::new(Heard { cadence: Cadence::new(max_key_interval), sizes: PacketSizes::default() }),
            catching_up: AtomicBool::new(false),
            analysed: AtomicU64::new(0),
            lively: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            rung: AtomicUsize::new(0),
            busy: AtomicU8::new(Busy::Quiet as u8),
            asked_until: AtomicU64::new(0),
        }
    }

    /// An encoded picture arrived; answers whether it is worth a turn of decoding.
    pub fn arrived(&self, unit: &Pushed) -> bool {
        let wanted_from = self.wants.load(Ordering::Acquire);
        let mut heard = self.heard();
        let fell_back = heard.cadence.arrived(unit.key, unit.at);
        if wanted_from == 0 {
            return true;
        }
        if !unit.key && heard.sizes.arrived(unit.size) && heard.sizes.informative() == Informative::Yes {
            self.alarm(Alarm::PacketSizes);
            return true;
        }
        fell_back || (unit.key && unit.at.0 >= wanted_from)
    }

    /// What is known of the stream; held for a moment only.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on only key frames of this time and later are worth a turn.
    pub fn want_keys_from(&self, at: Mono) {
        self.wants.store(at.0.max(1), Ordering::Release);
    }

    /// From now on every encoded picture is.
    pub fn want_everything(&self) {
        self.wants.store(0, Ordering::Release);
    }

    /// Something tells motion that no look has shown.
    pub fn alarm(&self, alarm: Alarm) {
        self.alarm.store(alarm as u8, Ordering::Release);
    }

    /// Somebody wants to look until then, whether anything moves or not.
    pub fn ask(&self, until: Mono) {
        self.asked_until.fetch_max(until.0, Ordering::Relaxed);
    }

    /// Whether somebody wants to look.
    pub fn is_asked(&self, now: Mono) -> bool {
        now.0 < self.asked_until.load(Ordering::Relaxed)
    }

    /// What has told motion since this was last asked.
    pub fn take_alarm(&self) -> Option<Alarm> {
        match self.alarm.swap(NO_ALARM, Ordering::AcqRel) {
            alarm if alarm == Alarm::PacketSizes as u8 => Some(Alarm::PacketSizes),
            alarm if alarm == Alarm::Found as u8 => Some(Alarm::Found),
            _ => None,
        }
    }

    /// Whether decoding waits for inference.
    pub fn is_catching_up(&self) -> bool {
        self.catching_up.load(Ordering::Acquire)
    }

    /// Decoding waits for inference from now on, or no more.
    pub fn set_catching_up(&self, catching_up: bool) {
        self.catching_up.store(catching_up, Ordering::Release);
    }

    /// A picture of this time was analysed: whether anything in it is lively, and whether something moving is followed.
    pub fn analysed(&self, at: Mono, lively: bool, followed: bool) {
        self.analysed.store(at.0, Ordering::Release);
        for (seen, last) in [(lively, &self.lively), (followed, &self.followed)] {
            if seen {
                last.store(at.0, Ordering::Release);
            }
        }
    }

    /// Starts to wait for liveliness at this time: before it the camera was not watched.
    pub fn watch_from(&self, at: Mono) {
        self.lively.store(at.0, Ordering::Release);
        self.followed.store(at.0, Ordering::Release);
    }

    /// Whether something moving was followed in a picture later than this.
    pub fn followed_after(&self, at: Mono) -> bool {
        self.followed.load(Ordering::Acquire) > at.0
    }

    /// Whether nothing lively was seen for so long before `at`, or for twice as long only motion in which there was nothing
    /// to follow, by pictures analysed to within `lag` of it.
    pub fn is_quiet(&self, at: Mono, quiet_after: Duration, lag: Duration) -> bool {
        let since = |last: &AtomicU64| at.since(Mono(last.load(Ordering::Acquire)));
        let quiet = since(&self.lively) >= quiet_after || since(&self.followed) >= 2 * quiet_after;
        quiet && since(&self.analysed) <= lag
    }

    /// What overload leaves the camera.
    pub fn limits(&self) -> Limits {
        let rung = self.rung.load(Ordering::Acquire);
        LADDER[rung.min(LADDER.len() - 1)]
    }

    /// The rung of the overload policy that the camera is on.
    pub fn rung(&self) -> usize {
        self.rung.load(Ordering::Relaxed)
    }

    /// Puts the camera on a rung of the overload policy.
    pub fn set_rung(&self, rung: usize) {
        self.rung.store(rung, Ordering::Release);
    }

    /// What the camera is doing.
    pub fn busy(&self) -> Busy {
        match self.busy.load(Ordering::Acquire) {
            busy if busy == Busy::Following as u8 => Busy::Following,
            busy if busy == Busy::Looking as u8 => Busy::Looking,
            _ => Busy::Quiet,
        }
    }

    /// Whether the camera is followed live: it has caught up.
    pub fn is_live(&self) -> bool {
        self.busy() == Busy::Following && !self.is_catching_up()
    }

    /// Says what the camera is doing.
    pub fn set_busy(&self, busy: Busy) {
        self.busy.store(busy as u8, Ordering::Release);
    }
}
