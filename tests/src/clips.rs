//! Clips, and configurations to replay them by.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::repository;

/// A clip of this name.
pub fn media(name: &str) -> PathBuf {
    repository().join("assets/media").join(name)
}

/// A configuration like the demo's with this camera alone, whose file is changed.
pub fn configured(camera: &str, change: impl FnOnce(String) -> String) -> TempDir {
    let demo = repository().join("configs/demo");
    let folder = TempDir::new().expect("a temporary directory");
    fs::create_dir(folder.path().join("cameras.d")).expect("a folder for cameras");
    for name in ["gateway.toml", "categories.toml"] {
        let text = fs::read_to_string(demo.join(name)).expect("the demo's configuration");
        // Paths are relative to the configuration.
        let text = text.replace("\"../..", &format!("\"{}", repository().display()));
        fs::write(folder.path().join(name), text).expect("a file of the configuration");
    }
    let file = format!("cameras.d/{camera}.toml");
    let text = fs::read_to_string(demo.join(&file)).expect("the camera's file");
    fs::write(folder.path().join(file), change(text)).expect("the camera's file");
    folder
}
