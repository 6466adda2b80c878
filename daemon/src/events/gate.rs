//! What happens at the gate between encoded and decoded pictures, and what overload takes from cameras.

use std::{sync::LazyLock, time::Duration};

use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGaugeVec};

use super::{counter, float_gauge, gauge, register, set_one_of};

static STATE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge("snowgate_gate_state", "1 for what the camera's gate is doing, 0 for the rest.", &["camera", "state"])
});
static FALLBACK: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_gate_fallback",
        "1 while everything is decoded for this reason, although the gate says key frames.",
        &["camera", "reason"],
    )
});
static LOOKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_gate_looks_total",
        "Key frames looked at on their own, by what they showed.",
        &["camera", "moved"],
    )
});
static LOOK_WAIT: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "snowgate_gate_look_wait_seconds",
        "From a key frame's arrival until it is looked at.",
        &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0],
    )
});
static WAKEUPS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_gate_wakeups_total",
        "Times everything began to be decoded, by what gave the reason.",
        &["camera", "reason"],
    )
});
static WAKEUP_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "snowgate_gate_wakeup_seconds",
        "From the arrival of the key frame that showed motion until everything up to now has been seen.",
        &[0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0],
    )
});
static FOUND_LATE: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "snowgate_gate_found_late_seconds",
        "From a picture's arrival until something was found in it, where the camera was woken after it had arrived.",
        &[0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0],
    )
});
static PLACES_LOST: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_gate_places_lost_total",
        "Times the ring did not reach back to where catching up should begin.",
        &["camera"],
    )
});
static SIZES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_packet_sizes",
        "1 for what the sizes of the camera's encoded pictures are good for.",
        &["camera", "state"],
    )
});
static DEGRADATION: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "snowgate_camera_degradation",
        "The camera's rung of the overload policy; 0: nothing is taken from it.",
        &["camera"],
    )
});
static MOVES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_degradations_total",
        "Times a camera moved on the ladder of the overload policy, by reason.",
        &["camera", "reason"],
    )
});
static CORES: LazyLock<GaugeVec> = LazyLock::new(|| {
    float_gauge(
        "snowgate_overload_room_cores",
        "Cores that have nothing to do but for a reserve of a tenth (idle), and what following one more camera takes (to_follow).",
        &["of"],
    )
});
static PRESSURE: LazyLock<GaugeVec> = LazyLock::new(|| {
    float_gauge(
        "snowgate_overload_pressure",
        "How hard the box is pressed; up to 1 everything is done in time.",
        &["resource"],
    )
});
static MEMORY: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge("snowgate_camera_memory_bytes", "Memory that the camera takes, by part.", &["camera", "part"])
});

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
}

/// A key frame was decoded on its own and compared.
pub struct KeyFrameLookedAt<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Whether it differs from the one before.
    pub moved: bool,
    /// Since its arrival.
    pub waited: Duration,
}

impl KeyFrameLookedAt<'_> {
    /// Counts it.
    pub fn emit(self) {
        LOOKS.with_label_values(&[self.camera, if self.moved { "yes" } else { "no" }]).inc();
        LOOK_WAIT.observe(self.waited.as_secs_f64());
    }
}

/// A camera's gate does something else from now on.
pub struct GateChanged<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Every state there is.
    pub states: &'a [&'static str],
    /// The new one.
    pub state: &'static str,
    /// Why key frames alone would not do, if so: a word and a sentence.
    pub reason: Option<(&'static str, String)>,
    /// Every such word there is.
    pub reasons: &'a [&'static str],
}

impl GateChanged<'_> {
    /// Sets the gauges; logs a fallback, for it costs the operator a good part of a core.
    pub fn emit(self) {
        let Self { camera, states, state, reason, reasons } = self;
        set_one_of(&STATE, camera, states, Some(state));
        set_one_of(&FALLBACK, camera, reasons, reason.as_ref().map(|(word, _)| *word));
        match reason {
            Some((_, reason)) => tracing::warn!(camera, reason, "everything is decoded, key frames alone would not do"),
            None => tracing::debug!(camera, state, "gate"),
        }
    }
}

/// Everything is decoded from now on.
pub struct Woken<'a> {
    /// Whose.
    pub camera: &'a str,
    /// What gave the reason.
    pub reason: &'static str,
}

impl Woken<'_> {
    /// Counts it.
    pub fn emit(self) {
        WAKEUPS.with_label_values(&[self.camera, self.reason]).inc();
        tracing::debug!(camera = self.camera, reason = self.reason, "woken");
    }
}

/// What moved between two looks has been seen.
pub struct CaughtUp<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Since the key frame that showed it arrived.
    pub took: Duration,
}

impl CaughtUp<'_> {
    /// Observes it.
    pub fn emit(self) {
        WAKEUP_SECONDS.observe(self.took.as_secs_f64());
        tracing::debug!(camera = self.camera, took = ?self.took, "caught up");
    }
}

/// Something was found in a picture that the camera caught up with.
pub struct FoundLate {
    /// Since the picture arrived.
    pub took: Duration,
}

impl FoundLate {
    /// Observes it.
    pub fn emit(self) {
        FOUND_LATE.observe(self.took.as_secs_f64());
    }
}

/// The ring does not reach back to where catching up should begin.
pub struct PlaceLost<'a> {
    /// Whose.
    pub camera: &'a str,
    /// The key frame wanted.
    pub wanted: u64,
    /// The one found instead.
    pub found: u64,
}

impl PlaceLost<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        PLACES_LOST.with_label_values(&[self.camera]).inc();
        tracing::warn!(
            camera = self.camera,
            wanted = self.wanted,
            found = self.found,
            "the ring is too short for this camera's key frames: what moved between two looks was lost in part"
        );
    }
}

/// What the sizes of a camera's encoded pictures are good for.
pub struct PacketSizesLearnt<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Every word there is.
    pub states: &'a [&'static str],
    /// The one that holds.
    pub state: &'static str,
}

impl PacketSizesLearnt<'_> {
    /// Sets the gauge.
    pub fn emit(self) {
        set_one_of(&SIZES, self.camera, self.states, Some(self.state));
    }
}

/// Overload takes something from a camera, or gives it back.
pub struct Degraded<'a> {
    /// Whose.
    pub camera: &'a str,
    /// The rung it was on.
    pub from: usize,
    /// The rung it is on now.
    pub to: usize,
    /// What was short, or "recovery".
    pub why: &'static str,
}

impl Degraded<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        let Self { camera, from, to, why } = self;
        MOVES.with_label_values(&[camera, why]).inc();
        DEGRADATION.with_label_values(&[camera]).set(i64::try_from(to).unwrap_or(i64::MAX));
        match to {
            0 => tracing::info!(camera, "nothing is taken from this camera any more"),
            _ => tracing::info!(camera, from, to, why, "overload policy"),
        }
    }
}

/// How hard the box is pressed.
pub struct PressureRead {
    /// On inference.
    pub infer: f32,
    /// On decoding.
    pub decode: f32,
}

impl PressureRead {
    /// Sets the gauges.
    pub fn emit(self) {
        PRESSURE.with_label_values(&["infer"]).set(self.infer.into());
        PRESSURE.with_label_values(&["decode"]).set(self.decode.into());
    }
}

/// What the box has left, in cores.
pub struct RoomRead {
    /// Cores that had nothing to do.
    pub idle: f32,
    /// What following one more camera takes.
    pub to_follow: f32,
}

impl RoomRead {
    /// Sets the gauges.
    pub fn emit(self) {
        CORES.with_label_values(&["idle"]).set(self.idle.into());
        CORES.with_label_values(&["to_follow"]).set(self.to_follow.into());
    }
}

/// Memory that a camera takes.
pub struct MemoryTaken<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Its ring of encoded pictures.
    pub ring: usize,
    /// Its background, tracks and rules.
    pub vision: usize,
}

impl MemoryTaken<'_> {
    /// Sets the gauges.
    pub fn emit(self) {
        for (part, bytes) in [("ring", self.ring), ("vision", self.vision)] {
            MEMORY.with_label_values(&[self.camera, part]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}
