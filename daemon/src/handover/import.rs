//! Putting a box's state into an empty data directory.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use snowgate_core::{hex::hex, time::Moment};
use tar::Archive;

use super::{
    HandoverError, Manifest,
    export::Hashed,
    manifest::{self, Listed, is_inside},
};
use crate::{
    durable::sync_directory,
    store::{FILE, LOCK, Offline},
};

/// Where files lie until all are there and right.
const STAGE: &str = ".part-import";

/// Puts the state of `gateway` there. Where that is a backup, the store goes on as after a loss.
///
/// # Errors
/// The archive is damaged or of another gateway, there is a store already, or the file system refuses: then no store is there, and
/// it can be tried again.
pub fn import(from: &Path, gateway: &str, data: &Path, now: Moment) -> Result<Manifest, HandoverError> {
    // A glance at the whole before anything is written: it says what is wrong without leaving anything behind.
    let manifest = verify(from)?;
    if manifest.gateway != gateway {
        let (path, found, expected) = (from.to_owned(), manifest.gateway, gateway.to_owned());
        return Err(HandoverError::OtherGateway { path, found, expected });
    }
    fs::create_dir_all(data).map_err(HandoverError::file(data))?;
    let offline = Offline::take(data)?;
    let stage = data.join(STAGE);
    if is_occupied(data, &stage)? {
        return Err(HandoverError::Occupied(data.to_owned()));
    }
    clear(&stage)?;
    let unpacked = unpack(from, Some(&stage))?;
    if unpacked != manifest {
        return Err(HandoverError::damaged(from, "it changed while it was read"));
    }
    give_to_owner_of(data, &stage)?;
    let staged = File::open(&stage).map_err(HandoverError::file(&stage))?;
    rustix::fs::syncfs(&staged).map_err(|error| HandoverError::File { path: stage.clone(), source: error.into() })?;
    if !manifest.handed_over {
        Offline::begin_after_restore(&stage, now)?;
    }
    put_in_place(&stage, data)?;
    drop(offline);
    Ok(manifest)
}

/// Reads an archive to its end and says what it holds.
///
/// # Errors
/// It is damaged, or cannot be read.
pub(super) fn verify(from: &Path) -> Result<Manifest, HandoverError> {
    unpack(from, None)
}

/// Reads an archive to its end; its files go below a folder if there is one.
fn unpack(from: &Path, into: Option<&Path>) -> Result<Manifest, HandoverError> {
    let damaged = |reason: String| HandoverError::damaged(from, reason);
    let file = File::open(from).map_err(HandoverError::file(from))?;
    let mut archive = Archive::new(io::BufReader::with_capacity(1 << 20, file));
    let mut seen: Vec<Listed> = Vec::new();
    for entry in archive.entries().map_err(HandoverError::file(from))? {
        let mut entry = entry.map_err(|error| damaged(format!("it is damaged: {error}")))?;
        let path = entry.path().map_err(|error| damaged(format!("it is damaged: {error}")))?.into_owned();
        let (Some(name), true) = (path.to_str().map(str::to_owned), entry.header().entry_type().is_file()) else {
            return Err(damaged(format!("it holds {}, which is no file of a box", path.display())));
        };
        if name == manifest::NAME {
            let mut text = Vec::new();
            entry.take(manifest::MAX_BYTES).read_to_end(&mut text).map_err(HandoverError::file(from))?;
            let manifest = Manifest::parse(&text).map_err(damaged)?;
            compare(&manifest.files, &seen).map_err(damaged)?;
            return Ok(manifest);
        }
        if !is_inside(&path) {
            return Err(damaged(format!("it holds {name}, which lies outside of a data directory")));
        }
        let mut hashed = Hashed { from: &mut entry, hash: Sha256::new(), read: 0 };
        let copied = match into {
            Some(folder) => write(&mut hashed, &folder.join(&path))?,
            None => io::copy(&mut hashed, &mut io::sink()).map_err(HandoverError::file(from))?,
        };
        seen.push(Listed { path: name, bytes: copied, sha256: hex(hashed.hash.finalize()) });
    }
    Err(damaged("it is cut off: the list of its files is missing".to_owned()))
}

/// Says in what an archive differs from what it should hold.
fn compare(listed: &[Listed], seen: &[Listed]) -> Result<(), String> {
    if let Some((wrong, _)) = listed.iter().zip(seen).find(|(listed, seen)| listed != seen) {
        return Err(format!("{} in it is altered or missing", wrong.path));
    }
    match listed.len() == seen.len() {
        true => Ok(()),
        false => Err(format!("it should hold {} files and holds {}", listed.len(), seen.len())),
    }
}

fn write(from: &mut impl io::Read, path: &Path) -> Result<u64, HandoverError> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(HandoverError::file(folder))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(HandoverError::file(path))?;
    io::copy(from, &mut file).map_err(HandoverError::file(path))
}

/// Whether anything is there that did not come from an import that was interrupted: only those leave a stage, and they begin where
/// nothing is.
fn is_occupied(data: &Path, stage: &Path) -> Result<bool, HandoverError> {
    if stage.exists() {
        return Ok(data.join(FILE).exists());
    }
    for entry in fs::read_dir(data).map_err(HandoverError::file(data))? {
        if entry.map_err(HandoverError::file(data))?.file_name() != LOCK {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes what an interrupted import left.
fn clear(stage: &Path) -> Result<(), HandoverError> {
    match fs::remove_dir_all(stage) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(HandoverError::file(stage)(error)),
        _ => Ok(()),
    }
}

/// Whoever imports may be root: the files belong to whom the data directory belongs.
fn give_to_owner_of(data: &Path, stage: &Path) -> Result<(), HandoverError> {
    let owner = fs::metadata(data).map_err(HandoverError::file(data))?;
    let (user, group) = (Some(owner.uid()), Some(owner.gid()));
    let mut paths: Vec<PathBuf> = vec![stage.to_owned()];
    while let Some(path) = paths.pop() {
        let metadata = fs::symlink_metadata(&path).map_err(HandoverError::file(&path))?;
        if (metadata.uid(), metadata.gid()) != (owner.uid(), owner.gid()) {
            std::os::unix::fs::lchown(&path, user, group).map_err(HandoverError::file(&path))?;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(HandoverError::file(&path))? {
                paths.push(entry.map_err(HandoverError::file(&path))?.path());
            }
        }
    }
    Ok(())
}

/// Moves everything to where it belongs, the store last.
fn put_in_place(stage: &Path, data: &Path) -> Result<(), HandoverError> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(stage).map_err(HandoverError::file(stage))? {
        names.insert(entry.map_err(HandoverError::file(stage))?.file_name());
    }
    // A write-ahead log without its store is nothing; a store without its log would be an older one.
    let store = names.take(std::ffi::OsStr::new(FILE));
    for name in names.iter().chain(&store) {
        let to = data.join(name);
        let in_the_way = match fs::symlink_metadata(&to) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&to),
            Ok(_) => fs::remove_file(&to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        in_the_way.and_then(|()| fs::rename(stage.join(name), &to)).map_err(HandoverError::file(&to))?;
    }
    fs::remove_dir(stage).and_then(|()| sync_directory(data)).map_err(HandoverError::file(data))
}
