//! Makes small clips to test with.
#![allow(clippy::expect_used, reason = "a clip that cannot be made has failed its test")]

use std::path::Path;

use gstreamer::{self as gst, prelude::*};

/// Runs `launch`, which describes a source and an encoder, into a Matroska file.
///
/// # Panics
/// The description is wrong, or encoding fails or takes longer than two minutes.
pub fn encode(launch: &str, file: &Path) {
    gst::init().expect("GStreamer starts");
    let pipeline =
        gst::parse::launch(&format!("{launch} ! matroskamux ! filesink name=file")).expect("a sound description");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("more than one element makes a pipeline");
    pipeline.by_name("file").expect("named above").set_property("location", file);
    pipeline.set_state(gst::State::Playing).expect("the encoder starts");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let end =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).expect("the encoder stops");
    let end = end.expect("encoding ends");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
}

/// `count` pictures of a moving ball, 25 a second, with a key frame every ten, encoded by `encoder`.
pub fn ball(count: u32, width: u32, height: u32, encoder: &str) -> String {
    format!(
        "videotestsrc pattern=ball num-buffers={count} ! \
         video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! {encoder}"
    )
}

/// H.264 without B-frames, a key frame every ten pictures.
pub const H264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=500";
/// H.264 with B-frames.
pub const H264_B_FRAMES: &str = "x264enc speed-preset=veryfast key-int-max=10 bframes=2 b-adapt=false bitrate=500";
/// H.265 as its encoder makes it by default, with B-frames and open GOPs.
pub const H265: &str = "x265enc speed-preset=ultrafast key-int-max=10 bitrate=500 ! h265parse";
