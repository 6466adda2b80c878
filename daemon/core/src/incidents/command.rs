//! What all commands of the grid system have in common: each has an id of its own, says who wants it and until when it may
//! be carried out.
//!
//! - **Once.** A command id is carried out once. What was answered is [`Remembered`]; the same command again gets the same
//!   answer and changes nothing, another command with a used id is refused.
//! - **In time.** A command that comes after its `expires` is refused, and none may be valid for longer than [`LONGEST_LIFE`],
//!   so that ids need not be remembered for ever. A clock that is not synchronised cannot tell: [`Timeliness::Unknown`].
//! - **Bounded.** A payload has at most [`MAX_COMMAND_BYTES`], every text in it a length.
//! - Keys that are not known are ignored, so that a grid system may say more than this version understands; what is
//!   understood must be right, and must be there.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};

use crate::time::Moment;

/// The largest payload of a command: the longest note in its longest spelling (`\uXXXX`) fits in twice.
pub const MAX_COMMAND_BYTES: usize = 16 * 1024;

/// The furthest a command's `expires` may lie in the future.
pub const LONGEST_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// For so long after it has expired a command's answer is kept, so that a small step back of the clock revives none.
const KEPT_AFTER: Duration = Duration::from_secs(86_400);

/// The longest explanation in an answer, in characters.
const MAX_DETAIL: usize = 200;

/// The id a command is known by: 1 to 64 visible ASCII characters, such as a UUID, a ULID or a running number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CommandId(String);

impl CommandId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CommandId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text)),
            false => Err("a command id is 1 to 64 visible ASCII characters"),
        }
    }
}

impl std::str::FromStr for CommandId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for CommandId {
    fn schema_name() -> Cow<'static, str> {
        "CommandId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[!-~]{1,64}$" })
    }
}

/// What people write: `MIN` (0 or 1) to `MAX` characters without control characters other than tabs and line ends; where there must
/// be some, they are not blanks only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// Who: a person's or an office's name, or its id in the grid system.
pub type Who = Text<1, 64>;
/// Why.
pub type Reason = Text<1, 200>;
/// What there is to say.
pub type Note = Text<0, 500>;

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<String> for Text<MIN, MAX> {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let length = text.chars().count();
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            Err("control characters are not allowed in texts".to_owned())
        } else if length > 0 && MIN > 0 && text.trim().is_empty() {
            Err("a text of blanks only".to_owned())
        } else if !(MIN..=MAX).contains(&length) {
            Err(format!("a text of {length} characters, where {MIN} to {MAX} are allowed"))
        } else {
            Ok(Self(text))
        }
    }
}

impl<const MIN: usize, const MAX: usize> std::str::FromStr for Text<MIN, MAX> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl<const MIN: usize, const MAX: usize> JsonSchema for Text<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Text{MIN}To{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = match MIN {
            0 => r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*$",
            _ => {
                r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*$"
            }
        };
        json_schema!({ "type": "string", "minLength": MIN, "maxLength": MAX, "pattern": pattern })
    }
}

/// A payload that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Malformed {
    /// The command's id, if that much could be read.
    pub id: Option<CommandId>,
    /// What is wrong with it; short, whatever came.
    pub detail: String,
}

impl Malformed {
    /// A payload of so many bytes, which are more than [`MAX_COMMAND_BYTES`].
    pub fn too_large(bytes: usize) -> Self {
        Self { id: None, detail: format!("{bytes} bytes are too many for a command: {MAX_COMMAND_BYTES} at the most") }
    }
}

/// Reads a command.
///
/// # Errors
/// What is wrong with it, and its id where that can be read.
pub fn read<C: DeserializeOwned>(payload: &[u8]) -> Result<C, Malformed> {
    if payload.len() > MAX_COMMAND_BYTES {
        return Err(Malformed::too_large(payload.len()));
    }
    // An array would be taken by position, which nobody has been promised.
    if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Malformed { id: None, detail: "a command is a JSON object".to_owned() });
    }
    serde_json::from_slice(payload)
        .map_err(|error| Malformed { id: read_id(payload), detail: shortened(&error.to_string()) })
}

/// Reads a time of a command: RFC 3339 with an offset, from 2000 to 2199. Times before these had offsets that RFC 3339 cannot
/// write.
///
/// # Errors
/// It is none.
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<jiff::Timestamp, D::Error> {
    let time = jiff::Timestamp::deserialize(deserializer)?;
    // 2000-01-01 and 2200-01-01, in UTC.
    match time.as_second() {
        946_684_800..7_258_118_400 => Ok(time),
        _ => Err(D::Error::custom(format!("{time} is not between 2000 and 2199"))),
    }
}

/// Reads a [`time`] or null.
///
/// # Errors
/// It is neither.
pub fn optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<jiff::Timestamp>, D::Error> {
    #[derive(Deserialize)]
    struct Time(#[serde(deserialize_with = "time")] jiff::Timestamp);
    Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
}

/// The id of a command of which nothing else is known.
pub fn read_id(payload: &[u8]) -> Option<CommandId> {
    #[derive(Deserialize)]
    struct IdOnly {
        id: CommandId,
    }
    serde_json::from_slice(payload).ok().map(|IdOnly { id }| id)
}

/// The answer to a command that this version does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownCommandAnswer {
    /// The command's id; missing where none could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Always refused.
    pub result: CommandResult,
    /// Always `unknown_command`.
    pub reason: String,
}

impl UnknownCommandAnswer {
    /// The answer.
    pub fn new(id: Option<CommandId>) -> Self {
        Self { id, result: CommandResult::Refused, reason: "unknown_command".to_owned() }
    }
}

/// Whether a command was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandResult {
    /// It was.
    Done,
    /// It was not, and changed nothing.
    Refused,
}

impl CommandResult {
    /// The word for it in messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// At most [`MAX_DETAIL`] characters: an error may quote what came.
fn shortened(detail: &str) -> String {
    match detail.char_indices().nth(MAX_DETAIL) {
        Some((end, _)) => format!("{}…", &detail[..end]),
        None => detail.to_owned(),
    }
}

/// Whether a command comes in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeliness {
    /// It does.
    InTime,
    /// It comes too late.
    Expired,
    /// It would be valid for longer than [`LONGEST_LIFE`].
    TooLong,
    /// The clock is not synchronised.
    Unknown,
}

impl Timeliness {
    /// Of a command that expires then.
    pub fn of(expires: jiff::Timestamp, now: Moment) -> Self {
        let left = expires.duration_since(now.wall);
        if !now.synchronised {
            Self::Unknown
        } else if left.is_negative() || left.is_zero() {
            Self::Expired
        } else if left.unsigned_abs() > LONGEST_LIFE {
            Self::TooLong
        } else {
            Self::InTime
        }
    }
}

/// A command that has been answered, and its answer. To be stored under the command's name and id, together with what the
/// command changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered<C, A> {
    /// The command as it came.
    pub command: C,
    /// What was answered.
    pub answer: A,
}

/// Answers to commands that expired before this need not be kept any longer; none may be forgotten while the clock is not
/// synchronised.
pub fn forget_expired_before(now: Moment) -> Option<jiff::Timestamp> {
    now.synchronised.then(|| now.wall.saturating_sub(KEPT_AFTER).unwrap_or(jiff::Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Mono;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Any {
        id: CommandId,
        by: Who,
        note: Option<Note>,
    }

    #[test]
    fn texts_have_limits_in_characters() {
        assert!("张".repeat(64).parse::<Who>().is_ok());
        for bad in ["", "  \t", "a\0b", "\u{7f}", &"张".repeat(65)] {
            assert!(bad.parse::<Who>().is_err(), "{bad:?}");
        }
        assert!("".parse::<Note>().is_ok());
        assert!("first line\nsecond line".parse::<Note>().is_ok());
        for bad in ["", "a b", "张", &"x".repeat(65)] {
            assert!(bad.parse::<CommandId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_command_in_its_longest_spelling_fits() {
        let spelt = |length: usize| "\\u5f20".repeat(length);
        let payload = format!(r#"{{ "id": "{}", "by": "{}", "note": "{}" }}"#, "x".repeat(64), spelt(64), spelt(500));
        let read: Any = read(payload.as_bytes()).unwrap();
        assert_eq!(read.note.unwrap().as_str().chars().count(), 500);
        assert!(payload.len() * 2 < MAX_COMMAND_BYTES);
    }

    #[test]
    fn what_is_wrong_is_said_briefly_and_to_whom_it_concerns() {
        let error = read::<Any>(br#"{ "id": "7", "by": 3 }"#).unwrap_err();
        assert_eq!(error.id, Some("7".parse().unwrap()));
        let error = read::<Any>(format!(r#"{{ "id": "7", "by": 1, {}"#, "[".repeat(9_000)).as_bytes()).unwrap_err();
        assert!(error.detail.chars().count() <= MAX_DETAIL + 1, "{error}");
        let error = read::<Any>(&[b' '; MAX_COMMAND_BYTES + 1]).unwrap_err();
        assert_eq!(error.id, None);
        assert!(error.detail.contains("too many"), "{error}");
    }

    #[test]
    fn only_an_object_is_a_command_and_times_are_such_as_can_be_written() {
        let error = read::<Any>(br#" ["7", "Li", null]"#).unwrap_err();
        assert_eq!((error.id, error.detail.as_str()), (None, "a command is a JSON object"));
        #[derive(Debug, Deserialize)]
        struct Times {
            #[serde(deserialize_with = "time")]
            at: jiff::Timestamp,
            #[serde(default, deserialize_with = "optional_time")]
            until: Option<jiff::Timestamp>,
        }
        let times: Times = read(br#"{ "at": "2026-03-01T08:00:00+08:00", "until": null }"#).unwrap();
        assert_eq!((times.at.to_string().as_str(), times.until), ("2026-03-01T00:00:00Z", None));
        for bad in ["1900-06-01T00:00:00+08:00", "0000-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z"]
        {
            assert!(read::<Times>(format!(r#"{{ "at": "{bad}" }}"#).as_bytes()).is_err(), "{bad}");
            let until = format!(r#"{{ "at": "2026-03-01T00:00:00Z", "until": "{bad}" }}"#);
            assert!(read::<Times>(until.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_synchronised_clock_tells_whether_a_command_comes_in_time() {
        let expires: jiff::Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let at = |wall: &str, synchronised| Moment { mono: Mono(0), wall: wall.parse().unwrap(), synchronised };
        let judge = |wall, synchronised| Timeliness::of(expires, at(wall, synchronised));
        assert_eq!(judge("2026-02-28T23:59:59Z", true), Timeliness::InTime);
        assert_eq!(judge("2026-03-01T00:00:00Z", true), Timeliness::Expired);
        assert_eq!(judge("2026-02-20T00:00:00Z", true), Timeliness::TooLong);
        assert_eq!(judge("1970-01-01T00:00:00Z", false), Timeliness::Unknown);
        let may_be_forgotten = |now| forget_expired_before(now).is_some_and(|before| expires < before);
        assert!(!may_be_forgotten(at("2026-03-01T12:00:00Z", true)));
        assert!(!may_be_forgotten(at("2036-03-01T12:00:00Z", false)));
        assert!(may_be_forgotten(at("2026-03-02T00:00:01Z", true)));
    }

    proptest! {
        #[test]
        fn no_payload_does_harm(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Err(error) = read::<Any>(&payload) {
                prop_assert!(error.detail.chars().count() <= MAX_DETAIL + 1);
            }
        }
    }
}
