//! The table of every kind of rule and its keys, from the types that read them: `docs/RULES.md`.

use std::fmt::Write as _;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};
use snowgate_core::{
    joined::spec::{InputSpec, JoinedRuleSpec},
    rules::spec::RuleSpec,
    sensor::rules::spec::SensorRuleSpec,
};

const HEAD: &str = "# Rules and their keys

Made by `snowgate schema rules` from what reads the configuration; do not edit. How rules are used, with pictures:
[OPERATING.md](OPERATING.md), [OPERATING.zh.md](OPERATING.zh.md).
";

const INPUTS: &str = "
### `[[inputs]]`

What one input listens to: the rules of cameras and sensors that all keys given here fit. No rule fits two inputs.
";

/// The table as Markdown.
pub fn text() -> String {
    let mut text = HEAD.to_owned();
    of::<RuleSpec>("Rules of cameras", &mut text);
    of::<SensorRuleSpec>("Rules of sensors", &mut text);
    of::<JoinedRuleSpec>("Joined rules", &mut text);
    text.push_str(INPUTS);
    keys(&schema::<InputSpec>(), &mut text);
    text
}

fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

fn of<T: JsonSchema>(heading: &str, text: &mut String) {
    let schema = schema::<T>();
    let _ = write!(text, "\n## {heading}\n\nKeys of every kind:\n");
    keys(&schema, text);
    for kind in schema["oneOf"].as_array().into_iter().flatten() {
        let Some(of_kind) = kind["properties"].as_object().and_then(|keys| keys.values().find(is_tag)) else {
            continue;
        };
        let _ = write!(text, "\n### `{}`\n\n{}\n", word(&of_kind["const"]), one_line(&of_kind["description"]));
        keys(kind, text);
    }
}

/// Whether a key says what kind it is.
fn is_tag(property: &&Value) -> bool {
    property.get("const").is_some()
}

/// A row for each key but that of the kind.
fn keys(schema: &Value, text: &mut String) {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required = |key: &str| schema["required"].as_array().is_some_and(|required| required.iter().any(|r| r == key));
    if properties.values().all(|property| is_tag(&property)) {
        return;
    }
    text.push_str("\n| key | default | |\n|---|---|---|\n");
    for (key, value) in properties.iter().filter(|(_, property)| !is_tag(property)) {
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
