//! The committed copies are fresh, and whole.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use snowgate::{
    messages::{self, CHANNELS, Example},
    uplink::Topics,
};
use snowgate_tests::{
    contract::{channel_of, check, validator},
    repository,
};

use crate::scenes;

fn committed(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_default()
}

#[test]
fn the_committed_schemas_are_fresh() {
    for (path, subject, fresh) in [
        ("docs/schema/messages.schema.json", "messages", messages::schema()),
        ("docs/asyncapi.json", "asyncapi", messages::asyncapi()),
    ] {
        let stale = serde_json::from_str::<Value>(&committed(path)).ok() != Some(fresh);
        assert!(!stale, "{path} is stale: cargo run -p snowgate -- schema {subject} > {path}");
    }
}

/// The examples are what the gateway's code says in the scenes. With SNOWGATE_UPDATE set they are written, and all that is said
/// is printed, for docs/MESSAGES.md.
#[test]
fn the_examples_are_what_the_code_says() {
    let mut named = BTreeSet::new();
    let all = scenes::all();
    let fresh: Vec<&Example> = all.iter().filter(|said| named.insert(said.message.clone())).collect();
    if std::env::var_os("SNOWGATE_UPDATE").is_some() {
        all.iter().for_each(|said| println!("{} {}", said.topic, said.payload));
        let path = repository().join("daemon/src/messages/examples.json");
        fs::write(path, format!("{}\n", serde_json::to_string_pretty(&fresh).unwrap())).unwrap();
        return;
    }
    let committed = messages::examples();
    let stale = committed.iter().collect::<Vec<_>>() != fresh;
    assert!(!stale, "examples.json is stale: SNOWGATE_UPDATE=1 cargo test -p snowgate-tests --test messages examples");
}

#[test]
fn every_message_has_an_example_and_the_published_schemas_take_it() {
    let examples = messages::examples();
    let open = validator(&messages::schema());
    for kind in CHANNELS.iter().filter(|channel| channel.is_json()).flat_map(|channel| channel.messages) {
        let example = examples.iter().find(|example| example.message == kind.name);
        let Some(Example { topic, payload, .. }) = example else { panic!("{} has no example", kind.name) };
        assert!(open.is_valid(&json!({ topic: payload })), "{topic}: {payload}");
        check(topic, payload.to_string().as_bytes()).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

/// In the AsyncAPI document every reference leads somewhere, and every example is as its message's schema says.
#[test]
fn the_asyncapi_document_is_whole() {
    let document = messages::asyncapi();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 100, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        if message["contentType"] == "image/jpeg" {
            continue;
        }
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [message["payload"]],
            "components": document["components"],
        });
        let schema = validator(&schema);
        let example = &message["examples"][0]["payload"];
        assert!(example.is_object(), "{name} has no example");
        let errors: Vec<_> = schema.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        assert!(!schema.is_valid(&json!({})), "{name}: an empty object says nothing");
    }
    for channel in CHANNELS {
        let operation = &document["operations"][channel.name]["bindings"]["mqtt"];
        assert_eq!((&operation["qos"], &operation["retain"]), (&channel.qos.into(), &channel.retained.into()));
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        _ => {}
    }
}

#[test]
fn the_topics_that_the_uplink_uses_are_described() {
    let topics = Topics::new(&"gate-1".parse().unwrap());
    let id = "north".parse().unwrap();
    let incident = "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned().try_into().unwrap();
    for (topic, name) in [
        (topics.status(), "status"),
        (topics.config_state(), "configState"),
        (topics.camera_state(&id), "cameraState"),
        (topics.sensor_state(&id), "sensorState"),
        (topics.telemetry(&id), "telemetry"),
        (topics.incident("village", "330110001"), "incident"),
        (topics.evidence(incident, "still.jpg"), "evidence"),
        (topics.gap(), "gap"),
        (topics.evidence_deleted(), "evidenceDeleted"),
        (topics.access_head(), "accessLogHead"),
    ] {
        assert_eq!(channel_of(&topic).map(|(channel, _)| channel.name), Some(name), "{topic}");
    }
    let names: BTreeSet<_> = CHANNELS.iter().map(|channel| channel.name).collect();
    assert_eq!(names.len(), CHANNELS.len());
    let kinds = CHANNELS.iter().flat_map(|channel| channel.messages).map(|kind| kind.name);
    assert_eq!(kinds.clone().collect::<BTreeSet<_>>().len(), kinds.count());
}
