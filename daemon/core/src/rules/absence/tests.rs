use std::time::Duration;

use proptest::prelude::*;

use crate::{
    rules::{
        Change,
        tests::{MILLI, Scene, person},
    },
    schedule::testing::oclock,
    time::Mono,
};

const POST: &str = "id = 'r'\nkind = 'absence'\nzone = 'zone'\nfor = '1m'";

/// Time goes by without pictures.
fn lapse(scene: &mut Scene, seconds: u64) {
    for _ in 0..seconds {
        scene.at += 1_000;
        scene.rules.lapse(Mono(scene.at * MILLI), &mut scene.findings);
    }
}

#[test]
fn a_post_that_nobody_mans_is_told_of_from_the_first_picture_on() {
    let mut scene = Scene::new(POST);
    scene.pictures(300, &[]);
    assert_eq!(scene.changes(), []);
    assert!(!scene.holds(60) && scene.holds(30));
    scene.picture(200, &[person(1, 0.3, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began], "who stands outside does not man it");
    let tally = scene.findings[0].tally;
    assert_eq!((tally.since, tally.things, tally.peak, tally.score), (Mono(200 * MILLI), 0, 0, 1.0));
    assert!(scene.findings[0].subjects.is_empty());
    scene.pictures(3_000, &[]);
    assert_eq!(scene.changes(), [Change::Began], "once, however long");
}

#[test]
fn it_ends_when_the_post_has_been_manned_for_a_while() {
    let mut scene = Scene::new(POST);
    scene.pictures(400, &[]).pictures(10, &[person(1, 0.7, 0.5)]);
    assert!(!scene.holds(0) && scene.rules.is_active(), "somebody has come by");
    scene.pictures(10, &[]);
    assert!(scene.holds(1_000));
    scene.pictures(30, &[person(1, 0.7, 0.5)]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn while_the_rule_rests_nobody_is_missing() {
    let mut scene = Scene::new(&format!("{POST}\nschedule = 'night'"));
    scene.rules.it_is(oclock(12, true));
    scene.pictures(3_000, &[]);
    assert_eq!(scene.changes(), []);
    scene.rules.it_is(oclock(22, true));
    scene.pictures(300, &[]);
    assert_eq!(scene.changes(), [], "the time by day does not count");
    scene.pictures(10, &[]);
    assert_eq!(scene.changes(), [Change::Began]);
    scene.rules.it_is(oclock(6, true));
    scene.pictures(20, &[]);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn before_it_is_told_of_one_sight_of_somebody_is_enough() {
    let mut scene = Scene::new(POST);
    for _ in 0..20 {
        scene.pictures(250, &[]).picture(200, &[person(1, 0.7, 0.5)]);
    }
    assert_eq!(scene.changes(), []);
}

#[test]
fn a_post_for_two_is_not_manned_by_one() {
    let mut scene = Scene::new(&format!("{POST}\nleast = 2"));
    let both = [person(1, 0.6, 0.5), person(2, 0.8, 0.5)];
    scene.pictures(400, &both);
    assert_eq!(scene.changes(), []);
    scene.pictures(400, &both[..1]);
    assert_eq!(scene.changes(), [Change::Began]);
}

#[test]
fn time_without_pictures_is_no_absence() {
    let mut scene = Scene::new(POST);
    scene.pictures(200, &[]);
    lapse(&mut scene, 300);
    scene.pictures(200, &[]);
    assert_eq!(scene.changes(), [], "forty seconds before, forty seconds after");
    let mut scene = Scene::new(POST);
    scene.pictures(200, &[]).picture(180_000, &[]);
    assert_eq!(scene.changes(), [], "three minutes between two pictures");
    scene.picture(59_000, &[]).picture(1_000, &[]);
    assert_eq!(scene.changes(), [Change::Began], "pictures a minute apart are looks");
}

#[test]
fn what_nobody_can_see_any_more_ends() {
    let mut scene = Scene::new(POST);
    scene.pictures(400, &[]);
    lapse(&mut scene, 2);
    assert_eq!(scene.changes(), [Change::Began]);
    assert!(!scene.holds(0));
    lapse(&mut scene, 2);
    assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
    scene.pictures(200, &[]);
    assert_eq!(scene.changes().len(), 2, "its time begins anew");
    scene.pictures(200, &[]);
    assert_eq!(scene.changes().len(), 3);
}

#[test]
fn only_an_absence_must_be_looked_at_where_nothing_moves() {
    assert!(Scene::new(POST).rules.needs_still_pictures());
    assert!(!Scene::new("id = 'r'\nkind = 'count'\nzone = 'zone'\nlimit = 1").rules.needs_still_pictures());
}

proptest! {
    /// Nothing is told before fewer than enough were seen for as long as asked, without anybody or a gap in between.
    #[test]
    fn an_absence_is_seen_from_its_beginning_to_its_telling(
        pictures in proptest::collection::vec((prop::bool::weighted(0.1), prop::bool::weighted(0.1), 100u64..150_000), 1..200),
    ) {
        let mut scene = Scene::new(POST);
        // When too few were first seen, without anything else since; and the picture before.
        let (mut since, mut last) = (None::<u64>, 0);
        for (manned, blind, millis) in pictures {
            let told = scene.findings.len();
            if blind {
                lapse(&mut scene, 10);
            } else {
                let people: &[_] = if manned { &[person(1, 0.7, 0.5)] } else { &[] };
                scene.picture(millis, people);
            }
            let gap = scene.at - last > 120_000;
            since = (!manned && !blind).then(|| since.filter(|_| !gap).unwrap_or(scene.at));
            last = scene.at;
            if let Some(began) = scene.findings[told..].iter().find(|finding| finding.change == Change::Began) {
                prop_assert!(since.is_some_and(|since| Mono(since * MILLI) <= began.tally.since));
                prop_assert!(began.at.since(began.tally.since) >= Duration::from_secs(60));
                prop_assert!(scene.holds(u64::MAX));
            }
            prop_assert!(scene.holds(0) || !scene.holds(30));
            prop_assert!(scene.holds(0) == (!manned && !blind));
        }
        lapse(&mut scene, 10);
        prop_assert!(!scene.rules.is_active());
        let count = |change| scene.findings.iter().filter(|finding| finding.change == change).count();
        prop_assert_eq!(count(Change::Began), count(Change::Ended));
    }
}
