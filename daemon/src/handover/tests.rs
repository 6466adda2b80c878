use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use snowgate_core::{
    spec::{ByteSize, all_defaults},
    time::{Clock as _, ManualClock},
};
use tempfile::TempDir;

use super::*;
use crate::store::{Class, Commit, LossReason, Message, Store, inspect};

const GATEWAY: &str = "gate-3";

const STILL: &str = "evidence/01ARZ3NDEKTSV4RRFFQ69G5FAV/still.jpg";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("boot", "2026-01-01T00:00:00Z".parse().unwrap()))
}

/// A box: its data directory, and a disk to carry.
struct Gateway(TempDir);

impl Gateway {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// One that has lived: five messages wait, something was kept, and something was being written.
    fn that_lived() -> Self {
        let lived = Self::new();
        let store = lived.open();
        for _ in 0..5 {
            assert!(lived.tell(&store) > 0);
        }
        drop(store);
        fs::create_dir_all(lived.at(STILL).parent().unwrap()).unwrap();
        fs::write(lived.at(STILL), vec![7; 20_000]).unwrap();
        fs::write(lived.at("empty"), "").unwrap();
        fs::write(lived.at(".part-half"), "half").unwrap();
        fs::write(lived.at("store.sqlite.corrupt-2025"), "old").unwrap();
        fs::create_dir(lived.at("last-good-c0ffee")).unwrap();
        symlink("last-good-c0ffee", lived.at("last-good")).unwrap();
        lived
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.data().join(path)
    }

    fn archive(&self) -> PathBuf {
        self.0.path().join("state.tar")
    }

    fn open(&self) -> Store {
        Store::open(&self.data(), &all_defaults(), ByteSize::mib(1), clock()).unwrap().0
    }

    /// Commits an event; its number.
    fn tell(&self, store: &Store) -> u64 {
        let mut number = 0;
        let topic = "snowgate/v1/gate-3/incident/1".to_owned();
        let message =
            |payload| Message { class: Class::Incident, lane: None, topic, payload, retain: false, origin: None };
        store
            .commit(|sequence| {
                number = sequence.next();
                Commit { messages: vec![message(number.to_string().into_bytes())], ..Commit::default() }
            })
            .unwrap();
        number
    }

    fn export(&self, keep: bool) -> Result<Manifest, HandoverError> {
        let (data, to) = (self.data(), self.archive());
        Export { gateway: GATEWAY, data: &data, to: &to, keep, now: Timestamp::UNIX_EPOCH }.write()
    }

    fn import(&self, archive: &Path) -> Result<Manifest, HandoverError> {
        import(archive, GATEWAY, &self.data(), clock().now())
    }
}

#[test]
fn the_other_box_goes_on_where_this_one_ended() {
    let (old, new) = (Gateway::that_lived(), Gateway::new());
    let taken = old.export(false).unwrap();
    let names: Vec<&str> = taken.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["empty", STILL, "store.sqlite"]);
    assert_eq!(fs::metadata(old.archive()).unwrap().permissions().mode() & 0o777, 0o600);
    let mark = Mark::on(&old.data()).unwrap().unwrap().unwrap();
    assert_eq!(mark, Mark { at: Timestamp::UNIX_EPOCH, file: old.archive() });

    assert_eq!(new.import(&old.archive()).unwrap(), taken);
    assert_eq!(Mark::on(&new.data()).unwrap().map(drop), None);
    assert_eq!(fs::read(new.at(STILL)).unwrap(), vec![7; 20_000]);
    assert!(fs::read(new.at("empty")).unwrap().is_empty());
    let found = inspect(&new.data()).unwrap();
    assert_eq!((found.outbox.of(Class::Incident).messages, found.gaps.len()), (5, 0));
    assert_eq!(new.tell(&new.open()), 6);

    // The disk got lost on the way: what does not go on can be taken again.
    fs::remove_file(old.archive()).unwrap();
    assert_eq!(old.export(false).unwrap().files.len(), 3);
}

#[test]
fn a_backup_leaves_the_box_as_it_is_and_says_that_there_may_have_been_more() {
    let (old, new) = (Gateway::that_lived(), Gateway::new());
    old.export(true).unwrap();
    assert!(!old.at(HANDED_OVER).exists());
    assert_eq!(old.tell(&old.open()), 6);

    new.import(&old.archive()).unwrap();
    let gaps = inspect(&new.data()).unwrap().gaps;
    assert_eq!(
        gaps.iter().map(|gap| (gap.class, gap.reason)).collect::<Vec<_>>(),
        [(Class::Incident, LossReason::Restored)]
    );
    let next = new.tell(&new.open());
    assert!(next > 1_000_000, "{next} may have been told by the other box");
}

#[test]
fn whatever_is_wrong_with_an_archive_is_found_and_leaves_nothing_behind() {
    let old = Gateway::that_lived();
    old.export(false).unwrap();
    let whole = fs::read(old.archive()).unwrap();
    let damaged = old.0.path().join("damaged.tar");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&damaged, bytes).unwrap();
        let new = Gateway::new();
        let error = new.import(&damaged).expect_err(what);
        assert!(!new.data().exists(), "{what}");
        error
    };
    // The end of a tar archive is two blocks of zeroes, which say nothing.
    for at in (0..whole.len() - 2048).step_by(997) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        // Some bytes of a header mean nothing to a box (the archive's owner, padding): then all is there and right.
        fs::write(&damaged, &flipped).unwrap();
        let new = Gateway::new();
        match new.import(&damaged) {
            Ok(manifest) => assert_eq!(manifest.files.len(), 3, "{at}"),
            Err(HandoverError::Damaged { .. }) => assert!(!new.data().exists(), "{at}"),
            Err(error) => panic!("{at}: {error}"),
        }
    }
    for at in (0..whole.len() - 2048).step_by(1013) {
        let error = refused(&whole[..at], "cut off");
        assert!(matches!(error, HandoverError::Damaged { .. }), "{at}: {error}");
    }
    let other = Gateway::new();
    let error = import(&old.archive(), "gate-4", &other.data(), clock().now()).unwrap_err();
    assert!(matches!(error, HandoverError::OtherGateway { .. }), "{error}");
    assert!(error.to_string().contains("is of gateway gate-3, and the configuration is of gate-4"));
}

#[test]
fn nothing_is_written_outside_of_the_data_directory() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("evil.tar");
    for name in ["../evil", "/evil", "a/../../evil"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        // By hand: the library would refuse to write it.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        let mut archive = tar::Builder::new(fs::File::create(&path).unwrap());
        archive.append(&header, &b"evil"[..]).unwrap();
        archive.finish().unwrap();
        let new = Gateway::new();
        let error = new.import(&path).unwrap_err();
        assert!(matches!(error, HandoverError::Damaged { .. }), "{name}: {error}");
        assert_eq!(fs::read_dir(new.0.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn a_directory_that_is_worked_in_or_not_empty_is_left_alone() {
    let (old, new) = (Gateway::that_lived(), Gateway::that_lived());
    let daemon = old.open();
    assert!(matches!(old.export(false), Err(HandoverError::Store(StoreError::InUse { .. }))));
    drop(daemon);
    old.export(true).unwrap();
    assert!(matches!(old.export(true), Err(HandoverError::Exists(_))));
    assert!(matches!(new.import(&old.archive()), Err(HandoverError::Occupied(_))));
    assert!(matches!(Gateway::new().export(true), Err(HandoverError::Store(_))));
    fs::remove_file(old.archive()).unwrap();
    symlink("/etc/passwd", old.at("link")).unwrap();
    assert!(matches!(old.export(true), Err(HandoverError::Strange(path)) if path.ends_with("link")));
    assert!(!old.archive().exists() && fs::read_dir(old.0.path()).unwrap().count() == 1);
}

#[test]
fn an_import_that_was_interrupted_can_be_begun_anew() {
    let (old, new) = (Gateway::that_lived(), Gateway::new());
    old.export(false).unwrap();
    // Cut off while files were moved: some are in their place, the store is not.
    fs::create_dir_all(new.at(".part-import/evidence")).unwrap();
    fs::write(new.at(".part-import/store.sqlite"), "half").unwrap();
    fs::create_dir_all(new.at("evidence/01ARZ3NDEKTSV4RRFFQ69G5FAV")).unwrap();
    fs::write(new.at(STILL), "half").unwrap();
    new.import(&old.archive()).unwrap();
    assert_eq!(fs::read(new.at(STILL)).unwrap().len(), 20_000);
    assert!(!new.at(".part-import").exists());
    assert_eq!(new.tell(&new.open()), 6);
}
