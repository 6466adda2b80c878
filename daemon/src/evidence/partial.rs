//! A file that is being written bit by bit: under a temporary name, with its room put by, gone unless it is kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use snowgate_core::{hex::hex, incidents::Evidence, time::Moment};

use super::{
    files::{EvidenceFiles, FilesError, NewFile, failed},
    provenance::Provenance,
};
use crate::durable::TEMPORARY;

/// A file that is being written. Dropped before it is [kept](Self::keep), it disappears.
#[derive(Debug)]
pub struct PartialFile {
    files: EvidenceFiles,
    of: Arc<Provenance>,
    file: NewFile,
    out: File,
    folder: PathBuf,
    path: PathBuf,
    hash: Sha256,
    bytes: u64,
    at_most: u64,
    duration_ms: Option<u64>,
}

impl PartialFile {
    /// Begins a file in this folder; `at_most` bytes have been put by for it.
    pub(super) fn create(
        files: EvidenceFiles,
        of: Arc<Provenance>,
        file: NewFile,
        folder: PathBuf,
        at_most: u64,
    ) -> Result<Self, FilesError> {
        let path = folder.join(format!("{TEMPORARY}{}", file.name.as_str()));
        match create(&path) {
            Ok(out) => Ok(Self {
                files,
                of,
                file,
                out,
                folder,
                path,
                hash: Sha256::new(),
                bytes: 0,
                at_most,
                duration_ms: None,
            }),
            Err(error) => {
                files.release(&of, &file, at_most);
                // Fails while files are in it, and that is right.
                let _ = fs::remove_dir(&folder);
                Err(failed("make", &path)(error))
            }
        }
    }

    /// Where it lies until it is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same, which plays for so long.
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.duration_ms = Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Puts it on disk under its name, in place of an earlier one. Answers what the incident's next revision says of it.
    ///
    /// # Errors
    /// The file system refuses; then no part of it is there.
    pub fn keep(self, now: Moment) -> Result<Evidence, FilesError> {
        let path = self.folder.join(self.file.name.as_str());
        self.out
            .set_modified(SystemTime::from(now.wall))
            .and_then(|()| self.out.sync_all())
            .map_err(failed("write", &self.path))?;
        let evidence = Evidence {
            name: self.file.name.as_str().to_owned(),
            camera: Some(self.file.camera.clone()),
            media_type: self.file.media_type.to_owned(),
            sha256: hex(self.hash.clone().finalize()),
            bytes: self.bytes,
            taken: self.file.taken,
            duration_ms: self.duration_ms,
            sealed: self.file.sealed.clone(),
        };
        fs::rename(&self.path, &path).map_err(failed("name", &path))?;
        self.files.enter(&self.of, &evidence, now)?;
        Ok(evidence)
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.at_most - self.bytes).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // Once it has been kept there is nothing under this name, and something in the folder. What stays for another reason is
        // removed at the next start.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(&self.folder);
        self.files.release(&self.of, &self.file, self.at_most);
    }
}

fn create(path: &Path) -> io::Result<File> {
    let new = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match new() {
        // Left behind by one that could not be removed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            new()
        }
        other => other,
    }
}
