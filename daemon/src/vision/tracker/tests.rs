use std::collections::BTreeSet;

use proptest::prelude::*;
use snowgate_core::spec::{Located, TimeSpan};

use super::*;
use snowgate_core::spec::all_defaults;

const STEP: u64 = 200_000_000;

fn person(score: f32, rect: Rect) -> Detection {
    Detection { label: "person".into(), score, rect }
}

const LOOK: u64 = 2_000_000_000;

/// Runs pictures 0..n through a tracker that looks everywhere; calls `each` with what it says.
fn follow(
    tracker: &mut Tracker,
    pictures: std::ops::Range<u64>,
    mut scene: impl FnMut(u64) -> Vec<Detection>,
    mut each: impl FnMut(u64, &[Track]),
) {
    for picture in pictures {
        let detections = scene(picture);
        each(picture, tracker.update(Mono(picture * STEP), &detections, &[Rect::FRAME]));
    }
}

fn ids(tracks: &[Track]) -> Vec<u64> {
    tracks.iter().map(|track| track.id.0).collect()
}

/// A walker seen from the side, 0.25 body heights a picture.
fn walker(start: f32, speed: f32, y: f32, picture: u64) -> Rect {
    Rect::new(start + speed * picture as f32, y, 0.025, 0.1)
}

#[test]
fn a_second_hit_confirms_and_a_certain_one_is_enough() {
    let mut tracker = Tracker::new(&all_defaults());
    let rect = Rect::new(0.4, 0.4, 0.05, 0.1);
    assert!(tracker.update(Mono(0), &[person(0.6, rect)], &[Rect::FRAME]).is_empty());
    assert_eq!(tracker.update(Mono(STEP), &[person(0.35, rect)], &[Rect::FRAME]).len(), 1);
    let mut tracker = Tracker::new(&all_defaults());
    assert_eq!(tracker.update(Mono(0), &[person(0.9, rect)], &[Rect::FRAME]).len(), 1);
    let mut tracker = Tracker::new(&all_defaults());
    follow(&mut tracker, 0..20, |_| vec![person(0.35, rect)], |_, tracks| assert!(tracks.is_empty()));
}

#[test]
fn walkers_keep_their_numbers_through_meeting_and_occlusion() {
    for gap in 2..8 {
        let mut tracker = Tracker::new(&all_defaults());
        let mut seen = BTreeSet::new();
        let meet = 25;
        let scene = |picture: u64| {
            let (a, b) = (walker(0.2, 0.008, 0.4, picture), walker(0.6, -0.008, 0.405, picture));
            // While they pass one another only one box is seen.
            if picture.abs_diff(meet) * 2 < gap { vec![person(0.8, b)] } else { vec![person(0.8, a), person(0.8, b)] }
        };
        follow(&mut tracker, 0..50, scene, |picture, tracks| {
            seen.extend(ids(tracks));
            if picture == 20 || picture == 49 {
                let a = tracks.iter().find(|track| track.id == TrackId(1)).unwrap();
                assert!(a.rect.iou(&walker(0.2, 0.008, 0.4, picture)) > 0.6, "gap {gap}, picture {picture}");
            }
        });
        assert_eq!(seen, BTreeSet::from([1, 2]), "gap {gap}");
    }
}

#[test]
fn a_person_is_never_continued_as_a_car() {
    let mut tracker = Tracker::new(&all_defaults());
    let rect = Rect::new(0.4, 0.4, 0.05, 0.1);
    follow(&mut tracker, 0..5, |_| vec![person(0.9, rect)], |_, _| ());
    let car = Detection { label: "car".into(), ..person(0.9, rect) };
    let tracks = tracker.update(Mono(5 * STEP), &[car], &[Rect::FRAME]);
    assert_eq!(ids(tracks), [1, 2]);
}

#[test]
fn a_lost_thing_is_given_up_in_time_and_what_left_at_once() {
    let mut tracker = Tracker::new(&all_defaults());
    let rect = Rect::new(0.4, 0.4, 0.05, 0.1);
    follow(&mut tracker, 0..5, |_| vec![person(0.9, rect)], |_, _| ());
    follow(
        &mut tracker,
        5..60,
        |_| vec![],
        |picture, tracks| {
            // Three seconds are fifteen pictures after the last one seen.
            assert_eq!(tracks.len(), usize::from(picture <= 4 + 15), "picture {picture}");
        },
    );
    let mut tracker = Tracker::new(&all_defaults());
    follow(&mut tracker, 0..24, |picture| vec![person(0.9, walker(0.8, 0.008, 0.4, picture))], |_, _| ());
    follow(&mut tracker, 24..32, |_| vec![], |_, _| ());
    assert!(tracker.tracks().is_empty(), "it walked out of the frame");
}

/// A detector's jitter, always the same.
fn jitter(picture: u64, salt: u64) -> f32 {
    let mut x = (picture * 2 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    (x % 1000) as f32 / 500.0 - 1.0
}

fn parked(picture: u64) -> Detection {
    let shift = |salt| 0.008 * jitter(picture, salt);
    let rect = Rect::new(0.4 + shift(0), 0.4 + shift(1), 0.1 + shift(2), 0.08 + shift(3));
    Detection { label: "car".into(), score: 0.6 + 0.15 * jitter(picture, 9), rect }
}

#[test]
fn a_parked_car_is_one_track_at_rest_that_never_moved() {
    let mut tracker = Tracker::new(&all_defaults());
    // It flickers: of ten pictures two show it.
    let scene = |picture: u64| if picture % 10 < 2 || picture < 60 { vec![parked(picture)] } else { vec![] };
    follow(&mut tracker, 0..3000, scene, |picture, tracks| {
        if picture > 2 {
            assert_eq!(ids(tracks), [1], "picture {picture}");
            assert!(!tracks[0].has_moved, "picture {picture}");
            assert_eq!(tracks[0].stationary_since.is_some(), picture >= 50, "picture {picture}");
        }
    });
    // It drives away: the same track, moving.
    let away = |picture: u64| {
        let rect = parked(0).rect;
        vec![Detection { rect: Rect { x: rect.x + 0.02 * (picture - 3000) as f32, ..rect }, ..parked(0) }]
    };
    follow(&mut tracker, 3000..3020, away, |_, tracks| assert_eq!(ids(tracks), [1]));
    assert!(tracker.tracks()[0].has_moved && tracker.tracks()[0].stationary_since.is_none());
}

#[test]
fn what_nobody_looked_at_is_not_missed() {
    let mut tracker = Tracker::new(&all_defaults());
    follow(&mut tracker, 0..60, |picture| vec![parked(picture)], |_, _| ());
    let elsewhere = [Rect::new(0.7, 0.0, 0.3, 1.0)];
    for picture in 60..3000 {
        assert_eq!(ids(tracker.update(Mono(picture * STEP), &[], &elsewhere)), [1]);
    }
    // Looked at every ten seconds and gone: some looks later it is given up.
    let mut alive = 0;
    for look in 0..40 {
        let at = Mono((3000 + look * 50) * STEP);
        alive += usize::from(!tracker.update(at, &[], &[Rect::FRAME]).is_empty());
    }
    assert!((3..20).contains(&alive), "{alive}");
}

#[test]
fn someone_who_stops_comes_to_rest_and_has_moved() {
    let spec = DetectSpec { stationary_after: TimeSpan::secs(4), fps: Located::nowhere(5), ..all_defaults() };
    let mut tracker = Tracker::new(&spec);
    let scene = |picture: u64| {
        let rect = walker(0.2, 0.008, 0.4, picture.min(20));
        vec![person(0.7, Rect { x: rect.x + 0.002 * jitter(picture, 1), ..rect })]
    };
    follow(&mut tracker, 0..60, scene, |picture, tracks| {
        if picture == 20 || picture == 30 {
            assert_eq!(tracks[0].stationary_since, None);
        }
    });
    let track = &tracker.tracks()[0];
    assert!(track.has_moved);
    let since = track.stationary_since.unwrap();
    assert!((Mono(17 * STEP)..Mono(24 * STEP)).contains(&since), "{since:?}");
}

/// What looks two seconds apart show; the tracks after the last.
fn looks(tracker: &mut Tracker, scenes: &[Vec<Detection>]) -> Vec<Track> {
    for (look, detections) in (1..).zip(scenes) {
        tracker.update(Mono(look * LOOK), detections, &[Rect::FRAME]);
    }
    tracker.tracks().to_vec()
}

/// Somebody whose feet stand so many heights to the right of and below the middle; on a frame of 16:9 people are 0.22 as
/// wide as high.
fn standing(score: f32, right: f32, below: f32) -> Detection {
    let height = 0.2;
    let width = height * 0.4 * 9.0 / 16.0;
    person(score, Rect::new(0.5 + right * width / 0.4 - width / 2.0, 0.5 + (below - 1.0) * height, width, height))
}

#[test]
fn a_walker_is_one_track_from_look_to_look_though_its_boxes_never_meet() {
    for (right, below) in [(1.6, 0.0), (-1.6, 0.2), (0.0, 0.8), (0.9, -0.6)] {
        let at = |look: f32| vec![standing(0.6, right * (look - 1.0), below * (look - 1.0))];
        let tracks = looks(&mut Tracker::new(&all_defaults()), &[at(0.0), at(1.0), at(2.0)]);
        assert_eq!(ids(&tracks), [1], "{right} {below}");
        assert_eq!((tracks[0].first_seen, tracks[0].sure_since), (Mono(LOOK), Mono(LOOK)));
        assert_eq!(tracks[0].first_rect, at(0.0)[0].rect);
    }
}

#[test]
fn what_nobody_walks_in_that_time_is_another_and_so_is_what_has_another_size() {
    let (here, car) = (standing(0.9, 0.0, 0.0), |d: Detection| Detection { label: "car".into(), ..d });
    let large = |d: Detection| {
        let Rect { x, y, width, height } = d.rect;
        Detection { rect: Rect::new(x, y - height, width * 2.0, height * 2.0), ..d }
    };
    for other in [standing(0.9, 3.5, 0.0), standing(0.9, 0.0, 2.4), large(standing(0.9, 1.0, 0.0)), car(here.clone())] {
        let tracks = looks(&mut Tracker::new(&all_defaults()), &[vec![here.clone()], vec![other.clone()]]);
        assert_eq!(ids(&tracks), [1, 2], "{other:?}");
    }
    // Where an unsure box lies as far as that, nothing is.
    let tracks = looks(&mut Tracker::new(&all_defaults()), &[vec![here.clone()], vec![standing(0.4, 1.6, 0.0)]]);
    assert!(!tracks[0].is_seen_at(Mono(2 * LOOK)), "{tracks:?}");
}

#[test]
fn where_two_can_have_changed_places_they_are_followed_and_nothing_is_sure() {
    let here = vec![standing(0.9, 0.0, 0.0), standing(0.9, 1.0, 0.0)];
    let there = vec![standing(0.9, 1.3, 0.0), standing(0.9, -0.3, 0.0)];
    let tracks = looks(&mut Tracker::new(&all_defaults()), &[here, there]);
    assert_eq!(ids(&tracks), [1, 2]);
    assert!(tracks.iter().all(|track| track.sure_since == Mono(2 * LOOK)), "{tracks:?}");
    // Far from one another there is no doubt.
    let here = vec![standing(0.9, -4.0, 0.0), standing(0.9, 3.0, 0.0)];
    let there = vec![standing(0.9, -3.0, 0.0), standing(0.9, 4.0, 0.0)];
    let tracks = looks(&mut Tracker::new(&all_defaults()), &[here, there]);
    assert_eq!(ids(&tracks), [1, 2]);
    assert!(tracks.iter().all(|track| track.sure_since == Mono(LOOK)), "{tracks:?}");
}

#[test]
fn who_is_gone_for_two_looks_is_given_up_and_a_parked_car_is_nobody_elses() {
    let mut tracker = Tracker::new(&all_defaults());
    let empty = Vec::new;
    assert_eq!(looks(&mut tracker, &[vec![standing(0.9, 0.0, 0.0)], empty()]).len(), 1, "it may be hidden");
    assert!(tracker.update(Mono(3 * LOOK), &[], &[]).is_empty(), "whatever was looked at");

    let mut tracker = Tracker::new(&all_defaults());
    let car = |x: f32| Detection { label: "car".into(), score: 0.9, rect: Rect::new(x, 0.4, 0.1, 0.08) };
    looks(&mut tracker, &vec![vec![car(0.3)]; 8]);
    // While one drives past it, it is not found.
    let tracks = tracker.update(Mono(9 * LOOK), &[car(0.5)], &[Rect::FRAME]);
    assert_eq!(ids(tracks), [1, 2]);
    assert!(!tracks[0].has_moved && tracks[0].stationary_since.is_some(), "{tracks:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn walkers_who_keep_apart_are_one_track_each_from_look_to_look(
        walkers in prop::collection::vec((-1.5f32..1.5, -0.6f32..0.6, 0.5f32..0.9), 1..4), apart in 1_500u64..2_500, seed: u64,
    ) {
        // Eight heights from lane to lane: when they have come as close as they can they are still out of each other's reach.
        let scene = |look: u64| -> Vec<Detection> {
            let lanes = walkers.iter().enumerate().map(|(lane, (right, below, score))| {
                let way = look as f32 * apart as f32 / 2000.0;
                let shift = 0.03 * jitter(look, seed % 1000 + lane as u64);
                let found = standing(*score, right * way + shift, below * way + 8.0 * lane as f32 + shift);
                let Rect { x, y, width, height } = found.rect;
                Detection { rect: Rect::new(0.4 + x * 0.14, 0.2 + y * 0.14, width * 0.14, height * 0.14), ..found }
            });
            lanes.collect()
        };
        let mut tracker = Tracker::new(&all_defaults());
        for look in 0..4 {
            tracker.update(Mono(look * apart * 1_000_000), &scene(look), &[]);
        }
        prop_assert_eq!(tracker.tracks().len(), walkers.len());
        for track in tracker.tracks() {
            prop_assert_eq!((track.first_seen, track.sure_since), (Mono(0), Mono(0)), "{:?}", track);
        }
    }

    #[test]
    fn however_people_mingle_nobody_outruns_a_walker_between_two_looks(
        scenes in prop::collection::vec(prop::collection::vec((-4.0f32..4.0, -1.5f32..1.5, 0.3f32..1.0), 0..8), 2..8),
    ) {
        let mut tracker = Tracker::new(&all_defaults());
        let mut before: Vec<Track> = Vec::new();
        for (look, scene) in (1..).zip(&scenes) {
            let detections: Vec<_> = scene.iter().map(|(right, below, score)| standing(*score, *right, *below)).collect();
            let at = Mono(look * LOOK);
            let tracks = tracker.update(at, &detections, &[]).to_vec();
            for track in tracks.iter().filter(|track| track.is_seen_at(at)) {
                let Some(earlier) = before.iter().find(|earlier| earlier.id == track.id) else { continue };
                prop_assert!(at.since(earlier.last_seen) <= Duration::from_secs(4));
                let (a, b) = (earlier.rect.foot(), track.rect.foot());
                // Filtered boxes lag behind what was detected, and an unsure one may be half a box off: there is some room.
                let (right, below) = ((b.x - a.x) / 0.045 / 2.5, (b.y - a.y) / 0.2);
                let most = if earlier.is_seen_at(Mono(at.0 - LOOK)) { 3.2 } else { 7.0 };
                prop_assert!(right.hypot(below) <= most, "{earlier:?}, {track:?}");
            }
            before = tracks;
        }
    }

    #[test]
    fn whatever_is_detected_numbers_are_unique_and_boxes_are_numbers(
        pictures in prop::collection::vec(
            (prop::collection::vec(
                (prop_oneof![9 => 0.0f32..1.0, 1 => any::<f32>()], prop::array::uniform4(prop_oneof![19 => 0.0f32..1.0, 1 => any::<f32>()]), 0usize..2),
                0..20,
            ), 0u64..3_000_000_000),
            1..40,
        ),
    ) {
        let mut tracker = Tracker::new(&all_defaults());
        let mut at = 0;
        let mut newest = 0;
        for (detections, passed) in pictures {
            at += passed;
            let detections: Vec<Detection> = detections
                .into_iter()
                .map(|(score, [x, y, width, height], label)| Detection {
                    label: ["person", "car"][label].into(), score, rect: Rect { x, y, width, height },
                })
                .collect();
            let tracks = tracker.update(Mono(at), &detections, &[Rect::new(0.0, 0.0, 0.5, 1.0)]);
            prop_assert!(tracks.len() <= MAX_TRACKS);
            prop_assert!(tracks.windows(2).all(|pair| pair[0].id < pair[1].id));
            for track in tracks {
                let Rect { x, y, width, height } = track.rect;
                prop_assert!([x, y, width, height, track.score].into_iter().all(f32::is_finite));
                prop_assert!(width > 0.0 && height > 0.0 && track.first_seen <= track.last_seen);
                if track.first_seen == Mono(at) {
                    // A number that first appears now is larger than any seen before this picture.
                    prop_assert!(track.id.0 > newest);
                }
            }
            newest = tracks.iter().map(|track| track.id.0).fold(newest, u64::max);
            let moved_on = Mono(at + passed);
            prop_assert!(tracker.wanted(moved_on).all(|wanted| wanted.area.area().is_finite()));
        }
    }

    #[test]
    fn walkers_on_their_own_paths_are_one_track_each(
        walkers in prop::collection::vec((0.25f32..0.4, -0.004f32..0.01, 0.7f32..0.9), 1..6), hidden in 0u64..8, seed: u64,
    ) {
        let mut tracker = Tracker::new(&all_defaults());
        let count = walkers.len();
        let scene = |picture: u64| {
            let lanes = walkers.iter().enumerate().filter(|(lane, _)| {
                // Each is hidden for a while, at another time each.
                !(20 + *lane as u64 * 3..20 + *lane as u64 * 3 + hidden).contains(&picture)
            });
            lanes.map(|(lane, (start, speed, score))| {
                let rect = walker(*start, *speed, 0.02 + 0.15 * lane as f32, picture);
                let shift = 0.0015 * jitter(picture, seed % 1000 + lane as u64);
                person(*score, Rect { x: rect.x + shift, y: rect.y + shift, ..rect })
            }).collect()
        };
        let mut seen = BTreeSet::new();
        follow(&mut tracker, 0..50, scene, |_, tracks| seen.extend(ids(tracks)));
        prop_assert_eq!(seen.len(), count);
        prop_assert_eq!(tracker.tracks().len(), count);
    }
}
