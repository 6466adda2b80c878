//! A piece of flat ground, measured: from points in the picture to metres on the ground.
//!
//! Four corners in the picture and the sides of the rectangle that they are on the ground determine the one plane
//! projective map between the two. It is made in closed form, after P. Heckbert, *Fundamentals of Texture Mapping and
//! Image Warping*, 1989, section 2.2.3: the map from the unit square to the quadrilateral, and of that the adjoint
//! matrix, which is its inverse but for a factor that does not matter. A camera's lens must not bend straight lines much.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::{Point, Polygon};
use crate::spec::{Bounded, DeserError, Deserialize, Value, custom};

/// The sides of a rectangle on the ground, in metres, 1 to 1000 each; written `[width, length]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(into = "[Bounded<1, 1000>; 2]")]
pub struct GroundSize {
    /// From its first corner to its second.
    pub width: Bounded<1, 1000>,
    /// From its second corner to its third.
    pub length: Bounded<1, 1000>,
}

impl GroundSize {
    /// The rectangle's area in square metres.
    pub fn area(self) -> f64 {
        f64::from(self.width.0) * f64::from(self.length.0)
    }
}

impl From<GroundSize> for [Bounded<1, 1000>; 2] {
    fn from(GroundSize { width, length }: GroundSize) -> Self {
        [width, length]
    }
}

impl<'de> Deserialize<'de> for GroundSize {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        match Vec::<Bounded<1, 1000>>::deserialize(value)?.as_slice() {
            &[width, length] => Ok(Self { width, length }),
            other => Err(custom(format!("a rectangle has two sides [width, length], not {}", other.len()), span)),
        }
    }
}

impl JsonSchema for GroundSize {
    fn schema_name() -> Cow<'static, str> {
        "GroundSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array", "minItems": 2, "maxItems": 2,
            "items": { "type": "number", "minimum": 1, "maximum": 1000 },
        })
    }
}

/// The map from the picture to a rectangle on the ground.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundPlane {
    /// From homogeneous points of the picture to the unit square, row by row.
    to_square: [[f64; 3]; 3],
    /// Metres along the sides of the square.
    sides: [f64; 2],
}

/// Why a zone is no picture of a rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroundPlaneError {
    /// A rectangle has four corners.
    #[error("a measured zone has exactly four corners, those of a rectangle on the ground; this one has {0}")]
    NotFourCorners(usize),
    /// No picture of a rectangle looks like that.
    #[error(
        "no rectangle on the ground looks like that: the zone has a corner that points inwards, or three on one line"
    )]
    NotConvex,
}

impl GroundPlane {
    /// The map that takes the corners of `zone`, in their order, to those of a rectangle of that size.
    ///
    /// # Errors
    /// The zone is no convex quadrilateral.
    pub fn new(zone: &Polygon, size: GroundSize) -> Result<Self, GroundPlaneError> {
        let &[a, b, c, d] = zone.corners() else { return Err(GroundPlaneError::NotFourCorners(zone.corners().len())) };
        let corners = [a, b, c, d].map(|corner| [f64::from(corner.x), f64::from(corner.y)]);
        if !is_convex(&corners) {
            return Err(GroundPlaneError::NotConvex);
        }
        Ok(Self {
            to_square: adjoint(&square_to_quadrilateral(&corners)),
            sides: [size.width, size.length].map(|side| side.0.into()),
        })
    }

    /// Where on the ground a point of the picture is, in metres from the first corner along both sides. `None` for what lies at
    /// the horizon; what lies beyond it is nowhere either, and no point of the zone does.
    pub fn locate(&self, point: Point) -> Option<[f64; 2]> {
        let (x, y) = (f64::from(point.x), f64::from(point.y));
        let [u, v, w] = self.to_square.map(|row| row[0] * x + row[1] * y + row[2]);
        let place = [u / w * self.sides[0], v / w * self.sides[1]];
        place.iter().all(|metres| metres.is_finite()).then_some(place)
    }
}

/// How far, in squares of the frame, a corner must stand out for the four to be no triangle.
const LEAST_TURN: f64 = 1e-6;

/// Whether every corner turns the same way.
fn is_convex(corners: &[[f64; 2]; 4]) -> bool {
    let turn = |corner: usize| {
        let [before, here, after] = [corner, corner + 1, corner + 2].map(|index| corners[index % 4]);
        (here[0] - before[0]) * (after[1] - here[1]) - (here[1] - before[1]) * (after[0] - here[0])
    };
    let turns = [0, 1, 2, 3].map(turn);
    turns.iter().all(|turn| *turn > LEAST_TURN) || turns.iter().all(|turn| *turn < -LEAST_TURN)
}

/// The map that takes (0, 0), (1, 0), (1, 1), (0, 1) to the four corners (Heckbert 1989, section 2.2.3, case 2; where the
/// corners are those of a parallelogram it becomes his case 1 by itself, since both sums are zero).
fn square_to_quadrilateral(corners: &[[f64; 2]; 4]) -> [[f64; 3]; 3] {
    let [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = *corners;
    let (dx1, dx2, sum_x) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
    let (dy1, dy2, sum_y) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
    let whole = dx1 * dy2 - dx2 * dy1;
    let g = (sum_x * dy2 - dx2 * sum_y) / whole;
    let h = (dx1 * sum_y - sum_x * dy1) / whole;
    [[x1 - x0 + g * x1, x3 - x0 + h * x3, x0], [y1 - y0 + g * y1, y3 - y0 + h * y3, y0], [g, h, 1.0]]
}

/// The adjoint of a matrix: its inverse times its determinant.
fn adjoint(m: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |row: usize, column: usize| {
        let (rows, columns) = ([(row + 1) % 3, (row + 2) % 3], [(column + 1) % 3, (column + 2) % 3]);
        m[rows[0]][columns[0]] * m[rows[1]][columns[1]] - m[rows[0]][columns[1]] * m[rows[1]][columns[0]]
    };
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| cofactor(column, row)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(width: f32, length: f32) -> GroundSize {
        GroundSize { width: Bounded(width), length: Bounded(length) }
    }

    fn zone(corners: &[[f32; 2]]) -> Polygon {
        Polygon::new(corners.iter().copied().map(Point::from).collect()).unwrap()
    }

    /// A lane seen along its length, wider at the bottom.
    const LANE: [[f32; 2]; 4] = [[0.4, 0.3], [0.6, 0.3], [0.9, 0.9], [0.1, 0.9]];

    #[test]
    fn corners_are_where_they_were_measured() {
        let ground = GroundPlane::new(&zone(&LANE), size(7.0, 40.0)).unwrap();
        for (corner, place) in LANE.into_iter().zip([[0.0, 0.0], [7.0, 0.0], [7.0, 40.0], [0.0, 40.0]]) {
            let found = ground.locate(corner.into()).unwrap();
            assert!((found[0] - place[0]).abs() < 1e-4 && (found[1] - place[1]).abs() < 1e-4, "{found:?} {place:?}");
        }
        // In perspective the middle of the ground is where the diagonals cross, here far above the middle of the picture.
        let middle = ground.locate(Point::new(0.5, 0.42)).unwrap();
        assert!((middle[0] - 3.5).abs() < 1e-4 && (middle[1] - 20.0).abs() < 1e-3, "{middle:?}");
    }

    #[test]
    fn what_is_no_rectangle_is_named() {
        let error = |corners: &[[f32; 2]]| GroundPlane::new(&zone(corners), size(1.0, 1.0)).unwrap_err();
        assert_eq!(error(&LANE[..3]), GroundPlaneError::NotFourCorners(3));
        assert_eq!(error(&[[0.1, 0.1], [0.9, 0.1], [0.3, 0.3], [0.1, 0.9]]), GroundPlaneError::NotConvex);
        assert_eq!(error(&[[0.1, 0.1], [0.5, 0.1], [0.9, 0.1], [0.5, 0.9]]), GroundPlaneError::NotConvex);
    }

    proptest! {
        /// What a pinhole camera sees of a rectangle on the ground is found again on the ground, wherever the camera stands.
        #[test]
        fn what_a_camera_sees_is_where_it_is(
            height in 3.0f64..12.0, tilt in 0.35f64..1.2, pan in -0.5f64..0.5,
            width in 3.0f32..15.0, length in 5.0f32..60.0, near in 4.0f64..20.0,
            across in 0.0f64..1.0, along in 0.0f64..1.0,
        ) {
            let size = size(width, length);
            let (width, length) = (f64::from(width), f64::from(length));
            // Looking along y from (0, 0, height), turned down by `tilt`; one focal length is 0.8 of the frame.
            let see = |x: f64, y: f64| {
                let (x, y) = (x * pan.cos() - y * pan.sin(), x * pan.sin() + y * pan.cos());
                let (depth, down) = (y * tilt.cos() + height * tilt.sin(), height * tilt.cos() - y * tilt.sin());
                (depth > 0.5).then(|| Point::new((0.5 + 0.8 * x / depth) as f32, (0.5 + 0.8 * down / depth) as f32))
            };
            let at = |u: f64, v: f64| see((u - 0.5) * width, near + (1.0 - v) * length);
            let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(u, v)| at(u, v));
            let corners: Option<Vec<Point>> = corners.into_iter().collect();
            let polygon = corners.and_then(|corners| Polygon::new(corners).ok());
            prop_assume!(polygon.is_some());
            let polygon = polygon.unwrap();
            prop_assume!(polygon.area() > 0.02);
            let ground = GroundPlane::new(&polygon, size);
            prop_assume!(ground != Err(GroundPlaneError::NotConvex));
            let found = ground.unwrap().locate(at(across, along).unwrap()).unwrap();
            // Corners are only as exact as an f32.
            prop_assert!((found[0] - across * width).abs() < 0.01 * width, "{found:?}");
            prop_assert!((found[1] - along * length).abs() < 0.01 * length, "{found:?}");
        }
    }
}
