//! Events of pictures between the ring and the rules.

use std::{fmt, sync::LazyLock, time::Duration};

use prometheus::{HistogramVec, IntCounterVec};

use super::{counter, seconds_histogram};

static DROPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_frames_dropped_total",
        "Decoded pictures that gave way to newer ones before inference, by policy.",
        &["camera", "policy"],
    )
});
static FAILED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_frames_failed_total", "Pictures lost to an error, by stage.", &["camera", "stage"])
});
static SLOT_WAIT: LazyLock<HistogramVec> = LazyLock::new(|| {
    seconds_histogram(
        "snowgate_slot_wait_seconds",
        "From a picture's arrival until inference takes it.",
        &["camera"],
        &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0],
    )
});

/// A picture gave way to a newer one.
pub struct PictureDropped<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Its number.
    pub number: u64,
}

impl PictureDropped<'_> {
    /// Counts it.
    pub fn emit(self) {
        DROPPED.with_label_values(&[self.camera, "drop_oldest"]).inc();
        tracing::trace!(camera = self.camera, number = self.number, "picture dropped for a newer one");
    }
}

/// A picture was too old when inference came to it.
pub struct PictureStale<'a> {
    /// Whose.
    pub camera: &'a str,
}

impl PictureStale<'_> {
    /// Counts it.
    pub fn emit(self) {
        DROPPED.with_label_values(&[self.camera, "stale"]).inc();
        tracing::trace!(camera = self.camera, "picture too old to be looked at");
    }
}

/// A picture has waited for inference.
pub struct SlotWait<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Since its arrival.
    pub waited: Duration,
}

impl SlotWait<'_> {
    /// Observes it.
    pub fn emit(self) {
        SLOT_WAIT.with_label_values(&[self.camera]).observe(self.waited.as_secs_f64());
    }
}

/// An encoded picture could not be decoded.
pub struct CannotDecode<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl CannotDecode<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        FAILED.with_label_values(&[self.camera, "decode"]).inc();
        tracing::debug!(camera = self.camera, error = %self.error, "picture not decoded");
    }
}

/// A picture could not be looked at.
pub struct CannotLook<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl CannotLook<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        FAILED.with_label_values(&[self.camera, "infer"]).inc();
        tracing::error!(camera = self.camera, error = %self.error, "picture not looked at");
    }
}
