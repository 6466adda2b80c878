//! Evidence files on a real file system: quota, age, restarts, faults.

use std::{collections::HashMap, fs, io::Write as _, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use snowgate::evidence::files::{EvidenceFiles, FileName, FilesError, Keeping, NewFile};
use snowgate_core::{
    hex::hex,
    ids::IncidentId,
    incidents::Evidence,
    retention::{Period, Retention},
    time::{Moment, Mono},
};

use crate::support::{keeping, provenance};

const DAY: u64 = 86_400;

fn retention(quota: u64) -> Retention {
    Retention {
        default: Period { at_least: Duration::ZERO, at_most: Duration::from_secs(30 * DAY) },
        quota,
        cameras: HashMap::new(),
        categories: HashMap::new(),
    }
}

/// The evidence in a directory; its access log lies beside it.
fn open(directory: &Path, quota: u64) -> EvidenceFiles {
    open_by(directory, retention(quota))
}

fn open_by(directory: &Path, retention: Retention) -> EvidenceFiles {
    EvidenceFiles::open(directory, Keeping { retention, ..keeping(directory) }).unwrap()
}

fn incident(number: u128) -> IncidentId {
    provenance(number).incident
}

fn still(taken: Moment) -> NewFile {
    NewFile { name: FileName::STILL, camera: "gate".parse().unwrap(), media_type: "image/jpeg", taken, sealed: None }
}

/// Writes a still of an incident.
fn write(files: &EvidenceFiles, number: u128, contents: &[u8], now: Moment) -> Result<Evidence, FilesError> {
    files.write(&provenance(number), still(now), contents, now)
}

/// So many seconds after a day in 2026, under a synchronised clock.
fn at(seconds: u64) -> Moment {
    let wall = "2026-06-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds);
    Moment { mono: Mono(0), wall, synchronised: true }
}

/// Bytes of all files below a directory, what is said about them left out.
fn bytes_on_disk(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => bytes_on_disk(&entry.path()),
            _ if entry.file_name() == "manifest.jsonl"
                || entry.file_name().to_string_lossy().starts_with("access.") =>
            {
                0
            }
            metadata => metadata.len(),
        })
        .sum()
}

#[test]
fn a_file_is_there_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("state/evidence");
    let files = open(&directory, 1000);
    write(&files, 1, b"picture", at(0)).unwrap();
    let path = files.path(incident(1), &FileName::STILL);
    assert_eq!(fs::read(&path).unwrap(), b"picture");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(&directory)), (0o600, 0o700, 0o700));
    // A second one of that name takes its place, on the disk and in the books.
    write(&files, 1, b"newer picture", at(1)).unwrap();
    assert_eq!((fs::read(&path).unwrap().as_slice(), files.bytes()), (b"newer picture".as_slice(), 13));
}

#[test]
fn the_oldest_give_way_to_the_quota_and_what_cannot_fit_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 250);
    // Written out of the order of their ids: dates decide.
    for (number, second) in [(3, 1), (1, 2), (2, 3)] {
        write(&files, number, &[0; 100], at(second)).unwrap();
    }
    let there = |number| home.path().join(incident(number).to_string()).exists();
    assert!(!there(3) && there(1) && there(2), "the folder goes with its last file");
    let refused = write(&files, 4, &[0; 251], at(4));
    assert!(matches!(refused, Err(FilesError::NoRoom { bytes: 251, quota: 250, .. })));
    assert!(there(1) && there(2), "nothing is deleted for what can never fit");
}

#[test]
fn the_disk_keeps_its_reserve() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000);
    write(&files, 1, &[0; 100], at(0)).unwrap();
    drop(files);
    // No disk has so much: evidence gives way, and then is refused.
    let files = {
        let keeping = Keeping { retention: retention(1000), reserve: u64::MAX, ..keeping(home.path()) };
        EvidenceFiles::open(home.path(), keeping).unwrap()
    };
    let refused = write(&files, 2, &[0; 100], at(1));
    assert!(matches!(refused, Err(FilesError::NoRoom { free: 0, .. })));
    assert_eq!(files.bytes(), 0);
}

#[test]
fn what_is_too_old_goes_but_only_by_a_clock_that_is_right() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000);
    write(&files, 1, &[0; 10], at(0)).unwrap();
    write(&files, 2, &[0; 10], at(20 * DAY)).unwrap();
    let later = at(31 * DAY);
    files.sweep(Moment { synchronised: false, ..later });
    assert_eq!(files.bytes(), 20);
    // Dates survive a restart.
    drop(files);
    let files = open(home.path(), 1000);
    files.sweep(later);
    assert!(!files.path(incident(1), &FileName::STILL).exists());
    assert!(files.path(incident(2), &FileName::STILL).exists());
}

#[test]
fn a_file_from_before_the_clock_was_set_is_dated_when_it_is() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000);
    let unset = Moment { mono: Mono(0), wall: Timestamp::UNIX_EPOCH, synchronised: false };
    write(&files, 1, &[0; 10], unset).unwrap();
    let future = Moment { wall: "2099-01-01T00:00:00Z".parse().unwrap(), ..unset };
    write(&files, 2, &[0; 10], future).unwrap();
    files.sweep(at(0));
    assert_eq!(files.bytes(), 20, "minutes old, whatever their dates said");
    drop(files);
    let files = open(home.path(), 1000);
    files.sweep(at(29 * DAY));
    assert_eq!(files.bytes(), 20);
    files.sweep(at(31 * DAY));
    assert_eq!(files.bytes(), 0);
}

#[test]
fn a_restart_counts_what_is_there_and_clears_what_was_left_half_written() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000);
    write(&files, 1, &[0; 100], at(0)).unwrap();
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

    let files = open(home.path(), 1000);
    assert_eq!(files.bytes(), 100);
    assert!(!folder.join(".part-still.jpg").exists() && !home.path().join(incident(2).to_string()).exists());
    assert!(home.path().join("readme").exists());
    assert!(matches!(write(&files, 3, b"x", at(1)), Err(FilesError::Io { .. })));
    assert_eq!(fs::read(foreign.path().join("still.jpg")).unwrap(), [0; 70]);
}

#[test]
fn a_smaller_quota_after_a_restart_is_kept_at_the_first_sweep() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000);
    (0..5).for_each(|i| drop(write(&files, i.into(), &[0; 100], at(i)).unwrap()));
    drop(files);
    let files = open(home.path(), 250);
    files.sweep(at(6));
    assert_eq!((files.bytes(), bytes_on_disk(home.path())), (200, 200));
    assert!(files.path(incident(4), &FileName::STILL).exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn books_and_disk_agree_and_never_exceed_the_quota(
        writes in prop::collection::vec((0u128..6, 0usize..400, 0u64..100 * DAY, any::<bool>()), 1..40),
    ) {
        let home = tempfile::tempdir().unwrap();
        let mut files = open(home.path(), 1000);
        for (number, bytes, second, restart) in writes {
            write(&files, number, &vec![0; bytes], at(second)).unwrap();
            prop_assert!(files.path(incident(number), &FileName::STILL).exists(), "what is new is never what gives way");
            if restart {
                drop(files);
                files = open(home.path(), 1000);
                files.sweep(at(second));
            }
            prop_assert!(files.bytes() <= 1000);
            prop_assert_eq!(files.bytes(), bytes_on_disk(home.path()));
        }
    }
}

#[test]
fn what_is_written_bit_by_bit_is_there_once_it_is_kept_and_its_room_is_put_by() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000);
    let mut clip = files.begin(&provenance(1), still(at(0)), 600, at(0)).unwrap();
    clip.write_all(b"first").unwrap();
    // What comes beside it finds the room gone that it has not yet used.
    assert!(matches!(write(&files, 2, &[0; 401], at(0)), Err(FilesError::NoRoom { .. })));
    write(&files, 2, &[0; 400], at(0)).unwrap();
    assert!(!files.path(incident(1), &FileName::STILL).exists());
    clip.write_all(b" second").unwrap();
    let kept = clip.keep(at(1)).unwrap();
    assert_eq!(fs::read(files.path(incident(1), &FileName::STILL)).unwrap(), b"first second");
    assert_eq!((kept.bytes, kept.sha256), (12, hex(Sha256::digest(b"first second"))));
    write(&files, 3, &[0; 580], at(2)).unwrap();
    assert_eq!(files.bytes(), 992, "what it did not need is free again");

    let mut dropped = files.begin(&provenance(4), still(at(3)), 8, at(3)).unwrap();
    assert_eq!(dropped.write(b"more than was said").unwrap(), 8, "never more than the room that was put by");
    assert!(dropped.write_all(b"x").is_err());
    drop(dropped);
    assert!(!home.path().join(incident(4).to_string()).exists());
    assert_eq!(files.bytes(), 992);
}
