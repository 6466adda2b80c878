//! The values that settings are made of: lengths of time, sizes, shares, and values that remember where they stand.

use std::{borrow::Cow, fmt, ops::Deref, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{DeserError, Deserialize, Span, Value, ValueInner, custom, expected};

/// A value together with its place in the file it was read from, for errors found later.
///
/// Two located values are equal when their values are: where a thing is written is not part of what it says.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// What was written.
    pub value: T,
    /// Where (byte offsets in its file); empty for a default.
    pub span: Span,
}

impl<T> Located<T> {
    /// A value that stands in no file, such as a default.
    pub fn nowhere(value: T) -> Self {
        Self { value, span: Span::new(0, 0) }
    }

    /// Whether it stands in a file, rather than being a default.
    pub fn is_written(&self) -> bool {
        self.span.start != self.span.end
    }
}

impl<T> Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        Ok(Self { value: T::deserialize(value)?, span })
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// An optional key: `spec!` fields of this type default to `Maybe(None)`; TOML has no null to write.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Maybe<T>(pub Option<T>);

impl<T> Maybe<T> {
    /// The key was left out.
    pub const NONE: Self = Self(None);
}

impl<T> Deref for Maybe<T> {
    type Target = Option<T>;
    fn deref(&self) -> &Option<T> {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        T::deserialize(value).map(|value| Self(Some(value)))
    }
}

impl<T: JsonSchema> JsonSchema for Maybe<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// A value that stands in a file as a text which its `FromStr` reads and its `Display` writes.
macro_rules! written_as_text {
    ($Name:ident, $expected:literal) => {
        impl ::serde::Serialize for $Name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> $crate::spec::Deserialize<'de> for $Name {
            fn deserialize(value: &mut $crate::spec::Value<'de>) -> Result<Self, $crate::spec::DeserError> {
                match value.take() {
                    $crate::spec::ValueInner::String(text) => {
                        text.parse::<Self>().map_err(|error| $crate::spec::custom(error.to_string(), value.span))
                    }
                    other => Err($crate::spec::expected($expected, other, value.span).into()),
                }
            }
        }
    };
}
pub(crate) use written_as_text;

written_as_text!(TimeSpan, "a length of time like \"2s\"");
written_as_text!(ByteSize, "a size like \"64MiB\"");

/// A length of time as an operator writes it: `"200ms"`, `"2s"`, `"1m 30s"`, `"24h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(pub Duration);

impl TimeSpan {
    /// A span of whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
    /// A span of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl Deref for TimeSpan {
    type Target = Duration;
    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl fmt::Display for TimeSpan {
    /// The shortest exact way to write it with whole units, `"1h 30m"`, `"200ms"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis();
        if left == 0 {
            return f.write_str("0s");
        }
        let mut separator = "";
        for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            let count = left / millis;
            if count > 0 {
                write!(f, "{separator}{count}{unit}")?;
                separator = " ";
                left -= count * millis;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a length of time; write it like \"200ms\", \"2s\" or \"1m 30s\"");
        let mut total = Duration::ZERO;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let millis: u64 = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            rest = rest[letters..].trim_start();
            let part = count.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)?;
            total = total.checked_add(part).ok_or_else(wrong)?;
        }
        // Longer spans are typing mistakes, and would overflow arithmetic on times further on.
        if total > Duration::from_secs(10 * 366 * 86_400) {
            return Err(format!("{text:?} is longer than ten years"));
        }
        Ok(Self(total))
    }
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*(\d+\s*(ms|s|m|min|h|d)\s*)+$", "examples": ["200ms", "2s", "1m 30s"] })
    }
}

/// A number of bytes as an operator writes it: `"512KiB"`, `"64MiB"`, `"2GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
}

const BYTE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in BYTE_UNITS {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        f.write_str("0B")
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size; write it like \"64MiB\" or \"2GiB\"");
        let text_trimmed = text.trim();
        let digits = text_trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let count: u64 = text_trimmed[..digits].parse().map_err(|_| wrong())?;
        let unit = text_trimmed[digits..].trim_start();
        let (_, size) = BYTE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        count.checked_mul(*size).map(Self).ok_or_else(wrong)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*\d+\s*(B|KiB|MiB|GiB)\s*$", "examples": ["64MiB", "2GiB"] })
    }
}

/// Reads a number, written as a float or an integer, that must lie in `min..=max`.
///
/// # Errors
/// What was found instead, with its place.
pub fn number_between(value: &mut Value<'_>, min: f64, max: f64) -> Result<f64, DeserError> {
    let number = match value.take() {
        ValueInner::Float(number) => number,
        ValueInner::Integer(number) => number as f64,
        other => return Err(expected("a number", other, value.span).into()),
    };
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(custom(format!("{number} is outside {min} to {max}"), value.span))
    }
}

/// A number, written as a float or an integer.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Number(pub f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        number_between(value, f64::MIN, f64::MAX).map(Self)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// A number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Bounded<const MIN: u32, const MAX: u32>(pub f32);

impl<const MIN: u32, const MAX: u32> Serialize for Bounded<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_as_written(self.0, serializer)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        number_between(value, f64::from(MIN), f64::from(MAX)).map(|number| Self(number as f32))
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Bounded<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Bounded{MIN}To{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": MIN, "maximum": MAX })
    }
}

/// A share between 0 and 1: scores, overlaps, parts of a frame's side.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Fraction(pub f32);

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_as_written(self.0, serializer)
    }
}

/// As it was written: 0.06, not the nearest `f32` with all of its digits.
fn serialize_as_written<S: Serializer>(number: f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(number.to_string().parse().unwrap_or(f64::from(number)))
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        number_between(value, 0.0, 1.0).map(|number| Self(number as f32))
    }
}

impl JsonSchema for Fraction {
    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}
