//! What is drawn over a covered picture for whoever sets a camera up: a grid of tenths with its numbers, zones, lines,
//! masks and allowed ways.
//!
//! - Only [`Covered`] is drawn on: nothing here can bring back what has been covered.
//! - Light strokes have a dark edge, so that they can be read on snow and at night.
//! - Numbers and names stay inside the picture, and apart from each other as long as there is room.

mod letters;
#[cfg(test)]
mod tests;

use snowgate_core::geometry::{Point, Polygon, Segment};

use self::letters::{Labels, Letters};
use super::canvas::{Covered, Rgb};

/// The dark edge of whatever is drawn.
const EDGE: Rgb = [16, 16, 16];
/// Lines of the grid, and its numbers.
const GRID: Rgb = [225, 225, 225];
/// Zones, in the order of the configuration: cyan, yellow, green, orange, blue. After the last the first comes again.
const ZONES: [Rgb; 5] = [[0, 220, 255], [255, 225, 0], [70, 230, 70], [255, 145, 0], [110, 150, 255]];
/// Lines, allowed ways: red.
const DIRECTED: Rgb = [255, 60, 60];
/// Outlines of masks: violet.
const MASKS: Rgb = [215, 110, 255];

/// Below this width, in pixels, strokes are one pixel wide.
const NARROW: u32 = 400;
/// The length of an arrow across a line, from the line to its head, as a share of the picture's shorter side.
const ARM: f32 = 0.06;
/// The barbs of an arrow's head, as a share of its length, and the most of them in strokes.
const BARB: f32 = 0.4;
const LONGEST_BARB: f32 = 6.0;

/// What is to be drawn, with the names it is known by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overlay {
    /// Zones.
    pub zones: Vec<NamedZone>,
    /// Lines.
    pub lines: Vec<NamedLine>,
    /// Ways that rules allow.
    pub ways: Vec<NamedWay>,
}

/// A zone.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedZone {
    /// Its id.
    pub id: String,
    /// Its outline.
    pub polygon: Polygon,
}

/// A line, and which crossings of it are watched.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedLine {
    /// Its id.
    pub id: String,
    /// Where it runs. Left and right are those of somebody who looks from its start to its end.
    pub segment: Segment,
    /// Whether a rule watches for crossings from left to right.
    pub to_right: bool,
    /// Whether a rule watches for crossings from right to left.
    pub to_left: bool,
}

/// The way that a rule allows.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedWay {
    /// The rule's id.
    pub id: String,
    /// Where its arrow starts.
    pub from: Point,
    /// Where its arrow ends.
    pub to: Point,
}

/// Draws the overlay, and the outlines of the masks, which are black already.
pub(super) fn draw(covered: &mut Covered, overlay: &Overlay, masks: &[Polygon]) {
    let mut board = Board::new(covered);
    board.grid();
    for mask in masks {
        board.outline(mask, MASKS);
    }
    let zones: Vec<(&NamedZone, Rgb)> = overlay.zones.iter().zip(ZONES.into_iter().cycle()).collect();
    for (zone, colour) in &zones {
        board.outline(&zone.polygon, *colour);
    }
    board.dashes(&zones);
    for (zone, colour) in &zones {
        board.corners(&zone.polygon, *colour);
    }
    for line in &overlay.lines {
        board.line(line);
    }
    for way in &overlay.ways {
        board.arrow(way.from, way.to);
    }
    // Names last, so that nothing runs through them; the numbers of the grid have their places first.
    board.numbers();
    for line in &overlay.lines {
        board.sides(line);
    }
    for (zone, colour) in &zones {
        board.name(&zone.id, inside(&zone.polygon), *colour);
    }
    for line in &overlay.lines {
        board.name(&line.id, line.segment.end, DIRECTED);
    }
    for way in &overlay.ways {
        board.name(&way.id, way.from, DIRECTED);
    }
    for (number, mask) in (1..).zip(masks) {
        board.name(&format!("mask {number}"), inside(mask), MASKS);
    }
}

/// A point inside of a polygon to write its name at: the middle of its corners, where that lies inside.
fn inside(polygon: &Polygon) -> Point {
    let corners = polygon.corners();
    let count = corners.len().max(1) as f32;
    let sum = |of: fn(&Point) -> f32| corners.iter().map(of).sum::<f32>();
    let middle = Point::new(sum(|corner| corner.x) / count, sum(|corner| corner.y) / count);
    if polygon.contains(middle) { middle } else { corners.first().copied().unwrap_or(middle) }
}

/// The picture, and how large things are on it.
struct Board<'c> {
    covered: &'c mut Covered,
    labels: Labels,
    /// Pixels across a stroke: an odd number, so that it has a middle.
    stroke: u32,
}

impl<'c> Board<'c> {
    fn new(covered: &'c mut Covered) -> Self {
        let size = covered.size();
        let stroke = if size.0 < NARROW { 1 } else { (size.0 / 500).max(3) | 1 };
        Self { covered, labels: Labels::new(Letters::for_picture(size), size), stroke }
    }

    /// Lines at every tenth, the one in the middle heavier.
    fn grid(&mut self) {
        let (width, height) = self.covered.size();
        let fine = (width / 1000).max(1);
        let tenths = || (0..=10u8).map(|tenth| (f32::from(tenth) / 10.0, if tenth == 5 { 3 * fine } else { fine }));
        // All edges first: none of them cuts a line. A fine line has one behind it, the heavier one on both sides.
        for (colour, is_edge) in [(EDGE, true), (GRID, false)] {
            for (share, thickness) in tenths() {
                let (x, y) = self.covered.pixel_at(Point::new(share, share));
                let before = thickness / 2 + if is_edge && thickness > fine { fine } else { 0 };
                let after = thickness - thickness / 2 + if is_edge { fine } else { 0 };
                let [x, y] = [x, y].map(|at| (at.saturating_sub(before), at + after));
                self.covered.fill((x.0, 0), (x.1 - x.0, height), colour);
                self.covered.fill((0, y.0), (width, y.1 - y.0), colour);
            }
        }
    }

    /// The grid's numbers: of columns above and below, of rows at the left and the right.
    fn numbers(&mut self) {
        for edge in 0..4 {
            // The ends first: in the smallest pictures their neighbours give way.
            for tenth in [0, 10].into_iter().chain(1..10u8) {
                let share = f32::from(tenth) / 10.0;
                let at = match edge {
                    0 => Point::new(share, 0.0),
                    1 => Point::new(0.0, share),
                    2 => Point::new(share, 1.0),
                    _ => Point::new(1.0, share),
                };
                // A corner has one number, and it must be clear of which edge: those of the first two.
                if edge < 2 || (1..10).contains(&tenth) {
                    self.labels.put_if_free(self.covered, &format!("{share:.1}"), self.covered.pixel_at(at), GRID);
                }
            }
        }
    }

    fn name(&mut self, name: &str, at: Point, colour: Rgb) {
        self.labels.put(self.covered, name, self.covered.pixel_at(at), colour);
    }

    fn stroke(&mut self, from: Point, to: Point, colour: Rgb) {
        for (side, colour) in [(self.stroke + 2, EDGE), (self.stroke, colour)] {
            for pixel in self.covered.between(from, to) {
                self.covered.dab(pixel, side, colour);
            }
        }
    }

    fn outline(&mut self, polygon: &Polygon, colour: Rgb) {
        for (from, to) in edges(polygon) {
            self.stroke(from, to, colour);
        }
    }

    /// Draws a part of each outline once more, so that of zones that lie on each other all can be seen.
    fn dashes(&mut self, zones: &[(&NamedZone, Rgb)]) {
        let (turns, length) = (zones.len(), self.stroke as usize * 8);
        for (turn, (zone, colour)) in zones.iter().enumerate() {
            for (from, to) in edges(&zone.polygon) {
                let pixels = self.covered.between(from, to).enumerate();
                for (_, pixel) in pixels.filter(|(step, _)| step / length % turns == turn) {
                    self.covered.dab(pixel, self.stroke, *colour);
                }
            }
        }
    }

    /// Marks corners, the first of them with a larger mark.
    fn corners(&mut self, polygon: &Polygon, colour: Rgb) {
        for (number, corner) in polygon.corners().iter().enumerate() {
            self.mark(*corner, if number == 0 { 5 } else { 3 }, colour);
        }
    }

    /// A square so many strokes wide.
    fn mark(&mut self, at: Point, strokes: u32, colour: Rgb) {
        let (pixel, side) = (self.covered.pixel_at(at), self.stroke * strokes);
        self.covered.dab(pixel, side + 2, EDGE);
        self.covered.dab(pixel, side, colour);
    }

    /// A line with a mark at its start, and arrows across for the crossings that are watched.
    fn line(&mut self, line: &NamedLine) {
        self.stroke(line.segment.start, line.segment.end, DIRECTED);
        self.mark(line.segment.start, 5, DIRECTED);
        let Some(across) = self.across(line, 1.0) else { return };
        for (is_watched, (from, to)) in
            [(line.to_right, (across.left, across.right)), (line.to_left, (across.right, across.left))]
        {
            if is_watched {
                self.arrow(from, to);
            }
        }
    }

    /// Writes on which side of a line left and right are.
    fn sides(&mut self, line: &NamedLine) {
        if let Some(across) = self.across(line, 1.5) {
            self.name("L", across.left, DIRECTED);
            self.name("R", across.right, DIRECTED);
        }
    }

    /// Points to the left and to the right of a line's middle, so many arms from it; none of a line without length.
    fn across(&self, line: &NamedLine, arms: f32) -> Option<Across> {
        let (width, height) = self.covered.size();
        let Segment { start, end } = line.segment;
        let (dx, dy) = self.pixels(start, end);
        let length = dx.hypot(dy);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        let arm = arms * ARM * width.min(height) as f32;
        let middle = Point::new(f32::midpoint(start.x, end.x), f32::midpoint(start.y, end.y));
        // Rows grow downwards: a quarter turn to the right of (dx, dy) is (-dy, dx).
        let turn = (-dy / length * arm, dx / length * arm);
        let right = self.beside(middle, turn);
        Some(Across { left: self.beside(middle, (-turn.0, -turn.1)), right })
    }

    fn arrow(&mut self, from: Point, to: Point) {
        self.stroke(from, to, DIRECTED);
        let (dx, dy) = self.pixels(from, to);
        let length = dx.hypot(dy);
        if !(length > 0.0 && length.is_finite()) {
            return;
        }
        let barb = (length * BARB).min(self.stroke as f32 * LONGEST_BARB) / length;
        // Back from the tip, and half as far to either side.
        for side in [0.5, -0.5] {
            let end = self.beside(to, ((-dx - dy * side) * barb, (-dy + dx * side) * barb));
            self.stroke(to, end, DIRECTED);
        }
    }

    /// How far it is from one point to another, in pixels.
    fn pixels(&self, from: Point, to: Point) -> (f32, f32) {
        let (width, height) = self.covered.size();
        ((to.x - from.x) * width as f32, (to.y - from.y) * height as f32)
    }

    /// The point so many pixels from another.
    fn beside(&self, point: Point, (dx, dy): (f32, f32)) -> Point {
        let (width, height) = self.covered.size();
        Point::new(point.x + dx / width as f32, point.y + dy / height as f32)
    }
}

/// Points on either side of a line.
struct Across {
    left: Point,
    right: Point,
}

fn edges(polygon: &Polygon) -> impl Iterator<Item = (Point, Point)> {
    let corners = polygon.corners();
    corners.iter().copied().zip(corners.iter().copied().cycle().skip(1))
}
