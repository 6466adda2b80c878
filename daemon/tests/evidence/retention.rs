//! What must be kept is kept, what must go goes, and all of it is accounted for.

use std::{collections::HashMap, fs, path::Path, sync::Arc, time::Duration};

use snowgate::evidence::{
    access_log::{self, Action},
    archive::Folder,
    files::{EvidenceFiles, FileName, FilesError, Keeping, NewFile},
    hold::{self, Hold},
    manifest::Reason,
    provenance::Provenance,
};
use snowgate_core::{
    ids::Id,
    incidents::Evidence,
    retention::RetentionSpec,
    spec::{ByteSize, Maybe, TimeSpan},
    time::{BootId, Moment, Mono, Stamp},
};

use crate::support::{keeping, provenance};

const DAY: u64 = 86_400;

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn at(days: u64) -> Moment {
    let wall = "2026-06-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + Duration::from_secs(days * DAY);
    Moment { mono: Mono(0), wall, synchronised: true }
}

/// Evidence of which at most so many bytes are kept for 30 days, and none less than so many days.
fn open(home: &Path, quota: u64, at_least: u64) -> EvidenceFiles {
    let mut keeping = keeping(home);
    keeping.retention.quota = quota;
    keeping.retention.default.at_least = Duration::from_secs(at_least * DAY);
    keeping.retention.default.at_most = Duration::from_secs(30 * DAY);
    EvidenceFiles::open(&home.join("evidence"), keeping).unwrap()
}

/// Writes a file of 100 bytes.
fn write(
    files: &EvidenceFiles,
    number: u128,
    camera: &str,
    category: &str,
    now: Moment,
) -> Result<Evidence, FilesError> {
    let of = Arc::new(Provenance { category: id(category), ..(*provenance(number)).clone() });
    let file =
        NewFile { name: FileName::STILL, camera: id(camera), media_type: "image/jpeg", taken: now, sealed: None };
    files.write(&of, file, &[0; 100], now)
}

fn is_there(files: &EvidenceFiles, number: u128) -> bool {
    files.path(provenance(number).incident, &FileName::STILL).exists()
}

#[test]
fn full_of_what_must_be_kept_new_evidence_is_refused_and_nothing_is_deleted() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 350, 7);
    for number in 1..=3 {
        write(&files, number, "gate", "fire", at(0)).unwrap();
    }
    let refused = write(&files, 4, "gate", "fire", at(6)).unwrap_err();
    assert!(matches!(&refused, FilesError::NoRoom { quota: 350, kept: 300, .. }), "{refused}");
    assert_eq!(refused.reason(), "protected");
    assert!((1..=3).all(|number| is_there(&files, number)));
    // Nobody knows how old anything is.
    let unsynchronised = Moment { synchronised: false, ..at(20) };
    assert!(write(&files, 4, "gate", "fire", unsynchronised).is_err());
    write(&files, 4, "gate", "fire", at(7)).unwrap();
    assert!(!is_there(&files, 1) && is_there(&files, 2));
}

#[test]
fn cameras_and_categories_have_quotas_and_times_of_their_own() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 10_000, 0);
    let mut retention = keeping(home.path()).retention;
    retention.quota = 10_000;
    retention.default.at_most = Duration::from_secs(30 * DAY);
    let spec = |keep_at_least: Option<u64>, keep: Option<u64>, quota: Option<u64>| RetentionSpec {
        keep_at_least: Maybe(keep_at_least.map(|days| TimeSpan::secs(days * DAY))),
        keep: Maybe(keep.map(|days| TimeSpan::secs(days * DAY))),
        quota: Maybe(quota.map(ByteSize)),
    };
    retention.cameras = HashMap::from([(id("gate"), spec(None, Some(10), Some(250)))]);
    retention.categories = HashMap::from([(id("fire"), spec(Some(20), None, None))]);
    files.keep_by(retention);
    write(&files, 1, "yard", "waste", at(0)).unwrap();
    for (number, category) in [(2, "waste"), (3, "fire"), (4, "waste")] {
        write(&files, number, "gate", category, at(number as u64)).unwrap();
    }
    assert!(is_there(&files, 1) && !is_there(&files, 2), "the oldest of that camera gives way, not the oldest of all");
    write(&files, 5, "gate", "waste", at(5)).unwrap();
    assert!(is_there(&files, 3) && !is_there(&files, 4), "but what its category protects stays");
    files.sweep(at(16));
    assert!(is_there(&files, 3) && !is_there(&files, 5) && is_there(&files, 1));
    files.sweep(at(24));
    assert!(!is_there(&files, 3), "its minimum is over, and the camera's maximum long ago");
    assert!(is_there(&files, 1));
}

#[test]
fn what_is_held_stays_until_it_is_released() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 150, 0);
    write(&files, 1, "gate", "fire", at(0)).unwrap();
    let folder = Folder::of(&home.path().join("evidence"), provenance(1).incident).unwrap().unwrap();
    let since = Stamp { boot: BootId("boot".into()), moment: at(0) };
    let held = Hold { by: "Li".into(), unit: "police".into(), reason: "case 218".into(), since };
    held.put(&folder.path).unwrap();
    assert!(write(&files, 2, "gate", "fire", at(1)).is_err());
    files.sweep(at(100));
    assert!(is_there(&files, 1));
    assert_eq!(Hold::on(&folder.path).unwrap().unwrap(), held);
    hold::release(&folder.path).unwrap();
    files.sweep(at(100));
    assert!(!is_there(&files, 1));
    assert!(!folder.path.exists(), "nothing of it is left");
}

#[test]
fn a_deletion_stands_in_the_log_and_the_manifest_and_is_reported() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000, 0);
    let kept = write(&files, 1, "gate", "fire", at(0)).unwrap();
    let of = provenance(1);
    let later = NewFile {
        name: FileName::of_verification(&"v-1".parse().unwrap()),
        camera: id("gate"),
        media_type: "image/jpeg",
        taken: at(20),
        sealed: None,
    };
    files.write(&of, later, b"later", at(20)).unwrap();
    files.sweep(at(31));
    assert!(!is_there(&files, 1));
    let folder = Folder::of(&home.path().join("evidence"), of.incident).unwrap().unwrap();
    let manifest = &folder.manifest.as_ref().unwrap().manifest;
    let gone: Vec<_> = manifest.files.iter().map(|file| file.deleted.as_ref().map(|gone| gone.reason)).collect();
    assert_eq!(gone, [Some(Reason::Age), None]);
    let [report] = &files.take_deleted()[..] else { panic!("one file was deleted") };
    assert_eq!((report.incident, report.name.as_str(), report.bytes), (of.incident, "still.jpg", 100));
    assert_eq!((report.sha256.as_ref(), report.reason), (Some(&kept.sha256), Reason::Age));
    assert_eq!(files.take_deleted(), []);

    files.sweep(at(60));
    let mut entries = Vec::new();
    access_log::read_all(home.path(), |_, entry| entries.push(entry.access.clone())).unwrap();
    let said = |entry: &access_log::Access| (entry.action, entry.incident, entry.reason.clone());
    assert!(entries.iter().all(|entry| said(entry) == (Action::Delete, Some(of.incident), "age".into())));
    let files: Vec<_> = entries.iter().flat_map(|entry| &entry.files).map(|file| file.name.as_str()).collect();
    assert_eq!(files.len(), 2);
    assert!(!folder.path.exists() && fs::read_dir(home.path().join("evidence")).unwrap().count() == 0);
}

#[test]
fn what_is_put_by_for_one_camera_takes_nothing_from_another() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 10_000, 0);
    let mut retention = keeping(home.path()).retention;
    let quota = RetentionSpec { keep_at_least: Maybe::NONE, keep: Maybe::NONE, quota: Maybe(Some(ByteSize(250))) };
    retention.quota = 10_000;
    retention.cameras = HashMap::from([(id("gate"), quota)]);
    files.keep_by(retention);
    for number in 1..=2 {
        write(&files, number, "gate", "fire", at(0)).unwrap();
    }
    let of = Arc::new(Provenance { category: id("waste"), ..(*provenance(3)).clone() });
    let clip = |camera| NewFile {
        name: FileName::CLIP,
        camera: id(camera),
        media_type: "video/mp4",
        taken: at(0),
        sealed: None,
    };
    let others = files.begin(&of, clip("yard"), 5_000, at(0)).unwrap();
    assert!(is_there(&files, 1) && is_there(&files, 2));
    let own = files.begin(&of, clip("gate"), 150, at(0)).unwrap();
    assert!(!is_there(&files, 1) && is_there(&files, 2));
    drop((others, own));
    write(&files, 4, "gate", "fire", at(0)).unwrap();
    assert!(is_there(&files, 2), "what was put by is free again");
}

#[test]
fn a_damaged_manifest_stays_when_its_files_go() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000, 0);
    write(&files, 1, "gate", "fire", at(0)).unwrap();
    let folder = home.path().join("evidence").join(provenance(1).incident.to_string());
    fs::write(folder.join("manifest.jsonl"), "not any more").unwrap();
    files.sweep(at(31));
    assert!(!is_there(&files, 1));
    assert_eq!(fs::read_to_string(folder.join("manifest.jsonl")).unwrap(), "not any more");
}

#[test]
fn deleting_goes_on_where_it_cannot_be_logged() {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path(), 1000, 0);
    write(&files, 1, "gate", "fire", at(0)).unwrap();
    // As on a full disk: the log cannot even be found out about.
    fs::remove_file(home.path().join("access.jsonl")).unwrap();
    fs::create_dir(home.path().join("access.jsonl")).unwrap();
    files.sweep(at(31));
    assert!(!is_there(&files, 1));
}

#[test]
fn what_is_kept_by_which_rules_is_known_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    write(&open(home.path(), 1000, 0), 1, "gate", "fire", at(0)).unwrap();
    let mut keeping: Keeping = keeping(home.path());
    keeping.retention.categories.insert(
        id("fire"),
        RetentionSpec { keep_at_least: Maybe(Some(TimeSpan::secs(60 * DAY))), keep: Maybe::NONE, quota: Maybe::NONE },
    );
    let files = EvidenceFiles::open(&home.path().join("evidence"), keeping).unwrap();
    files.sweep(at(50));
    assert!(is_there(&files, 1));
    files.sweep(at(61));
    assert!(!is_there(&files, 1));
}
