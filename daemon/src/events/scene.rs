//! Events of what cameras' key frames are fit for.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGaugeVec};
use snowgate_core::{
    ids::Id,
    scene::{Light, anomaly::Region},
};

use super::{counter, gauge, set_one_of};

static CONDITION: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_camera_condition",
        "1 for what is wrong with the pictures of a camera, 0 for the rest; all 0 where nothing is.",
        &["camera", "condition"],
    )
});
static VIEWS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_camera_views_known",
        "Views of a camera that have been learnt, by light; without one, nothing is told of moved, another scene, out of focus.",
        &["camera", "light"],
    )
});
static WATCHED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_scene_watched",
        "1 where a camera's scene is watched for what was never there, 0 where it is being learnt, by light.",
        &["camera", "light"],
    )
});
static LOOKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_scene_looks_total",
        "Key frames that were looked at for what was never in a camera's scene.",
        &["camera"],
    )
});
static GAVE_WAY: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_scene_looks_gave_way_total",
        "Key frames that were to be looked at for a scene's sake and gave way to the next: there was always something else to infer.",
        &["camera"],
    )
});
static THINGS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge("snowgate_scene_unknown_things", "Things in a camera's scene that were never there, and stay.", &["camera"])
});
static STRANGE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_scene_wholly_strange",
        "1 while so much of a camera's scene is strange at once that nothing is told of single things.",
        &["camera"],
    )
});

/// What was learnt of a camera's scene is forgotten.
pub struct SceneForgotten<'a> {
    /// Whose.
    pub camera: &'a Id,
}

impl SceneForgotten<'_> {
    /// Logs it and sets the gauges back.
    pub fn emit(self) {
        for light in Light::ALL {
            for gauge in [&VIEWS, &WATCHED] {
                // What was never told of need not be taken back.
                let _ = gauge.remove_label_values(&[self.camera.as_str(), light.as_str()]);
            }
        }
        tracing::info!(camera = %self.camera, "what was learnt of the scene is forgotten");
    }
}

/// So many views of a camera are known in the light of the moment.
pub struct ViewsKnown<'a> {
    /// Whose.
    pub camera: &'a str,
    /// The light.
    pub light: &'static str,
    /// How many.
    pub views: usize,
}

impl ViewsKnown<'_> {
    /// Logs it and sets the gauge.
    pub fn emit(self) {
        let Self { camera, light, views } = self;
        VIEWS.with_label_values(&[camera, light]).set(i64::try_from(views).unwrap_or(i64::MAX));
        tracing::info!(camera, light, views, "views of the camera that are known");
    }
}

/// The whole of a key frame was looked at for what was never in the scene.
pub struct SceneLookedAt<'a> {
    /// Whose.
    pub camera: &'a Id,
}

impl SceneLookedAt<'_> {
    /// Counts it.
    pub fn emit(self) {
        LOOKS.with_label_values(&[self.camera.as_str()]).inc();
    }
}

/// A key frame that was to be looked at for the scene's sake gave way to the next: there was always something else to do.
pub struct SceneGaveWay<'a> {
    /// Whose.
    pub camera: &'a Id,
}

impl SceneGaveWay<'_> {
    /// Counts it.
    pub fn emit(self) {
        GAVE_WAY.with_label_values(&[self.camera.as_str()]).inc();
    }
}

/// What is in a scene is watched in a light, or learnt first.
pub struct SceneWatched<'a> {
    /// Whose.
    pub camera: &'a str,
    /// The light.
    pub light: &'static str,
    /// Whether it is watched.
    pub watches: bool,
}

impl SceneWatched<'_> {
    /// Logs it and sets the gauge.
    pub fn emit(self) {
        let Self { camera, light, watches } = self;
        WATCHED.with_label_values(&[camera, light]).set(watches.into());
        match watches {
            true => tracing::info!(camera, light, "the scene is watched for what was never there"),
            false => tracing::info!(camera, light, "what is normal in the scene is learnt; nothing is told of it yet"),
        }
    }
}

/// More, fewer or other things are in a scene that were never there.
pub struct UnknownThings<'a> {
    /// Whose.
    pub camera: &'a str,
    /// They.
    pub things: &'a [Region],
    /// Whether the whole picture is strange, so that nothing is told of single things.
    pub whole_frame: bool,
}

impl UnknownThings<'_> {
    /// Logs it and sets the gauges.
    pub fn emit(self) {
        let Self { camera, things, whole_frame } = self;
        THINGS.with_label_values(&[camera]).set(i64::try_from(things.len()).unwrap_or(i64::MAX));
        STRANGE.with_label_values(&[camera]).set(whole_frame.into());
        // Left, top, width and height in hundredths of the frame, and how many times the limit.
        let place = |Region { rect, score, .. }: &Region| {
            let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(|share| (share * 100.0).round());
            format!("{x},{y} {width}x{height} {score:.1}")
        };
        let places: Vec<String> = things.iter().map(place).collect();
        tracing::info!(
            camera,
            things = things.len(),
            whole_frame,
            at = places.join("; "),
            "unknown things in the scene"
        );
    }
}

/// Something else, or nothing any more, is wrong with a camera's pictures.
pub struct ConditionChanged<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Everything that may be.
    pub conditions: &'a [&'static str],
    /// What is.
    pub condition: Option<&'static str>,
}

impl ConditionChanged<'_> {
    /// Logs it and sets the gauges.
    pub fn emit(self) {
        let Self { camera, conditions, condition } = self;
        set_one_of(&CONDITION, camera, conditions, condition);
        match condition {
            Some(condition) => tracing::warn!(camera, condition, "the camera's pictures cannot be relied upon"),
            None => tracing::info!(camera, "the camera's pictures can be relied upon again"),
        }
    }
}
