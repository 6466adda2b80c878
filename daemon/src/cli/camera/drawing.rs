//! What a camera's file draws: as it is laid over a picture, and as it is printed beside it.

use std::{
    io::{self, Write as _},
    path::Path,
};

use serde::Serialize;
use snowgate_core::{
    geometry::{Point, Polygon, Segment},
    ids::Id,
    rules::spec::{Direction, RuleKind},
};

use crate::{
    config::CameraConfig,
    evidence::overlay::{NamedLine, NamedWay, NamedZone, Overlay},
};

/// Zones, lines and allowed ways as the camera's file and its rules say them.
pub fn overlay(camera: &CameraConfig) -> Overlay {
    let zones = camera.zones.iter().map(|zone| NamedZone { id: zone.id.to_string(), polygon: zone.polygon.clone() });
    let lines = camera.lines.iter().map(|line| {
        let directions = || {
            camera.rules.iter().filter_map(|rule| match &rule.spec.kind {
                RuleKind::LineCrossing(keys) if keys.line == line.id => Some(keys.direction),
                _ => None,
            })
        };
        NamedLine {
            id: line.id.to_string(),
            segment: Segment { start: line.start, end: line.end.value },
            to_right: directions().any(|direction| direction != Direction::RightToLeft),
            to_left: directions().any(|direction| direction != Direction::LeftToRight),
        }
    });
    let ways = camera.rules.iter().filter_map(|rule| match &rule.spec.kind {
        RuleKind::WrongWay(keys) => Some(NamedWay { id: rule.spec.id.to_string(), from: keys.from, to: keys.to.value }),
        _ => None,
    });
    Overlay { zones: zones.collect(), lines: lines.collect(), ways: ways.collect() }
}

/// A picture, as it is printed.
#[derive(Serialize)]
pub struct Report<'a> {
    /// The camera.
    pub camera: &'a Id,
    /// Which of its streams.
    pub stream: &'static str,
    /// Where the picture lies.
    pub file: &'a Path,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// How many faces are covered.
    pub faces_covered: u32,
    /// How many heads are covered.
    pub heads_covered: u32,
    /// What the access log says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<Logged<'a>>,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_logged: Option<String>,
    /// What the camera's file draws.
    #[serde(flatten)]
    pub drawing: Drawing<'a>,
}

/// What the access log says of a look.
#[derive(Serialize)]
pub struct Logged<'a> {
    /// The data directory in which it lies.
    pub directory: &'a Path,
    /// Who has looked.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Everything that is drawn, with its corners in fractions of the frame.
#[derive(Serialize)]
pub struct Drawing<'a> {
    zones: Vec<Zone<'a>>,
    lines: Vec<Line<'a>>,
    masks: Vec<Mask<'a>>,
    ways: Vec<Way<'a>>,
}

#[derive(Serialize)]
struct Zone<'a> {
    id: &'a str,
    polygon: &'a [Point],
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    start: Point,
    end: Point,
    /// Which crossings rules watch for, as rules say it; none where no rule does.
    direction: Option<&'static str>,
}

#[derive(Serialize)]
struct Mask<'a> {
    /// Its place among the masks in the file, from 1.
    number: usize,
    polygon: &'a [Point],
}

#[derive(Serialize)]
struct Way<'a> {
    rule: &'a str,
    from: Point,
    to: Point,
}

impl<'a> Drawing<'a> {
    /// All of an overlay and of a camera's masks.
    pub fn new(overlay: &'a Overlay, masks: &'a [Polygon]) -> Self {
        let zones = overlay.zones.iter().map(|zone| Zone { id: &zone.id, polygon: zone.polygon.corners() });
        let lines = overlay.lines.iter().map(|NamedLine { id, segment, to_right, to_left }| {
            let direction = match (to_right, to_left) {
                (true, true) => Some(Direction::Both),
                (true, false) => Some(Direction::LeftToRight),
                (false, true) => Some(Direction::RightToLeft),
                (false, false) => None,
            };
            Line { id, start: segment.start, end: segment.end, direction: direction.map(Direction::as_str) }
        });
        let masks = (1..).zip(masks).map(|(number, mask)| Mask { number, polygon: mask.corners() });
        let ways = overlay.ways.iter().map(|way| Way { rule: &way.id, from: way.from, to: way.to });
        Self { zones: zones.collect(), lines: lines.collect(), masks: masks.collect(), ways: ways.collect() }
    }
}

impl Report<'_> {
    /// Prints it for people; corners as they stand in the camera's file.
    ///
    /// # Errors
    /// Nobody is there to read it any more.
    pub fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let Self { camera, stream, file, width, height, faces_covered, heads_covered, .. } = self;
        writeln!(out, "{}", file.display())?;
        writeln!(out, "camera {camera}, stream {stream}: {width} × {height} pixels")?;
        writeln!(out, "covered: {faces_covered} face(s), {heads_covered} head(s)")?;
        if let Some(Logged { directory, by, reason }) = &self.access_log {
            writeln!(out, "access log in {}: by {by}, {reason}", directory.display())?;
        }
        if let Some(why) = &self.not_logged {
            writeln!(out, "not in any access log: {why}")?;
        }
        for Zone { id, polygon } in &self.drawing.zones {
            writeln!(out, "zone {id}: polygon = {}", array(polygon))?;
        }
        for Line { id, start, end, direction } in &self.drawing.lines {
            let watched =
                direction.map_or("no rule watches it".to_owned(), |direction| format!("watched: {direction}"));
            writeln!(out, "line {id}: start = {}, end = {}; {watched}", pair(start), pair(end))?;
        }
        for Mask { number, polygon } in &self.drawing.masks {
            writeln!(out, "mask {number}: polygon = {}", array(polygon))?;
        }
        for Way { rule, from, to } in &self.drawing.ways {
            writeln!(out, "allowed way of rule {rule}: from = {}, to = {}", pair(from), pair(to))?;
        }
        out.flush()
    }
}

/// `[0.1, 0.35]`, as the configuration says a point.
fn pair(point: &Point) -> String {
    format!("[{}, {}]", point.x, point.y)
}

fn array(points: &[Point]) -> String {
    let points: Vec<String> = points.iter().map(pair).collect();
    format!("[{}]", points.join(", "))
}
