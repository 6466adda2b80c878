//! Where to look so that nothing is missed: the whole frame, and again in overlapping tiles of smaller and smaller size.

use crate::vision::preprocess::PixelRect;

/// A row of tile sizes. At each size, tiles cover the frame and overlap by a third, so that a thing of up to a third
/// of a tile is whole in at least one of them; larger things are the next size's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pyramid {
    /// Size of the smallest tiles in a frame whose longer side has at most `fine` pixels.
    pub finest: (u32, u32),
    /// How much larger the next tiles are, ≥ 2.
    pub growth: u32,
    /// Larger frames are looked at as if their longer side had so many pixels, ≥ 1: the tiles grow, and their number
    /// does not. What is too small to be found then is too small to be recognised in a still, which is no larger.
    pub fine: u32,
}

/// The part of a tile that it shares with its neighbour is 1 / `OVERLAP`.
const OVERLAP: u32 = 3;

impl Pyramid {
    /// All tiles of a frame, the whole frame first. Their number is bounded whatever the frame's size.
    pub fn tiles(&self, width: u32, height: u32) -> Vec<PixelRect> {
        let mut tiles = vec![PixelRect { x: 0, y: 0, width, height }];
        // The longer side decides, so that a frame that stands upright costs no more than one that lies.
        let (longer, fine) = (u64::from(width.max(height)), u64::from(self.fine.max(1)));
        let grown = |side: u32| u32::try_from(u64::from(side.max(1)) * longer.max(fine) / fine).unwrap_or(u32::MAX);
        let (mut tile_width, mut tile_height) = (grown(self.finest.0), grown(self.finest.1));
        while tile_width < width || tile_height < height {
            for (y, rows) in cut(height, tile_height) {
                for (x, columns) in cut(width, tile_width) {
                    tiles.push(PixelRect { x, y, width: columns, height: rows });
                }
            }
            tile_width = tile_width.saturating_mul(self.growth.max(2));
            tile_height = tile_height.saturating_mul(self.growth.max(2));
        }
        tiles
    }
}

/// Cuts a side into the fewest pieces (start, length) of one length that overlap enough, evenly spread.
fn cut(side: u32, piece: u32) -> impl Iterator<Item = (u32, u32)> {
    let piece = piece.min(side);
    let overlap = piece.div_ceil(OVERLAP);
    let step = (piece - overlap).max(1);
    let gaps = (side - piece).div_ceil(step);
    let start = move |i: u32| if gaps == 0 { 0 } else { u64::from(side - piece) * u64::from(i) / u64::from(gaps) };
    (0..=gaps).map(move |i| (u32::try_from(start(i)).unwrap_or(0), piece))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_small_thing_is_whole_in_a_tile_of_every_size(
            width in 1u32..5000, height in 1u32..5000, finest in (100u32..700, 100u32..700), growth in 2u32..4,
            fine in 640u32..4000, at in (0.0f64..1.0, 0.0f64..1.0),
        ) {
            let tiles = Pyramid { finest, growth, fine }.tiles(width, height);
            prop_assert!(tiles.iter().all(|tile| tile.right() <= width && tile.bottom() <= height));
            prop_assert_eq!(tiles[0], PixelRect { x: 0, y: 0, width, height });
            let mut sizes: Vec<_> = tiles.iter().map(|tile| (tile.width, tile.height)).collect();
            sizes.dedup();
            for (tile_width, tile_height) in sizes {
                // Rounding of evenly spread starts may take a pixel off the overlap.
                let thing = ((tile_width / OVERLAP).saturating_sub(1), (tile_height / OVERLAP).saturating_sub(1));
                let x = (at.0 * f64::from(width - thing.0)) as u32;
                let y = (at.1 * f64::from(height - thing.1)) as u32;
                let holds = |tile: &PixelRect| {
                    (tile.width, tile.height) == (tile_width, tile_height)
                        && tile.x <= x && tile.y <= y && x + thing.0 <= tile.right() && y + thing.1 <= tile.bottom()
                };
                prop_assert!(tiles.iter().any(holds), "{:?} at ({}, {}) in tiles of {:?}", thing, x, y, (tile_width, tile_height));
            }
        }

        #[test]
        fn the_number_of_tiles_is_bounded(width in 1u32..=8192, height in 1u32..=8192) {
            for (finest, growth, fine) in [((300, 300), 2, 1920), ((320, 192), 2, 1280)] {
                let tiles = Pyramid { finest, growth, fine }.tiles(width, height);
                prop_assert!(tiles.len() < 200);
            }
        }

        #[test]
        fn a_larger_frame_of_the_same_shape_takes_as_many_tiles(times in 1u32..6) {
            let pyramid = Pyramid { finest: (320, 192), growth: 2, fine: 1280 };
            prop_assert_eq!(pyramid.tiles(1280 * times, 720 * times).len(), pyramid.tiles(1280, 720).len());
        }
    }

    #[test]
    fn a_small_frame_is_looked_at_once() {
        assert_eq!(Pyramid { finest: (640, 384), growth: 2, fine: 1280 }.tiles(320, 240).len(), 1);
    }
}
