//! What happens in an episode: a thing that stays, smoke, water, or something done to the camera. All of it is composited.

use std::{fmt, path::Path};

use serde::Serialize;
use snowgate_core::{geometry::Rect, scene::Condition};

use crate::{
    frame::{Frame, blend},
    random::{Lattice, Random},
    stamp::{Drawn, Placed, Stamp, Tone, each},
};

/// Seconds that smoke and water take to reach their size.
pub const GROWS_FOR: f32 = 60.0;

/// What kind of thing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A drawn crate, bag or heap is left behind.
    Object,
    /// A person, cut out of the film, stays where they are.
    Person,
    /// A cloud that is partly seen through, in motion, and grows.
    Smoke,
    /// The ground turns to brown, rippling water that mirrors what lies above, and grows.
    Water,
    /// The camera is turned.
    Shift,
    /// It loses its focus.
    Defocus,
    /// Light goes out.
    Dimming,
    /// Something is held before the lens.
    Covering,
    /// The same picture comes again and again.
    Freezing,
}

impl Kind {
    /// Whether it is in the scene, rather than with the camera.
    pub fn is_in_scene(self) -> bool {
        matches!(self, Self::Object | Self::Person | Self::Smoke | Self::Water)
    }

    /// Whether it takes time to reach its size.
    pub fn grows(self) -> bool {
        matches!(self, Self::Smoke | Self::Water)
    }

    /// What the daemon may call it.
    pub fn conditions(self) -> &'static [Condition] {
        match self {
            Self::Shift => &[Condition::Moved, Condition::WrongScene],
            Self::Defocus => &[Condition::Defocused, Condition::Covered],
            Self::Dimming => &[Condition::Black, Condition::Covered],
            Self::Covering => &[Condition::Covered, Condition::Black, Condition::WrongScene],
            Self::Freezing => &[Condition::Frozen],
            _ => &[],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "object",
            Self::Person => "person who stays",
            Self::Smoke => "smoke",
            Self::Water => "water",
            Self::Shift => "shift",
            Self::Defocus => "defocus",
            Self::Dimming => "dimming",
            Self::Covering => "covering",
            Self::Freezing => "freezing",
        })
    }
}

/// One happening, wholly described.
#[derive(Debug, Clone)]
pub struct Happening {
    /// What kind of thing.
    pub kind: Kind,
    /// In the scene: its share of the frame. With the camera: how much, in the unit of its kind.
    pub size: f32,
    /// In the scene: steps of luma for objects, share that is hidden for smoke and water.
    pub contrast: f32,
    /// Its middle, in fractions of the frame.
    pub at: (f32, f32),
    /// Everything else about it.
    pub seed: u64,
}

/// A happening that can be painted.
#[derive(Debug)]
pub struct Painted {
    happening: Happening,
    stamp: Option<Stamp>,
    texture: Lattice,
}

/// How the light at the scene is, for what is put into it.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Its strength.
    pub gain: f32,
    /// How much colour there is.
    pub colour: f32,
}

impl Painted {
    /// Draws what will be there; people are taken from those cut out.
    pub fn new(happening: Happening, people: &[Stamp]) -> Self {
        let mut random = Random::new(happening.seed, 7);
        let stamp = match happening.kind {
            Kind::Object => Some(Drawn::ALL[random.below(Drawn::ALL.len())].draw(&mut random)),
            Kind::Person => people.get(random.below(people.len())).cloned(),
            _ => None,
        };
        Self { happening, stamp, texture: Lattice::new(48, 48, &mut random) }
    }

    /// What it is.
    pub fn happening(&self) -> &Happening {
        &self.happening
    }

    /// Paints it as it is so many seconds after its beginning, and tells its box.
    pub fn paint(&self, frame: &mut Frame, seconds: f32, light: Surroundings, random: &mut Random) -> Rect {
        let Happening { kind, size, contrast, at, .. } = self.happening;
        match (kind, &self.stamp) {
            (Kind::Object, Some(stamp)) => {
                let rect = stamp.sized(size, at, (frame.width, frame.height));
                shadow(frame, &rect, 0.004 * contrast);
                let placed = Placed { rect, tone: Tone::Contrast(contrast), colour: light.colour, mirrored: false };
                stamp.paint(frame, &placed);
                rect
            }
            (Kind::Person, Some(stamp)) => {
                let rect = stamp.sized(size, at, (frame.width, frame.height));
                let placed = Placed { rect, tone: Tone::Natural(light.gain), colour: light.colour, mirrored: false };
                stamp.paint(frame, &placed);
                rect
            }
            (Kind::Smoke, _) => self.smoke(frame, seconds, light, random),
            (Kind::Water, _) => self.water(frame, seconds, light, random),
            _ => Rect::FRAME,
        }
    }

    /// The box of an ellipse that fills this share of the frame, so many times as wide as high in samples.
    fn ellipse(&self, frame: &Frame, share: f32, times: f32) -> Rect {
        let area = share * (frame.width * frame.height) as f32 / std::f32::consts::FRAC_PI_4;
        let height = (area / times).sqrt();
        let (width, height) = (height * times / frame.width as f32, height / frame.height as f32);
        let inside = |middle: f32, size: f32| (middle - size / 2.0).clamp(0.0, (1.0 - size).max(0.0));
        Rect::new(inside(self.happening.at.0, width), inside(self.happening.at.1, height), width, height)
    }

    fn grown(&self, seconds: f32) -> f32 {
        self.happening.size * (seconds / GROWS_FOR).clamp(0.05, 1.0)
    }

    fn smoke(&self, frame: &mut Frame, seconds: f32, light: Surroundings, random: &mut Random) -> Rect {
        // The visible part of a cloud with soft edges is smaller than its box.
        let rect = self.ellipse(frame, 1.5 * self.grown(seconds), 1.1);
        let drift = (random.unit() * 3.0, -0.35 * seconds);
        for plane in 0..3 {
            let level = if plane == 0 { 16.0 + 190.0 * light.gain.min(1.0) } else { 128.0 };
            each(frame, plane, &rect, |sample, x, y| {
                let far = ((2.0 * x - 1.0).powi(2) + (2.0 * y - 1.0).powi(2)).sqrt();
                let cloud = 0.5 + 0.7 * self.texture.rough(4.0 * x + drift.0, 4.0 * y - drift.1);
                let alpha = self.happening.contrast * (1.6 * (1.0 - far)).clamp(0.0, 1.0) * cloud.clamp(0.0, 1.0) * 1.6;
                *sample = blend(*sample, level, alpha.min(self.happening.contrast));
            });
        }
        rect
    }

    fn water(&self, frame: &mut Frame, seconds: f32, light: Surroundings, random: &mut Random) -> Rect {
        let rect = self.ellipse(frame, self.grown(seconds), 3.5);
        let waves = Lattice::new(64, 64, random);
        let mirror = mirrored(frame, &rect);
        for plane in 0..3 {
            let mud = match plane {
                0 => 16.0 + 100.0 * light.gain.min(1.0),
                1 => 128.0 - 10.0 * light.colour,
                _ => 128.0 + 7.0 * light.colour,
            };
            each(frame, plane, &rect, |sample, x, y| {
                let rough = 0.08 * self.texture.rough(8.0 * x, 3.0 * y);
                let far = ((2.0 * x - 1.0).powi(2) + (2.0 * y - 1.0).powi(2)).sqrt() + rough;
                let alpha = self.happening.contrast * ((1.0 - far) / 0.06).clamp(0.0, 1.0);
                let level = match plane {
                    0 => {
                        let ripple = 7.0 * light.gain * waves.at(40.0 * x, 24.0 * y);
                        0.55 * mud + 0.45 * mirror[(y * (mirror.len() - 1) as f32) as usize] + ripple
                    }
                    _ => mud,
                };
                *sample = blend(*sample, level.clamp(16.0, 235.0), alpha);
            });
        }
        rect
    }
}

/// What smooth water mirrors: the mean luma of each row above it, nearest first.
fn mirrored(frame: &Frame, rect: &Rect) -> Vec<f32> {
    let width = frame.width;
    let top = (rect.y * frame.height as f32) as usize;
    let rows = ((rect.height * frame.height as f32) as usize).max(1);
    let left = ((rect.x * width as f32) as usize).min(width - 1);
    let right = ((rect.right() * width as f32) as usize).clamp(left + 1, width);
    let mean = |row: usize| {
        let samples = &frame.planes[0][row * width + left..row * width + right];
        samples.iter().map(|sample| f32::from(*sample)).sum::<f32>() / samples.len() as f32
    };
    (0..rows).map(|down| mean(top.saturating_sub(1 + down))).collect()
}

/// The shadow at the foot of a thing.
fn shadow(frame: &mut Frame, rect: &Rect, depth: f32) {
    let under =
        Rect::new(rect.x - 0.08 * rect.width, rect.bottom() - 0.12 * rect.height, 1.3 * rect.width, 0.2 * rect.height);
    each(frame, 0, &under, |sample, x, y| {
        let far = (2.0 * x - 1.0).powi(2) + (2.0 * y - 1.0).powi(2);
        *sample = blend(*sample, 16.0, depth.min(0.4) * (1.0 - far).max(0.0));
    });
}

/// A picture for people to look at: whether what is composited looks like anything.
///
/// # Errors
/// When the file cannot be written.
pub fn write_ppm(path: &Path, frame: &Frame) -> std::io::Result<()> {
    let mut out = format!("P6\n{} {}\n255\n", frame.width, frame.height).into_bytes();
    for y in 0..frame.height {
        for x in 0..frame.width {
            let chroma = |plane: usize| f32::from(frame.planes[plane][y / 2 * (frame.width / 2) + x / 2]) - 128.0;
            let (luma, blue, red) =
                (1.164 * (f32::from(frame.planes[0][y * frame.width + x]) - 16.0), chroma(1), chroma(2));
            for value in [luma + 1.596 * red, luma - 0.813 * red - 0.391 * blue, luma + 2.018 * blue] {
                out.push(value.round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    std::fs::write(path, out)
}
