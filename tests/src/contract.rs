//! Holds every message that a test sees to the schema of its topic, as `snowgate schema messages` prints it.
//!
//! Published schemas leave objects open, for receivers must tolerate what is new to them. Here what the gateway sends may have
//! no key that its schema does not name, so that nothing is said that is not described.

use std::{fmt, sync::LazyLock, thread};

use jsonschema::Validator;
use serde_json::{Value, json};
use snowgate::messages::{self, CHANNELS, Channel, Direction};

/// A message that is not as its topic's schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// Where it came.
    pub topic: String,
    /// What it said.
    pub payload: String,
    /// What is wrong with it.
    pub errors: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, payload, errors } = self;
        write!(f, "{topic}: {}\n  in {payload}", errors.join("; "))
    }
}

/// Checks what a gateway has said. Commands are said to it, on purpose even wrong ones: they are not looked at.
///
/// # Errors
/// The topic is not known, or the payload is not as its schema says.
pub fn check(topic: &str, payload: &[u8]) -> Result<(), Violation> {
    if topic.split('/').nth(3) == Some("cmd") {
        return Ok(());
    }
    let errors = match channel_of(topic) {
        None => vec!["no such topic is described".to_owned()],
        // What is no more is taken from the broker.
        Some((channel, _)) if channel.retained && payload.is_empty() => vec![],
        Some((channel, _)) if !channel.is_json() => match payload.starts_with(&[0xff, 0xd8, 0xff]) {
            true => vec![],
            false => vec!["no JPEG".to_owned()],
        },
        Some((_, parameters)) => match serde_json::from_slice(payload) {
            Ok(payload) => errors_in(topic, &parameters, payload),
            Err(error) => vec![format!("no JSON: {error}")],
        },
    };
    if errors.is_empty() {
        return Ok(());
    }
    let payload = String::from_utf8_lossy(payload).chars().take(4_000).collect();
    Err(Violation { topic: topic.to_owned(), payload, errors })
}

/// Whether a test has made this up in place of what a gateway would say, where only the way there is tested: on the topics of
/// incidents, stills, cameras and readings, what is no JSON object.
pub fn is_stand_in(topic: &str, payload: &[u8]) -> bool {
    matches!(topic.split('/').nth(3), Some("incident" | "evidence" | "camera" | "telemetry"))
        && !payload.starts_with(b"{")
}

/// Panics if there are violations; says them where it is panicking already.
///
/// # Panics
/// There are some.
pub fn answer_for(violations: &[String]) {
    let Some(first) = violations.first() else { return };
    let said = format!("{} messages are not as the schemas say; the first is on {first}", violations.len());
    match thread::panicking() {
        true => eprintln!("{said}"),
        false => panic!("{said}"),
    }
}

/// The channel of a topic, and the values of its parameters.
pub fn channel_of(topic: &str) -> Option<(&'static Channel, Vec<(String, String)>)> {
    CHANNELS.iter().find_map(|channel| {
        let address = channel.address();
        let (wanted, parts): (Vec<_>, Vec<_>) = (address.split('/').collect(), topic.split('/').collect());
        let parameter = |wanted: &str| wanted.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
        let fits = wanted.len() == parts.len()
            && wanted.iter().zip(&parts).all(|(wanted, part)| wanted == part || parameter(wanted).is_some());
        let values = || wanted.iter().zip(&parts).filter_map(|(w, part)| Some((parameter(w)?, (*part).to_owned())));
        fits.then(|| (channel, values().collect()))
    })
}

/// Against the schema of a whole table of messages: what is wrong with this one.
fn errors_in(topic: &str, parameters: &[(String, String)], payload: Value) -> Vec<String> {
    static STRICT: LazyLock<Validator> = LazyLock::new(|| validator(&strict(messages::schema())));
    let mut errors = contradictions(parameters, &payload);
    let message = json!({ topic: payload });
    errors.extend(STRICT.iter_errors(&message).map(|error| {
        // Its first part is the topic.
        let at = error.instance_path().to_string();
        let at = at.get(1..).and_then(|at| at.find('/').map(|end| at[end..].to_owned())).unwrap_or_default();
        format!("at {at:?}: {error}")
    }));
    errors
}

/// What a topic says must be what the payload says: no schema can tell.
fn contradictions(parameters: &[(String, String)], payload: &Value) -> Vec<String> {
    let said = |parameter: &str| match (parameter, payload.get("data")) {
        ("grid", Some(data)) => data.get("level_grid"),
        (parameter, Some(data)) => data.get(parameter),
        (parameter, None) => payload.get(parameter),
    };
    let differs = |(parameter, value): &&(String, String)| said(parameter).is_some_and(|said| said != value.as_str());
    let mut wrong: Vec<String> = parameters
        .iter()
        .filter(differs)
        .map(|(parameter, value)| format!("the topic says {parameter} {value}, the payload something else"))
        .collect();
    if let Some(data) = payload.get("data") {
        let id = format!("{}.{}", data["incident"].as_str().unwrap_or_default(), data["revision"]);
        if payload["id"] != id.as_str() || payload["subject"] != data["incident"] {
            wrong.push("`id` and `subject` are not those of `data`".to_owned());
        }
    }
    wrong
}

/// A validator that checks formats too.
pub fn validator(schema: &Value) -> Validator {
    match jsonschema::options().should_validate_formats(true).build(schema) {
        Ok(validator) => validator,
        Err(error) => panic!("the schema is none: {error}"),
    }
}

/// Closes the objects of what the gateway sends.
///
/// Each place where a value stands gets an `unevaluatedProperties: false` of its own, beside references and alternatives: it sees
/// through these, so that keys that come from several schemas together are all known.
pub fn strict(mut schema: Value) -> Value {
    let sent: Vec<String> =
        CHANNELS.iter().filter(|channel| channel.direction == Direction::Sent).map(Channel::pattern).collect();
    for definition in members(&mut schema, "$defs") {
        close_members(definition);
    }
    let topics = schema.get_mut("patternProperties").and_then(Value::as_object_mut);
    for (pattern, payload) in topics.into_iter().flatten() {
        if sent.contains(pattern) {
            close(payload);
        }
    }
    schema
}

fn members<'a>(schema: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    schema.get_mut(key).and_then(Value::as_object_mut).into_iter().flat_map(|members| members.values_mut())
}

/// A schema of a value: it, and the values in it.
fn close(schema: &mut Value) {
    close_members(schema);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("unevaluatedProperties".to_owned(), false.into());
    }
}

/// The values in what a schema, or a part of one, describes.
fn close_members(schema: &mut Value) {
    for key in ["properties", "patternProperties"] {
        members(schema, key).for_each(close);
    }
    for key in ["items", "additionalProperties"] {
        schema.get_mut(key).into_iter().for_each(close);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let parts = schema.get_mut(key).and_then(Value::as_array_mut);
        parts.into_iter().flatten().for_each(close_members);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "snowgate/v1/gate/camera/north/state";

    fn wrong(topic: &str, payload: &str) -> String {
        check(topic, payload.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_violation_names_topic_payload_and_place() {
        let state = |camera: &str, rest: &str| {
            format!(r#"{{ "camera": "{camera}", "state": "live", "since": "2026-03-01T00:00:00Z"{rest} }}"#)
        };
        assert_eq!(check(STATE, state("north", "").as_bytes()), Ok(()));
        let unknown = wrong(STATE, &state("north", r#", "mood": "good""#));
        assert!(unknown.contains(STATE) && unknown.contains("mood"), "{unknown}");
        assert!(wrong(STATE, &state("south", "")).contains("the topic says camera north"));
        assert!(wrong(STATE, &state("north", r#", "reason": null"#)).contains("/reason"));
        assert!(wrong(STATE, r#"{ "camera": "north", "state": "live", "since": "noon" }"#).contains("/since"));
        assert!(wrong(STATE, "live").contains("no JSON"));
        assert!(wrong("snowgate/v1/gate/camera/north/mood", "{}").contains("no such topic"));
        assert!(wrong("snowgate/v1/gate/evidence/01ARZ3NDEKTSV4RRFFQ69G5FAV/still.jpg", "x").contains("no JPEG"));
        assert_eq!(check("snowgate/v1/gate/cmd/disposition", b"nonsense"), Ok(()), "said to the gateway");
    }

    #[test]
    fn keys_that_nobody_described_are_seen_at_every_depth() {
        let summary = |tally: &str| {
            let counts = r#""opened": 0, "ended": 0, "closed": 0, "false_alarms": 0, "turned_yellow": 0, "turned_red": 0,
                "verified_cleared": 0, "verified_persists": 0, "verified_cannot_tell": 0"#;
            let lights = r#"{ "green": 0, "yellow": 0, "red": 0, "none": 0 }"#;
            format!(
                r#"{{ "gateway": "gate", "date": "2026-03-01", "complete": false, "sequence": 7, "total": {{ {counts} }},
                "by_category": [{{ "category": "intrusion", {counts}{tally} }}], "by_grid": [], "by_rule": [],
                "finished_by_light": {lights}, "unfinished_by_light": {lights}, "cameras": [], "sensors": [],
                "groups_left_out": 0 }}"#
            )
        };
        let topic = "snowgate/v1/gate/summary/daily";
        assert_eq!(check(topic, summary("").as_bytes()), Ok(()));
        let unknown = wrong(topic, &summary(r#", "weather": "rain""#));
        assert!(unknown.contains("/by_category/0") && unknown.contains("weather"), "{unknown}");
    }

    #[test]
    fn what_is_published_stays_open() {
        let open = validator(&messages::schema());
        let state = json!({ "camera": "north", "state": "live", "since": "2026-03-01T00:00:00Z", "mood": "good" });
        assert!(open.is_valid(&json!({ STATE: state })));
        assert!(!open.is_valid(&json!({ "snowgate/v1/gate/elsewhere": state })), "topics are not");
    }
}
