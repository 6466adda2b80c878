//! What happens when the box has more to do than it can: the written policy, all of it in this file.
//!
//! Once a second the pressure on decoding and on inference is read. While one of them is above 1, busy cameras are taken
//! down [`LADDER`] a rung at a time: fewer pictures, then fewer regions, then key frames only (the floor), then key frames
//! in turn. Cameras of low priority go first, all the way to the floor; among equals whoever has been degraded least.
//! Decoding and inference share the cores, so what one gives up helps the other; but where decoding is far behind, or
//! inference takes little anyhow, cameras go to the floor at once.
//!
//! When both pressures have been low for a while, cameras climb back in the opposite order, a few at a time, as long as there
//! is [room](super::room) for what they will take, from the floor straight to the top; if that was too early all the same, the
//! next attempt waits twice as long.
//!
//! Waking a quiet camera takes a [token](Admission), and only so many may catch up at once: dawn, an infra-red switch or
//! rain wake every camera at once, and catching up all of them would starve those already awake. A camera without a token
//! stays at the floor: its key frames are looked at, and inferred. Parts of a still picture that no model has seen yet are
//! shown to one a few at a time, while there is room.

use std::{
    cmp::Reverse,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::room::{Room, Spent};
use crate::vision::spec::Priority;

/// What a rung leaves a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the pictures that would be looked at, one in so many is.
    pub picture_divisor: u32,
    /// Regions of one picture shown to one model, at the most.
    pub max_regions: u32,
    /// Whether more than key frames may be decoded.
    pub follow: bool,
    /// Key frames are looked at so many times as seldom.
    pub look_stretch: u32,
}

/// The rungs, from nothing given up to the least that is always done. A camera's rung is its degradation in the metrics.
pub const LADDER: [Limits; 9] = [
    Limits { picture_divisor: 1, max_regions: u32::MAX, follow: true, look_stretch: 1 },
    // Fewer inferences…
    Limits { picture_divisor: 2, max_regions: u32::MAX, follow: true, look_stretch: 1 },
    Limits { picture_divisor: 4, max_regions: u32::MAX, follow: true, look_stretch: 1 },
    // …then fewer regions…
    Limits { picture_divisor: 4, max_regions: 2, follow: true, look_stretch: 1 },
    Limits { picture_divisor: 4, max_regions: 1, follow: true, look_stretch: 1 },
    // …then key frames only, the floor: so few pictures that all of their regions are shown at first…
    Limits { picture_divisor: 1, max_regions: u32::MAX, follow: false, look_stretch: 1 },
    Limits { picture_divisor: 1, max_regions: 2, follow: false, look_stretch: 1 },
    // …then key frames in turn.
    Limits { picture_divisor: 1, max_regions: 1, follow: false, look_stretch: 2 },
    Limits { picture_divisor: 1, max_regions: 1, follow: false, look_stretch: 4 },
];

/// The first rung without following.
pub const FLOOR: usize = 5;
const LAST: usize = LADDER.len() - 1;

/// How often the policy is applied.
pub const TICK: Duration = Duration::from_secs(1);
/// Ticks of low pressure before cameras climb back, at first and at the most.
const CALM: (u32, u32) = (4, 16);
/// Pressure on decoding at which fewer inferences come too late.
const FAR_BEHIND: f32 = 2.0;
/// Pressure below which the box could do more.
const LOW: f32 = 0.6;
/// The last tokens, which are for cameras of high priority; twice as many are not for those of low priority.
const KEPT: u32 = 1;
/// Still pictures that a decoding thread may have shown to models in one tick: what has been standing somewhere since before
/// the box looked can wait for minutes, and all cameras of a box begin to look at once.
const SWEEPS_A_TICK: u32 = 2;
/// The same for every core that is idle: they take half of it.
const SWEEPS_A_CORE: f32 = 8.0;
/// Where inference is less than this share of what following takes, giving up some of it helps decoding little.
const WORTH_GIVING_UP: f32 = 0.3;
/// Share of the busy cameras that move a rung in one tick, at least one.
const SHARE_A_TICK: usize = 8;

/// Waits that are as long as they should ever be: a pressure of 1.
mod bearable {
    use std::time::Duration;

    /// A picture waits for inference.
    pub const PICTURE: Duration = Duration::from_millis(150);
    /// An encoded picture of a followed camera waits for decoding.
    pub const UNIT: Duration = Duration::from_millis(250);
    /// A key frame waits to be looked at.
    pub const LOOK: Duration = Duration::from_millis(750);
    /// A key frame that shows something waits for inference.
    pub const KEY_PICTURE: Duration = Duration::from_millis(500);
    /// A camera is catching up.
    pub const CATCHING_UP: Duration = Duration::from_secs(5);
    /// Share of pictures that give way before they are looked at.
    pub const DROPPED: f32 = 0.2;
}

/// What the workers have measured since it was last read. Sums only: recording never waits.
#[derive(Debug, Default)]
pub struct Load {
    pictures: Waits,
    dropped: AtomicU32,
    units: Waits,
    looks: Waits,
    key_pictures: Waits,
    catching_up: Waits,
    /// What following takes.
    pub spent: Spent,
}

#[derive(Debug, Default)]
struct Waits {
    micros: AtomicU64,
    count: AtomicU32,
}

impl Waits {
    fn record(&self, wait: Duration) {
        self.micros.fetch_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The mean since the last call as a share of what is bearable, and how many there were.
    fn read(&self, bearable: Duration) -> (f32, u32) {
        let (micros, count) = (self.micros.swap(0, Ordering::Relaxed), self.count.swap(0, Ordering::Relaxed));
        (micros as f32 / count.max(1) as f32 / bearable.as_micros() as f32, count)
    }
}

impl Load {
    /// A live picture has waited for inference.
    pub fn picture_waited(&self, wait: Duration) {
        self.pictures.record(wait);
    }

    /// A live picture gave way before it was looked at, or was too old when its turn came.
    pub fn picture_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// An encoded picture of a camera that is followed live has waited for decoding.
    pub fn unit_waited(&self, wait: Duration) {
        self.units.record(wait);
    }

    /// A key frame has waited to be looked at.
    pub fn look_waited(&self, wait: Duration) {
        self.looks.record(wait);
    }

    /// The picture of a key frame has waited for inference.
    pub fn key_picture_waited(&self, wait: Duration) {
        self.key_pictures.record(wait);
    }

    /// A camera has been catching up for so long, and goes on.
    pub fn still_catching_up(&self, since: Duration) {
        self.catching_up.record(since);
    }

    /// The pressures since the last call.
    pub fn read(&self) -> Pressure {
        let (picture, taken) = self.pictures.read(bearable::PICTURE);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let share = dropped as f32 / (dropped + taken).max(1) as f32;
        let (unit, _) = self.units.read(bearable::UNIT);
        let (look, _) = self.looks.read(bearable::LOOK);
        let (key_picture, _) = self.key_pictures.read(bearable::KEY_PICTURE);
        let (catching_up, _) = self.catching_up.read(bearable::CATCHING_UP);
        Pressure {
            infer: picture.max(key_picture).max(share / bearable::DROPPED),
            decode: unit.max(look).max(catching_up),
        }
    }
}

/// How hard the box is pressed: up to 1 everything is done in time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// On inference.
    pub infer: f32,
    /// On decoding.
    pub decode: f32,
}

/// What a camera is doing, as far as degrading it would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Nothing moves: there is nothing to save but its looks.
    Quiet,
    /// Its key frames show motion.
    Looking,
    /// It is followed.
    Following,
}

/// Which camera moved to which rung, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The camera's place in the list.
    pub camera: usize,
    /// The rung it was on.
    pub from: usize,
    /// The rung it is on now.
    pub to: usize,
    /// What was short, or "recovery".
    pub why: &'static str,
}

/// The policy and what it has done so far.
#[derive(Debug)]
pub struct Policy {
    cameras: Vec<Standing>,
    /// Ticks of low pressure in a row, and how many it takes.
    calm: u32,
    calm_needed: u32,
    /// Since the last climb, to learn whether it was too early.
    since_climb: u32,
    moves: u64,
}

#[derive(Debug)]
struct Standing {
    priority: Priority,
    rung: usize,
    /// When it was last moved, counted in moves.
    moved: u64,
}

impl Policy {
    /// Nothing is degraded.
    pub fn new(priorities: impl IntoIterator<Item = Priority>) -> Self {
        let standing = |priority| Standing { priority, rung: 0, moved: 0 };
        let cameras = priorities.into_iter().map(standing).collect();
        Self { cameras, calm: 0, calm_needed: CALM.0, since_climb: u32::MAX, moves: 0 }
    }

    /// From now on it is about these cameras, each on its rung.
    pub fn serve(&mut self, cameras: impl IntoIterator<Item = (Priority, usize)>) {
        let standing = |(priority, rung)| Standing { priority, rung, moved: self.moves };
        self.cameras = cameras.into_iter().map(standing).collect();
    }

    /// Applies the policy once. `busy` tells what a camera is doing.
    pub fn tick(&mut self, pressure: Pressure, room: Room, busy: impl Fn(usize) -> Busy, changes: &mut Vec<Change>) {
        self.since_climb = self.since_climb.saturating_add(1);
        if pressure.decode > 1.0 || pressure.infer > 1.0 {
            self.calm = 0;
            if self.since_climb < self.calm_needed {
                self.calm_needed = (self.calm_needed * 2).min(CALM.1);
                self.since_climb = u32::MAX;
            }
            self.degrade(pressure, room, busy, changes);
        } else if pressure.decode < LOW && pressure.infer < LOW {
            self.calm += 1;
            if self.calm >= CALM.0 {
                self.release(&busy, changes);
            }
            if self.calm >= self.calm_needed {
                self.climb(room, changes);
            }
        } else {
            self.calm = 0;
        }
    }

    fn degrade(&mut self, pressure: Pressure, room: Room, busy: impl Fn(usize) -> Busy, changes: &mut Vec<Change>) {
        let decoding = pressure.decode > 1.0;
        let at_once = pressure.decode > FAR_BEHIND || (decoding && room.inference < WORTH_GIVING_UP);
        let why = if decoding { "decode" } else { "infer" };
        let mut candidates: Vec<usize> = (0..self.cameras.len())
            .filter(|camera| match (busy(*camera), self.cameras[*camera].rung) {
                (_, rung) if rung >= LAST => false,
                // A quiet camera can only be looked at less often: that helps where looks are what decoding cannot follow.
                (Busy::Quiet, _) => decoding,
                (Busy::Following | Busy::Looking, _) => true,
            })
            .collect();
        // Looks are given up only where nothing else is left to give up.
        let at_the_floor = |camera: usize| busy(camera) == Busy::Quiet || self.cameras[camera].rung >= FLOOR;
        // Low priority before high, the least degraded first.
        candidates.sort_by_key(|camera| {
            let Standing { priority, rung, moved } = self.cameras[*camera];
            (at_the_floor(*camera), Reverse(priority), rung, moved)
        });
        let above = candidates.iter().filter(|camera| !at_the_floor(**camera)).count();
        let candidates = &candidates[..if above > 0 { above } else { candidates.len() }];
        let severity = pressure.decode.max(pressure.infer).min(4.0);
        let share = (candidates.len() as f32 / SHARE_A_TICK as f32 * severity).ceil() as usize;
        for camera in candidates.iter().copied().take(share.max(1)) {
            let (from, following) = (self.cameras[camera].rung, busy(camera) == Busy::Following);
            let to = match following {
                true if at_once => from.max(FLOOR - 1) + 1,
                true => from + 1,
                // Rungs above the floor take nothing from a camera that is not followed.
                false => (from + 1).max(FLOOR),
            };
            self.move_to(camera, to.min(LAST), why, changes);
        }
    }

    /// Where nothing moves there is nothing to give up: quiet cameras stand at the top, to be whole when they wake.
    fn release(&mut self, busy: &impl Fn(usize) -> Busy, changes: &mut Vec<Change>) {
        for camera in 0..self.cameras.len() {
            if self.cameras[camera].rung > 0 && busy(camera) == Busy::Quiet {
                self.move_to(camera, 0, "recovery", changes);
            }
        }
    }

    /// The most degraded first, high priority before low.
    fn climb(&mut self, room: Room, changes: &mut Vec<Change>) {
        let mut candidates: Vec<usize> =
            (0..self.cameras.len()).filter(|camera| self.cameras[*camera].rung > 0).collect();
        if candidates.is_empty() {
            self.calm_needed = CALM.0;
            return;
        }
        candidates.sort_by_key(|camera| {
            let Standing { priority, rung, moved } = self.cameras[*camera];
            (rung < FLOOR, priority, LAST - rung, moved)
        });
        // From the floor only one at a time: it has to catch up first.
        let from_the_floor = candidates.iter().position(|camera| self.cameras[*camera].rung == FLOOR);
        let share = candidates.len().div_ceil(SHARE_A_TICK).min(from_the_floor.map_or(usize::MAX, |first| first + 1));
        for camera in candidates.into_iter().take(share) {
            let (to, fits) = match self.cameras[camera].rung {
                // Where there is room to follow it, there is for all of it: the rungs between are for the way down.
                FLOOR => (0, room.for_more() > 0),
                // Looks take next to nothing.
                rung if rung > FLOOR => (rung - 1, true),
                rung => (rung - 1, room.idle >= room.to_follow * room.inference),
            };
            if fits {
                self.move_to(camera, to, "recovery", changes);
                self.since_climb = 0;
            }
        }
    }

    fn move_to(&mut self, camera: usize, to: usize, why: &'static str, changes: &mut Vec<Change>) {
        self.moves += 1;
        let standing = &mut self.cameras[camera];
        changes.push(Change { camera, from: standing.rung, to, why });
        (standing.rung, standing.moved) = (to, self.moves);
    }
}

/// Tokens for waking quiet cameras, and for looking at what stands still in them.
#[derive(Debug)]
pub struct Admission {
    tokens: AtomicU32,
    most: u32,
    a_tick: u32,
    /// Cameras that were admitted and have not caught up yet, and how many there may be.
    catching_up: AtomicU32,
    most_catching_up: u32,
    /// Still pictures that may be shown to models in this tick.
    sweeps: AtomicU32,
}

impl Admission {
    /// For a box with so many threads that decode: each catches up about one camera a second.
    pub fn new(decoders: usize) -> Self {
        let a_tick = u32::try_from(decoders).unwrap_or(u32::MAX).max(1);
        let most = a_tick.saturating_mul(2).max(4);
        Self {
            tokens: AtomicU32::new(most),
            most,
            a_tick,
            catching_up: AtomicU32::new(0),
            most_catching_up: a_tick,
            sweeps: AtomicU32::new(a_tick.saturating_mul(SWEEPS_A_TICK)),
        }
    }

    /// Tokens for everyone, always.
    pub fn unlimited() -> Self {
        let endless = || AtomicU32::new(u32::MAX);
        Self {
            tokens: endless(),
            most: 0,
            a_tick: 0,
            catching_up: AtomicU32::new(0),
            most_catching_up: u32::MAX,
            sweeps: endless(),
        }
    }

    /// A second has passed. While the box is pressed there are no new tokens, and next to no sweeps. There are no more
    /// tokens than there is room for, and the one that is kept for high priority.
    pub fn refill(&self, pressure: Pressure, room: Room) {
        let easy = pressure.decode <= LOW && pressure.infer <= LOW;
        let (new, most) = (if easy { self.a_tick } else { 0 }, self.most.min(room.for_more().saturating_add(KEPT)));
        let fill = |tokens: u32| Some(tokens.saturating_add(new).min(most));
        // The closure always answers a value, so the update cannot fail.
        let _ = self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, fill);
        let sweeps = if easy { (room.idle * SWEEPS_A_CORE) as u32 } else { 0 };
        self.sweeps.store(sweeps.clamp(1, self.a_tick.saturating_mul(SWEEPS_A_TICK)), Ordering::Release);
    }

    /// Asks to show models a part of a still picture that they have never seen.
    pub fn admit_sweep(&self) -> bool {
        let take = |sweeps: u32| sweeps.checked_sub(1);
        self.sweeps.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Asks to catch up, which must be [ended](Self::caught_up) once granted. The last tokens are kept for those who come
    /// first.
    pub fn admit(&self, priority: Priority) -> bool {
        let kept = match priority {
            Priority::High => 0,
            Priority::Normal => KEPT,
            Priority::Low => 2 * KEPT,
        };
        let enter = |catching_up: u32| (catching_up < self.most_catching_up).then(|| catching_up + 1);
        if self.catching_up.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_err() {
            return false;
        }
        let take = |tokens: u32| (tokens > kept).then(|| tokens - 1);
        let admitted = self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok();
        if !admitted {
            self.caught_up();
        }
        admitted
    }

    /// One that was admitted has caught up, or given up.
    pub fn caught_up(&self) {
        self.catching_up.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESSED: Pressure = Pressure { infer: 1.5, decode: 0.2 };
    const PRESSED_DECODING: Pressure = Pressure { infer: 0.2, decode: 2.5 };
    const EASY: Pressure = Pressure { infer: 0.1, decode: 0.1 };
    const ROOM: Room = Room { idle: 100.0, to_follow: 0.5, inference: 0.5 };
    const NO_ROOM: Room = Room { idle: 0.9, ..ROOM };

    fn ticks(policy: &mut Policy, pressure: Pressure, busy: Busy, count: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        (0..count).for_each(|_| policy.tick(pressure, ROOM, |_| busy, &mut changes));
        changes
    }

    fn rungs(policy: &Policy) -> Vec<usize> {
        policy.cameras.iter().map(|camera| camera.rung).collect()
    }

    #[test]
    fn fewer_pictures_then_fewer_regions_then_key_frames_then_in_turn() {
        let rising = |of: fn(&Limits) -> u32| LADDER.map(|limits| of(&limits));
        assert_eq!(rising(|limits| limits.look_stretch), [1, 1, 1, 1, 1, 1, 1, 2, 4]);
        assert!(
            LADDER[..FLOOR].iter().all(|limits| limits.follow) && LADDER[FLOOR..].iter().all(|limits| !limits.follow)
        );
        let mut policy = Policy::new([Priority::Normal]);
        let steps = ticks(&mut policy, PRESSED, Busy::Following, 20);
        assert!(steps.iter().map(|step| (step.from, step.to)).eq((0..LAST).map(|rung| (rung, rung + 1))));
    }

    #[test]
    fn low_priority_goes_to_the_floor_before_others_give_up_anything() {
        let mut policy = Policy::new([Priority::Normal, Priority::Low, Priority::High]);
        ticks(&mut policy, PRESSED, Busy::Following, FLOOR);
        assert_eq!(rungs(&policy), [0, FLOOR, 0]);
        ticks(&mut policy, PRESSED, Busy::Following, FLOOR);
        assert_eq!(rungs(&policy), [FLOOR, FLOOR, 0]);
        ticks(&mut policy, PRESSED, Busy::Following, FLOOR);
        assert_eq!(rungs(&policy), [FLOOR; 3]);
    }

    #[test]
    fn equals_are_degraded_in_turn() {
        let mut policy = Policy::new([Priority::Normal; 16]);
        for _ in 0..60 {
            ticks(&mut policy, PRESSED, Busy::Following, 1);
            let rungs = rungs(&policy);
            let (least, most) = (rungs.iter().min().unwrap(), rungs.iter().max().unwrap());
            assert!(most - least <= 1, "{rungs:?}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_not_followed() {
        let mut policy = Policy::new([Priority::Normal; 2]);
        let steps = ticks(&mut policy, PRESSED_DECODING, Busy::Following, 2);
        assert!(steps.iter().all(|step| (step.from, step.to) == (0, FLOOR)), "{steps:?}");
    }

    #[test]
    fn a_quiet_camera_is_left_alone_unless_it_is_looks_that_are_too_many() {
        let mut policy = Policy::new([Priority::Normal; 4]);
        assert_eq!(ticks(&mut policy, PRESSED, Busy::Quiet, 10), []);
        assert_eq!(ticks(&mut policy, PRESSED_DECODING, Busy::Quiet, 1)[0].to, FLOOR);
        assert_eq!(ticks(&mut policy, PRESSED, Busy::Looking, 1)[0].to, FLOOR, "fewer regions before fewer looks");
    }

    #[test]
    fn everything_climbs_back_and_waits_longer_after_a_relapse() {
        let mut policy = Policy::new([Priority::High, Priority::Normal, Priority::Low]);
        ticks(&mut policy, PRESSED, Busy::Following, 100);
        assert_eq!(rungs(&policy), [LAST; 3]);
        let first = ticks(&mut policy, EASY, Busy::Following, CALM.0 as usize);
        assert_eq!((first.len(), first[0].camera), (1, 0), "the one of high priority climbs first");
        ticks(&mut policy, PRESSED, Busy::Following, 1);
        assert_eq!(ticks(&mut policy, EASY, Busy::Following, 2 * CALM.0 as usize - 1), []);
        ticks(&mut policy, EASY, Busy::Quiet, 1000);
        assert_eq!(rungs(&policy), [0; 3]);
    }

    #[test]
    fn tokens_run_out_for_low_priority_first_and_come_back_when_there_is_room() {
        let admission = Admission { most_catching_up: u32::MAX, ..Admission::new(2) };
        assert!(admission.admit(Priority::Low) && admission.admit(Priority::Low));
        assert!(!admission.admit(Priority::Low));
        assert!(admission.admit(Priority::Normal));
        assert!(!admission.admit(Priority::Normal));
        assert!(admission.admit(Priority::High));
        assert!(!admission.admit(Priority::High));
        admission.refill(PRESSED, ROOM);
        assert!(!admission.admit(Priority::High), "no tokens while the box is pressed");
        admission.refill(EASY, ROOM);
        assert!(admission.admit(Priority::Normal));
        admission.refill(EASY, NO_ROOM);
        assert!(!admission.admit(Priority::Normal), "nobody else could be followed");
        assert!(admission.admit(Priority::High), "but somebody would have to give way");
    }

    #[test]
    fn still_pictures_are_shown_a_few_at_a_time() {
        let admission = Admission::new(2);
        let admitted = || (0..100).filter(|_| admission.admit_sweep()).count();
        assert_eq!(admitted(), 2 * SWEEPS_A_TICK as usize);
        admission.refill(PRESSED, ROOM);
        assert_eq!(admitted(), 1, "slowly, but it comes to an end under pressure too");
        admission.refill(EASY, ROOM);
        assert_eq!(admitted(), 2 * SWEEPS_A_TICK as usize);
    }

    #[test]
    fn a_camera_climbs_only_where_there_is_room_for_it() {
        let mut policy = Policy::new([Priority::Normal; 2]);
        ticks(&mut policy, PRESSED, Busy::Following, 2 * FLOOR);
        assert_eq!(rungs(&policy), [FLOOR; 2]);
        let mut climb = |room: Room| {
            let mut changes = Vec::new();
            (0..CALM.1).for_each(|_| policy.tick(EASY, room, |_| Busy::Looking, &mut changes));
            changes.len()
        };
        assert_eq!(climb(NO_ROOM), 0);
        assert_ne!(climb(Room { idle: 1.0, ..ROOM }), 0);
    }

    #[test]
    fn rungs_that_would_give_nothing_are_left_out() {
        let mut policy = Policy::new([Priority::Normal]);
        let mut changes = Vec::new();
        let late = Pressure { infer: 0.1, decode: 1.2 };
        policy.tick(late, ROOM, |_| Busy::Following, &mut changes);
        policy.tick(late, Room { inference: 0.1, ..ROOM }, |_| Busy::Following, &mut changes);
        assert_eq!(changes.iter().map(|change| change.to).collect::<Vec<_>>(), [1, FLOOR]);
    }

    #[test]
    fn only_so_many_catch_up_at_once() {
        let admission = Admission { tokens: AtomicU32::new(100), ..Admission::new(2) };
        assert!(admission.admit(Priority::High) && admission.admit(Priority::High));
        assert!(!admission.admit(Priority::High));
        admission.caught_up();
        assert!(admission.admit(Priority::Low));
    }

    #[test]
    fn quiet_cameras_are_whole_again_as_soon_as_there_is_room() {
        let mut policy = Policy::new([Priority::Normal; 20]);
        ticks(&mut policy, PRESSED_DECODING, Busy::Following, 100);
        // A relapse makes those that are busy wait for longer.
        ticks(&mut policy, EASY, Busy::Following, CALM.0 as usize);
        ticks(&mut policy, PRESSED, Busy::Following, 1);
        ticks(&mut policy, EASY, Busy::Quiet, CALM.0 as usize);
        assert_eq!(rungs(&policy), [0; 20]);
    }

    #[test]
    fn waits_and_drops_make_pressure() {
        let load = Load::default();
        assert_eq!(load.read(), Pressure::default());
        (0..8).for_each(|_| load.picture_waited(bearable::PICTURE * 2));
        load.look_waited(bearable::LOOK / 2);
        assert_eq!(load.read(), Pressure { infer: 2.0, decode: 0.5 });
        (0..6).for_each(|_| load.picture_waited(Duration::ZERO));
        (0..4).for_each(|_| load.picture_dropped());
        assert!((load.read().infer - 2.0).abs() < 1e-6, "four in ten gave way");
        load.key_picture_waited(bearable::KEY_PICTURE * 3);
        load.still_catching_up(bearable::CATCHING_UP);
        assert_eq!(load.read(), Pressure { infer: 3.0, decode: 1.0 });
    }
}
