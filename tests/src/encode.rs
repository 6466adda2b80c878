//! Makes small clips to test with.
#![allow(clippy::expect_used, reason = "a clip that cannot be made has failed its test")]

use std::path::Path;

use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;

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
    wait_for_end(&pipeline);
}

fn wait_for_end(pipeline: &gst::Pipeline) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let end =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).expect("the encoder stops");
    let end = end.expect("encoding ends");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
}

/// Pictures that a test draws itself.
pub struct Drawn {
    /// How many.
    pub count: u32,
    /// Width and height in pixels, both even.
    pub size: (usize, usize),
    /// A second.
    pub fps: i32,
}

impl Drawn {
    /// Encodes grey pictures into a Matroska file: `draw` paints the luma of each, row after row without gaps.
    ///
    /// # Panics
    /// The encoder's description is wrong, or encoding fails or takes longer than two minutes.
    pub fn encode(&self, encoder: &str, file: &Path, mut draw: impl FnMut(u32, &mut [u8])) {
        gst::init().expect("GStreamer starts");
        let (width, height) = self.size;
        let description = format!(
            "appsrc name=source format=time block=true caps=video/x-raw,format=I420,width={width},height={height},framerate={}/1 \
             ! {encoder} ! matroskamux ! filesink name=file",
            self.fps
        );
        let pipeline = gst::parse::launch(&description).expect("a sound description");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("more than one element makes a pipeline");
        pipeline.by_name("file").expect("named above").set_property("location", file);
        let source = pipeline.by_name("source").and_downcast::<gst_app::AppSrc>().expect("named above");
        pipeline.set_state(gst::State::Playing).expect("the encoder starts");
        let interval = gst::ClockTime::SECOND / u64::try_from(self.fps).expect("a positive rate");
        for number in 0..self.count {
            let mut picture = vec![128; width * height * 3 / 2];
            draw(number, &mut picture[..width * height]);
            let mut buffer = gst::Buffer::from_mut_slice(picture);
            let view = buffer.make_mut();
            view.set_pts(interval * u64::from(number));
            view.set_duration(interval);
            source.push_buffer(buffer).expect("the encoder takes pictures");
        }
        source.end_of_stream().expect("the encoder takes the end");
        wait_for_end(&pipeline);
    }
}

/// `count` pictures of a moving ball, 25 a second, with a key frame every ten, encoded by `encoder`.
pub fn ball(count: u32, width: u32, height: u32, encoder: &str) -> String {
    format!(
        "videotestsrc pattern=ball num-buffers={count} ! \
         video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! {encoder}"
    )
}

/// `count` pictures of the sample walkers (768×576), a second of them ten, encoded by `encoder`; a clip has no more than 795.
pub fn walkers(count: u32, encoder: &str) -> String {
    format!("{} ! {encoder}", first_walkers(count))
}

/// The same through `change`, a description of what stands between the scene and the encoder.
pub fn altered_walkers(count: u32, change: &str, encoder: &str) -> String {
    format!(
        "{} ! {change} ! videoconvert ! video/x-raw,format=I420,width=768,height=576 ! {encoder}",
        first_walkers(count)
    )
}

/// `count` pictures of nothing but this pattern of `videotestsrc`, as large and as many a second as the sample walkers.
pub fn pattern(count: u32, pattern: &str, encoder: &str) -> String {
    format!(
        "videotestsrc num-buffers={count} {pattern} ! \
         video/x-raw,format=I420,width=768,height=576,framerate=10/1 ! {encoder}"
    )
}

/// The walkers, and a thing of 110 × 90 pixels that lies on the ground among them all the time.
pub fn walkers_and_a_thing(count: u32, encoder: &str) -> String {
    format!(
        "{} ! scene.sink_0 videotestsrc num-buffers={count} pattern=smpte75 ! \
         video/x-raw,format=I420,width=110,height=90,framerate=10/1 ! scene.sink_1 \
         compositor name=scene sink_1::xpos=520 sink_1::ypos=300 ! \
         video/x-raw,format=I420,width=768,height=576,framerate=10/1 ! {encoder}",
        first_walkers(count)
    )
}

/// `count` pictures as a decoder shows them of which nothing arrived: every sample is zero, which is a green that no camera
/// sees. As large and as many a second as the sample walkers.
pub fn lost_pictures(count: u32, encoder: &str) -> String {
    let bytes = 768 * 576 * 3 / 2;
    format!(
        "fakesrc num-buffers={count} sizetype=fixed sizemax={bytes} filltype=zero ! \
         rawvideoparse format=i420 width=768 height=576 framerate=10/1 ! {encoder}"
    )
}

/// About `count` pictures of a scene that stands still but for the walkers in a third of it: what the sample's camera saw
/// first for ever, and life only there. Encoded by `encoder`.
pub fn still_scene_with_walkers(count: u32, encoder: &str) -> String {
    format!(
        "{} ! imagefreeze num-buffers={count} ! video/x-raw,framerate=10/1 ! scene.sink_0 \
         {} ! videocrop left=64 top=160 right=448 bottom=160 ! scene.sink_1 \
         compositor name=scene sink_0::repeat-after-eos=true sink_1::xpos=64 sink_1::ypos=160 ! video/x-raw,format=I420,width=768,height=576 ! {encoder}",
        first_walkers(1),
        first_walkers(count)
    )
}

fn first_walkers(count: u32) -> String {
    let file = crate::repository().join("assets/media/vtest.mp4");
    let after = count + 1;
    format!(
        "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! identity eos-after={after} ! videoconvert ! \
         video/x-raw,format=I420",
        file.display()
    )
}

/// H.264 with one key frame, the first: "smart" coding at its extreme.
pub const H264_INFINITE_GOP: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=2147483647 option-string=scenecut=0 bitrate=500";
/// H.264 with a key frame every 120 pictures: 12 s of [`walkers`].
pub const H264_LONG_GOP: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=120 option-string=scenecut=0 bitrate=500";
/// H.264 without key frames but the first: a column of intra blocks wanders through the picture every 20 pictures. The
/// parser marks where that begins as a key frame.
pub const H264_INTRA_REFRESH: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 intra-refresh=true bitrate=500";
/// H.264 with B-frames that refer across key frames, of which only the first is an IDR picture.
pub const H264_OPEN_GOP: &str =
    "x264enc speed-preset=veryfast key-int-max=20 bframes=2 option-string=open-gop=1:scenecut=0 bitrate=500";
/// H.264 of constant quality (a fixed quantiser): a picture is as large as it is new.
pub const H264_CONSTANT_QUALITY: &str =
    "x264enc pass=quant quantizer=24 tune=zerolatency speed-preset=veryfast key-int-max=20 option-string=scenecut=0";

/// H.264 without B-frames, a key frame every ten pictures.
pub const H264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=500";
/// H.264 with B-frames.
pub const H264_B_FRAMES: &str = "x264enc speed-preset=veryfast key-int-max=10 bframes=2 b-adapt=false bitrate=500";
/// H.265 as its encoder makes it by default, with B-frames and open GOPs.
pub const H265: &str = "x265enc speed-preset=ultrafast key-int-max=10 bitrate=500 ! h265parse";
