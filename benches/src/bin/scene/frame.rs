//! One picture in memory, and what happens to it on its way from the scene to the daemon.

use snowgate::camera::pixels::{Chroma, Pixels, Plane};
use snowgate_core::scene::{Picture, Samples};

use crate::random::{Gaussian, Random};

/// I420, video range, BT.601. Width and height are even.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Samples of luma in a row.
    pub width: usize,
    /// Rows of luma.
    pub height: usize,
    /// Y, U, V without any padding.
    pub planes: [Vec<u8>; 3],
}

impl Frame {
    /// A grey one.
    pub fn new(width: usize, height: usize) -> Self {
        let chroma = vec![128; width / 2 * (height / 2)];
        Self { width, height, planes: [vec![126; width * height], chroma.clone(), chroma] }
    }

    /// The samples in a row of a plane.
    pub fn columns(&self, plane: usize) -> usize {
        if plane == 0 { self.width } else { self.width / 2 }
    }

    /// As the judgement of scenes takes it.
    pub fn picture(&self) -> Picture<'_> {
        let samples = |plane: usize| {
            let width = self.columns(plane);
            Samples {
                data: &self.planes[plane],
                stride: width,
                step: 1,
                width,
                height: self.planes[plane].len() / width,
            }
        };
        Picture { luma: samples(0), chroma: Some([samples(1), samples(2)]), full_range: false }
    }

    /// As the models take it.
    pub fn pixels(&self) -> Pixels<'_> {
        let plane = |plane: usize| {
            let width = self.columns(plane);
            Plane { data: &self.planes[plane], stride: width, width, height: self.planes[plane].len() / width }
        };
        let chroma = Chroma::Planar { u: plane(1), v: plane(2) };
        Pixels { luma: plane(0), chroma, full_range: false, bt709: false }
    }

    /// A part of it; all numbers even.
    pub fn crop(&self, (left, top): (usize, usize), (width, height): (usize, usize)) -> Self {
        let mut out = Self::new(width, height);
        for plane in 0..3 {
            let shrink = if plane == 0 { 1 } else { 2 };
            let (from, to) = (self.columns(plane), out.columns(plane));
            for (y, row) in out.planes[plane].chunks_exact_mut(to).enumerate() {
                row.copy_from_slice(&self.planes[plane][(y + top / shrink) * from + left / shrink..][..to]);
            }
        }
        out
    }

    /// More light or less: luma above black and colour, multiplied.
    pub fn expose(&mut self, gain: f32) -> &mut Self {
        if (gain - 1.0).abs() > 1e-4 {
            let table = |middle: f32| -> Vec<u8> {
                (0..256).map(|at| (middle + (at as f32 - middle) * gain).round().clamp(1.0, 254.0) as u8).collect()
            };
            for (plane, middle) in self.planes.iter_mut().zip([16.0, 128.0, 128.0]) {
                let table = table(middle);
                plane.iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]);
            }
        }
        self
    }

    /// Out of focus: two box blurs of this radius in samples of luma.
    pub fn blur(&mut self, radius: usize) -> &mut Self {
        if radius > 0 {
            for plane in 0..3 {
                let columns = self.columns(plane);
                let radius = if plane == 0 { radius } else { radius.div_ceil(2) };
                for _ in 0..2 {
                    blur(&mut self.planes[plane], columns, radius);
                }
            }
        }
        self
    }

    /// Something plain before the lens, as wide as the frame and this share of its height, from above.
    pub fn cover(&mut self, share: f32, luma: u8) -> &mut Self {
        let soft = self.height as f32 * 0.04;
        let edge = self.height as f32 * share;
        for plane in 0..3 {
            let columns = self.columns(plane);
            let (shrink, level) = if plane == 0 { (1.0, f32::from(luma)) } else { (2.0, 130.0) };
            for (y, row) in self.planes[plane].chunks_exact_mut(columns).enumerate() {
                // What is so near is out of focus: its edge is soft.
                let alpha = if share >= 1.0 { 1.0 } else { ((edge - y as f32 * shrink) / soft).clamp(0.0, 1.0) };
                row.iter_mut().for_each(|sample| *sample = blend(*sample, level, alpha));
            }
        }
        self
    }

    /// A sensor's noise; colour has less of it.
    pub fn noise(&mut self, deviation: f32, gaussian: &Gaussian, random: &mut Random) -> &mut Self {
        if deviation > 0.0 {
            for plane in 0..3 {
                let (columns, deviation) = (self.columns(plane), if plane == 0 { deviation } else { 0.4 * deviation });
                // Infra-red has no colour to be noisy.
                if plane > 0 && self.planes[plane].iter().all(|sample| *sample == 128) {
                    continue;
                }
                self.planes[plane].chunks_exact_mut(columns).for_each(|row| gaussian.add(row, deviation, random));
            }
        }
        self
    }
}

/// `under` with so much of `over` on it.
pub fn blend(under: u8, over: f32, alpha: f32) -> u8 {
    let under = f32::from(under);
    (under + alpha * (over - under) + 0.5) as u8
}

/// A box blur, rows first, then columns; edges are repeated.
fn blur(plane: &mut [u8], columns: usize, radius: usize) {
    let rows = plane.len() / columns;
    let mut line = vec![0u8; columns.max(rows)];
    let mut pass = |plane: &mut [u8], start: usize, count: usize, step: usize| {
        for (at, sample) in line.iter_mut().enumerate().take(count) {
            *sample = plane[start + at * step];
        }
        let line = &line[..count];
        let value = |at: i64| i64::from(line[at.clamp(0, count as i64 - 1) as usize]);
        let radius = radius as i64;
        let mut sum: i64 = (-radius..=radius).map(value).sum();
        for at in 0..count as i64 {
            plane[start + at as usize * step] = (sum / (2 * radius + 1)) as u8;
            sum += value(at + radius + 1) - value(at - radius);
        }
    };
    (0..rows).for_each(|row| pass(plane, row * columns, columns, 1));
    (0..columns).for_each(|column| pass(plane, column, rows, columns));
}
