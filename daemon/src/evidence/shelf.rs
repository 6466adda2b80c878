//! What lies on the disk, oldest first: the book that [`super::files`] keeps of it.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use snowgate_core::{
    ids::{Id, IncidentId},
    retention::Group,
};

/// One file: whose, and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileKey {
    pub incident: IncidentId,
    pub name: Box<str>,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shelved {
    pub date: Timestamp,
    pub bytes: u64,
    /// Not known of what has no manifest.
    pub camera: Option<Id>,
    /// Likewise.
    pub category: Option<Id>,
}

impl Shelved {
    /// What it counts towards.
    fn groups(&self) -> impl Iterator<Item = Group> {
        let camera = self.camera.clone().map(Group::Camera);
        let category = self.category.clone().map(Group::Category);
        [Some(Group::All), camera, category].into_iter().flatten()
    }
}

/// Files with their dates and sizes.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    files: HashMap<FileKey, Shelved>,
    piles: HashMap<Group, Pile>,
}

/// The files of a group.
#[derive(Debug, Default)]
struct Pile {
    by_date: BTreeSet<(Timestamp, FileKey)>,
    bytes: u64,
}

impl Shelf {
    /// Enters a file; one of the same name has been replaced by it.
    pub fn insert(&mut self, key: FileKey, file: Shelved) {
        self.remove(&key);
        for group in file.groups() {
            let pile = self.piles.entry(group).or_default();
            pile.bytes = pile.bytes.saturating_add(file.bytes);
            pile.by_date.insert((file.date, key.clone()));
        }
        self.files.insert(key, file);
    }

    /// Strikes a file out; answers what was known of it.
    pub fn remove(&mut self, key: &FileKey) -> Option<Shelved> {
        let file = self.files.remove(key)?;
        for group in file.groups() {
            let Some(pile) = self.piles.get_mut(&group) else { continue };
            pile.bytes = pile.bytes.saturating_sub(file.bytes);
            pile.by_date.remove(&(file.date, key.clone()));
            if pile.by_date.is_empty() {
                self.piles.remove(&group);
            }
        }
        Some(file)
    }

    /// What is known of a file.
    pub fn get(&self, key: &FileKey) -> Option<&Shelved> {
        self.files.get(key)
    }

    /// The files of a group, the earliest date first.
    pub fn oldest_first(&self, group: &Group) -> impl Iterator<Item = (&FileKey, &Shelved)> {
        let by_date = self.piles.get(group).into_iter().flat_map(|pile| &pile.by_date);
        by_date.filter_map(|(_, key)| Some((key, self.files.get(key)?)))
    }

    /// Files dated before `from` or after `until`.
    pub fn outside(&self, from: Timestamp, until: Timestamp) -> Vec<FileKey> {
        let outside = self.files.iter().filter(|(_, file)| file.date < from || file.date > until);
        outside.map(|(key, _)| key.clone()).collect()
    }

    /// Bytes of all files of a group.
    pub fn bytes(&self, group: &Group) -> u64 {
        self.piles.get(group).map_or(0, |pile| pile.bytes)
    }
}
