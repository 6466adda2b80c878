//! Where pictures change: a running-average background of the reduced luma plane, and what differs from it.
//!
//! The luma plane is reduced by a whole factor to at most [`MAX_WIDTH`] columns (box mean, so sensor noise averages
//! out). Each reduced pixel has a background and a noise level, both running averages; it has changed when it
//! differs from its background by more than the camera's threshold and by more than several times its noise. Where
//! nothing changes the background follows quickly (daylight), where something does slowly (a car that stays is
//! background after about half a minute). Changed pixels are counted in cells of [`CELL`] × [`CELL`], cells with enough
//! of them are joined to clusters.
//!
//! When most of the frame changes at once (lights, infra-red switch, exposure), the new picture becomes the background
//! at once and that one picture reports a single cluster, the whole frame.

use std::time::Duration;

use snowgate_core::{
    geometry::{Polygon, Rect},
    time::Mono,
};

use super::{masks::Masks, spec::DetectSpec};
use crate::camera::pixels::Plane;

/// The most columns of the reduced picture.
pub const MAX_WIDTH: usize = 320;
/// Side of a cell, in reduced pixels.
pub const CELL: usize = 4;
/// The most clusters reported; beyond it the nearest are joined.
pub const MAX_CLUSTERS: usize = 24;

/// Changed pixels that make a cell changed: two noisy pixels in sixteen are no thing.
const CELL_CHANGED: u16 = 3;
/// Share of the frame beyond which a change is a change of light.
const LIGHT_CHANGE: f32 = 0.6;
/// Time constants of the background where nothing changes, where something does, and of the noise.
const FOLLOW: Duration = Duration::from_secs(4);
const ABSORB: Duration = Duration::from_secs(12);
const NOISE: Duration = Duration::from_secs(8);
/// A picture absorbs no more than after so long, however long the last one is ago: a walker seen once every two seconds must
/// not leave a ghost in the background.
const MOST_ABSORBED: Duration = Duration::from_millis(400);
/// A pixel has changed when it differs by so many times its mean deviation…
const NOISE_FACTOR: i16 = 5;
/// …but noise never hides a difference larger than this share of luma.
const NOISE_LIMIT: f32 = 0.2;
/// The most noise a pixel is taken to have: [`NOISE_FACTOR`] times it fits an i16.
const MAX_NOISE: i16 = i16::MAX / NOISE_FACTOR;
/// Backgrounds and noise are kept in 1/128 of a luma step: the largest that lets 255 fit an i16.
const FRACTION: u32 = 7;

/// Motion of one camera.
#[derive(Debug)]
pub struct Motion {
    threshold: i16,
    noise_limit: i16,
    min_area: f32,
    polygons: Vec<Polygon>,
    grid: Grid,
    last: Option<Mono>,
    share: f32,
    clusters: Vec<Rect>,
    light_changed: bool,
}

/// Everything whose size follows from the picture's.
#[derive(Debug, Default)]
struct Grid {
    source: (usize, usize),
    factor: usize,
    width: usize,
    sums: Vec<u16>,
    current: Vec<i16>,
    background: Vec<i16>,
    noise: Vec<i16>,
    /// 0 where masked, -1 (all bits) elsewhere.
    open: Vec<i16>,
    open_count: usize,
    changed: Vec<i16>,
    cell_columns: usize,
    cells: Vec<u16>,
    pending: Vec<u32>,
}

impl Motion {
    /// For a camera with these settings, blind where the polygons are.
    pub fn new(spec: &DetectSpec, masks: Vec<Polygon>) -> Self {
        let luma = |share: f32| (share * 255.0 * (1 << FRACTION) as f32) as i16;
        Self {
            threshold: luma(spec.motion_threshold.0).max(1),
            noise_limit: luma(NOISE_LIMIT.max(spec.motion_threshold.0)),
            min_area: spec.motion_area.0,
            polygons: masks,
            grid: Grid::default(),
            last: None,
            share: 0.0,
            clusters: Vec::with_capacity(MAX_CLUSTERS * 8),
            light_changed: false,
        }
    }

    /// Takes the next picture. The first one, and the first of a new size, only becomes the background.
    pub fn update(&mut self, luma: &Plane<'_>, at: Mono) {
        let passed = self.last.map_or(Duration::ZERO, |last| at.since(last));
        self.last = Some(at);
        if self.take(luma) {
            let rates = Rates::after(passed);
            self.compare(&rates);
            if self.light_changed {
                self.grid.background.copy_from_slice(&self.grid.current);
            }
        }
    }

    /// Takes the next picture if nothing has moved in it; one that shows motion or another light leaves the background
    /// as it was, so that the pictures before it can still be held against that.
    pub fn update_if_still(&mut self, luma: &Plane<'_>, at: Mono) {
        if self.take(luma) {
            self.compare(&Rates::FROZEN);
            if self.is_motion() {
                return;
            }
            let passed = self.last.map_or(Duration::ZERO, |last| at.since(last));
            self.compare(&Rates::after(passed));
        }
        self.last = Some(at);
    }

    /// Reduces a picture; `false` if there is nothing to hold it against, and it became the background.
    fn take(&mut self, luma: &Plane<'_>) -> bool {
        self.share = 0.0;
        self.light_changed = false;
        self.clusters.clear();
        if self.grid.source != (luma.width, luma.height) {
            self.grid = Grid::new(luma.width, luma.height, &self.polygons);
            self.grid.reduce(luma);
            self.grid.background.copy_from_slice(&self.grid.current);
            return false;
        }
        if self.grid.current.is_empty() {
            return false;
        }
        self.grid.reduce(luma);
        true
    }

    fn compare(&mut self, rates: &Rates) {
        let count = self.grid.compare(self.threshold, self.noise_limit, rates);
        self.share = count as f32 / self.grid.open_count.max(1) as f32;
        self.light_changed = self.share > LIGHT_CHANGE;
        self.clusters.clear();
        if self.light_changed {
            self.clusters.push(Rect::FRAME);
        } else if self.share >= self.min_area {
            self.grid.cluster(&mut self.clusters);
        }
    }

    /// Share of the unmasked frame that has changed, 0..1.
    pub fn share(&self) -> f32 {
        self.share
    }

    /// Whether this picture was taken for a change of light.
    pub fn light_changed(&self) -> bool {
        self.light_changed
    }

    /// Where the picture has changed: at most [`MAX_CLUSTERS`] boxes, the one with the largest area first.
    pub fn clusters(&self) -> &[Rect] {
        &self.clusters
    }

    /// Bytes this camera's background takes.
    pub fn bytes(&self) -> usize {
        let Grid { sums, current, background, noise, open, changed, cells, pending, .. } = &self.grid;
        let pixels = current.len() + background.len() + noise.len() + open.len() + changed.len();
        2 * (pixels + sums.len() + cells.len()) + 4 * pending.capacity()
    }

    /// Whether anything has moved.
    pub fn is_motion(&self) -> bool {
        !self.clusters.is_empty()
    }
}

/// What share of a difference a running average takes over after `passed`, in 1/65536.
fn rate(passed: Duration, constant: Duration) -> i16 {
    let share = 1.0 - (-passed.as_secs_f32() / constant.as_secs_f32()).exp();
    // A share of a half at the most: it must fit an i16, and one picture alone is no background.
    (share * 65536.0).clamp(1.0, 32767.0) as i16
}

impl Grid {
    fn new(source_width: usize, source_height: usize, polygons: &[Polygon]) -> Self {
        let factor = source_width.div_ceil(MAX_WIDTH).clamp(1, 64);
        // The last few columns and rows that fill no whole box are left out.
        let (width, height) = (source_width / factor, source_height / factor);
        let size = width * height;
        let masks = Masks::rasterise(polygons, width, height);
        let mut open = vec![-1i16; size];
        for (y, row) in open.chunks_exact_mut(width.max(1)).enumerate() {
            for span in masks.row(y) {
                row[span.start as usize..span.end as usize].fill(0);
            }
        }
        let cell_columns = width.div_ceil(CELL);
        let cell_count = cell_columns * height.div_ceil(CELL);
        Self {
            source: (source_width, source_height),
            factor,
            width,
            sums: vec![0; width * factor],
            current: vec![0; size],
            background: vec![0; size],
            noise: vec![0; size],
            open_count: open.iter().filter(|open| **open != 0).count(),
            open,
            changed: vec![0; size],
            cell_columns,
            cells: vec![0; cell_count],
            pending: Vec::with_capacity(cell_count),
        }
    }

    /// Box means of the luma plane, in 1/128 of a luma step.
    ///
    /// A box's sum is at most 255 · 64², a column's at most 255 · 64: nothing wraps. Saying `wrapping` all the same keeps
    /// overflow checks, where a build has them, from breaking up the vector loops.
    fn reduce(&mut self, luma: &Plane<'_>) {
        let (factor, columns) = (self.factor, self.width * self.factor);
        let area = (factor * factor) as u32;
        // Multiplying by a reciprocal is exact enough: the error is below 1/128 of a step.
        let reciprocal = u64::from(((1u32 << (16 + FRACTION)) + area / 2) / area);
        let mean = |sum: u32| (u64::from(sum).wrapping_mul(reciprocal) >> 16) as i16;
        for (y, out) in self.current.chunks_exact_mut(self.width.max(1)).enumerate() {
            let row = |k: usize| {
                let start = (y * factor + k) * luma.stride;
                &luma.data[start..start + columns]
            };
            let sums = &mut self.sums[..columns];
            let mut done = 0;
            while done < factor {
                if factor - done >= 4 {
                    add_four_rows(sums, [row(done), row(done + 1), row(done + 2), row(done + 3)], done == 0);
                    done += 4;
                } else {
                    add_row(sums, row(done), done == 0);
                    done += 1;
                }
            }
            match factor {
                1 => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = (*sum << FRACTION) as i16),
                2 => add_up::<2>(sums, out, |sum| (sum << (FRACTION - 2)) as i16),
                3 => add_up::<3>(sums, out, |sum| (sum.wrapping_mul(reciprocal as u32 >> 4) >> 12) as i16),
                4 => add_up::<4>(sums, out, |sum| (sum << (FRACTION - 4)) as i16),
                6 => add_up::<6>(sums, out, mean),
                _ => {
                    for (out, sums) in out.iter_mut().zip(sums.chunks_exact(factor)) {
                        *out = mean(sums.iter().map(|sum| u32::from(*sum)).sum());
                    }
                }
            }
        }
    }

    /// Marks what has changed and moves background and noise on. Returns how many pixels have changed.
    fn compare(&mut self, threshold: i16, noise_limit: i16, rates: &Rates) -> usize {
        let limits = Limits { threshold, noise: noise_limit };
        let width = self.width.max(1);
        let rows = (self.current.chunks_exact(width).zip(self.open.chunks_exact(width)))
            .zip(self.background.chunks_exact_mut(width).zip(self.noise.chunks_exact_mut(width)))
            .zip(self.changed.chunks_exact_mut(width));
        rows.map(|(((current, open), (background, noise)), changed)| {
            compare_row(&limits, rates, current, open, background, noise, changed)
        })
        .sum()
    }

    /// Joins cells with enough changed pixels, corners touching included, to boxes.
    fn cluster(&mut self, clusters: &mut Vec<Rect>) {
        self.cells.fill(0);
        for (y, row) in self.changed.chunks_exact(self.width.max(1)).enumerate() {
            let cells = &mut self.cells[y / CELL * self.cell_columns..][..self.cell_columns];
            for (cell, pixels) in cells.iter_mut().zip(row.chunks(CELL)) {
                *cell += pixels.iter().map(|changed| (changed & 1).unsigned_abs()).sum::<u16>();
            }
        }
        let columns = self.cell_columns as i32;
        let rows = (self.cells.len() / self.cell_columns.max(1)) as i32;
        for start in 0..self.cells.len() {
            if self.cells[start] < CELL_CHANGED {
                continue;
            }
            self.cells[start] = 0;
            self.pending.clear();
            self.pending.push(start as u32);
            let (mut left, mut top, mut right, mut bottom) = (i32::MAX, i32::MAX, 0, 0);
            while let Some(cell) = self.pending.pop() {
                let (x, y) = (cell as i32 % columns, cell as i32 / columns);
                (left, top) = (left.min(x), top.min(y));
                (right, bottom) = (right.max(x + 1), bottom.max(y + 1));
                for (dx, dy) in [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)] {
                    let (x, y) = (x + dx, y + dy);
                    if (0..columns).contains(&x) && (0..rows).contains(&y) {
                        let next = (y * columns + x) as usize;
                        if self.cells[next] >= CELL_CHANGED {
                            // Taken off the grid as it is put on the list: no cell can be on it twice.
                            self.cells[next] = 0;
                            self.pending.push(next as u32);
                        }
                    }
                }
            }
            let side = (CELL * self.factor) as f32;
            let (w, h) = (self.source.0 as f32, self.source.1 as f32);
            let edge = |cells: i32, size: f32| (cells as f32 * side / size).min(1.0);
            let rect = Rect::from_edges(edge(left, w), edge(top, h), edge(right, w), edge(bottom, h));
            if clusters.len() < clusters.capacity() {
                clusters.push(rect);
            } else if let Some(nearest) =
                clusters.iter_mut().min_by(|a, b| a.union(&rect).area().total_cmp(&b.union(&rect).area()))
            {
                *nearest = nearest.union(&rect);
            }
        }
        clusters
            .sort_unstable_by(|a, b| b.area().total_cmp(&a.area()).then(a.y.total_cmp(&b.y)).then(a.x.total_cmp(&b.x)));
        while clusters.len() > MAX_CLUSTERS {
            // The smallest joins whichever it enlarges least.
            if let Some(smallest) = clusters.pop()
                && let Some(nearest) = clusters.iter_mut().min_by(|a, b| {
                    (a.union(&smallest).area() - a.area()).total_cmp(&(b.union(&smallest).area() - b.area()))
                })
            {
                *nearest = nearest.union(&smallest);
            }
        }
    }
}

/// When a pixel has changed.
struct Limits {
    threshold: i16,
    noise: i16,
}

/// How fast background and noise follow, in 1/65536 of a difference.
struct Rates {
    follow: i16,
    absorb: i16,
    noise: i16,
}

impl Rates {
    /// Nothing follows.
    const FROZEN: Self = Self { follow: 0, absorb: 0, noise: 0 };

    fn after(passed: Duration) -> Self {
        let absorbed = passed.min(MOST_ABSORBED);
        Self { follow: rate(passed, FOLLOW), absorb: rate(absorbed, ABSORB), noise: rate(passed, NOISE) }
    }
}

/// Compares a row with its background and moves that on. A function of its own, not inlined, because only as arguments
/// are the slices known not to overlap, without which the loop is not vectorised.
#[inline(never)]
fn compare_row(
    limits: &Limits,
    rates: &Rates,
    current: &[i16],
    open: &[i16],
    background: &mut [i16],
    noise: &mut [i16],
    changed: &mut [i16],
) -> usize {
    let n = current.len().min(open.len()).min(background.len()).min(noise.len()).min(changed.len());
    let (current, open, background) = (&current[..n], &open[..n], &mut background[..n]);
    let (noise, changed) = (&mut noise[..n], &mut changed[..n]);
    let Limits { threshold, noise: noise_limit } = *limits;
    let Rates { follow, absorb, noise: noise_rate } = *rates;
    // The high half of a 16-bit product: one instruction for eight pixels on every machine.
    let scaled = |difference: i16, rate: i16| (i32::from(difference).wrapping_mul(i32::from(rate)) >> 16) as i16;
    let mut count = 0i16;
    for i in 0..n {
        let difference = current[i].wrapping_sub(background[i]);
        let magnitude = difference.wrapping_abs();
        let limit = noise[i].wrapping_mul(NOISE_FACTOR).min(noise_limit).max(threshold);
        // All bits set where changed: branches would keep the loop from being vectorised.
        let is_changed = i16::from(magnitude > limit).wrapping_neg() & open[i];
        changed[i] = is_changed;
        count = count.wrapping_sub(is_changed);
        let rate = (absorb & is_changed) | (follow & !is_changed);
        background[i] = background[i].wrapping_add(scaled(difference, rate));
        let step = scaled(magnitude.wrapping_sub(noise[i]), noise_rate & !is_changed);
        noise[i] = noise[i].wrapping_add(step).min(MAX_NOISE);
    }
    count.unsigned_abs().into()
}

fn add_row(sums: &mut [u16], row: &[u8], first: bool) {
    for (sum, sample) in sums.iter_mut().zip(row) {
        *sum = if first { 0 } else { *sum }.wrapping_add(u16::from(*sample));
    }
}

fn add_four_rows(sums: &mut [u16], [a, b, c, d]: [&[u8]; 4], first: bool) {
    for (sum, (((a, b), c), d)) in sums.iter_mut().zip(a.iter().zip(b).zip(c).zip(d)) {
        let upper = u16::from(*a).wrapping_add(u16::from(*b));
        let lower = u16::from(*c).wrapping_add(u16::from(*d));
        *sum = if first { 0 } else { *sum }.wrapping_add(upper.wrapping_add(lower));
    }
}

/// Adds up N neighbours.
fn add_up<const N: usize>(sums: &[u16], out: &mut [i16], mean: impl Fn(u32) -> i16) {
    for (out, sums) in out.iter_mut().zip(sums.as_chunks::<N>().0) {
        *out = mean(sums.iter().fold(0u32, |total, sum| total.wrapping_add(u32::from(*sum))));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snowgate_core::geometry::Point;

    use super::*;
    use snowgate_core::spec::all_defaults;

    struct Scene {
        width: usize,
        height: usize,
        data: Vec<u8>,
    }

    impl Scene {
        fn new(width: usize, height: usize, value: u8) -> Self {
            Self { width, height, data: vec![value; (width + 9) * height] }
        }
        fn plane(&self) -> Plane<'_> {
            Plane { data: &self.data, stride: self.width + 9, width: self.width, height: self.height }
        }
        fn with_box(&self, x: usize, y: usize, w: usize, h: usize, value: u8) -> Self {
            let mut data = self.data.clone();
            for row in y..y + h {
                data[row * (self.width + 9) + x..][..w].fill(value);
            }
            Self { data, ..*self }
        }
        fn with_noise(&self, amplitude: i32, seed: u32) -> Self {
            let mut state = seed | 1;
            let noisy = |sample: &u8| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (i32::from(*sample) + state as i32 % (amplitude + 1)).clamp(0, 255) as u8
            };
            Self { data: self.data.iter().map(noisy).collect(), ..*self }
        }
    }

    fn at(picture: u64) -> Mono {
        Mono(picture * 200_000_000)
    }

    #[test]
    fn a_walker_is_one_cluster_where_it_walks() {
        let empty = Scene::new(768, 576, 90);
        let mut motion = Motion::new(&all_defaults(), Vec::new());
        for picture in 0..10 {
            motion.update(&empty.with_noise(6, picture).plane(), at(picture.into()));
            assert!(!motion.is_motion(), "noise is no motion");
        }
        motion.update(&empty.with_box(300, 200, 20, 50, 150).with_noise(6, 99).plane(), at(10));
        assert_eq!(motion.clusters().len(), 1);
        let walker = Rect::new(300.0 / 768.0, 200.0 / 576.0, 20.0 / 768.0, 50.0 / 576.0);
        let cluster = motion.clusters()[0];
        assert!(walker.share_inside(&cluster) > 0.7 && cluster.area() < walker.area() * 3.0, "{cluster:?}");
    }

    #[test]
    fn a_change_of_light_is_over_at_once() {
        let mut motion = Motion::new(&all_defaults(), Vec::new());
        (0..5).for_each(|picture| motion.update(&Scene::new(640, 360, 80).plane(), at(picture)));
        let bright = Scene::new(640, 360, 160);
        motion.update(&bright.plane(), at(5));
        assert!(motion.light_changed());
        assert_eq!(motion.clusters(), [Rect::FRAME]);
        motion.update(&bright.plane(), at(6));
        assert!(!motion.is_motion());
        motion.update(&bright.with_box(100, 100, 40, 80, 60).plane(), at(7));
        assert_eq!(motion.clusters().len(), 1, "things are seen again at once");
    }

    #[test]
    fn a_thing_that_stays_becomes_background() {
        let empty = Scene::new(640, 360, 80);
        let parked = empty.with_box(200, 100, 120, 80, 140);
        let mut motion = Motion::new(&all_defaults(), Vec::new());
        (0..5).for_each(|picture| motion.update(&empty.plane(), at(picture)));
        motion.update(&parked.plane(), at(5));
        assert!(motion.is_motion());
        (6..5 * 60).for_each(|picture| motion.update(&parked.plane(), at(picture)));
        assert!(!motion.is_motion());
    }

    #[test]
    fn swaying_leaves_raise_their_own_threshold_only() {
        let mut motion = Motion::new(&all_defaults(), Vec::new());
        let scene = |value| Scene::new(640, 360, 80).with_box(0, 0, 200, 100, value);
        (0..100).for_each(|picture| motion.update(&scene(80 + 12 * (picture % 2) as u8).plane(), at(picture)));
        motion.update(&scene(98).plane(), at(100));
        assert!(!motion.is_motion(), "{:?}", motion.clusters());
        motion.update(&scene(80).with_box(400, 200, 20, 40, 98).plane(), at(101));
        assert_eq!(motion.clusters().len(), 1);
    }

    #[test]
    fn masked_parts_never_move() {
        let left = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)].map(|(x, y)| Point::new(x, y));
        let mut motion = Motion::new(&all_defaults(), vec![Polygon::new(left.to_vec()).unwrap()]);
        let empty = Scene::new(640, 360, 80);
        motion.update(&empty.plane(), at(0));
        motion.update(&empty.with_box(100, 100, 100, 100, 200).plane(), at(1));
        assert!(!motion.is_motion());
        motion.update(&empty.with_box(400, 100, 100, 100, 200).plane(), at(2));
        assert!(motion.is_motion());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_reduced_picture_is_the_mean(width in 1usize..2600, height in 1usize..20, seed: u32) {
            let scene = Scene::new(width, height, 128).with_noise(120, seed);
            let mut grid = Grid::new(width, height, &[]);
            grid.reduce(&scene.plane());
            for (i, mean) in grid.current.iter().enumerate() {
                let (x, y) = (i % grid.width * grid.factor, i / grid.width * grid.factor);
                let sum: u32 = (0..grid.factor)
                    .flat_map(|dy| (0..grid.factor).map(move |dx| (dx, dy)))
                    .map(|(dx, dy)| u32::from(scene.data[(y + dy) * (width + 9) + x + dx]))
                    .sum();
                let expected = sum as f32 * 128.0 / (grid.factor * grid.factor) as f32;
                prop_assert!((f32::from(*mean) - expected).abs() <= 1.5, "{mean} for {expected}");
            }
        }

        #[test]
        fn any_picture_gives_bounded_clusters_inside_the_frame(
            width in 1usize..700, height in 1usize..500, seed: u32, amplitude in 0i32..250,
        ) {
            let mut motion = Motion::new(&all_defaults(), Vec::new());
            for picture in 0..3 {
                let scene = Scene::new(width, height, 128).with_noise(amplitude, seed.wrapping_add(picture));
                motion.update(&scene.plane(), at(picture.into()));
                prop_assert!(motion.clusters().len() <= MAX_CLUSTERS);
                prop_assert!((0.0..=1.0).contains(&motion.share()));
                for cluster in motion.clusters() {
                    prop_assert!(cluster.share_inside(&Rect::FRAME) > 0.999 && cluster.area() > 0.0);
                }
            }
        }
    }
}
