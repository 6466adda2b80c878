//! JSON Schema (2020-12) of every payload.

use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Map, Value, json};

use super::channels::{CHANNELS, Channel, Content, Direction};

/// A schema of an object whose keys are topics and whose values are their payloads: wrap a message so to validate it against
/// what its topic carries, or take a payload's own schema from `$defs`. Stills are no JSON and have none.
pub fn schema() -> Value {
    let Described { channels, definitions } = describe(&SchemaSettings::draft2020_12());
    let topics: Map<String, Value> =
        channels.into_iter().map(|(channel, schema)| (channel.pattern(), schema.to_value())).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Snowgate messages",
        "description": "Topics and the payloads they carry: the schema of an object whose keys are topics and whose values \
                        are payloads. Each payload's own schema stands in `$defs`. Receivers must tolerate keys that are \
                        not described here.",
        "type": "object",
        "patternProperties": topics,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// The payloads of all channels.
pub(super) struct Described {
    /// Each channel with JSON in it, and a reference to the schema of its payload.
    pub(super) channels: Vec<(&'static Channel, Schema)>,
    /// What is referred to.
    pub(super) definitions: Map<String, Value>,
}

/// Describes what is sent as it is written, and what is taken as it is read.
pub(super) fn describe(settings: &SchemaSettings) -> Described {
    let mut sent = settings.clone().for_serialize();
    // Before the dialect's own transforms: they rewrite what this one looks for.
    sent.transforms.insert(0, Box::new(RecursiveTransform(never_null_if_left_out)));
    let mut sent = sent.into_generator();
    let mut taken = settings.clone().for_deserialize().into_generator();
    let mut channels = Vec::new();
    for channel in CHANNELS {
        let Content::Json(describe) = channel.content else { continue };
        let generator = match channel.direction {
            Direction::Sent => &mut sent,
            Direction::Taken => &mut taken,
        };
        channels.push((channel, describe(generator)));
    }
    let (mut definitions, taken) = (sent.take_definitions(true), taken.take_definitions(true));
    debug_assert!(
        taken.iter().all(|(name, schema)| definitions.get(name).is_none_or(|known| known == schema)),
        "a name that is used by both sides means two things"
    );
    definitions.extend(taken);
    Described { channels, definitions }
}

/// An optional key that need not be there is left out where there is nothing to say; it is never null.
fn never_null_if_left_out(schema: &mut Schema) {
    let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (key, property) in properties {
        if let (false, Some(property)) = (required.contains(&Value::from(key.as_str())), property.as_object_mut()) {
            remove_null(property);
        }
    }
}

fn remove_null(property: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            property.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({ "type": "null" }));
        if let [Value::Object(only)] = choices.as_mut_slice() {
            let only = std::mem::take(only);
            property.remove("anyOf");
            property.extend(only);
        }
    }
}
