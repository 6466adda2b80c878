//! CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019): a heat map of
//! face centres at stride 4, with the logarithm of height and width and the centre's offset for each cell.

use super::{Output, ShapeError, Sink};

const STRIDE: f32 = 4.0;

/// Reads heat map `[1, 1, H/4, W/4]`, scale `[1, 2, H/4, W/4]` (height, then width) and offset `[1, 2, H/4, W/4]` (y, then x).
///
/// # Errors
/// When an output has another shape.
pub fn decode(heat: Output<'_>, scale: Output<'_>, offset: Output<'_>, sink: &mut Sink<'_>) -> Result<(), ShapeError> {
    let (width, height) = ((sink.input.0 / 4) as usize, (sink.input.1 / 4) as usize);
    let cells = width * height;
    for (index, (output, channels)) in [(heat, 1), (scale, 2), (offset, 2)].into_iter().enumerate() {
        let expected = [1, channels as i64, height as i64, width as i64];
        if output.shape != expected || output.values.len() != channels * cells {
            return Err(ShapeError::new(index, &output, format!("{expected:?}")));
        }
    }
    let (heights, widths) = scale.values.split_at(cells);
    let (downs, acrosses) = offset.values.split_at(cells);
    for (i, score) in heat.values.iter().enumerate() {
        if sink.candidates.wants(*score) {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let centre = [(x + acrosses[i] + 0.5) * STRIDE, (y + downs[i] + 0.5) * STRIDE];
            sink.push_centred(0, *score, [centre[0], centre[1], widths[i].exp() * STRIDE, heights[i].exp() * STRIDE]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::tests, *};

    #[test]
    fn a_hot_cell_is_a_face() {
        let mut heat = vec![0.0; 256];
        let (mut scale, mut offset) = (vec![0.0; 512], vec![0.0; 512]);
        let cell = 5 * 16 + 3;
        heat[cell] = 0.9;
        (scale[cell], scale[256 + cell]) = (3f32.ln(), 2f32.ln());
        (offset[cell], offset[256 + cell]) = (0.25, -0.25);
        heat[7] = f32::NAN;
        (heat[9], scale[9]) = (0.8, f32::INFINITY);
        (heat[11], scale[11]) = (0.8, f32::NAN);
        let (one, two) = ([1, 1, 16, 16], [1, 2, 16, 16]);
        let faces = tests::decode(1, |sink| {
            let output = |shape, values| Output { shape, values };
            decode(output(&one, &heat), output(&two, &scale), output(&two, &offset), sink)
        })
        .unwrap();
        let face = faces.iter().find(|face| face.score == 0.9).unwrap();
        // Centre (13, 23), 8 wide, 12 high.
        let rect = face.rect;
        let found = [rect.x, rect.y, rect.width, rect.height].map(|value| value * 64.0);
        assert!(found.iter().zip([9.0, 17.0, 8.0, 12.0]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-3), "{found:?}");
        assert!(faces.iter().all(|face| face.rect.area() <= 1.0 && face.score.is_finite()));
    }

    #[test]
    fn another_size_is_an_error() {
        let error = tests::decode(1, |sink| {
            let output = Output { shape: &[1, 1, 8, 8], values: &[0.0; 64] };
            decode(output, output, output, sink)
        })
        .unwrap_err();
        assert_eq!(error.index, 0);
    }
}
