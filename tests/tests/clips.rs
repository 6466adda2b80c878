//! Clips of incidents: sealed for those who hold a key, covered for those who do not, and in plain nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use age::{Decryptor, x25519::Identity};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;
use snowgate_tests::{
    encode::{H264, H265, ball, walkers},
    grid_system::Received,
    site::Site,
    wait::PATIENCE,
};
use support::clip;

/// Time enough for rules to find something, and for clips of it.
const A_WHILE: Duration = Duration::from_secs(240);

/// What stands in every MP4 file, and in ours: too long to come about by chance in one that is sealed.
const PLAIN: [&[u8]; 3] = [b"ftypiso6", b"moof\0\0\0\x10mfhd", b"\0\0\0lmvhd"];

/// What the newest revision of any incident of this rule says of a file of this name.
fn evidence(received: &Received, rule: &str, name: &str) -> Option<(String, Value)> {
    received.events.iter().filter(|event| event.data.rule.as_str() == rule).rev().find_map(|event| {
        let evidence = event.json["data"]["evidence"].as_array()?.iter().find(|evidence| evidence["name"] == name)?;
        Some((event.data.incident.to_string(), evidence.clone()))
    })
}

/// Every file beneath a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Nothing but a covered copy looks like a video.
fn assert_nothing_in_plain(data: &Path) {
    for file in files(data).iter().filter(|file| !file.to_string_lossy().ends_with("clip-covered.mp4")) {
        // Some are gone before they are looked at.
        let content = fs::read(file).unwrap_or_default();
        for plain in PLAIN {
            assert!(!content.windows(plain.len()).any(|window| window == plain), "{} is in plain", file.display());
        }
    }
}

fn open(identity: &Identity, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Decryptor::new(sealed).unwrap().decrypt(std::iter::once(identity as _)).ok()?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content).unwrap();
    Some(content)
}

/// What ffprobe says of a clip: its stream, and decoding and presentation time of each packet in seconds.
fn probe(file: &Path) -> (Value, Vec<(f64, f64)>) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_streams", "-show_packets", "-of", "json"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let seconds = |packet: &Value, name: &str| packet[name].as_str().unwrap().parse::<f64>().unwrap();
    let packets = told["packets"].as_array().unwrap().iter();
    (told["streams"][0].clone(), packets.map(|p| (seconds(p, "dts_time"), seconds(p, "pts_time"))).collect())
}

/// The brightness of each picture of a clip, row after row.
fn pictures(file: &Path, size: (usize, usize)) -> Vec<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(size.0 * size.1).map(<[u8]>::to_vec).collect()
}

/// A site whose categories `intrusion` and `face-in-zone` want clips, sealed for these recipients.
fn site(recipients: &[&Identity], keys: &str) -> Site {
    let site = Site::new();
    let recipients: Vec<String> = recipients.iter().map(|identity| format!("\"{}\"", identity.to_public())).collect();
    let recipients = recipients.join(", ");
    site.edit("gateway.toml", |text| format!("{text}\n[evidence.clips]\nrecipients = [{recipients}]\n{keys}\n"));
    site.edit("categories.toml", |text| {
        ["intrusion", "face-in-zone"].iter().fold(text, |text, id| {
            let category = format!("id = \"{id}\"\n");
            assert!(text.contains(&category));
            text.replace(&category, &format!("{category}clip = true\ncovered_clip = {}\n", *id == "face-in-zone"))
        })
    });
    site
}

#[test]
fn a_clip_is_what_the_large_stream_sent_and_only_a_key_opens_it() {
    let (desk, police, other) = (Identity::generate(), Identity::generate(), Identity::generate());
    let site = site(&[&desk, &police], "pre_roll = \"3s\"\npost_roll = \"3s\"\nlongest = \"20s\"");
    let (_small, small) = clip(&walkers(300, H264));
    // With B-frames and open GOPs.
    let (_large, large) = clip(&ball(250, 1280, 720, H265));
    site.cameras.loop_file("/small", &small);
    site.cameras.loop_file("/large", &large);
    let (detect, record) = (site.cameras.url("/small"), site.cameras.url("/large"));
    let url = site.cameras.url("/walkers");
    site.edit("cameras.d/walkers.toml", |text| {
        text.replace(&format!("detect = \"{url}\""), &format!("detect = \"{detect}\"\nrecord = \"{record}\""))
    });
    fs::remove_file(site.config().join("cameras.d/entrance.toml")).unwrap();
    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap();

    let told = grid_system.wait_for(A_WHILE, |received| {
        assert_nothing_in_plain(&site.data());
        evidence(received, "people-on-the-bank", "clip.mp4.age")
    });
    let (incident, told) = told.unwrap_or_else(|| panic!("{}", daemon.last_log_lines(20)));
    assert_eq!((&told["media_type"], &told["camera"]), (&"video/mp4".into(), &"walkers".into()));
    let keys = [&desk, &police].map(|identity| identity.to_public().to_string());
    assert_eq!(told["sealed"], serde_json::json!({ "format": "age", "recipients": keys }));

    let sealed = fs::read(site.data().join("evidence").join(&incident).join("clip.mp4.age")).unwrap();
    assert_eq!(
        (told["bytes"].as_u64(), told["sha256"].as_str()),
        (Some(sealed.len() as u64), Some(&*hex(Sha256::digest(&sealed))))
    );
    assert!(open(&other, &sealed).is_none(), "nobody else can open it");
    let clip = open(&desk, &sealed).unwrap();
    assert_eq!(open(&police, &sealed).as_ref(), Some(&clip), "each of them can");
    let file = site.config().join("clip.mp4");
    fs::write(&file, &clip).unwrap();
    let (stream, packets) = probe(&file);
    assert_eq!(
        (&stream["codec_name"], &stream["width"], &stream["height"]),
        (&"hevc".into(), &1280.into(), &720.into())
    );
    assert_eq!(stream["nb_read_frames"], packets.len().to_string(), "every picture can be decoded");
    assert!(packets.windows(2).all(|two| two[0].0 < two[1].0), "decoding goes back: {packets:?}");
    let mut shown: Vec<f64> = packets.iter().map(|(_, shown)| *shown).collect();
    assert!(!shown.is_sorted(), "B-frames are decoded in another order than they are shown");
    shown.sort_by(f64::total_cmp);
    assert!(shown.windows(2).all(|two| two[1] - two[0] > 0.001), "two pictures at once: {shown:?}");
    let seconds = shown.last().unwrap() - shown[0];
    // What led up to it and what came after, the condition itself having held for a second in between.
    assert!((6.5..=20.1).contains(&seconds), "{seconds} s");
    let duration = told["duration_ms"].as_f64().unwrap() / 1000.0;
    assert!((duration - seconds).abs() < 0.2, "{duration} s told, {seconds} s of pictures");

    let metrics = daemon.metrics().unwrap();
    let made = metrics.total("snowgate_clips_total", &[("camera", "walkers"), ("kind", "sealed")]);
    assert!(made >= 1.0, "{made}");
    daemon.stop(PATIENCE).unwrap();
    assert_nothing_in_plain(&site.data());
    grid_system.look(|received| {
        assert!(evidence(received, "passage-crossed", "clip.mp4.age").is_none(), "its category wants none");
        assert!(evidence(received, "people-on-the-bank", "clip-covered.mp4").is_none(), "nor a copy");
        assert_eq!(received.rejected, Vec::<String>::new());
    });
}

#[test]
fn of_a_camera_with_masks_there_is_only_the_covered_copy() {
    let desk = Identity::generate();
    let site =
        site(&[&desk], "pre_roll = \"2s\"\npost_roll = \"2s\"\nlongest = \"6s\"\ncopy_fps = 1\ncopy_width = 320");
    fs::remove_file(site.config().join("cameras.d/walkers.toml")).unwrap();
    site.edit("cameras.d/entrance.toml", |text| {
        text + "\n[[masks]]\npolygon = [[0.0, 0.8], [0.2, 0.8], [0.2, 1.0], [0.0, 1.0]]\n"
    });
    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap();

    let told = grid_system.wait_for(A_WHILE, |received| {
        assert_nothing_in_plain(&site.data());
        evidence(received, "face-at-entrance", "clip-covered.mp4")
    });
    let (incident, told) = told.unwrap_or_else(|| panic!("{}", daemon.last_log_lines(20)));
    assert!(told.get("sealed").is_none(), "{told}");
    let folder = site.data().join("evidence").join(incident);
    let file = folder.join("clip-covered.mp4");
    let copy = fs::read(&file).unwrap();
    assert_eq!(told["sha256"].as_str(), Some(&*hex(Sha256::digest(&copy))));
    let (stream, packets) = probe(&file);
    assert_eq!(
        (&stream["codec_name"], &stream["width"], &stream["height"]),
        (&"h264".into(), &320.into(), &180.into())
    );
    assert!((3..=8).contains(&packets.len()), "one a second: {packets:?}");
    for picture in pictures(&file, (320, 180)) {
        // Within the mask, away from its edges, which compression softens.
        let masked = (150..176).flat_map(|row| &picture[row * 320 + 4..row * 320 + 60]);
        let brightest = masked.max().unwrap();
        assert!(*brightest < 48, "the mask is burnt in: {brightest}");
    }
    assert!(!folder.join("clip.mp4.age").exists(), "what cannot be masked is not kept");
    let metrics = daemon.metrics().unwrap();
    let masked = metrics.total("snowgate_clips_refused_total", &[("kind", "sealed"), ("reason", "masked")]);
    assert!(masked >= 1.0, "{masked}");
    daemon.stop(PATIENCE).unwrap();
    assert_nothing_in_plain(&site.data());
    grid_system.look(|received| assert!(evidence(received, "face-at-entrance", "clip.mp4.age").is_none()));
}
