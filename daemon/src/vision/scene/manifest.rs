//! Manifests of models that are shown whole scenes: TOML files in the folder `scene` beneath that of the models.
//!
//! There are two kinds. One answers with features, by which a scene is learnt; the other, a township's own, with how strange the
//! picture is. Tasks and answers are allow-lists here as they are for models that find things. A folder of their own keeps the
//! two apart: none of these can be taken for a detector.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use snowgate_core::{
    choice,
    ids::Id,
    scene::anomaly::{Grid, Shape, Unfit},
    spec,
    spec::{Error, Located, Maybe, Number},
    tagged,
};

use crate::vision::{
    execution::{Execution, Precision, Provider, Variant},
    manifest::{InputSpec, Int8Spec, ManifestError, PinnedFile},
    manifest_file::{self, Describes, Files, Problems},
    preprocess::Fit,
};

/// The limits that a township's own model may have.
const LIMITS: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

spec! {
    /// One model of scenes.
    pub struct SceneManifest {
        /// Name that settings refer to.
        id: Located<Id>,
        /// What it is for, and how its answer is read.
        flatten task: SceneTask,
        /// The float file.
        flatten float: PinnedFile,
        /// Licence of the weights (SPDX).
        licence: String,
        /// Where the weights come from.
        source: String,
        /// What it wants to see.
        input: InputSpec,
        /// The same model with weights and activations of 8 bits.
        int8: Maybe<Int8Spec> = Maybe::NONE,
    }
}

tagged! {
    /// What a model of scenes is for.
    pub enum SceneTask by "task" {
        /// To say in numbers what every place looks like, so that a scene can be learnt.
        "scene_features" => Features(FeaturesSpec),
        /// To say by itself how strange a picture is, or every place of it.
        "scene_anomaly" => Anomaly(AnomalySpec),
    }
}

spec! {
    /// How features are read.
    pub struct FeaturesSpec {
        /// The feature maps, the finest first.
        outputs: Located<Vec<FeatureOutput>>,
    }
}

spec! {
    /// One feature map: 32-bit floats [1, channels, height / stride, width / stride].
    pub struct FeatureOutput {
        /// The name of the output.
        name: Located<String>,
        /// Numbers a place.
        channels: Located<u32>,
        /// Pixels of the input a place, in each direction.
        stride: Located<u32>,
    }
}

spec! {
    /// How an answer of how strange a picture is is read.
    pub struct AnomalySpec {
        /// How.
        decoder: HeatSpec,
    }
}

spec! {
    /// How an answer of how strange a picture is is read.
    pub struct HeatSpec {
        /// What it is.
        kind: HeatKind,
        /// The name of the output.
        output: Located<String>,
        /// What counts as strange: this much and more.
        limit: Located<Number>,
    }
}

choice! {
    /// The answers that can be read.
    pub enum HeatKind {
        /// One 32-bit float for the whole picture; the larger, the stranger.
        Score = "score",
        /// The same for every place: 32-bit floats [1, 1, rows, columns] or [1, rows, columns].
        Map = "map",
    }
}

impl SceneManifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Error>> {
        manifest_file::parse(text)
    }

    /// The input's size in pixels, width first.
    pub fn size(&self) -> (u32, u32) {
        (*self.input.width, *self.input.height)
    }

    /// The form of a picture's feature maps, as its outputs say.
    ///
    /// # Errors
    /// Why what they say cannot be learnt: too many of them, too fine, or too large.
    pub(super) fn shape(&self, outputs: &[FeatureOutput]) -> Result<Shape, Unfit> {
        let (width, height) = self.size();
        let grid = |FeatureOutput { channels, stride, .. }: &FeatureOutput| {
            let [columns, rows] = [width, height].map(|side| (side / stride.value.max(1)) as usize);
            Grid { channels: channels.value as usize, rows, columns }
        };
        Shape::new(&outputs.iter().map(grid).collect::<Vec<_>>())
    }

    /// Which of its files a provider runs: an int8 one only where the manifest recommends it. What was learnt with one file
    /// cannot be judged with another, so a gateway whose detectors are to run in int8 must not change it by the way.
    pub(super) fn chosen(&self, execution: &Execution, provider: Provider) -> Variant {
        match execution.precision {
            Precision::Float => Variant::Float,
            Precision::Auto | Precision::Int8 => {
                let recommended = self.int8.as_ref().filter(|int8| int8.recommended);
                execution.variant(recommended, provider)
            }
        }
    }

    fn check_outputs(&self, outputs: &Located<Vec<FeatureOutput>>, problems: &mut Problems) {
        let (width, height) = self.size();
        for (index, FeatureOutput { name, stride, .. }) in outputs.iter().enumerate() {
            if outputs[..index].iter().any(|earlier| earlier.name == *name) {
                problems.add(name.span, format!("{:?} is named twice", **name));
            }
            if stride.value == 0 || !width.is_multiple_of(stride.value) || !height.is_multiple_of(stride.value) {
                problems.add(stride.span, format!("the input's sides are no multiples of stride {}", **stride));
            }
        }
        if let Err(error) = self.shape(outputs) {
            problems.add(outputs.span, error.to_string());
        }
    }
}

impl Describes for SceneManifest {
    fn id(&self) -> &Id {
        &self.id.value
    }

    fn task(&self) -> &'static str {
        self.task.tag()
    }

    fn licence(&self) -> &str {
        &self.licence
    }

    fn pinned(&self) -> Files<'_> {
        Files { float: &self.float, int8: self.int8.as_ref() }
    }

    fn check(&self, problems: &mut Problems) {
        self.input.check(1, "a model", problems);
        if self.input.resize != Fit::Stretch {
            let why = "each place of the answer stands for the same place of the frame";
            problems.add(self.input.width.span, format!("the input of a model of scenes is stretched: {why}"));
        }
        match &self.task {
            SceneTask::Features(FeaturesSpec { outputs }) => self.check_outputs(outputs, problems),
            SceneTask::Anomaly(AnomalySpec { decoder: HeatSpec { limit, .. } }) => {
                if !LIMITS.contains(&limit.value.0) {
                    problems
                        .add(limit.span, format!("a limit from {:e} to {:e} is wanted", LIMITS.start(), LIMITS.end()));
                }
            }
        }
    }
}

/// The folder of the models of scenes in that of all models.
pub fn folder(models: &Path) -> PathBuf {
    models.join("scene")
}

/// Reads every manifest of the models of scenes. One that is wrong takes no other down; where there is no such folder,
/// there are none.
pub fn read_all(models: &Path) -> (BTreeMap<Id, SceneManifest>, Vec<ManifestError>) {
    manifest_file::read_folder_if_there(&folder(models))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::{execution::CpuFeatures, manifest::Problem};

    const TOP: &str = r#"
id = "mine"
task = "scene_features"
file = "mine.onnx"
sha256 = "606beac21671041f888644935499d86b998ac92c7971c15e3929c81409369c64"
licence = "Apache-2.0"
source = "here"
[input]
layout = "nchw"
colour = "rgb"
width = 320
height = 256
resize = "stretch"
mean = [127, 127, 127]
std = [128, 128, 128]
"#;
    const FEATURES: &str = r#"
[[outputs]]
name = "fine"
channels = 40
stride = 8
[[outputs]]
name = "coarse"
channels = 112
stride = 16
"#;
    const INT8: &str = r#"
[int8]
file = "mine.int8.onnx"
sha256 = "706beac21671041f888644935499d86b998ac92c7971c15e3929c81409369c64"
recommended = false
"#;
    const ANOMALY: &str = r#"
[decoder]
kind = "map"
output = "strange"
limit = 3
"#;

    fn features() -> String {
        format!("{TOP}{FEATURES}{INT8}")
    }

    fn anomaly() -> String {
        format!("{}{ANOMALY}", TOP.replace("scene_features", "scene_anomaly"))
    }

    fn problems(text: &str) -> String {
        let errors = SceneManifest::parse(text).unwrap_err();
        errors.iter().map(|error| format!("{}\n", Problem::new(text, error))).collect()
    }

    #[test]
    fn good_ones_are_read() {
        let manifest = SceneManifest::parse(&features()).unwrap();
        assert_eq!((manifest.size(), manifest.task()), ((320, 256), "scene_features"));
        let SceneTask::Features(spec) = &manifest.task else { panic!("{:?}", manifest.task) };
        let outputs: Vec<(&str, u32)> = spec.outputs.iter().map(|o| (o.name.as_str(), *o.stride)).collect();
        assert_eq!(outputs, [("fine", 8), ("coarse", 16)]);

        let manifest = SceneManifest::parse(&anomaly()).unwrap();
        let SceneTask::Anomaly(AnomalySpec { decoder }) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((decoder.kind, decoder.output.as_str(), decoder.limit.0), (HeatKind::Map, "strange", 3.0));
    }

    #[test]
    fn every_mistake_is_named_at_once_with_its_place() {
        let text = features()
            .replace("mine.onnx", "../mine.onnx")
            .replace("606beac2", "xyz")
            .replace("\"coarse\"", "\"fine\"")
            .replace("channels = 112", "channels = 0")
            .replace("stride = 16", "stride = 7")
            .replace("std = [128,", "std = [0,")
            .replace("mine.int8.onnx", "/mine.onnx");
        let all = problems(&text);
        for part in [
            "4:9: the file lies beside",
            "5:11: a SHA-256",
            "15:7: nothing can be divided",
            "22:9: \"fine\" is named twice",
            "expected at most 1024x256x256",
            "24:10: the input's sides are no multiples of stride 7",
            "27:9: the file lies beside",
        ] {
            assert!(all.contains(part), "{part} is missing from\n{all}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, from, to, part) in [
            (features(), "scene_features", "embedding", "scene_anomaly"),
            (features(), "scene_features", "face", "scene_anomaly"),
            (features(), "scene_features", "scene_anomaly", "outputs"),
            (features(), "stretch", "letterbox", "is stretched"),
            (features(), "stride = 8", "stride = 32", "stands behind a coarser one"),
            (features(), "channels = 40", "channels = 600", "needs more than"),
            (features(), "channels = 112", "channels = 4294967295", "expected at most"),
            (features(), "stride = 8", "stride = 0", "no multiples of stride 0"),
            (features(), "width = 320", "width = 0", "shows nothing"),
            (features(), "licence", "license", "licence"),
            (anomaly(), "scene_anomaly", "scene_features", "decoder"),
            (anomaly(), "\"map\"", "\"boxes\"", "score"),
            (anomaly(), "limit = 3", "limit = 0", "a limit from 1e-6 to 1e6"),
            (anomaly(), "limit = 3", "limit = -3.0", "a limit from"),
            (anomaly(), "limit = 3", "limit = inf", "outside"),
            (anomaly(), "limit = 3", "limit = nan", "outside"),
            (anomaly(), "limit = 3", "", "limit"),
        ] {
            let all = problems(&text.replace(from, to));
            assert!(all.contains(part), "{part} is missing from {all}");
        }
        let many = format!("{}{}", features(), FEATURES.replace("fine", "a").replace("coarse", "b").repeat(3));
        assert!(problems(&many).contains("8 feature maps, expected 1 to 4"));
    }

    #[test]
    fn int8_is_taken_where_it_is_recommended_and_nowhere_else() {
        let new = CpuFeatures { avx_vnni: true, ..CpuFeatures::default() };
        let chosen = |recommended: bool, precision| {
            let text = features().replace("recommended = false", &format!("recommended = {recommended}"));
            let execution = Execution { precision, providers: vec![Provider::Cpu], cpu: new };
            SceneManifest::parse(&text).unwrap().chosen(&execution, Provider::Cpu)
        };
        for precision in [Precision::Auto, Precision::Int8] {
            assert_eq!(chosen(false, precision), Variant::Float, "{precision}");
            assert_eq!(chosen(true, precision), Variant::Int8, "{precision}");
        }
        assert_eq!(chosen(true, Precision::Float), Variant::Float);
    }
}
