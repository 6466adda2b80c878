//! What only the full resolution shows: sharpness of edges, sensor noise, edges along the coder's grid.
//!
//! Squared differences of neighbouring samples are summed over cells of whole macroblocks, at most [`COLUMNS`] ×
//! [`ROWS`] of them: horizontal ones on every fourth row, vertical ones on one row in eight. Macroblocks are 16 × 16 in MPEG-2,
//! MPEG-4 and H.264, and units of H.265 are multiples of that, so what is lost or damaged has edges on that grid.

use crate::scene::view::{HEIGHT, WIDTH};

/// The most cells beside each other, and above each other.
const COLUMNS: usize = 32;
const ROWS: usize = 18;
/// Samples of a macroblock's side.
const BLOCK: usize = 16;
/// One row in so many has its horizontal differences measured, beginning with…
const EVERY_ROW: usize = 4;
const FIRST_ROW: usize = 2;
/// The share of cells that is taken to show nothing but noise: sky, road, wall.
const PLAIN_SHARE: usize = 10;
/// A cell's edges stand out where steps would leave so many times the energy of the noise in it, and at least so much.
const STAND_OUT: f64 = 2.0;
const LEAST_STEPS: f64 = 1.0;
/// So many cells whose edges stand out it takes to tell their width.
const LEAST_CELLS: usize = 12;
/// A cell is blocky when differences on the grid have so many times the energy of those off it, and…
const GRID_RATIO: f64 = 4.0;
/// …so much more: steps of eight levels all along the grid. A coder that is merely short of bits stays far below.
const GRID_ENERGY: f64 = 64.0;

/// Sums of squared differences, and how many.
#[derive(Debug, Clone, Copy, Default)]
struct Energy {
    sum: u64,
    count: u64,
}

impl Energy {
    fn add(&mut self, sum: u32, count: u32) {
        self.sum += u64::from(sum);
        self.count += u64::from(count);
    }

    fn mean(self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    across_inside: Energy,
    across_grid: Energy,
    down_inside: Energy,
    down_grid: Energy,
    /// Squared differences between areas; see [`Fine::texture`].
    between_areas: f64,
    areas: u32,
}

impl Cell {
    fn is_blocky(&self) -> bool {
        let on = Energy {
            sum: self.across_grid.sum + self.down_grid.sum,
            count: self.across_grid.count + self.down_grid.count,
        };
        let off = Energy {
            sum: self.across_inside.sum + self.down_inside.sum,
            count: self.across_inside.count + self.down_inside.count,
        };
        let (on, off) = (on.mean(), off.mean());
        on > GRID_RATIO * off && on > off + GRID_ENERGY
    }
}

/// Sums up one picture; its buffers serve all pictures of a size.
#[derive(Debug, Default)]
pub(super) struct Fine {
    size: (usize, usize),
    /// The cell that each whole macroblock of a row belongs to.
    cell_of: Vec<u16>,
    columns: usize,
    cells: Vec<Cell>,
    plain: Vec<f64>,
}

/// What the sums say; energies are squares of steps of 1/255.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Texture {
    /// About one over the width of edges, in samples; none where too few stand out of the noise.
    pub sharpness: Option<f32>,
    /// Standard deviation of the noise.
    pub noise: f64,
    /// Share of cells with edges along the coder's grid.
    pub blocky: f32,
}

impl Fine {
    /// Makes ready for a picture of this size.
    pub(super) fn begin(&mut self, width: usize, height: usize) {
        if self.size != (width, height) {
            self.size = (width, height);
            let (blocks, block_rows) = (width / BLOCK, height / BLOCK);
            self.columns = blocks.min(COLUMNS);
            self.cell_of.clear();
            self.cell_of.extend((0..blocks).map(|block| (block * self.columns / blocks) as u16));
            self.cells.resize(self.columns * block_rows.min(ROWS), Cell::default());
            self.plain.reserve(self.cells.len());
        }
        self.cells.fill(Cell::default());
    }

    /// Takes in row `y`, which stands below `above`.
    pub(super) fn take(&mut self, y: usize, row: &[u8], above: Option<&[u8]>) {
        let (block_rows, rows) = (self.size.1 / BLOCK, self.cells.len() / self.columns.max(1));
        let block_row = y / BLOCK;
        if block_row >= block_rows {
            return;
        }
        let cells = &mut self.cells[block_row * rows / block_rows * self.columns..][..self.columns];
        let (blocks, _) = row.as_chunks::<BLOCK>();
        if y % EVERY_ROW == FIRST_ROW {
            // The first macroblock has no neighbour to its left.
            for (cell, pair) in self.cell_of.iter().skip(1).zip(blocks.windows(2)) {
                let [left, block] = pair else { break };
                let cell = &mut cells[usize::from(*cell)];
                cell.across_grid.add(squares(&[left[BLOCK - 1]], &[block[0]]), 1);
                // The last sample is held against itself: constant lengths make vector code.
                let mut next = *block;
                next.copy_within(1.., 0);
                cell.across_inside.add(squares(block, &next), BLOCK as u32 - 1);
            }
        }
        if let (0 | 8, Some(above)) = (y % BLOCK, above) {
            for ((cell, block), above) in self.cell_of.iter().zip(blocks).zip(above.as_chunks::<BLOCK>().0) {
                let cell = &mut cells[usize::from(*cell)];
                let energy = if y.is_multiple_of(BLOCK) { &mut cell.down_grid } else { &mut cell.down_inside };
                energy.add(squares(block, above), BLOCK as u32);
            }
        }
    }

    /// What was taken in since [`begin`](Self::begin), with samples scaled by `scale`; `grey` is the same picture, reduced.
    ///
    /// The sharpness is the energy of differences between neighbours over what it would be, were all edges steps. A step of
    /// height h adds h² once to the sums of its row, and h² twice to those of the reduced picture, where neighbours but one
    /// are compared; a ramp of w samples adds h²/w to the former and as much as the step to the latter. Only cells whose steps
    /// would stand out of the noise are asked: the rest says nothing of focus.
    pub(super) fn texture(&mut self, scale: f64, grey: &[f32]) -> Texture {
        self.compare_areas(grey);
        let squared_scale = scale * scale;
        let measured = |cell: &&Cell| cell.across_inside.count > 0;
        self.plain.clear();
        self.plain.extend(self.cells.iter().filter(measured).map(|cell| cell.across_inside.mean() * squared_scale));
        if self.plain.is_empty() {
            return Texture::default();
        }
        let count = self.plain.len();
        let (_, floor, _) = self.plain.select_nth_unstable_by(count / PLAIN_SHARE, f64::total_cmp);
        let floor = *floor;

        let to_steps = WIDTH as f64 / 2.0 / self.size.0 as f64;
        let (mut edges, mut steps, mut cells) = (0.0, 0.0, 0);
        for cell in self.cells.iter().filter(measured) {
            let of_cell = cell.between_areas / f64::from(cell.areas.max(1)) * to_steps;
            if of_cell >= LEAST_STEPS.max(STAND_OUT * floor) {
                edges += cell.across_inside.mean() * squared_scale - floor;
                steps += of_cell;
                cells += 1;
            }
        }
        let blocky = self.cells.iter().filter(measured).filter(|cell| cell.is_blocky()).count();
        Texture {
            sharpness: (cells >= LEAST_CELLS).then(|| (edges / steps).max(0.0) as f32),
            noise: (floor / 2.0).sqrt(),
            blocky: blocky as f32 / count as f32,
        }
    }

    /// Adds up the squared differences between reduced samples that stand two apart, by the cell they stand in.
    fn compare_areas(&mut self, grey: &[f32]) {
        let (width, height) = self.size;
        let (block_rows, rows) = (height / BLOCK, self.cells.len() / self.columns.max(1));
        for (line, row) in grey.chunks_exact(WIDTH).enumerate() {
            let block_row = (2 * line + 1) * height / (2 * HEIGHT) / BLOCK;
            if block_row >= block_rows {
                break;
            }
            let cells = &mut self.cells[block_row * rows / block_rows * self.columns..][..self.columns];
            for (column, samples) in row.windows(3).enumerate() {
                let block = (2 * column + 3) * width / (2 * WIDTH) / BLOCK;
                let Some(cell) = self.cell_of.get(block) else { break };
                let cell = &mut cells[usize::from(*cell)];
                cell.between_areas += f64::from(samples[2] - samples[0]).powi(2);
                cell.areas += 1;
            }
        }
    }
}

/// Sum of squared differences.
fn squares<const N: usize>(a: &[u8; N], b: &[u8; N]) -> u32 {
    let square = |(a, b): (&u8, &u8)| {
        let difference = i16::from(*a) - i16::from(*b);
        (i32::from(difference) * i32::from(difference)).cast_unsigned()
    };
    a.iter().zip(b).map(square).sum()
}
