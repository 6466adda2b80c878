//! What an archive says of itself.

use std::path::{Component, Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The last entry of an archive.
pub(super) const NAME: &str = "snowgate-state.json";

/// The longest that is read: a hundred thousand files take some 20 MB.
pub(super) const MAX_BYTES: u64 = 256 << 20;

const FORMAT: &str = "snowgate-state";

const VERSION: u32 = 1;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    version: u32,
    /// Whose state it is.
    pub gateway: String,
    /// The version of the program that took it.
    pub snowgate: String,
    /// When, by the box's clock.
    pub taken_at: Timestamp,
    /// Whether the box was not to go on.
    pub handed_over: bool,
    /// Every file, in the order in which they come.
    pub files: Vec<Listed>,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its path in the data directory.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(gateway: &str, taken_at: Timestamp, handed_over: bool, files: Vec<Listed>) -> Self {
        let (format, snowgate) = (FORMAT.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Self { format, version: VERSION, gateway: gateway.to_owned(), snowgate, taken_at, handed_over, files }
    }

    /// Reads one; what is wrong with it is said.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(text).map_err(|error| format!("{NAME}: {error}"))?;
        match (manifest.format.as_str(), manifest.version) {
            (FORMAT, VERSION) => Ok(manifest),
            (FORMAT, version) => {
                Err(format!("it has version {version}, written by a newer snowgate; this one knows {VERSION}"))
            }
            _ => Err("it is no state of a box".to_owned()),
        }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Whether a path stays inside of what it is joined to.
pub(super) fn is_inside(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}
