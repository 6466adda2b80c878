//! How sharp a part of a picture is: the mean change of brightness from one sample to the next.
//!
//! The gradient measure of focus (the "thresholded absolute gradient" of Groen, Young and Ligthart, *A comparison of different focus
//! functions*, Cytometry 6, 1985, without its threshold), over a grid of samples, so that a large part costs no more than a small one.

use snowgate_core::geometry::Rect;

use crate::camera::pixels::Plane;

/// The most samples a side that are looked at.
const GRID: usize = 64;

/// The mean absolute difference of brightness between neighbouring samples, to the right and below, in the part of the picture that
/// `rect` covers (fractions of it): 0 (flat) to 510. 0 where nothing of it lies in the picture.
pub fn sharpness(luma: &Plane<'_>, rect: &Rect) -> f32 {
    let inside = rect.clamped();
    // NaN becomes zero.
    let place = |fraction: f32, samples: usize| (fraction * samples as f32) as usize;
    let (left, top) = (place(inside.x, luma.width), place(inside.y, luma.height));
    // Each sample has one to its right and one below.
    let right = place(inside.right(), luma.width).min(luma.width.saturating_sub(1));
    let bottom = place(inside.bottom(), luma.height).min(luma.height.saturating_sub(1));
    if left >= right || top >= bottom {
        return 0.0;
    }
    let (across, down) = ((right - left).div_ceil(GRID), (bottom - top).div_ceil(GRID));
    let (mut sum, mut samples) = (0u64, 0u64);
    for y in (top..bottom).step_by(down) {
        let (row, below) = (&luma.data[y * luma.stride..], &luma.data[(y + 1) * luma.stride..]);
        for x in (left..right).step_by(across) {
            sum += u64::from(row[x].abs_diff(row[x + 1])) + u64::from(row[x].abs_diff(below[x]));
            samples += 1;
        }
    }
    sum as f32 / samples as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plane(data: &[u8], stride: usize, height: usize) -> Plane<'_> {
        Plane { data, stride, width: stride, height }
    }

    #[test]
    fn what_is_blurred_is_less_sharp_and_what_is_flat_not_at_all() {
        assert_eq!(sharpness(&plane(&[90; 128 * 128], 128, 128), &Rect::FRAME), 0.0);
        let detail: Vec<u8> =
            (0..128usize * 128).map(|i| if (i + i / 128).is_multiple_of(2) { 60 } else { 160 }).collect();
        let blurred: Vec<u8> = (0..128 * 128)
            .map(|i| {
                let (x, y) = (i % 128, i / 128);
                let near = |dx: usize, dy: usize| u32::from(detail[(y + dy).min(127) * 128 + (x + dx).min(127)]);
                ((near(0, 0) + near(1, 0) + near(0, 1) + near(1, 1)) / 4) as u8
            })
            .collect();
        let of = |data: &[u8]| sharpness(&plane(data, 128, 128), &Rect::new(0.25, 0.25, 0.5, 0.5));
        assert!(of(&detail) > 10.0 * of(&blurred).max(1.0));
    }

    proptest! {
        #[test]
        fn it_is_bounded_wherever_the_box_lies(
            x in -2.0f32..2.0, y in -2.0f32..2.0, width in 0.0f32..3.0, height in 0.0f32..3.0,
            side in (1usize..40, 1usize..40), padding in 0usize..8, seed in any::<u8>(),
        ) {
            let stride = side.0 + padding;
            let data: Vec<u8> = (0..stride * side.1).map(|i| (i as u8).wrapping_mul(seed)).collect();
            let luma = Plane { data: &data, stride, width: side.0, height: side.1 };
            let found = sharpness(&luma, &Rect { x, y, width, height });
            prop_assert!((0.0..=510.0).contains(&found));
            prop_assert_eq!(sharpness(&luma, &Rect { x: f32::NAN, y, width, height }).is_nan(), false);
        }
    }
}
