//! Cells that touch are one region, and a region stays the same one as long as any of its cells lasts: one that falls apart, as
//! things do that are carried off or walked in front of, does not become several.

use super::watch::MOST_REGIONS;
use crate::{geometry::Rect, time::Mono};

/// An unknown thing that stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Its number: it stays the same as long as the region lasts, and none is given twice by one watch.
    pub id: u64,
    /// Where, in fractions of the frame.
    pub rect: Rect,
    /// Since when it has been seen there.
    pub since: Mono,
    /// How strange its strangest place is; 1 is the limit.
    pub score: f32,
    /// Whether the last picture that was looked at shows it: something hides it, or it has gone, if not.
    pub visible: bool,
}

/// The regions of one grid of cells.
#[derive(Debug, Clone, Default)]
pub(super) struct Regions {
    columns: usize,
    rows: usize,
    told: Vec<Region>,
    last_id: u64,
    /// By cell: its region's place in `told`.
    owner: Vec<Option<u8>>,
    /// What `update` works with: the regions and owners of before, the cells of all components, and where each begins and ends.
    before: (Vec<Region>, Vec<Option<u8>>),
    members: Vec<u32>,
    components: Vec<(usize, usize)>,
    reached: Vec<bool>,
}

/// What regions are made of.
pub(super) trait Field {
    /// Whether a cell belongs to one.
    fn is_hot(&self, cell: usize) -> bool;
    /// How strange it is, where that can be told now.
    fn heat(&self, cell: usize) -> Option<f32>;
    /// Since when.
    fn since(&self, cell: usize) -> Mono;
}

impl Regions {
    /// None, on a grid of this size. Numbers go on.
    pub(super) fn reset(&mut self, columns: usize, rows: usize) {
        (self.columns, self.rows) = (columns, rows);
        self.told.clear();
        self.owner.clear();
        self.owner.resize(columns * rows, None);
    }

    pub(super) fn told(&self) -> &[Region] {
        &self.told
    }

    /// The cells of a region.
    pub(super) fn cells(&self, id: u64) -> impl Iterator<Item = usize> {
        let region = self.told.iter().position(|region| region.id == id);
        let owned = move |owner: &Option<u8>| region.is_some() && owner.map(usize::from) == region;
        self.owner.iter().enumerate().filter(move |(_, owner)| owned(owner)).map(|(cell, _)| cell)
    }

    /// Notes which of them the last picture shows, by the cells in which it is strange.
    pub(super) fn shown(&mut self, is_warm: impl Fn(usize) -> bool) {
        self.told.iter_mut().for_each(|region| region.visible = false);
        for (cell, owner) in self.owner.iter().enumerate() {
            if let Some(region) = owner.filter(|_| is_warm(cell)) {
                self.told[usize::from(region)].visible = true;
            }
        }
    }

    /// Finds the regions anew. New ones must have `smallest` cells; of two that grow together the older one stays, and all
    /// parts of one that falls apart belong to it.
    pub(super) fn update(&mut self, field: &impl Field, smallest: usize) {
        self.find(field);
        std::mem::swap(&mut self.before.0, &mut self.told);
        std::mem::swap(&mut self.before.1, &mut self.owner);
        self.told.clear();
        self.owner.clear();
        self.owner.resize(self.columns * self.rows, None);
        let (old, old_owner) = (&self.before.0, &self.before.1);
        // By old region: its place among the new ones, once a part of it was met.
        let mut becomes = [None; MOST_REGIONS];
        for (first, end) in &self.components {
            let cells = &self.members[*first..*end];
            let owners = cells.iter().filter_map(|cell| old_owner[*cell as usize]).map(usize::from);
            let oldest = owners.min_by_key(|region| old[*region].id);
            if let Some(region) = oldest.and_then(|index| becomes[index]) {
                cells.iter().for_each(|cell| self.owner[*cell as usize] = Some(region));
                let region: &mut Region = &mut self.told[usize::from(region)];
                region.rect = region.rect.union(&bounds(cells, self.columns, self.rows));
                let heat = cells.iter().filter_map(|cell| field.heat(*cell as usize)).fold(region.score, f32::max);
                region.score = heat;
                continue;
            }
            if self.told.len() == MOST_REGIONS || oldest.is_none() && cells.len() < smallest {
                continue;
            }
            let known = cells.iter().filter_map(|cell| Some((field.heat(*cell as usize)?, *cell as usize)));
            let hottest = known.max_by(|a, b| a.0.total_cmp(&b.0));
            let rect = bounds(cells, self.columns, self.rows);
            let region = match (oldest, hottest) {
                (Some(index), hottest) => {
                    becomes[index] = Some(self.told.len() as u8);
                    Region { rect, score: hottest.map_or(old[index].score, |(heat, _)| heat), ..old[index] }
                }
                (None, Some((score, cell))) => {
                    self.last_id += 1;
                    Region { id: self.last_id, rect, since: field.since(cell), score, visible: true }
                }
                (None, None) => continue,
            };
            let owner = Some(self.told.len() as u8);
            cells.iter().for_each(|cell| self.owner[*cell as usize] = owner);
            self.told.push(region);
        }
    }

    /// Hot cells that touch, corners included, the largest component first.
    fn find(&mut self, field: &impl Field) {
        let (columns, rows) = (self.columns, self.rows);
        self.reached.clear();
        self.reached.resize(columns * rows, false);
        self.members.clear();
        self.components.clear();
        for start in 0..columns * rows {
            if self.reached[start] || !field.is_hot(start) {
                continue;
            }
            let first = self.members.len();
            self.reached[start] = true;
            self.members.push(start as u32);
            let mut next = first;
            while let Some(cell) = self.members.get(next).map(|cell| *cell as usize) {
                next += 1;
                let (row, column) = (cell / columns, cell % columns);
                for row in row.saturating_sub(1)..(row + 2).min(rows) {
                    for column in column.saturating_sub(1)..(column + 2).min(columns) {
                        let near = row * columns + column;
                        if !self.reached[near] && field.is_hot(near) {
                            self.reached[near] = true;
                            self.members.push(near as u32);
                        }
                    }
                }
            }
            self.components.push((first, self.members.len()));
        }
        self.components.sort_unstable_by_key(|(first, end)| (std::cmp::Reverse(end - first), *first));
    }
}

fn bounds(cells: &[u32], columns: usize, rows: usize) -> Rect {
    let (mut left, mut top, mut right, mut bottom) = (columns, rows, 0, 0);
    for cell in cells {
        let (row, column) = (*cell as usize / columns, *cell as usize % columns);
        (left, right) = (left.min(column), right.max(column + 1));
        (top, bottom) = (top.min(row), bottom.max(row + 1));
    }
    let (columns, rows) = (columns as f32, rows as f32);
    Rect::from_edges(left as f32 / columns, top as f32 / rows, right as f32 / columns, bottom as f32 / rows)
}
