//! JSON pointers (RFC 6901), checked where they are written.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::spec::written_as_text;

/// The longest pointer, in bytes.
const LONGEST: usize = 256;
/// The most steps of a pointer: messages nested deeper than the JSON reader follows (128) cannot be meant.
const DEEPEST: usize = 32;

/// Where a value stands in a JSON message: `/level`, `/data/0/value`; empty for the whole message. `~1` stands for a slash in
/// a name, `~0` for a tilde.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonPointer(String);

/// Why a text is no JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It begins with something else than a slash.
    #[error("a JSON pointer begins with a slash: write \"/{0}\"")]
    NoSlash(String),
    /// A tilde that stands for nothing.
    #[error("in a JSON pointer \"~\" is written \"~0\", and a slash within a name \"~1\"")]
    Escape,
    /// It is too long or too deep.
    #[error("a JSON pointer has at most {LONGEST} bytes and {DEEPEST} steps")]
    Length,
}

impl JsonPointer {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names and places on the way, outermost first.
    pub(super) fn steps(text: &str) -> impl Iterator<Item = String> {
        text.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
    }
}

impl FromStr for JsonPointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.len() > LONGEST || text.split('/').count() > DEEPEST + 1 {
            return Err(PointerError::Length);
        }
        if !text.is_empty() && !text.starts_with('/') {
            return Err(PointerError::NoSlash(text.to_owned()));
        }
        let escaped = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
        if !text.split('~').skip(1).all(escaped) {
            return Err(PointerError::Escape);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

written_as_text!(JsonPointer, "a JSON pointer like \"/level\"");

impl JsonSchema for JsonPointer {
    fn schema_name() -> Cow<'static, str> {
        "JsonPointer".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(/([^~]|~[01])*)?$",
            "maxLength": LONGEST,
            "examples": ["/level", "/data/0/value"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_that_would_never_find_anything_is_refused() {
        for text in ["", "/", "/level", "/data/0/value", "/a~1b/m~0n", "/水位"] {
            assert_eq!(text.parse::<JsonPointer>().map(|pointer| pointer.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("level".parse::<JsonPointer>(), Err(PointerError::NoSlash("level".to_owned())));
        for text in ["/a~2", "/a~", "/~~0"] {
            assert_eq!(text.parse::<JsonPointer>(), Err(PointerError::Escape), "{text}");
        }
        for text in ["/a".repeat(DEEPEST + 1), "/".to_owned() + &"a".repeat(LONGEST)] {
            assert_eq!(text.parse::<JsonPointer>(), Err(PointerError::Length));
        }
    }

    #[test]
    fn steps_are_unescaped_in_the_order_of_the_standard() {
        assert_eq!(JsonPointer::steps("/a~1b/~01/").collect::<Vec<_>>(), ["a/b", "~1", ""]);
        assert_eq!(JsonPointer::steps("").count(), 0);
    }
}
