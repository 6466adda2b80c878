//! Points, boxes, polygons and lines in *fractions of the frame*: (0, 0) is the top left corner, (1, 1) the bottom
//! right one, y grows downwards. What an operator draws holds at every resolution.

mod ground;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::spec::{DeserError, Deserialize, Located, Value, custom, number_between};

pub use self::ground::{GroundPlane, GroundPlaneError, GroundSize};

/// A point, both coordinates in fractions of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, serde::Deserialize)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
pub struct Point {
    /// From the left edge.
    pub x: f32,
    /// From the top edge.
    pub y: f32,
}

impl Point {
    /// A point at (`x`, `y`).
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }
}

impl From<[f32; 2]> for Point {
    fn from([x, y]: [f32; 2]) -> Self {
        Self { x, y }
    }
}

impl From<Point> for [f32; 2] {
    fn from(point: Point) -> Self {
        [point.x, point.y]
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let mut parts = Vec::<Located<Coordinate>>::deserialize(value)?;
        match parts.as_mut_slice() {
            [x, y] => Ok(Self::new(x.value.0, y.value.0)),
            other => Err(custom(format!("a point has two coordinates [x, y], not {}", other.len()), span)),
        }
    }
}

/// One coordinate; outside 0..1 it is outside the frame.
struct Coordinate(f32);

impl<'de> Deserialize<'de> for Coordinate {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        number_between(value, 0.0, 1.0).map(|number| Self(number as f32)).map_err(|mut error| {
            for error in &mut error.errors {
                if let crate::spec::ErrorKind::Custom(message) = &mut error.kind {
                    *message = format!("{message}: the point lies outside the frame").into();
                }
                error.span = span;
            }
            error
        })
    }
}

impl JsonSchema for Point {
    fn schema_name() -> Cow<'static, str> {
        "Point".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array", "minItems": 2, "maxItems": 2,
            "items": { "type": "number", "minimum": 0, "maximum": 1 },
        })
    }
}

/// An axis-parallel box; may reach outside the frame where an object does.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, serde::Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, ≥ 0.
    pub width: f32,
    /// Height, ≥ 0.
    pub height: f32,
}

impl Rect {
    /// The whole frame.
    pub const FRAME: Self = Self { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };

    /// A box from its left top corner and its size.
    pub const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    /// A box from its edges; edges in the wrong order give an empty box.
    pub fn from_edges(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self::new(left, top, (right - left).max(0.0), (bottom - top).max(0.0))
    }

    /// Right edge.
    pub fn right(&self) -> f32 {
        self.x + self.width
    }

    /// Bottom edge.
    pub fn bottom(&self) -> f32 {
        self.y + self.height
    }

    /// Middle of the box.
    pub fn centre(&self) -> Point {
        Point::new(self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// Where a standing thing touches the ground: the middle of the bottom edge. Zones and lines are drawn on the
    /// ground, so this is the point that is held against them.
    pub fn foot(&self) -> Point {
        Point::new(self.x + self.width / 2.0, self.bottom())
    }

    /// Area in fractions of the frame's area.
    pub fn area(&self) -> f32 {
        self.width * self.height
    }

    /// The part common to both, empty where they do not meet.
    pub fn intersection(&self, other: &Self) -> Self {
        Self::from_edges(
            self.x.max(other.x),
            self.y.max(other.y),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// The smallest box that holds both.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_edges(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// Intersection over union, 0..1; 0 where both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let common = self.intersection(other).area();
        let total = self.area() + other.area() - common;
        if total > 0.0 { common / total } else { 0.0 }
    }

    /// The share of this box that lies inside `other`, 0..1.
    pub fn share_inside(&self, other: &Self) -> f32 {
        let area = self.area();
        if area > 0.0 { self.intersection(other).area() / area } else { 0.0 }
    }

    /// This box cut to the frame.
    pub fn clamped(&self) -> Self {
        self.intersection(&Self::FRAME)
    }

    /// Whether the point lies inside or on the edge.
    pub fn contains(&self, point: Point) -> bool {
        (self.x..=self.right()).contains(&point.x) && (self.y..=self.bottom()).contains(&point.y)
    }
}

/// Why a list of points is no polygon.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolygonError {
    /// Fewer than three corners.
    #[error("a zone needs at least three corners, not {0}")]
    TooFewCorners(usize),
    /// More corners than anyone draws.
    #[error("a zone has at most {max} corners, not {found}", max = Polygon::MAX_CORNERS)]
    TooManyCorners {
        /// How many were given.
        found: usize,
    },
    /// Two edges cross.
    #[error("the zone's outline crosses itself: the edge from corner {first} meets the edge from corner {second}")]
    SelfCrossing {
        /// Corner (from 1) where the first edge starts.
        first: usize,
        /// Corner (from 1) where the second edge starts.
        second: usize,
    },
    /// All corners on one line.
    #[error("the zone has no area")]
    NoArea,
}

/// A simple polygon (its outline does not cross itself) with at least three corners.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Polygon {
    corners: Vec<Point>,
}

impl Polygon {
    /// The most corners a polygon may have.
    pub const MAX_CORNERS: usize = 64;

    /// A polygon from its corners in order; the last edge closes it.
    ///
    /// # Errors
    /// Why these points enclose no simple area.
    pub fn new(corners: Vec<Point>) -> Result<Self, PolygonError> {
        let n = corners.len();
        if n < 3 {
            return Err(PolygonError::TooFewCorners(n));
        }
        if n > Self::MAX_CORNERS {
            return Err(PolygonError::TooManyCorners { found: n });
        }
        for i in 0..n {
            for j in i + 1..n {
                let neighbours = j == i + 1 || (i == 0 && j == n - 1);
                let (a, b) = (corners[i], corners[(i + 1) % n]);
                let (c, d) = (corners[j], corners[(j + 1) % n]);
                if !neighbours && segments_meet(a, b, c, d) {
                    return Err(PolygonError::SelfCrossing { first: i + 1, second: j + 1 });
                }
            }
        }
        let polygon = Self { corners };
        if polygon.area() < 1e-6 {
            return Err(PolygonError::NoArea);
        }
        Ok(polygon)
    }

    /// The corners in order.
    pub fn corners(&self) -> &[Point] {
        &self.corners
    }

    /// Area in fractions of the frame's area (shoelace formula).
    pub fn area(&self) -> f32 {
        let n = self.corners.len();
        let twice: f32 = (0..n).map(|i| cross(self.corners[i], self.corners[(i + 1) % n])).sum();
        twice.abs() / 2.0
    }

    /// Whether the point lies inside (even-odd rule, as in W. R. Franklin's PNPOLY); points on the outline may fall either way.
    pub fn contains(&self, point: Point) -> bool {
        let n = self.corners.len();
        let mut inside = false;
        for i in 0..n {
            let (a, b) = (self.corners[i], self.corners[(i + 1) % n]);
            if (a.y > point.y) != (b.y > point.y) {
                let x = (b.x - a.x) * (point.y - a.y) / (b.y - a.y) + a.x;
                if point.x < x {
                    inside = !inside;
                }
            }
        }
        inside
    }

    /// The smallest box around it.
    pub fn bounds(&self) -> Rect {
        let first = self.corners[0];
        self.corners.iter().fold(Rect::new(first.x, first.y, 0.0, 0.0), |bounds, corner| {
            bounds.union(&Rect::new(corner.x, corner.y, 0.0, 0.0))
        })
    }
}

impl<'de> Deserialize<'de> for Polygon {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let corners = Vec::<Point>::deserialize(value)?;
        Self::new(corners).map_err(|error| custom(error.to_string(), span))
    }
}

impl JsonSchema for Polygon {
    fn schema_name() -> Cow<'static, str> {
        "Polygon".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array", "minItems": 3, "maxItems": Self::MAX_CORNERS,
            "items": generator.subschema_for::<Point>(),
        })
    }
}

/// Which way a line was crossed, seen by somebody who stands at its start and looks to its end on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crossing {
    /// From the left-hand side to the right-hand side.
    LeftToRight,
    /// From the right-hand side to the left-hand side.
    RightToLeft,
}

/// A directed line segment drawn on the ground.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Segment {
    /// Where it starts.
    pub start: Point,
    /// Where it ends.
    pub end: Point,
}

impl Segment {
    /// Twice the signed area of the triangle (start, end, point): > 0 when the point is on the right-hand side as
    /// seen from start to end (y grows downwards), < 0 on the left-hand side.
    pub fn side(&self, point: Point) -> f32 {
        (self.end.x - self.start.x) * (point.y - self.start.y) - (self.end.y - self.start.y) * (point.x - self.start.x)
    }

    /// Signed distance of the point from the endless line through this segment, in fractions of the frame; > 0 on the
    /// right-hand side as in [`Segment::side`].
    pub fn offset(&self, point: Point) -> f32 {
        let length = (self.end.x - self.start.x).hypot(self.end.y - self.start.y);
        if length > 0.0 { self.side(point) / length } else { 0.0 }
    }

    /// Whether the straight way from one point to another meets this segment, its ends included.
    pub fn meets(&self, from: Point, to: Point) -> bool {
        segments_meet(self.start, self.end, from, to)
    }
}

fn cross(a: Point, b: Point) -> f32 {
    a.x * b.y - a.y * b.x
}

/// Whether the closed segments ab and cd have a point in common.
fn segments_meet(a: Point, b: Point, c: Point, d: Point) -> bool {
    let turn = |p: Point, q: Point, r: Point| (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
    let on = |p: Point, q: Point, r: Point| {
        (p.x.min(q.x)..=p.x.max(q.x)).contains(&r.x) && (p.y.min(q.y)..=p.y.max(q.y)).contains(&r.y)
    };
    let (d1, d2, d3, d4) = (turn(c, d, a), turn(c, d, b), turn(a, b, c), turn(a, b, d));
    if d1 * d2 < 0.0 && d3 * d4 < 0.0 {
        return true;
    }
    (d1 == 0.0 && on(c, d, a)) || (d2 == 0.0 && on(c, d, b)) || (d3 == 0.0 && on(a, b, c)) || (d4 == 0.0 && on(a, b, d))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = Point> {
        (0.0f32..1.0, 0.0f32..1.0).prop_map(|(x, y)| Point::new(x, y))
    }
    fn rect() -> impl Strategy<Value = Rect> {
        (0.0f32..1.0, 0.0f32..1.0, 0.01f32..0.5, 0.01f32..0.5).prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
    }

    #[test]
    fn self_crossing_outline_is_named() {
        let bow_tie = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]].map(Point::from).to_vec();
        assert_eq!(Polygon::new(bow_tie), Err(PolygonError::SelfCrossing { first: 1, second: 3 }));
        let flat = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]].map(Point::from).to_vec();
        assert!(Polygon::new(flat).is_err());
    }

    #[test]
    fn right_is_where_somebody_who_looks_along_the_line_has_it() {
        let upwards = Segment { start: Point::new(0.5, 0.9), end: Point::new(0.5, 0.1) };
        assert!(upwards.side(Point::new(0.6, 0.5)) > 0.0);
        assert!((upwards.offset(Point::new(0.4, 0.5)) + 0.1).abs() < 1e-6);
        assert!(upwards.meets(Point::new(0.4, 0.5), Point::new(0.6, 0.5)));
        assert!(!upwards.meets(Point::new(0.4, 0.95), Point::new(0.6, 0.95)), "beyond the end");
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_bounded(a in rect(), b in rect()) {
            let iou = a.iou(&b);
            prop_assert!((0.0..=1.0 + 1e-5).contains(&iou));
            prop_assert!((iou - b.iou(&a)).abs() < 1e-6);
            prop_assert!((a.iou(&a) - 1.0).abs() < 1e-4);
        }

        #[test]
        fn union_holds_both(a in rect(), b in rect()) {
            let union = a.union(&b);
            prop_assert!(a.share_inside(&union) > 0.999 && b.share_inside(&union) > 0.999);
        }

        #[test]
        fn a_rectangle_as_polygon_contains_what_the_rectangle_does(r in rect(), p in point()) {
            let polygon = Polygon::new(vec![
                Point::new(r.x, r.y), Point::new(r.right(), r.y),
                Point::new(r.right(), r.bottom()), Point::new(r.x, r.bottom()),
            ]).unwrap();
            let near_edge = [(p.x - r.x), (p.x - r.right()), (p.y - r.y), (p.y - r.bottom())].iter().any(|d| d.abs() < 1e-4);
            prop_assume!(!near_edge);
            prop_assert_eq!(polygon.contains(p), r.contains(p));
            prop_assert!((polygon.area() - r.area()).abs() < 1e-4);
        }
    }
}
