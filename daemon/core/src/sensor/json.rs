//! Readings out of JSON messages: those of ChirpStack v4, of The Things Stack, and anybody else's by JSON pointers (RFC 6901).
//!
//! A message is held against what a sensor's file says of its quantities. What is not there is no reading, unless the file
//! says that it means zero: The Things Stack leaves out zero, false and empty fields (protobuf's JSON mapping). Messages have
//! a size limit, and nesting is limited by the reader (128 levels).

use std::collections::BTreeMap;

use jiff::{civil, tz};
use serde_json::Value as Json;

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
    fn payload(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::ChirpStack => "/object",
            Self::TheThingsStack => "/uplink_message/decoded_payload",
        }
    }

    /// Where the time is: that of the first gateway's reception, for devices have none of their own.
    fn time(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::ChirpStack => Some("/time"),
            Self::TheThingsStack => Some("/uplink_message/received_at"),
        }
    }

    /// Where the device's name is.
    fn device(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::ChirpStack => Some("/deviceInfo/devEui"),
            Self::TheThingsStack => Some("/end_device_ids/dev_eui"),
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
        pointer: String,
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
    /// A value is neither a number, nor true or false, nor a word that stands for a number.
    #[error("{pointer} is {found}, which is no number")]
    Value {
        /// Where it stands.
        pointer: String,
        /// What stands there, shortened.
        found: String,
    },
    /// A time cannot be read.
    #[error("{0:?} is no time")]
    Time(String),
}

/// How a sensor's messages are read.
#[derive(Debug, Clone)]
pub struct JsonReader {
    format: JsonFormat,
    time: Option<String>,
    /// Each quantity, where it stands, and what is to be made of it.
    quantities: Vec<(Id, JsonValueSpec)>,
}

/// What one message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The device's name, where the format has one.
    pub device: Option<String>,
    /// What was measured.
    pub samples: Vec<(Id, Sample)>,
    /// Values that could not be read.
    pub errors: Vec<(Id, JsonError)>,
}

impl JsonReader {
    /// A reader of messages of this format. `time` is a pointer from the top of the message, where it differs from the
    /// format's own.
    pub fn new(
        format: JsonFormat,
        time: Option<&str>,
        quantities: impl IntoIterator<Item = (Id, JsonValueSpec)>,
    ) -> Self {
        let time = time.or(format.time()).map(str::to_owned);
        Self { format, time, quantities: quantities.into_iter().collect() }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Nothing of it can be used. Single values that cannot be read are in [`Message::errors`].
    pub fn read(&self, message: &[u8]) -> Result<Message, JsonError> {
        if message.len() > LONGEST {
            return Err(JsonError::Length(message.len()));
        }
        let json: Json = serde_json::from_slice(message).map_err(|error| JsonError::Syntax(error.to_string()))?;
        let device = self.format.device().and_then(|pointer| json.pointer(pointer)).and_then(Json::as_str);
        let measured = match self.time.as_deref().and_then(|pointer| json.pointer(pointer)) {
            Some(time) => Some(read_time(time)?),
            None => None,
        };
        // A decoded payload that is all zeros may be left out as a whole; a message without any uplink is another message.
        let payload = match (self.format, json.pointer(self.format.payload())) {
            (JsonFormat::TheThingsStack, None) if json.pointer("/uplink_message").is_none() => {
                return Err(JsonError::Format("uplink_message"));
            }
            (JsonFormat::ChirpStack, None) if json.pointer("/deviceInfo").is_none() => {
                return Err(JsonError::Format("deviceInfo"));
            }
            (_, payload) => payload.unwrap_or(&Json::Null),
        };
        let mut read = Message { device: device.map(str::to_owned), samples: Vec::new(), errors: Vec::new() };
        for (quantity, spec) in &self.quantities {
            match value_of(payload, spec) {
                Ok(Some(value)) => read.samples.push((quantity.clone(), Sample { value, measured, flagged: false })),
                Ok(None) => {}
                Err(error) => read.errors.push((quantity.clone(), error)),
            }
        }
        Ok(read)
    }
}

fn value_of(payload: &Json, spec: &JsonValueSpec) -> Result<Option<f64>, JsonError> {
    let wrong = |found: &Json| {
        let found = found.to_string().chars().take(40).collect();
        JsonError::Value { pointer: spec.pointer.clone(), found }
    };
    match payload.pointer(&spec.pointer) {
        None | Some(Json::Null) => Ok((spec.missing == Missing::Zero).then_some(0.0)),
        Some(Json::Bool(value)) => Ok(Some(f64::from(u8::from(*value)))),
        Some(number @ Json::Number(value)) => value.as_f64().map(Some).ok_or_else(|| wrong(number)),
        Some(text @ Json::String(word)) => {
            let number = spec.words.as_ref().and_then(|words| words.0.get(word)).copied();
            number.or_else(|| word.trim().parse().ok()).map(Some).ok_or_else(|| wrong(text))
        }
        Some(other) => Err(wrong(other)),
    }
}

/// RFC 3339, the same without a zone, or the time since 1970 in seconds, milliseconds, microseconds or nanoseconds, whichever
/// makes a time in this age.
fn read_time(time: &Json) -> Result<jiff::Timestamp, JsonError> {
    let wrong = || JsonError::Time(time.to_string().chars().take(40).collect());
    let read = match time {
        Json::String(text) => text.parse().ok().or_else(|| zoneless(text)),
        Json::Number(number) => number.as_f64().and_then(since_1970),
        _ => None,
    };
    read.filter(in_this_age).ok_or_else(wrong)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(pointer: &str) -> JsonValueSpec {
        JsonValueSpec { pointer: pointer.to_owned(), missing: Missing::Nothing, words: Maybe::NONE }
    }

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn values(message: &Message) -> Vec<(&str, f64)> {
        message.samples.iter().map(|(quantity, sample)| (quantity.as_str(), sample.value)).collect()
    }

    #[test]
    fn chirpstack_says_device_time_and_object() {
        let reader = JsonReader::new(
            JsonFormat::ChirpStack,
            None,
            [(id("level"), value("/level")), (id("battery"), value("/status/battery"))],
        );
        let message = reader
            .read(
                br#"{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2026-05-01T08:30:00.250+08:00",
                "deviceInfo":{"tenantName":"t","devEui":"24e124713d123456","deviceName":"bridge"},
                "fCnt":12,"fPort":2,"data":"AQID","object":{"level":1.25,"status":{"battery":97}}}"#,
            )
            .unwrap();
        assert_eq!(message.device.as_deref(), Some("24e124713d123456"));
        assert_eq!(values(&message), [("level", 1.25), ("battery", 97.0)]);
        let measured = message.samples[0].1.measured.unwrap();
        assert_eq!(measured.to_string(), "2026-05-01T00:30:00.25Z");
        assert_eq!(reader.read(br#"{"deviceName":"join"}"#), Err(JsonError::Format("deviceInfo")));
    }

    #[test]
    fn what_the_things_stack_leaves_out_is_zero_where_the_file_says_so() {
        let zero = JsonValueSpec { missing: Missing::Zero, ..value("/rain") };
        let reader =
            JsonReader::new(JsonFormat::TheThingsStack, None, [(id("rain"), zero), (id("level"), value("/level"))]);
        let read = |payload: &str| {
            let message = format!(
                r#"{{"end_device_ids":{{"device_id":"gauge","dev_eui":"0004A30B001C0530"}},
                "uplink_message":{{"f_port":1,"received_at":"2026-05-01T00:30:00.123456789Z"{payload}}}}}"#
            );
            reader.read(message.as_bytes()).unwrap()
        };
        assert_eq!(values(&read(r#","decoded_payload":{"rain":0.2,"level":3}"#)), [("rain", 0.2), ("level", 3.0)]);
        assert_eq!(values(&read(r#","decoded_payload":{"level":3}"#)), [("rain", 0.0), ("level", 3.0)]);
        assert_eq!(values(&read("")), [("rain", 0.0)], "all of it was zero");
        assert_eq!(reader.read(br#"{"join_accept":{}}"#), Err(JsonError::Format("uplink_message")));
    }

    #[test]
    fn numbers_are_written_in_many_ways() {
        let words = Words(BTreeMap::from([("open".to_owned(), 1.0), ("closed".to_owned(), 0.0)]));
        let reader = JsonReader::new(
            JsonFormat::Plain,
            Some("/t"),
            [
                (id("number"), value("/a/0")),
                (id("text"), value("/b")),
                (id("truth"), value("/c")),
                (id("word"), JsonValueSpec { words: Maybe(Some(words)), ..value("/d") }),
                (id("whole"), value("")),
            ],
        );
        let message = reader.read(br#"{"a":[-3e2],"b":" 4.5 ","c":true,"d":"open","t":1777595400123}"#).unwrap();
        assert_eq!(values(&message), [("number", -300.0), ("text", 4.5), ("truth", 1.0), ("word", 1.0)]);
        assert_eq!(message.errors.len(), 1, "the whole message is no number");
        assert_eq!(message.samples[0].1.measured.unwrap().to_string(), "2026-05-01T00:30:00.123Z");
        let message = reader.read(br#"{"b":"wet","d":{}}"#).unwrap();
        let errors: Vec<String> = message.errors.iter().map(|(_, error)| error.to_string()).collect();
        assert_eq!(errors[0], "/b is \"wet\", which is no number");
        assert_eq!(reader.read(b"17").unwrap().samples[0].1, Sample { value: 17.0, measured: None, flagged: false });
    }

    #[test]
    fn times_are_of_this_age() {
        let time = |json: &str| read_time(&serde_json::from_str(json).unwrap()).map(|time| time.to_string());
        for json in
            ["1777595400", "1777595400000", "1777595400000000", "1777595400000000000", "\"2026-05-01T08:30:00\""]
        {
            assert_eq!(time(json), Ok("2026-05-01T00:30:00Z".to_owned()), "{json}");
        }
        for json in ["0", "-5", "1e300", "\"yesterday\"", "\"1970-01-01T00:00:00Z\"", "true", "{}"] {
            assert!(time(json).is_err(), "{json}");
        }
    }

    #[test]
    fn too_long_and_too_deep_is_refused() {
        let reader = JsonReader::new(JsonFormat::Plain, None, []);
        assert_eq!(reader.read(&vec![b' '; LONGEST + 1]), Err(JsonError::Length(LONGEST + 1)));
        assert!(matches!(reader.read("[".repeat(60_000).as_bytes()), Err(JsonError::Syntax(_))));
    }

    const MESSAGES: [&str; 3] = [
        r#"{"time":"2026-05-01T08:30:00+08:00","deviceInfo":{"devEui":"24"},"object":{"level":1.25}}"#,
        r#"{"end_device_ids":{"dev_eui":"00"},"uplink_message":{"received_at":"2026-05-01T00:30:00Z","decoded_payload":{"level":3}}}"#,
        r#"{"level":"3.5","t":1777595400}"#,
    ];

    proptest! {
        #[test]
        fn whatever_arrives_is_read_or_refused(
            mut message in prop::sample::select(&MESSAGES[..]).prop_map(|message| message.as_bytes().to_vec()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..8),
        ) {
            for (place, byte, how) in changes {
                let place = place.index(message.len().max(1));
                match how {
                    0 if place < message.len() => message[place] = byte,
                    1 if place < message.len() => drop(message.remove(place)),
                    _ => message.insert(place.min(message.len()), byte),
                }
            }
            for format in [JsonFormat::Plain, JsonFormat::ChirpStack, JsonFormat::TheThingsStack] {
                let reader = JsonReader::new(format, None, [(id("level"), value("/level"))]);
                if let Ok(read) = reader.read(&message) {
                    prop_assert!(read.samples.len() + read.errors.len() <= 1);
                }
            }
        }
    }
}
