//! Which incidents of two replays of one clip are the same.
//!
//! Two incidents *can* be the same if they overlap in time and the same is wrong with the camera, where they are about that;
//! each lasts [`SLACK`] longer at both ends than it was seen, so that moments (somebody crosses a line) have a length, and a
//! picture earlier or later is no difference. They are sought
//!
//! 1. among incidents of rules with the same id, then
//! 2. among what is left, of rules of the same kind at the same area: a rule that was only given another name.
//!
//! In either turn the pair that overlaps for longest is taken first, then the longest of what is left, and so on; of pairs that
//! overlap equally, the one whose incidents begin closest to each other. So no incident is taken twice, what is left has no
//! partner, it is all one which of the replays is called the first, and every incident is its own partner in a replay of the
//! same.

use std::cmp::Reverse;

use crate::cli::replay::expect::ReplayedIncident;

/// How much longer an incident lasts at both ends than it was seen, in milliseconds: as far apart as pictures are that are
/// looked at twice a second.
const SLACK: i64 = 500;

/// Where an incident of the first replay and one of the second stand in their lists; one is missing where it has no partner.
pub type Matched = (Option<usize>, Option<usize>);

/// Every incident of two replays of one clip, each exactly once.
pub fn matched(a: &[ReplayedIncident], b: &[ReplayedIncident]) -> Vec<Matched> {
    let mut pairs = Pairs { a, b, taken_a: vec![false; a.len()], taken_b: vec![false; b.len()], matched: Vec::new() };
    pairs.take(|a, b| a.rule == b.rule);
    pairs.take(|a, b| a.kind == b.kind && a.area == b.area);
    let Pairs { taken_a, taken_b, mut matched, .. } = pairs;
    matched.extend(left(&taken_a).map(|i| (Some(i), None)));
    matched.extend(left(&taken_b).map(|i| (None, Some(i))));
    matched
}

fn left(taken: &[bool]) -> impl Iterator<Item = usize> {
    taken.iter().enumerate().filter(|(_, taken)| !**taken).map(|(i, _)| i)
}

struct Pairs<'a> {
    a: &'a [ReplayedIncident],
    b: &'a [ReplayedIncident],
    taken_a: Vec<bool>,
    taken_b: Vec<bool>,
    matched: Vec<Matched>,
}

impl Pairs<'_> {
    /// Takes pairs out of what is left and alike.
    fn take(&mut self, alike: impl Fn(&ReplayedIncident, &ReplayedIncident) -> bool) {
        let mut candidates = Vec::new();
        for i in left(&self.taken_a) {
            for j in left(&self.taken_b) {
                let (a, b) = (&self.a[i], &self.b[j]);
                if let Some(overlap) = overlap(a, b)
                    && a.condition == b.condition
                    && alike(a, b)
                {
                    let apart = (millis(a.began) - millis(b.began)).abs();
                    // Ends the same way whichever replay is the first: (i, j) and (j, i) never exclude each other.
                    candidates.push((Reverse(overlap), apart, i.min(j), i.max(j), i, j));
                }
            }
        }
        candidates.sort_unstable();
        for (.., i, j) in candidates {
            if !self.taken_a[i] && !self.taken_b[j] {
                (self.taken_a[i], self.taken_b[j]) = (true, true);
                self.matched.push((Some(i), Some(j)));
            }
        }
    }
}

/// For how many milliseconds both last; nothing if never.
fn overlap(a: &ReplayedIncident, b: &ReplayedIncident) -> Option<i64> {
    let from = millis(a.began).max(millis(b.began)) - SLACK;
    let to = millis(a.last_seen).min(millis(b.last_seen)) + SLACK;
    (to > from).then(|| to - from)
}

fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::cli::compare::testing::incident;

    /// Few rules and short times: much overlaps, and much is alike.
    fn incidents() -> impl Strategy<Value = Vec<ReplayedIncident>> {
        let one = (0..3u8, 0..2u8, 0..2u8, 0..40u32, 0..8u32).prop_map(|(rule, kind, area, began, lasts)| {
            let (began, last_seen) = (f64::from(began) / 4.0, f64::from(began + lasts) / 4.0);
            let found = incident(&format!("rule-{rule}"), &format!("area-{area}"), began, last_seen);
            ReplayedIncident { kind: format!("kind-{kind}"), ..found }
        });
        vec(one, 0..12)
    }

    fn set(matched: Vec<Matched>) -> BTreeSet<Matched> {
        matched.into_iter().collect()
    }

    proptest! {
        #[test]
        fn every_incident_is_in_exactly_one_place(a in incidents(), b in incidents()) {
            let matched = matched(&a, &b);
            let mut of_a: Vec<usize> = matched.iter().filter_map(|pair| pair.0).collect();
            let mut of_b: Vec<usize> = matched.iter().filter_map(|pair| pair.1).collect();
            of_a.sort_unstable();
            of_b.sort_unstable();
            prop_assert!(of_a.into_iter().eq(0..a.len()) && of_b.into_iter().eq(0..b.len()));
            prop_assert!(matched.iter().all(|pair| *pair != (None, None)));
        }

        #[test]
        fn it_is_all_one_which_comes_first(a in incidents(), b in incidents()) {
            let swapped = matched(&b, &a).into_iter().map(|(b, a)| (a, b)).collect();
            prop_assert_eq!(set(matched(&a, &b)), swapped);
        }

        #[test]
        fn a_replay_has_everything_in_common_with_itself(a in incidents()) {
            let itself = (0..a.len()).map(|i| (Some(i), Some(i))).collect();
            prop_assert_eq!(set(matched(&a, &a)), itself);
        }

        #[test]
        fn partners_are_alike_and_overlap(a in incidents(), b in incidents()) {
            for (a, b) in matched(&a, &b).into_iter().filter_map(|(i, j)| Some((&a[i?], &b[j?]))) {
                prop_assert!(a.rule == b.rule || (a.kind == b.kind && a.area == b.area));
                prop_assert!(a.began - b.last_seen < 1.0 && b.began - a.last_seen < 1.0);
            }
        }

        #[test]
        fn nothing_is_left_that_could_be_a_partner(a in incidents(), b in incidents()) {
            let matched = matched(&a, &b);
            let left_a = || matched.iter().filter(|pair| pair.1.is_none()).filter_map(|pair| Some(&a[pair.0?]));
            let left_b = || matched.iter().filter(|pair| pair.0.is_none()).filter_map(|pair| Some(&b[pair.1?]));
            for (a, b) in left_a().flat_map(|a| left_b().map(move |b| (a, b))) {
                let alike = a.rule == b.rule || (a.kind == b.kind && a.area == b.area);
                prop_assert!(!alike || overlap(a, b).is_none());
            }
        }
    }

    #[test]
    fn the_rules_id_goes_before_the_kind_and_longer_overlap_before_shorter() {
        let a = [incident("night", "yard", 0.0, 10.0), incident("day", "yard", 0.0, 10.0)];
        let b = [incident("day", "yard", 8.0, 12.0), incident("renamed", "yard", 0.0, 10.0)];
        assert_eq!(matched(&a, &b), [(Some(1), Some(0)), (Some(0), Some(1))]);

        let (short, long) = (incident("day", "yard", 0.0, 3.0), incident("day", "yard", 3.0, 9.0));
        let whole = incident("day", "yard", 0.0, 9.0);
        assert_eq!(matched(&[whole], &[short, long]), [(Some(0), Some(1)), (None, Some(0))]);
    }

    #[test]
    fn moments_a_picture_apart_are_the_same_and_those_a_second_apart_are_not() {
        let at = |second: f64| [incident("line", "gate", second, second)];
        assert_eq!(matched(&at(5.0), &at(5.9)), [(Some(0), Some(0))]);
        assert_eq!(matched(&at(5.0), &at(6.0)), [(Some(0), None), (None, Some(0))]);
    }

    #[test]
    fn a_camera_that_is_covered_is_not_one_that_is_moved() {
        let of = |condition| {
            [ReplayedIncident { area: None, condition: Some(condition), ..incident("tamper", "yard", 0.0, 9.0) }]
        };
        use snowgate_core::scene::Condition::{Covered, Moved};
        assert_eq!(matched(&of(Covered), &of(Moved)).len(), 2);
        assert_eq!(matched(&of(Covered), &of(Covered)).len(), 1);
    }
}
