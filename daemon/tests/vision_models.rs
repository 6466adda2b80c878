//! Real models, real pictures and broken ones: what opens, what is found, and what is said when it does not open.
//!
//! Needs the library, the models and the sample pictures that `make deps models media` fetches and builds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    config::Config,
    run::models::LoadedModels,
    vision::{
        execution::{CpuFeatures, Execution, Precision, Provider, Running, Variant},
        manifest::{self, Manifest},
        masks::Masks,
        model::{Model, ModelError, Models, Runtime, RuntimeError},
        model_file::ModelFile,
        preprocess::PixelRect,
    },
};
use snowgate_core::{
    geometry::{Point, Polygon, Rect},
    observation::Detection,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn library() -> PathBuf {
    root().join("assets/onnxruntime/libonnxruntime.so.1.31.1")
}

fn runtime() -> Runtime {
    Runtime::load(&library()).unwrap_or_else(|error| panic!("{error}"))
}

/// A model of the folder that the product ships, or of the one made for tests.
fn load(folder: &str, id: &str) -> Model {
    let folder = root().join(folder);
    let (manifests, errors) = manifest::read_folder(&folder);
    assert!(errors.is_empty(), "{errors:?}");
    let manifest = manifests.get(&id.parse().unwrap()).unwrap_or_else(|| panic!("{id} is not in {}", folder.display()));
    Model::load(&runtime(), manifest, &folder).unwrap_or_else(|error| panic!("{error}"))
}

/// A picture with planes of its own.
struct Picture {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Picture {
    /// Full-range BT.601, as in JPEG files.
    fn from_rgb(width: usize, height: usize, rgb: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let luma = |[r, g, b]: [u8; 3]| 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
        let chroma = |channel: usize, scale: f32| -> Vec<u8> {
            let at = |i: usize| {
                let (x, y) = (i % half_width * 2, i / half_width * 2);
                let pixel = rgb(x.min(width - 1), y.min(height - 1));
                (128.0 + (f32::from(pixel[channel]) - luma(pixel)) * scale).round() as u8
            };
            (0..half_width * half_height).map(at).collect()
        };
        let y = (0..width * height).map(|i| luma(rgb(i % width, i / width)).round() as u8).collect();
        Self { width, height, y, u: chroma(2, 0.564), v: chroma(0, 0.713) }
    }

    fn open(name: &str) -> Self {
        let path = root().join("assets/media").join(name);
        let picture = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).to_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Self::from_rgb(width, height, |x, y| picture.get_pixel(x as u32, y as u32).0)
    }

    fn pixels(&self) -> Pixels<'_> {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let half = |data| Plane { data, stride: width, width, height };
        Pixels {
            luma: Plane { data: &self.y, stride: self.width, width: self.width, height: self.height },
            chroma: Chroma::Planar { u: half(&self.u), v: half(&self.v) },
            full_range: true,
            bt709: false,
        }
    }

    fn whole(&self) -> PixelRect {
        PixelRect::whole(&self.pixels())
    }
}

fn detect(model: &mut Model, picture: &Picture, region: PixelRect, masks: &Masks) -> Vec<Detection> {
    let mut found = Vec::new();
    model.detect(&picture.pixels(), masks, region, 0.5, &mut found).unwrap();
    found
}

fn detect_all(model: &mut Model, picture: &Picture) -> Vec<Detection> {
    detect(model, picture, picture.whole(), &Masks::default())
}

#[test]
fn centerface_finds_every_face_on_hand_counted_pictures() {
    let mut model = load("models", "centerface");
    let counted = [
        ("multi_face.jpg", 5),
        ("faces1.jpg", 3),
        ("faces2.jpg", 3),
        ("faces3.jpg", 3),
        ("faces4.jpg", 4),
        ("faces5.jpg", 5),
        ("faces6.jpg", 4),
    ];
    for (name, faces) in counted {
        let found = detect_all(&mut model, &Picture::open(name));
        assert_eq!(found.len(), faces, "{name}: {found:?}");
        assert!(found.iter().all(|face| face.label.as_str() == "face"));
    }
}

#[test]
fn a_region_finds_what_the_whole_picture_does_in_the_same_place() {
    let mut model = load("models", "centerface");
    let picture = Picture::open("multi_face.jpg");
    let (width, height) = (picture.width as f32, picture.height as f32);
    for face in detect_all(&mut model, &picture) {
        // A region three times as large as the face, off its middle.
        let (w, h) = (face.rect.width * width * 3.0, face.rect.height * height * 3.0);
        let region = PixelRect {
            x: (face.rect.centre().x * width - w * 0.45).max(0.0) as u32,
            y: (face.rect.centre().y * height - h * 0.55).max(0.0) as u32,
            width: w as u32,
            height: h as u32,
        };
        let found = detect(&mut model, &picture, region, &Masks::default());
        let best = found.iter().map(|found| found.rect.iou(&face.rect)).fold(0.0, f32::max);
        assert!(best > 0.6, "{face:?} in {region:?}: {found:?}");
    }
}

#[test]
fn what_is_masked_is_not_seen() {
    let mut model = load("models", "centerface");
    let picture = Picture::open("multi_face.jpg");
    let all = detect_all(&mut model, &picture);
    let hidden = all[0].rect;
    let (left, top, right, bottom) = (hidden.x, hidden.y, hidden.right(), hidden.bottom());
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)].map(|(x, y)| Point::new(x, y));
    let masks = Masks::rasterise(&[Polygon::new(corners.to_vec()).unwrap()], picture.width, picture.height);
    let seen = detect(&mut model, &picture, picture.whole(), &masks);
    assert_eq!(seen.len(), all.len() - 1);
    assert!(seen.iter().all(|face| face.rect.iou(&hidden) < 0.3));
}

#[test]
fn ssdlite_finds_the_people_the_faces_belong_to() {
    let picture = Picture::open("multi_face.jpg");
    let found = detect_all(&mut load("models", "ssdlite-mobilenet-v2"), &picture);
    let people: Vec<Rect> =
        found.into_iter().filter(|found| found.label.as_str() == "person").map(|found| found.rect).collect();
    let faces = detect_all(&mut load("models", "centerface"), &picture);
    let owned = faces.iter().filter(|face| people.iter().any(|person| face.rect.share_inside(person) > 0.7)).count();
    assert!(owned >= 4, "{people:?} {faces:?}");
}

/// Squares as the synthetic models know them: a red one of the middle grid's size, a blue one of the finest grid's.
fn squares() -> Picture {
    Picture::from_rgb(64, 64, |x, y| match (x, y) {
        (16..32, 32..48) => [255, 0, 0],
        (40..48, 8..16) => [0, 0, 255],
        _ => [0, 0, 0],
    })
}

#[test]
fn both_yolo_layouts_are_read() {
    let picture = squares();
    for id in ["synthetic-yolov8", "synthetic-yolox"] {
        let found = detect_all(&mut load("assets/test-models", id), &picture);
        assert_eq!(found.len(), 2, "{id}: {found:?}");
        // Centre of the cell, as wide as it, half as high again.
        let place =
            |x: f32, y: f32, side: f32| Rect::new(x / 64.0, (y - side / 4.0) / 64.0, side / 64.0, side * 1.5 / 64.0);
        for (label, rect) in [("square", place(16.0, 32.0, 16.0)), ("other", place(40.0, 8.0, 8.0))] {
            let best = found.iter().find(|found| found.label.as_str() == label).unwrap();
            assert!(best.rect.iou(&rect) > 0.9, "{id}: {best:?} for {rect:?}");
        }
    }
}

const SSD: &str = "ssdlite-mobilenet-v2";

/// The shipped SSD's manifest with changes, beside a model file of these bytes, its digest made to fit.
fn forged(bytes: &[u8], change: impl Fn(String) -> String) -> (tempfile::TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join(format!("models/{SSD}.toml"))).unwrap();
    let digest = snowgate_core::hex::hex(Sha256::digest(bytes));
    let start = text.find("sha256 = \"").unwrap() + "sha256 = \"".len();
    let text = format!("{}{digest}{}", &text[..start], &text[start + 64..]);
    std::fs::write(folder.path().join(format!("{SSD}.onnx")), bytes).unwrap();
    (folder, Manifest::parse(&change(text)).unwrap())
}

#[test]
fn broken_models_are_refused_by_name() {
    let runtime = runtime();
    let whole = std::fs::read(root().join(format!("models/{SSD}.onnx"))).unwrap();
    let refused = |bytes: &[u8], change: &dyn Fn(String) -> String| {
        let (folder, manifest) = forged(bytes, change);
        let error = Model::load(&runtime, &manifest, folder.path()).unwrap_err();
        assert!(error.to_string().contains(SSD), "{error}");
        error
    };
    let keep = |text: String| text;
    assert!(matches!(refused(&whole[..whole.len() / 2], &keep), ModelError::Broken { .. }), "truncated");
    assert!(matches!(refused(b"not a model", &keep), ModelError::Broken { .. }));
    assert!(matches!(refused(&[], &keep), ModelError::Broken { .. } | ModelError::Mismatch { .. }));
    let size = |text: String| text.replace("= 300", "= 320");
    assert!(matches!(refused(&whole, &size), ModelError::Mismatch { .. }), "another input size");
    let layout = |text: String| text.replace("nchw", "nhwc");
    assert!(matches!(refused(&whole, &layout), ModelError::Mismatch { .. }), "another layout");
    let output = |text: String| text.replace("\"boxes\"", "\"corners\"");
    assert!(refused(&whole, &output).to_string().contains("corners"));
    let order = |text: String| text.replace("[\"scores\", \"boxes\"]", "[\"boxes\", \"scores\"]");
    assert!(matches!(refused(&whole, &order), ModelError::Shape { .. }), "outputs in the wrong order");
    let labels = |text: String| text.replace("\"person\",", "");
    assert!(matches!(refused(&whole, &labels), ModelError::Shape { .. }), "a label too few");

    let (folder, manifest) = forged(&whole, keep);
    let file = folder.path().join(format!("{SSD}.onnx"));
    std::fs::write(&file, &whole[1..]).unwrap();
    let error = Model::load(&runtime, &manifest, folder.path()).unwrap_err();
    let message = error.to_string();
    let ModelError::WrongDigest { expected, found, .. } = error else { panic!("{message}") };
    let named = [SSD, file.to_str().unwrap(), &expected, &found].iter().all(|part| message.contains(part));
    assert!(expected != found && named, "{message}");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(Model::load(&runtime, &manifest, folder.path()), Err(ModelError::Unreadable { .. })));
}

#[test]
fn a_broken_model_takes_no_other_down() {
    let (manifests, errors) = manifest::read_folder(&root().join("models"));
    assert!(errors.is_empty(), "{errors:?}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("models/centerface.onnx"), folder.path().join("centerface.onnx")).unwrap();
    let both = [&manifests[&SSD.parse().unwrap()], &manifests[&"centerface".parse().unwrap()]];
    let (models, errors) = Models::load(&runtime(), both, folder.path());
    assert_eq!(models.ids().map(|id| id.as_str()).collect::<Vec<_>>(), ["centerface"]);
    assert!(matches!(&errors[..], [ModelError::Unreadable { .. }]), "{errors:?}");
}

/// Compiles a shared library that calls itself ONNX Runtime 1.17.
fn old_library(folder: &Path) -> PathBuf {
    let source = folder.join("old.rs");
    let code = r#"
        #[repr(C)]
        pub struct Base {
            api: extern "C" fn(u32) -> *const u8,
            version: extern "C" fn() -> *const u8,
        }
        extern "C" fn api(_: u32) -> *const u8 { std::ptr::null() }
        extern "C" fn version() -> *const u8 { c"1.17.3".as_ptr().cast() }
        static BASE: Base = Base { api, version };
        #[unsafe(no_mangle)]
        pub extern "C" fn OrtGetApiBase() -> *const Base { &BASE }
    "#;
    std::fs::write(&source, code).unwrap();
    let library = folder.join("libold.so");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut command = std::process::Command::new(compiler);
    command.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).args([&library, &source]);
    assert!(command.status().unwrap().success());
    library
}

const IN_OWN_PROCESS: &str = "SNOWGATE_TEST_LIBRARIES";

// A process can load one library only: broken ones must be tried before a good one is, so in a process of its own.
#[test]
fn a_missing_broken_or_old_library_is_said_so() {
    if std::env::var_os(IN_OWN_PROCESS).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_missing_broken_or_old_library_is_said_so", "--nocapture"])
            .env(IN_OWN_PROCESS, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let refused = |path: &Path| Runtime::load(path).unwrap_err();

    assert!(matches!(refused(&at("missing.so")), RuntimeError::Unreadable { .. }));
    assert!(matches!(refused(folder.path()), RuntimeError::NoLibrary { .. }));
    std::fs::write(at("text.so"), "this is no library").unwrap();
    assert!(matches!(refused(&at("text.so")), RuntimeError::NoLibrary { .. }));
    let whole = std::fs::read(library()).unwrap();
    std::fs::write(at("half.so"), &whole[..whole.len() / 2]).unwrap();
    assert!(refused(&at("half.so")).to_string().contains("is cut off"));
    let old = old_library(folder.path());
    let error = refused(&old).to_string();
    assert!(error.contains("1.17.3") && error.contains("libold.so"), "{error}");

    // After all that the real one loads, and loads again; another one does not any more.
    runtime();
    runtime();
    assert!(matches!(refused(&old), RuntimeError::AnotherLoaded { .. }));
}

fn shipped() -> (PathBuf, std::collections::BTreeMap<snowgate_core::ids::Id, Manifest>) {
    let folder = root().join("models");
    let (manifests, errors) = manifest::read_folder(&folder);
    assert!(errors.is_empty(), "{errors:?}");
    (folder, manifests)
}

/// A processor that sums exactly, or one that does not, whatever this one is.
fn execution(precision: Precision, providers: &[Provider], exact: bool) -> Execution {
    let cpu = CpuFeatures { avx512_vnni: exact, ..CpuFeatures::default() };
    Execution { precision, providers: providers.to_vec(), cpu }
}

/// What a model that has int8 files runs as here.
fn int8_of_this_processor() -> Variant {
    if CpuFeatures::detect().sums_exactly() { Variant::Int8 } else { Variant::Int8Reduced }
}

#[test]
fn each_variant_is_the_file_its_manifest_pins() {
    let (folder, manifests) = shipped();
    for id in [SSD, "centerface"] {
        let manifest = &manifests[&id.parse().unwrap()];
        for (precision, exact, variant) in [
            (Precision::Float, true, Variant::Float),
            (Precision::Auto, true, Variant::Int8),
            (Precision::Auto, false, Variant::Int8Reduced),
        ] {
            let (file, model) =
                ModelFile::open(&runtime(), manifest, &folder, &execution(precision, &[], exact)).unwrap();
            let bytes = std::fs::read(folder.join(manifest.file(variant).unwrap().file.as_str())).unwrap();
            let sha256 = snowgate_core::hex::hex(Sha256::digest(&bytes));
            let running = Running { precision: variant, provider: Provider::Cpu, sha256 };
            assert_eq!(*file.running(), running, "{id}");
            assert_eq!(*model.running(), running, "{id}");
            // What other threads open is the same thing, and the file is not asked again.
            assert_eq!(*file.model().unwrap().running(), running, "{id}");
        }
        assert_eq!(Model::load(&runtime(), manifest, &folder).unwrap().running().precision, Variant::Float);
    }
}

/// What incidents say looked at the pictures is the file that did, not merely the model's manifest.
#[test]
fn incidents_name_the_file_that_looks() {
    let (_, manifests) = shipped();
    let mut config = Config::load(&root().join("configs/demo")).unwrap_or_else(|problems| panic!("{problems}"));
    for (precision, exact, variant) in [
        (Precision::Float, true, Variant::Float),
        (Precision::Int8, true, Variant::Int8),
        (Precision::Int8, false, Variant::Int8Reduced),
    ] {
        config.models.execution = execution(precision, &[], exact);
        let loaded = LoadedModels::open(&config, &["efficientnet-lite0".parse().unwrap()].into());
        let mut models = loaded.for_thread();
        let id = SSD.parse().unwrap();
        let digest = loaded.digest(&id).unwrap();
        assert_eq!(digest.sha256, *manifests[&id].file(variant).unwrap().sha256);
        assert_eq!(models.get_mut(&id).unwrap().running().sha256, digest.sha256);
    }
}

#[test]
fn a_wrong_int8_file_is_refused_and_not_passed_over() {
    let (folder, manifests) = shipped();
    let manifest = &manifests[&SSD.parse().unwrap()];
    let copy = tempfile::tempdir().unwrap();
    let name = |variant| manifest.file(variant).unwrap().file.to_string();
    std::fs::copy(folder.join(name(Variant::Float)), copy.path().join(name(Variant::Float))).unwrap();
    let open = || ModelFile::open(&runtime(), manifest, copy.path(), &execution(Precision::Auto, &[], true));
    assert!(matches!(open().unwrap_err(), ModelError::Unreadable { .. }));
    // The float file under the int8 file's name.
    std::fs::copy(folder.join(name(Variant::Float)), copy.path().join(name(Variant::Int8))).unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, ModelError::WrongDigest { .. }), "{error}");
    assert!(error.to_string().contains(&name(Variant::Int8)), "{error}");
}

#[test]
fn providers_that_are_not_there_are_passed_over_with_the_reason() {
    let (folder, manifests) = shipped();
    let manifest = &manifests[&SSD.parse().unwrap()];
    let preferred = [Provider::Tensorrt, Provider::Cuda, Provider::Openvino];
    let execution = Execution::here(Precision::Auto, preferred.to_vec());
    let (file, mut model) = ModelFile::open(&runtime(), manifest, &folder, &execution).unwrap();
    assert_eq!(file.running().provider, Provider::Cpu);
    assert_eq!(file.running().precision, int8_of_this_processor(), "float was for the cards");
    let refused: Vec<Provider> = file.refused().iter().map(|refused| refused.provider).collect();
    assert_eq!(refused, preferred);
    for (refused, name) in file.refused().iter().zip(["Tensorrt", "CUDA", "OpenVINO"]) {
        assert!(refused.reason.contains("built without") && refused.reason.contains(name), "{refused:?}");
    }
    assert!(!detect_all(&mut model, &Picture::open("multi_face.jpg")).is_empty());
    let metrics = snowgate::events::REGISTRY.gather();
    let labels = |name: &str| -> Vec<String> {
        let family = metrics.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no {name}"));
        let text = |metric: &prometheus::proto::Metric| {
            metric.get_label().iter().map(|label| label.value()).collect::<Vec<_>>().join(" ")
        };
        family.get_metric().iter().map(text).collect()
    };
    let info = format!("{SSD} {} cpu {}", file.running().precision, file.running().sha256);
    assert!(labels("snowgate_model_info").contains(&info), "{info}");
    for provider in ["tensorrt", "cuda", "openvino"] {
        let counted = format!("{SSD} {provider}");
        assert!(labels("snowgate_model_provider_refusals_total").contains(&counted), "{counted}");
    }
}

/// How many of `these` have a partner among `those`: the same label, boxes that overlap by half.
fn matched(these: &[Detection], those: &[Detection]) -> usize {
    let partner =
        |one: &&Detection| those.iter().any(|other| other.label == one.label && other.rect.iou(&one.rect) >= 0.5);
    these.iter().filter(partner).count()
}

#[test]
fn int8_finds_what_float_finds() {
    let (folder, manifests) = shipped();
    let pictures: Vec<Picture> = ["multi_face.jpg", "faces4.jpg", "faces5.jpg", "faces6.jpg"].map(Picture::open).into();
    // The full range where it is run; where products are summed in 16 bits it would find nothing.
    let variants = [Variant::Int8Reduced, int8_of_this_processor()];
    for variant in BTreeSet::from(variants) {
        let load = |id: &str| {
            let manifest = &manifests[&id.parse().unwrap()];
            let open = |variant| Model::load_variant(&runtime(), manifest, &folder, variant).unwrap();
            (open(Variant::Float), open(variant))
        };
        // Faces: every one, and no other.
        let (mut float, mut int8) = load("centerface");
        for picture in &pictures {
            let (wanted, found) = (detect_all(&mut float, picture), detect_all(&mut int8, picture));
            assert_eq!(matched(&wanted, &found), wanted.len(), "{variant}: {wanted:?} {found:?}");
            assert_eq!(found.len(), wanted.len(), "{variant}: {wanted:?} {found:?}");
        }
        // Things, in quarters as regions show them: nine in ten either way.
        let (mut float, mut int8) = load(SSD);
        let (mut wanted_count, mut lost, mut won) = (0, 0, 0);
        for picture in &pictures {
            let (width, height) = (picture.width as u32 / 2, picture.height as u32 / 2);
            for (x, y) in [(0, 0), (width, 0), (0, height), (width, height)] {
                let region = PixelRect { x, y, width, height };
                let find = |model: &mut Model| detect(model, picture, region, &Masks::default());
                let (wanted, found) = (find(&mut float), find(&mut int8));
                wanted_count += wanted.len();
                lost += wanted.len() - matched(&wanted, &found);
                won += found.len() - matched(&found, &wanted);
            }
        }
        assert!(wanted_count >= 20, "{wanted_count} are too few to tell");
        assert!(
            lost * 10 <= wanted_count && won * 10 <= wanted_count,
            "{variant}: {lost} lost, {won} won of {wanted_count}"
        );
    }
}
