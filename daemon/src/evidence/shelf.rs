//! What lies on the disk, oldest first: the book that [`super::files`] keeps of it.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use snowgate_core::ids::IncidentId;

/// One file: whose, and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileKey {
    pub incident: IncidentId,
    pub name: Box<str>,
}

/// Files with their dates and sizes.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    files: HashMap<FileKey, (Timestamp, u64)>,
    by_date: BTreeSet<(Timestamp, FileKey)>,
    bytes: u64,
}

impl Shelf {
    /// Enters a file; one of the same name has been replaced by it.
    pub fn insert(&mut self, key: FileKey, date: Timestamp, bytes: u64) {
        self.remove(&key);
        self.bytes = self.bytes.saturating_add(bytes);
        self.by_date.insert((date, key.clone()));
        self.files.insert(key, (date, bytes));
    }

    /// Strikes a file out; answers its size.
    pub fn remove(&mut self, key: &FileKey) -> Option<u64> {
        let (date, bytes) = self.files.remove(key)?;
        self.by_date.remove(&(date, key.clone()));
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(bytes)
    }

    /// Size of a file.
    pub fn size(&self, key: &FileKey) -> Option<u64> {
        self.files.get(key).map(|(_, bytes)| *bytes)
    }

    /// The file with the earliest date.
    pub fn oldest(&self) -> Option<&(Timestamp, FileKey)> {
        self.by_date.first()
    }

    /// Files dated before `from` or after `until`.
    pub fn outside(&self, from: Timestamp, until: Timestamp) -> Vec<FileKey> {
        let outside = |date: &Timestamp| *date < from || *date > until;
        self.by_date.iter().filter(|(date, _)| outside(date)).map(|(_, key)| key.clone()).collect()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
