//! Model manifests: what a model is, what it wants to see and how its answer is read.
//!
//! A manifest is a TOML file beside its ONNX file, so that a township can bring its own model without a change to the
//! program. All mistakes are reported at once, each with its line and column.
//!
//! **A guard, not a proof.** Snowgate detects and never identifies. Tasks and decoders are therefore allow-lists, labels
//! that classify people are refused by a list of words, and the model file's digest is pinned. Somebody
//! determined can still give a model's classes other names; what the guard stops is doing so by accident, or unnoticed.

use std::{collections::BTreeMap, path::Path};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use snowgate_core::{
    choice,
    ids::Id,
    spec,
    spec::{DeserError, Deserialize, Error, Fraction, Located, Maybe, Value, custom, number_between},
};

use super::{
    execution::Variant,
    manifest_file::{self, Describes, Files, Problems},
    preprocess::{Colour, Fit, Format, Layout},
};

pub use super::manifest_file::{Int8Spec, ManifestError, PinnedFile, Problem};

/// The most labels a model may have.
const MAX_LABELS: usize = 2000;
/// The most input pixels: what one region may cost in memory.
const MAX_INPUT_PIXELS: u64 = 2048 * 2048;

/// Words that classify people. A label with one of them among its words is refused.
const DENIED_WORDS: &[&str] = &[
    "adolescent",
    "adult",
    "adults",
    "african",
    "age",
    "aged",
    "anger",
    "angry",
    "arab",
    "asian",
    "baby",
    "beard",
    "black people",
    "boy",
    "boys",
    "caucasian",
    "child",
    "children",
    "chinese",
    "contempt",
    "disgust",
    "elder",
    "elderly",
    "emotion",
    "ethnic",
    "ethnicity",
    "european",
    "fear",
    "fearful",
    "female",
    "females",
    "gender",
    "girl",
    "girls",
    "han",
    "happiness",
    "happy",
    "hispanic",
    "hui",
    "identity",
    "indian",
    "infant",
    "jewish",
    "kazakh",
    "kid",
    "kids",
    "lady",
    "latino",
    "male",
    "males",
    "man",
    "men",
    "mongol",
    "muslim",
    "nationality",
    "neutral",
    "race",
    "religion",
    "sad",
    "sadness",
    "senior",
    "sex",
    "skin",
    "smile",
    "smiling",
    "surprise",
    "surprised",
    "teen",
    "teenager",
    "tibetan",
    "toddler",
    "uighur",
    "uygur",
    "uyghur",
    "woman",
    "women",
    "years",
    "young",
    "youth",
];
/// The same in Chinese, where words are not set apart: refused wherever they stand in a label.
const DENIED_CHINESE: &[&str] = &[
    "男",
    "女",
    "儿童",
    "小孩",
    "孩子",
    "婴",
    "幼",
    "老人",
    "青年",
    "少年",
    "成人",
    "年龄",
    "性别",
    "民族",
    "种族",
    "汉族",
    "维吾尔",
    "维族",
    "藏族",
    "回族",
    "哈萨克",
    "宗教",
    "表情",
    "情绪",
    "高兴",
    "悲伤",
    "愤怒",
];

spec! {
    /// One model.
    pub struct Manifest {
        /// Name that settings refer to.
        id: Located<Id>,
        /// What it finds.
        task: Task,
        /// The float file.
        flatten float: PinnedFile,
        /// Licence of the weights (SPDX).
        licence: String,
        /// Where the weights come from.
        source: String,
        /// What the classes are called, in the model's order; "" is a class nobody is told of.
        labels: Located<Vec<String>>,
        /// What it wants to see.
        input: InputSpec,
        /// How its answer is read.
        decoder: DecoderSpec,
        /// The same model with weights and activations of 8 bits.
        int8: Maybe<Int8Spec> = Maybe::NONE,
    }
}

choice! {
    /// What a model finds.
    pub enum Task {
        /// That there is a face, and where.
        Face = "face",
        /// People, vehicles, animals, things.
        Object = "object",
    }
}

spec! {
    /// What a model wants to see.
    pub struct InputSpec {
        /// How values are laid out.
        layout: Layout,
        /// Order of the channels.
        colour: Colour,
        /// Width in pixels; the largest where the size is free.
        width: Located<u32>,
        /// Height in pixels; the largest where the size is free.
        height: Located<u32>,
        /// 0: the size is fixed. N: any size whose sides are multiples of N works.
        size_multiple: Located<u32> = Located::nowhere(0),
        /// How a region is brought to size.
        resize: Fit,
        /// Subtracted from each channel's 0..255, in the order of `colour`.
        mean: Located<Channels>,
        /// Then divided by.
        std: Located<Channels>,
    }
}

spec! {
    /// How a model's answer is read.
    pub struct DecoderSpec {
        /// The layout of its outputs.
        kind: DecoderKind,
        /// Names of its outputs, in the order the decoder reads them.
        outputs: Located<Vec<String>>,
        /// Boxes of a class that overlap by more than this are one thing.
        nms_iou: Fraction = Fraction(0.5),
        /// Boxes below this score are nothing.
        min_score: Fraction = Fraction(0.3),
    }
}

choice! {
    /// The layouts of outputs that can be read.
    pub enum DecoderKind {
        /// Heat map, scale, offset.
        Centerface = "centerface",
        /// Scores and boxes of anchors.
        Ssd = "ssd",
        /// One output, boxes in columns.
        Yolov8 = "yolov8",
        /// One output, boxes in rows, relative to three grids.
        Yolox = "yolox",
    }
}

impl DecoderKind {
    /// How many outputs the decoder reads.
    fn output_count(self) -> usize {
        match self {
            Self::Centerface => 3,
            Self::Ssd => 2,
            Self::Yolov8 | Self::Yolox => 1,
        }
    }

    /// Sides of the input must be multiples of this.
    fn grid(self) -> u32 {
        match self {
            Self::Centerface => 4,
            Self::Yolox => 32,
            Self::Ssd | Self::Yolov8 => 1,
        }
    }
}

/// A number for each of three channels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Channels(pub [f32; 3]);

impl<'de> Deserialize<'de> for Channels {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let numbers = Vec::<Number>::deserialize(value)?;
        match <[Number; 3]>::try_from(numbers) {
            Ok(channels) => Ok(Self(channels.map(|number| number.0))),
            Err(_) => Err(custom("three numbers are wanted, one a channel", span)),
        }
    }
}

/// A number of a sensible size, written with or without a decimal point.
struct Number(f32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        number_between(value, -1e6, 1e6).map(|number| Self(number as f32))
    }
}

impl JsonSchema for Channels {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Channels".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "number" }, "minItems": 3, "maxItems": 3 })
    }
}

impl InputSpec {
    /// What the model wants to see.
    pub fn format(&self) -> Format {
        let Self { layout, colour, resize, mean, std, .. } = self;
        Format { layout: *layout, colour: *colour, fit: *resize, mean: mean.value.0, std: std.value.0 }
    }

    /// The shape of a tensor of `width` × `height` pixels.
    pub(super) fn shape(&self, (width, height): (u32, u32)) -> [i64; 4] {
        let (width, height) = (i64::from(width), i64::from(height));
        match self.layout {
            Layout::Nchw => [1, 3, height, width],
            Layout::Nhwc => [1, height, width, 3],
        }
    }

    /// Adds what is wrong with it, where `who` needs sides that are multiples of `grid`.
    pub(super) fn check(&self, grid: u32, who: &str, problems: &mut Problems) {
        let Self { width, height, size_multiple, std, .. } = self;
        if u64::from(width.value) * u64::from(height.value) > MAX_INPUT_PIXELS {
            problems.add(width.span, format!("an input may have at most {MAX_INPUT_PIXELS} pixels"));
        }
        for side in [width, height] {
            if side.value == 0 {
                problems.add(side.span, "a side of 0 pixels shows nothing");
            } else if size_multiple.value > 0 && !side.value.is_multiple_of(size_multiple.value) {
                problems.add(side.span, format!("{} is no multiple of size_multiple", side.value));
            } else if !side.value.is_multiple_of(grid) {
                problems.add(side.span, format!("{who} needs sides that are multiples of {grid}"));
            }
        }
        if std.value.0.contains(&0.0) {
            problems.add(std.span, "nothing can be divided by 0");
        }
    }
}

impl Describes for Manifest {
    fn id(&self) -> &Id {
        &self.id.value
    }

    fn task(&self) -> &'static str {
        self.task.as_str()
    }

    fn licence(&self) -> &str {
        &self.licence
    }

    fn pinned(&self) -> Files<'_> {
        Files { float: &self.float, int8: self.int8.as_ref() }
    }

    fn check(&self, problems: &mut Problems) {
        self.check_labels(problems);
        let kind = self.decoder.kind;
        self.input.check(kind.grid(), &format!("decoder \"{kind}\""), problems);
        let (kind, outputs) = (self.decoder.kind, &self.decoder.outputs);
        if outputs.len() != kind.output_count() {
            let count = kind.output_count();
            problems
                .add(outputs.span, format!("decoder \"{kind}\" reads {count} outputs, {} are named", outputs.len()));
        }
    }
}

impl Manifest {
    /// Reads and checks one manifest file.
    ///
    /// # Errors
    /// That it cannot be read, or everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        manifest_file::read(path)
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Error>> {
        manifest_file::parse(text)
    }

    fn check_labels(&self, problems: &mut Problems) {
        let span = self.labels.span;
        if self.labels.len() > MAX_LABELS || self.labels.iter().all(String::is_empty) {
            problems.add(span, format!("between one and {MAX_LABELS} labels are wanted"));
        }
        for label in self.labels.iter() {
            if let Some(word) = denied_word(label) {
                let why = "Snowgate detects and never identifies: models that classify people are not taken";
                problems.add(span, format!("label {label:?} classifies people (\"{word}\"); {why}"));
            }
        }
        let faces_only = self.labels.len() == 1 && self.labels[0] == "face";
        if (self.task == Task::Face || self.decoder.kind == DecoderKind::Centerface) && !faces_only {
            problems.add(span, "a model that finds faces has the single label \"face\"");
        }
        if self.task == Task::Object && self.labels.iter().any(|label| label == "face") {
            problems.add(span, "a model with the label \"face\" has the task \"face\"");
        }
    }

    /// Every file of the model, the float one first.
    pub fn files(&self) -> impl Iterator<Item = (Variant, &PinnedFile)> {
        self.pinned().all()
    }

    /// The file of a variant, where the model has it.
    pub fn file(&self, variant: Variant) -> Option<&PinnedFile> {
        self.pinned().get(variant)
    }

    /// What the model wants to see.
    pub fn format(&self) -> Format {
        self.input.format()
    }

    /// The input sizes that are used, smallest first: one, or half of it and the whole where the size is free.
    pub fn input_sizes(&self) -> Vec<(u32, u32)> {
        let (width, height, multiple) = (*self.input.width, *self.input.height, *self.input.size_multiple);
        let mut sizes = vec![(width, height)];
        if multiple > 0 {
            let grid = self.decoder.kind.grid().max(multiple);
            let half = |side: u32| (side / 2).next_multiple_of(grid);
            let small = (half(width), half(height));
            if small.0 < width && small.1 < height && grid.is_multiple_of(multiple) {
                sizes.insert(0, small);
            }
        }
        sizes
    }
}

/// Reads every manifest (`*.toml`) of a folder. One that is wrong takes no other down.
pub fn read_folder(folder: &Path) -> (BTreeMap<Id, Manifest>, Vec<ManifestError>) {
    manifest_file::read_folder(folder)
}

/// The word for which a label is refused.
fn denied_word(label: &str) -> Option<&'static str> {
    let lower = label.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    let english = words.find_map(|word| DENIED_WORDS.iter().find(|denied| **denied == word));
    english.or_else(|| DENIED_CHINESE.iter().find(|denied| lower.contains(**denied))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
id = "mine"
task = "object"
file = "mine.onnx"
sha256 = "606beac21671041f888644935499d86b998ac92c7971c15e3929c81409369c64"
licence = "Apache-2.0"
source = "here"
labels = ["person", "", "traffic light"]
[input]
layout = "nchw"
colour = "rgb"
width = 640
height = 384
size_multiple = 32
resize = "letterbox"
mean = [0, 0.5, 0]
std = [1, 2, 3]
[decoder]
kind = "yolox"
outputs = ["output"]
"#;

    fn problems(text: &str) -> String {
        let errors = Manifest::parse(text).unwrap_err();
        errors.iter().map(|error| format!("{}\n", Problem::new(text, error))).collect()
    }

    #[test]
    fn a_good_one_is_read() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.input_sizes(), [(320, 192), (640, 384)]);
        assert_eq!(manifest.format().mean, [0.0, 0.5, 0.0]);
        assert_eq!(manifest.decoder.min_score, Fraction(0.3));
        let fixed = GOOD.replace("size_multiple = 32", "");
        assert_eq!(Manifest::parse(&fixed).unwrap().input_sizes(), [(640, 384)]);
    }

    #[test]
    fn every_mistake_is_named_at_once_with_its_place() {
        let text = GOOD
            .replace("mine.onnx", "../mine.onnx")
            .replace("606beac2", "xyz")
            .replace("std = [1, 2, 3]", "std = [1, 0, 3]")
            .replace("640", "650")
            .replace("[\"output\"]", "[\"a\", \"b\"]");
        let all = problems(&text);
        for part in [
            "4:9: the file lies beside",
            "5:11: a SHA-256",
            "17:7: nothing can be divided",
            "12:9: 650",
            "reads 1 outputs",
        ] {
            assert!(all.contains(part), "{part} is missing from\n{all}");
        }
        let all = problems(&GOOD.replace("nchw", "nwhc").replace("yolox", "yolo").replace("licence", "license"));
        for part in ["nchw", "yolov8", "licence"] {
            assert!(all.contains(part), "{part} is missing from\n{all}");
        }
    }

    const INT8: &str = r#"
[int8]
file = "mine.int8.onnx"
sha256 = "706beac21671041f888644935499d86b998ac92c7971c15e3929c81409369c64"
[int8.reduced]
file = "mine.reduced.onnx"
sha256 = "806beac21671041f888644935499d86b998ac92c7971c15e3929c81409369c64"
"#;

    #[test]
    fn int8_files_are_named_beside_the_float_one() {
        let manifest = Manifest::parse(&format!("{GOOD}{INT8}")).unwrap();
        let files: Vec<(Variant, &str)> =
            manifest.files().map(|(variant, pinned)| (variant, pinned.file.as_str())).collect();
        let wanted = [
            (Variant::Float, "mine.onnx"),
            (Variant::Int8, "mine.int8.onnx"),
            (Variant::Int8Reduced, "mine.reduced.onnx"),
        ];
        assert_eq!(files, wanted);
        assert!(!manifest.int8.as_ref().unwrap().recommended, "nothing is recommended unless the manifest says so");
        assert_eq!(Manifest::parse(GOOD).unwrap().files().count(), 1);
        let full_only = format!("{GOOD}{}", INT8.split_once("[int8.reduced]").unwrap().0);
        assert_eq!(Manifest::parse(&full_only).unwrap().file(Variant::Int8Reduced), None);
    }

    #[test]
    fn mistakes_in_int8_files_are_named_with_their_places() {
        let text = format!("{GOOD}{INT8}")
            .replace("mine.int8.onnx", "mine.onnx")
            .replace("806beac2", "xyz")
            .replace("mine.reduced.onnx", "/mine.reduced.onnx");
        let all = problems(&text);
        for part in ["23:9: \"mine.onnx\" is named twice", "26:9: the file lies beside", "27:11: a SHA-256"] {
            assert!(all.contains(part), "{part} is missing from\n{all}");
        }
        let all = problems(&format!("{GOOD}{}", INT8.replace("[int8.reduced]", "recommended = 1\n[int8.reducd]")));
        for part in ["reducd", "bool"] {
            assert!(all.contains(part), "{part} is missing from\n{all}");
        }
        assert!(problems(&format!("{GOOD}[int8]\nrecommended = true\n")).contains("missing"));
    }

    #[test]
    fn labels_that_classify_people_are_refused() {
        for label in ["male", "Woman", "person_female", "old-man", "Asian", "happy", "age 20", "男人", "维吾尔族"]
        {
            let all = problems(&GOOD.replace("traffic light", label));
            assert!(all.contains("classifies people"), "{label}: {all}");
        }
        for label in ["manhole", "fire hydrant", "hot dog", "doughnut", "mandarin", "人", "vintage car"] {
            assert!(Manifest::parse(&GOOD.replace("traffic light", label)).is_ok(), "{label}");
        }
    }

    #[test]
    fn faces_are_faces_only() {
        assert!(problems(&GOOD.replace("task = \"object\"", "task = \"face\"")).contains("single label"));
        assert!(problems(&GOOD.replace("traffic light", "face")).contains("task \"face\""));
    }
}
