//! One sensor's anomaly watch: the detector its settings ask for, and when to alarm.

use super::{AnomalySpec, Detector, LocalTime};

/// A detector with the decision when to alarm: at a score of the threshold or more, and then not again for so many
/// readings. What is anomalous tends to stay so for a while, and one anomaly is one alarm.
#[derive(Debug)]
pub struct Monitor {
    detector: Box<dyn Detector>,
    threshold: f64,
    cool_down: u32,
    /// Readings until the next alarm may be.
    resting: u32,
}

/// What is said about one reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How unusual it is, 0 to 1.
    pub score: f64,
    /// Whether somebody should look now: the score reached the threshold, and there was no alarm just before.
    pub alarm: bool,
}

impl Monitor {
    /// One with these settings; all memory is taken here.
    pub fn new(spec: &AnomalySpec) -> Self {
        Self::with(spec.method.detector(), f64::from(spec.threshold.0), spec.cool_down.get() as u32)
    }

    /// One around any detector, alarming at `threshold` and then resting for `cool_down` readings.
    pub fn with(detector: Box<dyn Detector>, threshold: f64, cool_down: u32) -> Self {
        Self { detector, threshold, cool_down, resting: 0 }
    }

    /// Judges a reading, then learns from it.
    pub fn observe(&mut self, at: LocalTime, value: f64) -> Verdict {
        let score = self.detector.observe(at, value);
        let alarm = self.resting == 0 && score >= self.threshold;
        self.resting = if alarm { self.cool_down } else { self.resting.saturating_sub(1) };
        Verdict { score, alarm }
    }

    /// Bytes held, all included.
    pub fn state_bytes(&self) -> usize {
        size_of::<Self>() + self.detector.state_bytes()
    }
}
