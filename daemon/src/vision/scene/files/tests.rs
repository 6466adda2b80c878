use std::os::unix::fs::PermissionsExt;

use snowgate_core::{
    scene::{
        Light,
        anomaly::{FeatureMap, Features, Grid, Scratch},
    },
    time::Mono,
};

use super::*;

fn id(name: &str) -> Id {
    name.parse().unwrap()
}

const NOW: Timestamp = Timestamp::constant(1_750_000_000, 0);
const GRID: Grid = Grid { channels: 2, rows: 2, columns: 3 };

struct Place {
    data: tempfile::TempDir,
    files: SceneFiles,
    camera: Id,
    origin: Origin,
    shape: Shape,
}

impl Place {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let files = SceneFiles::beneath(data.path());
        let origin = Origin { camera: "yard".into(), model: "a1".into(), view: "b2".into() };
        Self { data, files, camera: id("yard"), origin, shape: Shape::new(&[GRID]).unwrap() }
    }

    fn expected(&self) -> Expected<'_> {
        Expected { origin: &self.origin, shape: &self.shape }
    }

    /// What so many pictures have taught.
    fn memory(&self, pictures: u32) -> Memory {
        let mut memory = Memory::new(self.origin.clone(), self.shape.clone());
        let mut scratch = Scratch::default();
        for picture in 0..pictures {
            let values: Vec<f32> = (0..12).map(|i| 1.0 + ((picture * 7 + i * 3) % 5) as f32).collect();
            let map = FeatureMap { channels: 2, rows: 2, columns: 3, values: &values };
            let at = Mono(u64::from(picture) * 2_000_000_000);
            memory.take(Light::Day, Features(&[map]), &[], at, &mut scratch).unwrap();
        }
        memory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data.path().join("scene").join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// How many pictures what was learnt was learnt from.
    fn learnt(&self) -> Result<Option<u32>, SceneFileError> {
        Ok(pictures(&self.files.learnt(&self.camera, self.expected())?))
    }

    fn learning(&self, from: &str) -> Result<Option<u32>, SceneFileError> {
        Ok(pictures(&self.files.learning(&self.camera, &Digest::of_text(from), self.expected())?))
    }

    fn keep_learning(&self, from: &str, pictures: u32) {
        self.files.keep_learning(&self.camera, &Digest::of_text(from), &self.memory(pictures), NOW).unwrap();
    }

    fn adapted(&self, learnt: Option<&Digest>) -> Result<Option<u32>, SceneFileError> {
        Ok(pictures(&self.files.adapted(&self.camera, learnt, self.expected())?))
    }

    fn keep_learnt(&self, pictures: u32) -> Digest {
        self.files.keep_learnt(&self.camera, &self.memory(pictures), NOW).unwrap()
    }
}

fn pictures(stored: &Option<Stored>) -> Option<u32> {
    stored.as_ref().map(|stored| stored.memory.progress(Light::Day).pictures)
}

#[test]
fn what_is_kept_is_read_again() {
    let place = Place::new();
    assert_eq!(place.learnt().unwrap(), None);
    for pictures in [0, 3, 80] {
        let digest = place.keep_learnt(pictures);
        let stored = place.files.learnt(&place.camera, place.expected()).unwrap().unwrap();
        assert_eq!((stored.memory.progress(Light::Day).pictures, stored.digest), (pictures, digest));
    }
    assert!(place.files.learnt(&id("gate"), place.expected()).unwrap().is_none(), "another camera has learnt nothing");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.path("")), mode(&place.path("yard.learnt"))), (0o700, 0o600));
}

#[test]
fn what_is_half_learnt_is_dropped_when_all_is() {
    let place = Place::new();
    place.keep_learning("stream", 40);
    assert_eq!((place.learning("stream").unwrap(), place.learnt().unwrap()), (Some(40), None));
    place.keep_learnt(80);
    assert_eq!((place.learning("stream").unwrap(), place.learnt().unwrap()), (None, Some(80)));
    assert_eq!(place.names(), ["yard.learnt"]);
}

#[test]
fn learning_is_gone_on_with_from_the_same_pictures_only() {
    let place = Place::new();
    place.keep_learning("stream", 40);
    let error = place.learning("clips").unwrap_err();
    assert!(matches!(error, SceneFileError::Begun { .. }) && error.to_string().contains("yard.learning"), "{error}");
    assert_eq!(place.learning("stream").unwrap(), Some(40), "it stays");
    place.files.drop_learning(&place.camera).unwrap();
    assert_eq!(place.learning("clips").unwrap(), None);
}

#[test]
fn two_cannot_learn_one_scene_at_once() {
    let place = Place::new();
    let lock = place.files.lock(&place.camera).unwrap();
    let error = place.files.lock(&place.camera).unwrap_err();
    assert!(matches!(error, SceneFileError::Busy { .. }) && error.to_string().contains("yard.lock"), "{error}");
    place.files.lock(&id("gate")).unwrap();
    drop(lock);
    place.files.lock(&place.camera).unwrap();
}

#[test]
fn what_is_to_be_forgotten_is_gone_once() {
    let place = Place::new();
    let learnt = place.keep_learnt(80);
    place.files.keep_adapted(&place.camera, Some(&learnt), &place.memory(90), NOW).unwrap();
    place.files.keep_health(&place.camera, &scene::Learnt::default()).unwrap();
    assert!(!place.files.is_to_forget(&place.camera).unwrap());
    place.files.forget(&place.camera).unwrap();
    assert_eq!(place.names(), ["yard.forget", "yard.health.json"], "the daemon's file is the daemon's to delete");
    assert!(place.files.is_to_forget(&place.camera).unwrap());
    assert_eq!(place.names(), Vec::<String>::new());
    assert!(!place.files.is_to_forget(&place.camera).unwrap());
}

#[test]
fn what_was_learnt_anew_can_be_told_without_reading_it() {
    let place = Place::new();
    assert_eq!(place.files.stamp(&place.camera), None);
    place.keep_learnt(3);
    let stamp = place.files.stamp(&place.camera);
    assert!(stamp.is_some() && stamp == place.files.stamp(&place.camera));
    place.keep_learnt(3);
    assert_ne!(stamp, place.files.stamp(&place.camera));
}

#[test]
fn what_was_adapted_goes_with_what_it_comes_from() {
    let place = Place::new();
    let keep_adapted = |learnt| place.files.keep_adapted(&place.camera, learnt, &place.memory(90), NOW).unwrap();
    // What the daemon has learnt by itself comes from nothing.
    keep_adapted(None);
    assert_eq!(place.adapted(None).unwrap(), Some(90));
    let learnt = place.keep_learnt(80);
    assert_eq!(place.adapted(Some(&learnt)).unwrap(), None);
    assert_eq!(place.names(), ["yard.learnt"], "it is deleted, and not set aside");
    keep_adapted(Some(&learnt));
    assert_eq!(place.adapted(Some(&learnt)).unwrap(), Some(90));
    let other = place.keep_learnt(81);
    assert_ne!(other, learnt);
    assert_eq!(place.adapted(Some(&other)).unwrap(), None);
    assert_eq!(place.names(), ["yard.learnt"]);
}

#[test]
fn what_was_learnt_by_another_is_refused_by_name_and_stays() {
    let mut place = Place::new();
    place.keep_learnt(80);
    let first = place.origin.clone();
    for (origin, what) in [
        (Origin { camera: "gate".into(), ..first.clone() }, "camera"),
        (Origin { model: "c3".into(), ..first.clone() }, "model"),
        (Origin { view: "d4".into(), ..first.clone() }, "view"),
    ] {
        place.origin = origin;
        let error = place.learnt().unwrap_err();
        assert!(matches!(error, SceneFileError::Unusable { .. }), "{error:?}");
        assert!(error.to_string().contains(what) && error.to_string().contains("yard.learnt"), "{error}");
    }
    place.origin = first;
    place.shape = Shape::new(&[Grid { channels: 3, ..GRID }]).unwrap();
    assert!(place.learnt().unwrap_err().to_string().contains("shape"));
    assert_eq!(place.names(), ["yard.learnt"]);
}

#[test]
fn every_damage_is_found_and_set_aside() {
    let place = Place::new();
    place.keep_learnt(3);
    let good = fs::read(place.path("yard.learnt")).unwrap();
    // A bit of every byte of the first line, and of some behind it, changed; cut off; longer; another part's.
    let end = good.iter().position(|byte| *byte == b'\n').unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).step_by(29).map(|end| good[..end].to_vec()).collect();
    for at in (0..=end).chain((end + 1..good.len()).step_by(13)) {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        damaged.push(flipped);
    }
    damaged.push([&good[..], b"more"].concat());
    damaged.push(vec![b'x'; 4096]);
    place.keep_learning("stream", 3);
    damaged.push(fs::read(place.path("yard.learning")).unwrap());
    fs::remove_file(place.path("yard.learning")).unwrap();
    for contents in damaged {
        fs::write(place.path("yard.learnt"), &contents).unwrap();
        let error = place.learnt().unwrap_err();
        assert!(matches!(error, SceneFileError::Damaged { .. }), "{error:?}");
        assert_eq!(place.names(), ["yard.learnt.damaged"]);
        assert_eq!(fs::read(place.path("yard.learnt.damaged")).unwrap(), contents);
        assert_eq!(place.learnt().unwrap(), None);
    }
}

#[test]
fn what_is_no_memory_is_damaged_whatever_its_digest() {
    let place = Place::new();
    fs::create_dir(place.path("")).unwrap();
    let header = format!("{MAGIC} learnt {} {NONE}\n", Digest::of(b"no memory").as_str());
    fs::write(place.path("yard.learnt"), [header.as_bytes(), b"no memory"].concat()).unwrap();
    let error = place.learnt().unwrap_err();
    assert!(matches!(error, SceneFileError::Damaged { .. }) && error.to_string().contains("yard.learnt"), "{error}");
    assert_eq!(place.names(), ["yard.learnt.damaged"]);
}

#[test]
fn what_is_no_file_or_too_large_is_no_trap() {
    let place = Place::new();
    let path = place.path("yard.learnt");
    let refused = || place.learnt().unwrap_err().to_string();
    fs::create_dir(place.path("")).unwrap();
    // A sparse file, a link to something endless, a pipe that nobody writes to, a folder.
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(refused().contains("larger than"));
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert!(refused().contains("no file"));
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(refused().contains("no file"));
    fs::remove_file(place.path("yard.learnt.damaged")).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refused().contains("no file"));
}

#[test]
fn health_is_kept_and_what_is_damaged_set_aside() {
    let place = Place::new();
    assert_eq!(place.files.health(&place.camera).unwrap(), None);
    let learnt = scene::Learnt::default();
    place.files.keep_health(&place.camera, &learnt).unwrap();
    assert_eq!(place.files.health(&place.camera).unwrap(), Some(learnt));
    let text = fs::read_to_string(place.path("yard.health.json")).unwrap();
    let other_version = text.replacen("\"version\":1", "\"version\":2", 1);
    for damaged in ["", "{", &text[..text.len() / 2], &other_version] {
        assert_ne!(damaged, text);
        fs::write(place.path("yard.health.json"), damaged).unwrap();
        let error = place.files.health(&place.camera).unwrap_err();
        assert!(matches!(error, SceneFileError::Damaged { .. }), "{error}");
        assert_eq!(place.names(), ["yard.health.json.damaged"]);
    }
}

#[test]
fn where_nothing_can_be_written_the_error_says_so() {
    let place = Place::new();
    fs::write(place.data.path().join("scene"), "in the way").unwrap();
    let error = place.files.keep_learnt(&place.camera, &place.memory(1), NOW).unwrap_err();
    assert!(matches!(error, SceneFileError::Io { .. }) && error.to_string().contains("scene"), "{error}");
    let error = place.learnt().unwrap_err();
    assert!(matches!(error, SceneFileError::Io { .. }), "{error}");
}
