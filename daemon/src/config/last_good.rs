//! The last configuration that `run` started with, kept beside its data: a boot that finds a bad one uses it instead.
//!
//! `{data}/last-good` is a symbolic link to a directory named by its content's digest. A new copy is written and synced
//! to the disk completely before the link is exchanged by one rename, so that after a power cut at any moment the link
//! leads to a whole configuration, the old one or the new one. Secrets are not copied: the copy's relative paths keep
//! meaning the files beside the original.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
};

use snowgate_core::spec::all_defaults;

use super::{Config, Problems, files};
use crate::{durable::sync_directory, store::spec::StorageSpec};

const LINK: &str = "last-good";
const NEW_LINK: &str = "last-good.new";
/// What the directories' names start with; the digest follows.
const COPY: &str = "last-good-";

/// Whether a name in the data directory is that of a copy, or of the link to it.
pub fn is_copy(name: &str) -> bool {
    name == LINK || name == NEW_LINK || name.starts_with(COPY)
}

/// Why the copy could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("the last good configuration cannot be kept in {}: {error}", path.display())]
pub struct SaveError {
    /// Where it was to be written.
    pub path: PathBuf,
    /// Why it was not.
    pub error: io::Error,
}

/// Keeps the files that `config` was read from, exactly as they were then, under `data`.
///
/// # Errors
/// What kept it from the disk; the copy kept before is then still whole.
pub fn save(config: &Config, data: &Path) -> Result<(), SaveError> {
    save_files(config, data).map_err(|error| SaveError { path: data.to_owned(), error })
}

/// Loads the configuration kept under `data`; its relative paths are relative to `base`, the original directory.
///
/// # Errors
/// Everything that is wrong with it; a missing copy is among that.
pub fn load(data: &Path, base: &Path) -> Result<Config, Problems> {
    Config::load_from(&data.join(LINK), base)
}

/// Where the data of a configuration lies that cannot be loaded: what its gateway.toml says, if that much can be read,
/// or the default.
pub fn data_directory(directory: &Path) -> PathBuf {
    let text = files::read_text(&directory.join(files::GATEWAY)).unwrap_or_default();
    let root = toml_span::parse(&text).ok();
    let said = root.as_ref().and_then(|root| root.pointer("/storage/directory")).and_then(|value| value.as_str());
    match said {
        Some(said) => directory.join(said),
        None => directory.join(all_defaults::<StorageSpec>().directory.value),
    }
}

fn save_files(config: &Config, data: &Path) -> io::Result<()> {
    let name = format!("{COPY}{}", config.digest());
    let (link, copy) = (data.join(LINK), data.join(&name));
    if fs::read_link(&link).is_ok_and(|target| target == Path::new(&name)) {
        return Ok(());
    }
    remove_if_there(&copy)?;
    private_directory(&copy)?;
    let folders = [files::CAMERAS, files::SENSORS, files::RULES].map(|folder| copy.join(folder));
    folders.iter().try_for_each(|folder| private_directory(folder))?;
    for (name, source) in config.files.all() {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy.join(name))?;
        file.write_all(source.text.as_bytes())?;
        file.sync_all()?;
    }
    for directory in folders.iter().map(PathBuf::as_path).chain([copy.as_path(), data]) {
        sync_directory(directory)?;
    }
    let new_link = data.join(NEW_LINK);
    remove_if_there(&new_link)?;
    symlink(&name, &new_link)?;
    fs::rename(&new_link, &link)?;
    sync_directory(data)?;
    remove_older(data, &name)
}

fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the copies that the link no longer leads to.
fn remove_older(data: &Path, current: &str) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(COPY) && name != current) {
            remove_if_there(&data.join(name))?;
        }
    }
    Ok(())
}
