//! The hot path allocates nothing once its buffers have grown: counted, not believed.

#![allow(clippy::unwrap_used)]

use std::{
    alloc::{GlobalAlloc, Layout as MemoryLayout, System},
    cell::Cell,
    path::Path,
};

use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    vision::{
        execution::Variant,
        masks::Masks,
        model::Runtime,
        model_file,
        motion::Motion,
        nms::{Candidate, Candidates, merge_regions},
        preprocess::{Colour, Fit, Format, Layout, PixelRect, Preprocessor},
        regions::{Planner, Wanted},
        scene::{Answer, manifest},
        spec::DetectSpec,
        tracker::Tracker,
    },
};
use snowgate_core::{
    geometry::Rect,
    observation::{Detection, Label},
    spec::read_table,
    time::Mono,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn count(size: usize) {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
    LARGEST.with(|largest| largest.set(largest.get().max(size)));
}

/// The system's allocator, counting what each thread asks for.
struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: MemoryLayout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: MemoryLayout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: MemoryLayout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// Runs pictures 0 to 60 unobserved, then counts what the next sixty allocate.
fn steady_state(mut picture: impl FnMut(u64)) -> u64 {
    (0..60).for_each(&mut picture);
    allocations(|| (60..120).for_each(&mut picture))
}

fn default_spec() -> DetectSpec {
    read_table(&mut toml_span::parse("").unwrap()).unwrap()
}

const STEP: u64 = 200_000_000;

#[test]
fn the_count_counts() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))) > 0);
}

#[test]
fn motion_allocates_nothing() {
    let (width, height) = (640, 360);
    let mut motion = Motion::new(&default_spec(), Vec::new());
    let mut luma = vec![80u8; width * height];
    let count = steady_state(|picture| {
        luma.fill(80);
        // Many things, everywhere else in every picture.
        for i in 0..80usize {
            let (x, y) =
                ((i * 97 + picture as usize * 31) % (width - 20), (i * 53 + picture as usize * 17) % (height - 20));
            (y..y + 16).for_each(|row| luma[row * width + x..][..16].fill(200));
        }
        motion.update(&Plane { data: &luma, stride: width, width, height }, Mono(picture * STEP));
        assert!(picture == 0 || motion.is_motion());
    });
    assert_eq!(count, 0);
}

#[test]
fn tracking_twenty_things_allocates_nothing() {
    // Pictures of a film, and looks.
    for step in [STEP, 10 * STEP] {
        assert_eq!(allocations_of_tracking(step), 0);
    }
}

fn allocations_of_tracking(step: u64) -> u64 {
    let mut tracker = Tracker::new(&default_spec());
    let label = Label::from("person");
    let mut detections = Vec::with_capacity(32);
    steady_state(|picture| {
        detections.clear();
        for i in 0..20u64 {
            // Now and then one is missed, unsure, or somewhere else altogether.
            if (picture + i * 3).is_multiple_of(7) {
                continue;
            }
            let x = 0.04 * i as f32 + 0.002 * picture as f32 + if (picture * i) % 41 == 1 { 0.3 } else { 0.0 };
            let score = if (picture + i).is_multiple_of(3) { 0.35 } else { 0.8 };
            detections.push(Detection { label: label.clone(), score, rect: Rect::new(x, 0.4, 0.03, 0.1) });
        }
        assert!(picture < 5 || tracker.update(Mono(picture * step), &detections, &[Rect::FRAME]).len() > 10);
        tracker.update(Mono(picture * step), &detections, &[Rect::FRAME]);
        assert!(tracker.wanted(Mono((picture + 1) * step)).count() > 10);
    })
}

#[test]
fn planning_preparing_and_merging_allocate_nothing() {
    let (width, height) = (640usize, 360usize);
    let data = vec![100u8; width * height];
    let half = Plane { data: &data, stride: width / 2, width: width / 2, height: height / 2 };
    let luma = Plane { data: &data, stride: width, width, height };
    let pixels = Pixels { luma, chroma: Chroma::Planar { u: half, v: half }, full_range: false, bt709: true };
    let format =
        Format { layout: Layout::Nhwc, colour: Colour::Bgr, fit: Fit::Letterbox, mean: [0.0; 3], std: [1.0; 3] };
    let mut tensor = vec![0f32; 3 * 320 * 320];
    let (mut planner, mut preprocessor) = (Planner::new(&[(320, 320)], 8), Preprocessor::default());
    let (mut candidates, mut merged) = (Candidates::default(), Vec::with_capacity(1024));
    let mut wanted = Vec::with_capacity(32);
    let count = steady_state(|picture| {
        wanted.clear();
        wanted.extend((0..20).map(|i| {
            let x = (0.05 * i as f32 + 0.01 * (picture % 7) as f32) % 0.9;
            let rect = Rect::new(x, 0.3, 0.02 + 0.01 * (picture % 5) as f32, 0.1);
            Wanted { rect, known: i % 2 == 0 }
        }));
        planner.plan((width as u32, height as u32), &wanted, &[]);
        merged.clear();
        for region in planner.regions() {
            preprocessor.fill(&pixels, &Masks::default(), *region, (320, 320), &format, &mut tensor);
            candidates.reset(0.3);
            for i in 0..3000u64 {
                let score = 0.3 + ((i * 7919 + picture) % 700) as f32 / 1000.0;
                let rect = Rect::new((i % 50) as f32 / 50.0, (i / 50) as f32 / 60.0, 0.05, 0.05);
                candidates.push(Candidate { class: 0, score, rect, cut: i % 9 == 0 });
            }
            merged.extend(candidates.suppress(0.5).iter().take(1024 - merged.len()));
        }
        let whole = PixelRect::whole(&pixels);
        preprocessor.fill(&pixels, &Masks::default(), whole, (320, 320), &format, &mut tensor);
        merge_regions(&mut merged, 0.5);
        assert!(!merged.is_empty());
    });
    assert_eq!(count, 0);
}

/// What ONNX Runtime's own binding allocates, names and handles, is small and always the same; there is no buffer of a
/// picture's or a feature map's size among it.
#[test]
fn looking_at_a_scene_allocates_no_buffers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let runtime = Runtime::load(&root.join("assets/onnxruntime/libonnxruntime.so.1.31.1")).unwrap();
    let pictures = [(640usize, 360usize), (320, 256)];
    let data: Vec<u8> = (0..640 * 360).map(|i| (i * 7919 % 251) as u8).collect();
    for (folder, id) in [("models", "efficientnet-lite0"), ("assets/test-models", "synthetic-contrast")] {
        let (manifests, errors) = manifest::read_all(&root.join(folder));
        assert!(errors.is_empty(), "{errors:?}");
        let folder = manifest::folder(&root.join(folder));
        let manifest = &manifests[&id.parse().unwrap()];
        let mut model = model_file::load(&runtime, manifest, &folder, Variant::Float).unwrap();
        let mut look = |picture: u64| {
            let (width, height) = pictures[picture as usize % 2];
            let half = Plane { data: &data, stride: width / 2, width: width / 2, height: height / 2 };
            let luma = Plane { data: &data, stride: width, width, height };
            let pixels = Pixels { luma, chroma: Chroma::Planar { u: half, v: half }, full_range: false, bt709: true };
            match model.look(&pixels, &Masks::default()).unwrap() {
                Answer::Features(maps) => assert_eq!(maps.features().0.len(), 2),
                Answer::Heat(heat) => assert_eq!(heat.values.len(), 48),
            }
        };
        (0..6).for_each(&mut look);
        LARGEST.with(|largest| largest.set(0));
        let counts: Vec<u64> = (6..16).map(|picture| allocations(|| look(picture))).collect();
        assert!(counts.iter().all(|count| *count == counts[0] && *count < 100), "{id}: {counts:?}");
        let largest = LARGEST.with(Cell::get);
        assert!(largest < 1024, "{id}: {largest} bytes at once");
    }
}
