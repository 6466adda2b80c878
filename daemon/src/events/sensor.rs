//! Events of sensors: what they say, what is wrong with them, what their rules make of it.

use std::{fmt, sync::LazyLock, time::Duration};

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::{counter, float_gauge, gauge, seconds_histogram, set_one_of};

static READINGS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let labels = ["sensor", "quantity", "quality", "why"];
    counter("snowgate_sensor_readings_total", "Readings, by what is to be thought of them.", &labels)
});
static SCORE: LazyLock<GaugeVec> = LazyLock::new(|| {
    let help = "How unlike what the sensor has shown before its last reading was, 0 to 1.";
    float_gauge("snowgate_sensor_anomaly_score", help, &["sensor", "quantity"])
});
static REJECTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let labels = ["protocol", "sensor", "reason"];
    counter(
        "snowgate_sensor_rejects_total",
        "Messages that were refused; sensor is empty if it is not known whose.",
        &labels,
    )
});
static SCORING: LazyLock<HistogramVec> = LazyLock::new(|| {
    let help = "Time a model took to score one reading; all sensors are judged on one thread.";
    seconds_histogram(
        "snowgate_sensor_model_seconds",
        help,
        &["model"],
        &[0.0001, 0.0005, 0.002, 0.01, 0.05, 0.25, 1.0],
    )
});
static SCORES_MISSING: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Readings that a model could not score, or scored with what is no number.";
    counter("snowgate_sensor_model_failures_total", help, &["model", "reason"])
});
static LIMITED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Readings of flooding sensors that rules heard, but that were neither published nor scored.";
    counter("snowgate_sensor_limited_total", help, &["sensor"])
});
static STALENESS: LazyLock<GaugeVec> = LazyLock::new(|| {
    float_gauge("snowgate_sensor_staleness_seconds", "Time since anything was heard of the sensor.", &["sensor"])
});
static STATE: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_sensor_state", "1 for the state the sensor is in.", &["sensor", "state"]));
static ALARMS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_sensor_alarms_total", "What sensors' rules told.", &["sensor", "rule", "change"])
});

/// A reading was judged.
pub struct ReadingJudged<'a> {
    /// The sensor.
    pub sensor: &'a str,
    /// What was measured.
    pub quantity: &'a str,
    /// What is to be thought of it.
    pub quality: &'static str,
    /// Why; empty if it is good.
    pub why: &'static str,
    /// How unlike what the sensor has shown before, 0..1, where that is watched.
    pub score: Option<f64>,
}

impl ReadingJudged<'_> {
    /// Counts it.
    pub fn emit(self) {
        READINGS.with_label_values(&[self.sensor, self.quantity, self.quality, self.why]).inc();
        if let Some(score) = self.score {
            SCORE.with_label_values(&[self.sensor, self.quantity]).set(score);
        }
    }
}

/// A message was refused.
pub struct MessageRejected<'a> {
    /// The protocol.
    pub protocol: &'static str,
    /// Whose it was, if that is known.
    pub sensor: Option<&'a str>,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: &'a str,
    /// Whether the log has heard enough of the like.
    pub quiet: bool,
}

impl MessageRejected<'_> {
    /// Counts it, and logs it unless `quiet`.
    pub fn emit(self) {
        let Self { protocol, sensor, reason, message, quiet } = self;
        REJECTS.with_label_values(&[protocol, sensor.unwrap_or_default(), reason]).inc();
        if quiet {
            tracing::debug!(protocol, sensor, reason, message, "sensor message refused");
        } else {
            tracing::warn!(protocol, sensor, reason, message, "sensor message refused");
        }
    }
}

/// A model was asked for a reading's score. Counted only.
pub struct ReadingScored<'a> {
    /// Its manifest id.
    pub model: &'a str,
    /// Time it took.
    pub took: Duration,
}

impl ReadingScored<'_> {
    /// Counts it.
    pub fn emit(self) {
        SCORING.with_label_values(&[self.model]).observe(self.took.as_secs_f64());
    }
}

/// A model could not score a reading.
pub struct ScoreMissing<'a> {
    /// Its manifest id.
    pub model: &'a str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: &'a str,
    /// Whether it was the same with the reading before.
    pub again: bool,
}

impl ScoreMissing<'_> {
    /// Counts it, and logs it unless it was said before.
    pub fn emit(self) {
        let Self { model, reason, message, again } = self;
        SCORES_MISSING.with_label_values(&[model, reason]).inc();
        if !again {
            tracing::error!(model, reason, message, "sensor model gives no score");
        }
    }
}

/// A sensor's state has changed.
pub struct StateChanged<'a> {
    /// The sensor.
    pub sensor: &'a str,
    /// Every state there is.
    pub states: &'static [&'static str],
    /// The state it is in now.
    pub state: &'static str,
    /// Why, where there is something to say.
    pub reason: Option<&'a str>,
    /// Whether somebody should look after it.
    pub bad: bool,
}

impl StateChanged<'_> {
    /// Logs it and sets the gauge.
    pub fn emit(self) {
        let Self { sensor, states, state, reason, bad } = self;
        set_one_of(&STATE, sensor, states, Some(state));
        if bad {
            tracing::warn!(sensor, state, reason, "sensor state");
        } else {
            tracing::info!(sensor, state, "sensor state");
        }
    }
}

/// Readings of a flooding sensor were neither published nor scored.
pub struct Limited<'a> {
    /// The sensor.
    pub sensor: &'a str,
    /// How many.
    pub readings: u64,
}

impl Limited<'_> {
    /// Counts them.
    pub fn emit(self) {
        LIMITED.with_label_values(&[self.sensor]).inc_by(self.readings);
    }
}

/// Some time has passed since a sensor was heard.
pub struct Unheard<'a> {
    /// The sensor.
    pub sensor: &'a str,
    /// How much.
    pub since: Duration,
}

impl Unheard<'_> {
    /// Sets the gauge.
    pub fn emit(self) {
        STALENESS.with_label_values(&[self.sensor]).set(self.since.as_secs_f64());
    }
}

/// A rule of a sensor has something to tell.
pub struct AlarmMade<'a> {
    /// The sensor.
    pub sensor: &'a str,
    /// The rule.
    pub rule: &'a str,
    /// `began`, `grew` or `ended`.
    pub change: &'static str,
}

impl AlarmMade<'_> {
    /// Counts it.
    pub fn emit(self) {
        ALARMS.with_label_values(&[self.sensor, self.rule, self.change]).inc();
    }
}

/// Readings could not be handed to the uplink.
pub struct TelemetryLost<'a> {
    /// How many batches.
    pub batches: usize,
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl TelemetryLost<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(batches = self.batches, error = %self.error, "readings are not published");
    }
}

/// The configuration has this sensor no more.
pub struct SensorForgotten<'a> {
    /// The sensor.
    pub sensor: &'a str,
}

impl SensorForgotten<'_> {
    /// Logs it, and removes what the metrics say of it.
    pub fn emit(self) {
        super::forget("sensor", self.sensor);
        tracing::info!(sensor = self.sensor, "sensor is no more in the configuration");
    }
}
