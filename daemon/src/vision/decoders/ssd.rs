//! SSD (Liu et al., 2016) whose anchors are already applied by the graph: scores and boxes for each anchor.

use super::{Output, ShapeError, Sink};

/// Reads scores `[1, N, classes]` and boxes `[1, N, 4]` or `[1, N, 1, 4]` as top, left, bottom, right in fractions of the input.
///
/// # Errors
/// When an output has another shape.
pub fn decode(scores: Output<'_>, boxes: Output<'_>, sink: &mut Sink<'_>) -> Result<(), ShapeError> {
    let [1, anchors, classes] = *scores.shape else {
        return Err(ShapeError::new(0, &scores, "[1, N, classes]"));
    };
    let (anchors, classes) = (usize::try_from(anchors).unwrap_or(0), usize::try_from(classes).unwrap_or(0));
    if classes != sink.classes || Some(scores.values.len()) != anchors.checked_mul(classes) {
        return Err(ShapeError::new(0, &scores, format!("[1, N, {}]", sink.classes)));
    }
    let many = anchors as i64;
    let fits = boxes.shape == [1, many, 4] || boxes.shape == [1, many, 1, 4];
    if !fits || boxes.values.len() != anchors * 4 {
        return Err(ShapeError::new(1, &boxes, format!("[1, {anchors}, 4] or [1, {anchors}, 1, 4]")));
    }
    let (width, height) = (sink.input.0 as f32, sink.input.1 as f32);
    for (scores, corners) in scores.values.chunks_exact(classes.max(1)).zip(boxes.values.chunks_exact(4)) {
        for (class, score) in scores.iter().enumerate() {
            if sink.candidates.wants(*score) {
                let [top, left, bottom, right] = [corners[0], corners[1], corners[2], corners[3]];
                sink.push(class, *score, [left * width, top * height, right * width, bottom * height]);
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
    fn boxes_are_top_left_bottom_right() {
        let boxes = [0.1, 0.2, 0.5, 0.9, f32::NAN, 0.0, 1.0, 1.0, 0.5, 0.5, 0.2, 0.2];
        let found = tests::decode(2, |sink| {
            let scores = Output { shape: &[1, 3, 2], values: &[0.1, 0.8, 0.9, 0.0, 0.9, 0.9] };
            decode(scores, Output { shape: &[1, 3, 1, 4], values: &boxes }, sink)
        })
        .unwrap();
        let best = found.iter().find(|found| found.score == 0.8).unwrap();
        assert_eq!(best.class, 1);
        assert!(best.rect.iou(&Rect::from_edges(0.2, 0.1, 0.9, 0.5)) > 0.999);
        assert!(found.iter().all(|found| found.rect.area().is_finite()));
    }

    proptest! {
        #[test]
        fn no_output_can_do_harm(
            shape in prop::collection::vec(-2i64..6, 0..5), values in prop::collection::vec(any::<f32>(), 0..130),
            boxes in prop::collection::vec(-2i64..6, 0..5),
        ) {
            let found = tests::decode(2, |sink| {
                decode(Output { shape: &shape, values: &values }, Output { shape: &boxes, values: &values }, sink)
            });
            for candidate in found.unwrap_or_default() {
                prop_assert!(candidate.rect.share_inside(&Rect::FRAME) > 0.99 && candidate.score <= 1.0);
            }
        }
    }
}
