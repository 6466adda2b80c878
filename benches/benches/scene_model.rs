//! What one look at a whole scene costs, beside ONNX Runtime's own share of it.
//!
//! Printed apart from criterion's own figures: the least and the median of each, taken in turns so that a busy machine
//! slows both alike, and their ratio. The session's share is that of a picture of the input's size, which leaves the caches as they
//! are. The budget of a pass is 8 ms on one thread in float.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    vision::{
        execution::Variant,
        masks::Masks,
        model::Runtime,
        model_file,
        scene::{Answer, SceneModel, manifest},
    },
};

const MODEL: &str = "efficientnet-lite0";
const ROUNDS: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn library() -> PathBuf {
    root().join("assets/onnxruntime/libonnxruntime.so.1.31.1")
}

fn load() -> SceneModel {
    let runtime = Runtime::load(&library()).unwrap();
    let (manifests, errors) = manifest::read_all(&root().join("models"));
    assert!(errors.is_empty(), "{errors:?}");
    let folder = manifest::folder(&root().join("models"));
    model_file::load(&runtime, &manifests[&MODEL.parse().unwrap()], &folder, Variant::Float).unwrap()
}

/// A picture of many edges.
struct Picture {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Picture {
    fn new(width: usize, height: usize) -> Self {
        let data = (0..width * height).map(|i| ((i % width / 24 * 37) ^ (i / width / 24 * 59)) as u8).collect();
        Self { width, height, data }
    }

    fn pixels(&self) -> Pixels<'_> {
        let plane = |width, height| Plane { data: &self.data, stride: width, width, height };
        let half = plane(self.width / 2, self.height / 2);
        let luma = plane(self.width, self.height);
        Pixels { luma, chroma: Chroma::Planar { u: half, v: half }, full_range: false, bt709: true }
    }
}

fn look(model: &mut SceneModel, pixels: &Pixels<'_>) {
    match model.look(black_box(pixels), &Masks::default()).unwrap() {
        Answer::Features(maps) => drop(black_box(maps.features().0.len())),
        Answer::Heat(heat) => panic!("{heat:?}"),
    }
}

fn pass(c: &mut Criterion) {
    let mut model = load();
    let (large, small) = (Picture::new(1920, 1080), Picture::new(320, 256));
    let (mut passes, mut sessions) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        look(&mut model, &large.pixels());
        passes.push(started.elapsed());
        look(&mut model, &small.pixels());
        sessions.push(model.session_time());
    }
    let figures = |times: &mut Vec<Duration>| {
        times.sort();
        [times[0], times[times.len() / 2]].map(|time| time.as_secs_f64() * 1e3)
    };
    let (pass, session) = (figures(&mut passes), figures(&mut sessions));
    println!("scene/pass:    least {:.2} ms, median {:.2} ms", pass[0], pass[1]);
    println!("scene/session: least {:.2} ms, median {:.2} ms", session[0], session[1]);
    println!("scene/ratio:   least {:.3}, median {:.3}", pass[0] / session[0], pass[1] / session[1]);

    let mut group = c.benchmark_group("scene");
    for picture in [&large, &small] {
        let name = format!("{}x{} to features", picture.width, picture.height);
        group.bench_function(name, |b| b.iter(|| look(&mut model, &picture.pixels())));
    }
}

criterion_group!(benches, pass);
criterion_main!(benches);
