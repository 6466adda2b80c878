//! Feature maps as a backbone gives them, and what of their form must agree between pictures.

use std::fmt;

use super::memory::{LEAST_PROTOTYPES, MOST_BYTES_A_LIGHT, bytes_a_light};

/// The most maps of one picture.
pub const MOST_MAPS: usize = 4;
/// The most channels of a map.
pub const MOST_CHANNELS: usize = 1024;
/// The most rows, and columns, of a map.
pub const MOST_SIDE: usize = 256;

/// One feature map of one picture, channel-major planes as a model gives them (N = 1, C, H, W).
#[derive(Debug, Clone, Copy)]
pub struct FeatureMap<'a> {
    /// Numbers at each position.
    pub channels: usize,
    /// Positions from top to bottom.
    pub rows: usize,
    /// Positions from left to right.
    pub columns: usize,
    /// `channels` planes of `rows` × `columns`.
    pub values: &'a [f32],
}

impl FeatureMap<'_> {
    /// Its form.
    pub fn grid(&self) -> Grid {
        Grid { channels: self.channels, rows: self.rows, columns: self.columns }
    }
}

/// The feature maps of one picture, the finest first.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a>(pub &'a [FeatureMap<'a>]);

/// The form of one feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Grid {
    /// Numbers at each position.
    pub channels: usize,
    /// Positions from top to bottom.
    pub rows: usize,
    /// Positions from left to right.
    pub columns: usize,
}

impl Grid {
    /// Positions in all.
    pub fn positions(&self) -> usize {
        self.rows * self.columns
    }
}

/// The form of a picture's feature maps: between one and four grids of bounded size, the finest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Box<[Grid]>);

impl Shape {
    /// The form of these maps.
    ///
    /// # Errors
    /// What is wrong with them: their number, their order, their size.
    pub fn new(grids: &[Grid]) -> Result<Self, Unfit> {
        if grids.is_empty() || grids.len() > MOST_MAPS {
            return Err(Unfit::Maps(grids.len()));
        }
        let bounded = |grid: &Grid| {
            (1..=MOST_CHANNELS).contains(&grid.channels)
                && (1..=MOST_SIDE).contains(&grid.rows)
                && (1..=MOST_SIDE).contains(&grid.columns)
        };
        if let Some(grid) = grids.iter().find(|grid| !bounded(grid)) {
            return Err(Unfit::Size(*grid));
        }
        if let Some(pair) =
            grids.windows(2).find(|pair| pair[1].rows > pair[0].rows || pair[1].columns > pair[0].columns)
        {
            return Err(Unfit::Order(pair[1]));
        }
        if bytes_a_light(grids, LEAST_PROTOTYPES) > MOST_BYTES_A_LIGHT {
            return Err(Unfit::Memory);
        }
        Ok(Self(grids.into()))
    }

    /// The form of these feature maps.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn of(features: Features<'_>) -> Result<Self, Unfit> {
        Self::new(&features.0.iter().map(FeatureMap::grid).take(MOST_MAPS + 1).collect::<Vec<_>>())
    }

    /// The grids, the finest first.
    pub fn grids(&self) -> &[Grid] {
        &self.0
    }

    /// The finest grid, on which heat is told.
    pub fn finest(&self) -> Grid {
        self.0[0]
    }

    /// Whether these features have this form, and as many values as they say.
    pub(super) fn check(&self, features: Features<'_>) -> Result<(), Unfit> {
        if features.0.len() != self.0.len() {
            return Err(Unfit::Maps(features.0.len()));
        }
        for (map, expected) in features.0.iter().zip(&self.0) {
            if map.grid() != *expected {
                return Err(Unfit::Other { found: map.grid(), expected: *expected });
            }
            if map.values.len() != expected.channels * expected.positions() {
                return Err(Unfit::Values { grid: *expected, found: map.values.len() });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.rows, self.columns)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, grid) in self.0.iter().enumerate() {
            write!(f, "{}{grid}", if index > 0 { " + " } else { "" })?;
        }
        Ok(())
    }
}

/// Why feature maps cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too few or too many of them.
    #[error("{0} feature maps, expected 1 to {MOST_MAPS}, and as many as were learnt")]
    Maps(usize),
    /// One is empty or too large.
    #[error("a feature map of {0}, expected at most {MOST_CHANNELS}x{MOST_SIDE}x{MOST_SIDE}")]
    Size(Grid),
    /// One is finer than the one before it.
    #[error("a feature map of {0} stands behind a coarser one")]
    Order(Grid),
    /// What would be learnt of them needs too much memory.
    #[error("feature maps so large that what is learnt of them needs more than {MOST_BYTES_A_LIGHT} bytes a light")]
    Memory,
    /// One has another form than was learnt.
    #[error("a feature map of {found}, expected {expected}")]
    Other {
        /// What came.
        found: Grid,
        /// What was learnt.
        expected: Grid,
    },
    /// One has not as many values as its form says.
    #[error("a feature map of {grid} has {found} values")]
    Values {
        /// Its form.
        grid: Grid,
        /// How many there are.
        found: usize,
    },
}
