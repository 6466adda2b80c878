//! The course of a quantity, thinned as it grows: what a picture can show of it.

/// The most points that are kept; a picture is not as wide.
const MOST: usize = 8192;

/// The course of one quantity in at most [`MOST`] points. However many readings they stand for, extremes are not lost.
#[derive(Debug, Default)]
pub struct Trace {
    points: Vec<Point>,
    /// Readings that a point stands for.
    each: usize,
}

/// Some readings, one after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When the first arrived, in seconds since 1970.
    pub from: f64,
    /// When the last arrived.
    pub to: f64,
    /// The least and the greatest value that counted; none if none did.
    pub values: Option<(f64, f64)>,
    /// The highest anomaly score, if there is any.
    pub score: Option<f64>,
    /// Whether a value among them did not count.
    pub doubtful: bool,
    readings: usize,
}

impl Trace {
    /// Takes a reading in.
    pub fn push(&mut self, at: f64, value: f64, score: Option<f64>, counts: bool) {
        let values = (counts && value.is_finite()).then_some((value, value));
        let point = Point { from: at, to: at, values, score, doubtful: !counts, readings: 1 };
        self.each = self.each.max(1);
        match self.points.last_mut() {
            Some(last) if last.readings < self.each => last.join(&point),
            _ => self.points.push(point),
        }
        if self.points.len() > MOST {
            self.points = self.points.chunks(2).map(Point::joined).collect();
            self.each *= 2;
        }
    }

    /// The course, the oldest first.
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

impl Point {
    fn joined(points: &[Self]) -> Self {
        let mut first = points[0];
        points[1..].iter().for_each(|point| first.join(point));
        first
    }

    fn join(&mut self, later: &Self) {
        self.to = later.to;
        self.values = match (self.values, later.values) {
            (Some((least, most)), Some((a, b))) => Some((least.min(a), most.max(b))),
            (one, other) => one.or(other),
        };
        self.score = match (self.score, later.score) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        };
        self.doubtful |= later.doubtful;
        self.readings += later.readings;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_survives_however_long_the_recording() {
        let mut trace = Trace::default();
        for i in 0..300_000 {
            let spike = i == 123_456;
            trace.push(f64::from(i), if spike { 99.0 } else { 1.0 }, Some(if spike { 0.9 } else { 0.1 }), i != 7);
        }
        let points = trace.points();
        assert!((MOST / 2..=MOST).contains(&points.len()), "{}", points.len());
        assert_eq!((points[0].from, points.last().unwrap().to), (0.0, 299_999.0));
        let highest = points.iter().filter(|point| point.values.unwrap().1 == 99.0);
        assert_eq!(highest.map(|point| point.score).collect::<Vec<_>>(), [Some(0.9)]);
        assert!(points[0].doubtful && !points[1].doubtful);
        assert!(points.windows(2).all(|pair| pair[0].to < pair[1].from));
    }
}
