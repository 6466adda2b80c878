//! Things that are put into a picture: a shape with soft edges, its brightness and its colour.

use snowgate_core::geometry::Rect;

use crate::{
    frame::{Frame, blend},
    random::{Lattice, Random},
};

/// Samples in a row and rows of things that are drawn.
const DRAWN: usize = 96;

/// A thing. All its planes have its size.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Samples in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// How much of what lies beneath it hides, 0 to 1.
    pub alpha: Vec<f32>,
    /// Luma.
    pub luma: Vec<f32>,
    /// Blue and red difference, from the middle.
    pub chroma: [Vec<f32>; 2],
}

/// How bright a thing is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tone {
    /// As it is, in a light of this strength.
    Natural(f32),
    /// So many steps of luma brighter or darker, on average, than what it stands before, whichever there is room for; half as
    /// many are the standard deviation of its texture.
    Contrast(f32),
}

/// Where and how a thing is put.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// Its box, in fractions of the frame.
    pub rect: Rect,
    /// How bright.
    pub tone: Tone,
    /// How much colour it keeps, 0 to 1.
    pub colour: f32,
    /// Whether left and right change sides.
    pub mirrored: bool,
}

impl Stamp {
    /// The share of its box that it fills.
    pub fn fill(&self) -> f32 {
        self.alpha.iter().sum::<f32>() / self.alpha.len().max(1) as f32
    }

    /// The box, in fractions of a frame of this size, of which it fills `share`, with its middle there.
    pub fn sized(&self, share: f32, (x, y): (f32, f32), frame: (usize, usize)) -> Rect {
        let area = share / self.fill().max(0.01) * (frame.0 * frame.1) as f32;
        let height = (area * self.height as f32 / self.width as f32).sqrt();
        let (width, height) = (area / height / frame.0 as f32, height / frame.1 as f32);
        let inside = |middle: f32, size: f32| (middle - size / 2.0).clamp(0.0, (1.0 - size).max(0.0));
        Rect::new(inside(x, width), inside(y, height), width, height)
    }

    /// Puts it into a picture.
    pub fn paint(&self, frame: &mut Frame, placed: &Placed) {
        let Placed { rect, tone, colour, mirrored } = *placed;
        let (mean, deviation) = self.mean_and_deviation();
        let under = self.under(frame, &rect);
        let level = |luma: f32| match tone {
            Tone::Natural(gain) => 16.0 + (luma - 16.0) * gain,
            Tone::Contrast(steps) => {
                let away = if under > 125.0 { -steps } else { steps };
                under + away + (luma - mean) / deviation * 0.5 * steps
            }
        };
        let tint = match tone {
            Tone::Natural(gain) => colour * gain,
            Tone::Contrast(steps) => colour * (steps / 60.0).min(1.0),
        };
        for plane in 0..3 {
            each(frame, plane, &rect, |sample, across, down| {
                let across = if mirrored { 1.0 - across } else { across };
                let at = self.at(across, down);
                let over = match plane {
                    0 => level(self.luma[at]),
                    _ => 128.0 + tint * self.chroma[plane - 1][at],
                };
                *sample = blend(*sample, over.clamp(16.0, 235.0), self.alpha[at]);
            });
        }
    }

    fn at(&self, across: f32, down: f32) -> usize {
        let place = |share: f32, count: usize| ((share * count as f32) as usize).min(count - 1);
        place(down, self.height) * self.width + place(across, self.width)
    }

    fn mean_and_deviation(&self) -> (f32, f32) {
        let total = self.alpha.iter().sum::<f32>().max(1.0);
        let sum =
            |of: &dyn Fn(f32) -> f32| self.alpha.iter().zip(&self.luma).map(|(a, l)| a * of(*l)).sum::<f32>() / total;
        let mean = sum(&|luma| luma);
        (mean, sum(&|luma| (luma - mean).powi(2)).sqrt().max(1.0))
    }

    /// The mean luma that it will hide.
    fn under(&self, frame: &mut Frame, rect: &Rect) -> f32 {
        let (mut sum, mut total) = (0.0, 0.0);
        each(frame, 0, rect, |sample, across, down| {
            let alpha = self.alpha[self.at(across, down)];
            sum += alpha * f32::from(*sample);
            total += alpha;
        });
        sum / f32::max(total, 0.001)
    }
}

/// Goes through the samples of a plane within a box, with their place in it, 0 to 1.
pub fn each(frame: &mut Frame, plane: usize, rect: &Rect, mut with: impl FnMut(&mut u8, f32, f32)) {
    let columns = frame.columns(plane);
    let rows = frame.planes[plane].len() / columns;
    let (width, height) = (rect.width * columns as f32, rect.height * rows as f32);
    let (left, top) = (rect.x * columns as f32, rect.y * rows as f32);
    let span = |from: f32, size: f32, most: usize| {
        let edge = |at: f32| (at.round().max(0.0) as usize).min(most);
        edge(from)..edge(from + size)
    };
    for y in span(top, height, rows) {
        let down = ((y as f32 + 0.5 - top) / height).clamp(0.0, 1.0);
        let row = &mut frame.planes[plane][y * columns..(y + 1) * columns];
        for x in span(left, width, columns) {
            with(&mut row[x], ((x as f32 + 0.5 - left) / width).clamp(0.0, 1.0), down);
        }
    }
}

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// A cardboard box, a crate.
    Crate,
    /// A filled bag.
    Bag,
    /// A heap of rubbish or rubble.
    Heap,
}

impl Drawn {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Crate, Self::Bag, Self::Heap];

    /// Draws one; every seed gives another.
    pub fn draw(self, random: &mut Random) -> Stamp {
        let grain = Lattice::new(24, 24, random);
        let (mut alpha, mut luma) = (vec![0.0; DRAWN * DRAWN], vec![0.0; DRAWN * DRAWN]);
        let mut chroma = [vec![0.0; DRAWN * DRAWN], vec![0.0; DRAWN * DRAWN]];
        let tint = [random.between(-30.0, 20.0), random.between(-20.0, 30.0)];
        let pieces: Vec<[f32; 5]> = (0..40)
            .map(|_| {
                [
                    random.unit(),
                    random.unit(),
                    random.between(0.05, 0.2),
                    random.between(0.05, 0.15),
                    random.between(-80.0, 80.0),
                ]
            })
            .collect();
        for at in 0..DRAWN * DRAWN {
            let (x, y) = ((at % DRAWN) as f32 / DRAWN as f32, (at / DRAWN) as f32 / DRAWN as f32);
            let rough = grain.rough(x * 6.0, y * 6.0);
            // How far inside it lies, in widths of the stamp.
            let (inside, level) = match self {
                Self::Crate => {
                    let inside = (0.5 - (x - 0.5).abs()).min(0.5 - (y - 0.5).abs());
                    let side = if x > 0.68 {
                        -50.0
                    } else if y < 0.22 {
                        40.0
                    } else {
                        0.0
                    };
                    let tape = if (x - 0.34).abs() < 0.04 { 35.0 } else { 0.0 };
                    let slats = if (y * 5.0).fract() < 0.12 { -30.0 } else { 0.0 };
                    (inside, 110.0 + side + tape + slats + 12.0 * rough)
                }
                Self::Bag => {
                    let radius = 0.44 + 0.05 * rough - 0.1 * (0.5 - y).max(0.0);
                    let far = ((x - 0.5).powi(2) + (y - 0.54).powi(2)).sqrt();
                    let shine = 60.0 * (1.0 - ((x - 0.38).powi(2) + (y - 0.36).powi(2)) * 18.0).max(0.0);
                    (radius - far, 90.0 - 60.0 * far + shine + 45.0 * rough)
                }
                Self::Heap => {
                    let slope = 0.55 * (1.0 - (2.0 * x - 1.0).abs().powf(1.5)) + 0.35 + 0.1 * rough;
                    let mut piece = pieces
                        .iter()
                        .filter(|[px, py, w, h, _]| (x - px).abs() < *w && (y - py).abs() < *h)
                        .map(|p| p[4]);
                    let inside = (y - (1.0 - slope)).min(0.5 - (x - 0.5).abs()).min(1.0 - y);
                    (inside, 100.0 + piece.next_back().unwrap_or(0.0) + 25.0 * rough)
                }
            };
            alpha[at] = (inside / 0.03).clamp(0.0, 1.0);
            luma[at] = level.clamp(16.0, 235.0);
            for (plane, tint) in chroma.iter_mut().zip(tint) {
                plane[at] = tint + 8.0 * rough;
            }
        }
        Stamp { width: DRAWN, height: DRAWN, alpha, luma, chroma }
    }
}
