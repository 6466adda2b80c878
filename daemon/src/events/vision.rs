//! What happens in vision.

use std::{sync::LazyLock, time::Duration};

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use snowgate_core::ids::Id;
use tracing::{info, warn};

static INFERENCE: LazyLock<HistogramVec> = LazyLock::new(|| {
    super::seconds_histogram(
        "snowgate_inference_seconds",
        "Time to prepare, run and decode one region, by model",
        &["model"],
        &[0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032, 0.048, 0.064, 0.128, 0.256, 0.512],
    )
});
static INFERRED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    super::counter("snowgate_frames_inferred_total", "Pictures of which at least one region was inferred", &["camera"])
});
static REGIONS: LazyLock<IntCounterVec> =
    LazyLock::new(|| super::counter("snowgate_regions_total", "Regions inferred", &["camera", "model"]));
static REGIONS_CUT: LazyLock<IntCounterVec> = LazyLock::new(|| {
    super::counter(
        "snowgate_regions_cut_total",
        "Regions left out because a picture may have only so many",
        &["camera", "model"],
    )
});
static MOTION: LazyLock<IntCounterVec> = LazyLock::new(|| {
    super::counter("snowgate_motion_pictures_total", "Pictures in which something moved", &["camera"])
});
static TRACKS: LazyLock<IntGaugeVec> =
    LazyLock::new(|| super::gauge("snowgate_tracks", "Things followed at present", &["camera"]));
static MODEL_INFO: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    super::gauge(
        "snowgate_model_info",
        "1 for each model file opened since the start: its precision, what runs it, its SHA-256",
        &["model", "precision", "provider", "sha256"],
    )
});
static PROVIDERS_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    super::counter(
        "snowgate_model_provider_refusals_total",
        "Execution providers that could not run a model, so that the next one was tried",
        &["model", "provider"],
    )
});

/// One region went through a model. Counted only.
pub struct RegionInferred<'a> {
    /// The model's manifest id.
    pub model: &'a Id,
    /// Time it took.
    pub took: Duration,
}

impl RegionInferred<'_> {
    /// Counts it.
    pub fn emit(self) {
        INFERENCE.with_label_values(&[self.model.as_str()]).observe(self.took.as_secs_f64());
    }
}

/// A model was shown its regions of one picture. Counted only.
pub struct RegionsLookedAt<'a> {
    /// The camera.
    pub camera: &'a Id,
    /// The model's manifest id.
    pub model: &'a Id,
    /// Regions inferred.
    pub count: usize,
    /// Regions that should have been but were one too many.
    pub cut: usize,
}

impl RegionsLookedAt<'_> {
    /// Counts it.
    pub fn emit(self) {
        let labels = [self.camera.as_str(), self.model.as_str()];
        REGIONS.with_label_values(&labels).inc_by(self.count as u64);
        REGIONS_CUT.with_label_values(&labels).inc_by(self.cut as u64);
    }
}

/// One picture of a camera was analysed. Counted only.
pub struct PictureAnalysed<'a> {
    /// The camera.
    pub camera: &'a Id,
    /// Whether something moved in it.
    pub motion: bool,
    /// Whether any region of it was inferred.
    pub inferred: bool,
    /// Things followed after it.
    pub tracks: usize,
}

impl PictureAnalysed<'_> {
    /// Counts it.
    pub fn emit(self) {
        let labels = [self.camera.as_str()];
        MOTION.with_label_values(&labels).inc_by(self.motion.into());
        INFERRED.with_label_values(&labels).inc_by(self.inferred.into());
        TRACKS.with_label_values(&labels).set(i64::try_from(self.tracks).unwrap_or(i64::MAX));
    }
}

/// A model was verified and opened.
pub struct ModelLoaded<'a> {
    /// Its manifest id.
    pub model: &'a Id,
    /// Which of its files.
    pub precision: &'a str,
    /// The execution provider that runs all of it.
    pub provider: &'a str,
    /// The file's digest, hexadecimal.
    pub sha256: &'a str,
    /// Time it took.
    pub took: Duration,
}

impl ModelLoaded<'_> {
    /// Logs it, and shows it as `snowgate_model_info`.
    pub fn emit(self) {
        let Self { model, precision, provider, sha256, took } = self;
        MODEL_INFO.with_label_values(&[model.as_str(), precision, provider, sha256]).set(1);
        info!(%model, precision, provider, sha256, ?took, "model loaded");
    }
}

/// A model does not run on an execution provider that the configuration prefers: the next one is tried.
pub struct ProviderRefused<'a> {
    /// The model's manifest id.
    pub model: &'a Id,
    /// The provider.
    pub provider: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl ProviderRefused<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        let Self { model, provider, reason } = self;
        PROVIDERS_REFUSED.with_label_values(&[model.as_str(), provider]).inc();
        warn!(%model, provider, reason, "the execution provider cannot run the model: the next one is tried");
    }
}
