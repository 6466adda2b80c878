//! Streams of real encoders, muxed, and read again by two readers that know nothing of this one: GStreamer's and ffprobe.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use super::{
    super::testing::{self, H264, H264_B_FRAMES, H264_OPEN_GOP, H265, read},
    *,
};
use crate::camera::{access_unit::AccessUnit, decode::Decoder};

/// A hundred pictures of a moving ball.
fn encoded(encoder: &str) -> Vec<AccessUnit> {
    testing::encoded("ball", (128, 96), encoder)
}

fn muxed(units: &[AccessUnit]) -> (Vec<u8>, Muxed) {
    let maps: Vec<_> = units.iter().map(|unit| unit.buffer.map_readable().unwrap()).collect();
    let mut encoded =
        units.iter().zip(&maps).map(|(unit, bytes)| Encoded { at: unit.at, key: unit.key, bytes: bytes.as_slice() });
    let mut muxer = Muxer::begin(Vec::new(), &units[0].format, encoded.next().unwrap()).unwrap();
    encoded.for_each(|unit| muxer.push(unit).unwrap());
    let promised = muxer.bytes();
    let (bytes, muxed) = muxer.finish().unwrap();
    assert!(bytes.len() as u64 >= promised);
    (bytes, muxed)
}

/// Decoding and presentation time of each packet in seconds, as ffprobe reads them, and what it says of the stream.
fn probed(file: &Path) -> (Vec<(f64, f64)>, serde_json::Value) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_streams", "-show_packets", "-show_format", "-of", "json"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let seconds = |packet: &serde_json::Value, name: &str| packet[name].as_str().unwrap().parse::<f64>().unwrap();
    let packets = told["packets"].as_array().unwrap().iter();
    (packets.map(|packet| (seconds(packet, "dts_time"), seconds(packet, "pts_time"))).collect(), told)
}

/// When pictures are shown, in milliseconds since the first.
fn shown(mut times: Vec<f64>) -> Vec<i64> {
    times.sort_by(f64::total_cmp);
    times.iter().map(|time| ((time - times[0]) * 1000.0).round() as i64).collect()
}

#[test]
fn every_picture_is_shown_when_the_stream_says() {
    for (encoder, codec) in [(H264, "h264"), (H264_B_FRAMES, "h264"), (H264_OPEN_GOP, "h264"), (H265, "hevc")] {
        let units = encoded(encoder);
        let (bytes, muxed) = muxed(&units);
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("clip.mp4");
        std::fs::write(&file, &bytes).unwrap();

        let every_40_ms: Vec<i64> = (0..100).map(|number| number * 40).collect();
        assert_eq!(muxed, Muxed { duration: Duration::from_secs(4), pictures: 100 }, "{encoder}");
        let (packets, told) = probed(&file);
        assert_eq!(told["streams"][0]["codec_name"], codec);
        assert_eq!((&told["streams"][0]["width"], &told["streams"][0]["height"]), (&128.into(), &96.into()));
        assert_eq!(told["streams"][0]["nb_read_frames"], "100", "{encoder}: not all can be decoded");
        let duration: f64 = told["format"]["duration"].as_str().unwrap().parse().unwrap();
        assert!((duration - 4.0).abs() < 0.1, "{encoder}: {duration} s");
        assert!(packets.windows(2).all(|two| two[0].0 < two[1].0), "{encoder}: decoding goes back: {packets:?}");
        assert_eq!(shown(packets.iter().map(|(_, shown)| *shown).collect()), every_40_ms, "{encoder}");

        let again = read(&file);
        let keys = |units: &[AccessUnit]| units.iter().map(|unit| unit.key).collect::<Vec<_>>();
        assert_eq!(keys(&again), keys(&units), "{encoder}");
        let mut decoder = Decoder::new(again[0].format.codec).unwrap();
        let mut pictures = 0;
        again.iter().for_each(|unit| decoder.decode(unit, &mut |_| pictures += 1).unwrap());
        decoder.drain(&mut |_| pictures += 1).unwrap();
        assert_eq!(pictures, 100, "{encoder}");
    }
}

#[test]
fn a_clip_begins_with_a_key_frame_wherever_that_is() {
    let units = encoded(H265);
    let leading = |key: usize| units[key..].iter().filter(|unit| unit.at < units[key].at).count();
    let key = (1..units.len()).find(|at| units[*at].key && leading(*at) > 0).expect("an open GOP");
    let (_, muxed) = muxed(&units[key..]);
    assert_eq!(
        muxed.pictures,
        (units.len() - key - leading(key)) as u64,
        "what came before is not there to decode them by"
    );

    let map = units[1].buffer.map_readable().unwrap();
    let other = Encoded { at: units[1].at, key: false, bytes: &map };
    assert!(matches!(Muxer::begin(Vec::new(), &units[1].format, other), Err(MuxError::NoStart)));
}

#[test]
fn a_stream_that_changes_its_format_ends_the_clip() {
    let (units, others) = (encoded(H264), encoded("x264enc speed-preset=slow key-int-max=20"));
    let (map, other) = (units[0].buffer.map_readable().unwrap(), others[0].buffer.map_readable().unwrap());
    let first = Encoded { at: Mono(5_000), key: true, bytes: &map };
    let mut muxer = Muxer::begin(Vec::new(), &units[0].format, first).unwrap();
    let changed = Encoded { at: Mono(40_005_000), key: true, bytes: &other };
    assert!(matches!(muxer.push(changed), Err(MuxError::FormatChanged)));
    assert_eq!(muxer.finish().unwrap().1.pictures, 1, "what there is stays");
}

#[test]
fn times_that_jump_do_no_harm() {
    let units = encoded(H264);
    let map = units[0].buffer.map_readable().unwrap();
    let encoded = |at: u64| Encoded { at: Mono(at * 1_000_000), key: true, bytes: &map };
    let mut muxer = Muxer::begin(Vec::new(), &units[0].format, encoded(1000)).unwrap();
    for at in [1040, 1040, 3000, 2000, 2000, 2000, 1_000_000_000, 1000, 5000, u64::MAX / 1_000_000] {
        muxer.push(encoded(at)).unwrap();
        assert!(muxer.pending.len() <= FRAGMENT_PICTURES);
    }
    muxer.finish().unwrap();
}
