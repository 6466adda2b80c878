use super::*;
use crate::{
    rules::{
        Change,
        tests::{read, schedules},
    },
    scene::anomaly::Region,
    schedule::testing::oclock,
};

const MILLI: u64 = 1_000_000;

/// Rules about a whole scene.
struct WholeScene {
    rules: SceneRules,
    findings: Vec<Finding>,
}

impl WholeScene {
    fn new(rule: &str) -> Self {
        Self {
            rules: SceneRules::new(&[], &schedules(), &[read(&format!("id = 'r'\nkind = 'tamper'\n{rule}"))]).unwrap(),
            findings: Vec::new(),
        }
    }

    /// A key frame at that second, with what has been wrong since when.
    fn key_frame(&mut self, at: u64, holding: &[(scene::Condition, u64)]) -> &mut Self {
        let seconds = |seconds: u64| Mono(seconds * 1_000 * MILLI);
        let holding: Vec<_> = holding.iter().map(|(condition, since)| (*condition, seconds(*since))).collect();
        let health = Health::of(&holding);
        self.rules.observe(&SceneObservation::of_health(seconds(at), &health), &mut self.findings);
        self
    }

    fn holds(&self, at: u64, patience: u64) -> Option<bool> {
        self.rules.holds(&"r".parse().unwrap(), Mono(at * 1_000 * MILLI), Duration::from_secs(patience))
    }

    fn told(&self) -> Vec<(Change, Option<scene::Condition>)> {
        self.findings.iter().map(|finding| (finding.change, finding.tally.condition)).collect()
    }
}

#[test]
fn tamper_is_one_episode_however_what_is_wrong_changes() {
    use scene::Condition::{Covered, Defocused};
    let mut scene = WholeScene::new("");
    scene.key_frame(10, &[]).key_frame(30, &[(Defocused, 12)]).key_frame(32, &[(Defocused, 12), (Covered, 30)]);
    assert_eq!(scene.told(), [(Change::Began, Some(Defocused))]);
    assert_eq!(scene.findings[0].tally.since, Mono(12_000 * MILLI), "it began with the first picture that showed it");
    assert!(scene.findings[0].subjects.is_empty() && scene.findings[0].tally.things == 0);
    // What is told first comes first in the order of conditions.
    scene.key_frame(36, &[(Covered, 30), (Defocused, 12)]);
    assert_eq!(scene.told().last(), Some(&(Change::Grew, Some(Covered))));
    scene.key_frame(40, &[(Covered, 30)]).key_frame(42, &[]);
    assert_eq!(scene.findings.len(), 2, "it ends after its linger");
    scene.key_frame(44, &[]);
    assert_eq!(scene.told().last(), Some(&(Change::Ended, Some(Covered))));
    assert!(!scene.rules.is_active());
}

#[test]
fn tamper_waits_for_what_counts_and_for_as_long_as_the_rule_says() {
    use scene::Condition::{Covered, Moved};
    let mut scene = WholeScene::new("conditions = ['covered']\nfor = '60s'");
    scene.key_frame(30, &[(Moved, 0)]).key_frame(90, &[(Moved, 0)]);
    assert_eq!((scene.told(), scene.holds(90, 0)), (vec![], Some(false)), "moved does not count");
    scene.key_frame(130, &[(Covered, 100)]);
    assert_eq!((scene.told(), scene.holds(130, 60), scene.holds(130, 20)), (vec![], Some(false), Some(true)));
    scene.key_frame(160, &[(Covered, 100)]);
    assert_eq!((scene.told(), scene.holds(160, 60)), (vec![(Change::Began, Some(Covered))], Some(true)));
    assert_eq!(scene.holds(161, 60), None, "of another picture nobody can say");
    assert_eq!(scene.rules.holds(&"other".parse().unwrap(), Mono(160_000 * MILLI), Duration::ZERO), None);
}

#[test]
fn nobody_can_say_of_a_camera_without_pictures_what_is_wrong_with_them() {
    let mut scene = WholeScene::new("");
    scene.key_frame(30, &[(scene::Condition::Covered, 10)]);
    scene.rules.lapse(Mono(40_000 * MILLI), &mut scene.findings);
    assert_eq!(scene.told().last().map(|(change, _)| *change), Some(Change::Ended));
}

/// An unknown thing that has been there since that second, at the left or the right edge, and whether it is visible.
fn region(id: u64, since: u64, x: f32, visible: bool) -> Region {
    let rect = Rect::new(x, 0.4, 0.2, 0.2);
    Region { id, rect, since: Mono(since * 1_000 * MILLI), score: 3.0, visible }
}

struct Strange {
    rules: SceneRules,
    findings: Vec<Finding>,
}

impl Strange {
    fn new(rule: &str) -> Self {
        let zone = "id = 'left'\npolygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]";
        let rules =
            SceneRules::new(&[read(zone)], &schedules(), &[read(&format!("id = 'r'\nkind = 'anomaly'\n{rule}"))])
                .unwrap();
        Self { rules, findings: Vec::new() }
    }

    fn look(&mut self, at: u64, regions: &[Region]) -> Vec<(Change, u64)> {
        self.outlook(at, Outlook { regions, whole_frame: None, is_judged: true })
    }

    fn outlook(&mut self, at: u64, outlook: Outlook<'_>) -> Vec<(Change, u64)> {
        let before = self.findings.len();
        let observation = SceneObservation::of_outlook(Mono(at * 1_000 * MILLI), outlook);
        self.rules.observe(&observation, &mut self.findings);
        self.findings[before..].iter().map(|finding| (finding.change, finding.episode)).collect()
    }

    fn holds(&self, at: u64) -> Option<bool> {
        self.rules.holds(&"r".parse().unwrap(), Mono(at * 1_000 * MILLI), Duration::ZERO)
    }
}

#[test]
fn each_unknown_thing_is_told_once_and_until_it_is_gone() {
    let mut scene = Strange::new("linger = '10s'");
    assert_eq!(scene.look(100, &[]), []);
    assert_eq!(scene.look(130, &[region(1, 10, 0.1, true)]), [(Change::Began, 1)]);
    let began = &scene.findings[0];
    assert_eq!((began.tally.since, began.tally.things), (Mono(10_000 * MILLI), 1));
    assert_eq!((began.subjects[0].label.as_str(), began.subjects[0].rect.x), (Label::UNKNOWN, 0.1));
    assert!((began.tally.score - 0.75).abs() < 1e-6, "three times the limit");
    let both = [region(1, 10, 0.1, true), region(2, 120, 0.7, true)];
    assert_eq!(scene.look(140, &both), [(Change::Began, 2)]);
    assert_eq!(scene.look(150, &both), []);
    assert_eq!((scene.holds(150), scene.holds(149)), (Some(true), None));
    let hidden = [region(1, 10, 0.1, false), region(2, 120, 0.7, false)];
    scene.look(155, &hidden);
    assert_eq!(scene.holds(155), Some(false), "nothing of it is to be seen");
    assert_eq!(scene.look(165, &both[1..]), [(Change::Ended, 1)], "ten seconds after it was last seen");
    assert!(scene.rules.is_active());
}

#[test]
fn what_could_not_be_judged_ends_nothing_and_says_nothing() {
    let mut scene = Strange::new("linger = '0s'");
    let there = [region(1, 10, 0.1, true)];
    scene.look(100, &there);
    let unjudged = Outlook { regions: &there, whole_frame: None, is_judged: false };
    assert_eq!((scene.outlook(105, unjudged), scene.holds(105)), (vec![], None), "nobody can say");
    assert!(scene.rules.is_active());
    assert_eq!((scene.look(110, &[]), scene.holds(110)), (vec![(Change::Ended, 1)], Some(false)));
}

#[test]
fn an_unknown_thing_counts_where_and_for_as_long_as_the_rule_says() {
    let mut scene = Strange::new("zone = 'left'\nfor = '60s'");
    let (left, right) = (region(1, 0, 0.39, true), region(2, 0, 0.45, true));
    assert_eq!(scene.look(59, &[left, right]), []);
    assert_eq!(scene.look(60, &[left, right]), [(Change::Began, 1)], "at least half of it must lie in the zone");
    let missing = SceneRules::new(&[], &schedules(), &[read("id = 'r'\nkind = 'anomaly'\nzone = 'left'")]).unwrap_err();
    assert_eq!((missing.what, missing.missing.as_str()), ("zone", "left"));
}

#[test]
fn a_rule_about_the_scene_says_what_it_waits_for() {
    let said = |rules: &SceneRules, at: u64| {
        let mut explanations = Vec::new();
        rules.explain(Mono(at * 1_000 * MILLI), &mut explanations);
        explanations.iter().map(|said| format!("{}: {}", said.about, said.verdict)).collect::<Vec<_>>()
    };
    let mut scene = WholeScene::new("conditions = ['covered']\nfor = '60s'");
    scene.key_frame(30, &[(scene::Condition::Moved, 0)]);
    assert_eq!(said(&scene.rules, 30), ["the picture: nothing that counts is wrong"]);
    scene.key_frame(130, &[(scene::Condition::Covered, 100)]);
    assert_eq!(said(&scene.rules, 130), ["the picture: covered for 30.0 s of the 60.0 s of `for`"]);
    scene.key_frame(160, &[(scene::Condition::Covered, 100)]);
    assert_eq!(said(&scene.rules, 160), ["the picture: told of now, in episode 1"]);
    scene.key_frame(161, &[(scene::Condition::Covered, 100)]);
    assert_eq!(said(&scene.rules, 161), ["the picture: told of in episode 1"]);

    let mut scene = Strange::new("zone = 'left'\nfor = '60s'");
    let things = [region(1, 0, 0.39, true), region(2, 0, 0.45, true)];
    scene.look(59, &things);
    assert_eq!(
        said(&scene.rules, 59),
        ["region 1: stands for 59.0 s of the 60.0 s of `for`", "region 2: outside the zone"]
    );
    scene.look(60, &things);
    assert_eq!(said(&scene.rules, 60), ["region 1: told of now, in episode 1", "region 2: outside the zone"]);
}

#[test]
fn an_unknown_thing_outlasts_a_break_and_not_a_long_one() {
    let mut scene = Strange::new("linger = '0s'");
    scene.look(100, &[region(1, 0, 0.1, true)]);
    let lapse = |scene: &mut Strange, at: u64| {
        scene.rules.lapse(Mono(at * 1_000 * MILLI), &mut scene.findings);
        scene.findings.last().map(|finding| finding.change)
    };
    assert_eq!(lapse(&mut scene, 600), Some(Change::Began));
    let health = Health::of(&[]);
    scene.rules.observe(&SceneObservation::of_health(Mono(699_000 * MILLI), &health), &mut scene.findings);
    assert_eq!(lapse(&mut scene, 700), Some(Change::Ended));
    assert!(!scene.rules.is_active());
}

#[test]
fn a_rule_about_the_scene_rests_outside_its_schedule() {
    let mut scene = WholeScene::new("for = '5s'\nschedule = 'night'");
    scene.rules.it_is(oclock(12, true));
    for second in 0..20 {
        scene.key_frame(second, &[(scene::Condition::Covered, 0)]);
    }
    assert_eq!(scene.findings, []);
    assert_eq!(scene.rules.holds(&"r".parse().unwrap(), Mono(19_000 * MILLI), Duration::ZERO), None);
    scene.rules.it_is(oclock(23, true));
    scene.key_frame(20, &[(scene::Condition::Covered, 0)]);
    assert_eq!(scene.findings.len(), 1, "it has been covered for long, and that is told when somebody asks for it");
    scene.rules.it_is(oclock(6, true));
    for second in 21..40 {
        scene.key_frame(second, &[(scene::Condition::Covered, 0)]);
    }
    assert_eq!(scene.findings.last().unwrap().change, Change::Ended);
}
