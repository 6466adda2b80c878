//! Whether evidence is what it was: what should be there is there, nothing has been altered, and what is gone is accounted for.
//!
//! What stands against what: the incidents of the store against the manifests, the manifests (and their signatures) against the
//! files, and whatever is missing against the deletions in the access log, whose chain is gone through at the end. In this order
//! a daemon that goes on working beside it causes no false finding: it enters a file into the manifest before the incident, and
//! a deletion into the log before the file goes.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer};
use snowgate_core::{ids::IncidentId, incidents::Evidence};

use super::{
    access_log::{self, AccessLogError, Action, Head},
    archive::{self, Folder},
    files::EVIDENCE,
    manifest::{ManifestError, ManifestFile},
};
use crate::signing::PublicKey;

/// What is to be proved.
pub struct Order<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// These incidents; all where there are none.
    pub only: &'a [IncidentId],
    /// Whose signatures must be on the manifests; not looked at without.
    pub key: Option<&'a PublicKey>,
    /// A line that the access log must have: one that was published.
    pub head: Option<&'a Head>,
    /// What the incidents of the store name; not asked without.
    pub named: Option<HashMap<IncidentId, Vec<Evidence>>>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Proof {
    /// Incidents looked at.
    pub incidents: u64,
    /// Files that are what they were.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that the box has deleted, and says so.
    pub deleted: u64,
    /// Whether signatures were looked at.
    pub signatures: bool,
    /// Lines of the access log.
    pub log_lines: u64,
    /// Its last line.
    pub log_head: Option<Head>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something is wrong.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The incident; none where it is about the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// The file, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What.
    #[serde(serialize_with = "in_words")]
    pub fault: Fault,
}

fn in_words<S: Serializer>(fault: &Fault, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(fault)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.incident, &self.file) {
            (Some(incident), Some(file)) => write!(f, "{incident}/{file}: {}", self.fault),
            (Some(incident), None) => write!(f, "{incident}: {}", self.fault),
            (None, _) => write!(f, "access log: {}", self.fault),
        }
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest is that of another incident.
    #[error("its manifest is that of incident {0}")]
    OtherIncident(IncidentId),
    /// A file is gone, and nothing says that the box has deleted it.
    #[error("it is missing, and no deletion is recorded")]
    Missing,
    /// A file is not what it was.
    #[error("it has been altered: its SHA-256 is {found}, not {expected}")]
    Altered {
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The incident names another file than the manifest does.
    #[error("the incident names it with SHA-256 {named}, its manifest with {listed}")]
    Contradiction {
        /// In the incident.
        named: String,
        /// In the manifest.
        listed: String,
    },
    /// A file that nothing speaks of.
    #[error("it is there, and no manifest speaks of it")]
    Unlisted,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// The access log's chain.
    #[error(transparent)]
    Log(#[from] AccessLogError),
    /// The log does not hold a line that was published.
    #[error("line {} with SHA-256 {} is not in it: lines have been changed or cut off", .0.number, .0.sha256)]
    HeadMissing(Head),
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct ProofError {
    /// The directory.
    path: PathBuf,
    source: io::Error,
}

/// Goes through everything.
///
/// # Errors
/// The evidence directory cannot be read.
pub fn prove(order: &Order<'_>) -> Result<Proof, ProofError> {
    let directory = order.data.join(EVIDENCE);
    let failed = |source| ProofError { path: directory.clone(), source };
    let mut proof = Proving { proof: Proof { signatures: order.key.is_some(), ..Proof::default() }, gone: Vec::new() };
    let mut named = order.named.clone().unwrap_or_default();
    // One at a time: there may be a hundred thousand.
    let folders: Box<dyn Iterator<Item = Folder>> = if order.only.is_empty() {
        Box::new(archive::folders(&directory).map_err(failed)?)
    } else {
        named.retain(|incident, _| order.only.contains(incident));
        let folders = order.only.iter().map(|incident| Folder::of(&directory, *incident));
        Box::new(folders.filter_map(Result::transpose).collect::<io::Result<Vec<_>>>().map_err(failed)?.into_iter())
    };
    let mut found = HashSet::new();
    for folder in folders {
        found.insert(folder.incident);
        let named = named.remove(&folder.incident).unwrap_or_default();
        proof.folder(&folder, order.key, named);
    }
    // Of these there is no folder any more.
    for (incident, evidence) in named {
        proof.proof.incidents += 1;
        proof.gone.extend(evidence.into_iter().map(|evidence| (incident, evidence.name, Gone::Unexplained)));
    }
    for incident in order.only {
        if !found.contains(incident) && !proof.gone.iter().any(|gone| gone.0 == *incident) {
            proof.find(*incident, None, ManifestError::Missing);
        }
    }
    proof.log(order);
    Ok(proof.proof)
}

/// Goes through what was exported: folders of incidents, with nothing beside them.
///
/// # Errors
/// The directory cannot be read.
pub fn prove_exported(directory: &Path, key: Option<&PublicKey>) -> Result<Proof, ProofError> {
    let failed = |source| ProofError { path: directory.to_owned(), source };
    let mut proof = Proving { proof: Proof { signatures: key.is_some(), ..Proof::default() }, gone: Vec::new() };
    for folder in archive::folders(directory).map_err(failed)? {
        proof.folder(&folder, key, Vec::new());
    }
    for (incident, name, gone) in std::mem::take(&mut proof.gone) {
        match gone {
            Gone::Unexplained => proof.find(incident, Some(name), Fault::Missing),
            Gone::Deleted => proof.proof.deleted += 1,
        }
    }
    Ok(proof.proof)
}

/// How a file is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// Its manifest says that it was deleted.
    Deleted,
    /// Nothing says so but, perhaps, the access log.
    Unexplained,
}

struct Proving {
    proof: Proof,
    /// Files that are not there, to be held against the access log.
    gone: Vec<(IncidentId, String, Gone)>,
}

impl Proving {
    fn find(&mut self, incident: IncidentId, file: Option<String>, fault: impl Into<Fault>) {
        self.proof.findings.push(Finding { incident: Some(incident), file, fault: fault.into() });
    }

    fn folder(&mut self, folder: &Folder, key: Option<&PublicKey>, named: Vec<Evidence>) {
        self.proof.incidents += 1;
        let incident = folder.incident;
        let listed = match &folder.manifest {
            Ok(signed) => {
                if let Some(Err(error)) = key.map(|key| signed.verify(key)) {
                    self.find(incident, None, error);
                }
                if signed.manifest.of.incident != incident {
                    self.find(incident, None, Fault::OtherIncident(signed.manifest.of.incident));
                }
                signed.manifest.files.clone()
            }
            Err(error) => {
                self.find(incident, None, error.clone());
                Vec::new()
            }
        };
        let there = folder.files().unwrap_or_else(|error| {
            self.find(incident, None, Fault::Unreadable(error));
            Vec::new()
        });
        for file in &listed {
            self.file(folder, file, &there);
        }
        let is_listed = |name: &str| listed.iter().any(|file| file.evidence.name == name);
        for name in there.into_iter().filter(|name| !is_listed(name)) {
            self.find(incident, Some(name), Fault::Unlisted);
        }
        for Evidence { name, sha256: named, .. } in named {
            match listed.iter().find(|file| file.evidence.name == name) {
                Some(file) if file.evidence.sha256 == named => {}
                Some(file) => {
                    let listed = file.evidence.sha256.clone();
                    self.find(incident, Some(name), Fault::Contradiction { named, listed });
                }
                None => self.gone.push((incident, name, Gone::Unexplained)),
            }
        }
    }

    fn file(&mut self, folder: &Folder, file: &ManifestFile, there: &[String]) {
        let (incident, name) = (folder.incident, file.evidence.name.clone());
        if !there.contains(&name) {
            let gone = if file.deleted.is_some() { Gone::Deleted } else { Gone::Unexplained };
            self.gone.push((incident, name, gone));
            return;
        }
        match folder.digest(&name) {
            Ok((found, bytes)) if found == file.evidence.sha256 => {
                self.proof.files += 1;
                self.proof.bytes += bytes;
            }
            Ok((found, _)) => {
                let expected = file.evidence.sha256.clone();
                self.find(incident, Some(name), Fault::Altered { expected, found });
            }
            // It went while it was being looked at.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.gone.push((incident, name, Gone::Unexplained));
            }
            Err(error) => self.find(incident, Some(name), Fault::Unreadable(error)),
        }
    }

    fn log(&mut self, order: &Order<'_>) {
        let (mut deleted, mut first, mut has_head) = (HashSet::new(), None, order.head.is_none());
        let mut lines = 0;
        let read = access_log::read_all(order.data, |at, entry| {
            lines += 1;
            first.get_or_insert(at.number);
            has_head |= order.head == Some(at);
            if let (Action::Delete, Some(incident)) = (entry.access.action, entry.access.incident) {
                deleted.extend(entry.access.files.iter().map(|file| (incident, file.name.clone())));
            }
        });
        self.proof.log_lines = lines;
        match read {
            Ok(head) => self.proof.log_head = Some(head),
            Err(error) => self.proof.findings.push(Finding { incident: None, file: None, fault: error.into() }),
        }
        if let Some(head) = order.head.filter(|_| !has_head) {
            let fault = Fault::HeadMissing(head.clone());
            self.proof.findings.push(Finding { incident: None, file: None, fault });
        }
        // Logs that were full long ago are not kept: what they said is not known any more.
        let log_is_whole = first.is_none_or(|first| first == 1);
        for (incident, name, gone) in std::mem::take(&mut self.gone) {
            let is_recorded = deleted.contains(&(incident, name.clone()));
            if is_recorded || (gone == Gone::Deleted && !log_is_whole) {
                self.proof.deleted += 1;
            } else {
                self.find(incident, Some(name), Fault::Missing);
            }
        }
    }
}
