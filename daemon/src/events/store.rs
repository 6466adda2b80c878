//! Events of the `store` module.

use std::{error::Error, path::Path, sync::LazyLock, time::Duration};

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};
use tracing::{debug, error, warn};

use super::{Chain, counter, float_gauge, gauge, seconds_histogram};

static COMMITS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
    seconds_histogram(
        "snowgate_store_commit_seconds",
        "Time from asking for a commit until it is on disk.",
        &[],
        &buckets,
    )
});
static FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_store_commit_failures_total", "Commits refused or failed, by reason.", &["reason"])
});
static LOST: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_outbox_lost_messages_total", "Messages given up before they were sent.", &["class", "reason"])
});
static FORGOTTEN_INCIDENTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_store_forgotten_incidents_total", "Incidents forgotten for space, by what they were.", &["state"])
});
static FORGOTTEN_COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_store_forgotten_commands_total", "Commands forgotten for space before their time.", &[])
});
static MESSAGES: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_outbox_messages", "Messages waiting for the broker.", &["class"]));
static BYTES: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_outbox_bytes", "Bytes waiting for the broker.", &["class"]));
static AGE: LazyLock<GaugeVec> = LazyLock::new(|| {
    float_gauge("snowgate_outbox_oldest_age_seconds", "Age of the oldest message waiting for the broker.", &["class"])
});
static SET_ASIDE: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_store_set_aside_total", "Damaged stores that were set aside.", &[]));

/// A commit was asked for and answered.
pub(crate) struct Committed<'a> {
    pub took: Duration,
    /// A word for the reason, and the error, if it failed.
    pub failure: Option<(&'static str, &'a dyn Error)>,
}

impl Committed<'_> {
    pub(crate) fn emit(self) {
        COMMITS.with_label_values::<&str>(&[]).observe(self.took.as_secs_f64());
        if let Some((reason, failure)) = self.failure {
            FAILURES.with_label_values(&[reason]).inc();
            error!(reason, error = %Chain(failure), "commit failed");
        }
    }
}

/// Messages were given up.
pub(crate) struct MessagesLost {
    pub class: &'static str,
    pub reason: &'static str,
    pub messages: u64,
}

impl MessagesLost {
    pub(crate) fn emit(self) {
        LOST.with_label_values(&[self.class, self.reason]).inc_by(self.messages);
        warn!(class = self.class, reason = self.reason, messages = self.messages, "messages given up unsent");
    }
}

/// Incidents gave way to newer ones.
pub(crate) struct IncidentsForgotten {
    /// `finished`, `unfinished` (people had not finished with them) or `active` (the scene still showed them).
    pub state: &'static str,
    pub incidents: u64,
}

impl IncidentsForgotten {
    pub(crate) fn emit(self) {
        FORGOTTEN_INCIDENTS.with_label_values(&[self.state]).inc_by(self.incidents);
        let Self { state, incidents } = self;
        match state {
            "finished" => debug!(state, incidents, "the oldest incidents were forgotten for space"),
            _ => warn!(
                state,
                incidents, "incidents were forgotten for space; commands about them will find them unknown"
            ),
        }
    }
}

/// Commands gave way to newer ones before they could be forgotten.
pub(crate) struct CommandsForgotten {
    pub commands: u64,
}

impl CommandsForgotten {
    pub(crate) fn emit(self) {
        FORGOTTEN_COMMANDS.with_label_values::<&str>(&[]).inc_by(self.commands);
        warn!(
            commands = self.commands,
            "commands were forgotten for space; if they come again, they are taken for new"
        );
    }
}

/// What one class has waiting, now.
pub(crate) struct OutboxHeld {
    pub class: &'static str,
    pub messages: u64,
    pub bytes: u64,
    pub oldest_age_seconds: f64,
}

impl OutboxHeld {
    pub(crate) fn emit(self) {
        MESSAGES.with_label_values(&[self.class]).set(i64::try_from(self.messages).unwrap_or(i64::MAX));
        BYTES.with_label_values(&[self.class]).set(i64::try_from(self.bytes).unwrap_or(i64::MAX));
        AGE.with_label_values(&[self.class]).set(self.oldest_age_seconds);
    }
}

/// A damaged store was set aside.
pub(crate) struct SetAside<'a> {
    pub path: &'a Path,
    pub reason: &'a str,
}

impl SetAside<'_> {
    pub(crate) fn emit(self) {
        SET_ASIDE.with_label_values::<&str>(&[]).inc();
        error!(path = %self.path.display(), reason = self.reason, "the store was damaged and has been set aside");
    }
}

/// The state of the outbox could not be read after a transaction.
pub(crate) struct StatusUnknown<'a> {
    pub error: &'a dyn Error,
}

impl StatusUnknown<'_> {
    pub(crate) fn emit(self) {
        warn!(error = %Chain(self.error), "the state of the outbox cannot be read");
    }
}

/// The file has turned out to be damaged while it was in use.
pub(crate) struct Damaged {}

impl Damaged {
    pub(crate) fn emit(self) {
        error!("the store is damaged: it stops, and the next start sets it aside");
    }
}

/// The file could not be closed properly: the log is left, and the next start reads it.
pub(crate) struct CloseFailed<'a> {
    pub error: &'a dyn Error,
}

impl CloseFailed<'_> {
    pub(crate) fn emit(self) {
        warn!(error = %Chain(self.error), "the store could not be closed");
    }
}

/// The store's thread panicked.
pub(crate) struct WriterDied {}

impl WriterDied {
    pub(crate) fn emit(self) {
        error!("the store's thread died");
    }
}
