//! One sensor's anomaly watch: the detector its settings ask for, and when to alarm.

use super::{AnomalySpec, Detector, LocalTime, Reason};

/// A detector with the decision when to alarm: at a score of the threshold or more, and then not again until the anomaly
/// is over, which it is after so many readings below the threshold, one after the other. What is anomalous tends to stay
/// so for a while, with breaks, and one anomaly is one alarm. (The *runs* way of telling extreme events apart: S. Coles,
/// *An Introduction to Statistical Modeling of Extreme Values*, 2001, section 5.3.)
#[derive(Debug)]
pub struct Monitor {
    detector: Box<dyn Detector>,
    threshold: f64,
    over_after: u32,
    /// Readings below the threshold that the present anomaly still takes to be over; 0 if there is none.
    lasts: u32,
}

/// What is said about one reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How unusual it is, 0 to 1.
    pub score: f64,
    /// What is unusual about it, if it is.
    pub reason: Reason,
    /// Whether an anomaly begins: the score reached the threshold, and the one before is over.
    pub alarm: bool,
}

impl Monitor {
    /// One with these settings; all memory is taken here.
    pub fn new(spec: &AnomalySpec) -> Self {
        Self::with(spec.method.detector(), f64::from(spec.threshold.0), spec.over_after.get() as u32)
    }

    /// One around any detector; an anomaly begins at `threshold` and is over after `over_after` readings below it.
    pub fn with(detector: Box<dyn Detector>, threshold: f64, over_after: u32) -> Self {
        Self { detector, threshold, over_after, lasts: 0 }
    }

    /// Judges a reading, then learns from it.
    pub fn observe(&mut self, at: LocalTime, value: f64) -> Verdict {
        let score = self.detector.observe(at, value);
        let anomalous = score >= self.threshold;
        let alarm = anomalous && self.lasts == 0;
        self.lasts = if anomalous { self.over_after } else { self.lasts.saturating_sub(1) };
        Verdict { score, reason: self.detector.reason(), alarm }
    }

    /// Bytes held, all included.
    pub fn state_bytes(&self) -> usize {
        size_of::<Self>() + self.detector.state_bytes()
    }
}
