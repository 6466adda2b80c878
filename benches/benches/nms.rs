//! One thing, one box: what suppression within a region and joining regions cost.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use snowgate::vision::nms::{Candidate, Candidates, merge_regions};
use snowgate_core::geometry::Rect;

/// Boxes as a detector gives them: ten around each thing, of two classes, in no order.
fn candidates(things: usize) -> Vec<Candidate> {
    let mut state = 1u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32
    };
    let mut boxes: Vec<(f32, Candidate)> = (0..things * 10)
        .map(|index| {
            let thing = (index / 10) as f32 / things as f32;
            let (x, y) = (0.9 * thing + 0.01 * next(), 0.3 + 0.4 * (thing * 7.0).fract() + 0.01 * next());
            let rect = Rect::new(x, y, 0.04 + 0.005 * next(), 0.12 + 0.01 * next());
            let class = u16::from(index / 10 % 3 == 0);
            (next(), Candidate { class, score: 0.3 + 0.7 * next(), rect, cut: next() < 0.2 })
        })
        .collect();
    boxes.sort_by(|a, b| a.0.total_cmp(&b.0));
    boxes.into_iter().map(|(_, candidate)| candidate).collect()
}

fn suppress(c: &mut Criterion) {
    let mut group = c.benchmark_group("nms");
    for things in [2, 20, 50] {
        let boxes = candidates(things);
        let mut list = Candidates::default();
        group.bench_function(format!("{} boxes of {things} things", boxes.len()), |b| {
            b.iter(|| {
                list.reset(0.3);
                boxes.iter().for_each(|candidate| list.push(black_box(*candidate)));
                black_box(list.suppress(0.5).len())
            });
        });
    }
    group.finish();
}

fn merge(c: &mut Criterion) {
    let boxes = candidates(6);
    c.bench_function("merge regions/60 boxes", |b| {
        b.iter_batched_ref(|| boxes.clone(), |list| merge_regions(black_box(list), 0.5), BatchSize::SmallInput);
    });
}

criterion_group!(benches, suppress, merge);
criterion_main!(benches);
