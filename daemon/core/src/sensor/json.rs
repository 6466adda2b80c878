//! Readings out of JSON messages: those of ChirpStack v4, of The Things Stack, and anybody else's by JSON pointers (RFC 6901).
//!
//! A message is held against what a sensor's file says of its quantities. What is not there is no reading, unless the file
//! says that it means zero: The Things Stack leaves out zero, false and empty fields (protobuf's JSON mapping). A message has
//! a size limit, is read in one pass ([`JsonPlan`]) and never held as a whole.

mod plan;
mod pointer;

use std::collections::BTreeMap;

use jiff::{civil, tz};
use plan::{Field, Found};

pub use self::{
    plan::{JsonFields, JsonPlan},
    pointer::{JsonPointer, PointerError},
};
use super::reading::Sample;
use crate::{choice, ids::Id, spec, spec::Maybe};

/// The longest message that is read, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// Times before 2000-01-01 are those of clocks that were never set.
const EARLIEST: i64 = 946_684_800;
/// Times without a zone are China Standard Time.
const ZONELESS: i32 = 8 * 3600;

choice! {
    /// Whose messages they are.
    pub enum JsonFormat {
        /// Anybody's.
        Plain = "plain",
        /// ChirpStack v4's uplink events: values are looked for in the decoded `object`.
        ChirpStack = "chirpstack",
        /// The Things Stack's uplink messages: values are looked for in the `decoded_payload`.
        TheThingsStack = "the_things_stack",
    }
}

impl JsonFormat {
    /// Where the decoded payload is.
    const fn payload(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::ChirpStack => "/object",
            Self::TheThingsStack => "/uplink_message/decoded_payload",
        }
    }

    /// Where the time is: that of the first gateway's reception, for devices have none of their own.
    const fn time(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::ChirpStack => Some("/time"),
            Self::TheThingsStack => Some("/uplink_message/received_at"),
        }
    }

    /// Where the device's name is.
    pub const fn device(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::ChirpStack => Some("/deviceInfo/devEui"),
            Self::TheThingsStack => Some("/end_device_ids/dev_eui"),
        }
    }

    /// What every uplink has, each by one of its places, and what an operator may call it. ChirpStack and The Things Stack
    /// send joins, acknowledgements and errors in the same form: where what is left out means zero, they would be readings.
    const fn marks(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Plain => &[],
            Self::ChirpStack => {
                &[("deviceInfo", &["/deviceInfo"]), ("object, data or rxInfo", &["/object", "/data", "/rxInfo"])]
            }
            Self::TheThingsStack => &[("uplink_message", &["/uplink_message"])],
        }
    }
}

choice! {
    /// What it means that a value is not in a message.
    pub enum Missing {
        /// That there is no reading.
        Nothing = "nothing",
        /// That it is zero, or false: for senders that leave those out.
        Zero = "zero",
    }
}

spec! {
    /// Where a quantity stands in a JSON message.
    pub struct JsonValueSpec {
        /// JSON pointer to the value, such as "/level" or "/data/0/value"; in messages of ChirpStack and The Things Stack from
        /// the decoded payload on.
        pointer: JsonPointer,
        /// What it means that it is not there.
        missing: Missing = Missing::Nothing,
        /// The numbers that words stand for, such as { open = 1, closed = 0 }.
        words: Maybe<Words> = Maybe::NONE,
    }
}

/// Numbers that words stand for.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct Words(BTreeMap<String, f64>);

impl<'de> spec::Deserialize<'de> for Words {
    fn deserialize(value: &mut spec::Value<'de>) -> Result<Self, spec::DeserError> {
        match value.take() {
            spec::ValueInner::Table(table) => {
                let word = |(word, mut number): (toml_span::value::Key<'de>, spec::Value<'de>)| {
                    spec::number_between(&mut number, f64::MIN, f64::MAX).map(|number| (word.name.into_owned(), number))
                };
                table.into_iter().map(word).collect::<Result<_, _>>().map(Self)
            }
            other => Err(spec::expected("a table of words and numbers", other, value.span).into()),
        }
    }
}

/// Why a message cannot be read, or a value in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is too long.
    #[error("a message of {0} bytes is longer than {LONGEST}")]
    Length(usize),
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Syntax(String),
    /// It is not of the format it should be of.
    #[error("there is no {0} in the message")]
    Format(&'static str),
    /// There is none of the sensor's values in the message.
    #[error("there is nothing for this sensor in the message: nothing at {0:?}")]
    Nothing(String),
    /// A value is neither a number, nor true or false, nor a word that stands for a number.
    #[error("{pointer} is {found}, which is no number{}", words_hint(.found))]
    Value {
        /// Where it stands.
        pointer: JsonPointer,
        /// What stands there, shortened.
        found: String,
    },
    /// A time cannot be read.
    #[error("{0} is no time of this age")]
    Time(String),
}

/// How messages are to be read that a sensor's file describes.
#[derive(Debug, Clone, Copy)]
pub struct JsonOptions<'a> {
    /// Whose messages they are.
    pub format: JsonFormat,
    /// Where the time of measurement stands, where it differs from the format's own.
    pub time: Option<&'a JsonPointer>,
    /// Where the device's name stands, where it differs from the format's own.
    pub device_at: Option<&'a JsonPointer>,
    /// The only device whose messages count; any if left out. Letter case makes no difference.
    pub device: Option<&'a str>,
}

impl JsonOptions<'_> {
    /// Messages of this format, with nothing out of the ordinary.
    pub const fn of(format: JsonFormat) -> Self {
        Self { format, time: None, device_at: None, device: None }
    }
}

/// How one sensor's messages are read.
#[derive(Debug, Clone)]
pub struct JsonReader {
    marks: Vec<(&'static str, Vec<Field>)>,
    time: Option<Field>,
    device: Option<(Field, String)>,
    /// Each quantity, where it stands, and what is to be made of it.
    quantities: Vec<(Id, Field, JsonValueSpec)>,
}

/// What one message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What was measured.
    pub samples: Vec<(Id, Sample)>,
    /// Values that could not be read.
    pub errors: Vec<(Id, JsonError)>,
    /// Why its time could not be read. The samples count without one: an alarm does not wait until a clock has been set.
    pub time_error: Option<JsonError>,
}

impl JsonReader {
    /// A reader of messages that are parsed by this plan.
    pub fn new(
        plan: &mut JsonPlan,
        options: JsonOptions<'_>,
        quantities: impl IntoIterator<Item = (Id, JsonValueSpec)>,
    ) -> Self {
        let JsonOptions { format, time, device_at, device } = options;
        let marks = format.marks().iter();
        let marks =
            marks.map(|(name, places)| (*name, places.iter().map(|place| plan.look_at(place)).collect())).collect();
        let time = time.map(JsonPointer::as_str).or(format.time()).map(|pointer| plan.look_at(pointer));
        let device_at = device_at.map(JsonPointer::as_str).or(format.device());
        let device = device_at.zip(device).map(|(pointer, device)| (plan.look_at(pointer), device.to_owned()));
        let quantity = |(id, spec): (Id, JsonValueSpec)| {
            let field = plan.look_at(&format!("{}{}", format.payload(), spec.pointer));
            (id, field, spec)
        };
        let quantities = quantities.into_iter().map(quantity).collect();
        Self { marks, time, device, quantities }
    }

    /// Whether a message is of the device that this reader is for.
    pub fn is_from(&self, message: &JsonFields) -> bool {
        self.device.as_ref().is_none_or(|(field, device)| match message.at(*field) {
            Some(Found::Text(name)) => name.eq_ignore_ascii_case(device),
            // Numbers up to 2^53 are exact.
            Some(Found::Number(number)) => number.to_string() == *device,
            _ => false,
        })
    }

    /// Reads a message.
    ///
    /// # Errors
    /// It is not of the format it should be of. Single values that cannot be read are in [`Message::errors`].
    pub fn read(&self, message: &JsonFields) -> Result<Message, JsonError> {
        for (name, places) in &self.marks {
            if places.iter().all(|place| message.at(*place).is_none()) {
                return Err(JsonError::Format(name));
            }
        }
        let time = self.time.and_then(|field| message.at(field)).filter(|time| **time != Found::Null);
        let (measured, time_error) = match time.map(read_time) {
            Some(Ok(time)) => (Some(time), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let mut read = Message { samples: Vec::new(), errors: Vec::new(), time_error };
        for (quantity, field, spec) in &self.quantities {
            match spec.value(message.at(*field)) {
                Ok(Some(value)) => read.samples.push((quantity.clone(), Sample { value, measured, flagged: false })),
                Ok(None) => {}
                Err(error) => read.errors.push((quantity.clone(), error)),
            }
        }
        Ok(read)
    }

    /// What to say of a message that is in order and has nothing for the sensor in it: a misspelt pointer looks like that. An
    /// empty object is a sign of life, and so is an uplink of ChirpStack or The Things Stack, whose payloads differ by port.
    pub fn nothing(&self, message: &[u8], read: &Message) -> Option<JsonError> {
        let (_, _, first) = self.quantities.first()?;
        let nothing = read.samples.is_empty() && read.errors.is_empty() && self.marks.is_empty();
        let nothing = nothing && message.trim_ascii() != b"{}";
        nothing.then(|| JsonError::Nothing(first.pointer.as_str().to_owned()))
    }
}

/// Words are numbers where the file says so.
fn words_hint(found: &str) -> &'static str {
    if found.starts_with('"') { "; words = { … } says what numbers words stand for" } else { "" }
}

impl JsonValueSpec {
    fn value(&self, found: Option<&Found>) -> Result<Option<f64>, JsonError> {
        let Some(found) = found.filter(|found| **found != Found::Null) else {
            return Ok((self.missing == Missing::Zero).then_some(0.0));
        };
        let number = match found {
            Found::Bool(value) => Some(f64::from(u8::from(*value))),
            Found::Number(value) => Some(*value),
            Found::Text(word) => {
                let number = self.words.as_ref().and_then(|words| words.0.get(word)).copied();
                number.or_else(|| word.trim().parse().ok()).filter(|number: &f64| number.is_finite())
            }
            Found::Null | Found::LongText(_) | Found::List | Found::Object => None,
        };
        let wrong = || JsonError::Value { pointer: self.pointer.clone(), found: found.to_string() };
        number.map(Some).ok_or_else(wrong)
    }
}

/// RFC 3339, the same without a zone, or the time since 1970 in seconds, milliseconds, microseconds or nanoseconds, whichever
/// makes a time in this age.
fn read_time(time: &Found) -> Result<jiff::Timestamp, JsonError> {
    let read = match time {
        Found::Text(text) => text.parse().ok().or_else(|| zoneless(text)),
        Found::Number(number) => since_1970(*number),
        _ => None,
    };
    read.filter(in_this_age).ok_or_else(|| JsonError::Time(time.to_string()))
}

/// The same of a text in which the number of seconds (milliseconds…) since 1970 may stand too, as in a table.
pub fn time_of(text: &str) -> Option<jiff::Timestamp> {
    let text = text.trim();
    let read = match text.parse() {
        Ok(number) => since_1970(number),
        Err(_) => text.parse().ok().or_else(|| zoneless(text)),
    };
    read.filter(in_this_age)
}

fn in_this_age(time: &jiff::Timestamp) -> bool {
    time.as_second() >= EARLIEST
}

fn zoneless(text: &str) -> Option<jiff::Timestamp> {
    let civil: civil::DateTime = text.parse().ok()?;
    let zone = tz::TimeZone::fixed(tz::Offset::from_seconds(ZONELESS).ok()?);
    zone.to_timestamp(civil).ok()
}

fn since_1970(number: f64) -> Option<jiff::Timestamp> {
    /// Seconds of the year 5138: whatever is larger is counted in smaller units.
    const AGE: f64 = 1e11;
    let mut seconds = number;
    for _ in 0..3 {
        if seconds.abs() >= AGE {
            seconds /= 1000.0;
        }
    }
    let millis = (seconds * 1000.0).round();
    (seconds.abs() < AGE).then_some(millis as i64).and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
}

#[cfg(test)]
mod tests;
