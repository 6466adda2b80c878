//! What is given to Prometheus and Grafana asks for metrics and labels that the daemon has, and the operating guides say of every
//! alert what to do.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Labels that Prometheus adds, and the one of histograms' buckets.
const ALWAYS: [&str; 3] = ["instance", "job", "le"];

/// Metrics that Prometheus makes by itself, and those of processes that its library tells.
const NOT_OURS: [&str; 4] =
    ["up", "process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(REPOSITORY).join(path)).unwrap()
}

/// The words in double quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// Every metric that the daemon's sources declare, with its labels.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics = BTreeMap::new();
    for entry in fs::read_dir(Path::new(REPOSITORY).join("daemon/src/events")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for (at, _) in text.match_indices("\"snowgate_") {
            // A declaration ends at the first semicolon that is in no text.
            let mut in_text = false;
            let end = text[at..].find(|c| {
                in_text ^= c == '"';
                c == ';' && !in_text
            });
            let declaration = &text[at..at + end.unwrap()];
            let name = quoted(declaration).next().unwrap().to_owned();
            let lists = declaration.split("&[").skip(1).map(|list| list.split(']').next().unwrap());
            let labels = lists.flat_map(quoted).map(str::to_owned).collect();
            metrics.insert(name, labels);
        }
    }
    metrics
}

/// A metric that an expression names, and the labels by which it selects.
fn selectors(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("snowgate_") {
        if expression[..at].ends_with(is_of_a_name) {
            continue;
        }
        let rest = &expression[at..];
        let name = &rest[..rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len())];
        let matchers = rest[name.len()..].strip_prefix('{').map(|rest| rest.split('}').next().unwrap());
        let label = |matcher: &str| matcher.split(['=', '!']).next().unwrap().trim().to_owned();
        found.push((
            name.to_owned(),
            matchers.unwrap_or_default().split(',').map(label).filter(|l| !l.is_empty()).collect(),
        ));
    }
    found
}

/// What stands in `by (…)`.
fn grouped_by(expression: &str) -> impl Iterator<Item = &str> {
    let lists = expression.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap());
    lists.flat_map(|list| list.split(',').map(str::trim))
}

#[test]
fn alerts_and_boards_ask_for_metrics_that_there_are() {
    let metrics = declared();
    assert!(metrics.len() > 100, "{} metrics were found in the sources", metrics.len());
    assert_eq!(metrics["snowgate_outbox_lost_messages_total"], BTreeSet::from(["class".into(), "reason".into()]));
    let labels = |name: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        metrics.get(name).or_else(|| metrics.get(base))
    };
    let mut asked = 0;
    for file in ["snowgate.rules.yaml", "snowgate.rules.test.yaml", "board.en.json", "board.zh.json"] {
        for line in read(&format!("configs/monitoring/{file}")).lines() {
            let selectors = selectors(line);
            let mut known: BTreeSet<&str> = ALWAYS.into();
            for (name, selected) in &selectors {
                let labels = labels(name).unwrap_or_else(|| panic!("{file}: there is no metric {name}: {line}"));
                known.extend(labels.iter().map(String::as_str));
                let strange =
                    selected.iter().find(|label| !labels.contains(*label) && !ALWAYS.contains(&label.as_str()));
                assert_eq!(strange, None, "{file}: {name} has only {labels:?}: {line}");
            }
            if !selectors.is_empty() {
                assert_eq!(grouped_by(line).find(|label| !known.contains(label)), None, "{file}: {line}");
            }
            asked += selectors.len();
        }
    }
    assert!(asked > 100, "only {asked} were found");
}

#[test]
fn other_metrics_are_those_that_processes_tell() {
    // Linked in, the library tells of this process what it tells of the daemon.
    let families = snowgate::events::REGISTRY.gather();
    for name in NOT_OURS.iter().filter(|name| **name != "up") {
        assert!(families.iter().any(|family| family.name() == *name), "{name} is not told");
    }
    for file in ["snowgate.rules.yaml", "board.en.json"] {
        for line in read(&format!("configs/monitoring/{file}")).lines() {
            for (at, _) in line.match_indices("process_") {
                let name = line[at..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
                assert!(NOT_OURS.contains(&name), "{file}: {name}");
            }
        }
    }
}

#[test]
fn every_alert_is_explained_and_tried() {
    let rules = read("configs/monitoring/snowgate.rules.yaml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    let tried = read("configs/monitoring/snowgate.rules.test.yaml");
    for alert in alerts {
        assert!(
            tried.contains(&format!("alertname: {alert}\n        exp_alerts:")),
            "{alert} is never seen to be raised"
        );
        for guide in ["docs/OPERATING.md", "docs/OPERATING.zh.md"] {
            assert!(read(guide).contains(&format!("`{alert}`")), "{guide} does not say what to do about {alert}");
        }
    }
}
