//! Groups: which rules are near enough to each other to be joined.

use std::collections::{BTreeMap, BTreeSet};

use super::{Listened, Wiring, spec::Same};

/// The places where a condition could hold: of each the rules that are near, by their position among all that are listened to.
/// A place where too few inputs could ever be met is none, and neither is one that lies within another.
pub(super) fn groups(wiring: &Wiring) -> Vec<BTreeSet<usize>> {
    let Wiring { spec, inputs } = wiring;
    let listened: Vec<(usize, &Listened)> =
        inputs.iter().enumerate().flat_map(|(input, rules)| rules.iter().map(move |rule| (input, rule))).collect();
    let near: BTreeSet<BTreeSet<usize>> = match (*spec.same, &*spec.within_metres) {
        (Some(Same::Grid), _) => by_grid(&listened),
        (None, Some(metres)) => by_distance(&listened, f64::from(metres.value.0)),
        (None, None) => [(0..listened.len()).collect()].into(),
    };
    let inputs_in = |group: &BTreeSet<usize>| group.iter().map(|&rule| listened[rule].0).collect::<BTreeSet<_>>().len();
    let enough: Vec<_> = near.into_iter().filter(|group| inputs_in(group) >= spec.needed().max(1)).collect();
    let largest = |group: &&BTreeSet<usize>| !enough.iter().any(|other| *group != other && group.is_subset(other));
    enough.iter().filter(largest).cloned().collect()
}

fn by_grid(listened: &[(usize, &Listened)]) -> BTreeSet<BTreeSet<usize>> {
    let mut grids: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (rule, (_, listened)) in listened.iter().enumerate() {
        grids.entry(&listened.grid).or_default().insert(rule);
    }
    grids.into_values().collect()
}

/// Around each rule that has a place, those that are near it.
fn by_distance(listened: &[(usize, &Listened)], metres: f64) -> BTreeSet<BTreeSet<usize>> {
    let places = || {
        let placed = listened.iter().enumerate();
        placed.filter_map(|(rule, (_, listened))| Some((rule, listened.place.as_ref()?)))
    };
    let around = |(_, middle)| places().filter(move |(_, place)| place.metres_to(middle) <= metres);
    places().map(|middle| around(middle).map(|(rule, _)| rule).collect()).collect()
}
