//! Privacy masks as spans of pixels: what nobody may look at, rasterised once per picture size.
//!
//! A pixel is masked when its centre lies inside a mask's polygon or when an edge of it passes within half a pixel to
//! its left or right: masks rather cover a pixel too many than one too few.

use snowgate_core::geometry::Polygon;

/// Which pixels of a picture are masked: for each row the masked spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks {
    /// `rows[y]..rows[y + 1]` are row y's spans; empty without any mask.
    rows: Vec<u32>,
    spans: Vec<Span>,
}

/// Masked pixels `start..end` of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First masked pixel.
    pub start: u32,
    /// First pixel after it that is not.
    pub end: u32,
}

impl Masks {
    /// Rasterises polygons for a picture of `width` × `height` pixels.
    pub fn rasterise(polygons: &[Polygon], width: usize, height: usize) -> Self {
        if polygons.is_empty() {
            return Self::default();
        }
        let mut masks = Self { rows: Vec::with_capacity(height + 1), spans: Vec::new() };
        let mut crossings = Vec::new();
        let mut row = Vec::new();
        masks.rows.push(0);
        for y in 0..height {
            row.clear();
            for polygon in polygons {
                spans_of_row(polygon, y, width, height, &mut crossings, &mut row);
            }
            row.sort_by_key(|span: &Span| (span.start, span.end));
            for span in &row {
                match masks.spans.get_mut(masks.rows[y] as usize..).and_then(<[Span]>::last_mut) {
                    Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                    _ => masks.spans.push(*span),
                }
            }
            masks.rows.push(u32::try_from(masks.spans.len()).unwrap_or(u32::MAX));
        }
        masks
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The masked spans of row `y`, in order and apart from each other.
    pub fn row(&self, y: usize) -> &[Span] {
        match (self.rows.get(y), self.rows.get(y + 1)) {
            (Some(start), Some(end)) => &self.spans[*start as usize..*end as usize],
            _ => &[],
        }
    }
}

/// Adds the spans of one polygon in row `y`: between each pair of crossings of the row's upper, middle and lower line.
fn spans_of_row(
    polygon: &Polygon,
    y: usize,
    width: usize,
    height: usize,
    crossings: &mut Vec<f32>,
    spans: &mut Vec<Span>,
) {
    let corners = polygon.corners();
    for within in [0.02, 0.5, 0.98] {
        let line = (y as f32 + within) / height as f32;
        crossings.clear();
        for (i, a) in corners.iter().enumerate() {
            let b = corners[(i + 1) % corners.len()];
            if (a.y > line) != (b.y > line) {
                crossings.push((b.x - a.x) * (line - a.y) / (b.y - a.y) + a.x);
            }
        }
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let pixel = |x: f32| (x * width as f32).clamp(0.0, width as f32);
            let (start, end) = (pixel(pair[0]).floor() as u32, pixel(pair[1]).ceil() as u32);
            if start < end {
                spans.push(Span { start, end });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snowgate_core::geometry::{Point, Rect};

    use super::*;

    fn triangle() -> impl Strategy<Value = Polygon> {
        prop::array::uniform3((0.0f32..=1.0, 0.0f32..=1.0).prop_map(|(x, y)| Point::new(x, y)))
            .prop_filter_map("flat", |corners| Polygon::new(corners.to_vec()).ok())
    }

    proptest! {
        #[test]
        fn every_pixel_whose_centre_is_inside_is_masked(
            polygons in prop::collection::vec(triangle(), 1..3), width in 1usize..60, height in 1usize..60,
        ) {
            let masks = Masks::rasterise(&polygons, width, height);
            for y in 0..height {
                let row = masks.row(y);
                prop_assert!(row.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert!(row.iter().all(|span| span.start < span.end && span.end as usize <= width));
                for x in 0..width {
                    let centre = Point::new((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32);
                    let masked = row.iter().any(|span| (span.start as usize..span.end as usize).contains(&x));
                    let inside = polygons.iter().any(|polygon| polygon.contains(centre));
                    prop_assert!(masked || !inside, "({x}, {y})");
                    // A pixel or more away from every mask nothing is covered.
                    let around = Rect::new(
                        (x as f32 - 1.0) / width as f32, (y as f32 - 1.0) / height as f32,
                        3.0 / width as f32, 3.0 / height as f32,
                    );
                    let near = |polygon: &Polygon| {
                        let bounds = polygon.bounds();
                        bounds.x <= around.right() && bounds.right() >= around.x
                            && bounds.y <= around.bottom() && bounds.bottom() >= around.y
                    };
                    prop_assert!(!masked || polygons.iter().any(near), "({x}, {y})");
                }
            }
        }
    }

    #[test]
    fn no_polygon_masks_nothing() {
        let masks = Masks::rasterise(&[], 10, 10);
        assert!(masks.is_empty() && masks.row(3).is_empty() && masks.row(300).is_empty());
    }
}
