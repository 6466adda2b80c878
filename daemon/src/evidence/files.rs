//! Evidence files: `{directory}/{incident}/{name}`.
//!
//! - **Whole or not there.** A file is written under a temporary name, synced, renamed, and the directory synced. What
//!   a power cut leaves under a temporary name is removed at the next start. One that is [written bit by bit](PartialFile)
//!   and never kept disappears.
//! - **The disk never fills.** Before a file is written the oldest ones go until it fits the quota and leaves the reserve of
//!   free space; a file that cannot fit is refused, and one that is being written has its room put by. Files older than `keep` go at every sweep.
//! - **Nothing leads outside.** Incident ids and file names are types that cannot hold a separator, and links are neither
//!   followed nor counted.
//! - **Nobody else reads it.** Directories are 0700 and files 0600.
//!
//! A file's date is its modification time, which restarts keep. A date from before any clock was set, or from a future
//! that never came, says nothing of a file's age: such files are dated anew at the first sweep under a synchronised
//! clock, and until then only the quota removes them.

use std::{
    borrow::Cow,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use snowgate_core::{
    hex::hex,
    ids::{Id, IncidentId},
    incidents::{Evidence, command::CommandId},
    time::Moment,
};

use super::{
    partial::{PARTIAL, PartialFile},
    provenance::Provenance,
    shelf::{FileKey, Shelf},
};
use crate::{
    durable::sync_directory,
    events::evidence::{EvidenceDeleted, EvidenceHeld, EvidenceUndeletable},
};

/// Name of a file within its incident; a closed set, so that nothing from outside can be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(Cow<'static, str>);

impl FileName {
    /// The redacted still.
    pub const STILL: Self = Self(Cow::Borrowed("still.jpg"));

    /// The redacted still of the verification with this command id: one for each within an incident. What the id is made of
    /// comes from outside, so only its digest becomes part of the name.
    pub fn of_verification(command: &CommandId) -> Self {
        let digest = Sha256::digest(command.as_str());
        Self(Cow::Owned(format!("verify-{}.jpg", hex(&digest[..8]))))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How much evidence is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes of all files.
    pub quota: u64,
    /// The longest a file is kept.
    pub keep: Duration,
    /// Bytes of the file system that evidence leaves free for incidents.
    pub reserve: u64,
}

impl Limits {
    /// A reserve that lets the store write incidents for days after evidence has stopped.
    pub const RESERVE: u64 = 256 << 20;
}

/// Why evidence cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The file system refuses.
    #[error("evidence: cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It does not fit, even with all other evidence gone.
    #[error("evidence: no room for {bytes} bytes (quota {quota}, free on disk beyond the reserve {free})")]
    NoRoom {
        /// Size of the file.
        bytes: u64,
        /// The most bytes of all files.
        quota: u64,
        /// What the file system has left beyond the reserve.
        free: u64,
    },
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    move |source| FilesError::Io { action, path, source }
}

/// What a file is, before it is written.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its name within the incident.
    pub name: FileName,
    /// The camera whose pictures are in it.
    pub camera: Id,
    /// Media type of what is in it.
    pub media_type: &'static str,
    /// When the first of its pictures was taken.
    pub taken: Moment,
}

/// Earlier dates were given by a box whose clock had not been set: the first release is younger.
const NO_DATE_BEFORE: Timestamp = Timestamp::constant(1_735_689_600, 0); // 2025-01-01

/// How far a file's date may lie in the future before it is no date.
const CLOCK_SLACK: Duration = Duration::from_secs(86_400);

/// The evidence of this box; clones are the same. A second one on the same directory would not know what the first one writes.
#[derive(Debug, Clone)]
pub struct EvidenceFiles(Arc<Mutex<Files>>);

impl EvidenceFiles {
    /// Opens the directory, makes it if it is not there, counts what lies in it, and removes what was left half written.
    ///
    /// # Errors
    /// The directory cannot be made, read or restricted to its owner.
    pub fn open(directory: &Path, limits: Limits) -> Result<Self, FilesError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| fs::set_permissions(directory, fs::Permissions::from_mode(0o700)))
            .map_err(failed("prepare", directory))?;
        let mut files = Files { directory: directory.to_owned(), limits, shelf: Shelf::default(), put_by: 0 };
        files.scan()?;
        EvidenceHeld { bytes: files.shelf.bytes() }.emit();
        Ok(Self(Arc::new(Mutex::new(files))))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.lock().shelf.bytes()
    }

    /// Where a file lies, or would.
    pub fn path(&self, incident: IncidentId, name: &FileName) -> PathBuf {
        self.lock().folder(incident).join(name.as_str())
    }

    /// Writes a file, durably, in place of an earlier one of that name; makes room for it first. Answers what the incident's next
    /// revision says of it.
    ///
    /// # Errors
    /// It does not fit, or the file system refuses; then no part of it is there.
    pub fn write(
        &self,
        of: &Arc<Provenance>,
        file: NewFile,
        contents: &[u8],
        now: Moment,
    ) -> Result<Evidence, FilesError> {
        let mut partial = self.begin(of, file, contents.len() as u64)?;
        partial.write_all(contents).map_err(failed("write", partial.path()))?;
        partial.keep(now)
    }

    /// Begins a file of at most so many bytes that is written bit by bit; makes room for all of it first.
    ///
    /// # Errors
    /// It does not fit, or the file system refuses.
    pub fn begin(&self, of: &Arc<Provenance>, file: NewFile, at_most: u64) -> Result<PartialFile, FilesError> {
        let folder = {
            let mut files = self.lock();
            files.make_room(at_most)?;
            let folder = files.folder(of.incident);
            files.make_folder(&folder)?;
            files.put_by += at_most;
            folder
        };
        PartialFile::create(self.clone(), Arc::clone(of), file, folder, at_most)
    }

    /// Enters a file that lies under its name.
    pub(super) fn enter(&self, of: &Provenance, evidence: &Evidence, now: Moment) -> Result<(), FilesError> {
        let mut files = self.lock();
        let key = FileKey { incident: of.incident, name: evidence.name.as_str().into() };
        files.shelf.insert(key.clone(), now.wall, evidence.bytes);
        let folder = files.folder(of.incident);
        if let Err(error) = sync_directory(&folder) {
            // It may not outlive a power cut: nobody must count on it.
            files.delete(&key, "disk")?;
            return Err(failed("sync", &folder)(error));
        }
        EvidenceHeld { bytes: files.shelf.bytes() }.emit();
        Ok(())
    }

    /// Room that was put by is free again.
    pub(super) fn release(&self, put_by: u64) {
        self.lock().put_by -= put_by;
    }

    /// Removes what is older than it may be, and what is over the quota. Ages count under a synchronised clock only.
    pub fn sweep(&self, now: Moment) {
        self.lock().sweep(now);
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Files {
    directory: PathBuf,
    limits: Limits,
    shelf: Shelf,
    /// Bytes put by for files that are being written.
    put_by: u64,
}

impl Files {
    fn folder(&self, incident: IncidentId) -> PathBuf {
        self.directory.join(incident.to_string())
    }

    /// Bytes of all files, those put by among them.
    fn bytes(&self) -> u64 {
        self.shelf.bytes().saturating_add(self.put_by)
    }

    fn sweep(&mut self, now: Moment) {
        if now.synchronised {
            self.date_anew(now.wall);
            let oldest_kept = now.wall.saturating_sub(self.limits.keep).unwrap_or(Timestamp::MIN);
            while let Some((date, key)) = self.shelf.oldest().cloned() {
                if date >= oldest_kept || self.delete(&key, "age").is_err() {
                    break;
                }
            }
        }
        while self.bytes() > self.limits.quota {
            let Some((_, key)) = self.shelf.oldest().cloned() else { break };
            if self.delete(&key, "quota").is_err() {
                break;
            }
        }
        EvidenceHeld { bytes: self.shelf.bytes() }.emit();
    }

    /// Deletes the oldest files until `bytes` more fit the quota and the disk.
    fn make_room(&mut self, bytes: u64) -> Result<(), FilesError> {
        let quota = self.limits.quota;
        loop {
            let free = self.free()?;
            let over_quota = self.bytes().saturating_add(bytes) > quota;
            if !over_quota && bytes <= free {
                return Ok(());
            }
            let oldest = self.shelf.oldest().map(|(_, key)| key.clone());
            match oldest {
                Some(key) if bytes <= quota => self.delete(&key, if over_quota { "quota" } else { "disk" })?,
                _ => return Err(FilesError::NoRoom { bytes, quota, free }),
            }
        }
    }

    /// Bytes of the file system beyond the reserve.
    fn free(&self) -> Result<u64, FilesError> {
        let disk = rustix::fs::statvfs(&self.directory)
            .map_err(|error| failed("measure the disk of", &self.directory)(error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(self.limits.reserve))
    }

    fn delete(&mut self, key: &FileKey, reason: &'static str) -> Result<(), FilesError> {
        let folder = self.folder(key.incident);
        let path = folder.join(&*key.name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let error = failed("delete", &path)(error);
                EvidenceUndeletable { error: &error }.emit();
                return Err(error);
            }
            _ => {}
        }
        // Fails while other files are in it, and that is right.
        let _ = fs::remove_dir(&folder);
        let bytes = self.shelf.remove(key).unwrap_or(0);
        EvidenceDeleted { incident: key.incident, name: &key.name, bytes, reason }.emit();
        Ok(())
    }

    fn make_folder(&self, folder: &Path) -> Result<(), FilesError> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => sync_directory(&self.directory).map_err(failed("sync", &self.directory)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let metadata = fs::symlink_metadata(folder).map_err(failed("read", folder))?;
                if metadata.is_dir() {
                    Ok(())
                } else {
                    Err(failed("use", folder)(io::Error::new(io::ErrorKind::NotADirectory, "it is no directory")))
                }
            }
            Err(error) => Err(failed("make", folder)(error)),
        }
    }

    fn scan(&mut self) -> Result<(), FilesError> {
        for entry in fs::read_dir(&self.directory).map_err(failed("read", &self.directory))? {
            let entry = entry.map_err(failed("read", &self.directory))?;
            let incident = entry.file_name().into_string().ok().and_then(|name| IncidentId::try_from(name).ok());
            // A link is no directory here: the type is that of the entry itself.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if let (Some(incident), true) = (incident, is_folder) {
                self.scan_folder(incident, &entry.path())?;
            }
        }
        Ok(())
    }

    fn scan_folder(&mut self, incident: IncidentId, folder: &Path) -> Result<(), FilesError> {
        for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
            let entry = entry.map_err(failed("read", folder))?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = entry.metadata().map_err(failed("read", &path))?;
            if !metadata.is_file() {
                continue;
            }
            if name.starts_with(PARTIAL) {
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            } else if name.parse::<Id>().is_ok() {
                let date = metadata.modified().ok().and_then(|date| Timestamp::try_from(date).ok());
                let key = FileKey { incident, name: name.into() };
                self.shelf.insert(key, date.unwrap_or(Timestamp::MIN), metadata.len());
            }
        }
        // Left empty by a power cut; fails while files are in it.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    fn date_anew(&mut self, now: Timestamp) {
        let latest = now.saturating_add(CLOCK_SLACK).unwrap_or(Timestamp::MAX);
        for key in self.shelf.outside(NO_DATE_BEFORE, latest) {
            let path = self.folder(key.incident).join(&*key.name);
            let dated = File::options().write(true).open(&path).and_then(|file| file.set_modified(now.into()));
            let bytes = self.shelf.size(&key);
            // A file whose date cannot be set keeps its old one, and goes first when room is needed.
            if let (Ok(()), Some(bytes)) = (dated, bytes) {
                self.shelf.insert(key, now, bytes);
            }
        }
    }
}
