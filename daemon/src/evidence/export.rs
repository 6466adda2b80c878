//! Taking evidence off the box: who and why goes into the access log first, then the files are copied as they are.
//!
//! What is sealed leaves sealed: the box has no key to open it. An export of an incident is a folder with its name: every file
//! that there is, and the manifest that proves them. It is written under another name (`.partial`) and gets its own when all of
//! it is on disk.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use snowgate_core::{ids::IncidentId, time::Stamp};

use super::{
    access_log::{Access, AccessLog, AccessLogError, AccessedFile, Action},
    archive::Folder,
    files::EVIDENCE,
    manifest::{MANIFEST, ManifestError},
};
use crate::durable::{Partial, sync_directory};

/// Who does something with evidence, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who, as they say.
    pub by: String,
    /// The unit that they act for.
    pub unit: String,
    /// Why.
    pub reason: String,
    /// The account at the box.
    pub account: Option<String>,
}

impl Person {
    /// What the access log says of what they do.
    pub fn access(&self, action: Action, incident: Option<IncidentId>, refusal: Option<String>) -> Access {
        Access {
            action,
            incident,
            camera: None,
            command: None,
            by: self.by.clone(),
            unit: Some(self.unit.clone()),
            reason: self.reason.clone(),
            account: self.account.clone(),
            files: Vec::new(),
            granted: refusal.is_none(),
            refusal,
        }
    }
}

/// An incident's evidence, on its new disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The folder.
    pub folder: PathBuf,
    /// The files in it.
    pub files: Vec<AccessedFile>,
}

/// Why evidence does not leave the box.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is none.
    #[error("incident {0} has no evidence here")]
    NoEvidence(IncidentId),
    /// What it is cannot be proved.
    #[error("incident {incident}: {source}")]
    Manifest {
        /// The incident.
        incident: IncidentId,
        /// Why.
        source: ManifestError,
    },
    /// A file is not what it was.
    #[error("incident {incident}: {name} has been altered; `snowgate evidence verify` says more")]
    Altered {
        /// The incident.
        incident: IncidentId,
        /// The file.
        name: String,
    },
    /// It has been exported there before.
    #[error("{} is there already; an export never replaces another one", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Who asks and why cannot be written down, so nothing leaves.
    #[error("access log: {0}")]
    AccessLog(#[from] AccessLogError),
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    move |source| ExportError::File { path, source }
}

/// Exports the evidence of an incident into a folder of its name in the directory `to`. Granted or refused, it stands in the access
/// log when this returns.
///
/// # Errors
/// Nothing has left the box, unless copying it failed; then the log says that, too.
pub fn export(
    data: &Path,
    incident: IncidentId,
    to: &Path,
    person: &Person,
    log: &AccessLog,
    now: impl Fn() -> Stamp,
) -> Result<Exported, ExportError> {
    let refuse = |error: &ExportError| {
        log.write(&person.access(Action::Export, Some(incident), Some(error.to_string())), &now())
    };
    let (folder, files) = match look_through(data, incident, to) {
        Ok(found) => found,
        Err(error) => {
            refuse(&error)?;
            return Err(error);
        }
    };
    let access = person.access(Action::Export, Some(incident), None);
    log.write(&Access { files: files.clone(), ..access }, &now())?;
    match copy(&folder, &files, to) {
        Ok(folder) => Ok(Exported { folder, files }),
        Err(error) => {
            refuse(&error)?;
            Err(error)
        }
    }
}

/// The incident's folder and its files, each as it was.
fn look_through(data: &Path, incident: IncidentId, to: &Path) -> Result<(Folder, Vec<AccessedFile>), ExportError> {
    let directory = data.join(EVIDENCE);
    let folder = Folder::of(&directory, incident).map_err(failed(&directory))?;
    let folder = folder.ok_or(ExportError::NoEvidence(incident))?;
    let target = to.join(incident.to_string());
    if target.symlink_metadata().is_ok() {
        return Err(ExportError::Exists(target));
    }
    let manifest = match &folder.manifest {
        Ok(signed) => &signed.manifest,
        Err(error) => return Err(ExportError::Manifest { incident, source: error.clone() }),
    };
    let mut files = Vec::new();
    for file in manifest.files.iter().filter(|file| file.deleted.is_none()) {
        let (name, expected) = (&file.evidence.name, &file.evidence.sha256);
        let (sha256, _) = folder.digest(name).map_err(failed(&folder.path.join(name)))?;
        if sha256 != *expected {
            return Err(ExportError::Altered { incident, name: name.clone() });
        }
        files.push(AccessedFile { name: name.clone(), sha256 });
    }
    Ok((folder, files))
}

fn copy(folder: &Folder, files: &[AccessedFile], to: &Path) -> Result<PathBuf, ExportError> {
    let name = folder.incident.to_string();
    let (target, partial) = (to.join(&name), to.join(format!("{name}{}", Partial::SUFFIX)));
    // Nobody else needs to see it; what an export left there that was interrupted goes first.
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&partial)(error)),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&partial).map_err(failed(&partial))?;
    for name in files.iter().map(|file| file.name.as_str()).chain([MANIFEST]) {
        let path = partial.join(name);
        fs::copy(folder.path.join(name), &path).map_err(failed(&path))?;
        File::open(&path).and_then(|file| file.sync_all()).map_err(failed(&path))?;
    }
    sync_directory(&partial).map_err(failed(&partial))?;
    fs::rename(&partial, &target).map_err(failed(&target))?;
    sync_directory(to).map_err(failed(to))?;
    Ok(target)
}
