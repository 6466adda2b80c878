//! Noticing that somebody has changed the configuration directory.
//!
//! Its files are looked at by name, size and time of change, not by what stands in them: looking is cheap, and works on every
//! file system and for every way of putting files there. Who copies ten files is not to have the first five taken: a change
//! counts when nothing has changed any more for [`SETTLED_AFTER`].

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use snowgate_core::time::Mono;

use super::files;

/// Nothing has changed for so long: whoever changes files has finished.
pub const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// Entries looked at in one directory, at most: a configuration has fewer.
const MOST: usize = 4 * files::MAX_FILES;

/// The files of a configuration directory as they lay there at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot(Vec<(PathBuf, u64, i64, i64, u64)>);

impl Snapshot {
    /// Of the directory as it is now. What cannot be read is not there.
    pub fn of(directory: &Path) -> Self {
        let folders = [files::CAMERAS, files::SENSORS, files::RULES].map(|folder| directory.join(folder));
        let all = std::iter::once(directory.to_owned()).chain(folders);
        let mut seen: Vec<_> = all.flat_map(|folder| entries(&folder)).collect();
        seen.sort();
        Self(seen)
    }
}

fn entries(folder: &Path) -> Vec<(PathBuf, u64, i64, i64, u64)> {
    let listed = fs::read_dir(folder).into_iter().flatten().take(MOST).filter_map(Result::ok).map(|entry| entry.path());
    let counts = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "toml")
            && path.file_name().is_some_and(|name| !files::is_backup(&name.to_string_lossy()))
    };
    let described = listed.filter(counts).filter_map(|path| {
        let metadata = fs::metadata(&path).ok()?;
        Some((path, metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino()))
    });
    described.collect()
}

/// Tells when a change has settled.
#[derive(Debug)]
pub struct DirectoryWatch {
    /// What has been taken, or refused.
    taken: Snapshot,
    /// What was last seen that differs from that, and since when it has.
    changed: Option<(Snapshot, Mono)>,
}

impl DirectoryWatch {
    /// The directory has been taken as it was then.
    pub fn new(taken: Snapshot) -> Self {
        Self { taken, changed: None }
    }

    /// Takes in how the directory is now; `true` once for each change that has settled, which counts as taken then.
    pub fn look(&mut self, now: Mono, seen: Snapshot) -> bool {
        if seen == self.taken {
            self.changed = None;
            return false;
        }
        match &self.changed {
            Some((last, since)) if *last == seen => {
                let settled = now.since(*since) >= SETTLED_AFTER;
                if settled {
                    *self = Self::new(seen);
                }
                settled
            }
            _ => {
                self.changed = Some((seen, now));
                false
            }
        }
    }

    /// The directory is taken as it is now, whether it has settled or not.
    pub fn take(&mut self, seen: Snapshot) {
        *self = Self::new(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000_000)
    }

    #[test]
    fn a_change_counts_once_and_when_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let gateway = directory.path().join("gateway.toml");
        fs::create_dir(directory.path().join("cameras.d")).unwrap();
        fs::write(&gateway, "a").unwrap();
        let seen = || Snapshot::of(directory.path());
        let mut watch = DirectoryWatch::new(seen());
        assert!(!watch.look(at(0), seen()));
        fs::write(directory.path().join(".gateway.toml.swp"), "x").unwrap();
        fs::write(directory.path().join("gateway.toml~"), "x").unwrap();
        assert!(!watch.look(at(10_000), seen()) && !watch.look(at(20_000), seen()), "editors' files do not count");
        fs::write(&gateway, "ab").unwrap();
        assert!(!watch.look(at(30_000), seen()));
        fs::write(directory.path().join("cameras.d/one.toml"), "1").unwrap();
        assert!(!watch.look(at(31_999), seen()) && !watch.look(at(33_998), seen()), "it goes on changing");
        assert!(watch.look(at(33_999), seen()));
        assert!(!watch.look(at(40_000), seen()), "once");
        fs::remove_file(directory.path().join("cameras.d/one.toml")).unwrap();
        assert!(!watch.look(at(50_000), seen()) && watch.look(at(52_000), seen()));
    }

    #[test]
    fn what_is_put_back_or_taken_by_hand_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let (gateway, kept) = (directory.path().join("gateway.toml"), directory.path().join("kept"));
        fs::write(&gateway, "a").unwrap();
        let seen = || Snapshot::of(directory.path());
        let mut watch = DirectoryWatch::new(seen());
        fs::rename(&gateway, &kept).unwrap();
        assert!(!watch.look(at(0), seen()));
        fs::rename(&kept, &gateway).unwrap();
        assert!(!watch.look(at(1_000), seen()) && !watch.look(at(9_000), seen()));
        fs::write(&gateway, "abc").unwrap();
        assert!(!watch.look(at(10_000), seen()));
        watch.take(seen());
        assert!(!watch.look(at(20_000), seen()));
    }
}
