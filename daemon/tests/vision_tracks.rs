//! Real clips through motion, regions, the real models and the trackers. (What comes of the tracks, such as who crosses a
//! line, golden replays prove.)

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::{self as gst_video, VideoFrameExt};
use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    vision::{
        analyser::{Analyser, Need},
        manifest,
        model::{Models, Runtime},
        spec::DetectSpec,
    },
};
use snowgate_core::{
    ids::Id,
    observation::{Label, Track},
    spec::read_table,
    time::Mono,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// Decodes a clip of the sample media and shows every picture with its time.
fn decode(clip: &str, mut each: impl FnMut(&Pixels<'_>, Mono)) {
    gst::init().unwrap();
    let path = root().join("assets/media").join(clip);
    assert!(path.exists(), "{} is missing", path.display());
    let launch = format!(
        "filesrc location=\"{}\" ! qtdemux ! h264parse ! avdec_h264 max-threads=1 ! video/x-raw,format=I420 \
         ! appsink name=sink sync=false max-buffers=4",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    let sink: AppSink = pipeline.clone().downcast::<gst::Bin>().unwrap().by_name("sink").unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    while let Ok(sample) = sink.pull_sample() {
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let buffer = sample.buffer().unwrap();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).unwrap();
        let plane = |index: u32| {
            let (width, height) = (frame.comp_width(index) as usize, frame.comp_height(index) as usize);
            let stride = frame.plane_stride()[index as usize] as usize;
            Plane { data: frame.plane_data(index).unwrap(), stride, width, height }
        };
        let chroma = Chroma::Planar { u: plane(1), v: plane(2) };
        let pixels = Pixels { luma: plane(0), chroma, full_range: false, bt709: false };
        each(&pixels, Mono(buffer.pts().unwrap().nseconds()));
    }
    assert!(sink.is_eos(), "{clip} was not decoded to its end");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// Analyses a clip as a camera looked at `fps` times a second and calls `each` with what every picture showed.
fn analyse(clip: &str, fps: u64, until: Duration, labels: &[&str], mut each: impl FnMut(Mono, &[Track])) {
    let runtime = Runtime::load(&root().join("assets/onnxruntime/libonnxruntime.so.1.31.1")).unwrap();
    let folder = root().join("models");
    let (manifests, errors) = manifest::read_folder(&folder);
    assert!(errors.is_empty(), "{errors:?}");
    let needs = Need::of_labels(&id("ssdlite-mobilenet-v2"), &id("centerface"), labels.iter().copied());
    let needed: Vec<_> = needs.iter().map(|need| &manifests[&need.model]).collect();
    let (mut models, errors) = Models::load(&runtime, needed, &folder);
    assert!(errors.is_empty(), "{errors:?}");
    let spec: DetectSpec = read_table(&mut toml_span::parse("").unwrap()).unwrap();
    let mut analyser = Analyser::new(id("cam"), &spec, Vec::new(), needs);
    let mut picture = 0;
    let mut due = Mono(0);
    decode(clip, |pixels, at| {
        picture += 1;
        if at >= due && at <= Mono(0) + until {
            due = due + Duration::from_nanos(1_000_000_000 / fps);
            let analysis = analyser.analyse(pixels, picture, at, &mut models).unwrap();
            each(at, analysis.observation().tracks);
        }
    });
}

#[test]
fn a_face_is_one_track_and_people_are_counted_beside_it() {
    let mut faces = BTreeSet::new();
    let mut people = BTreeSet::new();
    let (mut pictures, mut with_face) = (0, 0);
    analyse("face.mp4", 5, Duration::from_secs(10), &[Label::FACE, "person"], |_, tracks| {
        pictures += 1;
        let ids = |label: &str| -> Vec<u64> {
            tracks.iter().filter(|track| track.label.as_str() == label).map(|track| track.id.0).collect()
        };
        with_face += usize::from(!ids(Label::FACE).is_empty());
        faces.extend(ids(Label::FACE));
        people.extend(ids("person"));
    });
    assert!(faces.is_disjoint(&people), "no two tracks of a camera have one number: {faces:?} {people:?}");
    assert!(with_face * 10 >= pictures * 8, "{with_face} of {pictures}");
    assert!((1..=2).contains(&faces.len()), "{faces:?}");
}

#[test]
fn where_nobody_shows_a_face_none_is_followed() {
    analyse("no_face.mp4", 5, Duration::from_secs(6), &[Label::FACE], |at, tracks| {
        assert!(tracks.is_empty(), "{at:?}: {tracks:?}")
    });
}
