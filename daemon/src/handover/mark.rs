//! What stays behind in the data directory of a box that was handed over.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::durable::replace_file;

/// The file's name.
pub const HANDED_OVER: &str = "handed-over.json";

/// When, and into which file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When, by the box's clock.
    pub at: Timestamp,
    /// The archive.
    pub file: PathBuf,
}

impl Mark {
    /// That of a data directory; none where there is none. One that cannot be read stands all the same.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn on(data: &Path) -> io::Result<Option<Result<Self, serde_json::Error>>> {
        match fs::read(data.join(HANDED_OVER)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn leave(&self, data: &Path) -> io::Result<()> {
        replace_file(&data.join(HANDED_OVER), &[&serde_json::to_vec(self)?])
    }
}
