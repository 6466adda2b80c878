//! Events of the `evidence` module.

use std::{fmt::Display, sync::LazyLock, time::Duration};

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use snowgate_core::ids::{Id, IncidentId};

use super::{counter, gauge, seconds_histogram};

static STILLS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_stills_total", "Redacted stills made and kept.", &["camera"]));
static FACES_COVERED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_faces_covered_total", "Faces covered in stills.", &["camera"]));
static HEADS_COVERED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_heads_covered_total", "Head regions of people covered in stills.", &["camera"]));
static STILLS_REFUSED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_stills_refused_total", "Stills that were wanted and not made.", &["reason"]));
static STILL_MODEL_FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_still_model_failures_total", "Failed attempts to load the models that stills need.", &[])
});
static STILL_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
    seconds_histogram("snowgate_still_seconds", "Time from taking up a request to a still on disk.", &[], &buckets)
});
static EVIDENCE_BYTES: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_evidence_bytes", "Bytes of evidence files on this box.", &[]));
static EVIDENCE_DELETED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_evidence_deleted_total", "Evidence files deleted.", &["reason"]));
static EVIDENCE_UNDELETABLE: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_evidence_delete_failures_total", "Evidence files that should be deleted and could not be.", &[])
});

/// A redacted still lies on disk.
pub struct StillMade<'a> {
    /// The incident it belongs to.
    pub incident: IncidentId,
    /// The camera that took the picture.
    pub camera: &'a Id,
    /// Size of the file.
    pub bytes: usize,
    /// Faces covered.
    pub faces: u32,
    /// Heads covered.
    pub heads: u32,
    /// From taking up the request.
    pub took: Duration,
}

impl StillMade<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { incident, camera, bytes, faces, heads, took } = self;
        tracing::info!(%incident, %camera, bytes, faces, heads, ?took, "still made");
        let camera = &[camera.as_str()];
        STILLS.with_label_values(camera).inc();
        FACES_COVERED.with_label_values(camera).inc_by(faces.into());
        HEADS_COVERED.with_label_values(camera).inc_by(heads.into());
        STILL_SECONDS.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
    }
}

/// An incident goes without a still.
pub struct StillRefused<'a> {
    /// The incident.
    pub incident: IncidentId,
    /// Its camera.
    pub camera: &'a Id,
    /// In a word: `queue_full`, `gave_way`, `stopping`, `unavailable`, `model`, `picture`, `too_large`, `panic`, `no_room`, `disk`.
    pub reason: &'static str,
    /// In full.
    pub error: &'a dyn Display,
}

impl StillRefused<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { incident, camera, reason, error } = self;
        tracing::warn!(%incident, %camera, reason, %error, "no still");
        STILLS_REFUSED.with_label_values(&[reason]).inc();
    }
}

/// The models that find what must be covered cannot be loaded: until they can, there are no stills.
pub struct StillModelsFailed<'a> {
    /// Why.
    pub error: &'a dyn Display,
}

impl StillModelsFailed<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        tracing::error!(error = %self.error, "no stills can be made");
        STILL_MODEL_FAILURES.with_label_values::<&str>(&[]).inc();
    }
}

/// How much evidence there is.
pub struct EvidenceHeld {
    /// Bytes of all files.
    pub bytes: u64,
}

impl EvidenceHeld {
    /// Sets the gauge.
    pub fn emit(self) {
        EVIDENCE_BYTES.with_label_values::<&str>(&[]).set(i64::try_from(self.bytes).unwrap_or(i64::MAX));
    }
}

/// An evidence file was deleted.
pub struct EvidenceDeleted<'a> {
    /// The incident it belonged to.
    pub incident: IncidentId,
    /// Its name.
    pub name: &'a str,
    /// Its size.
    pub bytes: u64,
    /// `age`, `quota`, or `disk` where the file system ran short.
    pub reason: &'static str,
}

impl EvidenceDeleted<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { incident, name, bytes, reason } = self;
        tracing::info!(%incident, name, bytes, reason, "evidence deleted");
        EVIDENCE_DELETED.with_label_values(&[reason]).inc();
    }
}

/// An evidence file should be deleted and could not be.
pub struct EvidenceUndeletable<'a> {
    /// Why.
    pub error: &'a dyn Display,
}

impl EvidenceUndeletable<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        tracing::error!(error = %self.error, "evidence cannot be deleted");
        EVIDENCE_UNDELETABLE.with_label_values::<&str>(&[]).inc();
    }
}
