//! Pictures and models that the tests share.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gstreamer_video::prelude::*;
use image::RgbImage;
use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    evidence::{
        access_log::AccessLog,
        detectors::StillModels,
        files::Keeping,
        provenance::Provenance,
        spec::EvidenceSpec,
        still::{HasPixels, Outline, StillMaker, StillRequest},
    },
    shutdown::Shutdown,
    vision::{
        manifest::Manifest,
        masks::Masks,
        model::{Model, Runtime},
        nms::is_cut,
        preprocess::PixelRect,
    },
};
use snowgate_core::{
    geometry::{Point, Rect, Segment},
    ids::IncidentId,
    observation::Detection,
    priority::Priority,
    retention::{Period, Retention},
    time::{BootId, Moment, Mono},
};
use ulid::Ulid;

/// How evidence in a directory is kept: no more than 10 MB, for a day; its access log lies there, too.
pub fn keeping(directory: &Path) -> Keeping {
    std::fs::create_dir_all(directory).unwrap();
    Keeping {
        gateway: "box-1".parse().unwrap(),
        key: None,
        retention: Retention {
            default: Period { at_least: Duration::ZERO, at_most: Duration::from_secs(86_400) },
            quota: 10 << 20,
            cameras: HashMap::new(),
            categories: HashMap::new(),
        },
        reserve: 0,
        log: AccessLog::open(directory).unwrap(),
        boot: BootId("boot".into()),
    }
}

/// That of an incident of this number.
pub fn provenance(number: u128) -> Arc<Provenance> {
    Arc::new(Provenance {
        incident: IncidentId(Ulid::from_parts(1_780_000_000_000, number)),
        rule: "yard".parse().unwrap(),
        category: "intrusion".parse().unwrap(),
        config_digest: "c0ffee".into(),
        models: Vec::new(),
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn models_folder() -> PathBuf {
    root().join("models")
}

pub fn runtime() -> Runtime {
    Runtime::load(&root().join("assets/onnxruntime/libonnxruntime.so.1.31.1")).unwrap()
}

pub fn manifest(id: &str) -> Manifest {
    Manifest::read(&models_folder().join(format!("{id}.toml"))).unwrap()
}

pub fn model(id: &str) -> Model {
    Model::load(&runtime(), &manifest(id), &models_folder()).unwrap()
}

/// Everything a section has a default for, as an empty file gives it.
pub fn defaults() -> EvidenceSpec {
    let mut empty = toml_span::parse("").unwrap();
    toml_span::Deserialize::deserialize(&mut empty).unwrap()
}

pub fn open_models(shutdown: Shutdown) -> Result<StillMaker, Box<dyn std::error::Error + Send + Sync>> {
    let (face, object) = (manifest("centerface"), manifest("ssdlite-mobilenet-v2"));
    StillModels { runtime: &runtime(), face: &face, object: &object, folder: &models_folder() }
        .open(&defaults(), shutdown)
}

/// A picture as a decoder would give it: I420, BT.601, video range.
pub struct I420 {
    width: usize,
    height: usize,
    luma: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl I420 {
    pub fn of(rgb: &RgbImage) -> Self {
        use yuv::{YuvChromaSubsampling, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};
        let (width, height) = rgb.dimensions();
        let mut planes = YuvPlanarImageMut::<u8>::alloc(width, height, YuvChromaSubsampling::Yuv420);
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        yuv::rgb_to_yuv420(&mut planes, rgb, 3 * width, range, matrix, YuvConversionMode::Balanced).unwrap();
        let [luma, u, v] = [&planes.y_plane, &planes.u_plane, &planes.v_plane].map(|plane| plane.borrow().to_vec());
        Self { width: width as usize, height: height as usize, luma, u, v }
    }

    pub fn grey(width: usize, height: usize) -> Self {
        let half = width.div_ceil(2) * height.div_ceil(2);
        Self { width, height, luma: vec![120; width * height], u: vec![128; half], v: vec![128; half] }
    }

    /// A sample picture.
    pub fn sample(name: &str) -> Self {
        Self::of(&image::open(root().join("assets/media").join(name)).unwrap().to_rgb8())
    }

    /// The pictures of a sample clip at these seconds.
    pub fn clip(name: &str, seconds: &[u64]) -> Vec<Self> {
        gstreamer::init().unwrap();
        let path = root().join("assets/media").join(name);
        let pipeline = gstreamer::parse::launch(&format!(
            "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=RGB ! appsink name=out sync=false",
            path.display()
        ));
        let pipeline = pipeline.unwrap().downcast::<gstreamer::Pipeline>().unwrap();
        let sink = pipeline.by_name("out").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
        pipeline.set_state(gstreamer::State::Playing).unwrap();
        let mut pictures = Vec::new();
        while pictures.len() < seconds.len() {
            let sample = sink.pull_sample().unwrap();
            let buffer = sample.buffer().unwrap();
            if buffer.pts().unwrap().mseconds() < seconds[pictures.len()] * 1000 {
                continue;
            }
            let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            let frame = gstreamer_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).unwrap();
            let (width, stride) = (frame.width() as usize, frame.plane_stride()[0] as usize);
            let rows = frame.plane_data(0).unwrap().chunks(stride).take(frame.height() as usize);
            let rgb = rows.flat_map(|row| row[..3 * width].to_vec()).collect();
            pictures.push(Self::of(&RgbImage::from_raw(frame.width(), frame.height(), rgb).unwrap()));
        }
        pipeline.set_state(gstreamer::State::Null).unwrap();
        pictures
    }

    pub fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }
}

impl HasPixels for I420 {
    fn pixels(&self) -> Pixels<'_> {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let plane = |data, width, height| Plane { data, stride: width, width, height };
        Pixels {
            luma: plane(&self.luma, self.width, self.height),
            chroma: Chroma::Planar { u: plane(&self.u, width, height), v: plane(&self.v, width, height) },
            full_range: false,
            bt709: false,
        }
    }
}

/// A request that knows of nobody; the line is in a corner, where it hides nothing.
pub fn request<P>(picture: P) -> StillRequest<P> {
    let corner = Point::new(0.0, 0.0);
    StillRequest {
        of: provenance(1),
        verification: None,
        priority: Priority::Normal,
        camera: "gate".parse().unwrap(),
        picture,
        taken: now(),
        subjects: Vec::new(),
        people: Vec::new(),
        outline: Some(Outline::Segment(Segment { start: corner, end: corner })),
        masks: Arc::new([]),
        retake: None,
    }
}

pub fn now() -> Moment {
    Moment { mono: Mono(0), wall: "2026-06-01T00:00:00Z".parse().unwrap(), synchronised: true }
}

/// Larger than any picture: no parts.
pub const WHOLE: u32 = 4096;

/// What a model finds in the whole picture and in parts of it, other parts than covering looks at. What a part's border
/// cuts is left out: the upper end of such a box is nobody's head.
pub fn look(model: &mut Model, picture: &I420, part: u32, min_score: f32) -> Vec<Detection> {
    let (width, height) = picture.size();
    let mut regions = vec![PixelRect { x: 0, y: 0, width, height }];
    for y in (0..height.saturating_sub(part / 2)).step_by(part as usize / 2) {
        for x in (0..width.saturating_sub(part / 2)).step_by(part as usize / 2) {
            regions.push(PixelRect { x, y, width: part, height: part }.clamped(width, height));
        }
    }
    let mut found = Vec::new();
    for region in regions {
        let mut here = Vec::new();
        model.detect(&picture.pixels(), &Masks::default(), region, min_score, &mut here).unwrap();
        found.extend(here.into_iter().filter(|thing| !is_cut(&thing.rect, &region, picture.size())));
    }
    found
}

/// The upper fifth of a person's box, in whole pixels that lie all inside it and the frame.
pub fn head(person: &Rect, (width, height): (u32, u32)) -> PixelRect {
    let rect = Rect { height: person.height / 5.0, ..*person }.clamped();
    let x = (rect.x * width as f32).ceil() as u32;
    let y = (rect.y * height as f32).ceil() as u32;
    let right = (rect.right() * width as f32) as u32;
    let bottom = (rect.bottom() * height as f32) as u32;
    PixelRect { x, y, width: right.saturating_sub(x), height: bottom.saturating_sub(y) }
}
