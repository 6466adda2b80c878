use proptest::prelude::*;

use super::*;
use crate::{
    rules::{
        Change,
        tests::{MILLI, read, schedules},
    },
    schedule::testing::oclock,
};

const STALL: u64 = 10;

fn second(second: u64) -> Mono {
    Mono(second * 1_000 * MILLI)
}

/// A camera's stream, observed once a second.
struct Stream {
    rules: StreamRules,
    findings: Vec<Finding>,
    now: u64,
    last: Option<u64>,
}

impl Stream {
    fn new(rule: &str) -> Self {
        let rule = read(&format!("id = 'r'\nkind = 'offline'\n{rule}"));
        let rules = StreamRules::new(Duration::from_secs(STALL), &schedules(), &[rule]).unwrap();
        Self { rules, findings: Vec::new(), now: 100, last: None }
    }

    fn goes_by(&mut self, seconds: u64, live: bool) -> &mut Self {
        for _ in 0..seconds {
            self.now += 1;
            self.last = if live { Some(self.now) } else { self.last };
            self.rules.observe(second(self.now), self.last.map(second), &mut self.findings);
        }
        self
    }

    fn silent(&mut self, seconds: u64) -> &mut Self {
        self.goes_by(seconds, false)
    }

    fn live(&mut self, seconds: u64) -> &mut Self {
        self.goes_by(seconds, true)
    }

    fn changes(&self) -> Vec<Change> {
        self.findings.iter().map(|finding| finding.change).collect()
    }

    fn holds(&self, patience: u64) -> Option<bool> {
        self.rules.holds(&"r".parse().unwrap(), Duration::from_secs(patience))
    }
}

#[test]
fn a_stream_without_pictures_is_told_of_once_and_until_they_have_come_for_a_while() {
    let mut stream = Stream::new("");
    stream.live(5).silent(59);
    assert_eq!((stream.changes(), stream.holds(60), stream.holds(30)), (vec![], Some(false), Some(true)));
    stream.silent(1);
    assert_eq!((stream.changes(), stream.holds(60)), (vec![Change::Began], Some(true)));
    let Finding { at, tally, ref subjects, .. } = stream.findings[0];
    assert_eq!((at, tally.since), (second(165), second(105)), "a minute after the last picture");
    assert_eq!((tally.things, tally.peak, tally.score), (0, 0, 1.0));
    assert!(subjects.is_empty());
    stream.silent(100_000).live(3);
    assert_eq!((stream.changes(), stream.holds(60)), (vec![Change::Began], Some(false)), "it lingers");
    stream.live(1);
    assert_eq!(stream.changes(), [Change::Began, Change::Ended]);
    assert_eq!(stream.findings[1].tally.last_seen, second(100_165));
}

#[test]
fn a_camera_that_never_came_is_missed_from_the_start_on() {
    let mut stream = Stream::new("for = '20s'");
    assert_eq!(stream.holds(0), None, "nobody has waited for it");
    stream.silent(20);
    assert_eq!(stream.changes(), []);
    stream.silent(1);
    assert_eq!((stream.changes(), stream.findings[0].tally.since), (vec![Change::Began], second(101)));
    stream.live(10);
    assert_eq!(stream.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn pictures_now_and_then_begin_the_time_anew_and_end_nothing() {
    let mut stream = Stream::new("for = '30s'\nlinger = '5s'");
    for _ in 0..20 {
        stream.live(1).silent(29);
    }
    assert_eq!(stream.changes(), []);
    stream.silent(1);
    assert_eq!(stream.changes(), [Change::Began]);
    for _ in 0..20 {
        stream.live(5).silent(STALL);
    }
    assert_eq!(stream.changes(), [Change::Began], "never for as long as its linger");
    stream.live(6);
    assert_eq!(stream.changes(), [Change::Began, Change::Ended]);
}

#[test]
fn it_rests_outside_its_schedule_and_tells_when_its_hours_begin() {
    let mut stream = Stream::new("schedule = 'night'");
    assert!(stream.rules.keeps_hours() && !stream.rules.is_empty());
    stream.rules.it_is(oclock(12, true));
    stream.silent(5_000);
    assert_eq!((stream.changes(), stream.holds(0)), (vec![], None));
    stream.rules.it_is(oclock(22, true));
    stream.silent(1);
    assert_eq!(stream.changes(), [Change::Began], "it has been so for long, and now somebody asks for it");
    stream.rules.it_is(oclock(6, true));
    stream.silent(4);
    assert_eq!(stream.changes(), [Change::Began, Change::Ended]);
    stream.rules.it_is(oclock(12, false));
    stream.silent(1);
    assert_eq!(stream.changes().len(), 3, "a box that does not know the time watches");
}

#[test]
fn rules_about_pictures_are_passed_over_and_a_missing_schedule_is_told() {
    let new = |rule: &str| StreamRules::new(Duration::from_secs(STALL), &schedules(), &[read(rule)]);
    assert!(new("id = 'r'\nkind = 'tamper'").unwrap().is_empty());
    let missing = new("id = 'r'\nkind = 'offline'\nschedule = 'day'").unwrap_err();
    assert_eq!((missing.what, missing.missing.as_str()), ("schedule", "day"));
}

proptest! {
    /// What is told agrees with the longest gap between pictures, and each episode begins before it ends.
    #[test]
    fn it_is_told_of_if_and_only_if_a_gap_is_long_enough(gaps in proptest::collection::vec((1u64..20, 0u64..80), 1..30)) {
        let mut stream = Stream::new("for = '40s'");
        for (live, silent) in &gaps {
            stream.live(*live).silent(*silent);
        }
        stream.live(10);
        // Only the last picture's second has passed since the last picture when the next one comes.
        let is_gap = gaps.iter().any(|(_, silent)| *silent >= 40);
        prop_assert_eq!(!stream.findings.is_empty(), is_gap);
        let in_turn = [Change::Began, Change::Ended].into_iter().cycle();
        prop_assert!(stream.changes().into_iter().zip(in_turn).all(|(told, due)| told == due));
        prop_assert_eq!(stream.findings.len() % 2, 0, "all is over when pictures have come");
    }
}
