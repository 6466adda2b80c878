//! What happened between two samples.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use snowgate_tests::metrics::{Metrics, Quantile};

use super::{
    process::Usage,
    rig::{Sample, received},
};

/// Share of the pictures it should have sent below which a camera counts as stalled.
const STALLED_BELOW: f64 = 0.9;
/// Counters whose names hold one of these words count something that was given up. What never reached a decoder because a quiet
/// camera needs none is not among them.
const LOSSES: [&str; 8] = ["lost", "dropped", "failed", "undecodable", "_cut_", "too_large", "refused", "evicted"];
/// What tells the kinds of one loss apart.
const KINDS: [&str; 4] = ["policy", "stage", "reason", "class"];

/// What a process used.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Share of one core.
    pub share: f64,
    /// The same, by group of threads.
    pub threads: BTreeMap<&'static str, f64>,
    /// Threads at the end.
    pub thread_count: usize,
    /// Resident memory at the end, in bytes.
    pub resident: u64,
    /// The most it ever was.
    pub peak: u64,
    /// How much more it was at the end than at the beginning.
    pub growth: i64,
}

impl Process {
    fn between(before: &Usage, after: &Usage, seconds: f64) -> Self {
        let share = |cpu: Duration| cpu.as_secs_f64() / seconds;
        Self {
            share: share(after.cpu.saturating_sub(before.cpu)),
            threads: after.by_group(before).into_iter().map(|(group, cpu)| (group, share(cpu))).collect(),
            thread_count: after.threads.len(),
            resident: after.memory.resident,
            peak: after.memory.peak,
            growth: after.memory.resident.cast_signed() - before.memory.resident.cast_signed(),
        }
    }
}

/// Two quantiles of a histogram, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Delay {
    /// Half of all were no longer.
    pub p50: f64,
    /// 99 of 100 were no longer.
    pub p99: f64,
    /// Whether `p99` lies beyond the last bucket, so that it is a lower bound.
    pub p99_is_above: bool,
    /// How many there were.
    pub count: f64,
}

impl Delay {
    /// Of a histogram of the daemon's, in what was counted; none if it counted nothing.
    pub fn of(metrics: &Metrics, name: &str) -> Option<Self> {
        let value = |quantile| match quantile {
            Quantile::Interpolated(value) | Quantile::Above(value) => value,
        };
        let p99 = metrics.quantile(name, 0.99)?;
        Some(Self {
            p50: value(metrics.quantile(name, 0.5)?),
            p99: value(p99),
            p99_is_above: matches!(p99, Quantile::Above(_)),
            count: metrics.total(&format!("{name}_count"), &[]),
        })
    }
}

/// Pictures of one camera, a second.
#[derive(Debug, Clone, Serialize)]
pub struct CameraRates {
    /// Its name.
    pub camera: String,
    /// Received.
    pub received: f64,
    /// Decoded.
    pub decoded: f64,
    /// Inferred.
    pub inferred: f64,
}

/// What happened between two samples.
#[derive(Debug, Clone, Serialize)]
pub struct Window {
    /// Its length.
    pub seconds: f64,
    /// The daemon.
    pub daemon: Process,
    /// The cameras' server.
    pub cameras: Process,
    /// The broker.
    pub broker: Process,
    /// Pictures by camera.
    pub rates: Vec<CameraRates>,
    /// What was given up, by counter and kind; only what was.
    pub losses: BTreeMap<String, f64>,
    /// Cameras that were opened anew, were not live at the end, or delivered too little.
    pub stalled: Vec<String>,
    /// From the frame that completed a condition to its message.
    pub frame_to_publish: Option<Delay>,
    /// From the key frame that showed motion until the decoder had caught up.
    pub wake_up: Option<Delay>,
    /// Looks at key frames, where the daemon counts them.
    pub looks: Option<f64>,
    /// Regions inferred, by model.
    pub regions: BTreeMap<String, f64>,
    /// Bytes held in rings at the end.
    pub ring_bytes: f64,
}

impl Window {
    /// What happened between two samples to cameras that send so many pictures a second.
    pub fn between(before: &Sample, after: &Sample, names: &[String], fps: f64) -> Self {
        let seconds = after.at.duration_since(before.at).as_secs_f64();
        let counted = after.metrics.since(&before.metrics);
        let of = |name: &str, camera: &str| counted.total(name, &[("camera", camera)]);
        let rates: Vec<CameraRates> = names
            .iter()
            .map(|camera| CameraRates {
                camera: camera.clone(),
                received: received(&counted, camera) / seconds,
                decoded: of("snowgate_frames_decoded_total", camera) / seconds,
                inferred: of("snowgate_frames_inferred_total", camera) / seconds,
            })
            .collect();
        let is_live =
            |camera: &str| after.metrics.total("snowgate_camera_state", &[("camera", camera), ("state", "live")]) > 0.0;
        let stalled = rates.iter().filter(|it| {
            let reopened = of("snowgate_camera_connects_total", &it.camera) > 0.0;
            reopened || !is_live(&it.camera) || it.received < STALLED_BELOW * fps
        });
        let has_looks = after.metrics.names().contains("snowgate_gate_looks_total");
        let models = counted.label_values("snowgate_regions_total", "model");
        let regions = models.into_iter().map(|model| {
            let count = counted.total("snowgate_regions_total", &[("model", &model)]);
            (model, count)
        });
        Self {
            seconds,
            daemon: Process::between(&before.daemon, &after.daemon, seconds),
            cameras: Process::between(&before.cameras, &after.cameras, seconds),
            broker: Process::between(&before.broker, &after.broker, seconds),
            stalled: stalled.map(|it| it.camera.clone()).collect(),
            losses: losses(&counted),
            frame_to_publish: Delay::of(&counted, "snowgate_frame_to_publish_seconds"),
            wake_up: Delay::of(&counted, "snowgate_gate_wakeup_seconds"),
            looks: has_looks.then(|| counted.total("snowgate_gate_looks_total", &[])),
            regions: regions.collect(),
            ring_bytes: after.metrics.total("snowgate_ring_bytes", &[]),
            rates,
        }
    }

    /// A loss, of all kinds whose names begin so.
    pub fn lost(&self, prefix: &str) -> f64 {
        let kinds = self.losses.iter().filter(|(name, _)| name.starts_with(prefix));
        // Not `sum`: that of nothing is -0.
        kinds.fold(0.0, |sum, (_, count)| sum + count)
    }
}

/// Everything that a window's counters say was given up.
fn losses(counted: &Metrics) -> BTreeMap<String, f64> {
    let mut losses = BTreeMap::new();
    let is_loss = |name: &&str| name.ends_with("_total") && LOSSES.iter().any(|word| name.contains(word));
    for name in counted.names().into_iter().filter(is_loss) {
        let kind = KINDS.iter().find(|kind| !counted.label_values(name, kind).is_empty());
        let short = name.trim_start_matches("snowgate_").trim_end_matches("_total");
        let kinds = kind.map(|kind| (*kind, counted.label_values(name, kind)));
        let mut add = |what: String, count: f64| {
            if count > 0.0 {
                losses.insert(what, count);
            }
        };
        match kinds {
            None => add(short.to_owned(), counted.total(name, &[])),
            Some((label, values)) => values
                .into_iter()
                .for_each(|value| add(format!("{short}: {value}"), counted.total(name, &[(label, &value)]))),
        }
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_named_by_counter_and_kind() {
        let counted = Metrics::parse(
            "snowgate_frames_lost_total{camera=\"a\",policy=\"drop_oldest\"} 3\n\
             snowgate_frames_lost_total{camera=\"b\",policy=\"drop_oldest\"} 4\n\
             snowgate_regions_cut_total{camera=\"a\",model=\"m\"} 2\n\
             snowgate_frames_dropped_total{camera=\"a\",policy=\"drop_oldest\"} 0\n\
             snowgate_frames_decoded_total{camera=\"a\"} 9\n",
        );
        let expected = [("frames_lost: drop_oldest".to_owned(), 7.0), ("regions_cut".to_owned(), 2.0)];
        assert_eq!(losses(&counted), expected.into());
    }

    #[test]
    fn quantiles_come_from_the_windows_own_counts() {
        let before = "d_seconds_bucket{le=\"0.1\"} 100\nd_seconds_bucket{le=\"0.5\"} 100\nd_seconds_bucket{le=\"+Inf\"} 100\nd_seconds_count 100\n";
        let after = "d_seconds_bucket{le=\"0.1\"} 100\nd_seconds_bucket{le=\"0.5\"} 110\nd_seconds_bucket{le=\"+Inf\"} 111\nd_seconds_count 111\n";
        let counted = Metrics::parse(after).since(&Metrics::parse(before));
        let delay = Delay::of(&counted, "d_seconds").unwrap();
        assert!((0.1..0.5).contains(&delay.p50), "{delay:?}");
        assert!(delay.p99_is_above && delay.p99 == 0.5 && delay.count == 11.0, "{delay:?}");
        assert!(Delay::of(&Metrics::default(), "d_seconds").is_none());
    }
}
