use std::time::Duration;

use proptest::prelude::*;

use super::slope;
use crate::{
    observation::Track,
    rules::{
        CameraRules, Change,
        tests::{MILLI, Scene, person, read},
    },
    schedule::Schedules,
    time::Mono,
};

/// The zone is the right half of the frame, seen from straight above: 10 m by 40 m.
const LIMIT: &str = "id = 'r'\nkind = 'speed'\nzone = 'zone'\nmetres = [10, 40]\nabove = 30";

/// Drives down the zone at so many kilometres per hour, five pictures a second, for so many of them.
fn drives(scene: &mut Scene, kmh: f32, pictures: usize) {
    let start = 0.05;
    for picture in 0..pictures {
        let metres = kmh / 3.6 * 0.2 * picture as f32;
        scene.picture(200, &[person(1, 0.75, start + metres / 40.0)]);
    }
}

#[test]
fn who_drives_too_fast_is_told_of_once_with_the_highest_speed() {
    let mut scene = Scene::new(LIMIT);
    drives(&mut scene, 54.0, 13);
    assert_eq!(scene.changes(), [Change::Began]);
    assert!(scene.holds(100));
    scene.pictures(30, &[]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
    let tally = scene.findings[1].tally;
    assert!(tally.speed.is_some_and(|speed| (speed - 54.0).abs() < 0.5), "{tally:?}");
}

#[test]
fn who_drives_slowly_enough_is_not() {
    let mut scene = Scene::new(LIMIT);
    drives(&mut scene, 29.0, 20);
    assert_eq!(scene.changes(), []);
    assert!(!scene.holds(0));
}

#[test]
fn a_jump_of_a_box_is_no_speed_and_neither_is_less_than_a_second() {
    let mut scene = Scene::new(LIMIT);
    scene.pictures(20, &[person(1, 0.75, 0.3)]).picture(200, &[person(1, 0.75, 0.38)]);
    scene.pictures(20, &[person(1, 0.75, 0.3)]);
    assert_eq!(scene.changes(), [], "three metres there and back");
    let mut scene = Scene::new(LIMIT);
    drives(&mut scene, 100.0, 5);
    assert_eq!(scene.changes(), [], "eight tenths of a second");
}

#[test]
fn a_car_that_slows_down_is_no_longer_too_fast() {
    let mut scene = Scene::new(LIMIT);
    drives(&mut scene, 54.0, 13);
    let y = 0.05 + 15.0 * 0.2 * 12.0 / 40.0;
    scene.pictures(30, &[person(1, 0.75, y)]);
    assert!(!scene.holds(0));
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn outside_of_the_zone_and_where_tracks_may_have_changed_places_nothing_is_measured() {
    let mut scene = Scene::new(LIMIT);
    for picture in 0..14u8 {
        scene.picture(200, &[person(1, 0.3, 0.05 + 0.07 * f32::from(picture))]);
    }
    assert_eq!(scene.changes(), []);
    let mut scene = Scene::new(LIMIT);
    for picture in 0..14u8 {
        let sure_since = Mono((scene.at + 200) * MILLI);
        scene.picture(200, &[Track { sure_since, ..person(1, 0.75, 0.05 + 0.07 * f32::from(picture)) }]);
    }
    assert_eq!(scene.changes(), []);
}

#[test]
fn a_zone_that_is_no_rectangle_on_the_ground_is_named() {
    let zone = read("id = 'zone'\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]");
    let error = CameraRules::new(&[zone], &[], &Schedules::new(), &[read(LIMIT)]).unwrap_err();
    assert!(error.to_string().starts_with("rule r: zone zone: a measured zone has exactly four corners"), "{error}");
}

proptest! {
    /// A steady speed is measured whatever the pace of the pictures, and told exactly if it is above the limit.
    #[test]
    fn a_steady_speed_is_measured(kmh in 5.0f32..90.0, millis in 50u64..400, across in 0.55f32..0.95) {
        prop_assume!((kmh - 30.0).abs() > 0.5);
        let mut scene = Scene::new(LIMIT);
        let mut y = 0.02;
        while y < 0.98 {
            scene.picture(millis, &[person(1, across, y)]);
            y += kmh / 3.6 * millis as f32 / 1_000.0 / 40.0;
        }
        let seen_for = scene.at - millis;
        // A second for the first speed, half of one for it to last, and what lies between pictures.
        prop_assume!(kmh < 30.0 || seen_for >= 1_500 + 3 * millis);
        let began = scene.findings.iter().find(|finding| finding.change == Change::Began);
        prop_assert_eq!(began.is_some(), kmh > 30.0);
        if let Some(began) = began {
            let speed = began.tally.speed.unwrap();
            prop_assert!((speed - kmh).abs() < 0.2, "{speed} is not {kmh}");
            prop_assert!(began.at.since(began.tally.since) >= Duration::from_millis(500));
        }
    }

    /// Noise of a few decimetres does not make a slow car fast.
    #[test]
    fn jitter_does_not_make_it_faster_by_much(jitter in proptest::collection::vec(-0.007f32..0.007, 24)) {
        let mut scene = Scene::new(LIMIT);
        for (picture, jitter) in jitter.iter().enumerate() {
            scene.picture(200, &[person(1, 0.75, 0.1 + 20.0 / 3.6 * 0.2 * picture as f32 / 40.0 + jitter)]);
        }
        prop_assert!(scene.findings.is_empty());
    }

    /// The slope of points on a line is that of the line, whatever the distances between them.
    #[test]
    fn the_slope_of_a_line_is_found(
        steps in proptest::collection::vec(0.01f64..3.0, 2..60), rise in -50.0f64..50.0, from in -9.0f64..9.0,
    ) {
        let xs: Vec<f64> = steps.iter().scan(0.0, |sum, step| { *sum += step; Some(*sum) }).collect();
        let found = slope(xs.iter().map(|x| (*x, from + rise * x)));
        prop_assert!((found - rise).abs() < 1e-6);
    }
}
