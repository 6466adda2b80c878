//! Watching a scene allocates nothing, once its buffers have grown.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use snowgate_core::{
    geometry::Rect,
    scene::{
        Light,
        anomaly::{AnomalySpec, FeatureMap, Features, Memory, Origin, Scratch, Shape, Strangeness},
    },
    spec::read_table,
    time::Mono,
};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const SIZES: [(usize, usize, usize); 2] = [(40, 32, 40), (112, 16, 20)];

/// A picture of noise around a scene; with a thing in its middle.
fn fill(values: &mut [Vec<f32>; 2], picture: usize, thing: bool) {
    for ((channels, rows, columns), values) in SIZES.into_iter().zip(values) {
        for (index, value) in values.iter_mut().enumerate() {
            let (channel, row, column) = (index / (rows * columns), index / columns % rows, index % columns);
            let inside = thing && row * 2 / rows == 1 && column * 8 / columns == 4;
            let place = if inside { 7 } else { row * 31 + column };
            let noise = ((picture * 37 + index * 11) % 101) as f32 / 1000.0;
            *value = ((place * 13 + channel * channel * 29) % 17) as f32 - 8.0 + noise;
        }
        assert_eq!(values.len(), channels * rows * columns);
    }
}

#[test]
fn watching_allocates_nothing() {
    let mut values = SIZES.map(|(channels, rows, columns)| vec![0.0; channels * rows * columns]);
    let map = |values: &[Vec<f32>; 2], look: &mut dyn FnMut(Features<'_>)| {
        let map = |level: usize| {
            let (channels, rows, columns) = SIZES[level];
            FeatureMap { channels, rows, columns, values: &values[level] }
        };
        look(Features(&[map(0), map(1)]));
    };
    let mut shape = None;
    map(&values, &mut |features| shape = Some(Shape::of(features).unwrap()));
    let spec: AnomalySpec = read_table(&mut toml_span::parse("learn_for = '1m'\nfor = '30s'").unwrap()).unwrap();
    let origin = Origin { camera: "camera".into(), model: "model".into(), view: "view".into() };
    let mut strangeness = Strangeness::new(&spec, Memory::new(origin, shape.unwrap()), &[]);
    let (mut scratch, excluded) = (Scratch::default(), [Rect::new(0.1, 0.1, 0.1, 0.2)]);
    let (mut most, mut told, mut learning) = (0, 0, 0);
    for picture in 0..260 {
        // A thing comes twice: the first time the buffers of regions grow.
        fill(&mut values, picture, (90..130).contains(&picture) || (180..220).contains(&picture));
        let at = Mono(picture as u64 * 5_000_000_000);
        let mut allocated = 0;
        map(&values, &mut |features| {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let outlook = strangeness.observe(Light::Day, features, &excluded, at, &mut scratch).unwrap();
            allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
            told += usize::from(!outlook.regions.is_empty());
        });
        match picture {
            40..60 => learning += allocated,
            180.. => most += allocated,
            _ => {}
        }
    }
    assert!(told > 20, "the thing was not told: {told}");
    assert_eq!((learning, most), (0, 0));
}
