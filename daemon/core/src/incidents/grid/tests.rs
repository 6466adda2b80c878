use proptest::prelude::*;

use super::*;
use crate::spec::{Deserialize, Maybe};

fn spec(text: &str) -> GridSpec {
    let mut value = toml_span::parse(text).unwrap();
    GridSpec::deserialize(&mut value).unwrap()
}

fn township() -> GridTree {
    GridTree::new(&spec(
        r#"
        levels = ["county", "township", "village", "grid"]
        major_level = "township"
        nodes = [
            { code = "33", name = "County", level = "county" },
            { code = "3301", name = "Township", level = "township", parent = "33" },
            { code = "330101", name = "Village", level = "village", parent = "3301" },
            { code = "33010101", name = "Grid", level = "grid", parent = "330101" },
        ]
        "#,
    ))
    .unwrap()
}

#[test]
fn a_path_leads_from_the_top() {
    assert_eq!(township().path("33010101"), ["33", "3301", "330101", "33010101"]);
    assert_eq!(township().path("33"), ["33"]);
    assert!(township().path("44").is_empty());
}

#[test]
fn major_incidents_start_higher() {
    let tree = township();
    let level = |code, severity| tree.start_level(code, severity).map(Id::as_str);
    assert_eq!(level("33010101", Severity::Ordinary), Some("grid"));
    assert_eq!(level("33010101", Severity::Major), Some("township"));
    assert_eq!(level("33010101", Severity::Critical), Some("township"));
    assert_eq!(level("33", Severity::Critical), Some("county"), "already above");
    assert_eq!(level("44", Severity::Minor), None);
    assert_eq!(tree.start_node("33010101", Severity::Major).map(|node| node.code.as_str()), Some("3301"));
}

fn kinds(text: &str) -> Vec<String> {
    GridTree::new(&spec(text)).unwrap_err().into_iter().map(|error| error.kind.to_string()).collect()
}

#[test]
fn every_mistake_is_named() {
    let wrong = kinds(
        r#"
        levels = ["a", "a"]
        major_level = "b"
        nodes = [{ code = "x/y", name = "", level = "c" }, { code = "x/y", name = "", level = "a" }]
        "#,
    );
    assert_eq!(wrong.len(), 5, "{wrong:#?}");
    let wrong = kinds(
        r#"
        levels = ["a", "b", "c"]
        major_level = "a"
        nodes = [
            { code = "1", name = "", level = "a", parent = "2" },
            { code = "2", name = "", level = "b" },
            { code = "3", name = "", level = "c", parent = "9" },
            { code = "4", name = "", level = "c", parent = "3" },
        ]
        "#,
    );
    assert_eq!(
        wrong,
        [
            "grid `1` is of the top level `a` and cannot have a parent",
            "grid `2` needs a parent: only nodes of the top level `a` have none",
            "the parent `9` is not in the grid tree",
            "grid `4` is of level `c`, so its parent must be of level `b`; `3` is of level `c`",
        ]
    );
}

#[test]
fn a_cycle_is_told_once() {
    let wrong = kinds(
        r#"
        levels = ["a", "b"]
        major_level = "a"
        nodes = [
            { code = "1", name = "", level = "a", parent = "2" },
            { code = "2", name = "", level = "b", parent = "1" },
        ]
        "#,
    );
    assert_eq!(wrong, ["grid `1` is its own ancestor: 1 → 2 → 1"]);
}

/// The scheme of 15 digits, and nodes written one a line.
fn by_scheme(nodes: &str) -> String {
    format!(
        r#"
        levels = ["county", "township", "community", "unit"]
        code_scheme = [6, 3, 3, 3]
        major_level = "township"
        nodes = [
            {{ code = "330522", name = "", level = "county" }},
            {{ code = "330522101", name = "", level = "township", parent = "330522" }},
            {{ code = "330522101003", name = "", level = "community", parent = "330522101" }},
            {nodes}
        ]
        "#
    )
}

#[test]
fn unit_grid_codes_have_fifteen_digits_and_begin_with_their_parents() {
    let unit = |code: &str| {
        by_scheme(&format!(r#"{{ code = "{code}", name = "", level = "unit", parent = "330522101003" }},"#))
    };
    assert!(GridTree::new(&spec(&unit("330522101003017"))).is_ok());
    assert_eq!(
        kinds(&unit("33052210100317")),
        ["grid code `33052210100317` is of level `unit`, so it must have 15 digits (6 + 3 + 3 + 3), not 14"]
    );
    assert_eq!(
        kinds(&unit("33052210100301x")),
        ["grid code `33052210100301x` is of level `unit`, so it must have 15 digits (6 + 3 + 3 + 3), not `x`"]
    );
    assert_eq!(
        kinds(&unit("330522102003017")),
        [
            "grid code `330522102003017` must begin with `330522101003`, the code of its parent, and begins with `330522102003`"
        ]
    );
    let short = by_scheme("").replace("[6, 3, 3, 3]", "[6, 3]");
    assert_eq!(kinds(&short), ["the code scheme 6 + 3 is for 2 level(s), but there are 4"]);
}

#[test]
fn a_scheme_is_the_word_free_or_the_digits_of_each_level() {
    let read = |scheme: &str| {
        let text = format!("levels = ['a']\nmajor_level = 'a'\nnodes = []\ncode_scheme = {scheme}");
        let mut value = toml_span::parse(&text).unwrap();
        GridSpec::deserialize(&mut value).map(|spec| spec.code_scheme.value).map_err(|errors| errors.to_string())
    };
    assert_eq!(read("'free'"), Ok(CodeScheme::Free));
    assert_eq!(read("[6, 3, 3, 3]"), Ok(CodeScheme::Segments(vec![6, 3, 3, 3])));
    assert!(read("'fere'").unwrap_err().contains("free"));
    assert!(read("[6, 0]").unwrap_err().contains("1 to 16 digits"));
    assert!(read("6").unwrap_err().contains("digits of each level"));
}

#[test]
fn every_severity_has_its_level() {
    let tree = |levels: &str| {
        let text = r#"
            levels = ["county", "township", "village", "grid"]
            LEVELS
            nodes = [
                { code = "33", name = "", level = "county" },
                { code = "3301", name = "", level = "township", parent = "33" },
                { code = "330101", name = "", level = "village", parent = "3301" },
                { code = "33010101", name = "", level = "grid", parent = "330101" },
            ]"#;
        text.replace("LEVELS", levels)
    };
    let all = tree("ordinary_level = 'village'\nmajor_level = 'township'\ncritical_level = 'county'");
    let all = GridTree::new(&spec(&all)).unwrap();
    let severities = [Severity::Minor, Severity::Ordinary, Severity::Major, Severity::Critical];
    let level = |code| severities.map(|severity| all.start_level(code, severity).unwrap().as_str());
    assert_eq!(level("33010101"), ["grid", "village", "township", "county"]);
    assert_eq!(level("3301"), ["township", "township", "township", "county"], "where it stands above already");

    assert_eq!(
        kinds(&tree("major_level = 'township'\ncritical_level = 'village'")),
        ["critical incidents start at level `village`, which is below `township` where major ones start"]
    );
    assert_eq!(
        kinds(&tree("major_level = 'village'\nminor_level = 'township'\nordinary_level = 'ward'")),
        [
            "there is no level `ward`",
            "major incidents start at level `village`, which is below `township` where minor ones start"
        ]
    );
}

proptest! {
    /// Whatever the parents and levels: either a tree whose every path starts at the top, or errors; never a hang.
    #[test]
    fn any_tree_is_well_formed_or_refused(
        nodes in prop::collection::vec((0usize..8, 0usize..3, prop::option::of(0usize..8)), 0..8),
        free in any::<bool>(),
    ) {
        let scheme = if free { CodeScheme::Free } else { CodeScheme::Segments(vec![1, 1, 1]) };
        // Codes that the scheme allows at the top, below a 1 and below that; free ones may be anything.
        let code_of = |code: usize, level: usize| if free { code.to_string() } else { "1".repeat(level) + &code.to_string() };
        let levels: Vec<Id> = ["a", "b", "c"].iter().map(|level| level.parse().unwrap()).collect();
        let spec = GridSpec {
            levels: Located::nowhere(levels.clone()),
            code_scheme: Located::nowhere(scheme),
            minor_level: Maybe::NONE,
            ordinary_level: Maybe::NONE,
            major_level: Located::nowhere(levels[1].clone()),
            critical_level: Maybe(Some(Located::nowhere(levels[0].clone()))),
            nodes: nodes.into_iter().map(|(code, level, parent)| GridNodeSpec {
                code: Located::nowhere(code_of(code, level)),
                name: String::new(),
                level: Located::nowhere(levels[level].clone()),
                parent: Maybe(parent.map(|parent| Located::nowhere(code_of(parent, level.saturating_sub(1))))),
            }).collect(),
        };
        match GridTree::new(&spec) {
            Ok(tree) => for code in tree.codes() {
                let path = tree.path(code);
                let own = tree.node(code).unwrap();
                prop_assert_eq!(path.len(), own.level + 1);
                prop_assert_eq!(*path.last().unwrap(), code);
                prop_assert!(tree.start_node(code, Severity::Major).unwrap().level <= 1);
                prop_assert_eq!(tree.start_node(code, Severity::Critical).unwrap().level, 0);
                if !free {
                    prop_assert!(path.iter().enumerate().all(|(level, above)| above.len() == level + 1 && code.starts_with(above)));
                }
            },
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
    }
}
