//! What has been seen at each position of one feature map: a few directions a position, each a vector of bytes.
//!
//! Features are compared by their direction (cosine), so that contrast, which scales them, matters little. A picture that
//! shows at a position what was seen before pulls the nearest direction a little towards itself; one that does not takes
//! the place of the direction that was seen least. So what is always there stays, and who passes leaves one of many
//! places that the next one takes.

use super::features::{FeatureMap, Grid};

/// Directions that are nearer than this (1 − cosine) are one and the same.
pub(super) const SAME: f32 = 0.05;
/// How much of a direction a picture replaces at least, as its reciprocal. Less would be lost in the rounding to bytes.
const LEAST_STEP: u16 = 4;
/// From so many sightings on those of a position count half, so that the past does not outweigh the present for ever.
const MOST_HITS: u16 = 4096;
/// The longest direction in bytes.
const SCALE: f32 = 127.0;

/// Seen directions, by position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bank {
    pub grid: Grid,
    /// Directions a position.
    pub slots: usize,
    /// `[position][slot][channel]`.
    pub directions: Box<[i8]>,
    /// `[position][slot]`: how often it was seen, 0 where the slot is free.
    pub hits: Box<[u16]>,
    /// `[position][slot]`: the picture in which it was seen first.
    pub born: Box<[u32]>,
    /// `[position][slot]`: the reciprocal of its length; it follows from `directions`.
    inverse: Box<[f32]>,
}

/// The direction nearest to what a position shows.
#[derive(Debug, Clone, Copy)]
struct Nearest {
    slot: usize,
    distance: f32,
}

impl Bank {
    pub(super) fn new(grid: Grid, slots: usize) -> Self {
        let count = grid.positions() * slots;
        Self {
            grid,
            slots,
            directions: vec![0; count * grid.channels].into(),
            hits: vec![0; count].into(),
            born: vec![0; count].into(),
            inverse: vec![0.0; count].into(),
        }
    }

    /// One that was stored. `None` where its parts do not fit together, a direction that is in use has no length, or one was seen
    /// more often than is ever counted.
    pub(super) fn from_parts(
        grid: Grid,
        slots: usize,
        directions: Box<[i8]>,
        hits: Box<[u16]>,
        born: Box<[u32]>,
    ) -> Option<Self> {
        let count = grid.positions() * slots;
        if directions.len() != count * grid.channels || hits.len() != count || born.len() != count {
            return None;
        }
        let inverse: Box<[f32]> = directions.chunks_exact(grid.channels).map(inverse_length).collect();
        let sound = hits.iter().zip(&inverse).all(|(hits, inverse)| *hits == 0 || *hits < MOST_HITS && *inverse > 0.0);
        sound.then_some(Self { grid, slots, directions, hits, born, inverse })
    }

    /// How far (1 − cosine, 0 to 2) each position of a picture is from what was seen there before the picture `before`.
    /// Infinite where nothing was seen yet; NaN where the picture is blocked or tells nothing.
    pub(super) fn distances(&self, query: &Query, before: u32, blocked: &[bool], distances: &mut [f32]) {
        for (position, (distance, blocked)) in distances.iter_mut().zip(blocked).enumerate() {
            *distance = match query.get(position) {
                Some((direction, inverse)) if !blocked => {
                    self.nearest(position, direction, inverse, before).map_or(f32::INFINITY, |nearest| nearest.distance)
                }
                _ => f32::NAN,
            };
        }
    }

    /// Takes in the picture of this number at all positions that are not blocked. Where it shows what has not been seen, the
    /// direction seen least gives way.
    pub(super) fn learn(&mut self, query: &Query, picture: u32, blocked: &[bool]) {
        for (position, blocked) in blocked.iter().enumerate() {
            let Some((direction, inverse)) = query.get(position).filter(|_| !blocked) else { continue };
            match self.nearest(position, direction, inverse, u32::MAX) {
                Some(nearest) if nearest.distance < SAME => self.approach(position, nearest.slot, direction),
                _ => self.replace(position, direction, picture),
            }
        }
    }

    fn nearest(&self, position: usize, direction: &[i8], inverse: f32, before: u32) -> Option<Nearest> {
        let first = position * self.slots;
        let channels = self.grid.channels;
        let (mut best, mut slot) = (f32::NEG_INFINITY, None);
        let seen = &self.directions[first * channels..(first + self.slots) * channels];
        for (index, seen) in seen.chunks_exact(channels).enumerate() {
            if self.hits[first + index] == 0 || self.born[first + index] >= before {
                continue;
            }
            let cosine = dot(seen, direction) as f32 * self.inverse[first + index];
            if cosine > best {
                (best, slot) = (cosine, Some(index));
            }
        }
        slot.map(|slot| Nearest { slot, distance: (1.0 - best * inverse).max(0.0) })
    }

    fn approach(&mut self, position: usize, slot: usize, direction: &[i8]) {
        let index = position * self.slots + slot;
        let share = 1.0 / f32::from(self.hits[index].saturating_add(1).min(LEAST_STEP));
        let channels = self.grid.channels;
        let seen = &mut self.directions[index * channels..(index + 1) * channels];
        for (seen, now) in seen.iter_mut().zip(direction) {
            let step = share * f32::from(i16::from(*now) - i16::from(*seen));
            *seen = (f32::from(*seen) + step).round() as i8;
        }
        self.inverse[index] = inverse_length(seen);
        if self.inverse[index] == 0.0 {
            self.hits[index] = 0;
            return;
        }
        self.hits[index] += 1;
        if self.hits[index] >= MOST_HITS {
            let hits = &mut self.hits[position * self.slots..(position + 1) * self.slots];
            hits.iter_mut().for_each(|hits| *hits = hits.div_ceil(2));
        }
    }

    fn replace(&mut self, position: usize, direction: &[i8], picture: u32) {
        let slots = position * self.slots..(position + 1) * self.slots;
        let Some(index) = slots.min_by_key(|index| (self.hits[*index], self.born[*index])) else { return };
        let channels = self.grid.channels;
        self.directions[index * channels..(index + 1) * channels].copy_from_slice(direction);
        self.inverse[index] = inverse_length(direction);
        (self.hits[index], self.born[index]) = (1, picture);
    }
}

/// What one picture shows at each position: its direction in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    channels: usize,
    /// `[position][channel]`.
    directions: Vec<i8>,
    /// The reciprocal of each length, 0 where the position tells nothing.
    inverse: Vec<f32>,
    /// The vectors of one row of positions, before they are rounded.
    row: Vec<f32>,
}

impl Query {
    /// Reads a map whose form has been checked. Positions with a value that is no number, or with none but zeros, tell nothing.
    pub(super) fn read(&mut self, map: &FeatureMap<'_>) {
        let (channels, positions, columns) = (map.channels, map.rows * map.columns, map.columns);
        self.channels = channels;
        self.directions.resize(positions * channels, 0);
        self.inverse.resize(positions, 0.0);
        self.row.resize(columns * channels, 0.0);
        for row in 0..map.rows {
            for channel in 0..channels {
                let values = &map.values[channel * positions + row * columns..][..columns];
                for (column, value) in values.iter().enumerate() {
                    self.row[column * channels + channel] = *value;
                }
            }
            for (column, vector) in self.row.chunks_exact(channels).enumerate() {
                let position = row * columns + column;
                let direction = &mut self.directions[position * channels..(position + 1) * channels];
                self.inverse[position] = round(vector, direction);
            }
        }
    }

    fn get(&self, position: usize) -> Option<(&[i8], f32)> {
        let inverse = *self.inverse.get(position)?;
        let direction = self.directions.get(position * self.channels..(position + 1) * self.channels)?;
        (inverse > 0.0).then_some((direction, inverse))
    }
}

/// Rounds a vector to a direction in bytes and tells the reciprocal of its length; 0 where it has none.
fn round(vector: &[f32], direction: &mut [i8]) -> f32 {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !(length.is_finite() && length > f32::MIN_POSITIVE) {
        direction.fill(0);
        return 0.0;
    }
    let scale = SCALE / length;
    for (byte, value) in direction.iter_mut().zip(vector) {
        *byte = (value * scale).round() as i8;
    }
    inverse_length(direction)
}

/// 0 for a vector without any length.
fn inverse_length(direction: &[i8]) -> f32 {
    match dot(direction, direction) {
        0 => 0.0,
        square => 1.0 / (square as f32).sqrt(),
    }
}

/// The inner product; written so that compilers make vector code of it.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum()
}
