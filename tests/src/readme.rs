//! What the README shows must work.

use std::fs;

use snowgate::config::Config;

use crate::repository;

#[test]
fn the_camera_in_ten_lines_and_the_sensor_are_valid() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (camera, _) = example.split_once("```").unwrap();
    let lines = camera.lines().filter(|line| !line.starts_with('#'));
    assert!(lines.count() <= 10, "{camera}");

    let folder = tempfile::tempdir().unwrap();
    for file in ["gateway.toml", "categories.toml"] {
        fs::copy(repository().join("configs/demo").join(file), folder.path().join(file)).unwrap();
    }
    let (_, sensor) = readme.split_once("## And a sensor").unwrap().1.split_once("```toml\n").unwrap();
    let (sensor, _) = sensor.split_once("```").unwrap();
    let files = [("cameras.d/gate.toml", camera), ("secrets/gate", "secret"), ("sensors.d/bridge.toml", sensor)];
    for (file, content) in files {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    let config = Config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.cameras[0].is_watched(), "{}", config.problems);
    assert_eq!(config.cameras[0].rules.len(), 1);
    assert!(config.sensors[0].is_watched() && config.sensors[0].rules.len() == 1, "{}", config.problems);
}
