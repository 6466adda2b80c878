//! The lines of an export.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use snowgate_core::{ids::Id, time::BootId};

use crate::store::{Class, Message, RowId, WaitingMessage};

/// What the first line says it is.
pub(super) const FORMAT: &str = "snowgate-outbox";
/// The version this program writes and reads.
pub(super) const VERSION: u32 = 1;
/// The largest message: no MQTT packet of this program is larger.
pub(super) const MAX_MESSAGE: usize = 64 << 20;
/// The longest first line in bytes.
pub(super) const MAX_HEADER: usize = 4096;
/// The longest line in bytes: the largest message in base64, and room for what stands beside it.
pub(super) const MAX_LINE: usize = MAX_MESSAGE / 3 * 4 + (1 << 20);

/// The first line: what this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Always `snowgate-outbox`.
    pub(super) format: String,
    /// Version of the format.
    pub(super) version: u32,
    /// Whose messages they are.
    pub gateway: Id,
    /// The boot the store was last used in.
    pub boot_id: BootId,
    /// When the file was written.
    pub created_at: Timestamp,
    /// Whether the clock that says so was synchronised.
    pub clock_synchronised: bool,
    /// SHA-256 of the public key that belongs to the signature (SubjectPublicKeyInfo, DER), as hex.
    pub signing_key: String,
    /// How many messages follow.
    pub messages: u64,
}

/// As much of the first line as tells whether the rest can be understood.
#[derive(Deserialize)]
pub(super) struct Kind {
    pub(super) format: String,
    pub(super) version: u32,
}

/// A message as a line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    row: i64,
    #[serde(borrow)]
    class: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    lane: Option<Cow<'a, str>>,
    #[serde(borrow)]
    topic: Cow<'a, str>,
    retain: bool,
    committed_at: Timestamp,
    synchronised: bool,
    /// Base64 (RFC 4648 §4, padded).
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

impl<'a> From<&'a WaitingMessage> for Line<'a> {
    fn from(WaitingMessage { row, committed_at, synchronised, message }: &'a WaitingMessage) -> Self {
        Self {
            row: row.0,
            class: message.class.as_str().into(),
            lane: message.lane.as_deref().map(Cow::from),
            topic: message.topic.as_str().into(),
            retain: message.retain,
            committed_at: *committed_at,
            synchronised: *synchronised,
            payload: openssl::base64::encode_block(&message.payload).into(),
        }
    }
}

impl Line<'_> {
    /// The message, or what is wrong with it.
    pub(super) fn into_message(self) -> Result<WaitingMessage, String> {
        let Some(class) = Class::from_word(&self.class) else {
            return Err(format!("there is no class `{}`", self.class));
        };
        let Ok(payload) = openssl::base64::decode_block(&self.payload) else {
            return Err("its payload is not base64".to_owned());
        };
        let (lane, topic) = (self.lane.map(Cow::into_owned), self.topic.into_owned());
        let message = Message { class, lane, topic, payload, retain: self.retain, origin: None };
        if !message.has_valid_topic() {
            return Err(format!("{:?} is no topic to publish to", message.topic));
        }
        if message.packet_bytes() > MAX_MESSAGE as u64 {
            return Err(format!("its message is larger than {MAX_MESSAGE} bytes"));
        }
        let (committed_at, synchronised) = (self.committed_at, self.synchronised);
        Ok(WaitingMessage { row: RowId(self.row), committed_at, synchronised, message })
    }
}

/// What is sealed: its kind and version.
pub(super) fn sealed() -> String {
    format!("{FORMAT} {VERSION}")
}
