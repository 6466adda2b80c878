//! "Keep this": evidence of an incident that nothing takes away until it is released.
//!
//! # On disk
//! `hold.json` in the incident's folder, one JSON object ([`Hold`]). The daemon looks for it each time before it deletes
//! something there; so whoever holds need not talk to it, and it need not be running.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use snowgate_core::time::Stamp;

use crate::durable::{replace_file, sync_directory};

/// The name of the mark.
pub(super) const HOLD: &str = "hold.json";

/// Who has evidence kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who.
    pub by: String,
    /// The unit that they act for.
    pub unit: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Stamp,
}

impl Hold {
    /// Marks an incident's folder.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn put(&self, folder: &Path) -> io::Result<()> {
        replace_file(&path(folder), &[&serde_json::to_vec(self)?])
    }

    /// The hold on a folder; one that cannot be read holds all the same, and says so.
    pub fn on(folder: &Path) -> Option<Result<Self, io::Error>> {
        match fs::read(path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.and_then(|json| Ok(serde_json::from_slice(&json)?))),
        }
    }
}

/// Whether anything there is held.
pub(super) fn is_on(folder: &Path) -> bool {
    // What cannot be looked at is held: deleting cannot be undone.
    path(folder).try_exists().unwrap_or(true)
}

/// Takes the mark away.
///
/// # Errors
/// There is none, or the file system refuses.
pub fn release(folder: &Path) -> io::Result<()> {
    fs::remove_file(path(folder))?;
    sync_directory(folder)
}

fn path(folder: &Path) -> PathBuf {
    folder.join(HOLD)
}
