//! Clips and the synchronous decoder, on files made by real encoders.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use snowgate::camera::{
    access_unit::{AccessUnit, Codec},
    clip::{ClipError, ClipReader},
    decode::{DecodeError, Decoder},
    picture::Picture,
    pixels::Chroma,
};
use snowgate_core::ids::Id;
use snowgate_tests::encode::{
    H264, H264_B_FRAMES, H264_CONSTANT_QUALITY, H264_INFINITE_GOP, H264_INTRA_REFRESH, H264_LONG_GOP, H264_OPEN_GOP,
    H265, ball, encode, still_scene_with_walkers, walkers,
};
use tempfile::TempDir;

const INTERVAL: u64 = 40_000_000;

fn camera() -> Id {
    "gate".parse().unwrap()
}

/// A clip of `launch` in a directory of its own.
fn clip(launch: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clip.mkv");
    encode(launch, &file);
    (directory, file)
}

fn read(file: &std::path::Path) -> Vec<AccessUnit> {
    let mut reader = ClipReader::open(file, camera()).unwrap();
    let mut units = Vec::new();
    while let Some(unit) = reader.next_unit().unwrap() {
        units.push(unit);
    }
    units
}

fn units(launch: &str) -> Vec<AccessUnit> {
    let (_directory, file) = clip(launch);
    read(&file)
}

/// Number, time and mean brightness of a picture.
fn facts(picture: &Picture) -> (u64, u64) {
    (picture.number(), picture.at().0)
}

fn decode_all(units: &[AccessUnit]) -> Vec<(u64, u64)> {
    let mut decoder = Decoder::new(units[0].format.codec).unwrap();
    let mut shown = Vec::new();
    for unit in units {
        decoder.decode(unit, &mut |picture| shown.push(facts(&picture))).unwrap();
    }
    decoder.drain(&mut |picture| shown.push(facts(&picture))).unwrap();
    shown
}

#[test]
fn without_b_frames_each_picture_comes_out_when_its_unit_goes_in() {
    let units = units(&ball(25, 320, 240, H264));
    assert_eq!(units.len(), 25);
    assert_eq!(units.iter().filter(|unit| unit.key).count(), 3);
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    for (index, unit) in (0u64..).zip(&units) {
        let mut shown = Vec::new();
        decoder.decode(unit, &mut |picture| shown.push(picture)).unwrap();
        let [picture] = shown.as_slice() else { panic!("{} pictures at once", shown.len()) };
        assert_eq!(facts(picture), (index + 1, index * INTERVAL));
        assert_eq!((picture.width(), picture.height()), (320, 240));
    }
}

#[test]
fn with_b_frames_numbers_and_times_follow_their_units() {
    for encoder in [H264_B_FRAMES, H265] {
        let units = units(&ball(50, 320, 240, encoder));
        assert!(
            units.windows(2).any(|pair| pair[1].at < pair[0].at),
            "the encoder reordered nothing: this test would prove nothing"
        );
        let mut expected: Vec<_> = units.iter().map(|unit| (unit.number, unit.at.0)).collect();
        expected.sort_by_key(|(_, at)| *at);
        assert_eq!(decode_all(&units), expected, "{encoder}");
    }
}

#[test]
fn a_key_frame_alone_is_seen_at_once_and_one_decoder_serves_streams_of_any_size_and_coding() {
    let streams =
        [units(&ball(20, 320, 240, H264_B_FRAMES)), units(&ball(20, 640, 360, H264)), units(&ball(20, 162, 122, H265))];
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    for round in 0..3 {
        for (units, size) in streams.iter().zip([(320, 240), (640, 360), (162, 122)]) {
            for unit in units.iter().filter(|unit| unit.key) {
                let picture = decoder.look(unit).unwrap().expect("a key frame shows itself");
                let facts = (picture.number(), picture.at(), picture.width(), picture.height());
                assert_eq!(facts, (unit.number, unit.at, size.0, size.1), "round {round}");
            }
        }
    }
}

/// The streams that the gate's tests are made of.
#[test]
fn streams_that_are_hard_to_gate_are_what_they_are_called() {
    let keys = |units: &[AccessUnit]| units.iter().filter(|unit| unit.key).map(|unit| unit.number).collect::<Vec<_>>();
    assert_eq!(keys(&units(&walkers(250, H264_INFINITE_GOP))), [1]);
    assert_eq!(keys(&units(&walkers(250, H264_LONG_GOP))), [1, 121, 241]);

    // Key frames that show something alone: in open GOPs each, with intra refresh the first.
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    let mut shown = |units: &[AccessUnit]| {
        let keys = units.iter().filter(|unit| unit.key);
        keys.map(|unit| decoder.look(unit).unwrap().is_some()).collect::<Vec<_>>()
    };
    let open = shown(&units(&walkers(60, H264_OPEN_GOP)));
    assert!(open.len() > 2 && open.iter().all(|shown| *shown), "{open:?}");
    let refreshed = shown(&units(&walkers(60, H264_INTRA_REFRESH)));
    assert!(refreshed.len() > 2 && refreshed[0] && !refreshed[1..].contains(&true), "{refreshed:?}");

    // With constant quality, pictures of a scene that stands still cost next to nothing until somebody walks.
    let units = units(&still_scene_with_walkers(250, H264_CONSTANT_QUALITY));
    assert!((248..=252).contains(&units.len()), "{}", units.len());
    let mut sizes: Vec<_> = units.iter().filter(|unit| !unit.key).map(|unit| unit.size).collect();
    sizes.sort_unstable();
    let (quiet, busy) = (sizes[sizes.len() / 20], sizes[sizes.len() * 19 / 20]);
    assert!(busy > 3 * quiet, "{quiet} bytes and {busy} bytes");
}

#[test]
fn a_damaged_unit_is_named_and_decoding_goes_on_at_the_next_key_frame() {
    for encoder in [H264, H265] {
        let mut units = units(&ball(40, 320, 240, encoder));
        let keys: Vec<_> = units.iter().filter(|unit| unit.key).map(|unit| unit.number).collect();
        let bad = units.iter().position(|unit| unit.number > keys[1] && !unit.key).unwrap();
        // A slice's NAL header, and nothing in it a decoder could make sense of.
        let header: [u8; 2] = if encoder == H264 { [0x41, 0xff] } else { [0x02, 0x01] };
        let nonsense = [&[0, 0, 0, 1][..], &header, &[0; 3], &[0xff; 8]].concat();
        units[bad].buffer = gstreamer::Buffer::from_slice(nonsense);
        let mut decoder = Decoder::new(units[0].format.codec).unwrap();
        let (mut shown, mut errors) = (Vec::new(), Vec::new());
        for unit in &units {
            errors.extend(decoder.decode(unit, &mut |picture| shown.push(picture.number())).err());
        }
        decoder.drain(&mut |picture| shown.push(picture.number())).unwrap();
        let damaged = DecodeError::Damaged { camera: camera(), number: units[bad].number };
        assert_eq!(errors, [damaged], "{encoder}");
        assert!(!shown.iter().any(|number| (units[bad].number..keys[2]).contains(number)), "{encoder}: {shown:?}");
        assert!(keys[2..].iter().all(|key| shown.contains(key)), "{encoder}: {shown:?}");
    }
}

#[test]
fn resolution_may_change_between_two_units() {
    let (small, large) = (units(&ball(10, 320, 240, H264_B_FRAMES)), units(&ball(10, 640, 480, H264_B_FRAMES)));
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    let mut shown = Vec::new();
    for unit in small.iter().chain(&large) {
        decoder.decode(unit, &mut |picture| shown.push((picture.width(), picture.height()))).unwrap();
    }
    decoder.drain(&mut |picture| shown.push((picture.width(), picture.height()))).unwrap();
    let expected: Vec<_> = [(320, 240); 10].into_iter().chain([(640, 480); 10]).collect();
    assert_eq!(shown, expected);
}

#[test]
fn planes_lie_where_they_are_said_to() {
    // One colour, odd chroma sizes, and strides that are no multiples of anything.
    let launch = "videotestsrc pattern=solid-color foreground-color=0xff2040c0 num-buffers=2 ! \
                  video/x-raw,format=I420,width=198,height=110,framerate=25/1,colorimetry=bt709 ! \
                  x264enc tune=zerolatency speed-preset=ultrafast bitrate=5000";
    let units = units(launch);
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    let mut pictures = Vec::new();
    decoder.decode(&units[0], &mut |picture| pictures.push(picture)).unwrap();
    let pixels = pictures[0].pixels();
    assert!(pixels.bt709 && !pixels.full_range);
    let Chroma::Planar { u, v } = pixels.chroma else { panic!("libav gives planar chroma") };
    assert_eq!((pixels.luma.width, pixels.luma.height), (198, 110));
    assert_eq!((u.width, u.height, v.width, v.height), (99, 55, 99, 55));
    // BT.709, video range, of R 32, G 64, B 192.
    for (plane, level) in [(pixels.luma, 74), (u, 187), (v, 107)] {
        for row in plane.data.chunks(plane.stride).take(plane.height) {
            assert!(row[..plane.width].iter().all(|sample| sample.abs_diff(level) <= 3), "{plane:?} {:?}", &row[..4]);
        }
    }
}

#[test]
fn pictures_outlive_their_decoder_and_cross_threads() {
    let units = units(&ball(3, 320, 240, H264));
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    let mut pictures = Vec::new();
    for unit in &units {
        decoder.decode(unit, &mut |picture| pictures.push(picture)).unwrap();
    }
    drop(decoder);
    let read = std::thread::spawn(move || pictures.iter().map(|p| p.pixels().luma.data.len()).min());
    assert!(read.join().unwrap().unwrap() >= 320 * 240);
}

#[test]
fn ten_bits_and_other_chroma_are_refused_by_name() {
    for (format, encoder, named) in [
        ("I420_10LE", "x265enc speed-preset=ultrafast ! h265parse", "10 bits"),
        ("Y42B", "x264enc speed-preset=ultrafast", "4:2:2"),
    ] {
        let (_directory, file) = clip(&format!(
            "videotestsrc num-buffers=5 ! video/x-raw,format={format},width=320,height=240,framerate=25/1 ! {encoder}"
        ));
        let Err(error) = ClipReader::open(&file, camera()) else { panic!("{format} was taken") };
        assert!(matches!(error, ClipError::Unsupported { .. }) && error.to_string().contains(named), "{error}");

        // A stream that does not say so is found out by its pictures.
        let mut unit = units(&ball(1, 320, 240, if format == "Y42B" { H264 } else { H265 })).remove(0);
        unit.buffer = raw_first_unit(&file, unit.format.codec);
        let mut decoder = Decoder::new(unit.format.codec).unwrap();
        let decoded = decoder.decode(&unit, &mut |_| panic!("a picture of {format}"));
        let decoded = decoded.and_then(|()| decoder.drain(&mut |_| panic!("a picture of {format}")));
        assert!(matches!(decoded, Err(DecodeError::UnsupportedFormat { .. })), "{format}: {decoded:?}");
        let looked = decoder.look(&unit).map(|picture| picture.map(|picture| picture.number()));
        assert!(matches!(looked, Err(DecodeError::UnsupportedFormat { .. })), "{format}: {looked:?}");
    }
}

/// The first access unit of a clip that [`ClipReader`] refuses.
fn raw_first_unit(file: &std::path::Path, codec: Codec) -> gstreamer::Buffer {
    use gstreamer::prelude::*;
    let (parser, media) = match codec {
        Codec::H264 => ("h264parse", "video/x-h264"),
        Codec::H265 => ("h265parse", "video/x-h265"),
    };
    let launch = format!(
        "filesrc name=file ! matroskademux ! {parser} config-interval=-1 ! {media},stream-format=byte-stream,alignment=au ! \
         appsink name=sink sync=false"
    );
    let pipeline = gstreamer::parse::launch(&launch).unwrap().downcast::<gstreamer::Pipeline>().unwrap();
    pipeline.by_name("file").unwrap().set_property("location", file);
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    let sample = sink.try_pull_sample(gstreamer::ClockTime::from_seconds(30)).unwrap();
    pipeline.set_state(gstreamer::State::Null).unwrap();
    sample.buffer_owned().unwrap()
}

#[test]
fn a_clip_reads_the_same_every_time() {
    let (_directory, file) = clip(&ball(60, 320, 240, H264_B_FRAMES));
    let facts = |units: Vec<AccessUnit>| -> Vec<_> {
        units
            .iter()
            .map(|unit| (unit.number, unit.key, unit.at, unit.arrived, unit.buffer.map_readable().unwrap().to_vec()))
            .collect()
    };
    let first = facts(read(&file));
    assert_eq!(first.len(), 60);
    assert!(first == facts(read(&file)) && first == facts(read(&file)));
    let shared: Vec<_> = read(&file).iter().map(|unit| Arc::as_ptr(&unit.format)).collect();
    assert!(shared.windows(2).all(|pair| pair[0] == pair[1]), "one format for the whole clip");
}

#[test]
fn files_that_are_no_clips_are_told_apart() {
    let (directory, good) = clip(&ball(100, 320, 240, H264));
    let path = |name: &str| directory.path().join(name);
    let failure = |name: &str| -> ClipError {
        let mut reader = match ClipReader::open(&path(name), camera()) {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        loop {
            match reader.next_unit() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{name} reads as a whole clip"),
                Err(error) => return error,
            }
        }
    };
    fs::write(path("text.mp4"), "Dear sir or madam, ".repeat(1_000)).unwrap();
    fs::write(path("empty.mp4"), "").unwrap();
    encode("audiotestsrc num-buffers=50 ! opusenc", &path("sound.mkv"));
    encode("videotestsrc num-buffers=5 ! jpegenc", &path("mjpeg.mkv"));
    let bytes = fs::read(&good).unwrap();
    fs::write(path("short.mkv"), &bytes[..bytes.len() / 3]).unwrap();

    assert!(matches!(failure("missing.mp4"), ClipError::Open { .. }));
    assert!(matches!(failure("."), ClipError::Open { .. }));
    for name in ["text.mp4", "empty.mp4"] {
        let error = failure(name);
        assert!(matches!(error, ClipError::NotAVideo { .. }), "{name}: {error:?}");
    }
    for name in ["sound.mkv", "mjpeg.mkv"] {
        let error = failure(name);
        assert!(matches!(error, ClipError::NoVideo { .. }), "{name}: {error:?}");
    }
    let error = failure("short.mkv");
    let ClipError::Truncated { at, .. } = &error else { panic!("{error:?}") };
    assert!(*at > Duration::ZERO && *at < Duration::from_secs(4), "{error}");
}
