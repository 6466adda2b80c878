//! Elements with threads of their own, which no file of this box provides: libav's behind a queue.

use std::time::Instant;

use gstreamer::prelude::*;

use super::*;
use crate::camera::clip::ClipReader;

/// libav's decoder with a thread of its own behind it, and the pad that thread pushes from.
fn threaded(codec: Codec) -> (Decoder, gst::Pad) {
    gst::init().unwrap();
    let factory = if codec == Codec::H264 { "avdec_h264" } else { "avdec_h265" };
    let launch = format!("{factory} max-threads=1 std-compliance=normal output-corrupt=false ! queue name=queue");
    let bin = gst::parse::bin_from_description(&launch, true).unwrap();
    let pad = bin.by_name("queue").unwrap().static_pad("src").unwrap();
    (Decoder::over(Chain::around(codec, bin.upcast()).unwrap(), Decoders::SOFTWARE), pad)
}

fn units() -> Vec<AccessUnit> {
    encoded(60, "speed-preset=ultrafast key-int-max=20 bframes=2 b-adapt=false")
}

/// A moving ball, encoded by x264enc with these options.
fn encoded(count: u32, options: &str) -> Vec<AccessUnit> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clip.mkv");
    let launch = format!(
        "videotestsrc pattern=ball num-buffers={count} ! video/x-raw,format=I420,width=128,height=96,framerate=25/1 ! \
         x264enc {options} ! matroskamux ! filesink location={}",
        file.display()
    );
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&launch).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
    let mut reader = ClipReader::open(&file, "gate".parse().unwrap()).unwrap();
    std::iter::from_fn(|| reader.next_unit().unwrap()).collect()
}

#[test]
fn a_decoder_with_threads_of_its_own_gives_every_picture_in_order_by_the_drain() {
    let units = units();
    let (mut decoder, _) = threaded(Codec::H264);
    for _ in 0..2 {
        let mut shown = Vec::new();
        for unit in &units {
            decoder.decode(unit, &mut |picture| shown.push(picture.at())).unwrap();
            // A camera leaves the thread 40 ms a picture; here it is waited for now and then.
            while unit.number % 16 == 0 && shown.len() + 8 < usize::try_from(unit.number).unwrap() {
                decoder.take_pictures(&unit.format.camera, &mut |picture| shown.push(picture.at())).unwrap();
            }
        }
        decoder.drain(&mut |picture| shown.push(picture.at())).unwrap();
        let mut expected: Vec<_> = units.iter().map(|unit| unit.at).collect();
        expected.sort();
        assert_eq!(shown, expected);
    }
    let key = units.iter().rfind(|unit| unit.key).unwrap();
    assert_eq!(decoder.look(key).unwrap().unwrap().number(), key.number);
}

#[test]
fn pictures_that_nobody_takes_are_bounded() {
    let units = units();
    let (decoder, _) = threaded(Codec::H264);
    for unit in &units {
        decoder.chain.push(unit, unit.at.0).unwrap();
    }
    assert!(decoder.chain.end(DRAIN_WITHIN));
    let left: Vec<_> = std::iter::from_fn(|| decoder.chain.pop()).filter_map(|(buffer, _)| buffer.pts()).collect();
    assert_eq!(left.len(), MOST_HELD);
    let newest = units.iter().map(|unit| unit.at.0).max().unwrap();
    assert_eq!(left.last().unwrap().nseconds(), newest, "the oldest give way");
}

#[test]
fn a_decoder_that_never_ends_its_drain_is_said_to_be_late_and_works_again_afterwards() {
    let units = units();
    let (mut decoder, pad) = threaded(Codec::H264);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| match info.event().map(|event| event.type_()) {
        Some(gst::EventType::Eos) => {
            drop(info.data.take());
            gst::PadProbeReturn::Handled
        }
        _ => gst::PadProbeReturn::Ok,
    });
    decoder.decode(&units[0], &mut drop).unwrap();
    let began = Instant::now();
    let late = decoder.drain(&mut drop).unwrap_err();
    assert!(matches!(late, DecodeError::Late { .. }), "{late}");
    assert!(began.elapsed() < DRAIN_WITHIN * 2);
    assert!(decoder.look(&units[0]).unwrap().is_some());
}

#[test]
fn a_look_throws_away_what_was_held_of_another_camera() {
    let units = units();
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    // With B-frames some are held back.
    for unit in &units[..5] {
        decoder.decode(unit, &mut drop).unwrap();
    }
    let key = units.iter().rfind(|unit| unit.key).unwrap();
    assert_eq!(decoder.look(key).unwrap().unwrap().number(), key.number);
    assert!(decoder.look(&units[1]).unwrap().is_none(), "no key frame");
}

/// Everything from unit `start` on: each picture's number, and what it shows.
fn decoded_from(decoder: &mut Decoder, units: &[AccessUnit], start: u64) -> Vec<(u64, u64)> {
    let mut shown = Vec::new();
    let mut sink = |picture: Picture| shown.push((picture.number(), digest(&picture)));
    for unit in units.iter().filter(|unit| unit.number >= start) {
        decoder.decode(unit, &mut sink).unwrap();
    }
    decoder.drain(&mut sink).unwrap();
    shown
}

fn digest(picture: &Picture) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let luma = picture.pixels().luma;
    luma.data.chunks(luma.stride).take(luma.height).for_each(|row| row[..luma.width].hash(&mut hasher));
    hasher.finish()
}

#[test]
fn key_frames_of_open_gops_show_themselves_and_decoding_may_start_at_each() {
    for options in [
        "speed-preset=veryfast key-int-max=10 bframes=2 option-string=open-gop=1",
        // As many missing frame numbers as there can be.
        "speed-preset=medium key-int-max=25 bframes=3 option-string=open-gop=1:ref=16",
    ] {
        let units = encoded(100, options);
        let mut decoder = Decoder::new(Codec::H264).unwrap();
        let whole = decoded_from(&mut decoder, &units, 1);
        assert_eq!(whole.len(), units.len());
        let keys: Vec<_> = units.iter().filter(|unit| unit.key).collect();
        assert!(keys.len() > 2 && keys[1..].iter().all(|key| nal::is_recovery_point(key)), "open GOPs: {options}");
        for key in keys {
            let picture =
                decoder.look(key).unwrap().unwrap_or_else(|| panic!("{} shows nothing: {options}", key.number));
            assert!(whole.contains(&(key.number, digest(&picture))), "{} shows another picture", key.number);
            let shown = decoded_from(&mut decoder, &units, key.number);
            assert_eq!(shown.first().map(|(number, _)| *number), Some(key.number), "{options}");
            assert!(shown.iter().all(|picture| whole.contains(picture)), "a smear from {}: {options}", key.number);
        }
    }
}

/// What the gate has to know of such streams.
#[test]
fn intra_refresh_has_key_frames_in_name_only_and_recovers_without_showing_smears() {
    for options in [
        "tune=zerolatency speed-preset=ultrafast key-int-max=25 intra-refresh=true",
        "speed-preset=medium key-int-max=25 intra-refresh=true",
    ] {
        let units = encoded(100, options);
        let mut decoder = Decoder::new(Codec::H264).unwrap();
        let whole = decoded_from(&mut decoder, &units, 1);
        let keys: Vec<_> = units.iter().filter(|unit| unit.key).collect();
        assert!(decoder.look(keys[0]).unwrap().is_some(), "only the first is an IDR picture");
        assert!(keys.len() > 2, "the parser marks recovery points as key frames");
        for key in &keys[1..] {
            assert!(decoder.look(key).unwrap().is_none(), "{} shows something: {options}", key.number);
            let shown = decoded_from(&mut decoder, &units, key.number);
            assert!(shown.first().is_some_and(|(number, _)| *number > key.number), "{options}: {shown:?}");
            assert!(shown.iter().all(|picture| whole.contains(picture)), "a smear from {}: {options}", key.number);
        }
    }
}
