//! What can go wrong between deciding and having it on disk.

use std::{io, path::PathBuf};

/// Why the store could not be opened or a request to it failed. Nothing of a failed request is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon works on this directory.
    #[error("{directory} is in use by another snowgate{}", .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), directory = .directory.display())]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The other daemon's process id, where it could be read.
        pid: Option<u32>,
    },
    /// A file or the directory itself cannot be used.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite cannot open the file or bring it up to date: it is read-only, the disk fails.
    #[error("{path} cannot be opened", path = .path.display())]
    Open {
        /// The store's file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A newer version of the daemon wrote this store.
    #[error("{path} has format {found}, written by a newer version; this one knows up to {known}", path = .path.display())]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format this version knows.
        known: i64,
    },
    /// A message no packet can carry, or its quota cannot hold.
    #[error("a message of {bytes} bytes for {topic} is over the limit of {limit} bytes")]
    Oversize {
        /// Where it was to go.
        topic: String,
        /// Its size as a packet.
        bytes: u64,
        /// The most that can be sent.
        limit: u64,
    },
    /// A topic MQTT does not allow.
    #[error("{topic:?} is no topic to publish to: it must have 1 to 65535 bytes and no '+', '#' or NUL")]
    Topic {
        /// The topic.
        topic: String,
    },
    /// The incident has moved on: this revision or a later one is stored already.
    #[error("revision {offered} of incident {id} comes after a later one was stored")]
    StaleRevision {
        /// The incident.
        id: String,
        /// The revision that came too late.
        offered: u32,
    },
    /// No space is left. The store goes on as soon as there is some.
    #[error("no space left for the store")]
    DiskFull(#[source] rusqlite::Error),
    /// The file is damaged. The store stops; opening it anew sets the file aside.
    #[error("the store is damaged")]
    Corrupt(#[source] rusqlite::Error),
    /// Anything else SQLite says.
    #[error("the store failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The store has stopped: its file is damaged, or its thread died.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// A word for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "in_use",
            Self::File { .. } => "file",
            Self::Open { .. } => "open",
            Self::Newer { .. } => "newer",
            Self::Oversize { .. } => "oversize",
            Self::Topic { .. } => "topic",
            Self::StaleRevision { .. } => "stale_revision",
            Self::DiskFull(_) => "disk_full",
            Self::Corrupt(_) => "corrupt",
            Self::Sqlite(_) => "sqlite",
            Self::Stopped => "stopped",
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{ErrorCode, ffi};
        let Some(failure) = error.sqlite_error() else { return Self::Sqlite(error) };
        match failure.code {
            ErrorCode::DiskFull => Self::DiskFull(error),
            // The write-ahead log's index could not grow: on a full disk it is the first to notice.
            _ if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Self::DiskFull(error),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(error),
            _ => Self::Sqlite(error),
        }
    }
}
