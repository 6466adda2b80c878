//! The table of every kind of rule and its keys, from the types that read them: `docs/RULES.md`.

use std::fmt::Write as _;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};
use snowgate_core::{rules::spec::RuleSpec, sensor::rules::spec::SensorRuleSpec};

const HEAD: &str = "# Rules and their keys

Made by `snowgate schema rules` from what reads the configuration; do not edit. How rules are used, with pictures:
[OPERATING.md](OPERATING.md), [OPERATING.zh.md](OPERATING.zh.md).
";

/// The table as Markdown.
pub fn text() -> String {
    let mut text = HEAD.to_owned();
    of::<RuleSpec>("Rules of cameras", &mut text);
    of::<SensorRuleSpec>("Rules of sensors", &mut text);
    text
}

fn of<T: JsonSchema>(heading: &str, text: &mut String) {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    let _ = write!(text, "\n## {heading}\n\nKeys of every kind:\n\n");
    keys(&schema, text);
    for kind in schema["oneOf"].as_array().into_iter().flatten() {
        let of_kind = &kind["properties"]["kind"];
        let _ = write!(text, "\n### `{}`\n\n{}\n\n", word(&of_kind["const"]), one_line(&of_kind["description"]));
        keys(kind, text);
    }
}

/// A row for each key but `kind`.
fn keys(schema: &Value, text: &mut String) {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required = |key: &str| schema["required"].as_array().is_some_and(|required| required.iter().any(|r| r == key));
    text.push_str("| key | default | |\n|---|---|---|\n");
    for (key, value) in properties.iter().filter(|(key, _)| *key != "kind") {
        let default = match value.get("default") {
            Some(default) => format!("`{default}`"),
            None if required(key) => "required".to_owned(),
            None => "none".to_owned(),
        };
        let _ = writeln!(text, "| `{key}` | {default} | {} |", one_line(&value["description"]));
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn one_line(description: &Value) -> String {
    word(description).replace('\n', " ").replace('|', "\\|")
}
