//! What the gateway says of itself: whether it is online, and what it had to give up.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use snowgate_core::{choice, ids::Id, time::BootId};

use super::Shared;
use crate::store::{Class, Gap, LossReason};

choice! {
    /// Whether the gateway is connected to the broker.
    pub enum Presence {
        /// It is.
        Online = "online",
        /// It is not.
        Offline = "offline",
    }
}

choice! {
    /// Why it is not.
    pub enum Absence {
        /// It was stopped in good order.
        Stopped = "stopped",
        /// Nobody knows: the broker says so in its stead.
        ConnectionLost = "connection_lost",
    }
}

/// Whether the gateway is online: payload of its status topic, and its last will.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Status<'a> {
    /// Whether it is.
    state: Presence,
    /// Why it is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Absence>,
    /// The gateway.
    gateway: &'a Id,
    /// The boot of the box: another one, and it has been restarted.
    boot_id: &'a BootId,
    /// Version of the daemon.
    version: &'static str,
}

impl<'a> Status<'a> {
    /// Of a gateway in this boot: online, or offline for a reason.
    pub fn new(gateway: &'a Id, boot_id: &'a BootId, reason: Option<Absence>) -> Self {
        let state = if reason.is_some() { Presence::Offline } else { Presence::Online };
        Self { state, reason, gateway, boot_id, version: env!("CARGO_PKG_VERSION") }
    }
}

/// Messages of one class that were given up for one reason and will never arrive.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GapReport<'a> {
    /// The gateway.
    gateway: &'a Id,
    /// What they were about.
    #[schemars(schema_with = "classes")]
    class: &'static str,
    /// Why they were given up.
    #[schemars(schema_with = "loss_reasons")]
    reason: &'static str,
    /// How many; 0 where the number is not known.
    messages: u64,
    /// Their bytes in the store.
    bytes: u64,
    /// When the first of them was committed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    first_committed_at: jiff::Timestamp,
    /// When the last of them was committed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    last_committed_at: jiff::Timestamp,
}

impl<'a> GapReport<'a> {
    /// The report of a loss.
    pub fn new(gateway: &'a Id, gap: &Gap) -> Self {
        Self {
            gateway,
            class: gap.class.as_str(),
            reason: gap.reason.as_str(),
            messages: gap.messages,
            bytes: gap.bytes,
            first_committed_at: gap.first.wall,
            last_committed_at: gap.last.wall,
        }
    }
}

fn classes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Class::ALL.map(Class::as_str) })
}

fn loss_reasons(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": LossReason::ALL.map(LossReason::as_str) })
}

/// Retained while connected.
pub(super) fn online(shared: &Shared) -> Vec<u8> {
    status(shared, None)
}

/// Retained after a clean stop.
pub(super) fn stopped(shared: &Shared) -> Vec<u8> {
    status(shared, Some(Absence::Stopped))
}

/// The last will.
pub(super) fn lost(shared: &Shared) -> Vec<u8> {
    status(shared, Some(Absence::ConnectionLost))
}

fn status(shared: &Shared, reason: Option<Absence>) -> Vec<u8> {
    json(&Status::new(&shared.gateway, shared.clock.boot_id(), reason))
}

/// The report of a loss.
pub(super) fn gap(gateway: &Id, gap: &Gap) -> Vec<u8> {
    json(&GapReport::new(gateway, gap))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Plain structs of strings and numbers: nothing in them can fail to be JSON.
    serde_json::to_vec(value).unwrap_or_default()
}
