//! How strange each place of a picture is.

use super::features::MOST_SIDE;
use crate::geometry::Rect;

/// The most cells a side of what a model of a township's own tells; finer maps are pooled, each cell the greatest of its part.
pub const MOST_CELLS: usize = 64;
/// The most heat that a cell is given: far beyond all that is told apart, and a number whatever the limit.
const MOST_HEAT: f32 = 1e4;

/// How strange each place of a picture is: 1 is the limit of what is normal *to stay* there, what passes may exceed it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heat {
    /// Cells from left to right.
    pub columns: usize,
    /// Cells from top to bottom.
    pub rows: usize,
    /// Row by row, ≥ 0; [`Heat::UNKNOWN`] where nothing can be told.
    pub values: Vec<f32>,
}

impl Heat {
    /// Stands where nothing can be told: excluded in this picture, or never seen free while learning.
    pub const UNKNOWN: f32 = -1.0;

    /// One score for the whole picture, whose limit of what is normal is `limit`.
    ///
    /// # Errors
    /// A score or a limit that is no number, or a limit that is not above zero.
    pub fn set_score(&mut self, score: f32, limit: f32) -> Result<(), NoHeat> {
        self.set_map(1, 1, &[score], limit)
    }

    /// A model's own map, row by row, whose limit of what is normal is `limit` everywhere. Values below zero count as zero, and
    /// those above ten thousand times the limit as that.
    ///
    /// # Errors
    /// A map whose size is not what it says or out of bounds, one with a value that is no number, a limit not above zero.
    pub fn set_map(&mut self, columns: usize, rows: usize, values: &[f32], limit: f32) -> Result<(), NoHeat> {
        let sides = 1..=MOST_SIDE * 4;
        if !sides.contains(&columns) || !sides.contains(&rows) || values.len() != columns * rows {
            return Err(NoHeat::Size { columns, rows, values: values.len() });
        }
        if !(limit.is_finite() && limit > 0.0) {
            return Err(NoHeat::Limit(limit));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(NoHeat::Value(*value));
        }
        self.reset(columns.min(MOST_CELLS), rows.min(MOST_CELLS), 0.0);
        for (row, line) in values.chunks_exact(columns).enumerate() {
            let cells = &mut self.values[row * self.rows / rows * self.columns..][..self.columns];
            for (column, value) in line.iter().enumerate() {
                let cell = &mut cells[column * self.columns / columns];
                *cell = cell.max((value / limit).min(MOST_HEAT));
            }
        }
        Ok(())
    }

    /// The greatest heat, 0 where nothing can be told.
    pub fn hottest(&self) -> f32 {
        self.values.iter().copied().fold(0.0, f32::max)
    }

    /// The place of a cell in the frame.
    pub fn cell(&self, column: usize, row: usize) -> Rect {
        let (width, height) = (1.0 / self.columns as f32, 1.0 / self.rows as f32);
        Rect::new(column as f32 * width, row as f32 * height, width, height)
    }

    /// Another size, all cells of one value; no allocation where it has had the size before.
    pub(super) fn reset(&mut self, columns: usize, rows: usize, value: f32) {
        (self.columns, self.rows) = (columns, rows);
        self.values.clear();
        self.values.resize(columns * rows, value);
    }
}

/// Why a model's answer is no heat.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoHeat {
    /// Its size is not what it says, or out of bounds.
    #[error("a map of {columns} x {rows} with {values} values")]
    Size {
        /// Columns it should have.
        columns: usize,
        /// Rows it should have.
        rows: usize,
        /// Values it has.
        values: usize,
    },
    /// A value is no number.
    #[error("the map has the value {0}")]
    Value(f32),
    /// The limit is no positive number.
    #[error("the limit is {0}")]
    Limit(f32),
}

/// Sets the cells of a grid that a box touches, and `margin` cells around it: what moves there shines into their features.
pub(super) fn cover(mask: &mut [bool], columns: usize, rows: usize, boxes: &[Rect], margin: usize) {
    for rect in boxes {
        // A box that is no number covers nothing: casts from NaN give 0, and its width is not above zero.
        if !(rect.width > 0.0 && rect.height > 0.0) {
            continue;
        }
        let span = |from: f32, to: f32, cells: usize| {
            if !(to > 0.0 && from < 1.0) {
                return 0..0;
            }
            let (first, end) = ((from * cells as f32).floor(), (to * cells as f32).ceil());
            (first.max(0.0) as usize).saturating_sub(margin)..(end.max(0.0) as usize).saturating_add(margin).min(cells)
        };
        let across = span(rect.x, rect.right(), columns);
        for row in span(rect.y, rect.bottom(), rows) {
            if let Some(cells) =
                mask.get_mut(row * columns + across.start..row * columns + across.end.max(across.start))
            {
                cells.fill(true);
            }
        }
    }
}
