//! The structure of a scene: which way its edges run, and where there are any.
//!
//! Each point of the reduced picture has a vector in the plane: of length 0 where there is no edge, nearly 1 on a clear
//! one, at *twice* the angle of its gradient,
//!
//! ```text
//! v = (gx² − gy², 2·gx·gy) / (gx² + gy² + ε²)
//! ```
//!
//! with ε what noise and rounding give. To compare orientation rather than gradients, so that light and contrast do not
//! matter, is A. J. Fitch et al., *Orientation correlation*, BMVC 2002; to double the angle, so that an edge is the same
//! whichever side is the brighter (leaves are dark by day and bright under infra-red) and vectors of neighbours can be
//! averaged, is the structure tensor's idea (G. H. Granlund, *In search of a general picture processing operator*, CGIP 8,
//! 1978).

use super::{
    registration::dot,
    view::{HEIGHT, WIDTH},
};

/// Tiles beside each other, and above each other.
pub const TILE_COLUMNS: usize = 32;
/// Tiles above each other.
pub const TILE_ROWS: usize = 18;
/// Tiles of the frame.
pub const TILES: usize = TILE_COLUMNS * TILE_ROWS;
const TILE: usize = WIDTH / TILE_COLUMNS;
/// Points of the fine level to one of the coarse level, in both directions.
pub(super) const COARSER: usize = 2;
/// The length of a vector on a clear edge.
const ONE: f32 = 127.0;

/// Vectors on a grid, as 127ths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub width: usize,
    pub height: usize,
    pub cos: Box<[i8]>,
    pub sin: Box<[i8]>,
    /// Sum of all squared lengths.
    pub energy: i64,
}

impl Field {
    fn new(width: usize, height: usize) -> Self {
        let zeros: Box<[i8]> = vec![0; width * height].into();
        Self { width, height, cos: zeros.clone(), sin: zeros, energy: 0 }
    }

    fn sum_up(&mut self) {
        let rows = self.cos.chunks_exact(self.width).chain(self.sin.chunks_exact(self.width));
        self.energy = rows.map(|row| i64::from(dot(row, row))).sum();
    }
}

/// The structure of one picture, or of the average of several.
#[derive(Debug, Clone, PartialEq)]
pub struct Structure {
    fine: Field,
    coarse: Field,
    tiles: Box<[f32]>,
}

impl Default for Structure {
    fn default() -> Self {
        Self {
            fine: Field::new(WIDTH, HEIGHT),
            coarse: Field::new(WIDTH / COARSER, HEIGHT / COARSER),
            tiles: vec![0.0; TILES].into(),
        }
    }
}

impl Structure {
    /// The structure whose fine vectors are these; `None` if they are not [`WIDTH`] × [`HEIGHT`] each.
    pub(super) fn from_vectors(cos: Box<[i8]>, sin: Box<[i8]>) -> Option<Self> {
        let size = WIDTH * HEIGHT;
        (cos.len() == size && sin.len() == size).then(|| {
            let fine = Field { width: WIDTH, height: HEIGHT, cos, sin, energy: 0 };
            let mut structure = Self { fine, ..Self::default() };
            structure.derive();
            structure
        })
    }

    /// Takes the structure of `grey`; `floor` is ε².
    pub(super) fn build(&mut self, grey: &[f32], floor: f32) {
        let Field { cos, sin, .. } = &mut self.fine;
        for y in 1..HEIGHT - 1 {
            let row = |y: usize| &grey[y * WIDTH..][..WIDTH];
            let (above, here, below) = (row(y - 1), row(y), row(y + 1));
            let (cos, sin) = (&mut cos[y * WIDTH..][..WIDTH], &mut sin[y * WIDTH..][..WIDTH]);
            for x in 1..WIDTH - 1 {
                let (gx, gy) = (here[x + 1] - here[x - 1], below[x] - above[x]);
                let scale = ONE / (gx * gx + gy * gy + floor);
                cos[x] = ((gx * gx - gy * gy) * scale) as i8;
                sin[x] = (2.0 * gx * gy * scale) as i8;
            }
        }
        self.derive();
    }

    /// Goes the `weight`th part of the way towards `other`.
    pub(super) fn approach(&mut self, other: &Self, weight: f32) {
        let step = |own: &mut i8, other: &i8| {
            let (from, to) = (f32::from(*own), f32::from(*other));
            *own = (from + weight * (to - from)).round() as i8;
        };
        self.fine.cos.iter_mut().zip(&other.fine.cos).for_each(|(own, other)| step(own, other));
        self.fine.sin.iter_mut().zip(&other.fine.sin).for_each(|(own, other)| step(own, other));
        self.derive();
    }

    /// How much structure each tile of the frame holds: mean length of its vectors, 0 to 1, row after row.
    pub fn tiles(&self) -> &[f32] {
        &self.tiles
    }

    pub(super) fn fine(&self) -> &Field {
        &self.fine
    }

    pub(super) fn coarse(&self) -> &Field {
        &self.coarse
    }

    fn derive(&mut self) {
        let Field { cos, sin, .. } = &self.fine;
        self.tiles.fill(0.0);
        for (y, (cos, sin)) in cos.chunks_exact(WIDTH).zip(sin.chunks_exact(WIDTH)).enumerate() {
            let tiles = &mut self.tiles[y / TILE * TILE_COLUMNS..][..TILE_COLUMNS];
            for ((tile, cos), sin) in tiles.iter_mut().zip(cos.chunks_exact(TILE)).zip(sin.chunks_exact(TILE)) {
                let length = |(c, s): (&i8, &i8)| (i32::from(*c).pow(2) + i32::from(*s).pow(2)) as f32;
                *tile += cos.iter().zip(sin).map(|vector| length(vector).sqrt()).sum::<f32>();
            }
        }
        self.tiles.iter_mut().for_each(|tile| *tile /= (TILE * TILE) as f32 * ONE);
        let average = |fine: &[i8], x: usize, y: usize| {
            let rows = fine[y * COARSER * WIDTH..].chunks(WIDTH).take(COARSER);
            let sum: i32 = rows.flat_map(|row| &row[x * COARSER..][..COARSER]).map(|value| i32::from(*value)).sum();
            (sum / (COARSER * COARSER) as i32) as i8
        };
        let width = self.coarse.width;
        for index in 0..self.coarse.cos.len() {
            self.coarse.cos[index] = average(cos, index % width, index / width);
            self.coarse.sin[index] = average(sin, index % width, index / width);
        }
        self.fine.sum_up();
        self.coarse.sum_up();
    }
}
