//! Draws a sensor's recording: for each quantity its readings and, below, how unlike before they were; across both the
//! incidents.
//!
//! Blue: values that count. Orange: readings that did not. Red, dashed: limits. Red bands: incidents, from opened to ended.
//! Green: scores.

mod axis;
mod canvas;

use std::path::Path;

use embedded_graphics::{pixelcolor::Rgb888, prelude::WebColors as _};
use image::ImageFormat;
use jiff::tz::TimeZone;
use snowgate_core::sensor::{
    rules::spec::{SensorRuleKind, SensorRuleSpec},
    spec::QuantitySpec,
};

use self::{
    axis::{Span, days, ticks, time_ticks},
    canvas::{Canvas, Frame, TEXT_HEIGHT, TEXT_WIDTH},
};
use super::{
    Replayed,
    incident::SensorIncident,
    trace::{Point, Trace},
};

const WIDTH: i32 = 1600;
const LEFT: i32 = 90;
const RIGHT: i32 = 20;
const TOP: i32 = 40;
const VALUES: i32 = 300;
const SCORES: i32 = 100;
const GAP: i32 = 34;

const INK: Rgb888 = Rgb888::CSS_DARK_SLATE_GRAY;
const GRID: Rgb888 = Rgb888::CSS_GAINSBORO;
const VALUE: Rgb888 = Rgb888::CSS_ROYAL_BLUE;
const DOUBT: Rgb888 = Rgb888::CSS_DARK_ORANGE;
const SCORE: Rgb888 = Rgb888::CSS_SEA_GREEN;
const LIMIT: Rgb888 = Rgb888::CSS_CRIMSON;
const BAND: Rgb888 = Rgb888::CSS_MISTY_ROSE;

/// One quantity with what there is to draw of it.
struct Course<'a> {
    quantity: &'a QuantitySpec,
    trace: &'a Trace,
    scored: bool,
}

/// Draws it into a PNG file.
///
/// # Errors
/// Why the file cannot be written.
pub fn draw(replayed: &Replayed, path: &Path) -> Result<(), String> {
    let courses: Vec<_> = replayed
        .quantities
        .iter()
        .zip(&replayed.traces)
        .filter(|(_, trace)| !trace.points().is_empty())
        .map(|(quantity, trace)| {
            let scored = trace.points().iter().any(|point| point.score.is_some());
            Course { quantity, trace, scored }
        })
        .collect();
    let height = courses.iter().map(|course| VALUES + GAP + if course.scored { SCORES + GAP } else { 0 }).sum::<i32>();
    let mut canvas = Canvas::new(WIDTH, TOP + height + TEXT_HEIGHT);
    let times = times(&courses);
    let zone = &replayed.zone;
    let title = format!("{}   {}", replayed.sensor, days(times, zone));
    canvas.text(LEFT, 12, &title, INK);
    let mut top = TOP;
    for course in &courses {
        let incidents = || replayed.incidents.iter().filter(|incident| incident.quantity == course.quantity.id.value);
        let rules = || replayed.rules.iter().filter(|rule| rule.quantity.value == course.quantity.id.value);
        let frame = Frame { left: LEFT, top, width: WIDTH - LEFT - RIGHT, height: VALUES };
        draw_values(&mut canvas, frame, times, zone, course, rules(), incidents());
        top += VALUES + GAP;
        if course.scored {
            let frame = Frame { top, height: SCORES, ..frame };
            draw_scores(&mut canvas, frame, times, zone, course, rules(), incidents());
            top += SCORES + GAP;
        }
    }
    canvas.into_image().save_with_format(path, ImageFormat::Png).map_err(|error| error.to_string())
}

/// From the first reading of all to the last.
fn times(courses: &[Course<'_>]) -> Span {
    let points = || courses.iter().flat_map(|course| course.trace.points());
    Span::of(points().map(|point| point.from).chain(points().map(|point| point.to)), 1.0)
}

fn draw_values<'a>(
    canvas: &mut Canvas,
    frame: Frame,
    times: Span,
    zone: &TimeZone,
    course: &Course<'_>,
    rules: impl Iterator<Item = &'a SensorRuleSpec>,
    incidents: impl Iterator<Item = &'a SensorIncident> + Clone,
) {
    let limits: Vec<(f64, String)> = rules.flat_map(limits).collect();
    let points = course.trace.points();
    let seen = points.iter().filter_map(|point| point.values).flat_map(|(least, most)| [least, most]);
    let values = Span::of(seen.chain(limits.iter().map(|(limit, _)| *limit)), 0.0).widened();
    bands(canvas, frame, times, incidents.clone());
    axes(canvas, frame, times, values, zone);
    for (limit, name) in &limits {
        let y = frame.y(values.share(*limit));
        canvas.dashed(frame, y, LIMIT);
        canvas.text(frame.left + 4, y - TEXT_HEIGHT, name, LIMIT);
    }
    course_of(canvas, frame, times, points, VALUE, |point| {
        point.values.map(|(least, most)| (values.share(least), values.share(most)))
    });
    for point in points.iter().filter(|point| point.doubtful) {
        canvas.mark(frame.x(times.share(point.from)), frame.bottom() - 3, DOUBT);
    }
    names(canvas, frame, times, incidents);
    let quantity = course.quantity;
    let unit = quantity.reported_unit();
    let caption = match unit.code() {
        "1" => quantity.id.to_string(),
        unit => format!("{} ({unit})", quantity.id.value),
    };
    canvas.text(frame.left, frame.top - TEXT_HEIGHT - 1, &caption, INK);
}

fn draw_scores<'a>(
    canvas: &mut Canvas,
    frame: Frame,
    times: Span,
    zone: &TimeZone,
    course: &Course<'_>,
    rules: impl Iterator<Item = &'a SensorRuleSpec>,
    incidents: impl Iterator<Item = &'a SensorIncident>,
) {
    let scores = Span { from: 0.0, to: 1.0 };
    let anomalies = incidents.filter(|incident| incident.kind == "anomaly");
    bands(canvas, frame, times, anomalies);
    axes(canvas, frame, times, scores, zone);
    for rule in rules {
        if let SensorRuleKind::Anomaly(spec) = &rule.kind {
            canvas.dashed(frame, frame.y(scores.share(f64::from(spec.min_score.0))), LIMIT);
        }
    }
    course_of(canvas, frame, times, course.trace.points(), SCORE, |point| {
        point.score.map(|score| (scores.share(score), scores.share(score)))
    });
    canvas.text(frame.left, frame.top - TEXT_HEIGHT - 1, &format!("{}: score", course.quantity.id.value), INK);
}

/// The limits of a rule, and what to write at them.
fn limits(rule: &SensorRuleSpec) -> Vec<(f64, String)> {
    let SensorRuleKind::Threshold(spec) = &rule.kind else { return Vec::new() };
    [("above", spec.above.0), ("below", spec.below.0)]
        .into_iter()
        .filter_map(|(side, limit)| Some((limit?.0, format!("{}: {side} {}", rule.id.value, limit?.0))))
        .collect()
}

/// Joins what there is of each point, lower and upper end as shares of the frame's height.
fn course_of(
    canvas: &mut Canvas,
    frame: Frame,
    times: Span,
    points: &[Point],
    colour: Rgb888,
    ends: impl Fn(&Point) -> Option<(f64, f64)>,
) {
    let mut before: Option<(i32, i32)> = None;
    for point in points {
        let Some((low, high)) = ends(point) else {
            before = None;
            continue;
        };
        let (x, low, high) = (frame.x(times.share(point.from)), frame.y(low), frame.y(high));
        if let Some((left, y)) = before {
            // To the nearer end.
            let y_here = if (y - low).abs() <= (y - high).abs() { low } else { high };
            canvas.line((left, y), (x, y_here), colour);
        }
        let right = frame.x(times.share(point.to));
        canvas.line((x, low), (x, high), colour);
        canvas.line((x, low), (right, low), colour);
        before = Some((right, low));
    }
}

fn bands<'a>(canvas: &mut Canvas, frame: Frame, times: Span, incidents: impl Iterator<Item = &'a SensorIncident>) {
    for incident in incidents {
        let from = frame.x(times.share(incident.opened.seconds()));
        let to = incident.ended.map_or(frame.right(), |ended| frame.x(times.share(ended.seconds())));
        canvas.band(frame, from, to.max(from + 1), BAND);
        canvas.line((from, frame.top), (from, frame.bottom()), LIMIT);
    }
}

/// Rules' names at the beginning of their incidents, where there is room.
fn names<'a>(canvas: &mut Canvas, frame: Frame, times: Span, incidents: impl Iterator<Item = &'a SensorIncident>) {
    let mut free = [i32::MIN; 4];
    for incident in incidents {
        let x = frame.x(times.share(incident.opened.seconds())) + 3;
        let name = incident.rule.as_str();
        let end = x + TEXT_WIDTH * name.len() as i32;
        if let Some(row) = free.iter().position(|free| *free < x).filter(|_| end < frame.right()) {
            canvas.text(x, frame.top + 2 + TEXT_HEIGHT * row as i32, name, LIMIT);
            free[row] = end + TEXT_WIDTH;
        }
    }
}

fn axes(canvas: &mut Canvas, frame: Frame, times: Span, values: Span, zone: &TimeZone) {
    let most = (frame.height / 40).max(2) as usize;
    for (value, label) in ticks(values, most) {
        let y = frame.y(values.share(value));
        canvas.line((frame.left, y), (frame.right(), y), GRID);
        let width = TEXT_WIDTH * label.len() as i32;
        canvas.text(frame.left - width - 6, y - TEXT_HEIGHT / 2, &label, INK);
    }
    for (second, label) in time_ticks(times, zone) {
        let x = frame.x(times.share(second));
        canvas.line((x, frame.top), (x, frame.bottom()), GRID);
        let width = TEXT_WIDTH * label.len() as i32;
        canvas.text((x - width / 2).min(frame.right() - width), frame.bottom() + 4, &label, INK);
    }
    canvas.border(frame, INK);
}
