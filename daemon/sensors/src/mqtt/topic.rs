//! MQTT topic filters (MQTT 3.1.1, 4.7), checked where they are written.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use snowgate_core::spec;

/// The longest filter, in bytes. MQTT has room for 65,535; a packet of many filters must stay small.
const LONGEST: usize = 1024;

/// The topics on which a sensor's messages come: `+` stands for one level, a last `#` for all that follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(String);

/// Why a text is no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It is empty or too long.
    #[error("a topic has 1 to {LONGEST} bytes")]
    Length,
    /// `+` or `#` within a level, or `#` before the end.
    #[error("\"+\" and \"#\" stand alone between slashes, and \"#\" only at the end")]
    Wildcard,
    /// A character that topics cannot have.
    #[error("a topic has no control characters")]
    Control,
    /// A subscription that several clients share.
    #[error("a shared subscription gives this gateway some of the messages only: name the topic itself")]
    Shared,
}

impl TopicFilter {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for one topic only.
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['+', '#'])
    }

    /// Whether a message on this topic is meant. Topics of the broker itself (`$SYS/…`) are not meant by a wildcard in the
    /// first place.
    pub fn matches(&self, topic: &str) -> bool {
        covers(&self.0, topic)
    }

    /// Whether every topic that `other` stands for is meant.
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.0, &other.0)
    }
}

/// A wildcard of `narrow` is covered by a wildcard as wide only, so that the same walk serves topics and filters.
fn covers(wide: &str, narrow: &str) -> bool {
    if narrow.starts_with('$') && wide.starts_with(['+', '#']) {
        return false;
    }
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            // "a/#" means "a", too.
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(wide), Some(narrow)) if wide == narrow => {}
            _ => return false,
        }
    }
}

impl FromStr for TopicFilter {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(TopicError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(TopicError::Control);
        }
        if text.starts_with("$share/") || text.starts_with("$queue/") {
            return Err(TopicError::Shared);
        }
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let alone = match level {
                "#" => levels.peek().is_none(),
                "+" => true,
                name => !name.contains(['+', '#']),
            };
            if !alone {
                return Err(TopicError::Wildcard);
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for TopicFilter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> spec::Deserialize<'de> for TopicFilter {
    fn deserialize(value: &mut spec::Value<'de>) -> Result<Self, spec::DeserError> {
        match value.take() {
            spec::ValueInner::String(text) => {
                text.parse().map_err(|error: TopicError| spec::custom(error.to_string(), value.span))
            }
            other => Err(spec::expected("a topic like \"water/+/level\"", other, value.span).into()),
        }
    }
}

impl JsonSchema for TopicFilter {
    fn schema_name() -> Cow<'static, str> {
        "TopicFilter".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST,
            "pattern": r"^([^+#]*|\+)(/([^+#/]*|\+))*(/#)?$|^#$",
            "examples": ["application/1/device/+/event/up", "water/bridge-3"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter {
        text.parse().unwrap()
    }

    #[test]
    fn filters_that_a_broker_would_refuse_are_refused_here() {
        for text in ["a", "/", "a/b", "+", "#", "+/+/#", "a//b", "水位/+/上报", "$SYS/#"] {
            assert_eq!(filter(text).as_str(), text);
        }
        for (text, error) in [
            ("", TopicError::Length),
            ("a/#/b", TopicError::Wildcard),
            ("a#", TopicError::Wildcard),
            ("a/b+", TopicError::Wildcard),
            ("a/++", TopicError::Wildcard),
            ("a\u{0}", TopicError::Control),
            ("$share/group/a", TopicError::Shared),
        ] {
            assert_eq!(text.parse::<TopicFilter>(), Err(error), "{text}");
        }
        assert_eq!("a".repeat(LONGEST + 1).parse::<TopicFilter>(), Err(TopicError::Length));
    }

    #[test]
    fn wildcards_stand_for_levels() {
        for (text, topic) in [
            ("a/b", "a/b"),
            ("a/+", "a/b"),
            ("a/+/c", "a//c"),
            ("+/水位", "河/水位"),
            ("a/#", "a/b/c"),
            ("a/#", "a"),
            ("#", "河/b"),
            ("$SYS/#", "$SYS/broker"),
        ] {
            assert!(filter(text).matches(topic), "{text} {topic}");
        }
        for (text, topic) in
            [("a", "a/b"), ("a/b", "a"), ("a/+", "a"), ("a/+", "a/b/c"), ("a", "A"), ("#", "$SYS/x"), ("+/x", "$SYS/x")]
        {
            assert!(!filter(text).matches(topic), "{text} {topic}");
        }
    }

    #[test]
    fn a_wide_filter_covers_a_narrow_one() {
        for (wide, narrow) in
            [("#", "a/b"), ("a/#", "a/+/c"), ("a/+", "a/+"), ("a/+", "a/b"), ("a/#", "a/#"), ("#", "+")]
        {
            assert!(filter(wide).covers(&filter(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in [("a/b", "a/+"), ("a/+", "a/#"), ("a/+", "+/b"), ("+", "#"), ("#", "$SYS/#")] {
            assert!(!filter(wide).covers(&filter(narrow)), "{wide} {narrow}");
        }
    }
}
