//! What belongs to an incident's evidence, signed by the box: incident, configuration, models and files, each with its SHA-256.
//!
//! # On disk
//! `manifest.jsonl` beside the files. The first line is the [`Manifest`] as a JSON object; where the gateway has a key, the second
//! one is the [`Seal`] over it: SHA-256 of the first line, its line end included, and the signature over
//! `snowgate-evidence 1 SHA256` and a line feed. It is replaced as a whole with each file that is added or deleted; what was
//! deleted stays in it, with when and why. It goes when the last file has gone; then the access log alone knows of them.
//!
//! The chain: the incident's revision, which the grid system has, names each file with its SHA-256; so does the manifest, which also
//! names what found the incident; the signature binds all of that to the box.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use snowgate_core::{hex::hex, ids::Id, incidents::Evidence, time::Stamp};

use super::provenance::Provenance;
use crate::{
    durable::replace_file,
    signing::{PublicKey, Seal, SigningKey},
};

/// The manifest's name.
pub(super) const MANIFEST: &str = "manifest.jsonl";
/// What the signature is over.
const SEALED: &str = "snowgate-evidence 1";
/// What the first line says it is.
const FORMAT: &str = "snowgate-evidence";
/// The version this program writes and reads.
const VERSION: u32 = 1;
/// The most bytes of a manifest: thousands of files.
const MAX_BYTES: u64 = 4 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `snowgate-evidence`.
    format: String,
    /// Version of the format.
    version: u32,
    /// The box.
    pub gateway: Id,
    /// The incident, and what found it.
    #[serde(flatten)]
    pub of: Provenance,
    /// When this was written.
    pub written: Stamp,
    /// SHA-256 of the public key that belongs to the signature, as hex; none where there is no signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// Every file that there is or was.
    pub files: Vec<ManifestFile>,
}

/// A file of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// As the incident tells of it.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// When and why the box has deleted it, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
}

/// When and why a file was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// When.
    pub at: Stamp,
    /// Why.
    pub reason: Reason,
}

/// Why the box deletes evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was kept as long as it may be.
    Age,
    /// There was more of it than there may be, and it was the oldest that nothing protects.
    Quota,
    /// The file system ran short.
    Disk,
}

impl Reason {
    /// The word that stands for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Quota => "quota",
            Self::Disk => "disk",
        }
    }
}

/// Why a manifest proves nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ManifestError {
    /// It is not there.
    #[error("there is no manifest")]
    Missing,
    /// It cannot be read.
    #[error("its manifest cannot be read: {0}")]
    Io(String),
    /// It is none, or none of this version.
    #[error("its manifest is damaged, or of another version: {0}")]
    Damaged(String),
    /// It has no signature.
    #[error("its manifest is not signed")]
    Unsigned,
    /// Its hash or its signature does not fit.
    #[error("its manifest has been altered: {0}")]
    Altered(&'static str),
}

/// A manifest as it was read.
#[derive(Debug)]
pub struct Signed {
    /// What it says.
    pub manifest: Manifest,
    seal: Option<Seal>,
    /// SHA-256 of the first line as it stands there.
    sha256: String,
}

impl Manifest {
    /// That of an incident without any files yet.
    pub(super) fn new(gateway: Id, of: Provenance, written: Stamp) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, gateway, of, written, signing_key: None, files: Vec::new() }
    }

    /// The manifest in an incident's folder.
    ///
    /// # Errors
    /// There is none, or it cannot be understood.
    pub fn read(folder: &Path) -> Result<Signed, ManifestError> {
        let mut text = Vec::new();
        let file = File::open(path(folder)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ManifestError::Missing,
            _ => ManifestError::Io(error.to_string()),
        })?;
        file.take(MAX_BYTES).read_to_end(&mut text).map_err(|error| ManifestError::Io(error.to_string()))?;
        let end = text.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let (line, rest) = text.split_at(end.unwrap_or(text.len()));
        let damaged = |error: serde_json::Error| ManifestError::Damaged(error.to_string());
        let manifest: Self = serde_json::from_slice(line).map_err(damaged)?;
        if (manifest.format.as_str(), manifest.version) != (FORMAT, VERSION) {
            return Err(ManifestError::Damaged(format!("{} {}", manifest.format, manifest.version)));
        }
        let seal = if rest.is_empty() { None } else { Some(serde_json::from_slice(rest).map_err(damaged)?) };
        Ok(Signed { manifest, seal, sha256: hex(Sha256::digest(line)) })
    }

    /// Puts it into the incident's folder in place of an earlier one, signed where there is a key.
    ///
    /// # Errors
    /// The file system refuses; then the earlier one is there still.
    pub(super) fn write(&mut self, folder: &Path, key: Option<&SigningKey>) -> io::Result<()> {
        self.signing_key = key.map(SigningKey::fingerprint).transpose().map_err(io::Error::other)?;
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let mut seal = Vec::new();
        if let Some(key) = key {
            serde_json::to_writer(&mut seal, &Seal::new(SEALED, hex(Sha256::digest(&line)), key)?)?;
            seal.push(b'\n');
        }
        replace_file(&path(folder), &[&line, &seal])
    }

    /// Enters a file; one of the same name has been replaced by it.
    pub(super) fn enter(&mut self, evidence: Evidence) {
        self.files.retain(|file| file.evidence.name != evidence.name);
        self.files.push(ManifestFile { evidence, deleted: None });
    }

    /// The file of this name.
    pub(super) fn file_mut(&mut self, name: &str) -> Option<&mut ManifestFile> {
        self.files.iter_mut().find(|file| file.evidence.name == name)
    }
}

impl Signed {
    /// Whether what it says is what was signed, by this key.
    ///
    /// # Errors
    /// It is not, or nothing was signed.
    pub fn verify(&self, key: &PublicKey) -> Result<(), ManifestError> {
        let seal = self.seal.as_ref().ok_or(ManifestError::Unsigned)?;
        if seal.sha256 != self.sha256 {
            return Err(ManifestError::Altered("what it says is not what was signed"));
        }
        if seal.is_by(SEALED, key) {
            Ok(())
        } else {
            Err(ManifestError::Altered("its signature is not by the gateway's key"))
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(MANIFEST)
}

#[cfg(test)]
mod tests {
    use openssl::pkey::PKey;
    use snowgate_core::{
        ids::{CountedIds, IncidentIds as _},
        time::{Clock as _, ManualClock},
    };

    use super::*;

    fn key() -> SigningKey {
        let pem = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
        SigningKey::from_pem(&pem).unwrap()
    }

    fn key_of_another_box() -> SigningKey {
        key()
    }

    fn manifest() -> Manifest {
        let clock = ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap());
        let of = Provenance::any(CountedIds::default().next(clock.now()));
        let mut manifest = Manifest::new("gate".parse().unwrap(), (*of).clone(), Stamp::now(&clock));
        manifest.enter(Evidence {
            name: "still.jpg".into(),
            camera: Some("yard".parse().unwrap()),
            media_type: "image/jpeg".into(),
            sha256: "00".repeat(32),
            bytes: 3,
            taken: clock.now(),
            duration_ms: None,
            sealed: None,
        });
        manifest
    }

    #[test]
    fn every_altered_byte_is_found() {
        let (home, key) = (tempfile::tempdir().unwrap(), key());
        let mut manifest = manifest();
        manifest.write(home.path(), Some(&key)).unwrap();
        let read = Manifest::read(home.path()).unwrap();
        assert_eq!(read.manifest, manifest);
        read.verify(&key.public().unwrap()).unwrap();
        assert!(read.verify(&key_of_another_box().public().unwrap()).is_err(), "another box's key");

        let whole = std::fs::read(path(home.path())).unwrap();
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            std::fs::write(path(home.path()), altered).unwrap();
            let proved = Manifest::read(home.path()).and_then(|read| read.verify(&key.public().unwrap()));
            assert!(proved.is_err(), "byte {at}");
        }
    }

    #[test]
    fn without_a_key_it_is_there_and_proves_nothing() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(Manifest::read(home.path()), Err(ManifestError::Missing)));
        manifest().write(home.path(), None).unwrap();
        let read = Manifest::read(home.path()).unwrap();
        assert!(matches!(read.verify(&key().public().unwrap()), Err(ManifestError::Unsigned)));
    }
}
