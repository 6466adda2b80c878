//! A rendered camera: everything here is synthetic.
//!
//! A world of buildings with windows, trees, a road and a sky, larger than the frame, is cut out at an offset, lit, blurred,
//! walked through and given sensor noise.

use super::{
    picture::{Picture, Samples},
    view::View,
};

pub(super) const WIDTH: usize = 640;
pub(super) const HEIGHT: usize = 360;
/// The world is so much larger than the frame on every side.
const MARGIN: (usize, usize) = (192, 108);
const WORLD: (usize, usize) = (WIDTH + 2 * MARGIN.0, HEIGHT + 2 * MARGIN.1);

/// SplitMix64 (S. Vigna), for scenes and noise.
#[derive(Debug, Clone)]
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1.
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }
}

/// Light that a scene is seen by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Lit {
    /// Even light, 0 to 1.
    Sun(f32),
    /// A little of the sky's light, and lamps.
    Lamps(f32),
    /// The camera's own infra-red, fading towards the edges; no colour, bright leaves.
    Infrared,
}

/// A box that stands before the scene, in fractions of the frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blob {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
    pub level: f32,
}

/// How one picture is taken.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    pub lit: Lit,
    /// Contrast that haze leaves, and the level it goes towards.
    pub haze: f32,
    /// Standard deviation of the sensor's noise.
    pub noise: f32,
    /// Radius of the blur, in samples.
    pub blur: usize,
    /// How far the scene has gone to the right and down, in fractions of the frame.
    pub shift: (f32, f32),
    pub blobs: Vec<Blob>,
    /// Bright flakes or drops.
    pub flakes: usize,
}

impl Shot {
    pub(super) const DAY: Self =
        Self { lit: Lit::Sun(0.9), haze: 1.0, noise: 3.0, blur: 0, shift: (0.0, 0.0), blobs: Vec::new(), flakes: 0 };
}

/// A scene, and the last picture of it.
#[derive(Debug)]
pub(super) struct Camera {
    albedo: Vec<f32>,
    leaves: Vec<bool>,
    lamps: Vec<(f32, f32)>,
    pub random: Random,
    level: Vec<f32>,
    scratch: Vec<f32>,
    pub luma: Vec<u8>,
    pub chroma: [Vec<u8>; 2],
}

impl Camera {
    /// Another scene for each seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let (width, height) = WORLD;
        let horizon = height * 45 / 100;
        let mut albedo: Vec<f32> = Vec::with_capacity(width * height);
        for y in 0..height {
            let ground = if y < horizon { 0.85 - 0.1 * y as f32 / horizon as f32 } else { 0.4 };
            albedo.extend(std::iter::repeat_n(ground, width));
        }
        let mut leaves = vec![false; width * height];
        let mut fill =
            |albedo: &mut Vec<f32>, (x, y): (usize, usize), (w, h): (usize, usize), level: f32, leaf: bool| {
                for y in y..(y + h).min(height) {
                    for x in x..(x + w).min(width) {
                        albedo[y * width + x] = level;
                        leaves[y * width + x] = leaf;
                    }
                }
            };
        for _ in 0..16 {
            let (w, h) = (60 + random.below(140), 80 + random.below(200));
            let (x, y) = (random.below(width), (horizon + 40).saturating_sub(h) + random.below(60));
            let wall = random.between(0.25, 0.75);
            fill(&mut albedo, (x, y), (w, h), wall, false);
            let pane = if wall > 0.5 { random.between(0.05, 0.25) } else { random.between(0.75, 0.95) };
            for row in (y + 8..(y + h).saturating_sub(16)).step_by(26) {
                for column in (x + 8..(x + w).saturating_sub(14)).step_by(22) {
                    fill(&mut albedo, (column, row), (11, 15), pane, false);
                }
            }
        }
        for _ in 0..60 {
            let (x, y) = (random.below(width), horizon + random.below(height - horizon));
            let level = random.between(0.15, 0.7);
            fill(&mut albedo, (x, y), (6 + random.below(60), 3 + random.below(24)), level, false);
        }
        for _ in 0..400 {
            let (x, y) = (random.below(width), horizon - 20 + random.below(90));
            let level = random.between(0.08, 0.3);
            fill(&mut albedo, (x, y), (4 + random.below(10), 4 + random.below(10)), level, true);
        }
        let lamps = (0..5).map(|_| (random.unit(), random.between(0.3, 0.8))).collect();
        Self {
            albedo,
            leaves,
            lamps,
            random,
            level: vec![0.0; WIDTH * HEIGHT],
            scratch: vec![0.0; WIDTH * HEIGHT],
            luma: vec![0; WIDTH * HEIGHT],
            chroma: [vec![128; WIDTH / 2 * HEIGHT / 2], vec![128; WIDTH / 2 * HEIGHT / 2]],
        }
    }

    /// Takes a picture.
    pub(super) fn take(&mut self, shot: &Shot) -> &mut Self {
        let offset = |margin: usize, share: f32, size: usize| (margin as f32 - share * size as f32).round() as usize;
        let (left, top) = (offset(MARGIN.0, shot.shift.0, WIDTH), offset(MARGIN.1, shot.shift.1, HEIGHT));
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let at = (y + top) * WORLD.0 + x + left;
                let (fx, fy) = (x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32);
                let albedo = self.albedo[at];
                let level = match shot.lit {
                    Lit::Sun(light) => albedo * light,
                    Lit::Lamps(sky) => {
                        let lamp = |lamp: &(f32, f32)| {
                            let far = (fx - lamp.0).powi(2) * 3.0 + (fy - lamp.1).powi(2);
                            if far < 0.0004 { 2.0 } else { 0.012 / (far + 0.02) }
                        };
                        albedo * (sky + self.lamps.iter().map(lamp).sum::<f32>() * 0.4)
                    }
                    Lit::Infrared => {
                        let albedo = if self.leaves[at] { 0.95 - albedo } else { albedo };
                        let far = (fx - 0.5).powi(2) + (fy - 0.6).powi(2);
                        albedo * (0.9 - 2.2 * far).max(0.05)
                    }
                };
                self.level[y * WIDTH + x] = 255.0 * (0.6 + shot.haze * (level - 0.6)).clamp(0.0, 1.0);
            }
        }
        for blob in &shot.blobs {
            let span = |from: f32, size: f32, most: usize| {
                let edge = |at: f32| (at.clamp(0.0, 1.0) * most as f32) as usize;
                edge(from)..edge(from + size)
            };
            for y in span(blob.y, blob.height, HEIGHT) {
                for x in span(blob.x, blob.width, WIDTH) {
                    // Not quite plain: people and trucks have edges of their own.
                    let stripe = if (x / 9 + y / 13) % 2 == 0 { 0.0 } else { 14.0 };
                    self.level[y * WIDTH + x] = blob.level + stripe;
                }
            }
        }
        for _ in 0..shot.flakes {
            let (x, y) = (self.random.below(WIDTH - 4), self.random.below(HEIGHT - 6));
            for at in 0..24 {
                self.level[(y + at / 4) * WIDTH + x + at % 4] = 235.0;
            }
        }
        self.blur(shot.blur);
        let is_grey = shot.lit == Lit::Infrared;
        for (index, (luma, level)) in self.luma.iter_mut().zip(&self.level).enumerate() {
            let bits = self.random.next();
            // The sum of four uniform numbers: near enough to a Gaussian.
            let sum = (0..4).map(|part| (bits >> (16 * part) & 0xFFFF) as f32 / 65536.0 - 0.5).sum::<f32>();
            *luma = (level + sum * 1.732 * shot.noise).clamp(0.0, 255.0) as u8;
            let (x, y) = (index % WIDTH, index / WIDTH);
            if x % 2 == 0 && y % 2 == 0 {
                let colour = if is_grey { 0.0 } else { (level - 110.0) * 0.2 * shot.haze };
                self.chroma[0][y / 2 * (WIDTH / 2) + x / 2] = (128.0 + colour) as u8;
                self.chroma[1][y / 2 * (WIDTH / 2) + x / 2] = (128.0 - 0.7 * colour) as u8;
            }
        }
        self
    }

    /// A box blur, rows first, then columns.
    fn blur(&mut self, radius: usize) {
        if radius == 0 {
            return;
        }
        let pass = |from: &[f32], to: &mut [f32], lines: usize, count: usize, line: usize, step: usize| {
            for index in 0..lines {
                let at = |place: isize| from[index * line + place.clamp(0, count as isize - 1) as usize * step];
                let radius = radius as isize;
                let mut sum: f32 = (-radius..=radius).map(at).sum();
                for place in 0..count as isize {
                    to[index * line + place as usize * step] = sum / (2 * radius + 1) as f32;
                    sum += at(place + radius + 1) - at(place - radius);
                }
            }
        };
        pass(&self.level, &mut self.scratch, HEIGHT, WIDTH, WIDTH, 1);
        pass(&self.scratch, &mut self.level, WIDTH, HEIGHT, 1, WIDTH);
    }

    /// The last picture.
    pub(super) fn picture(&self) -> Picture<'_> {
        let chroma = |data| Samples { data, stride: WIDTH / 2, step: 1, width: WIDTH / 2, height: HEIGHT / 2 };
        Picture {
            luma: Samples { data: &self.luma, stride: WIDTH, step: 1, width: WIDTH, height: HEIGHT },
            chroma: Some([chroma(&self.chroma[0]), chroma(&self.chroma[1])]),
            full_range: true,
        }
    }

    /// The view of a picture taken so.
    pub(super) fn view(&mut self, shot: &Shot) -> View {
        let mut view = View::new();
        view.take(&self.take(shot).picture());
        view
    }

    /// All samples at these values.
    pub(super) fn fill(&mut self, luma: u8, u: u8, v: u8) -> &mut Self {
        self.luma.fill(luma);
        self.chroma[0].fill(u);
        self.chroma[1].fill(v);
        self
    }

    /// Replaces this share of the macroblocks by plain ones of any level, as damage does.
    pub(super) fn damage(&mut self, share: f32) -> &mut Self {
        for block_row in 0..HEIGHT / 16 {
            for block in 0..WIDTH / 16 {
                if self.random.unit() < share {
                    let level = self.random.below(256) as u8;
                    for y in block_row * 16..block_row * 16 + 16 {
                        self.luma[y * WIDTH + block * 16..][..16].fill(level);
                    }
                }
            }
        }
        self
    }
}
