//! People who walk through the film, cut out of it: real ones, to be seen elsewhere too.
//!
//! The film's street with nobody in it is each sample's median over time. What differs from it, hangs together, and is as large
//! and as upright as a person, is cut out with its difference as its shape.

use std::collections::VecDeque;

use snowgate_core::geometry::Rect;

use crate::{
    frame::Frame,
    random::Random,
    stamp::{Placed, Stamp, Tone},
};

/// One picture of the film in so many is asked for the median, and for people.
const EVERY: usize = 16;
/// Steps of luma that are a difference.
const DIFFERENT: i32 = 16;
/// A person's samples, and their height over their width.
const SIZE: std::ops::Range<usize> = 500..9000;
const UPRIGHT: std::ops::Range<f32> = 1.3..4.0;
/// Around a person's samples, this belongs to them too.
const MARGIN: usize = 3;

/// The street with nobody in it.
pub fn empty(film: &[Frame]) -> Frame {
    let mut out = film[0].clone();
    let shown: Vec<&Frame> = film.iter().step_by(EVERY).collect();
    let mut values = vec![0u8; shown.len()];
    for plane in 0..3 {
        for at in 0..out.planes[plane].len() {
            for (value, frame) in values.iter_mut().zip(&shown) {
                *value = frame.planes[plane][at];
            }
            let middle = values.len() / 2;
            out.planes[plane][at] = *values.select_nth_unstable(middle).1;
        }
    }
    out
}

/// The people in every 16th picture of the film who stand alone.
pub fn cut(film: &[Frame], empty: &Frame) -> Vec<Stamp> {
    film.iter().step_by(EVERY).flat_map(|frame| cut_one(frame, empty)).collect()
}

fn cut_one(frame: &Frame, empty: &Frame) -> Vec<Stamp> {
    let (width, height) = (frame.width, frame.height);
    let differs = |at: usize| (i32::from(frame.planes[0][at]) - i32::from(empty.planes[0][at])).abs() > DIFFERENT;
    let mut open: Vec<bool> = (0..width * height).map(differs).collect();
    let mut stamps = Vec::new();
    let mut queue = VecDeque::new();
    for start in 0..open.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        let mut samples = vec![start];
        queue.push_back(start);
        while let Some(at) = queue.pop_front() {
            let (x, y) = (at % width, at / width);
            // Two samples away still hangs together.
            for y in y.saturating_sub(2)..(y + 3).min(height) {
                for x in x.saturating_sub(2)..(x + 3).min(width) {
                    if std::mem::take(&mut open[y * width + x]) {
                        samples.push(y * width + x);
                        queue.push_back(y * width + x);
                    }
                }
            }
        }
        let (left, right) = samples.iter().map(|at| at % width).fold((width, 0), |(a, b), x| (a.min(x), b.max(x)));
        let (top, bottom) = samples.iter().map(|at| at / width).fold((height, 0), |(a, b), y| (a.min(y), b.max(y)));
        let upright = (bottom - top + 1) as f32 / (right - left + 1) as f32;
        let inside = left > MARGIN && top > MARGIN && right + MARGIN < width && bottom + MARGIN < height;
        if inside && SIZE.contains(&samples.len()) && UPRIGHT.contains(&upright) {
            stamps.push(stamp(frame, &samples, (left, top, right, bottom)));
        }
    }
    stamps
}

fn stamp(frame: &Frame, samples: &[usize], (left, top, right, bottom): (usize, usize, usize, usize)) -> Stamp {
    let (left, top) = (left - MARGIN, top - MARGIN);
    let (width, height) = (right + MARGIN + 1 - left, bottom + MARGIN + 1 - top);
    let mut alpha = vec![0.0f32; width * height];
    for at in samples {
        // Each covers its neighbours too: holes close, edges are soft.
        let (x, y) = (at % frame.width - left, at / frame.width - top);
        for dy in 0..3 {
            for dx in 0..3 {
                alpha[(y + dy - 1) * width + x + dx - 1] += 0.25;
            }
        }
    }
    alpha.iter_mut().for_each(|alpha| *alpha = alpha.min(1.0));
    let sample = |plane: usize, at: usize| {
        let shrink = if plane == 0 { 1 } else { 2 };
        let (x, y) = ((at % width + left) / shrink, (at / width + top) / shrink);
        f32::from(frame.planes[plane][y * frame.columns(plane) + x])
    };
    let luma = (0..width * height).map(|at| sample(0, at)).collect();
    let chroma = [1, 2].map(|plane| (0..width * height).map(|at| sample(plane, at) - 128.0).collect());
    Stamp { width, height, alpha, luma, chroma }
}

/// People on their way through a rendered scene.
#[derive(Debug)]
pub struct Walkers<'a> {
    stamps: &'a [Stamp],
    random: Random,
    going: Vec<Walker>,
}

#[derive(Debug)]
struct Walker {
    stamp: usize,
    foot: (f32, f32),
    /// Widths of the frame in a second.
    speed: f32,
    mirrored: bool,
    /// Seconds for which they stand still.
    stands: f32,
}

/// One in so many stops for a chat.
const STOPS: f32 = 0.12;

impl<'a> Walkers<'a> {
    /// Nobody yet.
    pub fn new(stamps: &'a [Stamp], random: Random) -> Self {
        Self { stamps, random, going: Vec::new() }
    }

    /// Lets these seconds pass.
    pub fn pass(&mut self, seconds: f32) {
        for walker in &mut self.going {
            let stands = walker.stands.min(seconds);
            walker.stands -= stands;
            walker.foot.0 += walker.speed * (seconds - stands);
            walker.mirrored ^= stands == 0.0;
        }
        self.going.retain(|walker| (-0.1..1.1).contains(&walker.foot.0));
        let random = &mut self.random;
        while self.going.len() < 4 && random.unit() < 0.35 && !self.stamps.is_empty() {
            let right = random.unit() < 0.5;
            let speed = random.between(0.02, 0.06) * if right { 1.0 } else { -1.0 };
            let stands = if random.unit() < STOPS { random.between(8.0, 25.0) } else { 0.0 };
            let x = if stands > 0.0 || random.unit() < 0.5 {
                random.unit()
            } else if right {
                -0.05
            } else {
                1.05
            };
            let foot = (x, random.between(0.55, 0.98));
            self.going.push(Walker { stamp: random.below(self.stamps.len()), foot, speed, mirrored: !right, stands });
        }
    }

    /// Puts them into the picture, in this light, and tells their boxes.
    pub fn paint(&self, frame: &mut Frame, gain: f32, colour: f32) -> Vec<Rect> {
        let mut boxes = Vec::with_capacity(self.going.len());
        for walker in &self.going {
            let stamp = &self.stamps[walker.stamp];
            // Whoever is nearer is larger.
            let height = 0.1 + 0.28 * (walker.foot.1 - 0.5);
            let width = height * frame.height as f32 * stamp.width as f32 / stamp.height as f32 / frame.width as f32;
            let rect = Rect::new(walker.foot.0 - width / 2.0, walker.foot.1 - height, width, height);
            stamp.paint(frame, &Placed { rect, tone: Tone::Natural(gain), colour, mirrored: walker.mirrored });
            boxes.push(rect.clamped());
        }
        boxes
    }
}
