//! Events of the configuration.

use std::{path::Path, sync::LazyLock, time::Duration};

use prometheus::{IntCounterVec, IntGaugeVec};

use super::{counter, gauge};

static LAST_LOAD: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_config_last_load_successful",
        "1 if the configuration that lies in the directory runs, 0 if it was refused and the one before runs.",
        &[],
    )
});
static GENERATION: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge("snowgate_config_generation", "How many configurations have been in force since the daemon started.", &[])
});
static RELOADS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_config_reloads_total",
        "Times the configuration was read again, by what came of it: taken, refused, restart.",
        &["result"],
    )
});

/// The configuration that was given runs.
pub struct Loaded<'a> {
    /// Where it was read from.
    pub directory: &'a Path,
    /// Its digest.
    pub digest: &'a str,
}

impl Loaded<'_> {
    /// Logs it and sets the gauge.
    pub fn emit(self) {
        LAST_LOAD.with_label_values::<&str>(&[]).set(1);
        GENERATION.with_label_values::<&str>(&[]).set(1);
        tracing::info!(directory = %self.directory.display(), digest = self.digest, "configuration loaded");
    }
}

/// The configuration that was given cannot be used; the last good one runs.
pub struct LastGoodUsed<'a> {
    /// What cannot be used.
    pub directory: &'a Path,
    /// How many errors it has; each has been logged.
    pub errors: usize,
}

impl LastGoodUsed<'_> {
    /// Logs it and sets the gauge.
    pub fn emit(self) {
        LAST_LOAD.with_label_values::<&str>(&[]).set(0);
        GENERATION.with_label_values::<&str>(&[]).set(1);
        tracing::error!(
            directory = %self.directory.display(),
            errors = self.errors,
            "THE CONFIGURATION IS NOT USABLE: the last good one runs instead"
        );
    }
}

/// Another configuration is in force.
pub struct Reloaded<'a> {
    /// Its digest.
    pub digest: &'a str,
    /// How many have been in force.
    pub generation: u64,
    /// How long it took from the first look at the files.
    pub took: Duration,
}

impl Reloaded<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        let Self { digest, generation, took } = self;
        LAST_LOAD.with_label_values::<&str>(&[]).set(1);
        GENERATION.with_label_values::<&str>(&[]).set(i64::try_from(generation).unwrap_or(i64::MAX));
        RELOADS.with_label_values(&["taken"]).inc();
        tracing::info!(digest, generation, took_seconds = took.as_secs_f64(), "configuration reloaded");
    }
}

/// The files say what they said before.
pub struct NothingChanged<'a> {
    /// The digest of both.
    pub digest: &'a str,
}

impl NothingChanged<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::info!(digest = self.digest, "the configuration's files say what they said before");
    }
}

/// What lies in the directory cannot be used; everything stays as it was.
pub struct Refused<'a> {
    /// What cannot be used.
    pub directory: &'a Path,
    /// How many errors it has; each has been logged.
    pub errors: usize,
}

impl Refused<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        LAST_LOAD.with_label_values::<&str>(&[]).set(0);
        RELOADS.with_label_values(&["refused"]).inc();
        tracing::error!(
            directory = %self.directory.display(),
            errors = self.errors,
            "THE CHANGED CONFIGURATION IS REFUSED: everything stays as it was"
        );
    }
}

/// Another configuration can only be followed from a new start.
pub struct StartingAnew<'a> {
    /// The sections of gateway.toml that differ; none where models do.
    pub sections: &'a [&'static str],
}

impl StartingAnew<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        RELOADS.with_label_values(&["restart"]).inc();
        let sections = if self.sections.is_empty() { "models".to_owned() } else { self.sections.join(", ") };
        tracing::warn!(sections, "what the daemon is built upon has changed: it starts anew");
    }
}
