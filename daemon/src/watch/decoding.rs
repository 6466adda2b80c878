//! The decoding side of one camera, and its gate: encoded pictures out of the ring, pictures to look at into the slot.
//!
//! ```text
//!                 a key frame shows motion, and there is a token
//!   ┌─────────┐ ──────────────────────────────────────────────► ┌─────────────┐  caught up  ┌───────────┐
//!   │ looking │                                                 │ catching up │ ──────────► │ following │
//!   └─────────┘ ◄────────────────────────────────────────────── └─────────────┘             └───────────┘
//!                 nothing lively for quiet_after, or overload         ▲                           │
//!                                                                     └── lost its place ◄────────┘
//! ```
//!
//! *Looking*, no delta frame is decoded: one key frame in `look_every` goes through a decoder shared with other cameras and
//! is compared with the one before. *Catching up* begins at the key frame looked at before the one that showed motion, so
//! that what moved in between is seen, in order and with its own times; it waits for inference rather than drop a picture.
//! *Following*, every picture is decoded, those that are due are looked at, and one that nobody has taken gives way.
//!
//! Motion in which there is nothing to follow (a tree, a flag, rain) keeps a camera awake for a while only, and each time it
//! was for nothing the next waits longer; meanwhile key frames with motion are inferred, and one in which something is
//! found wakes the camera.
//!
//! A camera that somebody wants to look at (a verification) is woken as if something moved, with a token as ever, and followed
//! for as long; where overload forbids that, its key frames are inferred.
//!
//! A camera whose gate is not `keyframe`, or whose stream [cannot be judged](super::cadence) by its key frames,
//! follows all the time, unless overload forbids it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use snowgate_core::{choice, ids::Id, time::Mono};

use super::{
    Sampler, Slot,
    anomaly::AnomalyWatch,
    cadence::Fallback,
    decoders::{DecoderPool, LookDecoders},
    inference::{Inference, Offer, Urgency},
    overload::{Admission, Busy, Load},
    pulse::{Alarm, Pulse},
    scene::SceneWatch,
    schedule::{Turn, When},
};
use crate::{
    camera::{
        access_unit::{AccessUnit, Codec},
        decode::Decoder,
        gop_ring::{GopRing, Next, RingReader},
        picture::Picture,
    },
    events::{
        gate::{CaughtUp, GateChanged, KeyFrameLookedAt, PlaceLost, Woken},
        watch as events,
    },
    vision::{
        analyser::Glance,
        spec::{DetectSpec, Gate, Priority},
    },
};

/// Encoded pictures decoded in one turn; then another camera may have its turn.
const UNITS_A_TURN: u32 = 6;
/// A camera has caught up when what it decodes arrived no longer ago than this.
const LIVE: Duration = Duration::from_millis(300);
/// A camera that has been catching up for so long is shown half as many pictures, and half of them again after twice as long:
/// inference must be faster than the scene.
const SLOW: Duration = Duration::from_secs(2);
/// What a look costs beside decoding one picture of a followed camera.
const LOOK_COST: u32 = 3;

/// The reasons of wake-ups: the gate or the stream wants everything decoded; a key frame shows motion;
/// [`super::packet_sizes`]; inference has found something in a key frame; somebody wants to look.
const GATE: &str = "gate";
const MOTION: &str = "motion";
const PACKET_SIZES: &str = "packet_sizes";
const FOUND: &str = "found";
const ASKED: &str = "asked";
/// After so many wake-ups in a row for nothing the pause grows no more.
const MOST_VAIN: u32 = 5;

/// Reads one camera's ring, holds its gate, picks the pictures that are to be looked at.
pub struct Decoding {
    camera: Id,
    ring: Arc<GopRing>,
    gate: Gate,
    priority: Priority,
    fps: u32,
    look_every: Duration,
    quiet_after: Duration,
    max_key_interval: Duration,
    sampler: Sampler,
    pulse: Arc<Pulse>,
    mode: Mode,
    /// The newest key frame whose picture was held against what came before.
    looked: Option<Looked>,
    /// When the last look was, whatever came of it.
    last_look: Option<Mono>,
    /// Wake-ups in a row for motion in which there was nothing to follow: a tree, a flag.
    vain: u32,
    /// Until then motion alone does not wake: what it shows must be found to be something.
    motion_from: Mono,
    /// The last picture that was compared or put into the slot was of this time.
    seen: Mono,
    state: GateState,
    retired: bool,
}

#[derive(Debug, Clone, Copy)]
struct Looked {
    number: u64,
    at: Mono,
}

enum Mode {
    Looking,
    Following(Box<Following>),
}

struct Following {
    reader: RingReader,
    decoder: Option<(Codec, Decoder)>,
    /// When the key frame arrived that began it; none once it has caught up.
    woken_by: Option<Mono>,
    /// The key frame it began with.
    from: Option<Looked>,
    /// What woke it.
    reason: &'static str,
    /// Whether it was admitted, and has not caught up yet.
    admitted: bool,
    /// The newest key frame read.
    key: Option<Looked>,
    /// Since when it has been waiting for a key frame.
    starved: Option<Mono>,
}

choice! {
    /// What a camera's gate is doing, for people.
    pub enum GateState {
        /// Key frames are looked at, and nothing moves.
        Quiet = "quiet",
        /// Something moves, and only key frames are looked at: there is no token, or overload forbids more.
        Held = "held",
        /// What moved between two looks is being decoded.
        CatchingUp = "catching_up",
        /// Everything is decoded.
        Following = "following",
        /// Everything is decoded because key frames alone would not do.
        Fallback = "fallback",
    }
}

/// What a turn works with.
pub struct Hands<'a> {
    /// The thread's own decoders for key frames.
    pub looks: &'a mut LookDecoders,
    /// Decoders for cameras that are followed.
    pub pool: &'a DecoderPool,
    /// The camera's slot.
    pub slot: &'a Slot<Offer>,
    /// The camera's inference.
    pub inference: &'a Mutex<Inference>,
    /// What its key frames are fit for.
    pub scene: &'a Mutex<SceneWatch>,
    /// Who looks for what was never in its scene, if any rule asks for it.
    pub anomaly: Option<&'a AnomalyWatch>,
    /// Whether somebody wants to know of every key frame.
    pub wanted: bool,
    /// Tokens for waking.
    pub admission: &'a Admission,
    /// Where waits are told.
    pub load: &'a Load,
    /// The time.
    pub now: Mono,
    /// Called after each picture put into the slot, or kept for the scene's sake.
    pub offered: &'a mut dyn FnMut(Offered),
}

/// What a picture that waits for inference is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The things in it.
    Things,
    /// The whole scene: it can wait until there is nothing else to do.
    Scene,
}

impl Decoding {
    /// For a camera with these settings.
    pub fn new(ring: Arc<GopRing>, spec: &DetectSpec, pulse: Arc<Pulse>) -> Self {
        Self {
            camera: ring.camera().clone(),
            ring,
            gate: spec.gate,
            priority: spec.priority,
            fps: spec.fps.value,
            look_every: spec.look_every.0,
            quiet_after: spec.quiet_after.0,
            max_key_interval: spec.max_key_interval.0,
            sampler: Sampler::new(spec.fps.value),
            pulse,
            mode: Mode::Looking,
            looked: None,
            vain: 0,
            motion_from: Mono(0),
            last_look: None,
            seen: Mono(0),
            state: GateState::Quiet,
            retired: false,
        }
    }

    /// Does what there is to do, up to a turn's worth.
    pub fn turn(&mut self, hands: &mut Hands<'_>) -> Turn {
        if self.retired {
            return Turn::IDLE;
        }
        match (&self.mode, self.pulse.limits().follow) {
            (Mode::Looking, true) if self.must_follow() => {
                let from = self.ring.newest_key().map(|key| Looked::at(&key));
                self.wake(from, hands.now, GATE);
                self.follow(hands)
            }
            (Mode::Looking, _) => self.look(hands),
            (Mode::Following(_), true) => self.follow(hands),
            (Mode::Following(_), false) => {
                self.stop_following(hands);
                self.look(hands)
            }
        }
    }

    /// The stream is over: lets out the pictures its decoder holds back.
    pub fn finish(&mut self, hands: &mut Hands<'_>) {
        if let Mode::Following(following) = &mut self.mode
            && let Some((_, decoder)) = &mut following.decoder
        {
            let mut take = |picture: Picture| {
                if self.sampler.is_due(picture.at()) {
                    put(&self.camera, Urgency::CatchUp, picture, hands);
                }
            };
            if let Err(error) = decoder.drain(&mut take) {
                events::CannotDecode { camera: self.camera.as_str(), error: &error }.emit();
            }
        }
    }

    /// The camera is watched no more: gives back what is shared. It does nothing from then on.
    pub fn retire(&mut self, hands: &mut Hands<'_>) {
        self.stop_following(hands);
        self.enter(GateState::Quiet);
        self.retired = true;
    }

    /// What the gate is doing.
    pub fn state(&self) -> GateState {
        self.state
    }

    fn must_follow(&self) -> bool {
        self.gate != Gate::Keyframe || self.fallback().is_some()
    }

    /// Whether somebody wants to look, and there is something to see.
    fn is_asked(&self, now: Mono) -> bool {
        let delivers = |key: AccessUnit| now.since(key.arrived) <= self.max_key_interval;
        self.pulse.is_asked(now) && self.ring.newest_key().is_some_and(delivers)
    }

    fn fallback(&self) -> Option<Fallback> {
        self.pulse.heard().cadence.fallback()
    }

    /// Looks at the newest key frame, if it is time.
    fn look(&mut self, hands: &mut Hands<'_>) -> Turn {
        let limits = self.pulse.limits();
        let interval = self.look_every * limits.look_stretch;
        // Key frames jitter around their grid; one that is a little early is the one meant.
        let due = self.last_look.map_or(Mono(0), |last| last + (interval - self.look_every / 8));
        self.pulse.want_keys_from(due);
        let asked = self.is_asked(hands.now);
        if let Some(alarm) = self.pulse.take_alarm().or(asked.then_some(Alarm::Asked))
            && limits.follow
            && hands.admission.admit(self.priority)
        {
            let reason = match alarm {
                Alarm::PacketSizes => PACKET_SIZES,
                Alarm::Found => FOUND,
                Alarm::Asked => ASKED,
            };
            let from = self.looked.or_else(|| self.ring.newest_key().map(|key| Looked::at(&key)));
            self.wake(from, hands.now, reason);
            return self.follow(hands);
        }
        let newer = |key: &AccessUnit| self.looked.is_none_or(|looked| key.number > looked.number) && key.at >= due;
        let Some(key) = self.ring.newest_key().filter(newer) else { return Turn::IDLE };
        let mut inference = hands.inference.lock().unwrap_or_else(PoisonError::into_inner);
        if !inference.make_way() {
            // The last look is still being inferred; the next key frame will do.
            return Turn::IDLE;
        }
        self.last_look = Some(key.at);
        let waited = hands.now.since(key.arrived);
        hands.load.look_waited(waited);
        let picture = hands.looks.look(hands.pool, &key).unwrap_or_else(|error| {
            events::CannotDecode { camera: self.camera.as_str(), error: &error }.emit();
            None
        });
        let fell_back = self.pulse.heard().cadence.looked(picture.is_some());
        let Some(picture) = picture else { return Turn { more: fell_back, cost: LOOK_COST, next: When::Soon } };
        hands.see(&picture);
        let watcher = inference.watcher();
        let glance = watcher.glance(&picture);
        let (occupied, unseen) = (watcher.is_occupied(), watcher.has_unseen());
        drop(inference);
        self.pulse.heard().sizes.judged(glance == Glance::Moved);
        let here = Looked::at(&key);
        KeyFrameLookedAt { camera: self.camera.as_str(), moved: glance != Glance::Still, waited }.emit();
        match glance {
            Glance::Moved if limits.follow && key.at >= self.motion_from && hands.admission.admit(self.priority) => {
                // After an interruption of the stream there is nothing to catch up with.
                let gap = self.look_every * limits.look_stretch + self.max_key_interval;
                let from = self.looked.filter(|looked| key.at.since(looked.at) <= gap).unwrap_or(here);
                self.wake(Some(from), key.arrived, MOTION);
                return Turn { more: true, cost: LOOK_COST, next: When::Later };
            }
            Glance::Moved => self.enter(GateState::Held),
            Glance::Still | Glance::LightChanged => self.enter(GateState::Quiet),
        }
        self.looked = Some(here);
        self.seen = key.at;
        if glance != Glance::Still || occupied || asked {
            put(&self.camera, Urgency::Look, picture, hands);
        } else if unseen && hands.admission.admit_sweep() {
            put(&self.camera, Urgency::Sweep, picture, hands);
        }
        // Where something moves, the next look may complete a rule's condition.
        let next = if glance == Glance::Moved { When::Now } else { When::Soon };
        Turn { more: false, cost: LOOK_COST, next }
    }

    /// Begins to decode everything from this key frame on.
    fn wake(&mut self, from: Option<Looked>, woken_by: Mono, reason: &'static str) {
        let reader = match from {
            Some(key) => self.ring.reader_from(key.number),
            None => self.ring.reader(),
        };
        if let Some(key) = from.filter(|key| reader.position() > key.number) {
            if self.pulse.limits().look_stretch == 1 {
                self.pulse.heard().cadence.cut_short();
            }
            PlaceLost { camera: self.camera.as_str(), wanted: key.number, found: reader.position() }.emit();
        }
        Woken { camera: self.camera.as_str(), reason }.emit();
        self.mode = Mode::Following(Box::new(Following {
            reader,
            decoder: None,
            woken_by: Some(woken_by),
            from,
            reason,
            admitted: reason != GATE,
            key: from,
            starved: None,
        }));
        self.pulse.want_everything();
        self.pulse.set_catching_up(true);
        if let Some(key) = from {
            self.pulse.watch_from(key.at);
        }
        self.enter(GateState::CatchingUp);
    }

    /// Decodes what has come.
    fn follow(&mut self, hands: &mut Hands<'_>) -> Turn {
        let thinned = match self.catching_up_since() {
            None => {
                // The reason for following may have come or gone.
                self.enter(GateState::Following);
                1
            }
            Some(woken_by) => match hands.now.since(woken_by) {
                slow if slow >= 2 * SLOW => 4,
                slow if slow >= SLOW => 2,
                _ => 1,
            },
        };
        self.sampler.set_rate((self.fps / self.pulse.limits().picture_divisor / thinned).max(1));
        let mut cost = 0;
        while cost < UNITS_A_TURN {
            let Mode::Following(following) = &mut self.mode else { return Turn { more: true, cost, next: When::Soon } };
            if let Some(woken_by) = following.woken_by {
                hands.load.still_catching_up(hands.now.since(woken_by));
                if hands.slot.is_taken() {
                    // Inference wakes this camera when it has taken the picture.
                    return Turn { more: false, cost, next: When::Later };
                }
            }
            match following.reader.next() {
                Next::Unit(unit) => {
                    cost += 1;
                    following.starved = None;
                    self.decode(&unit, hands);
                    self.after(&unit, hands);
                }
                Next::Lost { .. } => self.lost_place(),
                Next::Nothing => {
                    if following.is_starved(hands.now, self.max_key_interval) {
                        self.ring.want_key();
                    }
                    self.caught_up(hands);
                    return Turn { more: false, cost, next: When::Now };
                }
            }
        }
        let next = if self.catching_up_since().is_some() { When::Later } else { When::Now };
        Turn { more: true, cost, next }
    }

    fn catching_up_since(&self) -> Option<Mono> {
        match &self.mode {
            Mode::Following(following) => following.woken_by,
            Mode::Looking => None,
        }
    }

    fn decode(&mut self, unit: &AccessUnit, hands: &mut Hands<'_>) {
        let codec = unit.format.codec;
        let Self { camera, sampler, mode: Mode::Following(following), seen, .. } = self else { return };
        if unit.key {
            following.key = Some(Looked::at(unit));
        }
        if following.decoder.as_ref().is_none_or(|(of, _)| *of != codec) {
            if !unit.key {
                return;
            }
            following.decoder = match hands.pool.lend(codec) {
                Ok(decoder) => Some((codec, decoder)),
                Err(error) => return events::CannotDecode { camera: camera.as_str(), error: &error }.emit(),
            };
        }
        let Some((_, decoder)) = &mut following.decoder else { return };
        let catching_up = following.woken_by.is_some();
        let urgency = if catching_up { Urgency::CatchUp } else { Urgency::Live };
        let key = following.key.map(|key| key.number);
        let result = decoder.decode(unit, &mut |picture| {
            if Some(picture.number()) == key {
                hands.see(&picture);
            }
            // What catching up begins with may have been seen already.
            let at = picture.at();
            if (!catching_up || at > *seen) && sampler.is_due(at) {
                *seen = at;
                put(camera, urgency, picture, hands);
            }
        });
        if let Err(error) = result {
            events::CannotDecode { camera: camera.as_str(), error: &error }.emit();
        }
    }

    /// Whether it is live now, and whether it may go back to looking.
    fn after(&mut self, unit: &AccessUnit, hands: &mut Hands<'_>) {
        let Mode::Following(following) = &self.mode else { return };
        let waited = hands.now.since(unit.arrived);
        if following.woken_by.is_none() {
            hands.load.unit_waited(waited);
        } else if waited < LIVE {
            self.caught_up(hands);
        }
        let lag = Duration::from_secs(1).max(2 * (Duration::from_secs(1) / self.fps.max(1)));
        let needed = self.must_follow() || self.pulse.is_asked(hands.now);
        if !needed && self.pulse.is_quiet(unit.at, self.quiet_after, lag) {
            self.learn_from_wake(unit.at);
            self.last_look = Some(unit.at);
            self.seen = unit.at;
            self.stop_following(hands);
            self.enter(GateState::Quiet);
        }
    }

    /// The camera is quiet again: was it woken for something?
    fn learn_from_wake(&mut self, now: Mono) {
        let Mode::Following(following) = &self.mode else { return };
        if following.reason == ASKED {
            // It was not motion.
            return;
        }
        let found = self.pulse.followed_after(following.from.map_or(Mono(0), |from| from.at));
        if following.reason == PACKET_SIZES {
            self.pulse.heard().sizes.judged(found);
        }
        self.vain = if found { 0 } else { (self.vain + 1).min(MOST_VAIN) };
        self.motion_from = if found { now } else { now + self.look_every * (1 << self.vain) };
    }

    fn caught_up(&mut self, hands: &Hands<'_>) {
        let Mode::Following(following) = &mut self.mode else { return };
        let Some(woken_by) = following.woken_by.take() else { return };
        following.leave(hands.admission);
        CaughtUp { camera: self.camera.as_str(), took: hands.now.since(woken_by) }.emit();
        self.pulse.set_catching_up(false);
        self.enter(GateState::Following);
    }

    /// Pictures are missing: what the decoder holds fits nothing that comes.
    fn lost_place(&mut self) {
        let Mode::Following(following) = &mut self.mode else { return };
        let Some((_, decoder)) = &mut following.decoder else { return };
        if let Err(error) = decoder.drain(&mut drop) {
            events::CannotDecode { camera: self.camera.as_str(), error: &error }.emit();
        }
    }

    fn stop_following(&mut self, hands: &mut Hands<'_>) {
        let Mode::Following(mut following) = std::mem::replace(&mut self.mode, Mode::Looking) else { return };
        following.leave(hands.admission);
        self.pulse.set_catching_up(false);
        self.looked = following.key;
        if let Some((codec, mut decoder)) = following.decoder {
            match decoder.drain(&mut drop) {
                Ok(()) => hands.pool.take_back(codec, decoder),
                Err(error) => events::CannotDecode { camera: self.camera.as_str(), error: &error }.emit(),
            }
        }
    }

    fn enter(&mut self, state: GateState) {
        let fallback = self.fallback();
        let following = matches!(state, GateState::CatchingUp | GateState::Following);
        let state = if fallback.is_some() && following { GateState::Fallback } else { state };
        self.pulse.set_busy(match state {
            GateState::Quiet => Busy::Quiet,
            GateState::Held => Busy::Looking,
            GateState::CatchingUp | GateState::Following | GateState::Fallback => Busy::Following,
        });
        if std::mem::replace(&mut self.state, state) != state {
            GateChanged {
                camera: self.camera.as_str(),
                states: GateState::WORDS,
                state: state.as_str(),
                reason: fallback.map(|fallback| (fallback.word(), fallback.to_string())),
                reasons: &Fallback::WORDS,
            }
            .emit();
        }
    }
}

impl Hands<'_> {
    /// Shows a key frame's picture to who judges what they are fit for.
    fn see(&mut self, picture: &Picture) {
        let light = self.scene.lock().unwrap_or_else(PoisonError::into_inner).see(picture, self.wanted);
        if let (Some(light), Some(anomaly)) = (light, self.anomaly)
            && anomaly.offer(picture, light)
        {
            (self.offered)(Offered::Scene);
        }
    }
}

impl Looked {
    fn at(key: &AccessUnit) -> Self {
        Self { number: key.number, at: key.at }
    }
}

impl Following {
    /// Gives back the place among those that catch up.
    fn leave(&mut self, admission: &Admission) {
        if std::mem::take(&mut self.admitted) {
            admission.caught_up();
        }
    }

    /// Whether it has waited for a key frame for longer than it should; told once for each such wait.
    fn is_starved(&mut self, now: Mono, patience: Duration) -> bool {
        if self.reader.is_in_step() {
            return false;
        }
        let since = *self.starved.get_or_insert(now);
        let starved = now.since(since) > patience;
        if starved {
            self.starved = Some(now);
        }
        starved
    }
}

/// Puts a picture into the slot; one that waits there gives way.
fn put(camera: &Id, urgency: Urgency, picture: Picture, hands: &mut Hands<'_>) {
    if let Some(waiting) = hands.slot.put(Offer { picture, urgency, since: hands.now }) {
        events::PictureDropped { camera: camera.as_str(), number: waiting.picture.number() }.emit();
        if waiting.urgency == Urgency::Live {
            hands.load.picture_dropped();
        }
    }
    (hands.offered)(Offered::Things);
}
