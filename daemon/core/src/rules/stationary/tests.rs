use std::time::Duration;

use proptest::prelude::*;

use crate::{
    geometry::Rect,
    observation::{Observation, Track, TrackId},
    rules::{
        Change,
        tests::{MILLI, Scene, person},
    },
    time::Mono,
};

const PARKING: &str = "id = 'r'\nkind = 'stationary'\nzone = 'zone'\nlabels = ['car']\nfor = '1m'";
const LEFT_BEHIND: &str =
    "id = 'r'\nkind = 'stationary'\nzone = 'zone'\nlabels = ['suitcase']\nfor = '30s'\nafter_bringer_left = true";

/// A car whose wheels stand at (x, y), on its way.
fn car(id: u64, x: f32, y: f32) -> Track {
    Track { label: "car".into(), ..person(id, x, y) }
}

/// The same at rest since then, in milliseconds.
fn parked(since: u64, car: Track) -> Track {
    Track { stationary_since: Some(Mono(since * MILLI)), ..car }
}

fn suitcase(since: u64) -> Track {
    let rect = Rect::new(0.68, 0.45, 0.04, 0.05);
    let first_seen = Mono(since * MILLI);
    Track { label: "suitcase".into(), rect, first_rect: rect, first_seen, ..parked(since, car(9, 0.7, 0.5)) }
}

#[test]
fn a_car_that_parks_is_told_of_once_until_it_drives_away() {
    let mut scene = Scene::new(PARKING);
    scene.pictures(10, &[car(1, 0.55, 0.5)]).pictures(200, &[parked(2_000, car(1, 0.7, 0.5))]);
    assert_eq!(scene.changes(), [], "forty seconds");
    scene.pictures(500, &[parked(2_000, car(1, 0.7, 0.5))]);
    assert_eq!(scene.changes(), [Change::Began]);
    assert_eq!(scene.findings[0].tally.since, Mono(2_000 * MILLI));
    assert!(scene.holds(1_000));
    scene.pictures(5, &[car(1, 0.6, 0.7)]);
    assert!(!scene.holds(0), "it drives");
    scene.pictures(50, &[car(1, 0.3, 0.7)]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn who_drives_slowly_or_stops_outside_is_not_parked() {
    let mut scene = Scene::new(PARKING);
    for step in 0..600 {
        scene.picture(200, &[car(1, 0.55 + 0.0005 * step as f32, 0.5), parked(0, car(2, 0.3, 0.5))]);
    }
    assert_eq!(scene.changes(), []);
}

#[test]
fn what_stood_there_all_along_has_not_come() {
    let there = Track { has_moved: false, ..parked(0, car(1, 0.7, 0.5)) };
    let mut scene = Scene::new(PARKING);
    scene.pictures(1_000, std::slice::from_ref(&there));
    assert_eq!(scene.changes(), []);
    // A truck hides it for longer than its track lives; then it is found again.
    let again = |at: u64| Track { id: TrackId(2), first_seen: Mono(at * MILLI), ..there.clone() };
    scene.pictures(300, &[]);
    let at = scene.at + 200;
    scene.pictures(1_000, &[again(at)]);
    assert_eq!(scene.changes(), [], "it is the same");
    scene.pictures(10, &[car(2, 0.6, 0.8)]);
    let at = scene.at;
    scene.pictures(400, &[parked(at, car(2, 0.6, 0.9))]);
    assert_eq!(scene.changes(), [Change::Began], "now it has come");
}

#[test]
fn a_box_that_wavers_has_not_come() {
    let there = Track { has_moved: false, ..parked(0, car(1, 0.7, 0.5)) };
    let mut scene = Scene::new(PARKING);
    scene.pictures(100, std::slice::from_ref(&there));
    scene.pictures(30, &[Track { stationary_since: None, ..car(1, 0.72, 0.5) }]);
    scene.pictures(1_000, &[parked(26_000, car(1, 0.7, 0.5))]);
    assert_eq!(scene.changes(), []);
}

#[test]
fn what_lies_there_without_having_been_seen_to_come_has_come_once_the_frame_is_known() {
    let heap = |first_seen: u64| Track {
        has_moved: false,
        first_seen: Mono(first_seen * MILLI),
        ..parked(first_seen, car(1, 0.7, 0.5))
    };
    let mut scene = Scene::new(PARKING);
    scene.pictures(300, &[]).pictures(1_000, &[heap(60_000)]);
    assert_eq!(scene.changes(), [], "within the first two minutes");
    let mut scene = Scene::new(PARKING);
    scene.pictures(700, &[]).pictures(400, &[heap(140_000)]);
    assert_eq!(scene.changes(), [Change::Began]);
}

#[test]
fn a_hidden_car_still_stands_and_a_track_that_begins_anew_there_is_the_same_car() {
    let mut scene = Scene::new(PARKING);
    scene.pictures(200, &[parked(200, car(1, 0.7, 0.5))]);
    let hidden = Track { last_seen: Mono(scene.at * MILLI), ..parked(200, car(1, 0.7, 0.5)) };
    for _ in 0..50 {
        scene.at += 200;
        let at = Mono(scene.at * MILLI);
        let tracks = std::slice::from_ref(&hidden);
        scene.rules.observe(&Observation { picture: 0, at, tracks }, &mut scene.findings);
    }
    // Its track is lost, and two seconds later there is another.
    scene.pictures(10, &[]);
    let reborn = Track { has_moved: false, first_seen: Mono((scene.at + 200) * MILLI), ..car(2, 0.702, 0.5) };
    scene.pictures(45, std::slice::from_ref(&reborn));
    assert_eq!(scene.changes(), [Change::Began]);
    assert_eq!(scene.findings[0].tally.since, Mono(200 * MILLI));
    scene.pictures(100, &[reborn, car(3, 0.3, 0.3)]);
    assert_eq!(scene.changes(), [Change::Began]);
}

#[test]
fn another_car_in_the_same_place_is_another_incident() {
    let mut scene = Scene::new(PARKING);
    scene.pictures(400, &[parked(0, car(1, 0.7, 0.5))]).pictures(20, &[]);
    let at = scene.at + 200;
    let second = Track { first_seen: Mono(at * MILLI), first_rect: car(2, 0.4, 0.5).rect, ..car(2, 0.7, 0.5) };
    scene.pictures(400, &[parked(at, second)]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended, Change::Began]);
}

#[test]
fn a_suitcase_is_left_behind_when_nobody_has_been_near_for_long_enough() {
    let mut scene = Scene::new(LEFT_BEHIND);
    scene.pictures(650, &[]);
    let since = scene.at;
    let bag = suitcase(since);
    scene.pictures(300, &[bag.clone(), person(1, 0.75, 0.5)]);
    assert_eq!(scene.changes(), [], "its bringer stands by");
    assert!(!scene.holds(0));
    let left = scene.at;
    scene.pictures(100, &[bag.clone(), person(1, 0.2, 0.5)]);
    assert_eq!(scene.changes(), [], "twenty seconds alone");
    assert!(scene.holds(10) && !scene.holds(1_000));
    scene.pictures(100, std::slice::from_ref(&bag));
    assert_eq!(scene.changes(), [Change::Began]);
    assert_eq!(scene.findings[0].tally.since, Mono(left * MILLI));
    scene.pictures(50, &[bag, person(2, 0.72, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began], "who comes to look at it does not end it");
    scene.pictures(50, &[person(2, 0.72, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn how_near_is_said_in_heights_of_the_person() {
    // Feet 0.15 beside the box, of somebody 0.2 high.
    let stands_by = person(1, 0.87, 0.5);
    let told = |keys: &str| {
        let mut scene = Scene::new(&format!("{LEFT_BEHIND}\n{keys}"));
        scene.pictures(650, &[]);
        let since = scene.at;
        scene.pictures(300, &[suitcase(since), stands_by.clone()]);
        scene.changes()
    };
    assert_eq!(told(""), []);
    assert_eq!(told("bringer_distance = 0.8"), []);
    assert_eq!(told("bringer_distance = 0.7"), [Change::Began]);
}

#[test]
fn people_are_looked_for_where_they_leave_things_behind() {
    let looks_for = |text: &str| {
        let rule: crate::rules::spec::RuleSpec = crate::rules::tests::read(text);
        rule.looks_for().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(looks_for(PARKING), ["car"]);
    assert_eq!(looks_for(LEFT_BEHIND), ["suitcase", "person"]);
    assert!(looks_for("id = 'r'\nkind = 'tamper'").is_empty());
}

proptest! {
    /// Whatever drives, stops, is hidden and is found again: an episode has one beginning and one end, what begins holds in
    /// that picture, and nothing is told of before it has stood for long enough.
    #[test]
    fn parking_has_one_beginning_and_one_end(
        cars in proptest::collection::vec((0u64..4, 0.3f32..1.0, any::<bool>(), any::<bool>(), 50u64..5_000), 1..150),
        linger in 0u64..10,
    ) {
        let mut scene = Scene::new(&format!("{PARKING}\nlinger = '{linger}s'").replace("'1m'", "'4s'"));
        let mut tracks: Vec<Track> = Vec::new();
        for (id, x, rests, has_moved, millis) in cars {
            let before = tracks.iter().position(|track| track.id == TrackId(id)).map(|index| tracks.swap_remove(index));
            let at = scene.at + millis;
            if x > 0.4 {
                let rests_on = before.filter(|before| rests && before.stationary_since.is_some());
                let track = Track { has_moved, first_seen: Mono(at * MILLI), ..car(id, x, 0.5) };
                tracks.push(rests_on.unwrap_or_else(|| if rests { parked(at, track) } else { track }));
            }
            let (now, told) = (tracks.clone(), scene.findings.len());
            scene.picture(millis, &now);
            let began = scene.findings[told..].iter().find(|finding| finding.change == Change::Began);
            if let Some(began) = began {
                prop_assert!(began.at.since(began.tally.since) >= Duration::from_secs(4));
                prop_assert!(scene.holds(u64::MAX));
            }
            prop_assert!(scene.holds(0) || !scene.holds(4));
        }
        scene.picture(60_000, &[]).picture(60_000, &[]);
        prop_assert!(!scene.rules.is_active() && !scene.holds(0));
        for episode in 1..=scene.findings.iter().map(|finding| finding.episode).max().unwrap_or(0) {
            let changes: Vec<_> = scene.findings.iter().filter(|f| f.episode == episode).map(|f| f.change).collect();
            prop_assert_eq!(changes.first(), Some(&Change::Began));
            prop_assert_eq!(changes.iter().filter(|change| **change == Change::Ended).count(), 1);
            prop_assert_eq!(changes.last(), Some(&Change::Ended));
        }
    }
}
