//! Models that are shown whole scenes, in the real ONNX Runtime: the shipped one, two made for tests, and broken ones.
//!
//! Needs the library, the models and the sample pictures that `make deps models media` fetches and builds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};
use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    config::Config,
    run::models::LoadedModels,
    vision::{
        execution::{CpuFeatures, Execution, Precision, Variant},
        masks::Masks,
        model::{ModelError, Runtime},
        model_file,
        scene::{
            Answer, SceneFile, SceneModel,
            manifest::{self, SceneManifest},
        },
    },
};
use snowgate_core::{
    geometry::{Point, Polygon},
    ids::Id,
    scene::anomaly::Heat,
};

const SHIPPED: &str = "efficientnet-lite0";
const GLARE: &str = "synthetic-glare";
const CONTRAST: &str = "synthetic-contrast";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn library() -> PathBuf {
    root().join("assets/onnxruntime/libonnxruntime.so.1.31.1")
}

fn runtime() -> Runtime {
    Runtime::load(&library()).unwrap_or_else(|error| panic!("{error}"))
}

/// The folder of all models in which one lies.
fn models_with(id: &str) -> PathBuf {
    root().join(if id == SHIPPED { "models" } else { "assets/test-models" })
}

fn described(id: &str) -> SceneManifest {
    let (mut manifests, errors) = manifest::read_all(&models_with(id));
    assert!(errors.is_empty(), "{errors:?}");
    manifests.remove(&id.parse().unwrap()).unwrap_or_else(|| panic!("there is no {id}"))
}

fn load(id: &str) -> SceneModel {
    let folder = manifest::folder(&models_with(id));
    model_file::load(&runtime(), &described(id), &folder, Variant::Float).unwrap_or_else(|error| panic!("{error}"))
}

/// A picture with planes of its own, full-range BT.601, chroma both ways.
struct Picture {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
    uv: Vec<u8>,
}

impl Picture {
    fn from_rgb(width: usize, height: usize, rgb: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let luma = |[r, g, b]: [u8; 3]| 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
        let chroma = |channel: usize, scale: f32| -> Vec<u8> {
            let at = |i: usize| {
                let pixel = rgb((i % half_width * 2).min(width - 1), (i / half_width * 2).min(height - 1));
                (128.0 + (f32::from(pixel[channel]) - luma(pixel)) * scale).round() as u8
            };
            (0..half_width * half_height).map(at).collect()
        };
        let y = (0..width * height).map(|i| luma(rgb(i % width, i / width)).round() as u8).collect();
        let (u, v) = (chroma(2, 0.564), chroma(0, 0.713));
        let uv = u.iter().zip(&v).flat_map(|(u, v)| [*u, *v]).collect();
        Self { width, height, y, u, v, uv }
    }

    fn grey(brightness: u8) -> Self {
        Self::from_rgb(64, 48, |_, _| [brightness; 3])
    }

    /// A photograph.
    fn open() -> Self {
        let picture = image::open(root().join("assets/media/multi_face.jpg")).unwrap().to_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Self::from_rgb(width, height, |x, y| picture.get_pixel(x as u32, y as u32).0)
    }

    /// The same with other luma in part of it, in fractions of the frame.
    fn with_luma(mut self, [left, top, right, bottom]: [f32; 4], luma: impl Fn(usize, usize) -> u8) -> Self {
        let (width, height) = (self.width as f32, self.height as f32);
        for y in (top * height) as usize..(bottom * height) as usize {
            for x in (left * width) as usize..(right * width) as usize {
                self.y[y * self.width + x] = luma(x, y);
            }
        }
        self
    }

    fn pixels(&self, planar: bool) -> Pixels<'_> {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let half = |data| Plane { data, stride: width, width, height };
        let chroma = if planar {
            Chroma::Planar { u: half(&self.u), v: half(&self.v) }
        } else {
            Chroma::Interleaved { uv: Plane { data: &self.uv, stride: 2 * width, width, height } }
        };
        let luma = Plane { data: &self.y, stride: self.width, width: self.width, height: self.height };
        Pixels { luma, chroma, full_range: true, bt709: false }
    }
}

/// Feature maps of its own: channels, rows, columns and values of each.
type Maps = Vec<(usize, usize, usize, Vec<f32>)>;

fn features(model: &mut SceneModel, pixels: &Pixels<'_>, masks: &Masks) -> Maps {
    match model.look(pixels, masks).unwrap_or_else(|error| panic!("{error}")) {
        Answer::Features(maps) => {
            let maps = maps.features();
            maps.0.iter().map(|map| (map.channels, map.rows, map.columns, map.values.to_vec())).collect()
        }
        Answer::Heat(heat) => panic!("{heat:?}"),
    }
}

fn heat(model: &mut SceneModel, picture: &Picture) -> Result<Heat, ModelError> {
    match model.look(&picture.pixels(true), &Masks::default())? {
        Answer::Features(maps) => panic!("{maps:?}"),
        Answer::Heat(heat) => Ok(heat.clone()),
    }
}

/// How far the features of each place lie apart, row by row.
fn distances(a: &Maps, b: &Maps, map: usize) -> (usize, Vec<f32>) {
    let ((channels, rows, columns, a), (.., b)) = (&a[map], &b[map]);
    let places = rows * columns;
    let distance = |place: usize| (0..*channels).map(|c| (a[c * places + place] - b[c * places + place]).powi(2)).sum();
    (*columns, (0..places).map(distance).map(f32::sqrt).collect())
}

#[test]
fn every_place_of_a_picture_is_described() {
    let mut model = load(SHIPPED);
    let picture = Picture::open();
    let maps = features(&mut model, &picture.pixels(true), &Masks::default());
    let shapes: Vec<_> = maps.iter().map(|(channels, rows, columns, _)| (*channels, *rows, *columns)).collect();
    assert_eq!(shapes, [(40, 32, 40), (112, 16, 20)]);
    assert_eq!(model.shape().unwrap().to_string(), "40x32x40 + 112x16x20");
    for (channels, rows, columns, values) in &maps {
        assert_eq!(values.len(), channels * rows * columns);
        assert!(values.iter().all(|value| value.is_finite()));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
        assert!(spread > 0.1, "a photograph is not the same everywhere: {spread}");
    }
    // The same picture is the same, whatever was looked at between, and however its chroma lies.
    features(&mut model, &Picture::grey(9).pixels(true), &Masks::default());
    assert!(features(&mut model, &picture.pixels(true), &Masks::default()) == maps);
    assert!(features(&mut model, &picture.pixels(false), &Masks::default()) == maps, "NV12");
}

#[test]
fn what_changes_shows_where_it_is() {
    let mut model = load(SHIPPED);
    let before = features(&mut model, &Picture::open().pixels(true), &Masks::default());
    // A chequered thing of a twelfth of the frame's width, on the right and below.
    let chequers = |x: usize, y: usize| if (x / 6 + y / 6).is_multiple_of(2) { 230 } else { 20 };
    let changed = Picture::open().with_luma([0.75, 0.625, 0.8333, 0.75], chequers);
    let after = features(&mut model, &changed.pixels(true), &Masks::default());
    for map in 0..2 {
        let (columns, distances) = distances(&before, &after, map);
        let rows = distances.len() / columns;
        let place = (0..distances.len()).max_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap();
        let at = ((place % columns) as f32 + 0.5, (place / columns) as f32 + 0.5);
        let at = (at.0 / columns as f32, at.1 / rows as f32);
        assert!((0.74..0.85).contains(&at.0) && (0.6..0.78).contains(&at.1), "map {map}: {at:?}");
        // The left half is far beyond what these features see of it.
        let left = distances.chunks(columns).flat_map(|row| &row[..columns / 2]).fold(0f32, |most, d| most.max(*d));
        assert!(left < 0.1 * distances[place], "map {map}: {left} of {}", distances[place]);
    }
}

#[test]
fn what_is_masked_leaves_no_trace() {
    let corners = [(0.3, 0.2), (0.7, 0.2), (0.7, 0.8), (0.3, 0.8)].map(|(x, y)| Point::new(x, y));
    let picture = Picture::open();
    let masks = Masks::rasterise(&[Polygon::new(corners.to_vec()).unwrap()], picture.width, picture.height);
    let other = Picture::open().with_luma([0.31, 0.21, 0.69, 0.79], |x, y| (x * 7 + y * 13) as u8);
    let mut model = load(SHIPPED);
    let mut look = |picture: &Picture, masks: &Masks| features(&mut model, &picture.pixels(true), masks);
    let (hidden, also_hidden) = (look(&picture, &masks), look(&other, &masks));
    assert!(hidden == also_hidden);
    assert!(look(&picture, &Masks::default()) != look(&other, &Masks::default()));
    assert!(look(&picture, &Masks::default()) != hidden);
}

#[test]
fn a_score_is_the_heat_of_the_whole_picture() {
    let mut model = load(GLARE);
    for brightness in [64u8, 128, 255] {
        let heat = heat(&mut model, &Picture::grey(brightness)).unwrap();
        let expected = (f32::from(brightness) / 255.0 - 1.0 / 16.0).sqrt() / 0.75;
        assert_eq!((heat.columns, heat.rows, heat.values.len()), (1, 1, 1));
        assert!((heat.values[0] - expected).abs() < 0.005, "{brightness}: {heat:?} for {expected}");
    }
}

#[test]
fn an_answer_that_is_no_number_is_an_error_and_the_next_is_none() {
    let mut model = load(GLARE);
    let error = heat(&mut model, &Picture::grey(0)).unwrap_err();
    assert!(matches!(error, ModelError::NotANumber { .. }) && error.to_string().contains(GLARE), "{error}");
    assert!(heat(&mut model, &Picture::grey(200)).is_ok());
}

/// Two dark and two bright quarters of blue in one place, a column and a row from the corner; grey elsewhere.
fn striped() -> Picture {
    Picture::from_rgb(64, 48, |x, y| match (x, y) {
        (8..12, 8..16) => [0, 0, 0],
        (12..16, 8..16) => [0, 0, 255],
        _ => [100, 100, 100],
    })
}

#[test]
fn a_map_is_read_place_by_place_in_both_of_its_shapes() {
    let folder = manifest::folder(&models_with(CONTRAST));
    let text = fs::read_to_string(folder.join(format!("{CONTRAST}.toml"))).unwrap();
    for output in ["map", "flat"] {
        let manifest =
            SceneManifest::parse(&text.replace("output = \"map\"", &format!("output = {output:?}"))).unwrap();
        let mut model = model_file::load(&runtime(), &manifest, &folder, Variant::Float).unwrap();
        let heat = heat(&mut model, &striped()).unwrap();
        assert_eq!((heat.columns, heat.rows, heat.values.len()), (8, 6, 48), "{output}");
        let hottest = (0..48).max_by(|a, b| heat.values[*a].total_cmp(&heat.values[*b])).unwrap();
        assert_eq!(hottest, 8 + 1, "{output}: {heat:?}");
        // Half of it 0 and half 255, in units of the limit; chroma bleeds over the edge between them.
        let expected = 255.0 / 2.0 / 20.0;
        assert!((0.8 * expected..=1.01 * expected).contains(&heat.values[hottest]), "{output}: {heat:?}");
        let elsewhere = heat.values.iter().filter(|value| **value > 1.0).count();
        assert!(heat.values[47] < 0.1 && elsewhere <= 9, "{output}: {heat:?}");
    }
}

/// The manifest of a model with changes, beside a model file of these bytes, its digest made to fit.
fn forged(id: &str, bytes: &[u8], change: &dyn Fn(String) -> String) -> (tempfile::TempDir, SceneManifest) {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(manifest::folder(&models_with(id)).join(format!("{id}.toml"))).unwrap();
    let digest = snowgate_core::hex::hex(Sha256::digest(bytes));
    let start = text.find("sha256 = \"").unwrap() + "sha256 = \"".len();
    let text = format!("{}{digest}{}", &text[..start], &text[start + 64..]);
    fs::write(folder.path().join(format!("{id}.onnx")), bytes).unwrap();
    (folder, SceneManifest::parse(&change(text)).unwrap())
}

fn bytes_of(id: &str) -> Vec<u8> {
    fs::read(manifest::folder(&models_with(id)).join(format!("{id}.onnx"))).unwrap()
}

#[test]
fn broken_models_are_refused_by_name() {
    let refused = |id: &str, bytes: &[u8], change: &dyn Fn(String) -> String| {
        let (folder, manifest) = forged(id, bytes, change);
        let error = model_file::load(&runtime(), &manifest, folder.path(), Variant::Float).unwrap_err();
        assert!(error.to_string().contains(id), "{error}");
        error
    };
    let keep = |text: String| text;
    let whole = bytes_of(SHIPPED);
    assert!(matches!(refused(SHIPPED, &whole[..whole.len() / 2], &keep), ModelError::Broken { .. }), "truncated");
    let channels = |text: String| text.replace("channels = 112", "channels = 96");
    let error = refused(SHIPPED, &whole, &channels);
    assert!(matches!(error, ModelError::Shape { .. }) && error.to_string().contains("[1, 96, 16, 20]"), "{error}");
    let stride = |text: String| text.replace("stride = 8", "stride = 16");
    assert!(matches!(refused(SHIPPED, &whole, &stride), ModelError::Shape { .. }));
    let name = |text: String| text.replace("feat_s16", "feat_s32");
    assert!(refused(SHIPPED, &whole, &name).to_string().contains("no output \"feat_s32\", only"));
    let layout = |text: String| text.replace("nchw", "nhwc");
    assert!(matches!(refused(SHIPPED, &whole, &layout), ModelError::Mismatch { .. }));
    let detector = fs::read(root().join("models/centerface.onnx")).unwrap();
    assert!(matches!(refused(SHIPPED, &detector, &keep), ModelError::Mismatch { .. }), "a detector");

    let to_map = |text: String| text.replace("\"score\"\noutput", "\"map\"\noutput");
    let error = refused(GLARE, &bytes_of(GLARE), &to_map).to_string();
    assert!(error.contains("[1] where [1, 1, rows, columns] or [1, rows, columns]"), "{error}");
    let to_score = |text: String| text.replace("kind = \"map\"", "kind = \"score\"");
    let error = refused(CONTRAST, &bytes_of(CONTRAST), &to_score).to_string();
    assert!(error.contains("[1, 1, 6, 8] where a single number"), "{error}");

    let (folder, manifest) = forged(SHIPPED, &whole, &keep);
    let file = folder.path().join(format!("{SHIPPED}.onnx"));
    let load = || model_file::load(&runtime(), &manifest, folder.path(), Variant::Float).unwrap_err();
    fs::write(&file, &whole[1..]).unwrap();
    assert!(matches!(load(), ModelError::WrongDigest { .. }));
    fs::remove_file(&file).unwrap();
    assert!(matches!(load(), ModelError::Unreadable { .. }));
}

#[test]
fn each_file_works_and_float_runs_where_int8_is_not_recommended() {
    let (manifest, folder) = (described(SHIPPED), manifest::folder(&models_with(SHIPPED)));
    for variant in [Variant::Float, Variant::Int8, Variant::Int8Reduced] {
        let model = model_file::load(&runtime(), &manifest, &folder, variant).unwrap();
        assert_eq!(model.running().precision, variant);
    }
    let cpu = CpuFeatures { avx512_vnni: true, ..CpuFeatures::default() };
    let execution = Execution { precision: Precision::Int8, providers: vec![], cpu };
    let (file, model) = SceneFile::open(&runtime(), &manifest, &folder, &execution).unwrap();
    assert_eq!(file.running().precision, Variant::Float);
    assert_eq!(file.running(), model.running());
}

/// What looks is what is digested, every thread has its own, and what nobody wants is not opened.
#[test]
fn threads_have_the_models_that_are_wanted() {
    let copy = tempfile::tempdir().unwrap();
    let scenes = manifest::folder(copy.path());
    fs::create_dir(&scenes).unwrap();
    for id in [SHIPPED, GLARE, CONTRAST] {
        for extension in ["toml", "onnx"] {
            let name = format!("{id}.{extension}");
            fs::copy(manifest::folder(&models_with(id)).join(&name), scenes.join(&name)).unwrap();
        }
    }
    fs::write(scenes.join(format!("{CONTRAST}.onnx")), b"another").unwrap();
    let id = |name: &str| name.parse::<Id>().unwrap();
    let mut config = Config::load(&root().join("configs/demo")).unwrap_or_else(|problems| panic!("{problems}"));
    config.models.directory = copy.path().to_owned();
    let wanted = BTreeSet::from([id(SHIPPED), id(CONTRAST), id("missing")]);
    let loaded = LoadedModels::open(&config, &wanted);
    for _thread in 0..2 {
        let mut models = loaded.for_thread();
        let (model, _) = models.scene_mut(&id(SHIPPED)).expect("it is wanted");
        assert_eq!(model.running().sha256, loaded.digest(&id(SHIPPED)).unwrap().sha256);
        assert_eq!(features(model, &striped().pixels(true), &Masks::default()).len(), 2);
        for other in [GLARE, CONTRAST, "missing"] {
            assert!(models.scene_mut(&id(other)).is_none(), "{other}");
        }
    }
    assert!(loaded.scene(&id(CONTRAST)).is_none() && loaded.digest(&id(CONTRAST)).is_none());
}

#[test]
fn they_are_listed_and_verified_with_the_others() {
    let copy = tempfile::tempdir().unwrap();
    let folder = manifest::folder(copy.path());
    fs::create_dir(&folder).unwrap();
    let files = ["toml", "onnx", "int8.onnx", "int8-reduced.onnx"].map(|extension| format!("{SHIPPED}.{extension}"));
    for name in &files {
        fs::copy(root().join("models/scene").join(name), folder.join(name)).unwrap();
    }
    for name in [format!("{GLARE}.toml"), format!("{GLARE}.onnx")] {
        fs::copy(root().join("assets/test-models/scene").join(&name), folder.join(&name)).unwrap();
    }
    let models = |arguments: &[&str]| {
        let mut snowgate = Command::new(env!("CARGO_BIN_EXE_snowgate"));
        snowgate.arg("models").args(arguments).arg("--directory").arg(copy.path()).arg("--onnxruntime").arg(library());
        let output = snowgate.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, listed, _) = models(&["list", "--precision", "int8"]);
    let [first, second] = listed.lines().collect::<Vec<_>>()[..] else { panic!("{listed}") };
    assert!(code == Some(0) && first.starts_with(SHIPPED) && first.contains("scene_features"), "{listed}");
    assert!(first.contains("float") && first.contains("cpu"), "int8 is not recommended: {listed}");
    assert!(second.starts_with(GLARE) && second.contains("scene_anomaly"), "{listed}");
    let (code, verified, _) = models(&["verify"]);
    assert!(code == Some(0), "{verified}");
    for name in &files[1..] {
        assert!(verified.contains(&format!("{name} works")), "{verified}");
    }
    fs::write(folder.join(&files[2]), b"another").unwrap();
    let (code, verified, _) = models(&["verify"]);
    assert!(code == Some(65) && verified.contains("has SHA-256"), "{verified}");
    fs::write(folder.join(&files[0]), b"task = \"embedding\"").unwrap();
    let (code, _, said) = models(&["verify"]);
    assert!(code == Some(65) && said.contains("scene_features") && said.contains("scene_anomaly"), "{said}");
}
