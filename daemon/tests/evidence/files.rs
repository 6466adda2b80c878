//! Evidence files on a real file system: quota, age, restarts, faults.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use snowgate::evidence::files::{EvidenceFiles, FileName, FilesError, Limits};
use snowgate_core::{
    ids::IncidentId,
    time::{Moment, Mono},
};
use ulid::Ulid;

const DAY: u64 = 86_400;

fn limits(quota: u64) -> Limits {
    Limits { quota, keep: Duration::from_secs(30 * DAY), reserve: 0 }
}

fn incident(number: u128) -> IncidentId {
    IncidentId(Ulid::from_parts(1_780_000_000_000, number))
}

/// So many seconds after a day in 2026, under a synchronised clock.
fn at(seconds: u64) -> Moment {
    let wall = "2026-06-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds);
    Moment { mono: Mono(0), wall, synchronised: true }
}

/// Bytes of all files below a directory.
fn bytes_on_disk(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => bytes_on_disk(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

#[test]
fn a_file_is_there_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("state/evidence");
    let mut files = EvidenceFiles::open(&directory, limits(1000)).unwrap();
    files.write(incident(1), FileName::STILL, b"picture", at(0)).unwrap();
    let path = files.path(incident(1), FileName::STILL);
    assert_eq!(fs::read(&path).unwrap(), b"picture");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(&directory)), (0o600, 0o700, 0o700));
    // A second one of that name takes its place, on the disk and in the books.
    files.write(incident(1), FileName::STILL, b"newer picture", at(1)).unwrap();
    assert_eq!((fs::read(&path).unwrap().as_slice(), files.bytes()), (b"newer picture".as_slice(), 13));
}

#[test]
fn the_oldest_give_way_to_the_quota_and_what_cannot_fit_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut files = EvidenceFiles::open(home.path(), limits(250)).unwrap();
    // Written out of the order of their ids: dates decide.
    for (number, second) in [(3, 1), (1, 2), (2, 3)] {
        files.write(incident(number), FileName::STILL, &[0; 100], at(second)).unwrap();
    }
    let there = |number| home.path().join(incident(number).to_string()).exists();
    assert!(!there(3) && there(1) && there(2), "the folder goes with its last file");
    let refused = files.write(incident(4), FileName::STILL, &[0; 251], at(4));
    assert!(matches!(refused, Err(FilesError::NoRoom { bytes: 251, quota: 250, .. })));
    assert!(there(1) && there(2), "nothing is deleted for what can never fit");
}

#[test]
fn the_disk_keeps_its_reserve() {
    let home = tempfile::tempdir().unwrap();
    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    files.write(incident(1), FileName::STILL, &[0; 100], at(0)).unwrap();
    drop(files);
    // No disk has so much: evidence gives way, and then is refused.
    let mut files = EvidenceFiles::open(home.path(), Limits { reserve: u64::MAX, ..limits(1000) }).unwrap();
    let refused = files.write(incident(2), FileName::STILL, &[0; 100], at(1));
    assert!(matches!(refused, Err(FilesError::NoRoom { free: 0, .. })));
    assert_eq!(files.bytes(), 0);
}

#[test]
fn what_is_too_old_goes_but_only_by_a_clock_that_is_right() {
    let home = tempfile::tempdir().unwrap();
    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    files.write(incident(1), FileName::STILL, &[0; 10], at(0)).unwrap();
    files.write(incident(2), FileName::STILL, &[0; 10], at(20 * DAY)).unwrap();
    let later = at(31 * DAY);
    files.sweep(Moment { synchronised: false, ..later });
    assert_eq!(files.bytes(), 20);
    // Dates survive a restart.
    drop(files);
    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    files.sweep(later);
    assert!(!files.path(incident(1), FileName::STILL).exists());
    assert!(files.path(incident(2), FileName::STILL).exists());
}

#[test]
fn a_file_from_before_the_clock_was_set_is_dated_when_it_is() {
    let home = tempfile::tempdir().unwrap();
    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    let unset = Moment { mono: Mono(0), wall: Timestamp::UNIX_EPOCH, synchronised: false };
    files.write(incident(1), FileName::STILL, &[0; 10], unset).unwrap();
    let future = Moment { wall: "2099-01-01T00:00:00Z".parse().unwrap(), ..unset };
    files.write(incident(2), FileName::STILL, &[0; 10], future).unwrap();
    files.sweep(at(0));
    assert_eq!(files.bytes(), 20, "minutes old, whatever their dates said");
    drop(files);
    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    files.sweep(at(29 * DAY));
    assert_eq!(files.bytes(), 20);
    files.sweep(at(31 * DAY));
    assert_eq!(files.bytes(), 0);
}

#[test]
fn a_restart_counts_what_is_there_and_clears_what_was_left_half_written() {
    let home = tempfile::tempdir().unwrap();
    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    files.write(incident(1), FileName::STILL, &[0; 100], at(0)).unwrap();
    drop(files);
    let folder = home.path().join(incident(1).to_string());
    fs::write(folder.join(".part-still.jpg"), [0; 50]).unwrap();
    fs::create_dir(home.path().join(incident(2).to_string())).unwrap();
    fs::write(home.path().join(incident(2).to_string()).join(".part-still.jpg"), [0; 50]).unwrap();
    // Not ours: neither counted nor touched, and a link is not followed.
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("still.jpg"), [0; 70]).unwrap();
    std::os::unix::fs::symlink(foreign.path(), home.path().join(incident(3).to_string())).unwrap();
    fs::write(home.path().join("readme"), "hello").unwrap();

    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    assert_eq!(files.bytes(), 100);
    assert!(!folder.join(".part-still.jpg").exists() && !home.path().join(incident(2).to_string()).exists());
    assert!(home.path().join("readme").exists());
    assert!(matches!(files.write(incident(3), FileName::STILL, b"x", at(1)), Err(FilesError::Io { .. })));
    assert_eq!(fs::read(foreign.path().join("still.jpg")).unwrap(), [0; 70]);
}

#[test]
fn a_smaller_quota_after_a_restart_is_kept_at_the_first_sweep() {
    let home = tempfile::tempdir().unwrap();
    let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
    (0..5).for_each(|i| files.write(incident(i.into()), FileName::STILL, &[0; 100], at(i)).unwrap());
    drop(files);
    let mut files = EvidenceFiles::open(home.path(), limits(250)).unwrap();
    files.sweep(at(6));
    assert_eq!((files.bytes(), bytes_on_disk(home.path())), (200, 200));
    assert!(files.path(incident(4), FileName::STILL).exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn books_and_disk_agree_and_never_exceed_the_quota(
        writes in prop::collection::vec((0u128..6, 0usize..400, 0u64..100 * DAY, any::<bool>()), 1..40),
    ) {
        let home = tempfile::tempdir().unwrap();
        let mut files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
        for (number, bytes, second, restart) in writes {
            files.write(incident(number), FileName::STILL, &vec![0; bytes], at(second)).unwrap();
            prop_assert!(files.path(incident(number), FileName::STILL).exists(), "what is new is never what gives way");
            if restart {
                drop(files);
                files = EvidenceFiles::open(home.path(), limits(1000)).unwrap();
                files.sweep(at(second));
            }
            prop_assert!(files.bytes() <= 1000);
            prop_assert_eq!(files.bytes(), bytes_on_disk(home.path()));
        }
    }
}
