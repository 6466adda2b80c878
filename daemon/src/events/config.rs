//! Events of the configuration.

use std::{path::Path, sync::LazyLock};

use prometheus::IntGaugeVec;

use super::gauge;

static LAST_LOAD: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge("snowgate_config_last_load_successful", "1 if the configuration was taken, 0 if the last good one runs.", &[])
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
        tracing::error!(
            directory = %self.directory.display(),
            errors = self.errors,
            "THE CONFIGURATION IS NOT USABLE: the last good one runs instead"
        );
    }
}
