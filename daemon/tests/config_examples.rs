//! The committed configurations and schemas: valid, complete, and as fresh as the code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use common::known_models;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use snowgate::{
    camera::spec::AddressSource,
    config::{Config, Problems, preflight, rule_table, schema::Subject},
};
use snowgate_core::{sensor::spec::QuantitySpec, spec::key_names};
use toml_span::Value as Toml;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn check(directory: &Path) -> Result<Config, Problems> {
    Config::load(directory).and_then(|config| preflight(config, &known_models(), None))
}

#[test]
fn the_demo_and_the_example_are_valid_without_a_warning() {
    for name in ["demo", "example"] {
        let config = check(&configs().join(name)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.problems.is_empty(), "{}", config.problems);
    }
}

#[test]
fn the_demo_reports_through_every_kind_of_rule() {
    let config = check(&configs().join("demo")).unwrap();
    let kinds: BTreeSet<&str> =
        config.cameras.iter().flat_map(|camera| &camera.rules).map(|rule| rule.spec.kind.tag()).collect();
    assert_eq!(kinds, ["count", "intrusion", "line_crossing", "loitering"].into());
}

#[test]
fn every_directory_has_the_same_categories() {
    let shared = fs::read_to_string(configs().join("categories.toml")).unwrap();
    for name in ["demo", "example"] {
        let copy = fs::read_to_string(configs().join(name).join("categories.toml")).unwrap();
        assert_eq!(copy, shared, "cp configs/categories.toml configs/{name}/");
    }
}

#[test]
fn the_committed_schemas_are_fresh() {
    for subject in Subject::ALL {
        let name = format!("configs/schema/{subject}.schema.json");
        let committed = fs::read_to_string(configs().join(format!("schema/{subject}.schema.json"))).unwrap_or_default();
        let fresh: Json = serde_json::from_str(&subject.text()).unwrap();
        let stale = serde_json::from_str::<Json>(&committed).ok() != Some(fresh);
        assert!(!stale, "{name} is stale: cargo run -p snowgate -- schema {subject} > {name}");
    }
}

#[test]
fn the_committed_table_of_rules_is_fresh() {
    let committed = fs::read_to_string(configs().join("../docs/RULES.md")).unwrap_or_default();
    assert!(committed == rule_table::text(), "stale: cargo run -p snowgate -- schema rules > docs/RULES.md");
}

/// The text with every switched-off key switched on: `#key = value` is a key, `# words` is prose.
fn switched_on(text: &str) -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(on).collect::<Vec<_>>().join("\n")
}

/// The example's files, by what they are about.
fn example_files() -> [(Subject, Vec<String>); 7] {
    let folder = |folder: &str| {
        let files = fs::read_dir(configs().join("example").join(folder)).unwrap();
        files.map(|file| format!("{folder}/{}", file.unwrap().file_name().into_string().unwrap())).collect()
    };
    [
        (Subject::Gateway, vec!["gateway.toml".to_owned()]),
        (Subject::Categories, vec!["categories.toml".to_owned()]),
        (Subject::Calendar, vec!["calendar.toml".to_owned()]),
        (Subject::Schedules, vec!["schedules.toml".to_owned()]),
        (Subject::Camera, folder("cameras.d")),
        (Subject::Sensor, folder("sensors.d")),
        (Subject::Joined, folder("rules.d")),
    ]
}

#[test]
fn the_example_has_a_sensor_of_every_protocol_and_a_rule_of_every_kind() {
    let config = check(&configs().join("example")).unwrap();
    let protocols: BTreeSet<&str> = config.sensors.iter().map(|sensor| sensor.source.tag()).collect();
    assert_eq!(protocols, ["gbt26875", "hj212", "http", "modbus", "mqtt", "sl651"].into());
    let kinds: BTreeSet<&str> =
        config.sensors.iter().flat_map(|sensor| &sensor.rules).map(|rule| rule.spec.kind.tag()).collect();
    assert_eq!(kinds, ["anomaly", "button", "change", "silence", "threshold"].into());
    let joined: BTreeSet<&str> = config.joined.iter().map(|rule| rule.wiring.spec.when.tag()).collect();
    assert_eq!(joined, ["all", "any", "at_least", "sequence"].into());
}

#[test]
fn the_example_shows_every_key_and_is_valid_with_all_of_them() {
    let example = configs().join("example");
    let directory = tempfile::tempdir().unwrap();
    for folder in ["cameras.d", "sensors.d", "rules.d"] {
        fs::create_dir_all(directory.path().join(folder)).unwrap();
    }
    let mut missing = Vec::new();
    for (subject, names) in example_files() {
        let mut texts = Vec::new();
        for name in &names {
            let text = switched_on(&fs::read_to_string(example.join(name)).unwrap());
            fs::write(directory.path().join(name), &text).unwrap();
            texts.push(text);
        }
        let parse = |(text, name)| toml_span::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let roots: Vec<Toml<'_>> = texts.iter().map(String::as_str).zip(&names).map(parse).collect();
        let roots: Vec<&Toml<'_>> = roots.iter().collect();
        let schema = subject.schema().to_value();
        find_missing(&schema, &schema, &roots, subject.as_str(), &mut missing);
        if subject == Subject::Camera {
            // What is said of those who are asked for addresses is shown once, for whichever stream.
            missing.retain(|path| !path.contains("_from ("));
            let asked = ["/stream/detect_from", "/stream/record_from"];
            let sources = asked.iter().flat_map(|pointer| roots.iter().filter_map(move |root| root.pointer(pointer)));
            let source =
                SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<AddressSource>().to_value();
            find_missing(&source, &source, &sources.collect::<Vec<_>>(), "addresses", &mut missing);
        }
        if subject == Subject::Sensor {
            // What every protocol says of a quantity is shown once, in whichever file.
            let of_quantities = key_names::<QuantitySpec>();
            missing.retain(|path| {
                let key = path.split("values: ").nth(1).and_then(|rest| rest.split([':', ' ']).next());
                !key.is_some_and(|key| of_quantities.iter().any(|known| known == key))
            });
            let values = roots.iter().filter_map(|root| root.pointer("/source/values")?.as_array()).flatten();
            let quantity =
                SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<QuantitySpec>().to_value();
            find_missing(&quantity, &quantity, &values.collect::<Vec<_>>(), "quantities", &mut missing);
        }
    }
    assert!(missing.is_empty(), "the example does not show: {missing:#?}");

    // What the switched-on keys name is not here: with it, nothing else may be wrong.
    let problems: Vec<String> = match Config::load(directory.path()) {
        Ok(config) => config.problems.iter().map(|problem| problem.message.clone()).collect(),
        Err(problems) => problems.iter().map(|problem| problem.message.clone()).collect(),
    };
    let about_files =
        |message: &String| message.contains("cannot be read") || message.contains("ca_file has no effect");
    let others: Vec<_> = problems.iter().filter(|message| !about_files(message)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// Every key of `schema` must stand in one of `tables`, which all have this schema; a variant's keys in one of its own.
fn find_missing(schema: &Json, root: &Json, tables: &[&Toml<'_>], path: &str, missing: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    // A choice between words and lists has no keys.
    let tagged = |variant: &&Json| variant["properties"].is_object();
    let variants = schema["oneOf"].as_array().into_iter().flatten().filter(tagged).map(|variant| {
        let (tag, value) = variant["properties"]
            .as_object()
            .unwrap()
            .iter()
            .find_map(|(key, property)| Some((key, property["const"].as_str()?)))
            .unwrap();
        let own = |table: &&&Toml<'_>| table.pointer(&format!("/{tag}")).and_then(Toml::as_str) == Some(value);
        (variant, tables.iter().filter(own).copied().collect::<Vec<_>>(), format!("{path} ({value})"))
    });
    for (schema, tables, path) in variants.chain([(schema, tables.to_vec(), path.to_owned())]) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let values: Vec<&Toml<'_>> =
                tables.iter().filter_map(|table| table.as_table()?.get(key.as_str())).collect();
            let path = format!("{path}: {key}");
            if values.is_empty() {
                missing.push(path);
            } else if let Some(items) = property.get("items") {
                let elements: Vec<_> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
                find_missing(items, root, &elements, &path, missing);
            } else {
                find_missing(property, root, &values, &path, missing);
            }
        }
    }
}

#[test]
fn the_defaults_that_the_example_states_are_the_real_ones() {
    // Keys whose line shows an example because their default depends on other keys.
    const EXAMPLES: [&str; 66] = [
        "above",
        "basis",
        "below",
        "broker",
        "ca_file",
        "category",
        "certificate_file",
        "client_id",
        "command",
        "critical_level",
        "data",
        "device",
        "device_at",
        "face_model",
        "fall",
        "filing_number",
        "for",
        "grid",
        "id",
        "keep",
        "keep_at_least",
        "key_file",
        "kind",
        "lat",
        "lon",
        "max",
        "max_change_per_hour",
        "merge_within",
        "method",
        "min",
        "minor_level",
        "model",
        "name",
        "object_model",
        "ordinary_level",
        "part",
        "password_file",
        "place",
        "pointer",
        "polygon",
        "port",
        "purpose",
        "quiet_after",
        "quota",
        "recipients",
        "record",
        "report_in",
        "retention",
        "rise",
        "scene_model",
        "schedule",
        "serial",
        "severity",
        "severity_during",
        "sign",
        "signing_key_file",
        "stuck_after",
        "system",
        "time",
        "time_limit",
        "tls",
        "token_file",
        "unit",
        "username",
        "within_metres",
        "words",
    ];
    let mut compared = 0;
    let files = example_files().into_iter().filter(|(subject, _)| *subject != Subject::Categories);
    for (subject, name) in files.flat_map(|(subject, names)| names.into_iter().map(move |name| (subject, name))) {
        let text = fs::read_to_string(configs().join("example").join(&name)).unwrap();
        let schema = subject.schema().to_value();
        let mut defaults = Vec::new();
        collect_defaults(&schema, &mut defaults);
        for line in text.lines() {
            let Some((key, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) else { continue };
            if key.contains(' ') || EXAMPLES.contains(&key) {
                continue;
            }
            let stated: Json = serde_json::from_str(value).unwrap_or_else(|error| panic!("{name}: {line}: {error}"));
            let real = defaults.iter().any(|(known, default)| known == key && *default == stated);
            assert!(real, "{name} states {line}, which is not the default");
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

fn collect_defaults(schema: &Json, defaults: &mut Vec<(String, Json)>) {
    match schema {
        Json::Object(object) => {
            for (key, value) in object {
                if let Some(default) = value.get("default") {
                    defaults.push((key.clone(), default.clone()));
                }
                collect_defaults(value, defaults);
            }
        }
        Json::Array(elements) => elements.iter().for_each(|element| collect_defaults(element, defaults)),
        _ => {}
    }
}
