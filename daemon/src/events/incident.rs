//! Events of incidents on their way into the store.

use std::{fmt, sync::LazyLock};

use prometheus::{IntCounterVec, IntGaugeVec};
use snowgate_core::incidents::{Light, event::Revision, summary::Lights};

use super::{counter, gauge};

static REVISIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_incidents_total", "Revisions of incidents put on disk.", &["camera", "sensor", "rule", "event"])
});
static FINDINGS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_findings_total", "What rules found.", &["camera", "rule", "change"]));
static PASSED_OVER: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_incidents_passed_over_total",
        "What rules found and opened no incident, since they are quiet after a disposition.",
        &["camera", "sensor", "rule"],
    )
});
static NOT_STORED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_incidents_not_stored_total", "Attempts to store a revision that failed.", &["reason"])
});

static LIGHTS_TURNED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_lights_turned_total", "Lights of incidents that turned by time.", &["rule", "light"])
});
static UNFINISHED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge("snowgate_incidents_unfinished", "Incidents that people have not finished with, by their light.", &["light"])
});

/// A rule found something.
pub struct FindingMade<'a> {
    /// The camera.
    pub camera: &'a str,
    /// The rule.
    pub rule: &'a str,
    /// `began`, `grew` or `ended`.
    pub change: &'static str,
}

impl FindingMade<'_> {
    /// Counts it.
    pub fn emit(self) {
        FINDINGS.with_label_values(&[self.camera, self.rule, self.change]).inc();
    }
}

/// A revision is on disk and on its way.
pub struct Announced<'a> {
    /// The revision.
    pub revision: &'a Revision,
}

impl Announced<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        let incident = &self.revision.incident;
        let event = self.revision.kind.as_str();
        let (kind, source) = incident.origin.kind_and_id();
        let of = |wanted: &str| (kind == wanted).then_some(source.as_str());
        let (camera, sensor) = (of("camera"), of("sensor"));
        let labels = [camera.unwrap_or_default(), sensor.unwrap_or_default(), incident.rule.as_str(), event];
        REVISIONS.with_label_values(&labels).inc();
        tracing::info!(
            incident = %incident.id,
            revision = incident.revision,
            camera,
            sensor,
            rule = %incident.rule,
            title = incident.title,
            "incident {event}"
        );
    }
}

/// Something was found that opened no incident, since its rule is quiet after a disposition.
pub struct PassedOver<'a> {
    /// `camera` or `sensor`.
    pub kind: &'static str,
    /// Its id.
    pub source: &'a str,
    /// The rule.
    pub rule: &'a str,
}

impl PassedOver<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        let of = |wanted: &str| (self.kind == wanted).then_some(self.source);
        let (camera, sensor) = (of("camera"), of("sensor"));
        PASSED_OVER.with_label_values(&[camera.unwrap_or_default(), sensor.unwrap_or_default(), self.rule]).inc();
        tracing::info!(camera, sensor, rule = self.rule, "found while its rule is quiet: no incident");
    }
}

/// A revision could not be put on disk.
pub struct NotStored<'a> {
    /// Which incident.
    pub incident: &'a str,
    /// A word for it.
    pub reason: &'static str,
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl NotStored<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        NOT_STORED.with_label_values(&[self.reason]).inc();
        tracing::error!(incident = self.incident, error = %self.error, "incident not stored");
    }
}

/// A stored incident cannot be read.
pub struct Unreadable<'a> {
    /// Which incident.
    pub incident: &'a str,
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl Unreadable<'_> {
    /// Logs it, and counts it as one not stored.
    pub fn emit(self) {
        NOT_STORED.with_label_values(&["unreadable"]).inc();
        tracing::error!(incident = self.incident, error = %self.error, "stored incident cannot be read");
    }
}

/// The light of an incident has turned.
pub struct LightTurned<'a> {
    /// The incident's rule.
    pub rule: &'a str,
    /// The light now.
    pub light: Option<Light>,
}

impl LightTurned<'_> {
    /// Counts it.
    pub fn emit(self) {
        if let Some(light) = self.light {
            LIGHTS_TURNED.with_label_values(&[self.rule, light.as_str()]).inc();
        }
    }
}

/// How many incidents people have not finished with.
pub struct Unfinished {
    /// By light.
    pub lights: Lights,
}

impl Unfinished {
    /// Sets the gauges.
    pub fn emit(self) {
        let Lights { green, yellow, red, none } = self.lights;
        for (light, number) in [("green", green), ("yellow", yellow), ("red", red), ("none", none)] {
            UNFINISHED.with_label_values(&[light]).set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}

/// Times in the store could not be filled in.
pub struct NotFilledIn<'a> {
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl NotFilledIn<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::error!(error = %self.error, "times of waiting messages could not be filled in");
    }
}
