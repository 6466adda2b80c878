//! What is committed: incidents, and the messages that announce them.

use std::time::Duration;

use snowgate_core::time::{Moment, Mono};

/// What a message is about, the most important first: where space or bandwidth is short, the later ones give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A report of messages that were lost. Few and small by construction, so it has no quota and is never evicted.
    Gap = 0,
    /// A revision of an incident.
    Incident = 1,
    /// The answer to a command of the grid system.
    DispositionAck = 2,
    /// A still that goes with an incident.
    Evidence = 3,
    /// Counts of a day.
    Summary = 4,
    /// Sensor readings.
    Telemetry = 5,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 6;

    /// Every class, the most important first.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Gap, Self::Incident, Self::DispositionAck, Self::Evidence, Self::Summary, Self::Telemetry];

    /// The word that stands for it in metrics and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Incident => "incident",
            Self::DispositionAck => "disposition_ack",
            Self::Evidence => "evidence",
            Self::Summary => "summary",
            Self::Telemetry => "telemetry",
        }
    }

    /// Its place in [`Class::ALL`], and its number in the file.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The class that a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|index| Self::ALL.get(index)).copied()
    }
}

/// Bytes of an MQTT 3.1.1 PUBLISH packet with a packet identifier (§2.2.3 and §3.3 of the standard).
pub fn publish_packet_bytes(topic: usize, payload: usize) -> u64 {
    let remaining = 2 + topic as u64 + 2 + payload as u64;
    let length_bytes = match remaining {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    };
    1 + length_bytes + remaining
}

/// A message to be published, at least once, after it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub class: Class,
    /// Messages of one class and one lane (an incident id) leave in the order they were committed.
    pub lane: Option<String>,
    /// MQTT topic: not empty, without wildcards.
    pub topic: String,
    /// MQTT payload.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// Arrival of the frame that completed the condition, for the frame-to-publish time.
    pub origin: Option<Mono>,
}

impl Message {
    /// Bytes of its packet.
    pub fn packet_bytes(&self) -> u64 {
        publish_packet_bytes(self.topic.len(), self.payload.len())
    }

    /// Bytes it takes in the store: its parts, and its row and index entries.
    pub(super) fn stored_bytes(&self) -> u64 {
        const ROW: u64 = 96;
        ROW + (self.topic.len() + self.payload.len() + self.lane.as_ref().map_or(0, String::len)) as u64
    }

    /// Whether MQTT allows its topic: 1 to 65,535 bytes, no wildcards, no NUL.
    pub fn has_valid_topic(&self) -> bool {
        let length = self.topic.len();
        (1..=usize::from(u16::MAX)).contains(&length) && !self.topic.contains(['+', '#', '\0'])
    }
}

/// The newest revision of one incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRecord {
    /// Its ULID.
    pub id: String,
    /// Greater than that of every revision committed before.
    pub revision: u32,
    /// Whether the scene still shows it.
    pub scene_active: bool,
    /// Whether people have finished with it.
    pub finished: bool,
    /// All that is known of it.
    pub json: Vec<u8>,
}

/// A command and its answer, as they are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// What it is: `disposition`, `verify`.
    pub name: String,
    /// Its id; one of the same name that comes again replaces what was remembered.
    pub id: String,
    /// When it expires.
    pub expires: jiff::Timestamp,
    /// Whether it is not finished yet: a verification that is still looking.
    pub open: bool,
    /// The command and its answer.
    pub json: Vec<u8>,
}

/// What changes together: all of it is on disk, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// New incidents and new revisions of known ones.
    pub incidents: Vec<IncidentRecord>,
    /// Commands that were answered, and what has become of them since.
    pub commands: Vec<CommandRecord>,
    /// The day's summary as it stands.
    pub day: Option<Vec<u8>>,
    /// The messages that announce them, in the order they are to leave.
    pub messages: Vec<Message>,
}

/// Proof that a [`Commit`] is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitReceipt {
    /// The row of its last message; that of the newest message ever if it held none.
    pub last_row: RowId,
}

/// A message's place in the outbox: greater than that of every message before it, and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RowId(pub i64);

/// A message as it waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place.
    pub row: RowId,
    /// The message; its `origin` is left out when another boot committed it, whose clock cannot be compared.
    pub message: Message,
}

/// Why messages were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// Their class was over its quota.
    Quota = 0,
    /// They were larger than the largest packet the broker takes, which has been lowered since they were committed.
    Oversize = 1,
    /// The store was corrupt and has been set aside; how many messages it held is not known.
    Corrupt = 2,
    /// The store is that of a backup; how many messages there have been since is not known.
    Restored = 3,
}

impl LossReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Quota, Self::Oversize, Self::Corrupt, Self::Restored];

    /// The word that stands for it in metrics and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Oversize => "oversize",
            Self::Corrupt => "corrupt_store",
            Self::Restored => "restored_backup",
        }
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as i64 == number)
    }
}

/// When something was committed, as well as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitTime {
    /// By the wall clock; put right since, where it was not synchronised and the same boot learnt the time later.
    pub wall: jiff::Timestamp,
    /// Whether that is right.
    pub synchronised: bool,
    /// By the monotonic clock, where it was in the present boot.
    pub mono: Option<Mono>,
}

impl CommitTime {
    /// How long ago that is. What was committed in this boot is told by the monotonic clock alone, so that no jump of the
    /// wall clock makes it young or old. What is of an earlier boot is at least as old as this one, and more where both wall
    /// times are known to be right.
    pub fn age(&self, now: Moment) -> Duration {
        if let Some(mono) = self.mono {
            return now.mono.since(mono);
        }
        let this_boot = now.mono.since(Mono(0));
        if !(self.synchronised && now.synchronised) {
            return this_boot;
        }
        Duration::try_from(now.wall.duration_since(self.wall)).unwrap_or_default().max(this_boot)
    }
}

/// Messages of one class that were given up for one reason and will never leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// What they were about.
    pub class: Class,
    /// Why they were given up.
    pub reason: LossReason,
    /// How many; zero where that is not known.
    pub messages: u64,
    /// Their bytes in the store.
    pub bytes: u64,
    /// When the first of them was committed: the one that would have left first.
    pub first: CommitTime,
    /// When the last of them was committed.
    pub last: CommitTime,
}

/// What one class has waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassStatus {
    /// Messages.
    pub messages: u64,
    /// Bytes in the store.
    pub bytes: u64,
    /// When the oldest was committed.
    pub oldest: Option<CommitTime>,
}

/// What the outbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxStatus {
    /// By [`Class::index`].
    pub classes: [ClassStatus; Class::COUNT],
    /// The newest message ever committed.
    pub last_row: RowId,
    /// Losses not yet announced.
    pub gaps: u64,
}

impl OutboxStatus {
    /// What one class has waiting.
    pub fn of(&self, class: Class) -> ClassStatus {
        self.classes[class.index()]
    }

    /// Messages of all classes.
    pub fn messages(&self) -> u64 {
        self.classes.iter().map(|class| class.messages).sum()
    }
}
