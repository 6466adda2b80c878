use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::{
    geometry::Rect,
    rules::{
        Change,
        tests::{MILLI, Scene, person},
    },
    schedule::testing::oclock,
    time::Mono,
};

/// What the rule says of each thing in a picture that shows these tracks and comes `millis` after the one before.
fn explain(scene: &mut Scene, millis: u64, tracks: &[Track]) -> Vec<(About, Verdict)> {
    scene.picture(millis, tracks);
    said(scene, tracks)
}

/// What the rule says of the last picture, which showed these tracks.
fn said(scene: &Scene, tracks: &[Track]) -> Vec<(About, Verdict)> {
    let at = Mono(scene.at * MILLI);
    let tracks: Vec<_> = tracks.iter().map(|track| Track { last_seen: at, ..track.clone() }).collect();
    let mut explanations = Vec::new();
    scene.rules.explain(&Observation { picture: 0, at, tracks: &tracks }, &mut explanations);
    explanations.into_iter().map(|explanation| (explanation.about, explanation.verdict)).collect()
}

/// What it says of one track that is all there is.
fn of_one(scene: &mut Scene, millis: u64, track: &Track) -> Verdict {
    explain(scene, millis, std::slice::from_ref(track)).swap_remove(0).1
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const STAY: &str = "id = 'r'\nkind = 'loitering'\nzone = 'zone'\nfor = '2s'\nmin_score = 0.5\nmin_height = 0.1";

#[test]
fn the_first_that_keeps_a_thing_from_being_told_is_named() {
    let mut scene = Scene::new(STAY);
    let car = Track { label: "car".into(), score: 0.1, ..person(1, 0.3, 0.5) };
    assert_eq!(of_one(&mut scene, 200, &car), Verdict::OtherLabel);
    let mut small = person(2, 0.3, 0.5);
    small.rect = Rect::new(0.3, 0.4, 0.1, 0.05);
    let verdict = of_one(&mut scene, 200, &small);
    assert_eq!(verdict, Verdict::TooSmall { height: small.rect.height, min_height: 0.1 });
    assert_eq!(verdict.to_string(), "height 0.050 below min_height 0.1");
    let outside = Track { score: 0.41, ..person(3, 0.3, 0.5) };
    assert_eq!(of_one(&mut scene, 200, &outside), Verdict::OutsideZone);
    let parked = Track { has_moved: false, stationary_since: Some(Mono(0)), score: 0.41, ..person(4, 0.7, 0.5) };
    assert_eq!(of_one(&mut scene, 200, &parked), Verdict::StoodThere);
    let unsure = Track { score: 0.41, ..person(5, 0.7, 0.5) };
    assert_eq!(of_one(&mut scene, 200, &unsure).to_string(), "score 0.41 below min_score 0.5");
}

#[test]
fn a_stay_is_inside_for_some_of_its_time_then_told_of_and_then_was() {
    let mut scene = Scene::new(&format!("{STAY}\ncool_down = '10s'"));
    scene.pictures(1, &[person(1, 0.7, 0.5)]);
    let verdict = of_one(&mut scene, 1500, &person(1, 0.7, 0.5));
    assert_eq!(verdict, Verdict::Inside(Progress { held: millis(1500), hold: millis(2000) }));
    assert_eq!(verdict.to_string(), "inside for 1.5 s of the 2.0 s of `for`");
    assert_eq!(of_one(&mut scene, 500, &person(1, 0.7, 0.5)), Verdict::Fired { episode: 1 });
    let told = of_one(&mut scene, 3000, &person(1, 0.7, 0.5));
    assert_eq!(told, Verdict::Told { episode: 1, joins_for: millis(7000) });
    assert_eq!(told.to_string(), "told of in episode 1, cool-down for another 7 s");
    // Half hidden while its time runs, it goes on; when its time is up it must be sure.
    let mut scene = Scene::new(STAY);
    scene.pictures(1, &[person(1, 0.7, 0.5)]);
    let half = Track { score: 0.2, ..person(1, 0.7, 0.5) };
    assert!(matches!(of_one(&mut scene, 1000, &half), Verdict::Inside(_)));
    assert_eq!(of_one(&mut scene, 1000, &half), Verdict::Unsure { score: 0.2, min_score: 0.5 });
}

#[test]
fn a_rule_that_rests_says_by_which_schedule() {
    let mut scene = Scene::new(&format!("{STAY}\nschedule = 'night'"));
    scene.rules.it_is(oclock(12, true));
    assert_eq!(of_one(&mut scene, 200, &person(1, 0.7, 0.5)).to_string(), "resting by schedule night");
}

#[test]
fn a_crossing_is_not_yet_the_other_way_or_told_of() {
    let mut scene = Scene::new("id = 'r'\nkind = 'line_crossing'\nline = 'line'\ndirection = 'left_to_right'");
    let verdict = of_one(&mut scene, 200, &person(1, 0.4, 0.5));
    assert!(matches!(verdict, Verdict::NotAcross { distance } if (distance - 0.1).abs() < 1e-5), "{verdict}");
    assert_eq!(
        of_one(&mut scene, 200, &person(1, 0.6, 0.5)),
        Verdict::CrossedOtherWay { crossing: Crossing::RightToLeft }
    );
    assert_eq!(of_one(&mut scene, 200, &person(1, 0.4, 0.5)), Verdict::Fired { episode: 1 });
    assert!(of_one(&mut scene, 200, &person(1, 0.4, 0.5)).is_told());
}

#[test]
fn a_crowd_says_how_many_there_are_of_the_limit() {
    let mut scene = Scene::new("id = 'r'\nkind = 'count'\nzone = 'zone'\nlimit = 2\nfor = '1s'");
    let group: Vec<_> = (0..3).map(|i| person(i, 0.6 + 0.1 * i as f32, 0.5)).collect();
    for (_, verdict) in explain(&mut scene, 200, &group[..2]) {
        assert_eq!(verdict.to_string(), "2 inside, not more than the limit of 2");
    }
    for (_, verdict) in explain(&mut scene, 200, &group) {
        assert_eq!(verdict, Verdict::Crowd(Progress { held: Duration::ZERO, hold: millis(1000) }));
    }
    let fired = explain(&mut scene, 1000, &group);
    assert!(fired.iter().all(|(_, verdict)| *verdict == Verdict::Fired { episode: 1 }), "{fired:?}");
}

#[test]
fn an_absence_is_of_the_whole_picture() {
    let mut scene = Scene::new("id = 'r'\nkind = 'absence'\nzone = 'zone'\nfor = '1s'");
    let manned = Verdict::Manned { count: 1, least: 1 };
    assert_eq!(
        explain(&mut scene, 200, &[person(1, 0.7, 0.5)]),
        [(About::from(&person(1, 0.0, 0.0)), manned.clone()), (About::Picture, manned)]
    );
    let gone = explain(&mut scene, 200, &[]);
    assert_eq!(gone, [(About::Picture, Verdict::Unmanned(Progress { held: Duration::ZERO, hold: millis(1000) }))]);
    assert_eq!(explain(&mut scene, 1000, &[]), [(About::Picture, Verdict::Fired { episode: 1 })]);
}

#[test]
fn what_stands_has_come_and_is_alone() {
    let rule = "id = 'r'\nkind = 'stationary'\nzone = 'zone'\nlabels = ['car']\nfor = '10s'\nafter_bringer_left = true";
    let mut scene = Scene::new(rule);
    let car = Track { label: "car".into(), ..person(1, 0.7, 0.5) };
    assert_eq!(of_one(&mut scene, 200, &car), Verdict::Moving);
    let stands = Track { stationary_since: Some(Mono(200 * MILLI)), ..car.clone() };
    assert_eq!(
        of_one(&mut scene, 4000, &stands),
        Verdict::Stands(Progress { held: millis(4000), hold: millis(10_000) })
    );
    let verdicts = explain(&mut scene, 200, &[stands.clone(), person(2, 0.75, 0.5)]);
    assert_eq!(verdicts[0].1, Verdict::Attended);
    let all_along = Track { has_moved: false, ..Track { id: TrackId(3), ..stands } };
    assert_eq!(of_one(&mut scene, 200, &all_along), Verdict::StoodThere);
}

#[test]
fn a_direction_and_a_speed_are_said_in_numbers() {
    let rule = "id = 'r'\nkind = 'wrong_way'\nzone = 'zone'\nfrom = [0.75, 0.1]\nto = [0.75, 0.9]\ntolerance = 90";
    let mut scene = Scene::new(rule);
    assert!(matches!(of_one(&mut scene, 200, &person(1, 0.7, 0.5)), Verdict::SetsOff { .. }));
    let verdict = of_one(&mut scene, 1000, &person(1, 0.8, 0.6));
    assert_eq!(verdict.to_string(), "direction 45° off, tolerance 90°");
    assert!(matches!(of_one(&mut scene, 800, &person(1, 0.8, 0.45)), Verdict::WrongWay(_)));

    let rule = "id = 'r'\nkind = 'speed'\nzone = 'zone'\nmetres = [10, 40]\nabove = 30";
    let mut scene = Scene::new(rule);
    assert_eq!(of_one(&mut scene, 200, &person(1, 0.75, 0.1)), Verdict::NotMeasured);
    let metres_a_second = 22.0 / 3.6 / 40.0;
    let mut verdict = Verdict::NotMeasured;
    for step in 1..10 {
        verdict = of_one(&mut scene, 200, &person(1, 0.75, 0.1 + metres_a_second * 0.2 * step as f32));
    }
    assert_eq!(verdict.to_string(), "speed 22 of 30 km/h");
}

/// Tells what the rule says of a walk, line by line.
fn story(scene: &mut Scene, pictures: &[(u64, Vec<Track>)]) -> Vec<Line> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut explainer = Explainer::new({
        let told = Arc::clone(&told);
        move |line: &Line| told.lock().unwrap().push(line.clone())
    });
    for (millis, tracks) in pictures {
        scene.picture(*millis, tracks);
        let at = Mono(scene.at * MILLI);
        let seen: Vec<_> = tracks.iter().map(|track| Track { last_seen: at, ..track.clone() }).collect();
        let observation = Observation { picture: 0, at, tracks: &seen };
        explainer.take(at, |explanations| scene.rules.explain(&observation, explanations));
    }
    explainer.finish();
    let told = told.lock().unwrap();
    told.clone()
}

#[test]
fn a_story_tells_what_is_new_and_in_the_end_how_near_it_came() {
    let inside = |pictures: usize| vec![(200, vec![person(7, 0.7, 0.5)]); pictures];
    let walk = [inside(8), vec![(200, vec![person(7, 0.3, 0.5)]); 3], vec![(200, vec![])]].concat();
    let lines = story(&mut Scene::new(STAY), &walk);
    let text: Vec<_> = lines.iter().map(Line::to_string).collect();
    assert_eq!(
        text,
        [
            "0.2 s: track 7 person: rule r: inside for 0.0 s of the 2.0 s of `for`",
            "1.8 s: track 7 person: rule r: outside the zone",
            "track 7 person 0.2–2.2 s: rule r: never: at the nearest inside for 1.4 s of the 2.0 s of `for`",
        ]
    );
    let summary = serde_json::to_value(&lines[2]).unwrap();
    let meant = serde_json::json!({ "line": "summary", "from_s": 0.2, "until_s": 2.2, "rule": "r", "about": "track",
        "track": 7, "label": "person", "verdict": "inside", "held_s": 1.4, "for_s": 2.0 });
    assert_eq!(summary, meant);

    let lines = story(&mut Scene::new(STAY), &inside(20));
    let text: Vec<_> = lines.iter().skip(1).map(Line::to_string).collect();
    assert_eq!(
        text,
        [
            "2.2 s: track 7 person: rule r: told of now, in episode 1",
            "track 7 person 0.2–4.0 s: rule r: told of in episode 1"
        ]
    );
}

/// One rule of each kind, with filters that some of the walkers pass.
fn kinds() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("kind = 'intrusion'\nzone = 'zone'"),
        Just("kind = 'intrusion'\nzone = 'zone'\nfor = '0s'\nlinger = '0s'"),
        Just("kind = 'loitering'\nzone = 'zone'\nfor = '2s'\ncool_down = '20s'"),
        Just("kind = 'count'\nzone = 'zone'\nlimit = 1"),
        Just("kind = 'line_crossing'\nline = 'line'\nlinger = '0s'"),
        Just("kind = 'stationary'\nzone = 'zone'\nfor = '1s'"),
        Just("kind = 'wrong_way'\nzone = 'zone'\nfrom = [0.75, 0.1]\nto = [0.75, 0.9]\nfor = '0s'"),
        Just("kind = 'absence'\nzone = 'zone'\nfor = '2s'"),
        Just("kind = 'speed'\nzone = 'zone'\nmetres = [10, 40]\nabove = 1\nfor = '0s'"),
    ]
}

/// A walker's label, score and height, which stay what they are.
fn walker(id: u64, x: f32, y: f32) -> Track {
    let track = person(id, x, y);
    match id {
        1 => Track { label: "car".into(), ..track },
        2 => Track { score: 0.3, ..track },
        3 => Track { rect: Rect::new(x, y, 0.05, 0.05), ..track },
        4 => Track { stationary_since: Some(Mono(0)), ..track },
        _ => track,
    }
}

proptest! {
    /// Asking changes nothing; what begins is explained as told of now, for all its subjects; what fails the filter in every
    /// picture is explained by the first condition it fails.
    #[test]
    fn explanations_are_true_and_change_nothing(
        walks in proptest::collection::vec((0u64..7, 0.0f32..1.0, 0.2f32..1.0, 50u64..1500), 1..120),
        kind in kinds(),
    ) {
        let rule = format!("id = 'r'\nmin_score = 0.5\nmin_height = 0.1\n{kind}");
        let (mut asked, mut silent) = (Scene::new(&rule), Scene::new(&rule));
        let mut tracks: Vec<Track> = Vec::new();
        for (id, x, y, millis) in walks {
            tracks.retain(|track| track.id != TrackId(id));
            if x > 0.1 {
                tracks.push(walker(id, x, y));
            }
            let (now, before) = (tracks.clone(), asked.findings.len());
            let said = explain(&mut asked, millis, &now);
            silent.picture(millis, &now);
            prop_assert_eq!(&asked.findings, &silent.findings);
            for finding in asked.findings[before..].iter().filter(|finding| finding.change == Change::Began) {
                let fired = Verdict::Fired { episode: finding.episode };
                for subject in &finding.subjects {
                    let track = now.iter().find(|track| track.rect == subject.rect).unwrap();
                    prop_assert!(said.contains(&(About::from(track), fired.clone())), "{:?}", said);
                }
                prop_assert!(!finding.subjects.is_empty() || said.contains(&(About::Picture, fired)), "{:?}", said);
            }
            let fired = said.iter().any(|(_, verdict)| matches!(verdict, Verdict::Fired { .. }));
            prop_assert!(!fired || asked.findings.len() > before || kind.contains("cool_down"));
            for (about, verdict) in &said {
                let inside = |id| now.iter().any(|track| track.id == TrackId(id) && track.anchor().x > 0.5);
                match about {
                    About::Track { track: TrackId(1) } => prop_assert_eq!(verdict, &Verdict::OtherLabel),
                    About::Track { track: TrackId(2) } if inside(2) && kind.contains("'loitering'") => {
                        prop_assert_eq!(verdict, &Verdict::Unsure { score: 0.3, min_score: 0.5 });
                    }
                    About::Track { track: TrackId(2) } => prop_assert!(!verdict.is_told()),
                    About::Track { track: TrackId(3) } => {
                        let too_small = matches!(verdict, Verdict::TooSmall { min_height: 0.1, .. });
                        prop_assert!(too_small, "{}", verdict);
                    }
                    _ => {}
                }
            }
        }
    }
}
