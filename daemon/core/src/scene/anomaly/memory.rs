//! What one camera has learnt of its scene, by light.
//!
//! Learning and watching look at pictures in the same way, [`Memory::take`] and [`Memory::score`]; nothing is gone through
//! twice. Each picture that is learnt from is first held against what was seen at least [`LOOKS`] pictures before it, as
//! [`calibration`](super::calibration) wants it; then it is taken in. So learning can be stopped after any picture, stored, and gone on with.
//!
//! Memory: at most [`MOST_BYTES_A_LIGHT`] a light; for maps of 40×32×40 and 112×16×20 it is 1.8 MB a light of sixteen
//! directions a position, and 5.4 MB a camera that has seen three lights. A light that was never seen takes none.

use std::{ops::Range, time::Duration};

use super::{
    bank::{Bank, Query},
    calibration::{Kept, LOOKS, Limits, Recent, STEPS, Tally, median, units},
    features::{Features, Grid, Shape, Unfit},
    heat::{Heat, cover},
};
use crate::{geometry::Rect, scene::Light, time::Mono};

/// The most bytes that are kept of one light.
pub const MOST_BYTES_A_LIGHT: usize = 2 << 20;
/// Directions a position, where they are not too many for the memory; then as many as fit.
pub(super) const MOST_PROTOTYPES: usize = 16;
/// Fewer would not tell a scene from who passes in it.
pub(super) const LEAST_PROTOTYPES: usize = 4;
/// Pictures until what is seen is worth being held against: before, all is new.
pub(super) const WARM_AFTER: u32 = 2 * LOOKS as u32;
/// Pictures from which a light is known: two dozen to see what there is, and three dozen to see how far it varies.
pub const LEAST_PICTURES: u32 = 60;
/// What is this share of the limit away, at most, from what has been seen may be followed.
const SETTLED: f32 = 0.5;
/// How often a place is followed while watching.
const ADAPT_EVERY: Duration = Duration::from_secs(600);
/// Two pictures farther apart than this are a pause, which does not count as time spent learning.
const PAUSE: Duration = Duration::from_secs(600);

/// A picture whose middle heat is this much above what is ordinary is another one as a whole, be it by the coder or by noise…
const EVEN: f32 = 0.1;
/// …and of all of its cells so many times the rest is taken out: nine in ten rise by no more than this many times what the middle one does.
const SPREADS: f32 = 3.0;
/// But where the middle one is itself beyond its limit nothing is: the whole picture is strange then, and to be told as that.
const WHOLLY: f32 = 1.0;

/// Bytes that a light of these maps takes with so many directions a position.
pub(super) fn bytes_a_light(grids: &[Grid], prototypes: usize) -> usize {
    let position = |grid: &Grid| prototypes * (grid.channels + 2 + 4 + 4) + LOOKS * 2 + STEPS * 2 + 8;
    grids.iter().map(|grid| grid.positions() * position(grid)).sum()
}

/// Whose pictures were learnt, and with which model. A memory of anything else is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The camera's id.
    pub camera: String,
    /// The digest of the model that gave the features.
    pub model: String,
    /// The digest of the view: whatever else makes two pictures of a camera comparable.
    pub view: String,
}

/// Two memories are of different scenes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("learnt of another camera, model, view or shape")]
pub struct OtherScene;

/// How far learning has come in one light.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Pictures learnt from.
    pub pictures: u32,
    /// The time they span, pauses not counted.
    pub spanned: Duration,
    /// Whether it can be watched by.
    pub is_known: bool,
    /// Share of the frame that was never free to be seen.
    pub unseen: f32,
}

/// What was learnt in one light.
#[derive(Debug, Clone)]
pub(super) struct Learnt {
    pub pictures: u32,
    pub spanned: Duration,
    /// When the last picture was taken in; not stored, for it means nothing after a restart.
    last: Option<Mono>,
    /// Since when places have been followed this time round.
    round: Option<Mono>,
    pub levels: Box<[Level]>,
}

/// What was learnt of one feature map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    pub bank: Bank,
    pub recent: Recent,
    pub tally: Tally,
    limits: Limits,
    /// By position: whether it may follow a picture. Not stored; it is soon due again.
    due: Box<[bool]>,
}

impl Level {
    fn new(grid: Grid, prototypes: usize) -> Self {
        let places = grid.positions();
        Self::from_parts(Bank::new(grid, prototypes), Recent::new(places), Tally::new(places))
    }

    pub(super) fn from_parts(bank: Bank, recent: Recent, tally: Tally) -> Self {
        let due = vec![false; bank.grid.positions()].into();
        let mut level = Self { bank, recent, tally, limits: Limits::default(), due };
        level.tally.limits(level.bank.grid.columns, &mut level.limits);
        level
    }
}

impl Learnt {
    fn new(shape: &Shape, prototypes: usize) -> Self {
        let levels = shape.grids().iter().map(|grid| Level::new(*grid, prototypes)).collect();
        Self { pictures: 0, spanned: Duration::ZERO, last: None, round: None, levels }
    }

    pub(super) fn from_parts(pictures: u32, spanned: Duration, levels: Box<[Level]>) -> Self {
        Self { pictures, spanned, last: None, round: None, levels }
    }

    fn is_known(&self) -> bool {
        self.pictures >= LEAST_PICTURES
    }
}

/// What one camera has learnt of its scene.
#[derive(Debug, Clone)]
pub struct Memory {
    pub(super) origin: Origin,
    pub(super) shape: Shape,
    pub(super) prototypes: usize,
    pub(super) lights: [Option<Box<Learnt>>; Light::ALL.len()],
}

impl Memory {
    /// Nothing learnt yet.
    pub fn new(origin: Origin, shape: Shape) -> Self {
        let prototypes = prototypes(&shape);
        Self { origin, shape, prototypes, lights: Default::default() }
    }

    /// Whose it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The form of the features it takes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Bytes that it takes now.
    pub fn bytes(&self) -> usize {
        self.lights.iter().flatten().count() * bytes_a_light(self.shape.grids(), self.prototypes)
    }

    /// How far it has come in a light.
    pub fn progress(&self, light: Light) -> Progress {
        let Some(learnt) = &self.lights[light.index()] else { return Progress { unseen: 1.0, ..Progress::default() } };
        let bank = &learnt.levels[0].bank;
        let seen = bank.hits.chunks_exact(bank.slots).filter(|hits| hits.iter().any(|hits| *hits > 0)).count();
        let unseen = 1.0 - seen as f32 / bank.grid.positions() as f32;
        Progress { pictures: learnt.pictures, spanned: learnt.spanned, is_known: learnt.is_known(), unseen }
    }

    /// Takes over the lights of which it knows nothing itself from what was learnt before of the same scene.
    ///
    /// # Errors
    /// The other one is of another camera, model, view or shape; nothing is taken over.
    pub fn take_over(&mut self, before: &Self) -> Result<(), OtherScene> {
        if self.origin != before.origin || self.shape != before.shape {
            return Err(OtherScene);
        }
        for (own, other) in self.lights.iter_mut().zip(&before.lights) {
            if own.is_none() {
                own.clone_from(other);
            }
        }
        Ok(())
    }

    /// Learns from a picture, but for the boxes that are excluded: what is known to move, and what must not be seen.
    ///
    /// # Errors
    /// Features of another form.
    pub fn take(
        &mut self,
        light: Light,
        features: Features<'_>,
        excluded: &[Rect],
        at: Mono,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        scratch.read(&self.shape, features, excluded)?;
        let (shape, prototypes) = (&self.shape, self.prototypes);
        let learnt = self.lights[light.index()].get_or_insert_with(|| Box::new(Learnt::new(shape, prototypes)));
        let passed = learnt.last.replace(at).map_or(Duration::ZERO, |last| at.since(last));
        if passed <= PAUSE {
            learnt.spanned = learnt.spanned.saturating_add(passed);
        }
        for (level, work) in learnt.levels.iter_mut().zip(&mut scratch.levels) {
            if learnt.pictures >= WARM_AFTER {
                let before = learnt.pictures - LOOKS as u32;
                level.bank.distances(&work.query, before, &work.blocked, &mut work.distances);
                level.recent.push(work.distances.iter().map(|distance| units(*distance)));
                if level.recent.is_full() {
                    level.recent.kept_up(&mut scratch.kept);
                    level.tally.count(&scratch.kept);
                    level.tally.limits(level.bank.grid.columns, &mut level.limits);
                }
            }
            level.bank.learn(&work.query, learnt.pictures, &work.blocked);
        }
        learnt.pictures = learnt.pictures.saturating_add(1);
        Ok(())
    }

    /// How strange each place of a picture is, but for the boxes that are excluded; `None` in a light that is not known.
    ///
    /// The answer has the cells of the finest map: the mean over the maps of how far a place is from what was seen there,
    /// as a share of its limit; less by what all of the picture has in common. A coder that gets coarser and a sensor that gets noisier move every place away
    /// from all that was learnt, a thing moves its own: so a cell is held against the middle one of the picture, as long as that is within its limit.
    ///
    /// # Errors
    /// Features of another form.
    pub fn score<'s>(
        &self,
        light: Light,
        features: Features<'_>,
        excluded: &[Rect],
        scratch: &'s mut Scratch,
    ) -> Result<Option<&'s Heat>, Unfit> {
        scratch.read(&self.shape, features, excluded)?;
        let Some(learnt) = self.lights[light.index()].as_ref().filter(|learnt| learnt.is_known()) else {
            return Ok(None);
        };
        for (level, work) in learnt.levels.iter().zip(&mut scratch.levels) {
            level.bank.distances(&work.query, u32::MAX, &work.blocked, &mut work.distances);
            for (distance, limit) in work.distances.iter_mut().zip(&level.limits.values) {
                // Where nothing was ever seen nothing is strange either.
                *distance = if distance.is_finite() { *distance / limit } else { f32::NAN };
            }
        }
        scratch.combine(&self.shape);
        let ordinary =
            learnt.levels.iter().map(|level| level.limits.ordinary).sum::<f32>() / learnt.levels.len() as f32;
        scratch.even_out(ordinary);
        Ok(Some(&scratch.heat))
    }

    /// Follows slow change: takes in the picture that was scored last at the cells that are `calm` (row by row, those of
    /// [`Heat`]), where it is within [`SETTLED`] of its limit, once in [`ADAPT_EVERY`] a position. A coarser position must be calm
    /// all over. Limits stay as they are.
    pub(super) fn adapt(&mut self, light: Light, calm: &[bool], at: Mono, scratch: &mut Scratch) {
        let Some(learnt) = &mut self.lights[light.index()] else { return };
        if at.since(*learnt.round.get_or_insert(at)) >= ADAPT_EVERY {
            learnt.round = Some(at);
            learnt.levels.iter_mut().for_each(|level| level.due.fill(true));
        }
        self.learn_where(light, scratch, |cells, share, due| {
            let learns = *due && share <= SETTLED && cells.all(calm);
            *due &= !learns;
            learns
        });
    }

    /// Takes in the picture that was scored last at these cells, however strange it is there: somebody said that it is normal.
    pub(super) fn accept(&mut self, light: Light, cells: &[bool], scratch: &mut Scratch) {
        self.learn_where(light, scratch, |own, share, _| !share.is_nan() && own.any(cells));
    }

    /// `learns` is asked of every position: the cells it stands for, its distance as a share of its limit, whether it is due.
    fn learn_where(&mut self, light: Light, scratch: &mut Scratch, learns: impl Fn(Cells, f32, &mut bool) -> bool) {
        let Some(learnt) = &mut self.lights[light.index()] else { return };
        let finest = self.shape.finest();
        for (level, work) in learnt.levels.iter_mut().zip(&mut scratch.levels) {
            let grid = level.bank.grid;
            let places = work.blocked.iter_mut().zip(&work.distances).zip(&mut level.due);
            for (position, ((blocked, share), due)) in places.enumerate() {
                *blocked = *blocked || !learns(Cells::of(position, grid, finest), *share, due);
            }
            level.bank.learn(&work.query, learnt.pictures, &work.blocked);
        }
    }
}

/// The cells of the finest grid that one position of another grid stands for.
struct Cells {
    rows: Range<usize>,
    columns: Range<usize>,
    width: usize,
}

impl Cells {
    fn of(position: usize, grid: Grid, finest: Grid) -> Self {
        let part = |index: usize, parts: usize, whole: usize| {
            (index * whole).div_ceil(parts)..((index + 1) * whole).div_ceil(parts)
        };
        Self {
            rows: part(position / grid.columns, grid.rows, finest.rows),
            columns: part(position % grid.columns, grid.columns, finest.columns),
            width: finest.columns,
        }
    }

    fn lines<'c>(&self, cells: &'c [bool]) -> impl Iterator<Item = &'c bool> {
        let (columns, width) = (self.columns.clone(), self.width);
        self.rows.clone().flat_map(move |row| &cells[row * width..][columns.clone()])
    }

    fn all(&self, cells: &[bool]) -> bool {
        self.lines(cells).all(|cell| *cell)
    }

    fn any(&self, cells: &[bool]) -> bool {
        self.lines(cells).any(|cell| *cell)
    }
}

/// Directions a position of these maps: as many as the memory bears.
pub(super) fn prototypes(shape: &Shape) -> usize {
    let fits = |prototypes: &usize| bytes_a_light(shape.grids(), *prototypes) <= MOST_BYTES_A_LIGHT;
    (LEAST_PROTOTYPES..=MOST_PROTOTYPES).rev().find(fits).unwrap_or(LEAST_PROTOTYPES)
}

/// What looking at a picture works with. One serves any number of memories, one after the other; nothing is allocated
/// after the first picture of a form that is scored.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    levels: Vec<Work>,
    kept: Kept,
    heat: Heat,
    known: Vec<f32>,
}

#[derive(Debug, Clone, Default)]
struct Work {
    query: Query,
    blocked: Vec<bool>,
    distances: Vec<f32>,
}

impl Scratch {
    fn read(&mut self, shape: &Shape, features: Features<'_>, excluded: &[Rect]) -> Result<(), Unfit> {
        shape.check(features)?;
        self.levels.resize_with(shape.grids().len(), Work::default);
        for ((work, map), grid) in self.levels.iter_mut().zip(features.0).zip(shape.grids()) {
            work.query.read(map);
            work.distances.resize(grid.positions(), f32::NAN);
            work.blocked.clear();
            work.blocked.resize(grid.positions(), false);
            cover(&mut work.blocked, grid.columns, grid.rows, excluded, 1);
        }
        Ok(())
    }

    fn combine(&mut self, shape: &Shape) {
        let finest = shape.finest();
        self.heat.reset(finest.columns, finest.rows, Heat::UNKNOWN);
        for (cell, heat) in self.heat.values.iter_mut().enumerate() {
            let (row, column) = (cell / finest.columns, cell % finest.columns);
            let (mut sum, mut count) = (0.0, 0.0);
            for (work, grid) in self.levels.iter().zip(shape.grids()) {
                let share = work.distances
                    [row * grid.rows / finest.rows * grid.columns + column * grid.columns / finest.columns];
                if !share.is_nan() {
                    (sum, count) = (sum + share, count + 1.0);
                }
            }
            if count > 0.0 {
                *heat = sum / count;
            }
        }
    }

    /// Takes out of all cells what the picture as a whole is farther away than is ordinary.
    fn even_out(&mut self, ordinary: f32) {
        self.known.clear();
        self.known.extend(self.heat.values.iter().filter(|heat| **heat >= 0.0));
        let Some(middle) = median(&mut self.known).filter(|middle| *middle <= WHOLLY) else { return };
        let out = SPREADS * (middle - ordinary - EVEN).max(0.0);
        self.heat.values.iter_mut().filter(|heat| **heat >= 0.0).for_each(|heat| *heat = (*heat - out).max(0.0));
    }

    /// The heat told last.
    pub fn heat(&self) -> &Heat {
        &self.heat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heat of a hundred cells, evened out where `ordinary` is the ordinary level.
    fn evened(ordinary: f32, heat: impl Fn(usize) -> f32) -> Vec<f32> {
        let values = (0..100).map(heat).collect();
        let mut scratch = Scratch { heat: Heat { columns: 10, rows: 10, values }, ..Scratch::default() };
        scratch.even_out(ordinary);
        scratch.heat.values
    }

    #[test]
    fn what_all_cells_share_is_taken_out_and_a_thing_stays() {
        // One in ten cells rises more than twice as much as the middle one, as they do when the coder gets coarser.
        let coarse = |cell: usize| if cell.is_multiple_of(10) { 1.6 } else { 0.4 + 0.005 * cell as f32 };
        assert!(evened(0.1, coarse).iter().all(|heat| (0.0..1.0).contains(heat)));
        let with_thing = evened(0.1, |cell| if cell < 5 { 5.0 } else { coarse(cell) });
        assert_eq!(with_thing.iter().filter(|heat| **heat > 1.0).count(), 5);

        // As it was learnt, as noisy by night, and with something that fills 45 % of the frame: nothing is taken out.
        let quiet = |cell: usize| 0.002 * cell as f32;
        for (ordinary, heat) in [(0.1, quiet as fn(usize) -> f32), (0.5, |cell| 0.5 + 0.001 * cell as f32)] {
            assert_eq!(evened(ordinary, heat), (0..100).map(heat).collect::<Vec<_>>());
            let filled = evened(ordinary, |cell| if cell < 45 { 1.5 } else { heat(cell) });
            assert!(filled[..45].iter().all(|heat| *heat > 1.0), "{filled:?}");
        }

        // Where the middle one is beyond its limit the whole picture is strange; where nothing can be told nothing is.
        assert_eq!(evened(0.1, |_| 1.2), [1.2; 100]);
        assert_eq!(evened(0.1, |_| Heat::UNKNOWN), [Heat::UNKNOWN; 100]);
        assert_eq!(evened(0.1, |cell| if cell == 3 { Heat::UNKNOWN } else { 0.9 })[3], Heat::UNKNOWN);
    }
}
