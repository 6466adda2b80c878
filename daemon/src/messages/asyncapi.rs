//! The AsyncAPI 3.0 document: channels, operations from the gateway's point of view, messages, schemas, examples.
//!
//! Payloads are described in AsyncAPI's default schema format, a superset of JSON Schema draft 7.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    channels::{CHANNELS, Channel, Content, Direction, MessageKind, PARAMETERS},
    example::{Example, examples},
    schema::{Described, describe},
};

/// The version of AsyncAPI's MQTT bindings that operations are described in.
const MQTT_BINDING: &str = "0.2.0";

/// The document.
pub fn asyncapi() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
    let Described { channels: payloads, definitions } = describe(&settings);
    let examples = examples();
    let mut messages = Map::new();
    for channel in CHANNELS {
        let schema = payloads.iter().find(|(of, _)| of.name == channel.name).map(|(_, schema)| schema.as_value());
        for kind in channel.messages {
            messages.insert(kind.name.to_owned(), message(channel, kind, schema, &examples));
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Snowgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a Snowgate gateway says to the grid system over MQTT, and what it takes from it. Operations \
                            are named from the gateway's point of view: it sends what others subscribe to.",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": by_name(channel),
        "operations": by_name(operation),
        "components": {
            "messages": messages,
            "parameters": PARAMETERS
                .iter()
                .map(|parameter| {
                    let description = format!("{} Matches `{}`.", parameter.description, parameter.pattern);
                    let value = json!({ "description": description, "examples": [parameter.example] });
                    (parameter.name.to_owned(), value)
                })
                .collect::<Map<_, _>>(),
            "schemas": definitions,
        },
    })
}

fn by_name(describe: fn(&Channel) -> Value) -> Map<String, Value> {
    CHANNELS.iter().map(|channel| (channel.name.to_owned(), describe(channel))).collect()
}

fn reference(to: &str) -> Value {
    json!({ "$ref": to })
}

fn channel(channel: &Channel) -> Value {
    let parameters: Map<_, _> = channel
        .parameters()
        .map(|parameter| (parameter.name.to_owned(), reference(&format!("#/components/parameters/{}", parameter.name))))
        .collect();
    let messages: Map<_, _> = channel
        .messages
        .iter()
        .map(|kind| (kind.name.to_owned(), reference(&format!("#/components/messages/{}", kind.name))))
        .collect();
    json!({
        "address": channel.address(),
        "description": channel.description,
        "parameters": parameters,
        "messages": messages,
    })
}

fn operation(channel: &Channel) -> Value {
    let action = match channel.direction {
        Direction::Sent => "send",
        Direction::Taken => "receive",
    };
    let mut operation = json!({
        "action": action,
        "channel": reference(&format!("#/channels/{}", channel.name)),
        "summary": channel.description,
        "messages": messages_of(channel),
        "bindings": { "mqtt": { "qos": channel.qos, "retain": channel.retained, "bindingVersion": MQTT_BINDING } },
    });
    let answers = CHANNELS.iter().find(|other| Some(other.name) == channel.answered_on);
    if let (Some(answers), Some(operation)) = (answers, operation.as_object_mut()) {
        let reply =
            json!({ "channel": reference(&format!("#/channels/{}", answers.name)), "messages": messages_of(answers) });
        operation.insert("reply".to_owned(), reply);
    }
    operation
}

fn messages_of(channel: &Channel) -> Vec<Value> {
    let name = channel.name;
    channel.messages.iter().map(|kind| reference(&format!("#/channels/{name}/messages/{}", kind.name))).collect()
}

fn message(channel: &Channel, kind: &MessageKind, schema: Option<&Value>, examples: &[Example]) -> Value {
    let content_type = match channel.content {
        Content::Json(_) => "application/json",
        Content::Jpeg => "image/jpeg",
    };
    let mut message = Map::from_iter([
        ("name".to_owned(), kind.name.into()),
        ("title".to_owned(), kind.title.into()),
        ("summary".to_owned(), kind.summary.into()),
        ("contentType".to_owned(), content_type.into()),
    ]);
    if let Some(schema) = schema {
        let payload = match kind.event {
            Some(event) => json!({
                "allOf": [schema, { "type": "object", "properties": { "type": { "const": event } } }],
            }),
            None => schema.clone(),
        };
        message.insert("payload".to_owned(), payload);
    }
    let examples: Vec<Value> = examples
        .iter()
        .filter(|example| example.message == kind.name)
        .map(|example| json!({ "name": kind.name, "summary": example.topic, "payload": example.payload }))
        .collect();
    if !examples.is_empty() {
        message.insert("examples".to_owned(), examples.into());
    }
    message.into()
}
