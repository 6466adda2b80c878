//! Models that score readings, in the real ONNX Runtime.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};
use snowgate::{
    sensor::{
        manifest::{self, SensorManifest},
        model::{SensorModel, SensorModels},
    },
    vision::model::{ModelError, Runtime},
};
use snowgate_core::sensor::anomaly::outside::{ModelDetector, Models};

const SHIPPED: &str = "window-distance";
const STUMBLES: &str = "synthetic-stumbles";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn library() -> PathBuf {
    root().join("assets/onnxruntime/libonnxruntime.so.1.31.1")
}

fn runtime() -> Runtime {
    Runtime::load(&library()).unwrap_or_else(|error| panic!("{error}"))
}

/// The models of a folder, as a gateway whose sensors name all of them has them.
fn models(folder: &str) -> SensorModels {
    let folder = root().join(folder);
    let (manifests, errors) = manifest::read_all(&folder);
    assert!(errors.is_empty() && !manifests.is_empty(), "{errors:?}");
    let mut models = SensorModels::default();
    for manifest in manifests.values() {
        let model = SensorModel::load(&runtime(), manifest, &manifest::folder(&folder));
        models.insert(model.unwrap_or_else(|error| panic!("{error}")));
    }
    models
}

fn detector(models: &SensorModels, id: &str) -> Box<dyn ModelDetector> {
    models.detector(&id.parse().unwrap()).unwrap_or_else(|| panic!("there is no {id}"))
}

/// A tide with some noise, a reading every five minutes.
fn tide(reading: usize) -> f64 {
    200.0 + 20.0 * (reading as f64 * std::f64::consts::TAU / 288.0).sin() + ((reading * 7919) % 13) as f64 / 4.0
}

#[test]
fn what_lies_far_off_scores_high_and_the_ordinary_low() {
    let models = models("models");
    let mut detector = detector(&models, SHIPPED);
    for reading in 0..2000 {
        let score = detector.observe(tide(reading));
        // Before there are as many readings as it wants to see, there is no score.
        assert_eq!(score.is_some(), reading >= 63, "{reading}");
        assert!(score.is_none_or(|score| (0.0..0.5).contains(&score)), "{score:?} at {reading}");
    }
    assert_eq!(detector.observe(f64::NAN), None, "what is no number is no reading");
    let score = detector.observe(tide(2000) + 180.0).unwrap();
    assert!((0.7..=1.0).contains(&score), "{score}");
    let score = detector.observe(tide(2001)).unwrap();
    assert!(score < 0.5, "{score}");
    for value in [f64::MAX, f64::NEG_INFINITY, 0.0, 1e-300] {
        assert!((0.0..=1.0).contains(&detector.observe(value).unwrap()), "{value}");
    }
}

#[test]
fn quantities_share_a_model_and_not_their_readings() {
    let models = models("models");
    let (mut level, mut power) = (detector(&models, SHIPPED), detector(&models, SHIPPED));
    let mut alone = detector(&models, SHIPPED);
    for reading in 0..300 {
        power.observe(1000.0 * tide(reading * 17));
        assert_eq!(level.observe(tide(reading)), alone.observe(tide(reading)));
    }
    assert!(models.detector(&"centerface".parse().unwrap()).is_none());
}

/// How often it was counted that the test model failed in this way.
fn failures(reason: &str) -> f64 {
    let families = snowgate::events::REGISTRY.gather();
    let family = families.iter().find(|family| family.name() == "snowgate_sensor_model_failures_total");
    let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
    let is = |metric: &&prometheus::proto::Metric, value: &str| {
        metric.get_label().iter().any(|label| label.value() == value)
    };
    let metric = metrics.iter().find(|metric| is(metric, STUMBLES) && is(metric, reason));
    metric.map_or(0.0, |metric| metric.get_counter().get_value())
}

/// The test model's score is the square root of the reading that the last one points at.
#[test]
fn a_failing_model_gives_no_score_and_is_asked_again() {
    let models = models("assets/test-models");
    let mut detector = detector(&models, STUMBLES);
    let mut score = |readings: [f64; 4]| readings.map(|reading| detector.observe(reading))[3];
    assert_eq!(score([0.25, 0.0, 0.0, 0.0]), Some(0.5));
    assert_eq!((failures("failed"), failures("not_a_number")), (0.0, 0.0));
    assert_eq!(score([0.0, 0.0, 0.0, 9.0]), None, "9 points nowhere");
    assert_eq!(failures("failed"), 1.0);
    assert_eq!(score([0.0, -4.0, 0.0, 1.0]), Some(0.0), "what is no number is 0");
    assert_eq!(failures("not_a_number"), 1.0);
    // While it is the last reading, 4 points nowhere either.
    assert_eq!(score([4.0, 0.0, 0.0, 0.0]), Some(1.0), "no score is more than 1");
    assert_eq!((failures("failed"), failures("not_a_number")), (2.0, 1.0));
}

/// The shipped model's manifest with changes, beside a model file of these bytes, its digest made to fit.
fn forged(bytes: &[u8], change: impl Fn(String) -> String) -> (tempfile::TempDir, SensorManifest) {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join(format!("models/sensors/{SHIPPED}.toml"))).unwrap();
    let digest = snowgate_core::hex::hex(Sha256::digest(bytes));
    let start = text.find("sha256 = \"").unwrap() + "sha256 = \"".len();
    let text = format!("{}{digest}{}", &text[..start], &text[start + 64..]);
    fs::write(folder.path().join(format!("{SHIPPED}.onnx")), bytes).unwrap();
    (folder, SensorManifest::parse(&change(text)).unwrap())
}

#[test]
fn broken_models_are_refused_by_name() {
    let runtime = runtime();
    let whole = fs::read(root().join(format!("models/sensors/{SHIPPED}.onnx"))).unwrap();
    let refused = |bytes: &[u8], change: &dyn Fn(String) -> String| {
        let (folder, manifest) = forged(bytes, change);
        let error = SensorModel::load(&runtime, &manifest, folder.path()).unwrap_err();
        assert!(error.to_string().contains(SHIPPED), "{error}");
        error
    };
    let keep = |text: String| text;
    assert!(matches!(refused(&whole[..whole.len() / 2], &keep), ModelError::Broken { .. }), "truncated");
    let length = |text: String| text.replace("values = 64", "values = 65");
    let error = refused(&whole, &length).to_string();
    assert!(error.contains("has shape [1, 64], the manifest says [1, 65]"), "{error}");
    let output = |text: String| text.replace("output = \"score\"", "output = \"rarity\"");
    assert!(refused(&whole, &output).to_string().contains("no output \"rarity\", only [\"score\"]"));
    let of_pictures = fs::read(root().join("models/centerface.onnx")).unwrap();
    assert!(matches!(refused(&of_pictures, &keep), ModelError::Mismatch { .. }), "a model of pictures");

    let (folder, manifest) = forged(&whole, keep);
    let file = folder.path().join(format!("{SHIPPED}.onnx"));
    fs::write(&file, &whole[1..]).unwrap();
    let load = || SensorModel::load(&runtime, &manifest, folder.path()).unwrap_err();
    assert!(matches!(load(), ModelError::WrongDigest { .. }));
    fs::remove_file(&file).unwrap();
    assert!(matches!(load(), ModelError::Unreadable { .. }));
}

#[test]
fn they_are_listed_and_verified_with_the_others() {
    let copy = tempfile::tempdir().unwrap();
    let folder = manifest::folder(copy.path());
    fs::create_dir(&folder).unwrap();
    for extension in ["toml", "onnx"] {
        let name = format!("{SHIPPED}.{extension}");
        fs::copy(root().join("models/sensors").join(&name), folder.join(&name)).unwrap();
    }
    let models = |command: &str| {
        let mut snowgate = Command::new(env!("CARGO_BIN_EXE_snowgate"));
        snowgate.args(["models", command, "--directory"]).arg(copy.path()).arg("--onnxruntime").arg(library());
        let output = snowgate.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, listed, _) = models("list");
    assert!(code == Some(0) && listed.starts_with(SHIPPED) && listed.contains("sensor_anomaly"), "{listed}");
    let (code, verified, _) = models("verify");
    assert!(code == Some(0) && verified.contains("window-distance.onnx works"), "{verified}");
    fs::write(folder.join(format!("{SHIPPED}.onnx")), b"another").unwrap();
    let (code, verified, _) = models("verify");
    assert!(code == Some(65) && verified.contains("has SHA-256"), "{verified}");
    fs::write(folder.join(format!("{SHIPPED}.toml")), b"task = \"embedding\"").unwrap();
    let (code, _, said) = models("verify");
    assert!(code == Some(65) && said.contains("sensor_anomaly"), "{said}");
}
