//! All state of a box in one file: for a box that is swapped in the field, and for backups.
//!
//! # The file
//! A POSIX tar archive. Its entries are the regular files of the data directory under their relative paths, and, last,
//! `snowgate-state.json` (see [`Manifest`]): the gateway, when it was taken, whether the box was handed over, and path, length and
//! SHA-256 of every file before it. What only concerns the running process stays behind: `lock`, SQLite's shared memory, files that
//! were being written, damaged stores that were set aside; and the last good configuration, for the other box has one of its own.
//!
//! # What is promised
//! - No daemon works on the directory while it is exported or imported.
//! - A file under its final name is whole: it is written under another one (`.partial`), synced, read back and verified, and renamed.
//! - **A box that was handed over does not go on**: [`HANDED_OVER`] stays in its data directory, and `run` refuses it. So two boxes
//!   never send the same incidents, and none is left on the old one. A backup (`keep`) leaves no such mark.
//! - An import changes nothing unless every file of the archive is there and right, and only into an empty data
//!   directory. The store comes last: what was interrupted has none, and can be begun anew.
//! - What is restored from a backup may have gone on since. So no event number is used twice, and a gap report
//!   (`restored_backup`) says that incidents may be missing.

mod export;
mod import;
mod manifest;
mod mark;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

pub use self::{
    export::Export,
    import::import,
    manifest::Manifest,
    mark::{HANDED_OVER, Mark},
};
use crate::{durable::PartialError, store::StoreError};

/// Why a box's state cannot be taken or put.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// A daemon works there, or the store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no store to export.
    #[error("{} holds no state of a box: there is no store", .0.display())]
    Nothing(PathBuf),
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Something in the data directory is neither a file nor a folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Strange(PathBuf),
    /// The archive is not whole, or was changed.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The archive is of another box.
    #[error("{} is of gateway {found}, and the configuration is of {expected}", path.display())]
    OtherGateway {
        /// The archive.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// There is something, which an import would replace.
    #[error(
        "{} is not empty: a box has its state there. If nothing of it is needed, move the directory away, and import again",
        .0.display()
    )]
    Occupied(PathBuf),
}

impl From<PartialError> for HandoverError {
    fn from(error: PartialError) -> Self {
        match error {
            PartialError::Exists(path) => Self::Exists(path),
            PartialError::File { path, source } => Self::File { path, source },
        }
    }
}

impl HandoverError {
    /// Makes one of what happened to a file.
    fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    fn damaged(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), reason: reason.into() }
    }
}
