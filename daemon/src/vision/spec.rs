//! What detection can be told, for a camera and for the box.

use std::time::Duration;

use snowgate_core::{
    choice,
    geometry::Polygon,
    ids::Id,
    spec,
    spec::{Fraction, Located, Maybe, TimeSpan},
};

use super::execution::{Precision, Provider};

pub use snowgate_core::priority::Priority;

spec! {
    /// How a camera's pictures are looked at.
    pub struct DetectSpec {
        /// When pictures are decoded and inferred.
        gate: Gate = Gate::Keyframe,
        /// Whose pictures come first when the box has more to do than it can.
        priority: Priority = Priority::Normal,
        /// Pictures looked at per second, at the most (1 to 30).
        fps: Located<u32> = Located::nowhere(5),
        /// While nothing moves, a key frame is looked at so often, or as often as the camera sends one.
        look_every: TimeSpan = TimeSpan::secs(2),
        /// After so long without motion and without anything followed that moves, only key frames are decoded.
        quiet_after: TimeSpan = TimeSpan::secs(5),
        /// A camera whose key frames are further apart has everything decoded instead.
        max_key_interval: TimeSpan = TimeSpan::secs(6),
        /// Object model, by manifest id; the gateway's default otherwise.
        object_model: Maybe<Located<Id>> = Maybe::NONE,
        /// Face model, by manifest id; the gateway's default otherwise.
        face_model: Maybe<Located<Id>> = Maybe::NONE,
        /// What its scene is learnt or judged by, for rules of the kind "anomaly", by manifest id; the gateway's default otherwise.
        scene_model: Maybe<Located<Id>> = Maybe::NONE,
        /// Share of luma (0..1) by which a pixel must differ from the background to count as changed.
        motion_threshold: Fraction = Fraction(0.06),
        /// Share of the frame that must have changed to count as motion.
        motion_area: Fraction = Fraction(0.0005),
        /// A thing that has moved less than its own size for so long is at rest.
        stationary_after: TimeSpan = TimeSpan::secs(10),
        /// Regions of one picture shown to one model, at the most (1 to 32).
        max_regions: Located<u32> = Located::nowhere(6),
        /// How long a track survives without a detection, such as behind a tree.
        lost_after: TimeSpan = TimeSpan::secs(3),
    }
}

impl DetectSpec {
    /// The longest time that may pass between two pictures looked at while the box keeps up: what begins and ends in between
    /// is not seen. `key_interval` is how far apart the camera's key frames are, at the most.
    pub fn blind_time(&self, key_interval: Duration) -> Duration {
        match self.gate {
            Gate::Always | Gate::Pixels => Duration::from_secs(1) / self.fps.value.max(1),
            // The first key frame after look_every has passed.
            Gate::Keyframe => self.look_every.0 + key_interval,
        }
    }
}

choice! {
    /// When pictures are decoded and inferred.
    pub enum Gate {
        /// While nothing moves only key frames are decoded. When one shows motion, everything since the key frame before
        /// it is decoded and looked at, and then what follows, until the camera is quiet again.
        Keyframe = "keyframe",
        /// Everything is decoded, and inference runs on every picture that is looked at.
        Always = "always",
        /// Everything is decoded, inference runs where pixels move and where things are followed.
        Pixels = "pixels",
    }
}

spec! {
    /// A part of the frame that is blackened before anything looks at it.
    pub struct MaskSpec {
        /// Corners in order, fractions of the frame.
        polygon: Polygon,
    }
}

spec! {
    /// The models of this box.
    pub struct ModelsSpec {
        /// Folder of manifests and ONNX files; relative to the configuration directory.
        directory: Located<String> = Located::nowhere("/usr/share/snowgate/models".to_owned()),
        /// ONNX Runtime's shared library; relative to the configuration directory.
        onnxruntime: Located<String> = Located::nowhere("/usr/lib/snowgate/libonnxruntime.so.1.31.1".to_owned()),
        /// Manifest id of the object model.
        object: Located<Id> = default_id("ssdlite-mobilenet-v2"),
        /// Manifest id of the face model.
        face: Located<Id> = default_id("centerface"),
        /// Manifest id of the model that scenes are learnt or judged by, for rules of the kind "anomaly".
        scene: Located<Id> = default_id("efficientnet-lite0"),
        /// With how many bits models reckon. Faces and heads in stills are always found in float.
        precision: Precision = Precision::Auto,
        /// ONNX Runtime's execution providers, the preferred one first; what cannot run a model is passed over, and the
        /// processor (`cpu`) is the last resort. Faces and heads in stills are always found on the processor.
        providers: Located<Vec<Provider>> = Located::nowhere(vec![Provider::Cpu]),
    }
}

spec! {
    /// Worker threads; 0 sizes a pool by the machine's cores.
    pub struct WorkersSpec {
        /// Threads that decode.
        decode: Located<u32> = Located::nowhere(0),
        /// Threads that infer.
        infer: Located<u32> = Located::nowhere(0),
    }
}

#[allow(clippy::expect_used, reason = "called with literals only, and a test reads every default")]
fn default_id(id: &str) -> Located<Id> {
    Located::nowhere(id.parse().expect("a literal id is well formed"))
}
