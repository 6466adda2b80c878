//! How rules give way to others while they are followed: a configuration was changed, and what was not changed goes on.

use super::{Finding, duty::Duty, episode::Episodes, spec::RuleSpec};
use crate::{
    geometry::{Polygon, Segment},
    time::Mono,
};

/// What a rule was made of, beside its hours.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Definition {
    pub spec: RuleSpec,
    /// Its zone's.
    pub polygon: Option<Polygon>,
    pub line: Option<Segment>,
}

/// A rule with its state.
pub(super) trait Followed {
    /// What it was made of, and its hours: two rules that have both in common watch for the same.
    fn definition(&self) -> (&Definition, &Duty);
    /// The episodes that it has told of and not ended yet.
    fn episodes(&mut self) -> &mut Episodes;
}

/// Puts `successors` in the place of `rules`. A rule that stays the same keeps its state, wherever it stands; what is under
/// way of the others ends at once, and their successors have seen nothing yet.
pub(super) fn succeed<R: Followed>(rules: &mut Vec<R>, successors: Vec<R>, at: Mono, findings: &mut Vec<Finding>) {
    let mut before = std::mem::take(rules);
    let is_same = |rule: &R, other: &R| {
        let ((definition, duty), (other, hours)) = (rule.definition(), other.definition());
        definition == other && duty.has_the_hours_of(hours)
    };
    let goes_on = |successor: R| match before.iter().position(|rule| is_same(rule, &successor)) {
        Some(place) => before.swap_remove(place),
        None => successor,
    };
    *rules = successors.into_iter().map(goes_on).collect();
    before.iter_mut().for_each(|rule| rule.episodes().close(at, findings));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{
        Change,
        tests::{Scene, person},
    };
    use crate::observation::Track;

    fn inside() -> [Track; 1] {
        [person(1, 0.75, 0.5)]
    }

    fn outside() -> [Track; 1] {
        [person(1, 0.25, 0.5)]
    }

    const STAYS: &str = "id = 'r'\nkind = 'intrusion'\nzone = 'zone'\nfor = '1s'";

    #[test]
    fn what_stays_the_same_keeps_its_state() {
        let mut scene = Scene::new(STAYS);
        scene.pictures(10, &inside());
        scene.succeed(&[STAYS]);
        scene.pictures(10, &inside());
        assert_eq!(scene.changes(), [Change::Began], "it is not told of again, and has not ended");
        scene.pictures(30, &outside());
        assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
    }

    #[test]
    fn what_has_changed_ends_and_begins_anew() {
        let mut scene = Scene::new(STAYS);
        scene.pictures(10, &inside());
        scene.succeed(&[&STAYS.replace("1s", "2s")]);
        assert_eq!(scene.changes(), [Change::Began, Change::Ended]);
        scene.pictures(20, &inside());
        assert_eq!(scene.changes(), [Change::Began, Change::Ended, Change::Began]);
    }

    proptest! {
        /// However often rules give way to the same or to others: each episode that began ends once, none ends that did not
        /// begin, and after the last rule is gone nothing is under way.
        #[test]
        fn episodes_stay_whole(steps in proptest::collection::vec((0..3usize, 0..8usize, any::<bool>()), 1..20)) {
            let variants = [STAYS.to_owned(), STAYS.replace("1s", "2s"), STAYS.replace("zone'\n", "zone'\ncool_down = '3s'\n")];
            let mut scene = Scene::new(STAYS);
            for (variant, pictures, is_inside) in steps {
                scene.pictures(pictures, &if is_inside { inside() } else { outside() });
                scene.succeed(&[&variants[variant]]);
            }
            scene.succeed(&[]);
            prop_assert!(!scene.rules.is_active());
            let mut open = 0;
            for change in scene.changes() {
                match change {
                    Change::Began => open += 1,
                    Change::Grew => prop_assert!(open > 0),
                    Change::Ended => open -= 1,
                }
                prop_assert!((0..=1).contains(&open));
            }
            prop_assert_eq!(open, 0);
        }
    }
}
