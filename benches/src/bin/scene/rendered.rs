//! Rendered places: everything here is synthetic.
//!
//! A world larger than the frame is drawn once: its brightness, its colour and what it is made of, all with texture. A picture
//! is a part of it, lit by the sun with slow shadows, by lamps, or by the camera's own infra-red; leaves stir, water
//! ripples. Noise, focus and coding come later, where they come to a film's pictures too.

use crate::{
    frame::Frame,
    random::{Lattice, Random},
};

/// The frame, and how much more there is on every side.
pub const FRAME: (usize, usize) = (640, 360);
const MARGIN: (usize, usize) = (136, 80);
const WORLD: (usize, usize) = (FRAME.0 + 2 * MARGIN.0, FRAME.1 + 2 * MARGIN.1);

/// What is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Houses, a road, parked cars, trees.
    Street,
    /// A river between banks.
    River,
    /// A yard with sheds and containers.
    Yard,
}

/// The light of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lit {
    /// The sun and the sky.
    Day,
    /// Street lamps, and a little of the sky.
    Dark,
    /// The camera's own: no colour, bright leaves, dim edges.
    Infrared,
}

/// What differs from one picture to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Which light.
    pub lit: Lit,
    /// How strong it is; 1 is usual.
    pub gain: f32,
    /// Where the edge of the shadows lies, in widths of the frame.
    pub shadow: f32,
    /// How far leaves go, in samples.
    pub wind: f32,
    /// How far the camera is turned: the scene has gone so far to the right and down, in fractions of the frame.
    pub shift: (f32, f32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matter {
    Solid,
    Sky,
    Leaf,
    Water,
}

/// A place, drawn.
#[derive(Debug)]
pub struct World {
    albedo: Vec<f32>,
    chroma: [Vec<f32>; 2],
    matter: Vec<Matter>,
    /// Light of the lamps.
    lamps: Vec<f32>,
}

/// Brightness and colour of a surface, and how much its texture varies.
#[derive(Debug, Clone, Copy)]
struct Surface {
    albedo: f32,
    blue: f32,
    red: f32,
    rough: f32,
    matter: Matter,
}

const fn surface(albedo: f32, blue: f32, red: f32, rough: f32) -> Surface {
    Surface { albedo, blue, red, rough, matter: Matter::Solid }
}

struct Brush {
    world: World,
    texture: Lattice,
    random: Random,
}

impl Brush {
    /// Fills a box; numbers are fractions of the world.
    fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, surface: Surface) {
        let span = |from: f32, size: f32, most: usize| {
            let edge = |at: f32| ((at * most as f32) as usize).min(most);
            edge(from.max(0.0))..edge((from + size).max(0.0))
        };
        for y in span(y, height, WORLD.1) {
            for x in span(x, width, WORLD.0) {
                self.dab(x, y, surface);
            }
        }
    }

    fn dab(&mut self, x: usize, y: usize, surface: Surface) {
        let at = y * WORLD.0 + x;
        let rough = self.texture.rough(x as f32 / 9.0, y as f32 / 7.0);
        let large = self.texture.at(x as f32 / 60.0, y as f32 / 40.0);
        let Surface { albedo, blue, red, rough: amount, matter } = surface;
        self.world.albedo[at] = (albedo * (1.0 + amount * rough + 0.4 * amount * large)).clamp(0.02, 0.98);
        self.world.chroma[0][at] = blue;
        self.world.chroma[1][at] = red;
        self.world.matter[at] = matter;
    }

    fn house(&mut self, x: f32, foot: f32) {
        let (width, height) = (self.random.between(0.08, 0.2), self.random.between(0.2, 0.4));
        let wall = self.random.between(0.25, 0.7);
        let tint = self.random.between(-12.0, 4.0);
        self.fill(x, foot - height, width, height, surface(wall, tint, -0.8 * tint, 0.12));
        self.fill(x - 0.005, foot - height - 0.03, width + 0.01, 0.035, surface(0.2, -4.0, 10.0, 0.2));
        let pane = if wall > 0.45 { 0.12 } else { 0.75 };
        let mut down = foot - height + 0.025;
        while down < foot - 0.06 {
            let mut across = x + 0.01;
            while across < x + width - 0.018 {
                self.fill(across, down, 0.012, 0.032, surface(pane, 4.0, -2.0, 0.15));
                across += 0.026;
            }
            down += 0.06;
        }
    }

    fn tree(&mut self, x: f32, foot: f32, size: f32) {
        self.fill(x - 0.006 * size, foot - 0.18 * size, 0.012 * size, 0.18 * size, surface(0.15, -4.0, 6.0, 0.3));
        for _ in 0..240 {
            let (dx, dy) = (self.random.between(-1.0, 1.0), self.random.between(-1.0, 1.0));
            if dx * dx + dy * dy > 1.0 {
                continue;
            }
            let leaf = Surface {
                albedo: self.random.between(0.08, 0.35),
                blue: self.random.between(-18.0, -8.0),
                red: self.random.between(-14.0, -6.0),
                rough: 0.3,
                matter: Matter::Leaf,
            };
            let (x, y) = (x + dx * 0.055 * size, foot - (0.25 + 0.11 * dy) * size);
            self.fill(x, y, 0.009, 0.014, leaf);
        }
    }

    fn car(&mut self, x: f32, foot: f32) {
        let paint = surface(
            self.random.between(0.1, 0.8),
            self.random.between(-8.0, 8.0),
            self.random.between(-8.0, 14.0),
            0.05,
        );
        self.fill(x, foot - 0.05, 0.11, 0.045, paint);
        self.fill(x + 0.022, foot - 0.085, 0.06, 0.04, paint);
        self.fill(x + 0.027, foot - 0.08, 0.05, 0.025, surface(0.08, 6.0, -3.0, 0.1));
        for wheel in [0.015, 0.075] {
            self.fill(x + wheel, foot - 0.018, 0.02, 0.025, surface(0.05, 0.0, 0.0, 0.1));
        }
    }
}

impl World {
    /// Draws a place.
    pub fn new(place: Place, seed: u64) -> Self {
        let mut random = Random::new(seed, place as u64 + 1);
        let count = WORLD.0 * WORLD.1;
        let texture = Lattice::new(128, 128, &mut random);
        let world = Self {
            albedo: vec![0.5; count],
            chroma: [vec![0.0; count], vec![0.0; count]],
            matter: vec![Matter::Solid; count],
            lamps: Vec::new(),
        };
        let mut brush = Brush { world, texture, random };
        brush.fill(0.0, 0.0, 1.0, 0.42, Surface { matter: Matter::Sky, ..surface(0.82, 6.0, -4.0, 0.06) });
        match place {
            Place::Street => street(&mut brush),
            Place::River => river(&mut brush),
            Place::Yard => yard(&mut brush),
        }
        brush.world.bend();
        let mut random = brush.random;
        let lamps: Vec<(f32, f32)> = (0..5)
            .map(|lamp| (0.12 + 0.19 * lamp as f32 + random.between(-0.04, 0.04), random.between(0.38, 0.6)))
            .collect();
        let light = |at: usize| {
            let (x, y) = ((at % WORLD.0) as f32 / WORLD.0 as f32, (at / WORLD.0) as f32 / WORLD.1 as f32);
            let one = |lamp: &(f32, f32)| 0.011 / ((x - lamp.0).powi(2) * 2.5 + (y - lamp.1).powi(2) + 0.018);
            lamps.iter().map(one).sum::<f32>()
        };
        brush.world.lamps = (0..count).map(light).collect();
        brush.world
    }

    /// No camera shows level, razor-sharp edges: bends all of it a little, as a lens does, and softens it.
    fn bend(&mut self) {
        let source = |at: usize| {
            let (x, y) = ((at % WORLD.0) as f32, (at / WORLD.0) as f32);
            let from_x = x + 5.0 * (y / 75.0).sin();
            let from_y = y + 7.0 * (x / 190.0).sin() + 0.025 * x - 0.0125 * WORLD.0 as f32;
            let inside = |place: f32, most: usize| (place.round().max(0.0) as usize).min(most - 1);
            inside(from_y, WORLD.1) * WORLD.0 + inside(from_x, WORLD.0)
        };
        self.matter = (0..self.matter.len()).map(|at| self.matter[source(at)]).collect();
        let [blue, red] = &mut self.chroma;
        for plane in [&mut self.albedo, blue, red] {
            let bent: Vec<f32> = (0..plane.len()).map(|at| plane[source(at)]).collect();
            let value = |x: usize, y: usize| bent[y.min(WORLD.1 - 1) * WORLD.0 + x.min(WORLD.0 - 1)];
            for (at, sample) in plane.iter_mut().enumerate() {
                let (x, y) = (at % WORLD.0, at / WORLD.0);
                let near =
                    value(x.saturating_sub(1), y) + value(x + 1, y) + value(x, y.saturating_sub(1)) + value(x, y + 1);
                *sample = 0.4 * bent[at] + 0.15 * near;
            }
        }
    }

    /// Takes a picture; `random` moves leaves and water.
    pub fn take(&self, moment: &Moment, random: &mut Random) -> Frame {
        let mut frame = Frame::new(FRAME.0, FRAME.1);
        let start = |margin: usize, share: f32, size: usize| {
            (margin as f32 - share * size as f32).round().clamp(0.0, 2.0 * margin as f32) as usize
        };
        let left = start(MARGIN.0, moment.shift.0, FRAME.0);
        let top = start(MARGIN.1, moment.shift.1, FRAME.1);
        let stirred = |samples: f32| (samples + 64.5) as i64 - 64;
        let wind = Lattice::new(32, 32, random);
        let waves = Lattice::new(64, 128, random);
        for y in 0..FRAME.1 {
            for x in 0..FRAME.0 {
                let (world_x, world_y) = (x + left, y + top);
                let own = world_y * WORLD.0 + world_x;
                let (at, glint) = match self.matter[own] {
                    Matter::Leaf => {
                        let (across, down) = (world_x as f32 / 22.0, world_y as f32 / 22.0);
                        let dx = stirred(wind.at(across, down) * moment.wind);
                        let dy = stirred(wind.at(across + 11.5, down + 7.5) * 0.5 * moment.wind);
                        let moved = own as i64 + dy * WORLD.0 as i64 + dx;
                        (moved.clamp(0, self.albedo.len() as i64 - 1) as usize, 0.0)
                    }
                    Matter::Water => (own, 0.07 * waves.at(world_x as f32 / 14.0, world_y as f32 / 4.0)),
                    _ => (own, 0.0),
                };
                let light = self.light(at, (x, y), moment);
                let luma = ((self.albedo[at] + glint) * light).clamp(0.0, 1.0);
                frame.planes[0][y * FRAME.0 + x] = (16.0 + 219.0 * luma) as u8;
                if x % 2 == 0 && y % 2 == 0 && moment.lit != Lit::Infrared {
                    for plane in [1, 2] {
                        let colour = 128.0 + self.chroma[plane - 1][at] * light.min(1.2);
                        frame.planes[plane][y / 2 * (FRAME.0 / 2) + x / 2] = colour.clamp(16.0, 240.0) as u8;
                    }
                }
            }
        }
        frame
    }

    fn light(&self, at: usize, (x, y): (usize, usize), moment: &Moment) -> f32 {
        let (across, down) = (x as f32 / FRAME.0 as f32, y as f32 / FRAME.1 as f32);
        match moment.lit {
            Lit::Day => {
                // A row of houses behind the camera throws a shadow with a stepped edge on what is not the sky.
                let edge = moment.shadow + 0.06 * ((across * 7.0) as u32 % 2) as f32;
                let shaded = self.matter[at] != Matter::Sky
                    && down > 0.5
                    && ((edge - across) / 0.015 + 0.5).clamp(0.0, 1.0) > 0.0;
                let depth = if shaded { ((edge - across) / 0.015 + 0.5).clamp(0.0, 1.0) } else { 0.0 };
                0.92 * moment.gain * (1.0 - 0.38 * depth)
            }
            Lit::Dark => moment.gain * (0.07 + 0.22 * self.lamps[at]),
            Lit::Infrared => {
                let far = (across - 0.5).powi(2) + (down - 0.6).powi(2);
                let leaf = if self.matter[at] == Matter::Leaf { 2.0 } else { 1.0 };
                let sky = if self.matter[at] == Matter::Sky { 0.05 } else { 1.0 };
                moment.gain * leaf * sky * (0.95 - 1.9 * far).max(0.08)
            }
        }
    }
}

fn street(brush: &mut Brush) {
    for house in 0..11 {
        let x = 0.1 * house as f32 - 0.03 + brush.random.between(-0.02, 0.02);
        brush.house(x, 0.5);
    }
    brush.fill(0.0, 0.5, 1.0, 0.09, surface(0.5, -3.0, 3.0, 0.15));
    brush.fill(0.0, 0.59, 1.0, 0.41, surface(0.28, 2.0, 0.0, 0.14));
    for mark in 0..14 {
        brush.fill(0.08 * mark as f32, 0.76, 0.04, 0.012, surface(0.85, 0.0, 0.0, 0.1));
    }
    brush.fill(0.0, 0.58, 1.0, 0.012, surface(0.65, 0.0, 0.0, 0.2));
    for car in 0..5 {
        let x = 0.21 * car as f32 + brush.random.between(-0.03, 0.03);
        brush.car(x, 0.64);
    }
    for tree in 0..6 {
        let (x, size) = (0.17 * tree as f32 + brush.random.between(0.0, 0.08), brush.random.between(0.8, 1.3));
        brush.tree(x, 0.57, size);
    }
}

fn river(brush: &mut Brush) {
    for house in 0..6 {
        brush.house(0.17 * house as f32 + 0.02, 0.42);
    }
    brush.fill(0.0, 0.4, 1.0, 0.08, surface(0.3, -12.0, -8.0, 0.35));
    brush.fill(0.0, 0.48, 1.0, 0.24, Surface { matter: Matter::Water, ..surface(0.38, 2.0, -5.0, 0.08) });
    brush.fill(0.0, 0.71, 1.0, 0.03, surface(0.55, -2.0, 2.0, 0.3));
    brush.fill(0.0, 0.74, 1.0, 0.26, surface(0.34, -14.0, -6.0, 0.3));
    brush.fill(0.0, 0.8, 1.0, 0.09, surface(0.52, -4.0, 4.0, 0.15));
    for post in 0..24 {
        brush.fill(0.043 * post as f32, 0.66, 0.004, 0.1, surface(0.12, 0.0, 2.0, 0.1));
    }
    brush.fill(0.0, 0.665, 1.0, 0.008, surface(0.12, 0.0, 2.0, 0.1));
    for tree in 0..7 {
        let (x, size) = (0.15 * tree as f32 + brush.random.between(0.0, 0.06), brush.random.between(0.5, 0.9));
        brush.tree(x, 0.47, size);
    }
}

fn yard(brush: &mut Brush) {
    brush.fill(0.0, 0.3, 1.0, 0.2, surface(0.45, -6.0, 6.0, 0.2));
    for course in 0..8 {
        brush.fill(0.0, 0.3 + 0.025 * course as f32, 1.0, 0.004, surface(0.3, -4.0, 4.0, 0.2));
    }
    brush.fill(0.0, 0.5, 1.0, 0.5, surface(0.48, -2.0, 2.0, 0.12));
    for slab in 0..7 {
        brush.fill(0.0, 0.55 + 0.07 * slab as f32, 1.0, 0.004, surface(0.32, 0.0, 0.0, 0.1));
        brush.fill(0.15 * slab as f32, 0.5, 0.003, 0.5, surface(0.34, 0.0, 0.0, 0.1));
    }
    for container in 0..4 {
        let (x, blue, red) = (
            0.24 * container as f32 + brush.random.between(0.0, 0.06),
            brush.random.between(-14.0, 16.0),
            brush.random.between(-14.0, 16.0),
        );
        let wall = brush.random.between(0.2, 0.55);
        brush.fill(x, 0.4, 0.17, 0.18, surface(wall, blue, red, 0.1));
        for rib in 0..14 {
            brush.fill(x + 0.012 * rib as f32, 0.41, 0.004, 0.16, surface(0.7 * wall, blue, red, 0.1));
        }
    }
    for (x, y) in [(0.3, 0.66), (0.55, 0.85), (0.72, 0.7)] {
        brush.fill(x, y, 0.05, 0.05, surface(0.6, -18.0, 14.0, 0.25));
    }
    brush.tree(0.12, 0.56, 1.4);
    brush.tree(0.93, 0.6, 1.2);
}
