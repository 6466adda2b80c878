//! What one [`Commit`] does to the tables, and what it may not exceed.

use rusqlite::Connection;
use snowgate_core::{spec::ByteSize, time::Moment};

use super::{
    clocks::Stamp,
    commands::{self, CommandLimits},
    error::StoreError,
    incidents::{self, Forgotten},
    message::{Class, Commit, CommitReceipt, LossReason, Message},
    outbox::{self, Books},
    spec::StorageSpec,
};
use crate::events::store as events;

/// What the store takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    packet: u64,
    incidents: u64,
    commands: CommandLimits,
    /// By [`Class::index`].
    classes: [u64; Class::COUNT],
}

impl Limits {
    pub(super) fn new(spec: &StorageSpec, max_packet: ByteSize) -> Self {
        let quota = |class| match class {
            Class::Gap => u64::MAX,
            Class::Incident | Class::DispositionAck => spec.incident_quota.0,
            Class::Evidence => spec.unsent_evidence_quota.0,
            Class::Summary | Class::Telemetry => spec.unsent_telemetry_quota.0,
        };
        Self {
            packet: max_packet.0,
            incidents: spec.incident_history_quota.0,
            commands: CommandLimits::DEFAULT,
            classes: Class::ALL.map(quota),
        }
    }

    /// Whether a message can be stored and sent.
    pub(super) fn check(&self, message: &Message) -> Result<(), StoreError> {
        if !message.has_valid_topic() {
            return Err(StoreError::Topic { topic: message.topic.clone() });
        }
        let bytes = message.packet_bytes();
        let limit = self.packet.min(self.classes[message.class.index()]);
        if bytes > limit || message.stored_bytes() > self.classes[message.class.index()] {
            return Err(StoreError::Oversize { topic: message.topic.clone(), bytes, limit });
        }
        Ok(())
    }
}

/// What gave way in one transaction: counted in the metrics only after it is durable.
#[derive(Debug, Default)]
pub(super) struct GivenWay {
    /// Messages, by [`Class::index`].
    pub(super) messages: [u64; Class::COUNT],
    pub(super) incidents: Forgotten,
    pub(super) commands: u64,
}

impl GivenWay {
    pub(super) fn count(&self, reason: LossReason) {
        for class in Class::ALL {
            let messages = self.messages[class.index()];
            if messages > 0 {
                events::MessagesLost { class: class.as_str(), reason: reason.as_str(), messages }.emit();
            }
        }
        let Forgotten { finished, unfinished, active } = self.incidents;
        for (state, incidents) in [("finished", finished), ("unfinished", unfinished), ("active", active)] {
            if incidents > 0 {
                events::IncidentsForgotten { state, incidents }.emit();
            }
        }
        if self.commands > 0 {
            events::CommandsForgotten { commands: self.commands }.emit();
        }
    }
}

/// Does it; `sequence` is the last event number it uses.
pub(super) fn apply(
    connection: &Connection,
    commit: &Commit,
    limits: &Limits,
    sequence: u64,
    now: Moment,
    boot: i64,
) -> Result<(CommitReceipt, GivenWay), StoreError> {
    let mut gave_way = GivenWay::default();
    for record in &commit.incidents {
        incidents::put(connection, record)?;
    }
    if !commit.incidents.is_empty() {
        gave_way.incidents = incidents::forget_oldest(connection, limits.incidents)?;
    }
    for command in &commit.commands {
        commands::put(connection, command)?;
    }
    if !commit.commands.is_empty() {
        gave_way.commands = commands::forget_surplus(connection, limits.commands)?;
    }
    if let Some(day) = &commit.day {
        commands::put_day(connection, day)?;
    }
    let mut last_row = None;
    let mut touched = [false; Class::COUNT];
    let (mut books, stamp) = (Books::default(), Stamp::new(now, boot));
    for message in &commit.messages {
        last_row = Some(outbox::put(connection, message, stamp, &mut books)?);
        touched[message.class.index()] = true;
    }
    books.write(connection)?;
    for class in Class::ALL.into_iter().filter(|class| touched[class.index()]) {
        gave_way.messages[class.index()] = outbox::evict(connection, class, limits.classes[class.index()])?;
    }
    connection
        .prepare_cached("UPDATE meta SET value = max(value, ?1), inverse = ~max(value, ?1) WHERE key = 'sequence'")?
        .execute([sequence])?;
    let last_row = match last_row {
        Some(row) => row,
        None => outbox::last_row(connection)?,
    };
    Ok((CommitReceipt { last_row }, gave_way))
}
