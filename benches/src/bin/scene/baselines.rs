//! What Snowgate is compared with: two plain detectors, in the same run and on the same pictures.
//!
//! Each keeps a running mean of the camera's ordinary pictures, a light at a time, and scores a picture by its distance from it,
//! divided by the largest distance of the second half of learning.

use std::collections::VecDeque;

use snowgate_core::{
    geometry::Rect,
    scene::{Light, View, anomaly::Features, view},
};

/// Steps of luma that a plain background difference counts as changed.
const CHANGED: f32 = 12.0;
/// What each later picture replaces of a mean: twenty minutes at five seconds a picture.
const ADAPT: f32 = 1.0 / 240.0;

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Grey pictures of 160 × 90: the largest patch of samples that differ from their running mean by [`CHANGED`].
    /// What has lasted are the samples that have differed in every picture.
    Background,
    /// The last feature map's average over all positions: its Euclidean distance from its running mean.
    FeatureMean,
}

/// What a detector says of a picture; 1 is the most that was seen while learning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Of the picture alone.
    pub now: f32,
    /// Of what has lasted.
    pub held: f32,
    /// Where that is; everywhere, if it cannot be told.
    pub place: Option<Rect>,
}

/// One plain detector and what it has learnt of a camera.
#[derive(Debug, Clone)]
pub struct Baseline {
    method: Method,
    /// Pictures for which something must last.
    lasts: u32,
    lights: [Normal; 3],
    /// For how many pictures each sample has been changed; of the feature mean, the last distances.
    changed: Vec<u32>,
    distances: VecDeque<f32>,
}

#[derive(Debug, Clone, Default)]
struct Normal {
    mean: Vec<f32>,
    seen: usize,
    limit: f32,
}

impl Baseline {
    /// One that has learnt nothing; something must last for so many pictures.
    pub fn new(method: Method, lasts: u32) -> Self {
        Self { method, lasts, lights: Default::default(), changed: Vec::new(), distances: VecDeque::new() }
    }

    /// Learns an ordinary picture; while `calibrating`, its distance too.
    pub fn learn(&mut self, light: Light, view: &View, features: Features<'_>, calibrating: bool) {
        let values = self.describe(view, features);
        let normal = &mut self.lights[light as usize];
        if calibrating && normal.seen > 0 {
            normal.limit = normal.limit.max(distance(self.method, &normal.mean, &values));
        }
        normal.seen += 1;
        normal.follow(&values, 1.0 / normal.seen as f32);
    }

    /// How far a picture is from ordinary; then follows it slowly.
    pub fn score(&mut self, light: Light, view: &View, features: Features<'_>) -> Score {
        let values = self.describe(view, features);
        let normal = &mut self.lights[light as usize];
        if normal.seen == 0 {
            return Score::default();
        }
        let limit = normal.limit.max(1e-6);
        let now = distance(self.method, &normal.mean, &values) / limit;
        let (held, place) = match self.method {
            Method::Background => {
                self.changed.resize(values.len(), 0);
                for ((run, mean), value) in self.changed.iter_mut().zip(&normal.mean).zip(&values) {
                    *run = if has_changed(*mean, *value) { *run + 1 } else { 0 };
                }
                let lasting = self.changed.iter().map(|run| *run >= self.lasts).collect();
                let (patch, place) = largest_patch(lasting);
                (patch as f32 / values.len() as f32 / limit, Some(place))
            }
            Method::FeatureMean => {
                self.distances.push_back(now);
                let lasts = self.lasts as usize;
                self.distances.drain(..self.distances.len().saturating_sub(lasts));
                let least = self.distances.iter().copied().fold(f32::INFINITY, f32::min);
                (if self.distances.len() < lasts { 0.0 } else { least }, None)
            }
        };
        normal.follow(&values, ADAPT);
        Score { now, held, place }
    }

    fn describe(&self, view: &View, features: Features<'_>) -> Vec<f32> {
        match (self.method, features.0.last()) {
            (Method::FeatureMean, Some(map)) => {
                let positions = map.rows * map.columns;
                map.values
                    .chunks_exact(positions)
                    .map(|channel| channel.iter().sum::<f32>() / positions as f32)
                    .collect()
            }
            _ => view.grey().to_vec(),
        }
    }
}

impl Normal {
    fn follow(&mut self, values: &[f32], weight: f32) {
        if self.mean.len() != values.len() {
            self.mean = values.to_vec();
        }
        self.mean.iter_mut().zip(values).for_each(|(mean, value)| *mean += weight * (value - *mean));
    }
}

fn has_changed(mean: f32, value: f32) -> bool {
    (mean - value).abs() > CHANGED
}

fn distance(method: Method, mean: &[f32], values: &[f32]) -> f32 {
    match method {
        Method::Background => {
            let changed = mean.iter().zip(values).map(|(mean, value)| has_changed(*mean, *value)).collect();
            largest_patch(changed).0 as f32 / mean.len().max(1) as f32
        }
        Method::FeatureMean => mean.iter().zip(values).map(|(mean, value)| (mean - value).powi(2)).sum::<f32>().sqrt(),
    }
}

/// How many samples the largest patch has that hangs together by its sides, and where it lies in the frame.
fn largest_patch(mut open: Vec<bool>) -> (usize, Rect) {
    let (width, height) = (view::WIDTH, view::HEIGHT);
    let (mut largest, mut patch, mut queue) = (Vec::new(), Vec::new(), Vec::new());
    for start in 0..open.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        queue.push(start);
        patch.clear();
        while let Some(at) = queue.pop() {
            patch.push(at);
            let column = at % width;
            let sides = [
                at.checked_sub(width),
                Some(at + width),
                at.checked_sub(1).filter(|_| column > 0),
                Some(at + 1).filter(|_| column + 1 < width),
            ];
            for side in sides.into_iter().flatten() {
                if open.get_mut(side).is_some_and(std::mem::take) {
                    queue.push(side);
                }
            }
        }
        if patch.len() > largest.len() {
            std::mem::swap(&mut patch, &mut largest);
        }
    }
    let cell = |at: &usize| {
        let (x, y) = ((at % width) as f32 / width as f32, (at / width) as f32 / height as f32);
        Rect::new(x, y, 1.0 / width as f32, 1.0 / height as f32)
    };
    (largest.len(), largest.iter().map(cell).reduce(|a, b| a.union(&b)).unwrap_or_default())
}
