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
static EVIDENCE_AGE: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_evidence_oldest_age_seconds", "Age of the oldest evidence file.", &[]));
static EVIDENCE_PROTECTED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let help = "Bytes of evidence files that are held, or younger than they must become.";
    gauge("snowgate_evidence_protected_bytes", help, &[])
});
static EVIDENCE_DELETED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_evidence_deleted_total", "Evidence files deleted.", &["reason"]));
static EVIDENCE_UNDELETABLE: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_evidence_delete_failures_total", "Evidence files that should be deleted and could not be.", &[])
});

static ACCESSES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Entries of the access log: who asked to see something, what was exported, held, released and deleted.";
    counter("snowgate_access_log_entries_total", help, &["action", "granted"])
});
static ACCESS_LOG_BREAKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_access_log_breaks_total", "Access logs found altered or cut off, and put aside.", &[])
});

/// There is one more entry in the access log.
pub struct Accessed {
    /// `verify`, `export`, `hold`, `release`, `delete`.
    pub action: &'static str,
    /// Whether it was granted.
    pub granted: bool,
}

impl Accessed {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { action, granted } = self;
        tracing::debug!(action, granted, "entered into the access log");
        ACCESSES.with_label_values(&[action, if granted { "true" } else { "false" }]).inc();
    }
}

/// The access log has been altered, or has lost lines: it is put aside.
pub struct AccessLogBroken<'a> {
    /// Where, and what is wrong there.
    pub error: &'a dyn Display,
}

impl AccessLogBroken<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        tracing::error!(error = %self.error, "the access log has been tampered with or damaged: it is put aside");
        ACCESS_LOG_BREAKS.with_label_values::<&str>(&[]).inc();
    }
}

/// What others have written into the access log cannot be read.
pub struct AccessLogUnread<'a> {
    /// Why.
    pub error: &'a dyn Display,
}

impl AccessLogUnread<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::error!(error = %self.error, "the access log cannot be read");
    }
}

/// The head of the access log cannot be published.
pub struct NotPublished<'a> {
    /// Why.
    pub error: &'a dyn Display,
}

impl NotPublished<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::error!(error = %self.error, "the head of the access log cannot be published");
    }
}

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
    /// In a word: `queue_full`, `gave_way`, `stopping`, `unavailable`, `model`, `picture`, `too_large`, `panic`, `no_room`, `protected`, `disk`.
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

/// How old evidence is, and how much of it must be kept.
pub struct EvidenceAged {
    /// The age of the oldest file.
    pub oldest: Duration,
    /// Bytes that are held, or younger than they must become.
    pub kept: u64,
}

impl EvidenceAged {
    /// Sets the gauges.
    pub fn emit(self) {
        EVIDENCE_AGE.with_label_values::<&str>(&[]).set(i64::try_from(self.oldest.as_secs()).unwrap_or(i64::MAX));
        EVIDENCE_PROTECTED.with_label_values::<&str>(&[]).set(i64::try_from(self.kept).unwrap_or(i64::MAX));
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
