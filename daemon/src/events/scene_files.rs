//! Events of the files in which what cameras have learnt of their scenes is kept.

use std::{path::Path, sync::LazyLock};

use prometheus::IntCounterVec;
use snowgate_core::ids::Id;
use tracing::{error, info, warn};

use super::counter;

static SET_ASIDE: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_scene_files_set_aside_total", "Damaged files of learnt scenes that were set aside.", &["camera"])
});
static FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_scene_file_failures_total",
        "Files of learnt scenes that could not be read or written.",
        &["camera"],
    )
});

/// A file is damaged: it has another name now, and the camera goes on without it.
pub struct SceneFileSetAside<'a> {
    /// Whose it is.
    pub camera: &'a Id,
    /// Where it is now.
    pub path: &'a Path,
    /// What is wrong with it.
    pub reason: &'a str,
}

impl SceneFileSetAside<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { camera, path, reason } = self;
        error!(%camera, path = %path.display(), reason, "what was learnt of a scene is damaged: it is set aside");
        SET_ASIDE.with_label_values(&[camera.as_str()]).inc();
    }
}

/// A file cannot be read or written.
pub struct SceneFileFailed<'a> {
    /// Whose it is.
    pub camera: &'a Id,
    /// Which one, and why.
    pub error: &'a dyn std::fmt::Display,
}

impl SceneFileFailed<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { camera, error } = self;
        warn!(%camera, %error, "what was learnt of a scene cannot be read or kept");
        FAILURES.with_label_values(&[camera.as_str()]).inc();
    }
}

/// What a camera has adapted comes from something that it no longer has: it begins anew with what was learnt.
pub struct AdaptedDropped<'a> {
    /// Whose it is.
    pub camera: &'a Id,
    /// The file that is deleted.
    pub path: &'a Path,
}

impl AdaptedDropped<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { camera, path } = self;
        info!(%camera, path = %path.display(), "the scene has been learnt anew: what was adapted since is dropped");
    }
}
