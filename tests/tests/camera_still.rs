//! `snowgate camera still` at a real RTSP server: what the picture shows and what it does not, and who looked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use image::RgbImage;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;
use snowgate_tests::{
    clips::{configured, media},
    daemon::program,
    encode::H264,
    rtsp::RtspServer,
};
use support::clip;
use tempfile::TempDir;

/// Where faces are in the sample picture, fractions of the frame: found by eye.
const FACES: [[f32; 2]; 3] = [[0.255, 0.37], [0.485, 0.42], [0.835, 0.25]];
/// Zones, a line, a mask and a way, apart from the faces.
const DRAWN: &str = r#"
[[masks]]
polygon = [[0.62, 0.72], [0.88, 0.72], [0.88, 0.98], [0.62, 0.98]]

[[zones]]
id = "table"
polygon = [[0.12, 0.62], [0.38, 0.62], [0.38, 0.88], [0.12, 0.88]]

[[lines]]
id = "aisle"
start = [0.55, 0.95]
end = [0.55, 0.65]

[[rules]]
id = "at-the-table"
kind = "intrusion"
zone = "table"
category = "intrusion"

[[rules]]
id = "through-the-aisle"
kind = "line_crossing"
line = "aisle"
direction = "left_to_right"
category = "line-crossing"

[[rules]]
id = "against-the-stream"
kind = "wrong_way"
zone = "table"
from = [0.15, 0.75]
to = [0.35, 0.75]
category = "intrusion"
"#;
const SIZE: (u32, u32) = (960, 640);

/// A camera that looks at three people, and its configuration.
struct Hall {
    _server: RtspServer,
    _clip: TempDir,
    config: TempDir,
    home: TempDir,
}

impl Hall {
    fn new() -> Self {
        let launch = format!(
            "filesrc location={} ! jpegdec ! videoconvert ! videoscale ! video/x-raw,format=I420,width={},height={} ! \
             imagefreeze num-buffers=20 ! video/x-raw,framerate=10/1 ! {H264}",
            media("faces1.jpg").display(),
            SIZE.0,
            SIZE.1
        );
        let (clip, file) = clip(&launch);
        let server = RtspServer::start();
        server.loop_file("/hall", &file);
        let config = Self::configured(&server.url("/hall"));
        Self { _server: server, _clip: clip, config, home: TempDir::new().unwrap() }
    }

    /// The entrance's camera at this address, with nothing drawn but what this test does.
    fn configured(url: &str) -> TempDir {
        configured("entrance", |text| {
            let (top, _) = text.split_once("[[zones]]").unwrap();
            format!("{}{DRAWN}", top.replace("rtsp://127.0.0.1:18554/entrance", url))
        })
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn picture(&self) -> PathBuf {
        self.home.path().join("entrance.jpg")
    }

    fn still(&self, arguments: &[&str]) -> (i32, String) {
        still(self.config.path(), &self.data(), self.home.path(), arguments)
    }

    /// What it prints for machines when all is well.
    fn told(&self, arguments: &[&str]) -> Value {
        let (code, printed) = self.still(&[&["entrance", "--format", "json"], arguments].concat());
        assert_eq!(code, 0, "{printed}");
        serde_json::from_str(&printed).unwrap()
    }
}

/// Exit code, and all that was printed.
fn still(config: &Path, data: &Path, home: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program().unwrap())
        .args(["camera", "still", "--config"])
        .arg(config)
        .arg("--data")
        .arg(data)
        .args(arguments)
        .env("SUDO_USER", "li")
        .current_dir(home)
        .output()
        .unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    println!("$ snowgate camera still {}\n{printed}", arguments.join(" "));
    (output.status.code().unwrap(), printed)
}

fn says((code, printed): &(i32, String), expected: i32, words: &[&str]) {
    assert_eq!(*code, expected, "{printed}");
    words.iter().for_each(|word| assert!(printed.contains(word), "{word:?} is not in\n{printed}"));
}

fn open(file: &Path) -> RgbImage {
    image::open(file).unwrap().into_rgb8()
}

/// The pixel at a point in fractions of the frame.
fn pixel(picture: &RgbImage, [x, y]: [f32; 2]) -> [u8; 3] {
    let place = |share: f32, side: u32| (share * (side - 1) as f32) as u32;
    picture.get_pixel(place(x, picture.width()), place(y, picture.height())).0
}

/// Whether it is nearly this colour: JPEG keeps none as it was.
fn near(found: [u8; 3], colour: [u8; 3]) -> bool {
    found.iter().zip(colour).all(|(found, wanted)| found.abs_diff(wanted) < 48)
}

/// Whether every pixel around a point is covered: that flat grey, with nothing in it.
fn is_covered(picture: &RgbImage, [x, y]: [f32; 2]) -> bool {
    let around = (-4i8..=4).flat_map(|i| (-4i8..=4).map(move |j| (f32::from(i) * 0.004, f32::from(j) * 0.004)));
    around.map(|(dx, dy)| pixel(picture, [x + dx, y + dy])).all(|found| found.iter().all(|c| c.abs_diff(96) < 12))
}

#[test]
fn what_a_camera_shows_is_covered_drawn_and_logged() {
    let hall = Hall::new();
    fs::create_dir(hall.data()).unwrap();
    let told = hall.told(&["--grid", "--why", "moving the table zone"]);
    let file = hall.picture();
    assert_eq!(told["file"], file.to_str().unwrap());
    assert_eq!((&told["width"], &told["height"]), (&json!(SIZE.0), &json!(SIZE.1)));
    assert!(told["faces_covered"].as_u64().unwrap() >= 3 && told["heads_covered"].as_u64().unwrap() >= 1, "{told}");
    let table = json!([[0.12, 0.62], [0.38, 0.62], [0.38, 0.88], [0.12, 0.88]]);
    assert_eq!(told["zones"], json!([{ "id": "table", "polygon": table }]));
    let (start, end) = ([0.55, 0.95], [0.55, 0.65]);
    let aisle = json!({ "id": "aisle", "start": start, "end": end, "direction": "left_to_right" });
    assert_eq!(told["lines"], json!([aisle]));
    assert_eq!(told["masks"][0]["number"], 1);
    assert_eq!(told["ways"], json!([{ "rule": "against-the-stream", "from": [0.15, 0.75], "to": [0.35, 0.75] }]));

    let picture = open(&file);
    assert_eq!(picture.dimensions(), SIZE);
    let drawn = |x, y| pixel(&picture, [x, y]);
    assert!(near(drawn(0.7, 0.55), [225; 3]) && near(drawn(0.95, 0.3), [225; 3]), "lines of the grid");
    let (column, row) = ((0.7 * (SIZE.0 - 1) as f32) as u32, (0.55 * (SIZE.1 - 1) as f32) as u32);
    assert!(picture.get_pixel(column + 1, row).0.iter().all(|c| *c < 80), "its dark edge");
    assert!(near(drawn(0.12, 0.66), [0, 220, 255]), "the zone: {:?}", drawn(0.12, 0.66));
    assert!(near(drawn(0.55, 0.68), [255, 60, 60]), "the line: {:?}", drawn(0.55, 0.68));
    assert!(near(drawn(0.65, 0.72), [215, 110, 255]), "the mask's outline: {:?}", drawn(0.65, 0.72));

    // Who looked stands in a log that is sound.
    let log = fs::read_to_string(hall.data().join("access.jsonl")).unwrap();
    let entry: Value = serde_json::from_str(log.trim_end()).unwrap();
    let words = ["action", "camera", "by", "reason"].map(|key| entry[key].as_str().unwrap());
    assert_eq!(words, ["look", "entrance", "li", "moving the table zone"]);
    assert_eq!(entry["granted"], true);
    let sha256 = hex(Sha256::digest(fs::read(&file).unwrap()));
    assert_eq!(entry["files"], json!([{ "name": "entrance.jpg", "sha256": sha256 }]));

    // The same without a grid takes the first one's place; nothing is drawn, and as much is covered.
    let told = hall.told(&["--who", "Wang", "--stream", "record"]);
    assert_eq!(told["access_log"]["by"], "Wang");
    let plain = open(&file);
    assert!(!near(pixel(&plain, [0.12, 0.66]), [0, 220, 255]) && !near(pixel(&plain, [0.7, 0.55]), [225; 3]));
    for face in FACES {
        assert!(is_covered(&plain, face), "the face at {face:?}");
    }
    let masked = (0..20u8).flat_map(|i| (0..20u8).map(move |j| [f32::from(i), f32::from(j)]));
    for [i, j] in masked {
        let found = pixel(&plain, [0.63 + i * 0.012, 0.73 + j * 0.012]);
        assert!(found.iter().all(|c| *c < 16), "the mask shows {found:?}");
    }
    assert!(!is_covered(&plain, [0.15, 0.75]), "what is nobody's head can be seen");
    let names: Vec<_> = fs::read_dir(hall.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");

    let verified = Command::new(program().unwrap())
        .args(["evidence", "verify", "--config"])
        .arg(hall.config.path())
        .arg("--data")
        .arg(hall.data())
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
    let log = fs::read_to_string(hall.data().join("access.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 2);
}

#[test]
fn before_the_daemon_has_run_nothing_is_logged_and_that_is_said() {
    let hall = Hall::new();
    says(
        &hall.still(&["entrance", "--grid"]),
        0,
        &[
            "entrance.jpg",
            "960 × 640 pixels",
            "not in any access log",
            "the daemon has not run yet",
            "zone table: polygon = [[0.12, 0.62], [0.38, 0.62], [0.38, 0.88], [0.12, 0.88]]",
            "line aisle: start = [0.55, 0.95], end = [0.55, 0.65]; watched: left_to_right",
            "mask 1: polygon",
            "allowed way of rule against-the-stream: from = [0.15, 0.75], to = [0.35, 0.75]",
        ],
    );
    assert!(!hall.data().exists() && hall.picture().exists());

    // Without a model there is no picture, not even the one that was there.
    let models = hall.home.path().join("models");
    fs::create_dir(&models).unwrap();
    for name in ["centerface.toml", "ssdlite-mobilenet-v2.toml", "ssdlite-mobilenet-v2.onnx"] {
        fs::copy(snowgate_tests::repository().join("models").join(name), models.join(name)).unwrap();
    }
    fs::remove_file(hall.picture()).unwrap();
    let gateway = hall.config.path().join("gateway.toml");
    let text = fs::read_to_string(&gateway).unwrap();
    let theirs = snowgate_tests::repository().join("models").display().to_string();
    assert!(text.contains(&theirs), "{text}");
    fs::write(&gateway, text.replace(&theirs, &models.display().to_string())).unwrap();
    says(&hall.still(&["entrance"]), 69, &["faces and heads cannot be covered", "centerface"]);
    fs::remove_file(models.join("centerface.toml")).unwrap();
    says(&hall.still(&["entrance"]), 69, &["model centerface is not in"]);
    assert!(!hall.picture().exists());
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("rtsp://{}/hall", listener.local_addr().unwrap());
    drop(listener);
    let (config, home) = (Hall::configured(&closed), TempDir::new().unwrap());
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    let still = |arguments: &[&str]| still(config.path(), &data, home.path(), arguments);
    says(&still(&["entrance"]), 69, &["nothing listens there", "554"]);
    says(&still(&["entrence"]), 78, &["there is no camera `entrence`", "did you mean `entrance`?"]);
    says(&still(&["bridge"]), 78, &["cameras: `entrance`"]);
    says(&still(&["entrance", "--to", "nowhere/a.jpg"]), 74, &["nowhere/a.jpg", "--to"]);
    let notes = home.path().join("notes.txt");
    fs::write(&notes, "what the mayor said").unwrap();
    says(&still(&["entrance", "--to", "notes.txt"]), 64, &["notes.txt", "it is no picture, and stays as it is"]);
    assert_eq!(fs::read_to_string(&notes).unwrap(), "what the mayor said");
    assert_eq!(fs::read(data.join("access.jsonl")).unwrap_or_default(), b"", "nobody has seen anything");

    // What belongs to the service is written by the service's user alone.
    let theirs = home.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let theirs = match chown(&theirs, Some(65_534), None) {
        Ok(()) => theirs,
        // Tests that do not run as root find root's own directory.
        Err(_) => PathBuf::from("/"),
    };
    assert_ne!(fs::metadata(&theirs).unwrap().uid(), rustix::process::geteuid().as_raw());
    let found = self::still(config.path(), &theirs, home.path(), &["entrance", "--grid"]);
    says(&found, 64, &["sudo -u snowgate snowgate camera still entrance --grid --to /tmp/entrance.jpg"]);

    let file = config.path().join("cameras.d/entrance.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[0.12, 0.62]", "[1.2, 0.62]")).unwrap();
    says(&still(&["entrance"]), 78, &["cameras.d/entrance.toml:", "the point lies outside the frame"]);
    assert!(!home.path().join("entrance.jpg").exists());
}
