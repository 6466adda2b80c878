//! Who takes part: every detector with its default settings, two references from the literature, and chance.

use snowgate_core::{
    sensor::anomaly::{ALARM_SCORE, Detector, Forest, LocalTime, Reason, spec::Method},
    spec::read_table,
};

/// One that takes part.
#[derive(Debug, Clone)]
pub struct Contender {
    /// What it is called in tables.
    pub name: &'static str,
    /// What its threshold is.
    pub threshold: Threshold,
    kind: Kind,
}

/// Where a contender's threshold comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// One number, fixed before any series was seen.
    Frozen(f64),
    /// The one that is best on the very series it is judged on: as good as this contender can look.
    Best,
}

#[derive(Debug, Clone)]
enum Kind {
    Method(Method),
    WindowedGaussian,
    PlainForest(Method),
    Chance,
}

/// All of them, the default first.
///
/// # Panics
/// If a method is not known by its name or has keys without defaults.
#[allow(clippy::expect_used, reason = "a method that cannot be made is a mistake in this table")]
pub fn all() -> Vec<Contender> {
    let method = |keys: &str| -> Method {
        let mut value = toml_span::parse(keys).expect("the keys are TOML");
        read_table(&mut value).expect("the keys are those of a method")
    };
    let ours = |name: &'static str| Contender {
        name,
        threshold: Threshold::Frozen(ALARM_SCORE),
        kind: Kind::Method(method(&format!("method = {name:?}"))),
    };
    let reference = |name, kind| Contender { name, threshold: Threshold::Best, kind };
    let mut all: Vec<_> =
        ["auto", "neighbour", "same_time", "robust_z", "ewma", "page_hinkley", "standstill", "forest"].map(ours).into();
    all.push(reference("Windowed Gaussian", Kind::WindowedGaussian));
    let plain = method("method = 'forest'\ntrees = 100\nsamples = 256\nstretch = 8");
    all.push(reference("plain RCF", Kind::PlainForest(plain)));
    all.push(reference("random", Kind::Chance));
    all
}

impl Contender {
    /// A new detector that has seen nothing.
    ///
    /// # Panics
    /// If its method is none that is built in.
    #[allow(clippy::expect_used, reason = "only built-in methods stand in the table")]
    pub fn detector(&self) -> Box<dyn Detector> {
        let built_in = |method: &Method| method.detector().expect("the method is built in");
        match &self.kind {
            Kind::Method(method) => built_in(method),
            Kind::WindowedGaussian => Box::new(WindowedGaussian::default()),
            Kind::PlainForest(Method::Forest(spec)) => Box::new(PlainForest(Forest::new(spec))),
            Kind::PlainForest(other) => built_in(other),
            Kind::Chance => Box::new(Chance(0)),
        }
    }
}

/// NAB's `windowedGaussian` as published: mean and standard deviation of the last 6400 values, taken anew every 100
/// readings (at every reading until the window is full), and the tail probability of the next value.
///
/// The score is `z / (1 + z)` instead of `1 − Q(z)`: in the same order, but without becoming 1 at `z` = 8.2, so that
/// thresholds beyond can be told apart.
#[derive(Debug, Clone)]
pub struct WindowedGaussian {
    window: Vec<f64>,
    step: Vec<f64>,
    mean: f64,
    deviation: f64,
}

impl WindowedGaussian {
    const WINDOW: usize = 6400;
    const STEP: usize = 100;

    fn take_anew(&mut self) {
        let count = self.window.len() as f64;
        self.mean = self.window.iter().sum::<f64>() / count;
        let variance = self.window.iter().map(|value| (value - self.mean).powi(2)).sum::<f64>() / count;
        self.deviation = if variance > 0.0 { variance.sqrt() } else { 1e-6 };
    }
}

impl Default for WindowedGaussian {
    fn default() -> Self {
        Self {
            window: Vec::with_capacity(Self::WINDOW),
            step: Vec::with_capacity(Self::STEP),
            mean: 0.0,
            deviation: 1.0,
        }
    }
}

impl Detector for WindowedGaussian {
    fn observe(&mut self, _: LocalTime, value: f64) -> f64 {
        let z = if self.window.is_empty() { 0.0 } else { (value - self.mean).abs() / self.deviation };
        if self.window.len() < Self::WINDOW {
            self.window.push(value);
            self.take_anew();
        } else {
            self.step.push(value);
            if self.step.len() == Self::STEP {
                self.window.drain(..Self::STEP);
                self.window.append(&mut self.step);
                self.take_anew();
            }
        }
        z / (1.0 + z)
    }

    fn reason(&self) -> Reason {
        Reason::Unseen
    }

    fn state_bytes(&self) -> usize {
        size_of::<Self>() + (self.window.capacity() + self.step.capacity()) * size_of::<f64>()
    }
}

/// A random cut forest by the book: 100 trees of 256 shingles of 8 readings, and its score as it is.
#[derive(Debug, Clone)]
pub struct PlainForest(Forest);

impl Detector for PlainForest {
    fn observe(&mut self, _: LocalTime, value: f64) -> f64 {
        self.0.distance(value)
    }

    fn reason(&self) -> Reason {
        Reason::Unseen
    }

    fn state_bytes(&self) -> usize {
        self.0.state_bytes()
    }
}

/// NAB's `random`: an evenly distributed score, whatever the value (SplitMix64; each series begins with the same seed).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Detector for Chance {
    fn observe(&mut self, _: LocalTime, _: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn reason(&self) -> Reason {
        Reason::Unseen
    }

    fn state_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windowed_gaussian_scores_by_standard_deviations() {
        let at = LocalTime { unix: 0.0, utc_offset: 0 };
        let mut gaussian = WindowedGaussian::default();
        for index in 0..7000 {
            gaussian.observe(at, if index % 2 == 0 { 9.0 } else { 11.0 });
        }
        // Mean 10, deviation 1: 13 is three of them away.
        assert!((gaussian.observe(at, 13.0) - 0.75).abs() < 1e-9);
        assert!((gaussian.observe(at, 7.0) - 0.75).abs() < 1e-9);
    }
}
