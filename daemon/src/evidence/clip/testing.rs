//! Streams of real encoders to test with.

use std::path::Path;

use gstreamer::{self as gst, prelude::*};
use tempfile::TempDir;

use crate::camera::{access_unit::AccessUnit, clip::ClipReader};

pub(super) const H264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20";
pub(super) const H264_B_FRAMES: &str =
    "x264enc speed-preset=veryfast key-int-max=20 bframes=3 b-pyramid=true b-adapt=false";
pub(super) const H264_OPEN_GOP: &str =
    "x264enc speed-preset=veryfast key-int-max=20 bframes=2 option-string=open-gop=1:scenecut=0";
pub(super) const H265: &str = "x265enc speed-preset=ultrafast key-int-max=20 ! h265parse";

/// Four seconds of a pattern of `videotestsrc`, 25 pictures a second.
pub(super) fn encoded(pattern: &str, size: (u32, u32), encoder: &str) -> Vec<AccessUnit> {
    gst::init().unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("clip.mkv");
    let (width, height) = size;
    let launch = format!(
        "videotestsrc pattern={pattern} num-buffers=100 ! \
         video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! \
         {encoder} ! matroskamux ! filesink location={}",
        file.display()
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
    read(&file)
}

/// The units of a video file, with the file's own times.
pub(super) fn read(file: &Path) -> Vec<AccessUnit> {
    let mut reader = ClipReader::open(file, "gate".parse().unwrap()).unwrap();
    std::iter::from_fn(|| reader.next_unit().unwrap()).collect()
}
