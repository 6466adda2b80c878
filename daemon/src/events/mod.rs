//! What happens in the daemon, one struct an event: `emit` writes its log line and counts it, so that there is no
//! metric without a log line and no log line without a metric. A leaf: everyone may use it.
//!
//! Frequent events (a frame) only count; rare ones (a camera lost) log too. Metric names are part of the product's
//! contract: prefix `snowgate_`, base units.

pub mod camera;
pub mod clock;
pub mod command;
pub mod config;
pub mod evidence;
pub mod gate;
pub mod incident;
pub mod scene;
pub mod scene_files;
pub mod sensor;
pub mod store;
pub mod uplink;
pub mod verify;
pub mod vision;
pub mod watch;

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use std::sync::LazyLock;

/// Every metric of the process.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

// A metric's name and labels are literals: registering one can fail only by a mistake every test run would show.
#[allow(clippy::expect_used)]
fn register<C: prometheus::core::Collector + Clone + 'static>(metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("a literal metric name is well formed");
    REGISTRY.register(Box::new(metric.clone())).expect("every metric is registered once");
    metric
}

/// A counter by labels.
pub(crate) fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(IntCounterVec::new(Opts::new(name, help), labels))
}

/// A whole-number gauge by labels.
pub(crate) fn gauge(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(IntGaugeVec::new(Opts::new(name, help), labels))
}

/// A fractional gauge by labels.
pub(crate) fn float_gauge(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(GaugeVec::new(Opts::new(name, help), labels))
}

/// A histogram of seconds by labels.
pub(crate) fn seconds_histogram(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

/// Sets a gauge by source (a camera or a sensor) and word to 1 for `word` and to 0 for the other words.
pub(crate) fn set_one_of(gauge: &IntGaugeVec, source: &str, words: &[&str], word: Option<&str>) {
    for other in words {
        gauge.with_label_values(&[source, other]).set((word == Some(*other)).into());
    }
}

/// An error with what caused it, on one line.
pub(crate) struct Chain<'a>(pub &'a (dyn std::error::Error + 'a));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
