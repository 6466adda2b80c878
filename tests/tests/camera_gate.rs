//! The key-frame gate on real streams: what is decoded while nothing moves, what is seen once something has, and which
//! streams cannot be judged by their key frames.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use snowgate::{
    camera::{
        access_unit::{AccessUnit, Arrival},
        clip::ClipReader,
        decode::Decoders,
        gop_ring::GopRing,
        health::{HealthSink, HealthTracker},
        spec::{BackendChoice, RingSpec},
    },
    vision::{analyser::Analyser, model::Models, spec::DetectSpec},
    watch::{Fallback, GateState, Informative, LookDecoders, Outcome, SceneWatch, Tools, Watched, Watcher, overload},
};
use snowgate_core::{
    rules::{CameraRules, SceneRules, StreamRules},
    scene::Learnt,
    schedule::Schedules,
    spec::{ByteSize, TimeSpan, all_defaults},
    time::Mono,
};
use snowgate_tests::encode::{self, Drawn};

const FPS: u32 = 10;
/// H.264 with a key frame every two seconds.
const PLAIN: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 option-string=scenecut=0 bitrate=800";
/// The same with B-frames.
const B_FRAMES: &str =
    "x264enc speed-preset=veryfast key-int-max=20 bframes=2 b-adapt=false option-string=scenecut=0 bitrate=800";
/// H.265 with a key frame every two seconds, open GOPs and B-frames.
const H265: &str = "x265enc speed-preset=ultrafast key-int-max=20 bitrate=800 ! h265parse";

/// A noisy scene of `seconds` in which a thing walks while `visible` (seconds) lasts, encoded to a file.
fn scene(file: &Path, encoder: &str, seconds: u32, visible: &[Range<f64>]) {
    let (width, height) = (320, 240);
    let mut state = 1u32;
    Drawn { count: seconds * FPS, size: (width, height), fps: FPS as i32 }.encode(encoder, file, |number, luma| {
        for (index, sample) in luma.iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = 90 + (index % width / 16) as u8 * 3 + (state >> 31) as u8;
        }
        let at = f64::from(number) / f64::from(FPS);
        if let Some(walk) = visible.iter().find(|walk| walk.contains(&at)) {
            let left = 40 + ((at - walk.start) * 25.0) as usize % 200;
            for row in 80..150 {
                for (column, sample) in luma[row * width + left..][..30].iter_mut().enumerate() {
                    *sample = 160 + ((row * 5 + column * 11) % 90) as u8;
                }
            }
        }
    });
}

/// A camera without models: its gate and its motion, and the times (seconds) of the pictures that were looked at.
struct Gate {
    watched: Arc<Watched>,
    ring: Arc<GopRing>,
    woken: Arc<AtomicBool>,
    tools: Tools,
    looks: LookDecoders,
    seen: Vec<f64>,
    /// When (seconds) which states were entered.
    story: Vec<(f64, GateState)>,
    fallback: Option<Fallback>,
    cost: u32,
    /// When somebody asks to look, and until when (seconds).
    asked: Option<(f64, f64)>,
}

impl Gate {
    fn new(spec: &DetectSpec, ring: &RingSpec) -> Self {
        let camera: snowgate_core::ids::Id = "gate".parse().unwrap();
        let ring = Arc::new(GopRing::new(camera.clone(), ring));
        let analyser = Analyser::new(camera.clone(), spec, Vec::new(), Vec::new());
        let watcher = Watcher::new(analyser, CameraRules::new(&[], &[], &Schedules::new(), &[]).unwrap());
        let nobody = HealthTracker::new(camera.clone(), HealthSink::new(drop));
        let (health, rules) = (all_defaults(), SceneRules::new(&[], &Schedules::new(), &[]).unwrap());
        let scene = SceneWatch::new(camera, &health, &[], rules, Learnt::default(), nobody);
        let stream = StreamRules::default();
        let watched = Arc::new(Watched::new(Arc::clone(&ring), spec, watcher, scene, None, stream, Vec::new()));
        let woken = Arc::new(AtomicBool::new(false));
        ring.on_push(Box::new({
            let (watched, woken) = (Arc::clone(&watched), Arc::clone(&woken));
            move |unit| woken.store(watched.arrived(unit), Ordering::Relaxed)
        }));
        Self {
            watched,
            ring,
            woken,
            tools: Tools::alone(Decoders::find(BackendChoice::Software).unwrap()),
            looks: LookDecoders::default(),
            seen: Vec::new(),
            story: Vec::new(),
            fallback: None,
            cost: 0,
            asked: None,
        }
    }

    fn play(mut self, file: &Path) -> Self {
        let mut clip = ClipReader::open(file, "gate".parse().unwrap()).unwrap();
        let mut now = Mono(0);
        while let Some(unit) = clip.next_unit().unwrap() {
            let AccessUnit { key, at, buffer, format, .. } = unit;
            now = now.max(at);
            self.ring.push(Arrival { key, at, arrived: now, buffer, format });
            let Self { watched, woken, tools, looks, seen, cost, asked, .. } = &mut self;
            if let Some((_, until)) = asked.take_if(|(from, _)| now >= second(*from)) {
                watched.ask(second(until));
                woken.store(true, Ordering::Relaxed);
            }
            while woken.swap(false, Ordering::Relaxed) {
                let turn = watched.decode(tools, looks, now, &mut |_| look(watched, tools, now, seen, woken));
                *cost += turn.cost;
                woken.fetch_or(turn.more, Ordering::Relaxed);
            }
            let (state, fallback) = self.watched.gate();
            if self.story.last().is_none_or(|(_, last)| *last != state) {
                self.story.push((now.0 as f64 / 1e9, state));
            }
            self.fallback = self.fallback.or(fallback);
        }
        self
    }

    /// When this state was entered for the first time.
    fn entered(&self, state: GateState) -> f64 {
        let entered = self.story.iter().find(|(_, entered)| *entered == state);
        entered.unwrap_or_else(|| panic!("never {state:?}: {:?}", self.story)).0
    }

    /// Asserts that pictures of all of this time were looked at, five a second, in order.
    fn assert_seen(&self, time: Range<f64>) {
        let inside: Vec<f64> = self.seen.iter().copied().filter(|at| time.contains(at)).collect();
        assert!(inside.windows(2).all(|pair| pair[0] < pair[1]), "in order: {inside:?}");
        let edges = [time.start].into_iter().chain(inside.iter().copied()).chain([time.end]);
        let gaps = edges.clone().zip(edges.skip(1)).map(|(a, b)| b - a);
        assert!(gaps.clone().all(|gap| gap < 0.35), "{time:?}: {:?}, {:?}", self.seen, self.story);
    }
}

fn look(watched: &Watched, tools: &Tools, now: Mono, seen: &mut Vec<f64>, woken: &AtomicBool) {
    let mut judge = |outcome: Outcome<'_>| {
        if let Outcome::Looked { picture, .. } = outcome {
            seen.push(picture.at().0 as f64 / 1e9);
        }
    };
    let decode = || woken.store(true, Ordering::Relaxed);
    while watched.infer(tools, &mut Models::default(), now, decode, &mut judge).more {}
}

fn second(at: f64) -> Mono {
    Mono((at * 1e9) as u64)
}

/// A quiet scene of 30 seconds, at which somebody asks to look from 9 s to 17 s.
fn asked(rung: usize) -> Gate {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scene.mkv");
    scene(&file, PLAIN, 30, &[]);
    let mut gate = Gate::new(&spec(), &ring(10));
    gate.watched.set_rung(rung);
    gate.asked = Some((9.0, 17.0));
    gate.play(&file)
}

#[test]
fn a_quiet_camera_that_is_asked_to_look_is_followed_for_as_long() {
    let gate = asked(0);
    gate.assert_seen(9.0..17.0);
    assert!((9.0..9.6).contains(&gate.entered(GateState::Following)), "{:?}", gate.story);
    let (first, last) = (gate.seen[0], *gate.seen.last().unwrap());
    assert!(first > 8.0 && last < 18.0, "{first} to {last}, and then it is quiet again");
    assert_eq!(gate.watched.gate(), (GateState::Quiet, None));
}

#[test]
fn where_overload_forbids_to_follow_the_key_frames_of_a_camera_that_is_asked_are_looked_at() {
    let gate = asked(overload::FLOOR);
    assert_eq!(gate.seen, [10.0, 12.0, 14.0, 16.0]);
    assert!(gate.story.iter().all(|(_, state)| *state == GateState::Quiet), "{:?}", gate.story);
}

fn spec() -> DetectSpec {
    DetectSpec { quiet_after: TimeSpan::secs(3), ..all_defaults() }
}

fn ring(seconds: u64) -> RingSpec {
    RingSpec { duration: TimeSpan::secs(seconds), size: ByteSize::mib(16) }
}

fn played(encoder: &str, seconds: u32, visible: &[Range<f64>], spec: &DetectSpec, ring: &RingSpec) -> Gate {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scene.mkv");
    scene(&file, encoder, seconds, visible);
    Gate::new(spec, ring).play(&file)
}

#[test]
fn of_a_quiet_camera_only_key_frames_are_decoded() {
    let gate = played(PLAIN, 40, &[], &spec(), &ring(10));
    assert_eq!(gate.seen, [0.0; 0], "nothing moves and nothing is followed");
    assert_eq!(gate.story.len(), 1, "{:?}", gate.story);
    let looks = 20;
    assert!(gate.cost <= 3 * looks, "no more is decoded than a key frame every two seconds: {}", gate.cost);
    assert!(gate.cost >= 2 * looks, "{}", gate.cost);
}

#[test]
fn what_moves_between_two_looks_is_seen_in_order_from_the_key_frame_before() {
    for encoder in [PLAIN, B_FRAMES, H265] {
        let gate = played(encoder, 30, &[9.3..12.7], &spec(), &ring(10));
        // The look at 10 s shows it; what was since the look at 8 s is caught up with.
        assert!((10.0..10.6).contains(&gate.entered(GateState::Following)), "{:?}", gate.story);
        gate.assert_seen(8.1..15.0);
        let (first, last) = (gate.seen[0], *gate.seen.last().unwrap());
        assert!(first > 8.0 && last < 18.0, "{first} to {last}, {encoder}");
        assert_eq!(gate.watched.gate(), (GateState::Quiet, None));
    }
}

#[test]
fn looking_less_often_catches_up_with_more() {
    let spec = DetectSpec { look_every: TimeSpan::secs(4), ..spec() };
    let gate = played(PLAIN, 30, &[13.0..17.0], &spec, &ring(12));
    assert!((16.0..16.6).contains(&gate.entered(GateState::Following)), "{:?}", gate.story);
    gate.assert_seen(12.1..19.0);
}

#[test]
fn an_event_of_look_interval_and_gop_is_never_missed_wherever_it_begins() {
    for begin in 0..20 {
        let begin = 7.0 + f64::from(begin) / 10.0;
        let gate = played(PLAIN, 20, &[begin..begin + 4.0], &spec(), &ring(10));
        gate.assert_seen(begin..begin + 4.0);
    }
}

#[test]
fn a_camera_that_always_moves_is_followed_and_its_key_frames_are_no_gap() {
    let gate = played(PLAIN, 30, std::slice::from_ref(&(4.5..60.0)), &spec(), &ring(10));
    gate.assert_seen(4.1..29.5);
}

#[test]
fn key_frames_too_far_apart_are_a_reason_to_decode_everything() {
    let twelve = encode::H264_LONG_GOP;
    let gate = played(twelve, 36, &[15.0..20.0], &spec(), &ring(20));
    assert!(matches!(gate.fallback, Some(Fallback::KeysTooFarApart { .. })), "{:?}", gate.fallback);
    assert!(gate.entered(GateState::Fallback) < 6.5, "{:?}", gate.story);
    gate.assert_seen(15.0..20.0);
    assert_eq!(gate.watched.gate().0, GateState::Fallback);
}

#[test]
fn one_key_frame_for_ever_is_followed_even_when_it_has_left_the_ring() {
    let small = RingSpec { size: ByteSize::mib(1), ..ring(10) };
    let gate = played(encode::H264_INFINITE_GOP, 60, &[40.0..45.0], &spec(), &small);
    assert!(gate.ring.newest_key().is_none(), "the GOP is larger than the ring");
    assert!(gate.entered(GateState::Fallback) < 6.5, "{:?}", gate.story);
    gate.assert_seen(8.0..59.5);
}

#[test]
fn gradual_refresh_gives_no_picture_to_look_at_and_is_followed() {
    let gate = played(encode::H264_INTRA_REFRESH, 40, &[20.0..25.0], &spec(), &ring(10));
    assert_eq!(gate.fallback, Some(Fallback::KeysUnusable), "{:?}", gate.story);
    gate.assert_seen(20.0..25.0);
}

#[test]
fn a_ring_that_does_not_reach_back_is_said_to_be_too_short() {
    let gate = played(PLAIN, 40, &[9.5..13.0], &DetectSpec { look_every: TimeSpan::secs(6), ..spec() }, &ring(2));
    assert_eq!(gate.fallback, Some(Fallback::RingTooShort), "{:?}", gate.story);
    assert_eq!(gate.watched.gate().0, GateState::Fallback);
}

#[test]
fn packet_sizes_wake_a_camera_whose_rate_control_leaves_motion_in_them() {
    // A walk every twenty seconds, and at last one that the looks would find a second and a half later.
    let mut walks: Vec<Range<f64>> = (0..9).map(|n| 10.5 + f64::from(n) * 20.0).map(|at| at..at + 4.0).collect();
    walks.push(190.4..194.0);
    let gate = played(encode::H264_CONSTANT_QUALITY, 200, &walks, &spec(), &ring(10));
    assert_eq!(gate.watched.packet_sizes(), Informative::Yes);
    let woken = gate.story.iter().rev().find(|(_, state)| *state == GateState::Following).unwrap().0;
    assert!((190.4..191.9).contains(&woken), "woken at {woken}, the next key frame comes at 192 s");
    gate.assert_seen(190.4..194.0);
}

#[test]
fn at_the_floor_of_the_overload_policy_key_frames_are_looked_at_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scene.mkv");
    scene(&file, PLAIN, 30, std::slice::from_ref(&(8.5..17.5)));
    let gate = Gate::new(&spec(), &ring(10));
    gate.watched.set_rung(overload::FLOOR);
    let gate = gate.play(&file);
    assert!(gate.seen.starts_with(&[10.0, 12.0, 14.0, 16.0]), "{:?}", gate.seen);
    // Where it was is no longer what the background shows, so the looks after it may still show a change.
    assert!(gate.seen.iter().all(|at| at % 2.0 == 0.0 && *at < 24.0), "{:?}", gate.seen);
    assert!(
        gate.story.iter().all(|(_, state)| matches!(state, GateState::Quiet | GateState::Held)),
        "{:?}",
        gate.story
    );
}
