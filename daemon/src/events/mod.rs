//! What happens in the daemon, one struct an event: `emit` writes its log line and counts it, so that there is no
//! metric without a log line and no log line without a metric. A leaf: everyone may use it.
//!
//! Frequent events (a frame) only count; rare ones (a camera lost) log too. Metric names are part of the product's
//! contract: prefix `snowgate_`, base units.

pub mod camera;
pub mod clip;
pub mod clock;
pub mod command;
pub mod config;
pub mod evidence;
pub mod explain;
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

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, MetricVec, MetricVecBuilder},
    process_collector::ProcessCollector,
    proto::Metric,
};

/// Every metric of the process, and what the system says of it: processor time, memory, open files, when it was started.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::new();
    // The first to register can be refused by nobody.
    let _ = registry.register(Box::new(ProcessCollector::for_self()));
    registry
});

/// Removes what every metric has by a label of this name and value.
type Forget = dyn Fn(&str, &str) + Send;

static FORGET: Mutex<Vec<Box<Forget>>> = Mutex::new(Vec::new());

// A metric's name and labels are literals: registering one can fail only by a mistake every test run would show.
#[allow(clippy::expect_used)]
fn register<C: Collector + Clone + 'static>(metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("a literal metric name is well formed");
    REGISTRY.register(Box::new(metric.clone())).expect("every metric is registered once");
    metric
}

/// One by labels.
fn register_labelled<T: MetricVecBuilder + 'static>(metric: prometheus::Result<MetricVec<T>>) -> MetricVec<T> {
    let metric = register(metric);
    let of = metric.clone();
    let forget = move |label: &str, value: &str| {
        for family in of.collect() {
            for metric in family.get_metric() {
                let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
                let labels: HashMap<&str, &str> = labels.collect();
                if labels.get(label) == Some(&value) {
                    // Somebody else may have removed it in between.
                    let _ = of.remove(&labels);
                }
            }
        }
    };
    FORGET.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(forget));
    metric
}

/// Removes everything that is told of a camera or sensor: there is none of that name any more, and what it last said would
/// stand for ever.
fn forget(label: &str, value: &str) {
    FORGET.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|forget| forget(label, value));
}

/// A counter by labels.
pub(crate) fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register_labelled(IntCounterVec::new(Opts::new(name, help), labels))
}

/// A whole-number gauge by labels.
pub(crate) fn gauge(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register_labelled(IntGaugeVec::new(Opts::new(name, help), labels))
}

/// How far a counter has come for a camera, its other labels summed up; 0 before it has counted anything.
pub fn counted(name: &str, camera: &str) -> u64 {
    let families = REGISTRY.gather();
    let metrics = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
    let is_of =
        |metric: &&Metric| metric.get_label().iter().any(|label| label.name() == "camera" && label.value() == camera);
    // Counters are whole numbers.
    metrics.filter(is_of).map(|metric| metric.get_counter().get_value() as u64).sum()
}

/// A fractional gauge by labels.
pub(crate) fn float_gauge(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register_labelled(GaugeVec::new(Opts::new(name, help), labels))
}

/// A histogram of seconds by labels.
pub(crate) fn seconds_histogram(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    register_labelled(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_told_no_more_and_others_are() {
        let counter = counter("snowgate_test_forgotten_total", "For this test.", &["camera", "why"]);
        for camera in ["one", "other"] {
            counter.with_label_values(&[camera, "a"]).inc();
            counter.with_label_values(&[camera, "b"]).inc();
        }
        forget("camera", "one");
        forget("sensor", "other");
        let families = counter.collect();
        let left: Vec<_> = families.iter().flat_map(|family| family.get_metric()).collect();
        assert_eq!(left.len(), 2);
        let camera = |metric: &Metric| metric.get_label()[0].value().to_owned();
        assert!(left.iter().all(|metric| camera(metric) == "other"));
    }
}
