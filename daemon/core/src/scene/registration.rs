//! Where a learnt scene lies in the picture: the shift at which two structures agree best.
//!
//! Agreement is the normalised correlation of the two vector fields over what they have in common: 1 where all edges run the
//! same way, around 0 where they have nothing to do with each other. It is searched for exhaustively on the coarse level
//! within [`REACH`] of the frame, then around the best few of those on the fine one, and between its points on the parabola through the
//! neighbours. The cost is constant, some forty million multiplications of small integers.

use super::{
    structure::{COARSER, Field, Structure},
    view::{HEIGHT, WIDTH},
};

/// The farthest shift searched for, as a share of the frame's side.
pub const REACH: f32 = 0.25;

/// How many of the coarse level's best shifts are looked at closely.
const CANDIDATES: usize = 6;
/// A shift must leave so much of the learnt structure in the frame: two strips agree easily.
const LEAST_COMMON: f64 = 0.2;

/// How two structures agree at the shift that suits them best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// How well, −1 to 1.
    pub similarity: f32,
    /// How far the scene has gone to the right, in widths of the frame.
    pub dx: f32,
    /// How far the scene has gone down, in heights of the frame.
    pub dy: f32,
}

impl Match {
    /// The larger of the two shifts, as a share of the frame's side.
    pub fn shift(&self) -> f32 {
        self.dx.abs().max(self.dy.abs())
    }
}

/// How well `now` agrees with `learnt` where it stands, −1 to 1; 0 where either has no structure.
pub fn similarity(learnt: &Structure, now: &Structure) -> f32 {
    at(learnt.fine(), now.fine(), (0, 0))
}

/// The shift of `learnt` that agrees best with `now`.
pub fn register(learnt: &Structure, now: &Structure) -> Match {
    let mut best = [(f32::NEG_INFINITY, (0, 0)); CANDIDATES];
    let (reach_x, reach_y) = reach(learnt.coarse());
    for dy in -reach_y..=reach_y {
        for dx in -reach_x..=reach_x {
            insert(&mut best, at(learnt.coarse(), now.coarse(), (dx, dy)), (dx, dy));
        }
    }
    let fine = |shift| at(learnt.fine(), now.fine(), shift);
    let around = |(similarity, (x, y)): (f32, (i32, i32)), step: i32| {
        let steps = [-step, 0, step];
        let shifts = steps.into_iter().flat_map(|dy| steps.map(|dx| (dx, dy))).filter(|shift| *shift != (0, 0));
        let found = shifts.map(|(dx, dy)| (x + dx, y + dy)).map(|shift| (fine(shift), shift));
        found.fold((similarity, (x, y)), |best, found| if found.0 > best.0 { found } else { best })
    };
    // Where it stands counts in any case, so that nothing is ever found to be worse than that; and what is near is likely:
    // where a façade repeats itself, the coarse level may prefer another of its rows.
    let standing = (fine((0, 0)), (0, 0));
    let mut found = around(around(standing, 1), 1);
    for (_, (x, y)) in best.into_iter().filter(|(similarity, shift)| similarity.is_finite() && *shift != (0, 0)) {
        // Points of the coarse level are two apart: two steps reach all that lie between them, and a neighbour's best.
        let shift = (x * COARSER as i32, y * COARSER as i32);
        let nearby = around(around((fine(shift), shift), 1), 1);
        if nearby.0 > found.0 {
            found = nearby;
        }
    }
    let (similarity, (x, y)) = found;
    let dx = x as f32 + peak(fine((x - 1, y)), similarity, fine((x + 1, y)));
    let dy = y as f32 + peak(fine((x, y - 1)), similarity, fine((x, y + 1)));
    Match { similarity, dx: dx / WIDTH as f32, dy: dy / HEIGHT as f32 }
}

fn reach(field: &Field) -> (i32, i32) {
    ((field.width as f32 * REACH).ceil() as i32, (field.height as f32 * REACH).ceil() as i32)
}

/// Keeps the best shifts, best first. Neighbours are kept too: between two points of the coarse level both may be
/// lower than where a façade agrees with its own next row.
fn insert(best: &mut [(f32, (i32, i32)); CANDIDATES], similarity: f32, shift: (i32, i32)) {
    let place = best.partition_point(|(known, _)| *known >= similarity);
    if place < CANDIDATES {
        best[place..].rotate_right(1);
        best[place] = (similarity, shift);
    }
}

/// Where between −½ and ½ the parabola through three values at −1, 0 and 1 is highest.
fn peak(before: f32, here: f32, after: f32) -> f32 {
    let bend = before + after - 2.0 * here;
    if bend < -1e-6 { ((before - after) / (2.0 * bend)).clamp(-0.5, 0.5) } else { 0.0 }
}

/// Agreement where the scene has gone `dx` points to the right and `dy` down.
fn at(learnt: &Field, now: &Field, (dx, dy): (i32, i32)) -> f32 {
    let (width, height) = (learnt.width as i32, learnt.height as i32);
    if dx.abs() >= width || dy.abs() >= height {
        return 0.0;
    }
    let length = (width - dx.abs()) as usize;
    let (mut both, mut own, mut other) = (0i64, 0i64, 0i64);
    for y in dy.max(0)..height + dy.min(0) {
        let from = ((y - dy) * width + (-dx).max(0)) as usize;
        let to = (y * width + dx.max(0)) as usize;
        for (learnt, now) in [(&learnt.cos, &now.cos), (&learnt.sin, &now.sin)] {
            let (a, b) = (&learnt[from..from + length], &now[to..to + length]);
            both += i64::from(dot(a, b));
            own += i64::from(dot(a, a));
            other += i64::from(dot(b, b));
        }
    }
    if own == 0 || other == 0 || (own as f64) < LEAST_COMMON * learnt.energy as f64 {
        return 0.0;
    }
    (both as f64 / (own as f64 * other as f64).sqrt()) as f32
}

/// The sum of products; a row's fits.
pub(super) fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum()
}
