use proptest::prelude::*;

use super::*;
use crate::{
    rules::{
        Change,
        tests::{Scene, person, read},
    },
    spec::Bounded,
};

const ZONE: &str = "[[0.5, 0], [1, 0], [1, 1], [0.5, 1]]";

fn limits(keys: &str) -> Result<CountLimits, CountLimitsError> {
    let zone: Polygon = read::<crate::rules::spec::ZoneSpec>(&format!("id = 'z'\npolygon = {ZONE}")).polygon;
    read::<CountSpec>(&format!("zone = 'z'\n{keys}")).limits(&zone)
}

#[test]
fn a_limit_is_written_in_things_or_as_a_density_over_measured_ground() {
    let things = |limit, end_limit, area| Ok(CountLimits { limit, end_limit, area });
    assert_eq!(limits("limit = 3"), things(3, 3, None));
    assert_eq!(limits("limit = 3\nend_limit = 1"), things(3, 1, None));
    assert_eq!(limits("density = 0.7\nmetres = [10, 10]"), things(70, 70, Some(100.0)));
    assert_eq!(limits("density = 0.5\nend_density = 0.25\nmetres = [3, 5]"), things(7, 3, Some(15.0)));
}

#[test]
fn keys_that_do_not_go_together_are_told() {
    use CountLimitsError::{Both, EndAbove, Neither, NotMeasured, Stray, TooSparse};
    assert_eq!(limits(""), Err(Neither));
    assert_eq!(limits("limit = 3\ndensity = 1\nmetres = [3, 5]"), Err(Both));
    assert_eq!(limits("limit = 3\nmetres = [3, 5]"), Err(Stray { key: "metres", with: "density" }));
    assert_eq!(limits("limit = 3\nend_density = 1"), Err(Stray { key: "end_density", with: "density" }));
    assert_eq!(limits("density = 1\nmetres = [3, 5]\nend_limit = 1"), Err(Stray { key: "end_limit", with: "limit" }));
    assert_eq!(limits("density = 1"), Err(NotMeasured));
    assert_eq!(limits("density = 0.05\nmetres = [3, 5]"), Err(TooSparse { density: 0.05, area: 15.0 }));
    let above = EndAbove { end_key: "end_density", end: 2.0, key: "density", value: 1.0 };
    assert_eq!(limits("density = 1\nend_density = 2\nmetres = [3, 5]"), Err(above));
    assert_eq!(above.to_string(), "end_density is 2, above density, which is 1");
    let zone = read::<crate::rules::spec::ZoneSpec>("id = 'z'\npolygon = [[0, 0], [1, 0], [1, 1]]").polygon;
    let spec: CountSpec = read("zone = 'z'\ndensity = 1\nmetres = [3, 5]");
    assert_eq!(spec.limits(&zone), Err(CountLimitsError::Ground(GroundPlaneError::NotFourCorners(3))));
}

#[test]
fn a_crowd_tells_how_dense_it_is_at_its_densest() {
    let mut scene = Scene::new(
        "id = 'r'\nkind = 'count'\nzone = 'zone'\ndensity = 0.5\nend_density = 0.25\nmetres = [2, 2]\nlinger = '1s'",
    );
    let crowd = |people: u64| (1..=people).map(|number| person(number, 0.7, 0.5)).collect::<Vec<_>>();
    scene.pictures(50, &crowd(2));
    assert_eq!(scene.changes(), [], "no more than two on four square metres");
    scene.pictures(30, &crowd(3));
    scene.pictures(60, &crowd(4));
    scene.pictures(60, &crowd(2));
    scene.pictures(60, &crowd(1));
    assert_eq!(scene.changes(), [Change::Began, Change::Grew, Change::Ended]);
    let densities: Vec<_> = scene.findings.iter().map(|finding| finding.tally.density).collect();
    assert_eq!(densities, [Some(0.75), Some(1.0), Some(1.0)]);
}

proptest! {
    /// So many things are too many if and only if they are denser than is allowed.
    #[test]
    fn the_limit_in_things_is_what_the_density_says(density in 1u32..1_000, width in 1u32..100, length in 1u32..100, count in 0u32..2_000) {
        let written = f64::from(density) / 100.0;
        let spec: CountSpec = read(&format!("zone = 'z'\ndensity = {written}\nmetres = [{width}, {length}]"));
        prop_assert_eq!(*spec.density, Some(Bounded(written as f32)));
        let zone = read::<crate::rules::spec::ZoneSpec>(&format!("id = 'z'\npolygon = {ZONE}")).polygon;
        let is_denser = u64::from(count) * 100 > u64::from(density) * u64::from(width * length);
        match spec.limits(&zone) {
            Ok(limits) => prop_assert_eq!(count > limits.limit, is_denser),
            Err(error) => {
                let is_sparse = matches!(error, CountLimitsError::TooSparse { .. });
                prop_assert!(is_sparse && u64::from(density) * u64::from(width * length) < 100);
            }
        }
    }
}
