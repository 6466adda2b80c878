//! What each stage of vision costs per picture, inference itself left out (it is ONNX Runtime's).

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    vision::{
        masks::Masks,
        motion::Motion,
        preprocess::{Colour, Fit, Format, Layout, PixelRect, Preprocessor},
        regions::{Planner, Wanted},
        spec::DetectSpec,
        tracker::Tracker,
    },
};
use snowgate_core::{geometry::Rect, observation::Detection, spec::read_table, time::Mono};

fn default_spec() -> DetectSpec {
    read_table(&mut toml_span::parse("").unwrap()).unwrap()
}

/// A plane of fixed noise.
fn noise(width: usize, height: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (96 + state % 9) as u8
    };
    (0..width * height).map(|_| next()).collect()
}

fn plane(data: &[u8], width: usize) -> Plane<'_> {
    Plane { data, stride: width, width, height: data.len() / width }
}

fn motion(c: &mut Criterion) {
    let mut group = c.benchmark_group("motion");
    for (width, height) in [(1280, 720), (1920, 1080)] {
        // Two walkers that come and go, so that clusters are found every time.
        let empty = noise(width, height, 1);
        let mut walked = noise(width, height, 2);
        for (x, y) in [(width / 4, height / 4), (width / 2, height / 2)] {
            for row in y..y + height / 8 {
                walked[row * width + x..][..width / 32].fill(220);
            }
        }
        let mut motion = Motion::new(&default_spec(), Vec::new());
        let mut picture = 0u64;
        group.bench_function(format!("{width}x{height}"), |b| {
            b.iter(|| {
                picture += 1;
                let data = if picture.is_multiple_of(2) { &empty } else { &walked };
                motion.update(black_box(&plane(data, width)), Mono(picture * 200_000_000));
                black_box(motion.clusters().len())
            });
        });
    }
}

fn preprocess(c: &mut Criterion) {
    let mut group = c.benchmark_group("preprocess");
    let (width, height) = (1920, 1080);
    let (luma, u, v) = (noise(width, height, 1), noise(width / 2, height / 2, 2), noise(width / 2, height / 2, 3));
    let pixels = Pixels {
        luma: plane(&luma, width),
        chroma: Chroma::Planar { u: plane(&u, width / 2), v: plane(&v, width / 2) },
        full_range: false,
        bt709: true,
    };
    let format =
        Format { layout: Layout::Nchw, colour: Colour::Rgb, fit: Fit::Stretch, mean: [127.5; 3], std: [127.5; 3] };
    let mut tensor = vec![0.0; 3 * 300 * 300];
    let mut preprocessor = Preprocessor::default();
    for side in [300, 450, 1080] {
        let region = PixelRect { x: 100, y: 0, width: side, height: side };
        group.bench_function(format!("{side} to 300"), |b| {
            b.iter(|| {
                preprocessor.fill(black_box(&pixels), &Masks::default(), region, (300, 300), &format, &mut tensor)
            });
        });
    }
}

/// Twenty things walking up and down, sometimes missed.
fn scene(picture: u64, out: &mut Vec<Detection>, labels: &[snowgate_core::observation::Label; 2]) {
    out.clear();
    for i in 0..20u64 {
        if (picture + i * 7).is_multiple_of(9) {
            continue;
        }
        let phase = (picture + i * 13) as f32 * 0.05;
        let (x, y) = (0.05 + 0.045 * i as f32 + 0.04 * phase.sin(), 0.3 + 0.02 * i as f32 + 0.05 * phase.cos());
        let score = if (picture + i).is_multiple_of(4) { 0.4 } else { 0.8 };
        out.push(Detection { label: labels[(i % 2) as usize].clone(), score, rect: Rect::new(x, y, 0.03, 0.1) });
    }
}

fn tracker(c: &mut Criterion) {
    let mut tracker = Tracker::new(&default_spec());
    let labels = ["person".into(), "car".into()];
    let mut detections = Vec::new();
    let mut picture = 0u64;
    c.bench_function("tracker/20 objects", |b| {
        b.iter(|| {
            picture += 1;
            scene(picture, &mut detections, &labels);
            black_box(tracker.update(Mono(picture * 200_000_000), &detections, &[Rect::FRAME]).len())
        });
    });
}

fn regions(c: &mut Criterion) {
    let mut planner = Planner::new(&[(300, 300)], 8);
    let rects = (0..20).map(|i| Rect::new(0.045 * i as f32, 0.3 + 0.02 * i as f32, 0.02, 0.08));
    let wanted: Vec<Wanted> = rects.map(|rect| Wanted { rect, known: false }).collect();
    c.bench_function("regions/20 boxes", |b| {
        b.iter(|| {
            planner.plan((1920, 1080), black_box(&wanted), &[]);
            black_box(planner.regions().len())
        });
    });
}

criterion_group!(benches, motion, preprocess, tracker, regions);
criterion_main!(benches);
