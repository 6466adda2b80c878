//! The evidence directory as it lies there, for those who read it beside the daemon: list, verify, export.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use snowgate_core::{hex::hex, ids::IncidentId};

use super::{
    hold::{HOLD, Hold},
    manifest::{MANIFEST, Manifest, ManifestError, Signed},
};
use crate::durable::TEMPORARY;

/// Bytes hashed at once.
const BUFFER: usize = 64 << 10;

/// The evidence of one incident.
#[derive(Debug)]
pub struct Folder {
    /// The incident.
    pub incident: IncidentId,
    /// Where it lies.
    pub path: PathBuf,
    /// What is said of it.
    pub manifest: Result<Signed, ManifestError>,
    /// Who has it kept, if anybody has.
    pub hold: Option<Result<Hold, io::Error>>,
}

impl Folder {
    /// That of an incident; none where there is none.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn of(directory: &Path, incident: IncidentId) -> io::Result<Option<Self>> {
        let path = directory.join(incident.to_string());
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(Some(Self::at(path, incident))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn at(path: PathBuf, incident: IncidentId) -> Self {
        let (manifest, hold) = (Manifest::read(&path), Hold::on(&path));
        Self { incident, path, manifest, hold }
    }

    /// Names of the files that lie there, those that are being written and what is said about them left out.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn files(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != MANIFEST && name != HOLD && !name.starts_with(TEMPORARY) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// SHA-256 of a file there, hexadecimal, and its length; links are not followed.
    ///
    /// # Errors
    /// It is not there, is no file, or cannot be read.
    pub fn digest(&self, name: &str) -> io::Result<(String, u64)> {
        let path = self.path.join(name);
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let (mut file, mut hash, mut bytes) = (File::open(&path)?, Sha256::new(), 0);
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok((hex(hash.finalize()), bytes)),
                read => {
                    hash.update(&buffer[..read]);
                    bytes += read as u64;
                }
            }
        }
    }
}

/// The folders of all incidents, the oldest first.
///
/// # Errors
/// The directory cannot be read; one that is not there has none.
pub fn folders(directory: &Path) -> io::Result<impl Iterator<Item = Folder> + use<>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    let incident = |entry: &fs::DirEntry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_folder.then(|| IncidentId::try_from(entry.file_name().into_string().ok()?).ok()).flatten()
    };
    let mut incidents: Vec<_> = entries.iter().filter_map(|entry| Some((incident(entry)?, entry.path()))).collect();
    incidents.sort();
    Ok(incidents.into_iter().map(|(incident, path)| Folder::at(path, incident)))
}
