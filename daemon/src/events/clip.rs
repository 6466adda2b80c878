//! Events of the `evidence::clip` module.

use std::{fmt::Display, sync::LazyLock, time::Duration};

use prometheus::{HistogramVec, IntCounterVec};
use snowgate_core::ids::{Id, IncidentId};

use super::{counter, seconds_histogram};

static CLIPS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_clips_total",
        "Clips of incidents made and kept, sealed ones and covered copies.",
        &["camera", "kind"],
    )
});
static CLIP_BYTES: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_clip_bytes_total", "Bytes of clips made and kept.", &["kind"]));
static CLIP_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = [5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
    seconds_histogram("snowgate_clip_seconds", "Playing time of clips made and kept.", &["kind"], &buckets)
});
static CLIPS_ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_clips_ended_total", "Ends of clips that were being followed, by what ended them.", &["reason"])
});
static CLIPS_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_clips_refused_total", "Clips that were wanted and not made.", &["kind", "reason"])
});
static COPY_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = [1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
    let help = "Time for which a thread has worked on a covered copy, rests not counted.";
    seconds_histogram("snowgate_covered_clip_work_seconds", help, &[], &buckets)
});

/// Which of an incident's clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipKind {
    /// What the camera has sent, sealed.
    Sealed,
    /// The covered copy.
    Covered,
}

impl ClipKind {
    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Covered => "covered",
        }
    }
}

/// A clip lies on disk.
pub struct ClipMade<'a> {
    /// The incident it belongs to.
    pub incident: IncidentId,
    /// The camera that took it.
    pub camera: &'a Id,
    /// Which of the incident's.
    pub kind: ClipKind,
    /// Size of the file.
    pub bytes: u64,
    /// How long it plays.
    pub duration: Duration,
    /// How many pictures it has.
    pub pictures: u64,
}

impl ClipMade<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { incident, camera, kind, bytes, duration, pictures } = self;
        let kind = kind.as_str();
        tracing::info!(%incident, %camera, kind, bytes, ?duration, pictures, "clip made");
        CLIPS.with_label_values(&[camera.as_str(), kind]).inc();
        CLIP_BYTES.with_label_values(&[kind]).inc_by(bytes);
        CLIP_SECONDS.with_label_values(&[kind]).observe(duration.as_secs_f64());
    }
}

/// A clip is not followed any more.
pub struct ClipEnded<'a> {
    /// The incident.
    pub incident: IncidentId,
    /// Its camera.
    pub camera: &'a Id,
    /// In a word: `whole`, `longest`, `size`, `interrupted`, `format`, `stopping`, or `refused` where nothing came of it.
    pub reason: &'static str,
}

impl ClipEnded<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { incident, camera, reason } = self;
        tracing::debug!(%incident, %camera, reason, "clip ends");
        CLIPS_ENDED.with_label_values(&[reason]).inc();
    }
}

/// An incident goes without a clip that was wanted.
pub struct ClipRefused<'a> {
    /// The incident.
    pub incident: IncidentId,
    /// Its camera.
    pub camera: &'a Id,
    /// Which of the incident's.
    pub kind: ClipKind,
    /// In a word: `queue_full`, `too_many`, `no_recipients`, `masked`, `not_watched`, `no_key_frame`, `too_much_footage`, `no_room`,
    /// `disk`; of a covered copy also `unavailable`, `model`, `picture`, `decoder`, `encoder`, `empty`, `panic`, `stopping`.
    pub reason: &'static str,
    /// In full.
    pub error: &'a dyn Display,
}

impl ClipRefused<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { incident, camera, kind, reason, error } = self;
        let kind = kind.as_str();
        tracing::warn!(%incident, %camera, kind, reason, %error, "no clip");
        CLIPS_REFUSED.with_label_values(&[kind, reason]).inc();
    }
}

/// A covered copy was worked on.
pub struct CopyWorked {
    /// For so long.
    pub took: Duration,
}

impl CopyWorked {
    /// Counts.
    pub fn emit(self) {
        COPY_SECONDS.with_label_values::<&str>(&[]).observe(self.took.as_secs_f64());
    }
}
