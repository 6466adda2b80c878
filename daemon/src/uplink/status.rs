//! What the gateway says of itself: whether it is online, and what it had to give up.

use serde::Serialize;
use snowgate_core::{ids::Id, time::BootId};

use super::Shared;
use crate::store::Gap;

#[derive(Serialize)]
struct Status<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    gateway: &'a Id,
    boot_id: &'a BootId,
    version: &'static str,
}

#[derive(Serialize)]
struct Lost<'a> {
    gateway: &'a Id,
    class: &'static str,
    reason: &'static str,
    /// Zero where the number is not known.
    messages: u64,
    bytes: u64,
    first_committed_at: jiff::Timestamp,
    last_committed_at: jiff::Timestamp,
}

/// Retained while connected.
pub(super) fn online(shared: &Shared) -> Vec<u8> {
    status(shared, "online", None)
}

/// Retained after a clean stop.
pub(super) fn stopped(shared: &Shared) -> Vec<u8> {
    status(shared, "offline", Some("stopped"))
}

/// The last will.
pub(super) fn lost(shared: &Shared) -> Vec<u8> {
    status(shared, "offline", Some("connection_lost"))
}

fn status(shared: &Shared, state: &'static str, reason: Option<&'static str>) -> Vec<u8> {
    json(&Status {
        state,
        reason,
        gateway: &shared.gateway,
        boot_id: shared.clock.boot_id(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// The report of a loss.
pub(super) fn gap(gateway: &Id, gap: &Gap) -> Vec<u8> {
    json(&Lost {
        gateway,
        class: gap.class.as_str(),
        reason: gap.reason.as_str(),
        messages: gap.messages,
        bytes: gap.bytes,
        first_committed_at: gap.first.wall,
        last_committed_at: gap.last.wall,
    })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Plain structs of strings and numbers: nothing in them can fail to be JSON.
    serde_json::to_vec(value).unwrap_or_default()
}
