use proptest::prelude::*;

use super::*;
use crate::rules::tests::read;

const SCORE: [Limit; 1] = [Limit { threshold: Threshold::MinScore, now: 0.4 }];

fn case(is_false_alarm: bool, value: f64) -> Case {
    Case { is_false_alarm: Some(is_false_alarm), values: vec![Some(value)] }
}

/// So many false alarms from one value on, and so many true incidents from another on, a hundredth apart each.
fn cases(false_alarms: (usize, f64), true_ones: (usize, f64)) -> Vec<Case> {
    let rising =
        |is_false, (count, from): (usize, f64)| (0..count).map(move |i| case(is_false, from + 0.01 * i as f64));
    rising(true, false_alarms).chain(rising(false, true_ones)).collect()
}

fn suggestion(review: &Review) -> Suggestion {
    match review.advice {
        Advice::Change(suggestion) => suggestion,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_be_told_apart_is() {
    let review = review(&SCORE, &cases((10, 0.4), (30, 0.6)), 0.0);
    assert_eq!((review.incidents, review.judged, review.false_alarms), (40, 40, 10));
    let Suggestion { threshold, now, then, kept_away, lost } = suggestion(&review);
    assert_eq!((threshold, now, kept_away, lost), (Threshold::MinScore, 0.4, 10, 0));
    assert_eq!(then, 0.5, "the least change that does it");
}

#[test]
fn a_true_incident_may_be_lost_for_many_false_alarms_and_no_more_than_allowed() {
    let mut mixed = cases((20, 0.5), (99, 0.8));
    mixed.push(case(false, 0.45));
    let strict = suggestion(&review(&SCORE, &[mixed.clone(), cases((5, 0.4), (0, 0.0))].concat(), 0.0));
    assert_eq!((strict.then, strict.kept_away, strict.lost), (0.45, 5, 0));
    assert_eq!(review(&SCORE, &mixed, 0.0).advice, Advice::Nothing);
    let lenient = suggestion(&review(&SCORE, &mixed, 0.02));
    assert_eq!((lenient.kept_away, lenient.lost), (20, 1));
}

#[test]
fn the_threshold_that_keeps_most_away_is_chosen_and_what_is_not_carried_comes_through() {
    let limits = [SCORE[0], Limit { threshold: Threshold::For, now: 1.0 }];
    let of = |is_false, score, held| Case { is_false_alarm: Some(is_false), values: vec![Some(score), held] };
    let mut all: Vec<_> = (0..20).map(|_| of(false, 0.6, Some(12.0))).collect();
    all.extend((0..10).map(|i| of(true, 0.5 + 0.02 * f64::from(i), Some(2.04))));
    all.push(of(true, 0.9, None));
    let best = suggestion(&review(&limits, &all, 0.0));
    assert_eq!((best.threshold, best.then, best.kept_away), (Threshold::For, 2.1, 10));
    assert_eq!(best.threshold.written(best.then), "\"2s 100ms\"");
}

#[test]
fn a_review_is_one_flat_object() {
    let json = serde_json::to_value(review(&SCORE, &cases((10, 0.4), (30, 0.6)), 0.0)).unwrap();
    let meant = serde_json::json!({ "incidents": 40, "outgrown": 0, "judged": 40, "false_alarms": 10,
        "share": { "value": 0.25, "low": 0.142, "high": 0.402 },
        "advice": "change", "threshold": "min_score", "now": 0.4, "then": 0.5, "kept_away": 10, "lost": 0 });
    assert_eq!(json, meant);
    assert_eq!(serde_json::to_value(review(&SCORE, &[], 0.0)).unwrap()["advice"], "too_few");
}

#[test]
fn what_nobody_judged_and_what_would_not_come_again_count_neither_way() {
    let mut all = cases((10, 0.4), (30, 0.6));
    all.extend((0..50).map(|_| Case { is_false_alarm: None, values: vec![Some(0.9)] }));
    all.extend((0..7).map(|_| case(true, 0.3)));
    let review = review(&SCORE, &all, 0.0);
    assert_eq!((review.incidents, review.outgrown, review.judged, review.false_alarms), (97, 7, 40, 10));
}

#[test]
fn of_too_few_nothing_is_said() {
    assert_eq!(review(&SCORE, &cases((5, 0.4), (14, 0.6)), 0.0).advice, Advice::TooFew, "nineteen");
    assert_eq!(review(&SCORE, &cases((4, 0.4), (60, 0.5)), 0.0).advice, Advice::TooFew);
    assert_eq!(
        review(&SCORE, &cases((40, 0.4), (0, 0.0)), 0.0).advice,
        Advice::TooFew,
        "all of them were false alarms"
    );
    assert_eq!(review(&SCORE, &cases((0, 0.0), (40, 0.4)), 0.0).advice, Advice::TooFew, "none of them was");
    assert_eq!(review(&SCORE, &[], 0.0).share, None);
}

#[test]
fn a_limit_is_passed_from_either_side() {
    let above = [Limit { threshold: Threshold::Above, now: 3.5 }];
    let sure = |false_alarm: f64, true_one: f64| {
        let of = |is_false, value: f64| (0..10).map(move |i| case(is_false, value + 0.001 * f64::from(i)));
        of(true, false_alarm).chain(of(false, true_one)).collect::<Vec<_>>()
    };
    let higher = suggestion(&review(&above, &sure(3.6, 4.0), 0.0));
    assert_eq!((higher.then, higher.kept_away, higher.lost), (3.609, 10, 0));
    let below = [Limit { threshold: Threshold::Below, now: 0.5 }];
    let lower = suggestion(&review(&below, &sure(0.4, 0.1), 0.0));
    assert_eq!((lower.then, lower.kept_away, lower.lost), (0.4, 10, 0));
}

#[test]
fn each_kind_of_rule_has_the_thresholds_that_its_incidents_can_be_held_against() {
    let keys = |rule: &str| {
        let limits = limits(&read(&format!("id = 'r'\n{rule}")));
        limits.into_iter().map(|limit| (limit.threshold.as_str(), limit.now)).collect::<Vec<_>>()
    };
    let loitering = "kind = 'loitering'\nzone = 'z'\nmin_score = 0.55";
    assert_eq!(keys(loitering), [("min_score", 0.55), ("min_height", 0.0), ("for", 30.0)]);
    assert_eq!(keys("kind = 'line_crossing'\nline = 'l'\nmin_height = 0.1"), [("min_height", 0.1)]);
    assert_eq!(keys("kind = 'tamper'\nfor = '2m'"), [("for", 120.0)]);
    let keys = |rule: &str| {
        let limits = sensor_limits(&read(&format!("id = 'r'\nquantity = 'q'\n{rule}")));
        limits.into_iter().map(|limit| (limit.threshold.as_str(), limit.now)).collect::<Vec<_>>()
    };
    assert_eq!(keys("kind = 'threshold'\nbelow = 2"), [("below", 2.0), ("for", 0.0)]);
    assert_eq!(keys("kind = 'threshold'\nbelow = 2\nabove = 9\nfor = '5s'"), [("for", 5.0)]);
    assert_eq!(keys("kind = 'anomaly'"), [("min_score", 0.5)]);
    assert_eq!(keys("kind = 'button'"), []);
}

#[test]
fn the_interval_is_wilsons() {
    let near = |a: f64, b: f64| (a - b).abs() < 5e-4;
    // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I.
    for (part, of, low, high) in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)] {
        let share = Share::new(part, of).unwrap();
        assert!(near(share.low, low) && near(share.high, high), "{share:?}");
    }
}

fn any_cases() -> impl Strategy<Value = Vec<Case>> {
    let value = proptest::option::weighted(0.9, 0.0f64..1.0);
    let case = (any::<Option<bool>>(), value.clone(), value.prop_map(|held| held.map(|held| held * 40.0)));
    proptest::collection::vec(case, 0..200).prop_map(|cases| {
        let case = |(is_false_alarm, score, held)| Case { is_false_alarm, values: vec![score, held] };
        cases.into_iter().map(case).collect()
    })
}

proptest! {
    /// What is suggested is true by counting again, loses no more than allowed, is a change, and the more may be lost the more
    /// is kept away.
    #[test]
    fn suggestions_keep_their_promise(cases in any_cases(), lose in 0.0f64..0.5, more in 0.0f64..0.5) {
        let limits = [SCORE[0], Limit { threshold: Threshold::For, now: 5.0 }];
        let kept_away = |lose| match review(&limits, &cases, lose).advice {
            Advice::Change(suggestion) => suggestion.kept_away,
            _ => 0,
        };
        prop_assert!(kept_away(lose + more) >= kept_away(lose));
        let Review { judged, false_alarms, advice, .. } = review(&limits, &cases, lose);
        let enough = judged >= LEAST_JUDGED && false_alarms >= LEAST_OF_EACH && judged - false_alarms >= LEAST_OF_EACH;
        prop_assert_eq!(advice == Advice::TooFew, !enough);
        if let Advice::Change(it) = advice {
            let index = usize::from(it.threshold == Threshold::For);
            let (mut false_ones, mut true_ones) = (0, 0);
            for case in cases.iter().filter(|case| {
                case.values[0].is_none_or(|score| score >= 0.4) && case.values[1].is_none_or(|held| held >= 5.0)
            }) {
                let gone = case.values[index].is_some_and(|value| value < it.then);
                false_ones += usize::from(gone && case.is_false_alarm == Some(true));
                true_ones += usize::from(gone && case.is_false_alarm == Some(false));
            }
            prop_assert_eq!((it.kept_away, it.lost), (false_ones, true_ones));
            prop_assert!(it.kept_away > 0 && it.then > it.now);
            prop_assert!(it.lost as f64 <= lose * (judged - false_alarms) as f64);
        }
    }

    /// Whatever lies apart by more than a step is told apart.
    #[test]
    fn a_separable_set_is_separated(
        low in proptest::collection::vec(0.4f64..0.6, 10..50),
        high in proptest::collection::vec(0.612f64..1.0, 10..50),
    ) {
        let all: Vec<_> = low.iter().map(|it| case(true, *it)).chain(high.iter().map(|it| case(false, *it))).collect();
        let it = suggestion(&review(&SCORE, &all, 0.0));
        prop_assert_eq!((it.kept_away, it.lost), (low.len(), 0));
    }

    /// The share lies in its interval, which is within 0 and 1.
    #[test]
    fn an_interval_holds_its_share(of in 1usize..10_000, part in 0.0f64..=1.0) {
        let share = Share::new((part * of as f64) as usize, of).unwrap();
        prop_assert!(0.0 <= share.low && share.low <= share.value && share.value <= share.high && share.high <= 1.0);
    }
}
