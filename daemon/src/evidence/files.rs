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
    collections::HashMap,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    mem,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use snowgate_core::{
    hex::hex,
    ids::{Id, IncidentId},
    incidents::{Evidence, Sealing, command::CommandId},
    retention::{Group, Period, Retention},
    time::{BootId, Moment, Stamp},
};

use super::{
    access_log::{Access, AccessLog, AccessedFile, Action},
    hold::{self, HOLD},
    manifest::{Deleted, MANIFEST, Manifest, ManifestError, Reason},
    partial::PartialFile,
    provenance::Provenance,
    shelf::{FileKey, Shelf, Shelved},
};
use crate::{
    durable::{TEMPORARY, sync_directory},
    events::command::NotLogged,
    events::evidence::{EvidenceAged, EvidenceDeleted, EvidenceHeld, EvidenceUndeletable},
    signing::SigningKey,
};

/// Name of a file within its incident; a closed set, so that nothing from outside can be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(Cow<'static, str>);

impl FileName {
    /// The redacted still.
    pub const STILL: Self = Self(Cow::Borrowed("still.jpg"));

    /// The clip, sealed.
    pub const CLIP: Self = Self(Cow::Borrowed("clip.mp4.age"));

    /// The covered copy of the clip.
    pub const COVERED_CLIP: Self = Self(Cow::Borrowed("clip-covered.mp4"));

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

/// The directory of evidence within the data directory.
pub const EVIDENCE: &str = "evidence";

/// Bytes of the file system that evidence leaves free for incidents: the store writes them for days after evidence has stopped.
pub const RESERVE: u64 = 256 << 20;

/// Whose evidence it is, how long it is kept, and where it is written down what becomes of it.
#[derive(Debug)]
pub struct Keeping {
    /// The box.
    pub gateway: Id,
    /// What manifests are signed with; unsigned without.
    pub key: Option<SigningKey>,
    /// How long, and how much.
    pub retention: Retention,
    /// Bytes of the file system that evidence leaves free for incidents: [`RESERVE`].
    pub reserve: u64,
    /// Where deletions are entered.
    pub log: AccessLog,
    /// Which boot this is.
    pub boot: BootId,
}

/// A file that was deleted, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeletedFile {
    /// The incident it belonged to.
    pub incident: IncidentId,
    /// Its name within the incident.
    pub name: String,
    /// The camera whose pictures were in it; missing where that is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<Id>,
    /// SHA-256 of it, hexadecimal; missing where that is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was deleted.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Files that the box has deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeletionReport {
    /// The box.
    pub gateway: Id,
    /// The files.
    pub files: Vec<DeletedFile>,
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
    /// It does not fit, even with everything gone that may go.
    #[error(
        "evidence: no room for {bytes} bytes: {whose} may take {quota}, {kept} of them must be kept, and {free} are free on the disk beyond the reserve"
    )]
    NoRoom {
        /// Size of the file.
        bytes: u64,
        /// What the quota is of: `all of it`, `that of camera gate`.
        whose: String,
        /// The most bytes of that.
        quota: u64,
        /// Bytes of that which may not be deleted yet, or are held.
        kept: u64,
        /// What the file system has left beyond the reserve.
        free: u64,
    },
}

impl FilesError {
    /// The reason in a word, for metrics: `protected` where what must be kept leaves no room.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoRoom { kept: 0, .. } => "no_room",
            Self::NoRoom { .. } => "protected",
            Self::Io { .. } => "disk",
        }
    }
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
    /// How it is sealed, if it is.
    pub sealed: Option<Sealing>,
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
    pub fn open(directory: &Path, keeping: Keeping) -> Result<Self, FilesError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| fs::set_permissions(directory, fs::Permissions::from_mode(0o700)))
            .map_err(failed("prepare", directory))?;
        let (directory, shelf) = (directory.to_owned(), Shelf::default());
        let mut files = Files { directory, keeping, shelf, put_by: HashMap::new(), deleted: Vec::new() };
        files.scan()?;
        files.observe(None);
        Ok(Self(Arc::new(Mutex::new(files))))
    }

    /// From now on evidence is kept by these rules.
    pub fn keep_by(&self, retention: Retention) {
        self.lock().keeping.retention = retention;
    }

    /// Takes what was deleted since it was asked last.
    pub fn take_deleted(&self) -> Vec<DeletedFile> {
        mem::take(&mut self.lock().deleted)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.lock().shelf.bytes(&Group::All)
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
        let mut partial = self.begin(of, file, contents.len() as u64, now)?;
        partial.write_all(contents).map_err(failed("write", partial.path()))?;
        partial.keep(now)
    }

    /// Begins a file of at most so many bytes that is written bit by bit; makes room for all of it first.
    ///
    /// # Errors
    /// It does not fit, or the file system refuses.
    pub fn begin(
        &self,
        of: &Arc<Provenance>,
        file: NewFile,
        at_most: u64,
        now: Moment,
    ) -> Result<PartialFile, FilesError> {
        let folder = {
            let mut files = self.lock();
            files.make_room(at_most, &file.camera, &of.category, now)?;
            let folder = files.folder(of.incident);
            files.make_folder(&folder)?;
            for group in groups(&file.camera, &of.category) {
                *files.put_by.entry(group).or_default() += at_most;
            }
            folder
        };
        PartialFile::create(self.clone(), Arc::clone(of), file, folder, at_most)
    }

    /// Enters a file that lies under its name, into the books and the incident's manifest.
    pub(super) fn enter(&self, of: &Provenance, evidence: &Evidence, now: Moment) -> Result<(), FilesError> {
        let mut files = self.lock();
        let key = FileKey { incident: of.incident, name: evidence.name.as_str().into() };
        files.shelf.insert(
            key.clone(),
            Shelved {
                date: now.wall,
                bytes: evidence.bytes,
                camera: evidence.camera.clone(),
                category: Some(of.category.clone()),
            },
        );
        let folder = files.folder(of.incident);
        let entered = files.enter_into_manifest(&folder, of, evidence, now);
        if let Err(error) = entered.and_then(|()| sync_directory(&folder)) {
            // It may not outlive a power cut, or nobody could prove what it is: nobody must count on it.
            files.delete(&key, Reason::Disk, now)?;
            return Err(failed("enter into the manifest of", &folder)(error));
        }
        files.observe(None);
        Ok(())
    }

    /// Room that was put by for a file is free again.
    pub(super) fn release(&self, of: &Provenance, file: &NewFile, put_by: u64) {
        let mut files = self.lock();
        for group in groups(&file.camera, &of.category) {
            if let Some(bytes) = files.put_by.get_mut(&group) {
                *bytes = bytes.saturating_sub(put_by);
            }
        }
        files.put_by.retain(|_, bytes| *bytes > 0);
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
    keeping: Keeping,
    shelf: Shelf,
    /// Bytes put by for files that are being written.
    put_by: HashMap<Group, u64>,
    /// What was deleted and not yet asked for.
    deleted: Vec<DeletedFile>,
}

impl Files {
    fn folder(&self, incident: IncidentId) -> PathBuf {
        self.directory.join(incident.to_string())
    }

    /// Bytes of a group, what is put by among them.
    fn bytes(&self, group: &Group) -> u64 {
        self.shelf.bytes(group).saturating_add(self.put_by.get(group).copied().unwrap_or(0))
    }

    fn period(&self, file: &Shelved) -> Period {
        self.keeping.retention.period(file.camera.as_ref(), file.category.as_ref())
    }

    /// Whether a file may be deleted: it is not held, and old enough. While the clock is not right its age is not known.
    fn may_go(&self, key: &FileKey, file: &Shelved, now: Moment) -> bool {
        let at_least = self.period(file).at_least;
        let is_old_enough = at_least.is_zero() || (now.synchronised && age(file, now) >= at_least);
        is_old_enough && !hold::is_on(&self.folder(key.incident))
    }

    fn sweep(&mut self, now: Moment) {
        if now.synchronised {
            self.date_anew(now.wall);
            let expired = self.shelf.oldest_first(&Group::All).filter(|(key, file)| {
                age(file, now) > self.period(file).at_most && !hold::is_on(&self.folder(key.incident))
            });
            let expired: Vec<FileKey> = expired.map(|(key, _)| key.clone()).collect();
            for key in expired {
                if self.delete(&key, Reason::Age, now).is_err() {
                    break;
                }
            }
        }
        for (group, quota) in self.keeping.retention.all_quotas() {
            let excess = self.shelf.bytes(&group).saturating_sub(quota);
            let (victims, _) = self.victims(&group, excess, now);
            if victims.iter().any(|key| self.delete(key, Reason::Quota, now).is_err()) {
                break;
            }
        }
        self.observe(Some(now));
    }

    /// The oldest files of a group that may go, as many as have so many bytes, and the bytes that they have.
    fn victims(&self, group: &Group, bytes: u64, now: Moment) -> (Vec<FileKey>, u64) {
        let (mut victims, mut sum) = (Vec::new(), 0);
        for (key, file) in self.shelf.oldest_first(group) {
            if sum >= bytes {
                break;
            }
            if self.may_go(key, file, now) {
                sum += file.bytes;
                victims.push(key.clone());
            }
        }
        (victims, sum)
    }

    /// Deletes the oldest files that may go until `bytes` more fit every quota and the disk. Nothing is deleted for what cannot
    /// be made to fit its quota.
    fn make_room(&mut self, bytes: u64, camera: &Id, category: &Id, now: Moment) -> Result<(), FilesError> {
        for (group, quota) in self.keeping.retention.quotas(Some(camera), Some(category)) {
            let excess = self.bytes(&group).saturating_add(bytes).saturating_sub(quota);
            let (victims, sum) = self.victims(&group, excess, now);
            if sum < excess {
                return Err(self.no_room(bytes, (&group, quota), self.shelf.bytes(&group) - sum)?);
            }
            victims.iter().try_for_each(|key| self.delete(key, Reason::Quota, now))?;
        }
        // What is deleted need not be free at once, and others write, too.
        while let short @ 1.. = bytes.saturating_sub(self.free()?) {
            let (victims, _) = self.victims(&Group::All, short, now);
            if victims.is_empty() {
                let all = (&Group::All, self.keeping.retention.quota);
                return Err(self.no_room(bytes, all, self.shelf.bytes(&Group::All))?);
            }
            victims.iter().try_for_each(|key| self.delete(key, Reason::Disk, now))?;
        }
        Ok(())
    }

    /// Says why there is no room.
    ///
    /// # Errors
    /// Not even that is known.
    fn no_room(&self, bytes: u64, (group, quota): (&Group, u64), kept: u64) -> Result<FilesError, FilesError> {
        Ok(FilesError::NoRoom { bytes, whose: name(group), quota, kept, free: self.free()? })
    }

    /// Bytes of the file system beyond the reserve.
    fn free(&self) -> Result<u64, FilesError> {
        let disk = rustix::fs::statvfs(&self.directory)
            .map_err(|error| failed("measure the disk of", &self.directory)(error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(self.keeping.reserve))
    }

    /// Deletes a file: first it is entered into the access log that it goes, then it goes, then its manifest says so.
    fn delete(&mut self, key: &FileKey, reason: Reason, now: Moment) -> Result<(), FilesError> {
        let folder = self.folder(key.incident);
        let path = folder.join(&*key.name);
        let mut manifest = Manifest::read(&folder).map(|signed| signed.manifest).ok();
        let entry = manifest.as_mut().and_then(|manifest| manifest.file_mut(&key.name));
        let sha256 = entry.as_ref().map(|file| file.evidence.sha256.clone());
        let at = Stamp { boot: self.keeping.boot.clone(), moment: now };
        self.log_deletion(key, sha256.clone(), reason, &at);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let error = failed("delete", &path)(error);
                EvidenceUndeletable { error: &error }.emit();
                return Err(error);
            }
            _ => {}
        }
        if let Some(entry) = entry {
            entry.deleted = Some(Deleted { at: at.clone(), reason });
        }
        match &mut manifest {
            Some(manifest) if manifest.files.iter().all(|file| file.deleted.is_some()) => {
                // The access log knows of them.
                let _ = fs::remove_file(folder.join(MANIFEST));
            }
            Some(manifest) => {
                if let Err(error) = manifest.write(&folder, self.keeping.key.as_ref()) {
                    EvidenceUndeletable { error: &failed("write the manifest of", &folder)(error) }.emit();
                }
            }
            // One that is damaged stays for whoever has to look at it.
            None => {}
        }
        // Fails while something lies in it, and that is right.
        let _ = fs::remove_dir(&folder);
        let file = self.shelf.remove(key);
        let (bytes, camera) = file.map_or((0, None), |file| (file.bytes, file.camera));
        EvidenceDeleted { incident: key.incident, name: &key.name, bytes, reason: reason.as_str() }.emit();
        let (incident, name) = (key.incident, key.name.to_string());
        self.deleted.push(DeletedFile { incident, name, camera, sha256, bytes, at: now.wall, reason });
        Ok(())
    }

    fn log_deletion(&self, key: &FileKey, sha256: Option<String>, reason: Reason, at: &Stamp) {
        let access = Access {
            action: Action::Delete,
            incident: Some(key.incident),
            camera: None,
            command: None,
            by: "snowgate".to_owned(),
            unit: None,
            reason: reason.as_str().to_owned(),
            account: None,
            files: vec![AccessedFile { name: key.name.to_string(), sha256: sha256.unwrap_or_default() }],
            granted: true,
            refusal: None,
        };
        // On a full disk deleting must go on all the same.
        if let Err(error) = self.keeping.log.write(&access, at) {
            NotLogged { what: Action::Delete.as_str(), error: &error }.emit();
        }
    }

    fn enter_into_manifest(&self, folder: &Path, of: &Provenance, evidence: &Evidence, now: Moment) -> io::Result<()> {
        let at = Stamp { boot: self.keeping.boot.clone(), moment: now };
        let mut manifest = match Manifest::read(folder) {
            Ok(signed) => signed.manifest,
            Err(ManifestError::Missing) => Manifest::new(self.keeping.gateway.clone(), of.clone(), at.clone()),
            Err(error) => return Err(io::Error::other(error)),
        };
        manifest.written = at;
        manifest.enter(evidence.clone());
        manifest.write(folder, self.keeping.key.as_ref())
    }

    /// Shows how much there is; at a sweep, also how old it is and how much of it must be kept.
    fn observe(&self, now: Option<Moment>) {
        EvidenceHeld { bytes: self.shelf.bytes(&Group::All) }.emit();
        if let Some(now) = now {
            let mut all = self.shelf.oldest_first(&Group::All).map(|(_, file)| file);
            let oldest = all.next().map_or(Duration::ZERO, |file| age(file, now));
            let kept = self.shelf.oldest_first(&Group::All).filter(|(key, file)| !self.may_go(key, file, now));
            EvidenceAged { oldest, kept: kept.map(|(_, file)| file.bytes).sum() }.emit();
        }
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
        let manifest = Manifest::read(folder).map(|signed| signed.manifest).ok();
        for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
            let entry = entry.map_err(failed("read", folder))?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = entry.metadata().map_err(failed("read", &path))?;
            if !metadata.is_file() {
                continue;
            }
            if name.starts_with(TEMPORARY) {
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            } else if name.parse::<Id>().is_ok() && name != MANIFEST && name != HOLD {
                let date = metadata.modified().ok().and_then(|date| Timestamp::try_from(date).ok());
                let mut entries = manifest.iter().flat_map(|manifest| &manifest.files);
                let camera =
                    entries.find(|file| file.evidence.name == name).and_then(|file| file.evidence.camera.clone());
                let category = manifest.as_ref().map(|manifest| manifest.of.category.clone());
                let date = date.unwrap_or(Timestamp::MIN);
                let shelved = Shelved { date, bytes: metadata.len(), camera, category };
                self.shelf.insert(FileKey { incident, name: name.into() }, shelved);
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
            let known = self.shelf.get(&key).cloned();
            // A file whose date cannot be set keeps its old one, and goes first when room is needed.
            if let (Ok(()), Some(known)) = (dated, known) {
                self.shelf.insert(key, Shelved { date: now, ..known });
            }
        }
    }
}

/// What a file of this camera and category counts towards.
fn groups(camera: &Id, category: &Id) -> [Group; 3] {
    [Group::All, Group::Camera(camera.clone()), Group::Category(category.clone())]
}

fn age(file: &Shelved, now: Moment) -> Duration {
    now.wall.duration_since(file.date).try_into().unwrap_or(Duration::ZERO)
}

/// What a group is called.
fn name(group: &Group) -> String {
    match group {
        Group::All => "all of it".to_owned(),
        Group::Camera(camera) => format!("that of camera {camera}"),
        Group::Category(category) => format!("that of category {category}"),
    }
}

#[cfg(test)]
impl Keeping {
    /// So that nothing in a test is too much or too old; the access log lies in the same directory.
    pub fn any(directory: &Path) -> Self {
        let default = Period { at_least: Duration::ZERO, at_most: Duration::from_secs(86_400) };
        let (cameras, categories) = Default::default();
        Self {
            gateway: "box-1".parse().unwrap(),
            key: None,
            retention: Retention { default, quota: 10 << 20, cameras, categories },
            reserve: 0,
            log: AccessLog::open(directory).unwrap(),
            boot: BootId("boot".into()),
        }
    }
}
