//! Joined rules in a configuration: what is made of good files, and what operators read of wrong ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

mod common;

use common::{Directory, known_models};
use snowgate::config::{Config, Problems, last_good, preflight};
use snowgate_core::joined::{Device, Listened};

/// Water and somebody in the yard; both are in the village.
const FLOOD: &str = r#"id = "flood"
when = "all"
within = "10m"
within_metres = 200
category = "intrusion"
severity = "critical"

[[inputs]]
sensor = "level"
rule = "high"

[[inputs]]
camera = "north"
rule = "in-yard"
"#;

fn load(directory: &Directory) -> Result<Config, Problems> {
    Config::load(directory.path()).and_then(|config| preflight(config, &known_models(), None))
}

/// The good configuration with this joined rule.
fn joined(text: &str) -> Directory {
    let directory = Directory::with_sensors();
    std::fs::create_dir_all(directory.path().join("rules.d")).unwrap();
    directory.write("rules.d/flood.toml", text.as_bytes());
    directory
}

/// What is said of the good configuration with this joined rule.
fn said(directory: &Directory) -> String {
    let problems = match load(directory) {
        Ok(config) => config.problems,
        Err(problems) => problems,
    };
    problems.render(false).replace(&*directory.path().to_string_lossy(), "/etc/snowgate")
}

fn names(rules: &[Listened]) -> Vec<String> {
    let name = |rule: &Listened| match &rule.to.device {
        Device::Camera(id) => format!("camera {id}/{}", rule.to.rule),
        Device::Sensor(id) => format!("sensor {id}/{}", rule.to.rule),
    };
    rules.iter().map(name).collect()
}

#[test]
fn inputs_are_followed_to_rules_and_reports_to_grids() {
    let config = load(&joined(FLOOD)).unwrap();
    assert!(config.problems.is_empty(), "{}", config.problems);
    let rule = &config.joined[0];
    assert_eq!(names(&rule.wiring.inputs[0]), ["sensor level/high"]);
    assert_eq!(names(&rule.wiring.inputs[1]), ["camera north/in-yard"]);
    let report = &rule.reports["3301"];
    assert_eq!((report.grid.as_str(), report.severity.as_str()), ("3301", "critical"));

    // Any camera or sensor with such a rule, or such a category.
    let general = FLOOD
        .replace("sensor = \"level\"\n", "")
        .replace("camera = \"north\"\nrule = \"in-yard\"", "category = \"crossing\"");
    let config = load(&joined(&general.replace("within_metres = 200", "grid = \"33\""))).unwrap();
    let rule = &config.joined[0];
    assert!(rule.wiring.inputs[1].len() >= 2, "{:?}", names(&rule.wiring.inputs[1]));
    assert!(rule.reports.values().all(|report| report.grid == "33"), "its own word goes first");
}

/// Each case: a name, what stands there and what is written instead.
const REPLACEMENTS: [(&str, &str, &str); 21] = [
    ("unknown_camera", "camera = \"north\"", "camera = \"nroth\""),
    ("unknown_sensor", "sensor = \"level\"", "sensor = \"lvel\""),
    ("unknown_rule_of_a_camera", "rule = \"in-yard\"", "rule = \"in-yrad\""),
    ("unknown_rule_of_anything", "camera = \"north\"\nrule = \"in-yard\"", "rule = \"elephant\""),
    ("unknown_category_of_an_input", "camera = \"north\"\nrule = \"in-yard\"", "category = \"crosing\""),
    ("category_that_nothing_reports", "rule = \"in-yard\"", "rule = \"in-yard\"\ncategory = \"crossing\""),
    ("unknown_category", "category = \"intrusion\"", "category = \"intrusoin\""),
    ("no_category", "category = \"intrusion\"", ""),
    ("unknown_grid", "category", "grid = \"3310\"\ncategory"),
    ("unknown_schedule", "category", "schedule = \"night\"\ncategory"),
    ("a_camera_and_a_sensor", "sensor = \"level\"", "sensor = \"level\"\ncamera = \"north\""),
    ("neither_rule_nor_category", "rule = \"in-yard\"", ""),
    ("one_input", "\n[[inputs]]\ncamera = \"north\"\nrule = \"in-yard\"\n", ""),
    ("sequence_with_one_input", "when = \"all\"", "when = \"sequence\"\n# one"),
    ("count_beyond_the_inputs", "when = \"all\"", "when = \"at_least\"\ncount = 3"),
    ("no_count", "when = \"all\"", "when = \"at_least\""),
    ("unknown_kind", "when = \"all\"", "when = \"al\""),
    ("the_same_input_twice", "camera = \"north\"\nrule = \"in-yard\"", "sensor = \"level\"\nrule = \"high\""),
    ("a_rule_for_two_inputs", "camera = \"north\"\nrule = \"in-yard\"", "rule = \"high\""),
    ("a_joined_rule", "camera = \"north\"\nrule = \"in-yard\"", "rule = \"flood\""),
    ("too_long_a_while", "within = \"10m\"", "within = \"8d\"\nsame = \"grid\""),
];

#[test]
fn every_mistake_has_its_sentence() {
    let said = REPLACEMENTS.map(|(case, from, to)| {
        assert!(FLOOD.contains(from), "{case}");
        let mut text = FLOOD.replacen(from, to, 1);
        if case == "sequence_with_one_input" {
            text = text.replace("\n[[inputs]]\ncamera = \"north\"\nrule = \"in-yard\"\n", "");
        }
        let directory = joined(&text);
        assert!(load(&directory).is_err(), "{case} is not refused");
        format!("──── {case}\n{}", said(&directory))
    });
    insta::assert_snapshot!(said.concat());
}

#[test]
fn what_has_no_place_or_is_too_far_away_is_named() {
    let directory = joined(FLOOD);
    directory.replace("cameras.d/north.toml", "place = { lat = 29, lon = 119.5 }\n", "");
    let without = said(&directory);
    let directory = joined(FLOOD);
    directory.replace("cameras.d/north.toml", "lon = 119.5", "lon = 119.6");
    let away = said(&directory);
    let directory = joined(&FLOOD.replace("within_metres = 200", "same = \"grid\""));
    directory.replace("cameras.d/north.toml", "grid = \"3301\"", "grid = \"33\"");
    insta::assert_snapshot!([without, away, said(&directory)].join("────\n"));
}

#[test]
fn a_mistake_elsewhere_does_not_spoil_inputs() {
    let directory = joined(FLOOD);
    directory.replace("cameras.d/north.toml", "zone = \"yard\"", "zone = \"yrad\"");
    let said = load(&directory).unwrap_err().to_string();
    assert!(!said.contains("rules.d"), "what a camera lacks for its own mistake is no mistake of others: {said}");
}

#[test]
fn joined_rules_have_names_of_their_own() {
    let directory = joined(FLOOD);
    directory.write("rules.d/again.toml", FLOOD.as_bytes());
    assert!(said(&directory).contains("joined rule id `flood` is used twice"));
}

#[test]
fn joined_rules_are_part_of_the_digest_and_of_the_last_good_copy() {
    let directory = joined(FLOOD);
    let data = tempfile::tempdir().unwrap();
    let config = load(&directory).unwrap();
    last_good::save(&config, data.path()).unwrap();
    directory.replace("rules.d/flood.toml", "within = \"10m\"", "within = \"11m\"");
    assert_ne!(load(&directory).unwrap().digest(), config.digest());
    let kept = last_good::load(data.path(), directory.path()).unwrap();
    assert_eq!((kept.digest(), kept.joined.len()), (config.digest(), 1));
}
