//! One key frame, reduced to what the judgement of a camera's health needs.
//!
//! A [`View`] is made once and takes picture after picture; after the first of a size it allocates nothing. Each picture is
//! gone through once, row by row: all of luma is summed up into a small grey picture of [`WIDTH`] × [`HEIGHT`] area averages
//! and into a digest, a quarter of its rows has its fine differences measured, an eighth its vertical ones. The cost is
//! linear in the samples. The same samples always give the same view.

mod colour;
mod digest;
mod fine;

use self::{colour::Colour, digest::Digest, fine::Fine};
use super::{
    picture::{Picture, Samples},
    structure::{Structure, TILES},
};
use crate::geometry::{Point, Polygon};

/// Columns of the reduced picture.
pub const WIDTH: usize = 160;
/// Rows of the reduced picture.
pub const HEIGHT: usize = 90;

/// Luma up to this share of white is nearly black, above the other nearly white.
const NEARLY_BLACK: f32 = 0.09;
const NEARLY_WHITE: f32 = 0.98;
/// One row in so many is asked for black and white.
const EVERY_ROW: usize = 4;
/// A tile with less than this of structure shows nothing; see [`Structure::tiles`].
pub(super) const NO_STRUCTURE: f32 = 0.08;
/// Structure is what exceeds gradients of this share of the spread across two reduced samples, within these levels: faint in
/// a bright picture, clear in a dim one or in fog…
const GRADIENT: f32 = 0.1;
const GRADIENTS: [f32; 2] = [2.0, 4.0];
/// …and so many times the energy that noise leaves in them.
const NOISE_FACTOR: f64 = 12.0;

/// What one picture measures. Levels and deviations of luma are in steps of 1/255 between black and white, whatever the
/// range of the samples; shares are 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measures {
    /// Samples in a row and rows of the picture; zero where there is no picture.
    pub size: (usize, usize),
    /// Mean luma, 0 to 255.
    pub mean: f32,
    /// Standard deviation of luma between areas, that is of the reduced picture; noise and fine texture are not in it.
    pub spread: f32,
    /// Share of nearly black samples.
    pub black: f32,
    /// Share of nearly white samples.
    pub white: f32,
    /// About one over the width of edges in samples: 1 where edges are steps, 0.1 where they are ramps ten samples wide.
    /// It does not change with light and contrast. None where edges are too few or too faint to stand out of the noise.
    pub sharpness: Option<f32>,
    /// Standard deviation of the noise, measured where the picture is plainest.
    pub noise: f32,
    /// Share of the frame's tiles without any structure.
    pub flat: f32,
    /// Share of the frame with edges along the coder's grid: lost or damaged macroblocks.
    pub blocky: f32,
    /// Standard deviation of the colour differences: around 0 under infra-red, several steps by day. None without chroma.
    pub colour: Option<f32>,
    /// Share of the frame in greens and pinks that only broken decoding gives.
    pub unnatural: f32,
    /// Equal for pictures whose samples are all equal, and practically never otherwise.
    pub digest: u64,
}

/// One key frame, reduced. See the module.
#[derive(Debug)]
pub struct View {
    measures: Measures,
    grey: Box<[f32]>,
    /// Where the reduced picture shows what nobody may look at.
    masked: Box<[usize]>,
    structure: Structure,
    sums: Vec<u16>,
    fine: Fine,
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

impl View {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self {
            measures: Measures::default(),
            grey: vec![0.0; WIDTH * HEIGHT].into(),
            masked: Box::default(),
            structure: Structure::default(),
            sums: Vec::new(),
            fine: Fine::default(),
        }
    }

    /// The same, where nobody may look at what lies inside of these: the reduced picture is plain there, and has no structure.
    pub fn masking(masks: &[Polygon]) -> Self {
        let mut masked = vec![false; WIDTH * HEIGHT];
        masks.iter().for_each(|mask| cover(mask, &mut masked));
        let masked = masked.iter().enumerate().filter(|(_, masked)| **masked).map(|(cell, _)| cell).collect();
        Self { masked, ..Self::new() }
    }

    /// Takes a picture in place of the one before. Any numbers may come in; of a picture that is not all there, the rows
    /// that are count, and one without any leaves measures of size zero.
    pub fn take(&mut self, picture: &Picture<'_>) -> &Measures {
        let luma = Samples { step: 1, ..picture.luma };
        let (width, height) = (luma.columns(), luma.rows());
        if width == 0 || height == 0 {
            self.measures = Measures::default();
            self.grey.fill(0.0);
            self.structure.build(&self.grey, 1.0);
            return &self.measures;
        }
        let range = Range::of(picture);
        let mut digest = Digest::NEW;
        let (black, white) = self.read(&luma, (width, height), &range, &mut digest);
        let colour = picture.chroma.as_ref().map_or(Colour::default(), |chroma| colour::measure(chroma, &mut digest));
        self.burn_in_masks();
        let texture = self.fine.texture(f64::from(range.scale), &self.grey);

        let area = (width as f64 / WIDTH as f64).max(1.0) * (height as f64 / HEIGHT as f64).max(1.0);
        let noise_left = 4.0 * texture.noise * texture.noise / area;
        let (mean, spread) = mean_and_spread(&self.grey);
        let gradient = (GRADIENT * spread).clamp(GRADIENTS[0], GRADIENTS[1]);
        self.structure.build(&self.grey, gradient * gradient + (NOISE_FACTOR * noise_left) as f32);
        let flat = self.structure.tiles().iter().filter(|strength| **strength < NO_STRUCTURE).count();
        self.measures = Measures {
            size: (width, height),
            mean,
            spread,
            black,
            white,
            sharpness: texture.sharpness,
            noise: texture.noise as f32,
            flat: flat as f32 / TILES as f32,
            blocky: texture.blocky,
            colour: colour.spread,
            unnatural: colour.unnatural,
            digest: digest.value(),
        };
        &self.measures
    }

    /// Makes what is masked as bright as the rest of the picture is on average.
    fn burn_in_masks(&mut self) {
        if self.masked.is_empty() {
            return;
        }
        self.masked.iter().for_each(|cell| self.grey[*cell] = 0.0);
        let rest = (self.grey.len() - self.masked.len()).max(1);
        let mean = self.grey.iter().sum::<f32>() / rest as f32;
        self.masked.iter().for_each(|cell| self.grey[*cell] = mean);
    }

    /// What the last picture measures.
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// The last picture, reduced: rows of [`WIDTH`] area averages of luma, 0 black to 255 white.
    pub fn grey(&self) -> &[f32] {
        &self.grey
    }

    /// Where the last picture has edges, and which way they run.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// Goes through luma once. Returns the shares of nearly black and nearly white samples.
    fn read(
        &mut self,
        luma: &Samples<'_>,
        (width, height): (usize, usize),
        range: &Range,
        digest: &mut Digest,
    ) -> (f32, f32) {
        self.fine.begin(width, height);
        self.sums.resize(width, 0);
        let (mut black, mut white, mut asked) = (0u64, 0u64, 0u64);
        let mut above = None;
        let mut next = 0;
        for (line, out) in self.grey.chunks_exact_mut(WIDTH).enumerate() {
            let rows = share_of(line, HEIGHT, height);
            self.sums.fill(0);
            // A picture with fewer rows than the reduced one has some of them shown twice.
            for y in rows.clone() {
                let Some(row) = luma.row(y) else { continue };
                // At most 16384 / 90 rows of 255: they fit.
                self.sums.iter_mut().zip(row).for_each(|(sum, sample)| *sum = sum.wrapping_add(u16::from(*sample)));
                if y < next {
                    continue;
                }
                next = y + 1;
                digest.take(row);
                self.fine.take(y, row, above);
                above = Some(row);
                if y % EVERY_ROW == 0 {
                    black += row.iter().map(|sample| u32::from(*sample <= range.nearly_black)).sum::<u32>() as u64;
                    white += row.iter().map(|sample| u32::from(*sample >= range.nearly_white)).sum::<u32>() as u64;
                    asked += row.len() as u64;
                }
            }
            for (column, out) in out.iter_mut().enumerate() {
                let columns = share_of(column, WIDTH, width);
                let count = columns.len() * rows.len();
                let sum: u32 = self.sums[columns].iter().map(|sum| u32::from(*sum)).sum();
                *out = range.level(sum as f32 / count as f32);
            }
        }
        let asked = asked.max(1) as f32;
        (black as f32 / asked, white as f32 / asked)
    }
}

/// The samples of `count` that are the `index`th of `parts` parts; at least one.
fn share_of(index: usize, parts: usize, count: usize) -> std::ops::Range<usize> {
    let start = index * count / parts;
    start..((index + 1) * count / parts).max(start + 1)
}

/// Sets the cells of the reduced picture that a polygon meets: those whose middle is inside, and those that an edge goes through.
fn cover(mask: &Polygon, cells: &mut [bool]) {
    for (cell, masked) in cells.iter_mut().enumerate() {
        let (x, y) = ((cell % WIDTH) as f32 + 0.5, (cell / WIDTH) as f32 + 0.5);
        *masked |= mask.contains(Point { x: x / WIDTH as f32, y: y / HEIGHT as f32 });
    }
    let corner = |point: &Point| (point.x * WIDTH as f32, point.y * HEIGHT as f32);
    let corners = mask.corners();
    for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        let (from, to) = (corner(from), corner(to));
        let (upper, lower) = if from.1 <= to.1 { (from, to) } else { (to, from) };
        let across = |y: f32| {
            let share = ((y - upper.1) / (lower.1 - upper.1).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
            upper.0 + share * (lower.0 - upper.0)
        };
        for line in (upper.1 as usize)..=(lower.1 as usize).min(HEIGHT - 1) {
            // An edge that runs level is in one line from end to end.
            let slopes = lower.1 > upper.1;
            let ends = if slopes { (across(line as f32), across(line as f32 + 1.0)) } else { (upper.0, lower.0) };
            let columns = (ends.0.min(ends.1) as usize)..=(ends.0.max(ends.1) as usize).min(WIDTH - 1);
            columns.for_each(|column| cells[line * WIDTH + column] = true);
        }
    }
}

/// In `f64`, so that a constant picture has no spread at all.
fn mean_and_spread(grey: &[f32]) -> (f32, f32) {
    let count = grey.len() as f64;
    let mean = grey.iter().map(|level| f64::from(*level)).sum::<f64>() / count;
    let variance = grey.iter().map(|level| (f64::from(*level) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, variance.sqrt() as f32)
}

/// How samples become levels.
struct Range {
    black: f32,
    scale: f32,
    nearly_black: u8,
    nearly_white: u8,
}

impl Range {
    fn of(picture: &Picture<'_>) -> Self {
        let (black, white) = if picture.full_range { (0.0, 255.0) } else { (16.0, 235.0) };
        let sample = |share: f32| (black + share * (white - black)) as u8;
        Self {
            black,
            scale: 255.0 / (white - black),
            nearly_black: sample(NEARLY_BLACK),
            nearly_white: sample(NEARLY_WHITE),
        }
    }

    fn level(&self, mean: f32) -> f32 {
        ((mean - self.black) * self.scale).clamp(0.0, 255.0)
    }
}

#[cfg(test)]
mod tests;
