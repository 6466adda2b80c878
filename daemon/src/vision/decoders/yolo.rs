//! The two layouts the YOLO family has settled on: YOLOv8's, which is decoded by the graph, and YOLOX's, which is not.

use super::{Output, ShapeError, Sink};

/// Reads YOLOv8's `[1, 4 + classes, N]`: centre x, centre y, width, height in input pixels, then the classes' scores.
///
/// # Errors
/// When the output has another shape.
pub fn decode_v8(output: Output<'_>, sink: &mut Sink<'_>) -> Result<(), ShapeError> {
    let rows = 4 + sink.classes;
    let expected = || ShapeError::new(0, &output, format!("[1, {rows}, N]"));
    let [1, found_rows, cells] = *output.shape else { return Err(expected()) };
    let cells = usize::try_from(cells).unwrap_or(0);
    if found_rows != rows as i64 || Some(output.values.len()) != cells.checked_mul(rows) || cells == 0 {
        return Err(expected());
    }
    let row = |index: usize| &output.values[index * cells..(index + 1) * cells];
    let (xs, ys, widths, heights) = (row(0), row(1), row(2), row(3));
    for class in 0..sink.classes {
        for (i, score) in row(4 + class).iter().enumerate() {
            if sink.candidates.wants(*score) {
                sink.push_centred(class, *score, [xs[i], ys[i], widths[i], heights[i]]);
            }
        }
    }
    Ok(())
}

/// The strides of YOLOX's three grids, in the order of its output.
const STRIDES: [u32; 3] = [8, 16, 32];

/// Reads YOLOX's `[1, N, 5 + classes]` over its three grids: centre in cells from the cell's corner, logarithm of the size
/// in strides, objectness, then the classes' scores; a box's score is objectness × class (Ge et al., "YOLOX", 2021).
///
/// # Errors
/// When the output has another shape.
pub fn decode_x(output: Output<'_>, sink: &mut Sink<'_>) -> Result<(), ShapeError> {
    let columns = 5 + sink.classes;
    let cells: usize = STRIDES.iter().map(|s| ((sink.input.0 / s) as usize) * (sink.input.1 / s) as usize).sum();
    if output.shape != [1, cells as i64, columns as i64] || output.values.len() != cells * columns {
        return Err(ShapeError::new(0, &output, format!("[1, {cells}, {columns}]")));
    }
    let mut rows = output.values.chunks_exact(columns);
    for stride in STRIDES {
        let (width, height) = (sink.input.0 / stride, sink.input.1 / stride);
        let size = stride as f32;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let Some(row) = rows.next() else { return Ok(()) };
            let objectness = row[4];
            if !sink.candidates.wants(objectness) {
                continue;
            }
            for (class, share) in row[5..].iter().enumerate() {
                let score = objectness * share;
                if sink.candidates.wants(score) {
                    let centre = [(row[0] + x as f32) * size, (row[1] + y as f32) * size];
                    sink.push_centred(class, score, [centre[0], centre[1], row[2].exp() * size, row[3].exp() * size]);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snowgate_core::geometry::Rect;

    use super::{super::tests, *};

    #[test]
    fn v8_columns_are_boxes() {
        // Two cells; the second is class 1.
        let values = [10.0, 32.0, 10.0, 16.0, 4.0, 8.0, 4.0, 12.0, 0.1, 0.0, 0.2, 0.7];
        let found = tests::decode(2, |sink| decode_v8(Output { shape: &[1, 6, 2], values: &values }, sink)).unwrap();
        assert_eq!((found.len(), found[0].class, found[0].score), (1, 1, 0.7));
        assert!(found[0].rect.iou(&Rect::new(28.0 / 64.0, 10.0 / 64.0, 8.0 / 64.0, 12.0 / 64.0)) > 0.999);
    }

    #[test]
    fn x_cells_lie_on_three_grids() {
        let mut values = vec![0.0; 84 * 7];
        // The cell (row 1, column 2) of the grid of stride 16.
        let row = &mut values[(64 + 4 + 2) * 7..][..7];
        row.copy_from_slice(&[0.5, 0.25, 0.0, 2f32.ln(), 0.8, 0.1, 0.75]);
        let found = tests::decode(2, |sink| decode_x(Output { shape: &[1, 84, 7], values: &values }, sink)).unwrap();
        assert_eq!((found.len(), found[0].class), (1, 1));
        assert!((found[0].score - 0.6).abs() < 1e-6);
        assert!(found[0].rect.iou(&Rect::from_edges(0.5, 4.0 / 64.0, 0.75, 36.0 / 64.0)) > 0.999);
    }

    proptest! {
        #[test]
        fn no_output_can_do_harm(
            shape in prop::collection::vec(-2i64..9, 0..5), values in prop::collection::vec(any::<f32>(), 0..100),
            cells in prop::collection::vec(any::<f32>(), 84 * 7),
        ) {
            let output = Output { shape: &shape, values: &values };
            for decoder in [decode_v8, decode_x] {
                let _ = tests::decode(2, |sink| decoder(output, sink));
            }
            let found = tests::decode(2, |sink| decode_x(Output { shape: &[1, 84, 7], values: &cells }, sink)).unwrap();
            prop_assert!(found.iter().all(|candidate| candidate.rect.share_inside(&Rect::FRAME) > 0.99));
        }
    }
}
