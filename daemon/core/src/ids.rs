//! Names of things: cameras, zones, rules, grids, incidents.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use ulid::Ulid;

use crate::{
    spec::{DeserError, Deserialize, Value, custom},
    time::Moment,
};

/// A name an operator gives: 1 to 64 of `a-z 0-9 - _ .`, starting with a letter or digit. Safe in topics, file names and metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Id(Arc<str>);

impl Id {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.');
        let starts_well = text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.bytes().all(legal) {
            Ok(Self(text.into()))
        } else {
            Err(format!(
                "{text:?} is no id: use 1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit"
            ))
        }
    }
}

impl TryFrom<String> for Id {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let text = value.take_string(None)?;
        text.parse().map_err(|message: String| custom(message, value.span))
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,63}$" })
    }
}

/// An incident's name for ever: a ULID, so ids sort roughly by the wall time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IncidentId(pub Ulid);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<IncidentId> for String {
    fn from(id: IncidentId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for IncidentId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Ulid::from_string(&text).map(Self).map_err(|error| format!("{text:?} is no incident id: {error:?}"))
    }
}

impl JsonSchema for IncidentId {
    fn schema_name() -> Cow<'static, str> {
        "IncidentId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$" })
    }
}

/// Where incident ids come from: random on a live box, counted in replay so that the same input gives the same bytes.
pub trait IncidentIds: Send {
    /// The id of an incident that is opened at this moment.
    fn next(&mut self, at: Moment) -> IncidentId;
}

/// Ids from a counter: for replay and tests.
#[derive(Debug, Default)]
pub struct CountedIds(u128);

impl IncidentIds for CountedIds {
    fn next(&mut self, at: Moment) -> IncidentId {
        self.0 += 1;
        let millis = u64::try_from(at.wall.as_millisecond()).unwrap_or(0);
        IncidentId(Ulid::from_parts(millis, self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_everywhere() {
        for good in ["a", "gate-1", "0", "cam_2.sub"] {
            assert!(good.parse::<Id>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a/b", "a+b", "#", "门", &"x".repeat(65)] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
    }
}
