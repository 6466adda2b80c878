//! What the loader does with good, damaged and arbitrary directories, and the copy of the last good one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use common::{CATEGORIES, Directory, GATEWAY, NORTH};
use proptest::prelude::*;
use snowgate::config::{Config, last_good, preflight};
use snowgate_core::severity::Severity;

#[test]
fn a_rule_reports_by_its_own_word_then_its_zones_then_its_cameras() {
    let directory = Directory::good();
    let target = |config: &Config, camera: &str, rule: usize| {
        let report = &config.camera(&camera.parse().unwrap()).unwrap().rules[rule].report;
        (report.category.to_string(), report.severity, report.grid.clone())
    };
    let config = Config::load(directory.path()).unwrap();
    assert_eq!(target(&config, "north", 0), ("intrusion".into(), Severity::Critical, "3301".into()), "the zone's");
    assert_eq!(target(&config, "north", 1), ("crossing".into(), Severity::Ordinary, "3301".into()), "its own");
    assert_eq!(target(&config, "south", 0), ("intrusion".into(), Severity::Major, "33".into()), "the camera's");

    directory.replace("cameras.d/north.toml", "for = \"2s\"", "grid = \"33\"\nseverity = \"minor\"");
    let config = Config::load(directory.path()).unwrap();
    assert_eq!(target(&config, "north", 0), ("intrusion".into(), Severity::Minor, "33".into()));
}

#[test]
fn secrets_come_from_files_beside_the_configuration() {
    let directory = Directory::good();
    directory.write("password", b"hunter2\n");
    fs::set_permissions(directory.path().join("password"), fs::Permissions::from_mode(0o600)).unwrap();
    directory.replace("cameras.d/north.toml", "[detect]", "username = \"a\"\npassword_file = \"password\"\n[detect]");
    directory.replace("gateway.toml", "\"broker\"", "\"broker\"\nusername = \"a\"\npassword_file = \"password\"");
    let config = Config::load(directory.path()).unwrap();
    let north = config.camera(&"north".parse().unwrap()).unwrap();
    assert_eq!(north.password.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"), "secrets are not printed");
}

#[test]
fn a_disabled_camera_needs_neither_secret_nor_model() {
    let directory = Directory::good();
    let disabled = "enabled = false\ngrid = \"3301\"";
    directory.replace("cameras.d/north.toml", "grid = \"3301\"", disabled);
    directory.replace("cameras.d/north.toml", "fps = 5", "object_model = \"no-such\"");
    directory.replace("cameras.d/north.toml", "[detect]", "username = \"a\"\npassword_file = \"gone\"\n[detect]");
    let config =
        Config::load(directory.path()).and_then(|config| preflight(config, &common::known_models(), None)).unwrap();
    assert!(!config.problems.has_errors(), "{}", config.problems);
    assert_eq!(config.cameras.iter().filter(|camera| camera.is_watched()).count(), 1);
}

#[test]
fn one_cameras_trouble_refuses_that_camera_only() {
    let directory = Directory::good();
    directory.replace("cameras.d/north.toml", "fps = 5", "object_model = \"broken\"");
    let config =
        Config::load(directory.path()).and_then(|config| preflight(config, &common::known_models(), None)).unwrap();
    assert!(config.problems.has_errors() && !config.problems.is_fatal());
    let refused = |id: &str| config.camera(&id.parse().unwrap()).unwrap().refused.clone();
    assert_eq!(refused("north").unwrap(), "object model `broken` cannot be used: broken.onnx is not an ONNX file");
    assert_eq!(refused("south"), None);
}

#[test]
fn the_digest_follows_the_content_alone() {
    let (one, other) = (Directory::good(), Directory::good());
    let digest = |directory: &Directory| Config::load(directory.path()).unwrap().digest();
    assert_eq!(digest(&one), digest(&other));
    assert_eq!(digest(&one).len(), 64);
    one.write("cameras.d/north.toml.bak", b"anything");
    assert_eq!(digest(&one), digest(&other), "backups do not count");
    one.replace("cameras.d/north.toml", "fps = 5", "fps = 6");
    assert_ne!(digest(&one), digest(&other));
}

#[test]
fn the_last_good_configuration_survives_the_original() {
    let directory = Directory::good();
    let data = tempfile::tempdir().unwrap();
    directory.replace("gateway.toml", "[mqtt]", "[models]\ndirectory = \"models\"\n[mqtt]");
    let config = Config::load(directory.path()).unwrap();
    // Changed after it was read: what was read is what is kept.
    directory.write("gateway.toml", b"broken");
    last_good::save(&config, data.path()).unwrap();
    let kept = last_good::load(data.path(), directory.path()).unwrap();
    assert_eq!(kept.digest(), config.digest());
    assert_eq!(kept.models.directory, directory.path().join("models"), "paths mean the files beside the original");
}

#[test]
fn a_newer_good_configuration_replaces_the_older_whatever_was_left_behind() {
    let directory = Directory::good();
    let data = tempfile::tempdir().unwrap();
    let save = || {
        let config = Config::load(directory.path()).unwrap();
        last_good::save(&config, data.path()).unwrap();
        config.digest()
    };
    let load = || last_good::load(data.path(), directory.path()).unwrap().digest();
    let first = save();
    assert_eq!(save(), first, "saving again changes nothing");
    directory.replace("cameras.d/north.toml", "fps = 5", "fps = 6");
    let second = Config::load(directory.path()).unwrap().digest();
    // A save that was cut off: half a copy, and a link not yet in its place.
    let half = data.path().join(format!("last-good-{second}"));
    fs::create_dir_all(half.join("cameras.d")).unwrap();
    fs::write(half.join("gateway.toml"), "[gat").unwrap();
    std::os::unix::fs::symlink("nowhere", data.path().join("last-good.new")).unwrap();
    assert_eq!(load(), first, "the old one holds until the new one is whole");
    assert_eq!(save(), second);
    assert_eq!(load(), second);
    let names: Vec<_> = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left over: {names:?}");
}

#[test]
fn nothing_kept_and_nowhere_to_keep_are_errors_with_the_path() {
    let directory = Directory::good();
    let nowhere = directory.path().join("no-such");
    let problems = last_good::load(&nowhere, directory.path()).unwrap_err();
    assert!(problems.to_string().contains("no-such/last-good"), "{problems}");
    let config = Config::load(directory.path()).unwrap();
    assert!(last_good::save(&config, &nowhere).unwrap_err().to_string().contains("no-such"));
}

#[test]
fn the_data_directory_is_found_in_a_configuration_that_is_wrong_elsewhere() {
    let directory = Directory::good();
    let default = Path::new("/var/lib/snowgate");
    assert_eq!(last_good::data_directory(directory.path()), default);
    directory.replace("gateway.toml", "[mqtt]", "unknown = 1\n[storage]\ndirectory = \"data\"\n[mqtt]");
    assert_eq!(last_good::data_directory(directory.path()), directory.path().join("data"));
    directory.write("gateway.toml", b"[[[");
    assert_eq!(last_good::data_directory(directory.path()), default);
}

/// Loads a directory with these files, prints what is said about it in every way there is, and answers whether it is
/// valid.
fn load(gateway: &[u8], categories: &[u8], camera: &[u8]) -> bool {
    let directory = Directory::good();
    directory.write("gateway.toml", gateway);
    directory.write("categories.toml", categories);
    directory.write("cameras.d/north.toml", camera);
    let loaded = Config::load(directory.path()).and_then(|config| preflight(config, &common::known_models(), None));
    let problems = match &loaded {
        Ok(config) => &config.problems,
        Err(problems) => problems,
    };
    let rendered = [problems.render(true), problems.render(false), problems.to_string()];
    assert!(rendered.iter().all(|text| text.is_empty() == problems.is_empty()));
    for report in serde_json::to_value(problems.report()).unwrap().as_array().unwrap() {
        assert!(report["line"].is_null() || report["line"].as_u64() >= Some(1));
    }
    loaded.is_ok()
}

/// A good text with some bytes replaced, removed or put in.
fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b""[..],
        b"\n",
        b"\"",
        b"'''",
        b"[",
        b"]",
        b"[[",
        b"{",
        b"}",
        b"=",
        b",",
        b"#",
        b"\\",
        b"\xff",
        "门".as_bytes(),
        b"\r\n",
        b"\0",
        b"-1",
        b"1e999",
        b"nan",
        b"99999999999999999999",
        b"password = \"x\"\n",
        b"[zones]\n",
        b"a.b.c = 1\n",
        b"\"\"\"",
        b"://",
        b"@",
        b"\t",
    ]);
    let damage = (any::<prop::sample::Index>(), 0usize..12, pieces);
    prop::collection::vec(damage, 0..6).prop_map(move |damages| {
        let mut bytes = text.as_bytes().to_vec();
        for (place, removed, piece) in damages {
            let start = place.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, piece.iter().copied());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_never_stop_the_loader(
        gateway in damaged(GATEWAY), categories in damaged(CATEGORIES), camera in damaged(NORTH),
    ) {
        load(&gateway, &categories, &camera);
    }

    #[test]
    fn arbitrary_bytes_never_stop_the_loader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(!load(&bytes, &bytes, &bytes));
    }

    #[test]
    fn arbitrary_text_never_stops_the_loader(text in "([a-z\\[\\]{}=\"'.,# \n0-9]|\\PC){0,200}") {
        prop_assert!(!load(text.as_bytes(), CATEGORIES.as_bytes(), text.as_bytes()));
    }
}

#[test]
fn execution_providers_are_read_and_those_never_tried_are_named() {
    use snowgate::vision::execution::{Precision, Provider};
    let with = |keys: &str| {
        let directory = Directory::good();
        let text = directory.read("gateway.toml");
        directory.write("gateway.toml", format!("{text}\n[models]\n{keys}\n").as_bytes());
        Config::load(directory.path())
    };
    let execution = with("").unwrap().models.execution;
    assert_eq!((execution.precision, execution.providers), (Precision::Auto, vec![Provider::Cpu]));
    let config = with("precision = 'float'\nproviders = ['openvino', 'cuda']").unwrap();
    assert!(config.problems.is_empty(), "{}", config.problems);
    let execution = config.models.execution;
    assert_eq!(
        (execution.precision, execution.providers),
        (Precision::Float, vec![Provider::Openvino, Provider::Cuda])
    );
    let late = with("providers = ['cpu', 'tensorrt']").unwrap().problems.render(false);
    assert!(late.contains("`tensorrt` is never tried"), "{late}");
    let none = with("providers = []").unwrap_err().render(false);
    assert!(none.contains("no execution provider is named"), "{none}");
    let unknown = with("providers = ['gpu']").unwrap_err().render(false);
    assert!(["\"gpu\"", "openvino"].iter().all(|part| unknown.contains(part)), "{unknown}");
}
