use proptest::prelude::*;

use super::{
    Change::{Began, Ended, Grew},
    *,
};
use crate::{
    rules::tests::schedules,
    schedule::testing::oclock,
    sensor::reading::{Doubt, Quality},
};

const SECOND: u64 = 1_000_000_000;

/// A sensor of one quantity with one rule.
struct Scene {
    rules: SensorRules,
    quantity: Id,
    now: u64,
    alarms: Vec<Alarm>,
}

impl Scene {
    fn new(rule: &str) -> Self {
        let text = format!("id = 'rule'\nquantity = 'level'\n{rule}");
        let spec: SensorRuleSpec = crate::spec::read_table(&mut toml_span::parse(&text).unwrap()).unwrap();
        Self {
            rules: SensorRules::new([&spec], &schedules(), Mono(0)).unwrap(),
            quantity: "level".parse().unwrap(),
            now: 0,
            alarms: Vec::new(),
        }
    }

    /// A reading after so many seconds.
    fn after(&mut self, seconds: u64, value: f64) -> &mut Self {
        self.heard(seconds, value, Verdict::GOOD, None)
    }

    fn heard(&mut self, seconds: u64, value: f64, verdict: Verdict, score: Option<f64>) -> &mut Self {
        self.now += seconds * SECOND;
        let heard = Heard { quantity: &self.quantity, value, verdict, score, at: Mono(self.now) };
        self.rules.hear(&heard, &mut self.alarms);
        self
    }

    /// So many seconds in which nothing is heard.
    fn silence(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds {
            self.now += SECOND;
            self.rules.tick(Mono(self.now), &mut self.alarms);
        }
        self
    }

    /// Since when what is known of the condition, and what.
    fn known(&self) -> Option<(u64, bool)> {
        self.rules.known(&"rule".parse().unwrap()).map(|known| (known.at.0 / SECOND, known.holds))
    }

    fn changes(&self) -> Vec<(Change, u64)> {
        self.alarms.iter().map(|alarm| (alarm.change, alarm.at.0 / SECOND)).collect()
    }
}

const HIGH_WATER: &str = "kind = 'threshold'\nabove = 3.5\nhysteresis = 0.3\nfor = '2m'";

#[test]
fn a_threshold_that_is_passed_for_long_enough_alarms_once_however_the_value_wavers() {
    let mut scene = Scene::new(HIGH_WATER);
    scene.after(0, 3.0).after(60, 3.6).after(60, 3.4).after(60, 3.55).after(60, 3.45).after(60, 3.1);
    assert_eq!(scene.changes(), [(Began, 180), (Ended, 300)]);
    let tally = scene.alarms[1].tally;
    assert_eq!((tally.extreme, tally.since, tally.last_seen), (Some(3.6), Mono(60 * SECOND), Mono(240 * SECOND)));
}

#[test]
fn a_value_that_is_back_in_time_was_nothing() {
    let mut scene = Scene::new(HIGH_WATER);
    scene.after(0, 3.6).after(60, 3.0).after(60, 3.6).after(60, 3.0).silence(300);
    assert_eq!(scene.changes(), []);
}

#[test]
fn what_was_last_heard_holds_until_something_else_is_heard() {
    let mut scene = Scene::new(HIGH_WATER);
    scene.after(0, 4.0).silence(600);
    assert_eq!(scene.changes(), [(Began, 120)], "a gauge that sends every ten minutes alarms after two");
}

#[test]
fn a_rising_flood_is_told_of_as_it_rises() {
    let mut scene = Scene::new("kind = 'threshold'\nabove = 3.5");
    scene.after(0, 3.6).after(60, 3.7).after(60, 4.2).after(60, 4.3).after(60, 5.0);
    assert_eq!(scene.changes(), [(Began, 0), (Grew, 120), (Grew, 240)]);
}

#[test]
fn below_a_limit_the_lowest_counts() {
    let mut scene = Scene::new("kind = 'threshold'\nbelow = 11.0\nhysteresis = 0.5");
    scene.after(0, 12.0).after(1, 10.9).after(1, 10.5).after(1, 11.4).after(1, 11.6);
    assert_eq!(scene.changes(), [(Began, 1), (Ended, 4)]);
    assert_eq!(scene.alarms[1].tally.extreme, Some(10.5));
}

#[test]
fn what_does_not_count_neither_begins_nor_ends_anything() {
    let mut scene = Scene::new("kind = 'threshold'\nabove = 3.5");
    let impossible = Verdict::doubtful(Quality::OutOfRange, Doubt::TooHigh);
    let stuck = Verdict::doubtful(Quality::Stuck, Doubt::Unchanging);
    scene.heard(0, 99.0, impossible, None).after(1, 4.0).heard(1, 2.0, stuck, None).after(1, 2.0);
    assert_eq!(scene.changes(), [(Began, 1), (Ended, 3)]);
}

#[test]
fn change_is_measured_within_its_while_and_ends_when_it_slows_down() {
    let mut scene = Scene::new("kind = 'change'\nrise = 0.5\nwithin = '10m'");
    scene.after(0, 1.0).after(300, 1.3).after(300, 1.6).after(300, 1.7).after(300, 1.7).after(300, 1.7);
    assert_eq!(scene.changes(), [(Began, 600), (Ended, 900)]);
    let mut scene = Scene::new("kind = 'change'\nfall = 0.5\nwithin = '10m'");
    scene.after(0, 2.0).after(300, 3.0).after(60, 2.4);
    assert_eq!(scene.alarms.len(), 1);
    assert!((scene.alarms[0].tally.extreme.unwrap() + 0.6).abs() < 1e-9);
}

#[test]
fn silence_is_told_of_and_broken_by_anything() {
    let mut scene = Scene::new("kind = 'silence'\nafter = '5m'");
    scene.after(10, 1.0).silence(400);
    assert_eq!(scene.changes(), [(Began, 310)]);
    assert_eq!((scene.alarms[0].tally.since, scene.alarms[0].tally.value), (Mono(10 * SECOND), Some(1.0)));
    scene.heard(1, f64::NAN, Verdict::doubtful(Quality::Error, Doubt::NotANumber), None);
    assert_eq!(scene.changes()[1..], [(Ended, 411)]);
    // One that was never heard of at all is silent too.
    assert_eq!(Scene::new("kind = 'silence'\nafter = '5m'").silence(301).changes(), [(Began, 300)]);
}

#[test]
fn every_press_of_a_button_is_told_of_at_once() {
    let mut scene = Scene::new("kind = 'button'\nfor = '1h'\ncool_down = '10m'");
    scene.after(5, 1.0).after(1, 1.0).after(30, 1.0);
    assert_eq!(scene.changes(), [(Began, 5), (Grew, 6), (Grew, 36)]);
    assert_eq!(scene.alarms[2].tally.count, 3);
    scene.after(1, 0.0).silence(700);
    assert_eq!(scene.changes()[3..], [(Ended, 605)]);
    scene.after(0, 1.0);
    assert_eq!(scene.alarms.last().map(|alarm| (alarm.change, alarm.episode)), Some((Began, 2)));

    let mut scene = Scene::new("kind = 'button'\nevery_message = false");
    scene.after(0, 1.0).after(1, 1.0).after(1, 0.0).after(1, 1.0);
    assert_eq!(scene.changes(), [(Began, 0), (Ended, 2), (Began, 3)]);
}

#[test]
fn an_anomaly_lasts_until_it_has_been_over_for_a_while() {
    let mut scene = Scene::new("kind = 'anomaly'\nover_after = 1\nlinger = '1m'");
    for score in [0.1, 0.6, 0.2, 0.9, 0.1, 0.1, 0.1] {
        scene.heard(30, 1.0, Verdict::GOOD, Some(score));
    }
    assert_eq!(scene.changes(), [(Began, 60), (Grew, 120), (Ended, 210)]);
    assert_eq!(scene.alarms[2].tally.score, 0.9);
}

#[test]
fn an_anomaly_is_over_after_a_run_of_ordinary_readings() {
    let mut scene = Scene::new("kind = 'anomaly'\nover_after = 3");
    for score in [0.1, 0.6, 0.2, 0.2, 0.6, 0.1, 0.1, 0.1, 0.6] {
        scene.heard(60, 1.0, Verdict::GOOD, Some(score));
    }
    assert_eq!(scene.changes(), [(Began, 120), (Ended, 480), (Began, 540)]);
    // What has not held for long enough to be told of needs no run to be over.
    let mut scene = Scene::new("kind = 'anomaly'\nover_after = 3\nfor = '2m'");
    for score in [0.6, 0.2, 0.6, 0.6, 0.6, 0.2] {
        scene.heard(60, 1.0, Verdict::GOOD, Some(score));
    }
    assert_eq!(scene.changes(), [(Began, 300)]);
}

#[test]
fn within_the_cool_down_what_comes_again_joins() {
    let mut scene = Scene::new("kind = 'threshold'\nabove = 3.5\ncool_down = '10m'");
    scene.after(0, 4.0).after(60, 3.0).after(60, 4.0).after(60, 3.0).silence(600);
    assert_eq!(scene.changes(), [(Began, 0), (Ended, 600)]);
}

#[test]
fn a_threshold_holds_by_its_value_and_once_it_does_to_behind_the_hysteresis() {
    let mut scene = Scene::new("kind = 'threshold'\nabove = 3.5\nhysteresis = 0.3\nfor = '2m'\nlinger = '1h'");
    assert_eq!(scene.known(), None, "nothing was heard");
    assert_eq!(scene.after(10, 3.4).known(), Some((10, false)));
    assert_eq!(scene.after(10, 3.6).known(), Some((20, true)), "whether it stays so is not asked");
    assert_eq!(scene.after(10, 3.3).known(), Some((30, true)));
    let stuck = Verdict::doubtful(Quality::Stuck, Doubt::Unchanging);
    assert_eq!(scene.heard(10, 1.0, stuck, None).known(), Some((30, true)), "what does not count says nothing");
    assert_eq!(scene.after(200, 3.1).known(), Some((240, false)));
    assert!(scene.rules.is_active(), "the episode lingers");
    assert_eq!(scene.silence(60).known(), Some((240, false)), "time says nothing");
    assert_eq!(scene.rules.known(&"other".parse().unwrap()), None);
}

#[test]
fn silence_is_known_as_time_passes_and_broken_by_anything() {
    let mut scene = Scene::new("kind = 'silence'\nafter = '5m'");
    assert_eq!(scene.silence(299).known(), None, "not yet silent, and not heard either");
    assert_eq!(scene.silence(1).known(), Some((300, true)));
    assert_eq!(scene.silence(50).known(), Some((350, true)));
    scene.heard(1, f64::NAN, Verdict::doubtful(Quality::Error, Doubt::NotANumber), None);
    assert_eq!(scene.known(), Some((351, false)));
    assert_eq!(scene.silence(100).known(), Some((351, false)));
}

#[test]
fn a_button_holds_when_it_is_pressed() {
    let mut scene = Scene::new("kind = 'button'\ncool_down = '1h'");
    assert_eq!(scene.after(1, 1.0).known(), Some((1, true)));
    assert_eq!(scene.after(1, 0.0).known(), Some((2, false)));
    assert_eq!(scene.silence(60).known(), Some((2, false)));
    let mut held_down = Scene::new("kind = 'button'\nevery_message = false");
    assert_eq!(held_down.after(1, 1.0).after(1, 1.0).known(), Some((2, true)));
    assert_eq!(held_down.changes(), [(Began, 1)]);
}

#[test]
fn an_anomaly_holds_until_its_run_of_ordinary_readings_is_complete() {
    let mut scene = Scene::new("kind = 'anomaly'\nover_after = 3");
    let mut scored = |score| {
        scene.heard(60, 1.0, Verdict::GOOD, score);
        scene.known()
    };
    assert_eq!(scored(None), None, "nobody watched");
    assert_eq!(scored(Some(0.6)), Some((120, true)));
    assert_eq!(scored(Some(0.1)), Some((180, true)));
    assert_eq!(scored(None), Some((180, true)));
    assert_eq!(scored(Some(0.1)), Some((300, true)));
    assert_eq!(scored(Some(0.1)), Some((360, false)));
}

#[test]
fn a_change_holds_while_it_is_too_great() {
    let mut scene = Scene::new("kind = 'change'\nrise = 0.5\nwithin = '10m'");
    assert_eq!(scene.after(0, 1.0).known(), Some((0, false)));
    assert_eq!(scene.after(60, 1.6).known(), Some((60, true)));
    assert_eq!(scene.after(900, 1.6).known(), Some((960, false)));
}

#[test]
fn a_rule_that_rests_hears_nothing_and_ends_what_it_has_told() {
    let mut scene = Scene::new("kind = 'threshold'\nabove = 3.5\nlinger = '2m'\nschedule = 'night'");
    scene.rules.it_is(oclock(12, true));
    scene.after(0, 4.0).silence(60);
    assert_eq!((scene.changes(), scene.known()), (vec![], None));
    scene.rules.it_is(oclock(22, true));
    scene.silence(60);
    assert_eq!(scene.changes(), [], "what was heard by day does not count");
    scene.after(10, 4.0);
    assert_eq!((scene.changes(), scene.known()), (vec![(Began, 130)], Some((130, true))));
    scene.rules.it_is(oclock(6, true));
    scene.after(10, 4.0).silence(119);
    assert_eq!((scene.changes(), scene.known()), (vec![(Began, 130)], None), "it lingers");
    scene.silence(1);
    assert_eq!(scene.changes(), [(Began, 130), (Ended, 260)]);
    scene.rules.it_is(oclock(12, false));
    scene.after(10, 4.0);
    assert_eq!(scene.changes().len(), 3, "a box that does not know the time watches");
}

#[test]
fn nothing_of_the_time_in_which_a_rule_rests_counts_later() {
    let by_night = |rule: &str| {
        let mut scene = Scene::new(&format!("{rule}\nschedule = 'night'"));
        scene.rules.it_is(oclock(12, true));
        scene
    };
    let mut silence = by_night("kind = 'silence'\nafter = '1m'");
    silence.silence(600).rules.it_is(oclock(22, true));
    silence.silence(59);
    assert_eq!(silence.changes(), []);
    silence.silence(1);
    assert_eq!(silence.changes(), [(Began, 660)]);

    let mut change = by_night("kind = 'change'\nrise = 1\nwithin = '1h'");
    change.after(0, 1.0).rules.it_is(oclock(22, true));
    change.after(60, 3.0).after(60, 3.5);
    assert_eq!(change.changes(), []);
    change.after(60, 4.5);
    assert_eq!(change.changes(), [(Began, 180)]);

    let mut button = by_night("kind = 'button'");
    button.after(0, 1.0).rules.it_is(oclock(22, true));
    button.after(60, 1.0);
    assert_eq!(button.changes()[0], (Began, 60), "a press of its hours");
}

#[test]
fn a_schedule_that_is_not_there_is_named() {
    let text = "id = 'rule'\nquantity = 'level'\nkind = 'button'\nschedule = 'day'";
    let spec: SensorRuleSpec = crate::spec::read_table(&mut toml_span::parse(text).unwrap()).unwrap();
    let missing = SensorRules::new([&spec], &schedules(), Mono(0)).unwrap_err();
    assert_eq!(missing.to_string(), "rule rule: there is no schedule day");
}

proptest! {
    #[test]
    fn whatever_is_heard_episodes_begin_and_end_in_turn(
        kind in prop::sample::select(&[
            HIGH_WATER,
            "kind = 'threshold'\nbelow = 0.0\nlinger = '10s'\ncool_down = '1m'",
            "kind = 'change'\nrise = 1.0\nfall = 2.0\nwithin = '1m'",
            "kind = 'silence'\nafter = '20s'",
            "kind = 'anomaly'\nfor = '5s'",
            "kind = 'button'\ncool_down = '30s'",
        ][..]),
        heard in prop::collection::vec((0u64..40, -5.0f64..5.0, any::<bool>(), 0.0f64..1.0), 0..80),
    ) {
        let mut scene = Scene::new(kind);
        for (seconds, value, good, score) in heard {
            let verdict = if good { Verdict::GOOD } else { Verdict::doubtful(Quality::Error, Doubt::NotANumber) };
            scene.silence(seconds / 2).heard(seconds, value, verdict, Some(score));
        }
        let mut open = None;
        let mut last = Mono(0);
        for alarm in &scene.alarms {
            prop_assert!(alarm.at >= last && alarm.tally.since <= alarm.tally.last_seen && alarm.tally.last_seen <= alarm.at);
            last = alarm.at;
            match alarm.change {
                Began => {
                    prop_assert_eq!(open, None);
                    open = Some(alarm.episode);
                }
                Grew => prop_assert_eq!(open, Some(alarm.episode)),
                Ended => {
                    prop_assert_eq!(open, Some(alarm.episode));
                    open = None;
                }
            }
        }
        prop_assert_eq!(scene.rules.is_active(), open.is_some());
        // What was told of last was known then.
        if let Some(Alarm { change: Began, .. }) = scene.alarms.last() {
            prop_assert!(scene.known().is_some());
        }
    }
}
