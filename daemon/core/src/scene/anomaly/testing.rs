//! A scene in feature maps: everything here is synthetic.
//!
//! Each place has a direction of its own that trembles from picture to picture; walkers of a few looks cross it on straight ways
//! and things lie about. The coarser map shows the same scene in other numbers.

use super::{FeatureMap, Features, Grid, Memory, Origin, Scratch, Shape};
use crate::{
    geometry::Rect,
    scene::{Light, testing::Random},
    time::Mono,
};

pub(super) const GRIDS: [Grid; 2] =
    [Grid { channels: 16, rows: 16, columns: 20 }, Grid { channels: 24, rows: 8, columns: 10 }];

/// Ways that walkers take: a row, and the picture at which one enters each time.
const PERIOD: usize = 37;

/// What lies somewhere, and how much it covers what is behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thing {
    pub rect: Rect,
    pub kind: u64,
    pub opacity: f32,
}

#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub seed: u64,
    /// How far each place has turned from its first direction, as weather and seasons turn it.
    pub turned: f32,
    pub things: Vec<Thing>,
    /// Whether all of it has become another one.
    pub other: bool,
    pub noise: f32,
    values: [Vec<f32>; 2],
}

impl Scene {
    pub(super) fn new(seed: u64) -> Self {
        let values = GRIDS.map(|grid| vec![0.0; grid.channels * grid.positions()]);
        Self { seed, turned: 0.0, things: Vec::new(), other: false, noise: 0.04, values }
    }

    /// Where walkers are in a picture.
    pub(super) fn walkers(&self, picture: usize) -> Vec<Rect> {
        let walker = |way: usize| {
            let phase = (picture + way * 11) % PERIOD;
            Rect::new(phase as f32 * 0.05 - 0.1, 0.15 + 0.25 * way as f32, 0.1, 0.2)
        };
        (0..3).map(walker).collect()
    }

    /// Shows a picture to `look`.
    pub(super) fn picture<T>(&mut self, picture: usize, look: impl FnOnce(Features<'_>) -> T) -> T {
        let mut random = Random(self.seed ^ (picture as u64) << 20);
        let walkers = self.walkers(picture);
        let passing =
            |way: usize| Thing { rect: walkers[way], kind: 100 + (picture / PERIOD % 4) as u64, opacity: 1.0 };
        let things: Vec<Thing> = self.things.iter().copied().chain((0..walkers.len()).map(passing)).collect();
        for (level, grid) in GRIDS.iter().enumerate() {
            for position in 0..grid.positions() {
                let world = self.seed + u64::from(self.other) * 7919;
                let mut vector = direction(world, level, position, grid.channels);
                let aside = direction(world ^ 0xABCD, level, position, grid.channels);
                mix(&mut vector, &aside, self.turned);
                let centre = (
                    ((position % grid.columns) as f32 + 0.5) / grid.columns as f32,
                    ((position / grid.columns) as f32 + 0.5) / grid.rows as f32,
                );
                for thing in &things {
                    if thing.rect.contains(crate::geometry::Point::new(centre.0, centre.1)) {
                        mix(&mut vector, &direction(thing.kind, level, 0, grid.channels), thing.opacity);
                    }
                }
                let gain = random.between(0.8, 1.25);
                for (channel, value) in vector.iter().enumerate() {
                    let noise = random.between(-self.noise, self.noise);
                    self.values[level][channel * grid.positions() + position] = gain * (value + noise);
                }
            }
        }
        let map = |level: usize| FeatureMap {
            channels: GRIDS[level].channels,
            rows: GRIDS[level].rows,
            columns: GRIDS[level].columns,
            values: &self.values[level],
        };
        look(Features(&[map(0), map(1)]))
    }
}

fn direction(world: u64, level: usize, position: usize, channels: usize) -> Vec<f32> {
    let mut random = Random(world.wrapping_mul(0x9E37_79B9) ^ (level as u64) << 40 ^ position as u64);
    let vector: Vec<f32> = (0..channels).map(|_| random.between(-1.0, 1.0)).collect();
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter().map(|value| value / length).collect()
}

fn mix(vector: &mut [f32], other: &[f32], share: f32) {
    vector.iter_mut().zip(other).for_each(|(own, other)| *own += share * (other - *own));
}

pub(super) fn at(seconds: usize) -> Mono {
    Mono(seconds as u64 * 1_000_000_000)
}

pub(super) fn origin() -> Origin {
    Origin { camera: "market".into(), model: "0123abcd".into(), view: "320x256".into() }
}

pub(super) fn memory() -> Memory {
    Memory::new(origin(), Shape::new(&GRIDS).unwrap())
}

/// What a camera has learnt by day from so many pictures, five seconds apart.
pub(super) fn learnt(scene: &mut Scene, pictures: usize) -> Memory {
    let (mut memory, mut scratch) = (memory(), Scratch::default());
    for picture in 0..pictures {
        scene
            .picture(picture, |features| memory.take(Light::Day, features, &[], at(picture * 5), &mut scratch))
            .unwrap();
    }
    memory
}
