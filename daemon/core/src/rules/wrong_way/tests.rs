use std::time::Duration;

use proptest::prelude::*;

use super::AllowedWay;
use crate::{
    geometry::Point,
    observation::Track,
    rules::{
        Change,
        tests::{MILLI, Scene, person},
    },
    time::Mono,
};

/// A lane on the right half of the frame; its traffic goes up.
const LANE: &str = "id = 'r'\nkind = 'wrong_way'\nzone = 'zone'\nfrom = [0.7, 0.9]\nto = [0.7, 0.1]";

fn scooter(y: f32) -> Track {
    person(1, 0.7, y)
}

/// Goes from one height to another, in steps of 0.02.
fn rides(scene: &mut Scene, from: f32, to: f32) {
    let steps = ((to - from).abs() / 0.02).round() as usize;
    for step in 0..=steps {
        scene.picture(200, &[scooter(from + (to - from) * step as f32 / steps as f32)]);
    }
}

#[test]
fn who_rides_against_the_traffic_is_told_of_once() {
    let mut scene = Scene::new(LANE);
    rides(&mut scene, 0.3, 0.9);
    assert_eq!(scene.changes(), [Change::Began]);
    assert!(scene.findings[0].at.since(scene.findings[0].tally.since) >= Duration::from_secs(1));
    assert!(scene.holds(100));
    scene.pictures(50, &[]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn who_rides_with_the_traffic_stands_or_crosses_the_lane_is_right() {
    let mut scene = Scene::new(LANE);
    rides(&mut scene, 0.9, 0.3);
    for step in 0..40 {
        scene.picture(200, &[person(2, 0.52 + 0.011 * step as f32, 0.5)]);
    }
    for step in 0..200 {
        scene.picture(200, &[person(3, 0.7, 0.5 + if step % 2 == 0 { 0.01 } else { -0.01 })]);
    }
    assert_eq!(scene.changes(), []);
}

#[test]
fn a_few_steps_back_are_not_the_wrong_way() {
    let mut scene = Scene::new(LANE);
    rides(&mut scene, 0.6, 0.64);
    assert_eq!(scene.changes(), [], "less than the least distance");
    let mut scene = Scene::new(LANE);
    scene.picture(200, &[scooter(0.4)]).picture(200, &[scooter(0.5)]);
    scene.pictures(50, &[scooter(0.5)]);
    assert_eq!(scene.changes(), [], "far enough, and at once over: a box that was half hidden");
}

#[test]
fn who_turns_round_is_right_again_and_who_stops_no_longer_goes() {
    let mut scene = Scene::new(LANE);
    rides(&mut scene, 0.3, 0.7);
    assert!(scene.holds(100));
    rides(&mut scene, 0.7, 0.5);
    assert!(!scene.holds(0));
    let mut scene = Scene::new(LANE);
    rides(&mut scene, 0.3, 0.7);
    scene.pictures(80, &[scooter(0.7)]);
    assert!(!scene.holds(0));
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn who_stood_for_long_has_gone_the_wrong_way_only_since_setting_off() {
    let mut scene = Scene::new(LANE);
    scene.pictures(300, &[scooter(0.3)]);
    let set_off = scene.at;
    rides(&mut scene, 0.3, 0.7);
    assert_eq!(scene.changes(), [Change::Began]);
    assert!(scene.findings[0].tally.since >= Mono(set_off * MILLI));
}

#[test]
fn a_box_that_creeps_does_not_go() {
    let mut scene = Scene::new(LANE);
    for step in 0..1_000 {
        scene.picture(200, &[scooter(0.3 + 0.0005 * step as f32)]);
    }
    assert_eq!(scene.changes(), [], "half of the frame in more than three minutes");
}

#[test]
fn how_far_one_may_turn_from_the_way_can_be_said() {
    let across = |tolerance: &str| {
        let mut scene = Scene::new(&format!("{LANE}\n{tolerance}"));
        for step in 0..40 {
            scene.picture(200, &[person(1, 0.52 + 0.011 * step as f32, 0.5)]);
        }
        scene.changes()
    };
    assert_eq!(across(""), []);
    assert_eq!(across("tolerance = 100"), []);
    assert_eq!(across("tolerance = 45"), [Change::Began]);
}

#[test]
fn outside_of_the_zone_and_where_tracks_may_have_changed_places_nothing_is_concluded() {
    let mut scene = Scene::new(LANE);
    for step in 0..40 {
        scene.picture(200, &[person(1, 0.3, 0.1 + 0.02 * step as f32)]);
    }
    assert_eq!(scene.changes(), []);
    let mut scene = Scene::new(LANE);
    for step in 1..8 {
        let doubtful = Track { sure_since: Mono(step * 2_000 * MILLI), ..scooter(0.1 * step as f32) };
        scene.picture(2_000, &[doubtful]);
    }
    assert_eq!(scene.changes(), []);
}

proptest! {
    /// What turns by less than the tolerance is allowed, what turns by more is not, whichever way the arrow points.
    #[test]
    fn a_way_is_allowed_up_to_its_tolerance(arrow in 0.0f32..360.0, turn in -180.0f32..180.0, tolerance in 10.0f32..170.0) {
        prop_assume!((turn.abs() - tolerance).abs() > 0.5);
        let at = |degrees: f32| Point::new(0.5 + 0.3 * degrees.to_radians().cos(), 0.5 + 0.3 * degrees.to_radians().sin());
        let way = AllowedWay::new(Point::new(0.5, 0.5), at(arrow), tolerance);
        let to = at(arrow + turn);
        prop_assert_eq!(way.allows((to.x - 0.5, to.y - 0.5), 0.3), turn.abs() < tolerance);
    }

    /// Whatever moves about: one beginning and one end, and what begins holds in that picture.
    #[test]
    fn every_wrong_way_has_one_beginning_and_one_end(
        walks in proptest::collection::vec((0u64..4, 0.4f32..1.0, 0.2f32..1.0, 50u64..3_000), 1..150),
    ) {
        let mut scene = Scene::new(LANE);
        let mut tracks: Vec<Track> = Vec::new();
        for (id, x, y, millis) in walks {
            tracks.retain(|track| track.id.0 != id);
            tracks.push(person(id, x, y));
            let (now, told) = (tracks.clone(), scene.findings.len());
            scene.picture(millis, &now);
            let began = scene.findings[told..].iter().any(|finding| finding.change == Change::Began);
            prop_assert!(!began || scene.holds(u64::MAX));
            prop_assert!(scene.holds(0) || !scene.holds(1));
        }
        scene.picture(60_000, &[]).picture(60_000, &[]);
        prop_assert!(!scene.rules.is_active() && !scene.holds(0));
        let ended = scene.findings.iter().filter(|finding| finding.change == Change::Ended).count();
        prop_assert_eq!(ended, scene.findings.iter().filter(|finding| finding.change == Change::Began).count());
    }

    /// Who goes with the traffic never alarms, however the boxes jitter.
    #[test]
    fn who_goes_the_right_way_never_alarms(jitter in proptest::collection::vec(-0.01f32..0.01, 60), pace in 0.002f32..0.03) {
        let mut scene = Scene::new(LANE);
        for (step, jitter) in jitter.iter().enumerate() {
            scene.picture(200, &[scooter((0.95 - pace * step as f32 + jitter).max(0.05))]);
        }
        prop_assert!(scene.findings.is_empty());
    }
}
