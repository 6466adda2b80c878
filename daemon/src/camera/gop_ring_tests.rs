use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use gstreamer as gst;
use proptest::prelude::*;
use snowgate_core::spec::{ByteSize, TimeSpan};

use super::{
    super::access_unit::{Codec, StreamFormat},
    *,
};

const FRAME: u64 = 40_000_000;

fn ring(bytes: u64, span: Duration) -> Arc<GopRing> {
    gst::init().unwrap();
    Arc::new(GopRing::new("gate".parse().unwrap(), &RingSpec { duration: TimeSpan(span), size: ByteSize(bytes) }))
}

fn arrival(key: bool, at: Mono, size: usize) -> Arrival {
    let format = StreamFormat {
        camera: "gate".parse().unwrap(),
        codec: Codec::H264,
        caps: gst::Caps::builder("video/x-h264").build(),
    };
    Arrival { key, at, arrived: at, buffer: gst::Buffer::with_size(size).unwrap(), format: Arc::new(format) }
}

/// Reads until there is nothing new; answers the numbers got and the numbers said to be lost.
fn read_all(reader: &mut RingReader) -> (Vec<u64>, Vec<u64>) {
    let (mut got, mut lost) = (Vec::new(), Vec::new());
    let mut key_is_next = None;
    loop {
        match reader.next() {
            Next::Unit(unit) => {
                if let Some(number) = key_is_next.take() {
                    assert!(unit.key && unit.number == number, "reading resumes at the key frame named");
                }
                got.push(unit.number);
            }
            Next::Lost { from, to, resumes } => {
                lost.extend(from..=to);
                key_is_next = Some(resumes);
            }
            Next::Nothing => return (got, lost),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push { key: bool, size: usize, gap_millis: u64 },
    Interrupt,
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (prop::bool::weighted(0.15), 0usize..4_000, 0u64..200)
            .prop_map(|(key, size, gap_millis)| Step::Push { key, size, gap_millis }),
        1 => Just(Step::Interrupt),
        2 => Just(Step::Read),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #[test]
    fn whatever_arrives_the_ring_is_bounded_decodable_and_exact(steps in steps()) {
        let (limit, span) = (20_000, Duration::from_secs(2));
        let ring = ring(limit, span);
        let mut reader = ring.reader();
        let (mut seen, mut pushed, mut at) = (BTreeSet::new(), 0, Mono(0));
        let (mut gop_bytes, mut headless) = (0, false);
        for step in steps {
            match step {
                Step::Push { key, size, gap_millis } => {
                    at = at + Duration::from_millis(gap_millis);
                    pushed += 1;
                    gop_bytes = if key { 0 } else { gop_bytes } + (size + UNIT_OVERHEAD) as u64;
                    headless |= gop_bytes > limit;
                    prop_assert_eq!(ring.push(arrival(key, at, size)), pushed);
                }
                Step::Interrupt => ring.interrupt(),
                Step::Read => {
                    let (got, lost) = read_all(&mut reader);
                    for number in got.into_iter().chain(lost) {
                        prop_assert!(seen.insert(number), "unit {} told twice", number);
                    }
                }
            }
            prop_assert!(ring.bytes() as u64 <= limit);
            let held = ring.lock();
            prop_assert_eq!(held.bytes, held.units.iter().map(cost).sum::<usize>());
            prop_assert!(held.gops() <= 1 || held.span() <= span);
            prop_assert!(!held.is_headless() || headless, "only a GOP that exceeds the ring loses its head");
            let keys: Vec<_> = held.units.iter().filter(|unit| unit.key).map(|unit| unit.number).collect();
            prop_assert!(keys.iter().eq(held.keys.iter()));
            for (a, b) in held.units.iter().zip(held.units.iter().skip(1)) {
                prop_assert!(b.number == a.number + 1 || b.key, "a gap that is not followed by a key frame");
            }
        }
        // Every number is either seen or said to be lost, without a hole, up to where the reader stands.
        let (got, lost) = read_all(&mut reader);
        seen.extend(got.into_iter().chain(lost));
        prop_assert!(seen.iter().copied().eq(1..=seen.len() as u64));
        prop_assert!(seen.len() as u64 <= pushed);
    }

    #[test]
    fn a_reader_that_keeps_up_loses_nothing(gops in prop::collection::vec(1usize..20, 1..20)) {
        let ring = ring(64 << 10, Duration::from_secs(1));
        let mut reader = ring.reader();
        let mut at = Mono(0);
        for gop in gops {
            for index in 0..gop {
                at = Mono(at.0 + FRAME);
                let number = ring.push(arrival(index == 0, at, 100));
                prop_assert_eq!(read_all(&mut reader), (vec![number], vec![]));
            }
        }
    }
}

#[test]
fn a_reader_that_falls_behind_goes_on_at_the_newest_key_frame() {
    let ring = ring(1 << 20, Duration::from_secs(2));
    let mut reader = ring.reader();
    for n in 0..100u64 {
        ring.push(arrival(n % 10 == 0, Mono(n * FRAME), 10));
    }
    // 2 s are 50 pictures at most: the first 50 are gone, and 91 is the newest key frame.
    assert_eq!(read_all(&mut reader), ((91..=100).collect(), (1..=90).collect()));
}

#[test]
fn a_gop_longer_than_the_ring_stays_while_its_bytes_fit() {
    let ring = ring(1 << 20, Duration::from_secs(1));
    let mut reader = ring.reader();
    for n in 0..100 {
        ring.push(arrival(n == 0, Mono(n * FRAME), 10));
    }
    assert_eq!(read_all(&mut reader), ((1..=100).collect(), vec![]));
    ring.push(arrival(true, Mono(100 * FRAME), 10));
    assert_eq!(ring.bytes(), 10 + UNIT_OVERHEAD, "the next key frame lets it go");
}

#[test]
fn a_gop_larger_than_the_ring_can_be_followed_and_not_begun() {
    let ring = ring(10_000, Duration::from_secs(60));
    let mut follower = ring.reader();
    for n in 0..100 {
        let number = ring.push(arrival(n == 0, Mono(n * FRAME), 1_500));
        assert_eq!(read_all(&mut follower), (vec![number], vec![]), "who keeps up loses nothing");
    }
    let mut late = ring.reader();
    assert_eq!(read_all(&mut late), (vec![], vec![]), "who comes late waits");
    assert!(ring.newest_key().is_none());
    ring.push(arrival(true, Mono(100 * FRAME), 1_500));
    assert_eq!(read_all(&mut late).0, [101]);
    assert_eq!(read_all(&mut follower), (vec![101], vec![]));
    assert_eq!(ring.newest_key().unwrap().number, 101);
}

#[test]
fn reading_goes_on_from_a_key_frame_or_the_oldest_after_it() {
    let ring = ring(1 << 20, Duration::from_secs(2));
    for n in 0..100u64 {
        ring.push(arrival(n % 10 == 0, Mono(n * FRAME), 10));
    }
    // 51 is the oldest key frame of the last two seconds.
    for (from, expected) in [(71, 71), (21, 51), (72, 81)] {
        assert_eq!(read_all(&mut ring.reader_from(from)).0[0], expected);
    }
    assert_eq!(read_all(&mut ring.reader_from(95)).0, [0; 0], "there is none yet");
}

#[test]
fn pre_roll_starts_at_the_key_frame_before() {
    let ring = ring(1 << 20, Duration::from_secs(60));
    for n in 0..40 {
        ring.push(arrival(n % 10 == 0, Mono(1_000 + n * FRAME), 10));
    }
    let first = |at| match ring.reader_since(at).next() {
        Next::Unit(unit) => unit.number,
        other => panic!("{other:?}"),
    };
    assert_eq!(first(Mono(1_000 + 25 * FRAME)), 21);
    assert_eq!(first(Mono(1_000 + 20 * FRAME)), 21);
    assert_eq!(first(Mono(0)), 1, "older than all that is held: the oldest");
    assert_eq!(first(Mono(u64::MAX)), 31);
}

#[test]
fn the_last_arrival_is_that_of_a_unit_that_can_be_decoded() {
    let ring = ring(1 << 20, Duration::from_secs(60));
    let arrives = |key, at| {
        ring.push(arrival(key, Mono(at), 10));
        ring.last_arrival()
    };
    assert_eq!(arrives(false, 1), None, "there is nothing to start decoding with");
    assert_eq!((arrives(true, 2), arrives(false, 3)), (Some(Mono(2)), Some(Mono(3))));
    ring.interrupt();
    assert_eq!((arrives(false, 4), arrives(true, 5)), (Some(Mono(3)), Some(Mono(5))));
}

#[test]
fn every_push_wakes() {
    let ring = ring(1 << 20, Duration::from_secs(60));
    let woken = Arc::new(AtomicU64::new(0));
    ring.on_push(Box::new({
        let woken = Arc::clone(&woken);
        move |pushed| {
            assert_eq!((pushed.size, pushed.key), (10, false));
            woken.fetch_add(1, Ordering::Relaxed);
        }
    }));
    for n in 0..3 {
        ring.push(arrival(false, Mono(n), 10));
    }
    assert_eq!(woken.load(Ordering::Relaxed), 3);
}
