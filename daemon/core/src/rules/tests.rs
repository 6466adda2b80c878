use proptest::prelude::*;

use super::*;
use crate::{
    geometry::Point,
    observation::TrackId,
    schedule::testing::{night, oclock},
    spec::{Deserialize, Value},
};

pub(crate) fn read<T: for<'de> Deserialize<'de>>(text: &str) -> T {
    let mut value: Value<'_> = toml_span::parse(text).unwrap();
    T::deserialize(&mut value).unwrap_or_else(|error| panic!("{error:?}"))
}

pub(super) const MILLI: u64 = 1_000_000;

/// One schedule.
pub(crate) fn schedules() -> Schedules {
    [("night".parse().unwrap(), night())].into()
}

/// Rules over a zone on the right half of the frame and a line down its middle.
pub(super) struct Scene {
    pub(super) rules: CameraRules,
    pub(super) findings: Vec<Finding>,
    pub(super) at: u64,
}

impl Scene {
    pub(super) fn new(rule: &str) -> Self {
        Self { rules: Self::rules(&[rule]), findings: Vec::new(), at: 0 }
    }

    fn rules(rules: &[&str]) -> CameraRules {
        let zones = [read("id = 'zone'\npolygon = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]")];
        let lines = [read("id = 'line'\nstart = [0.5, 0.1]\nend = [0.5, 0.9]")];
        let rules: Vec<_> = rules.iter().map(|rule| read(rule)).collect();
        CameraRules::new(&zones, &lines, &schedules(), &rules).unwrap()
    }

    /// From now on these rules are followed.
    pub(super) fn succeed(&mut self, rules: &[&str]) {
        self.rules.succeed(Self::rules(rules), Mono(self.at * MILLI), &mut self.findings);
    }

    /// One picture, `millis` after the one before.
    pub(super) fn picture(&mut self, millis: u64, tracks: &[Track]) -> &mut Self {
        self.at += millis;
        let at = Mono(self.at * MILLI);
        let tracks: Vec<_> = tracks.iter().map(|track| Track { last_seen: at, ..track.clone() }).collect();
        self.rules.observe(&Observation { picture: 0, at, tracks: &tracks }, &mut self.findings);
        self
    }

    pub(super) fn pictures(&mut self, count: usize, tracks: &[Track]) -> &mut Self {
        for _ in 0..count {
            self.picture(200, tracks);
        }
        self
    }

    /// Whether the condition holds in the last picture, for somebody with so much patience.
    pub(super) fn holds(&self, patience: u64) -> bool {
        self.rules.holds(&"r".parse().unwrap(), Duration::from_secs(patience)).unwrap()
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        self.findings.iter().map(|finding| finding.change).collect()
    }
}

/// A person whose feet stand at (x, y).
pub(super) fn person(id: u64, x: f32, y: f32) -> Track {
    Track {
        id: TrackId(id),
        label: "person".into(),
        score: 0.8,
        rect: Rect::new(x - 0.05, y - 0.2, 0.1, 0.2),
        first_seen: Mono(0),
        first_rect: Rect::new(x - 0.05, y - 0.2, 0.1, 0.2),
        last_seen: Mono(0),
        sure_since: Mono(0),
        stationary_since: None,
        has_moved: true,
    }
}

const INTRUSION: &str = "id = 'r'\nkind = 'intrusion'\nzone = 'zone'";

#[test]
fn a_stay_begins_after_its_time_and_ends_once() {
    let mut scene = Scene::new(INTRUSION);
    scene.pictures(5, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [], "one second has not passed");
    scene.pictures(50, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began]);
    scene.pictures(50, &[]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
    assert_eq!(scene.findings[0].tally.since, Mono(200 * MILLI));
    assert_eq!(scene.findings[1].tally.last_seen, Mono(55 * 200 * MILLI));
}

#[test]
fn between_looks_a_stay_counts_from_the_first_that_showed_it_inside() {
    // First seen two seconds before it was known to be a thing: inside, and now inside again.
    let found = |x: f32| Track { first_rect: person(1, x, 0.5).rect, ..person(1, 0.7, 0.5) };
    let mut scene = Scene::new(INTRUSION);
    scene.picture(0, &[]).picture(2000, &[found(0.6)]);
    assert_eq!(scene.changes(), [Change::Began]);
    assert_eq!(scene.findings[0].tally.since, Mono(0));
    let mut scene = Scene::new(INTRUSION);
    scene.picture(0, &[]).picture(2000, &[found(0.3)]);
    assert_eq!(scene.changes(), [], "it was outside then, and may have come in just now");
    let mut scene = Scene::new(INTRUSION);
    scene.picture(0, &[]).picture(1000, &[]).picture(1000, &[found(0.6)]);
    assert_eq!(scene.changes(), [], "who knows where it was at the look between");
    let mut scene = Scene::new(INTRUSION);
    scene.pictures(4, &[]).picture(200, &[Track { first_seen: Mono(800 * MILLI), ..found(0.6) }]);
    scene.pictures(4, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [], "in a film it is the pictures themselves that tell");
}

#[test]
fn going_out_for_a_moment_is_the_same_stay() {
    let mut scene = Scene::new(INTRUSION);
    scene
        .pictures(10, &[person(1, 0.7, 0.5)])
        .pictures(10, &[person(1, 0.3, 0.5)])
        .pictures(10, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began]);
    scene.pictures(30, &[person(1, 0.3, 0.5)]).pictures(10, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended, Change::Began]);
}

#[test]
fn a_new_track_where_the_old_one_was_lost_is_the_same_walk() {
    let mut scene = Scene::new(INTRUSION);
    scene.pictures(10, &[person(1, 0.7, 0.5)]).pictures(5, &[]);
    let reborn = Track { first_seen: Mono(3_200 * MILLI), ..person(2, 0.75, 0.5) };
    scene.pictures(10, std::slice::from_ref(&reborn));
    assert_eq!(scene.changes(), [Change::Began]);
    let elsewhere = Track { first_seen: Mono(5_000 * MILLI), ..person(3, 0.75, 0.95) };
    scene.pictures(10, &[reborn, elsewhere]);
    assert_eq!(scene.changes(), [Change::Began, Change::Began], "another thing is another incident");
}

#[test]
fn a_car_parked_all_along_is_no_intrusion_and_one_that_came_alarms_once() {
    let parked = Track { has_moved: false, stationary_since: Some(Mono(0)), ..person(1, 0.7, 0.5) };
    let mut scene = Scene::new(INTRUSION);
    scene.pictures(100, std::slice::from_ref(&parked));
    assert_eq!(scene.changes(), []);
    let came = Track { has_moved: true, ..parked };
    scene.pictures(1000, &[came]);
    assert_eq!(scene.changes(), [Change::Began]);
}

#[test]
fn within_the_cool_down_things_join() {
    let mut scene = Scene::new(&format!("{INTRUSION}\ncool_down = '20s'"));
    scene.pictures(10, &[person(1, 0.7, 0.5)]).pictures(30, &[]).pictures(10, &[person(2, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began, Change::Grew]);
    scene.pictures(100, &[]);
    assert_eq!(scene.changes(), [Change::Began, Change::Grew, Change::Ended]);
    assert_eq!(scene.findings[2].tally.things, 2);
    assert_eq!(scene.findings[2].tally.peak, 1);
}

#[test]
fn what_is_too_small_unsure_or_of_another_kind_does_not_count() {
    let mut scene = Scene::new(&format!("{INTRUSION}\nmin_height = 0.15\nmin_score = 0.5"));
    let mut small = person(1, 0.7, 0.5);
    small.rect = Rect::new(0.65, 0.4, 0.1, 0.1);
    let unsure = Track { score: 0.4, ..person(2, 0.7, 0.5) };
    let car = Track { label: "car".into(), ..person(3, 0.7, 0.5) };
    scene.pictures(50, &[small, unsure, car]);
    assert_eq!(scene.changes(), []);
}

#[test]
fn a_rule_rests_outside_its_schedule_and_what_is_under_way_ends() {
    let mut scene = Scene::new(&format!("{INTRUSION}\nschedule = 'night'"));
    assert!(scene.rules.keeps_hours());
    scene.rules.it_is(oclock(12, true));
    scene.pictures(50, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [], "by day anybody may be there");
    assert_eq!(scene.rules.holds(&"r".parse().unwrap(), Duration::ZERO), None, "nor does it say whether somebody is");
    scene.rules.it_is(oclock(22, true));
    scene.pictures(5, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [], "what was seen by day does not count");
    scene.pictures(5, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began]);
    assert!(scene.holds(0));
    scene.rules.it_is(oclock(6, true));
    scene.pictures(50, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn a_rule_that_does_not_know_the_time_watches() {
    let mut scene = Scene::new(&format!("{INTRUSION}\nschedule = 'night'"));
    scene.pictures(10, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began], "before it was told");
    let mut scene = Scene::new(&format!("{INTRUSION}\nschedule = 'night'"));
    scene.rules.it_is(oclock(12, false));
    scene.pictures(10, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began], "by a clock that nobody has set");
    let error = CameraRules::new(
        &[],
        &[],
        &Schedules::new(),
        &[read("id = 'r'\nschedule = 'x'\nkind = 'intrusion'\nzone = 'z'")],
    );
    assert!(error.is_err());
}

const CROSSING: &str = "id = 'r'\nkind = 'line_crossing'\nline = 'line'";

#[test]
fn crossing_is_counted_by_direction() {
    let mut scene = Scene::new(&format!("{CROSSING}\ncool_down = '1m'"));
    // The line runs downwards, so somebody who looks along it has the left half of the frame at the right hand.
    for x in [0.3, 0.4, 0.48, 0.52, 0.6, 0.7, 0.52, 0.48, 0.4] {
        scene.picture(200, &[person(1, x, 0.5)]);
    }
    scene.pictures(400, &[]);
    let last = scene.findings.last().unwrap();
    assert_eq!((last.tally.right_to_left, last.tally.left_to_right), (1, 1));
    assert_eq!(scene.changes().iter().filter(|change| **change == Change::Began).count(), 1);
}

#[test]
fn who_is_half_hidden_while_crossing_still_crosses() {
    let mut scene = Scene::new(CROSSING);
    scene.picture(200, &[person(1, 0.4, 0.5)]);
    let hidden = |x| Track { score: 0.2, ..person(1, x, 0.5) };
    scene.picture(200, &[hidden(0.48)]).picture(200, &[hidden(0.6)]);
    assert_eq!(scene.changes(), [Change::Began]);
    let mut scene = Scene::new(CROSSING);
    for x in [0.4, 0.6] {
        scene.picture(200, &[hidden(x)]);
    }
    assert_eq!(scene.changes(), [], "nobody was ever sure of it");
}

#[test]
fn jitter_on_the_line_and_walking_around_its_end_are_no_crossings() {
    let mut scene = Scene::new(CROSSING);
    scene.picture(200, &[person(1, 0.4, 0.5)]);
    for step in 0..100 {
        scene.picture(200, &[person(1, if step % 2 == 0 { 0.495 } else { 0.505 }, 0.5)]);
    }
    scene.picture(200, &[person(1, 0.4, 0.5)]);
    for (x, y) in [(0.4, 0.95), (0.6, 0.95), (0.6, 0.5)] {
        scene.picture(200, &[person(2, x, y)]);
    }
    assert_eq!(scene.changes(), []);
}

#[test]
fn who_may_have_changed_places_with_another_between_two_looks_has_not_crossed() {
    let mut scene = Scene::new(CROSSING);
    scene.picture(2000, &[person(1, 0.4, 0.5)]);
    let doubtful = |x| Track { sure_since: Mono(4000 * MILLI), ..person(1, x, 0.5) };
    scene.picture(2000, &[doubtful(0.6)]);
    assert_eq!(scene.changes(), []);
    scene.picture(2000, &[doubtful(0.4)]);
    assert_eq!(scene.changes(), [Change::Began], "from then on it is the same again");
}

#[test]
fn only_the_direction_asked_for_alarms() {
    let mut scene = Scene::new(&format!("{CROSSING}\ndirection = 'left_to_right'"));
    for x in [0.4, 0.6, 0.4] {
        scene.picture(200, &[person(1, x, 0.5)]);
    }
    scene.pictures(30, &[]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
    assert_eq!(scene.findings[0].tally.left_to_right, 1);
}

#[test]
fn a_count_over_the_limit_is_one_incident_with_its_peak() {
    let mut scene = Scene::new("id = 'r'\nkind = 'count'\nzone = 'zone'\nlimit = 1");
    let group: Vec<_> = (0..3).map(|i| person(i, 0.6 + 0.1 * i as f32, 0.5)).collect();
    scene.pictures(20, &group[..1]);
    assert_eq!(scene.changes(), []);
    scene.pictures(20, &group[..2]).pictures(50, &group);
    assert_eq!(scene.changes(), [Change::Began, Change::Grew]);
    assert_eq!((scene.findings[0].tally.peak, scene.findings[1].tally.peak), (2, 3));
    scene.pictures(5, &group[..1]).pictures(10, &group);
    assert_eq!(scene.changes().len(), 2, "a moment's gap does not end it");
    scene.pictures(20, &group[..1]);
    assert_eq!(scene.changes(), [Change::Began, Change::Grew, Change::Ended]);
}

#[test]
fn a_crowd_is_over_when_few_enough_are_left() {
    let mut scene = Scene::new("id = 'r'\nkind = 'count'\nzone = 'zone'\nlimit = 2\nend_limit = 1");
    let group: Vec<_> = (0..3).map(|i| person(i, 0.6 + 0.1 * i as f32, 0.5)).collect();
    scene.pictures(50, &group[..2]);
    assert_eq!(scene.changes(), [], "what ends a crowd does not begin one");
    scene.pictures(15, &group).pictures(100, &group[..2]);
    assert_eq!(scene.changes(), [Change::Began]);
    assert!(scene.holds(100), "two are left");
    scene.pictures(20, &group[..1]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
    scene.pictures(5, &group).pictures(50, &group[..2]);
    assert_eq!(scene.changes().len(), 2, "three were there for a second");
}

#[test]
fn a_face_is_counted_by_its_middle_and_one_is_enough_where_the_limit_is_none() {
    let face = |id, x| Track { label: "face".into(), ..person(id, x, 0.5) };
    let mut scene = Scene::new("id = 'r'\nkind = 'count'\nzone = 'zone'\nlabels = ['face']\nlimit = 0");
    scene.pictures(50, &[face(1, 0.3), person(2, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [], "a face outside, and somebody without one");
    scene.pictures(20, &[face(3, 0.7)]);
    assert_eq!(scene.changes(), [Change::Began]);
    scene.pictures(30, &[face(3, 0.7), face(4, 0.8)]).pictures(20, &[]);
    assert_eq!(scene.changes(), [Change::Began, Change::Grew, Change::Ended]);
    assert_eq!((scene.findings[2].tally.things, scene.findings[2].tally.peak), (2, 2));
    let mut scene = Scene::new("id = 'r'\nkind = 'intrusion'\nzone = 'zone'\nlabels = ['face']");
    scene.pictures(20, &[face(3, 0.7), face(4, 0.8)]);
    assert_eq!(scene.findings.iter().filter(|finding| finding.change == Change::Began).count(), 2);
}

#[test]
fn an_episode_keeps_the_greatest_height_of_its_things() {
    let tall = |id, height: f32| Track { rect: Rect::new(0.7, 0.5 - height, 0.1, height), ..person(id, 0.7, 0.5) };
    let mut scene = Scene::new(INTRUSION);
    scene.pictures(10, &[tall(1, 0.2)]).pictures(1, &[tall(1, 0.3)]).pictures(30, &[tall(1, 0.1)]).pictures(30, &[]);
    let heights: Vec<_> = scene.findings.iter().map(|finding| finding.tally.height).collect();
    assert_eq!(heights, [Some(tall(1, 0.2).rect.height), Some(tall(1, 0.3).rect.height)]);
    let mut scene = Scene::new("id = 'r'\nkind = 'count'\nzone = 'zone'\nlimit = 1");
    scene.pictures(20, &[tall(1, 0.2), tall(2, 0.3)]);
    assert_eq!(scene.findings[0].tally.height, Some(tall(2, 0.3).rect.height));
    let mut scene = Scene::new("id = 'r'\nkind = 'absence'\nzone = 'zone'\nfor = '1s'");
    scene.pictures(20, &[]);
    assert_eq!(scene.findings[0].tally.height, None, "nobody is there");
}

#[test]
fn a_missing_zone_is_named() {
    let rule = read("id = 'r'\nkind = 'intrusion'\nzone = 'yard'");
    let error = CameraRules::new(&[], &[], &Schedules::new(), &[rule]).unwrap_err();
    assert_eq!(error.to_string(), "rule r: there is no zone yard");
}

#[test]
fn an_intrusion_holds_while_something_that_counts_is_inside() {
    let mut scene = Scene::new(&format!("{INTRUSION}\nlinger = '1m'\ncool_down = '1h'"));
    assert!(!scene.holds(10), "nothing was seen");
    let within = person(1, 0.7, 0.5);
    scene.picture(200, std::slice::from_ref(&within));
    assert!(!scene.holds(10) && scene.holds(0), "it is not known yet whether it stays");
    scene.pictures(6, std::slice::from_ref(&within));
    assert!(scene.holds(10));
    let hidden = Track { last_seen: Mono(scene.at * MILLI), ..within.clone() };
    scene.at += 200;
    let at = Mono(scene.at * MILLI);
    scene.rules.observe(&Observation { picture: 0, at, tracks: &[hidden] }, &mut scene.findings);
    assert!(scene.holds(10), "what is hidden is where it was last seen");
    scene.picture(200, &[person(1, 0.3, 0.5)]);
    assert!(!scene.holds(0) && scene.rules.is_active(), "that the episode lingers is no sight of anything");
    scene.picture(200, &[person(1, 0.7, 0.5)]);
    assert!(scene.holds(10), "once told of, it holds as soon as it is back");
    scene.picture(200, &[Track { label: "car".into(), ..person(2, 0.7, 0.5) }]);
    assert!(!scene.holds(0), "another kind of thing");
}

#[test]
fn who_passes_by_does_not_loiter_and_what_lay_there_all_the_time_does() {
    let rule = "id = 'r'\nkind = 'loitering'\nzone = 'zone'\nfor = '10m'\ninclude_parked = true";
    let mut scene = Scene::new(rule);
    scene.pictures(20, &[person(1, 0.7, 0.5)]);
    assert!(!scene.holds(15), "four seconds");
    let heap = Track { has_moved: false, stationary_since: Some(Mono(0)), ..person(2, 0.7, 0.5) };
    scene.pictures(76, std::slice::from_ref(&heap));
    assert!(scene.holds(15) && !scene.holds(600), "a heap, for fifteen seconds of ten minutes");
    assert_eq!(scene.changes(), [], "and it is not told of");
}

#[test]
fn a_count_holds_while_there_are_too_many() {
    let mut scene = Scene::new("id = 'r'\nkind = 'count'\nzone = 'zone'\nlimit = 1");
    let group = [person(1, 0.6, 0.5), person(2, 0.8, 0.5)];
    scene.pictures(5, &group);
    assert!(!scene.holds(10), "not for two seconds");
    scene.pictures(10, &group);
    assert!(scene.holds(10));
    scene.picture(200, &group[..1]);
    assert!(!scene.holds(0) && scene.rules.is_active(), "a gap that the episode bridges");
}

#[test]
fn a_crossing_holds_in_its_own_picture() {
    let mut scene = Scene::new(CROSSING);
    scene.picture(200, &[person(1, 0.4, 0.5)]).picture(200, &[person(1, 0.6, 0.5)]);
    assert!(scene.holds(0));
    scene.picture(200, &[person(1, 0.65, 0.5)]);
    assert!(!scene.holds(0) && scene.rules.is_active());
}

#[test]
fn of_a_rule_that_is_not_there_nothing_holds() {
    let scene = Scene::new(INTRUSION);
    assert_eq!(scene.rules.holds(&"other".parse().unwrap(), Duration::ZERO), None);
}

proptest! {
    /// What is told of holds in the picture that completes it; more patience never sees more; an empty picture never holds.
    #[test]
    fn what_begins_holds(
        walks in proptest::collection::vec((0u64..5, 0.0f32..1.0, 0.2f32..1.0, 50u64..3000), 1..100),
        kind in prop_oneof![
            Just("kind = 'intrusion'\nzone = 'zone'"),
            Just("kind = 'loitering'\nzone = 'zone'\nfor = '4s'"),
            Just("kind = 'count'\nzone = 'zone'\nlimit = 1"),
            Just("kind = 'line_crossing'\nline = 'line'"),
        ],
    ) {
        let mut scene = Scene::new(&format!("id = 'r'\n{kind}"));
        let mut tracks: Vec<Track> = Vec::new();
        for (id, x, y, millis) in walks {
            tracks.retain(|track| track.id != TrackId(id));
            tracks.push(person(id, x, y));
            let (now, told) = (tracks.clone(), scene.findings.len());
            scene.picture(millis, &now);
            if scene.findings[told..].iter().any(|finding| finding.change == Change::Began) {
                prop_assert!(scene.holds(u64::MAX));
            }
            for patience in [0, 1, 3] {
                prop_assert!(scene.holds(patience) || !scene.holds(patience + 1));
            }
            prop_assert!(scene.holds(4) == scene.holds(u64::MAX), "no rule here asks for more");
        }
        scene.picture(200, &[]);
        prop_assert!(!scene.holds(0));
    }

    /// Whatever walks about: every episode begins first, ends exactly once and last, and nothing stays open for ever.
    #[test]
    fn every_episode_has_one_beginning_and_one_end(
        walks in proptest::collection::vec((0u64..5, 0.0f32..1.0, 0.2f32..1.0, 50u64..3000), 1..200),
        kind in prop_oneof![
            Just("kind = 'intrusion'\nzone = 'zone'"),
            Just("kind = 'loitering'\nzone = 'zone'\nfor = '2s'"),
            Just("kind = 'count'\nzone = 'zone'\nlimit = 1"),
            Just("kind = 'count'\nzone = 'zone'\nlimit = 2\nend_limit = 0"),
            Just("kind = 'line_crossing'\nline = 'line'"),
        ],
        cool_down in 0u64..30,
    ) {
        let mut scene = Scene::new(&format!("id = 'r'\ncool_down = '{cool_down}s'\n{kind}"));
        let mut tracks: Vec<Track> = Vec::new();
        for (id, x, y, millis) in walks {
            tracks.retain(|track| track.id != TrackId(id));
            if x > 0.1 {
                tracks.push(person(id, x, y));
            }
            let now = tracks.clone();
            scene.picture(millis, &now);
        }
        scene.picture(60_000, &[]).picture(60_000, &[]);
        prop_assert!(!scene.rules.is_active());
        let episodes = scene.findings.iter().map(|finding| finding.episode).max().unwrap_or(0);
        for episode in 1..=episodes {
            let changes: Vec<_> = scene.findings.iter().filter(|f| f.episode == episode).map(|f| f.change).collect();
            prop_assert_eq!(changes.first(), Some(&Change::Began));
            prop_assert_eq!(changes.last(), Some(&Change::Ended));
            prop_assert!(changes[1..changes.len() - 1].iter().all(|change| *change == Change::Grew));
        }
        let mut times = scene.findings.iter().map(|finding| finding.at);
        prop_assert!(times.clone().zip(times.by_ref().skip(1)).all(|(earlier, later)| earlier <= later));
    }

    /// Each walk straight through the line and back is counted once each way, however the boxes jitter.
    #[test]
    fn jittering_walks_are_counted_exactly(walks in 1usize..6, jitter in proptest::collection::vec(-0.004f32..0.004, 80)) {
        let mut scene = Scene::new(&format!("{CROSSING}\ncool_down = '1h'"));
        let mut jitter = jitter.iter().cycle();
        for _ in 0..walks {
            let there = (0..=20).map(|step| 0.3 + 0.02 * step as f32);
            for x in there.clone().chain(there.rev()) {
                scene.picture(200, &[person(1, x + jitter.next().unwrap(), 0.5 + jitter.next().unwrap())]);
            }
        }
        scene.picture(4_000_000, &[]);
        let tally = scene.findings.last().unwrap().tally;
        prop_assert_eq!((tally.left_to_right, tally.right_to_left), (walks as u32, walks as u32));
    }

    /// A point that never comes inside never alarms.
    #[test]
    fn who_stays_outside_never_alarms(xs in proptest::collection::vec(0.0f32..0.49, 1..100)) {
        let mut scene = Scene::new(INTRUSION);
        for x in xs {
            scene.picture(500, &[person(1, x, 0.5)]);
        }
        prop_assert!(scene.findings.is_empty());
    }
}

#[test]
fn the_anchor_of_a_face_is_its_middle() {
    let face = Track { label: "face".into(), ..person(1, 0.5, 0.5) };
    assert_eq!(face.anchor(), Point::new(0.5, 0.4));
    assert_eq!(person(1, 0.5, 0.5).anchor(), Point::new(0.5, 0.5));
}
