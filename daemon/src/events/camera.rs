//! Events of the `camera` module.

use std::{sync::LazyLock, time::Duration};

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::{counter, gauge, seconds_histogram, set_one_of};

macro_rules! metrics {
    ($($NAME:ident: $Kind:ty = $make:expr;)*) => { $(static $NAME: LazyLock<$Kind> = LazyLock::new(|| $make);)* };
}

metrics! {
    RECEIVED: IntCounterVec = counter("snowgate_frames_received_total", "Encoded pictures received.", &["camera", "stream"]);
    RECEIVED_BYTES: IntCounterVec = counter("snowgate_received_bytes_total", "Bytes of encoded pictures received.", &["camera", "stream"]);
    LOST: IntCounterVec = counter(
        "snowgate_frames_lost_total",
        "Encoded pictures a reader of the ring never saw, by the policy that dropped them.",
        &["camera", "policy"]
    );
    RING_BYTES: IntGaugeVec = gauge("snowgate_ring_bytes", "Bytes held in the ring of encoded pictures.", &["camera", "stream"]);
    GOPS_TOO_LARGE: IntCounterVec = counter(
        "snowgate_gops_too_large_total",
        "Groups of pictures given up because one alone exceeded the ring.",
        &["camera"]
    );
    STATE: IntGaugeVec = gauge("snowgate_camera_state", "1 for the state the camera is in, 0 for the others.", &["camera", "state"]);
    RECORD_LIVE: IntGaugeVec = gauge(
        "snowgate_camera_record_stream_live",
        "1 while the record stream of a camera that has one of its own is live.",
        &["camera"]
    );
    CONNECTS: IntCounterVec = counter("snowgate_camera_connects_total", "Times the stream was opened or tried to be.", &["camera", "stream"]);
    FORMAT_CHANGES: IntCounterVec = counter(
        "snowgate_stream_format_changes_total",
        "Times the stream announced a coding, size or profile.",
        &["camera", "stream"]
    );
    REANCHORED: IntCounterVec = counter(
        "snowgate_timestamps_reanchored_total",
        "Times a stream's timestamps jumped or were missing.",
        &["camera"]
    );
    TEARDOWNS_MISSED: IntCounterVec = counter(
        "snowgate_stream_teardowns_missed_total",
        "Streams that did not close within their deadline.",
        &["camera"]
    );
    DECODED: IntCounterVec = counter("snowgate_frames_decoded_total", "Pictures decoded.", &["camera"]);
    DECODE_SECONDS: HistogramVec = seconds_histogram(
        "snowgate_decode_seconds",
        "Time to decode one encoded picture.",
        &["camera"],
        &[0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.02, 0.03, 0.05, 0.1, 0.25]
    );
    DECODER_INFO: IntGaugeVec = gauge(
        "snowgate_decoder_info",
        "1 for the decoder in use for each coding.",
        &["codec", "backend", "element"]
    );
    DECODERS_REPLACED: IntCounterVec = counter(
        "snowgate_decoders_replaced_total",
        "Times hardware had no further decoder to give and software took its place.",
        &["codec", "backend"]
    );
    UNDECODABLE: IntCounterVec = counter("snowgate_frames_undecodable_total", "Encoded pictures that gave no usable picture.", &["camera"]);
}

/// An encoded picture arrived.
pub struct UnitReceived<'a> {
    /// Whose.
    pub camera: &'a str,
    /// On which of its streams.
    pub stream: &'static str,
    /// Its size.
    pub bytes: usize,
    /// What the ring holds now, in bytes.
    pub ring_bytes: usize,
}

impl UnitReceived<'_> {
    /// Counts it.
    pub fn emit(self) {
        let labels = [self.camera, self.stream];
        RECEIVED.with_label_values(&labels).inc();
        RECEIVED_BYTES.with_label_values(&labels).inc_by(self.bytes as u64);
        RING_BYTES.with_label_values(&labels).set(i64::try_from(self.ring_bytes).unwrap_or(i64::MAX));
    }
}

/// A reader of the ring missed encoded pictures.
pub struct UnitsLost<'a> {
    /// Whose.
    pub camera: &'a str,
    /// The named policy that dropped them.
    pub policy: &'static str,
    /// How many.
    pub count: u64,
}

impl UnitsLost<'_> {
    /// Counts them.
    pub fn emit(self) {
        LOST.with_label_values(&[self.camera, self.policy]).inc_by(self.count);
        tracing::debug!(camera = self.camera, policy = self.policy, count = self.count, "encoded pictures lost");
    }
}

/// One group of pictures alone exceeded the ring and was given up.
pub struct GopTooLarge<'a> {
    /// Whose.
    pub camera: &'a str,
    /// The ring's bound in bytes.
    pub limit: usize,
}

impl GopTooLarge<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        GOPS_TOO_LARGE.with_label_values(&[self.camera]).inc();
        tracing::warn!(
            camera = self.camera,
            limit = self.limit,
            "one group of pictures is larger than the ring; enlarge the ring or let the camera send key frames oftener"
        );
    }
}

/// The camera is in another state, or in the same one for another reason.
pub struct StateChanged<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Every state there is.
    pub states: &'a [&'static str],
    /// The new one.
    pub state: &'static str,
    /// Why, for the operator.
    pub reason: Option<String>,
    /// Where the camera has a record stream of its own: whether that is live, and why not.
    pub record: Option<Result<(), String>>,
}

impl StateChanged<'_> {
    /// Logs it and sets the gauges.
    pub fn emit(self) {
        set_one_of(&STATE, self.camera, self.states, Some(self.state));
        if let Some(record) = &self.record {
            RECORD_LIVE.with_label_values(&[self.camera]).set(i64::from(record.is_ok()));
        }
        let (camera, state, reason) = (self.camera, self.state, self.reason);
        let record_reason = self.record.and_then(Result::err);
        if reason.is_some() || record_reason.is_some() {
            tracing::warn!(camera, state, reason, record_reason, "camera state");
        } else {
            tracing::info!(camera, state, "camera state");
        }
    }
}

/// The stream is being opened.
pub struct Connecting<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Which of its streams.
    pub stream: &'static str,
}

impl Connecting<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        CONNECTS.with_label_values(&[self.camera, self.stream]).inc();
        tracing::debug!(camera = self.camera, stream = self.stream, "opening stream");
    }
}

/// The stream ended or could not be opened; what the library said, for those who debug it.
pub struct StreamEnded<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Which of its streams.
    pub stream: &'static str,
    /// Why, in the library's words; never holds a password.
    pub detail: &'a str,
    /// The pause before the next try.
    pub wait: Duration,
}

impl StreamEnded<'_> {
    /// Logs it; the next [`Connecting`] counts.
    pub fn emit(self) {
        let Self { camera, stream, detail, wait } = self;
        tracing::debug!(camera, stream, detail, ?wait, "stream ended");
    }
}

/// The stream announced how it is coded.
pub struct FormatChanged<'a> {
    /// Whose.
    pub camera: &'a str,
    /// Which of its streams.
    pub stream: &'static str,
    /// The coding.
    pub codec: String,
    /// Width and height, where known.
    pub size: Option<(u32, u32)>,
}

impl FormatChanged<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        FORMAT_CHANGES.with_label_values(&[self.camera, self.stream]).inc();
        let (width, height) = self.size.unwrap_or_default();
        tracing::info!(camera = self.camera, stream = self.stream, codec = self.codec, width, height, "stream format");
    }
}

/// A stream's timestamps jumped or were missing.
pub struct TimestampsReanchored<'a> {
    /// Whose.
    pub camera: &'a str,
}

impl TimestampsReanchored<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        REANCHORED.with_label_values(&[self.camera]).inc();
        tracing::debug!(camera = self.camera, "the stream's timestamps jumped");
    }
}

/// A stream did not close within its deadline and was left behind.
pub struct TeardownMissed<'a> {
    /// Whose.
    pub camera: &'a str,
}

impl TeardownMissed<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        TEARDOWNS_MISSED.with_label_values(&[self.camera]).inc();
        tracing::error!(camera = self.camera, "the stream did not close in time and was left behind");
    }
}

/// An encoded picture went through the decoder.
pub struct UnitDecoded<'a> {
    /// Whose.
    pub camera: &'a str,
    /// How long it took.
    pub took: Duration,
    /// Pictures that came out.
    pub pictures: u64,
}

impl UnitDecoded<'_> {
    /// Counts it.
    pub fn emit(self) {
        DECODE_SECONDS.with_label_values(&[self.camera]).observe(self.took.as_secs_f64());
        DECODED.with_label_values(&[self.camera]).inc_by(self.pictures);
    }
}

/// Encoded pictures gave no usable picture.
pub struct UnitsUndecodable<'a> {
    /// Whose.
    pub camera: &'a str,
    /// The first of them.
    pub number: u64,
    /// How many.
    pub count: u64,
}

impl UnitsUndecodable<'_> {
    /// Logs and counts them.
    pub fn emit(self) {
        UNDECODABLE.with_label_values(&[self.camera]).inc_by(self.count);
        tracing::debug!(camera = self.camera, number = self.number, count = self.count, "undecodable pictures");
    }
}

/// A box's decoders were chosen and proved.
pub struct DecodersChosen {
    /// The coding, who decodes it, and by which GStreamer element.
    pub chosen: [(&'static str, &'static str, &'static str); 2],
}

impl DecodersChosen {
    /// Logs it and sets the gauges.
    pub fn emit(self) {
        DECODER_INFO.reset();
        for (codec, backend, element) in self.chosen {
            DECODER_INFO.with_label_values(&[codec, backend, element]).set(1);
            tracing::info!(codec, backend, element, "decoder");
        }
    }
}

/// A backend was tried and is not used.
pub struct BackendPassedOver<'a> {
    /// Which.
    pub backend: &'static str,
    /// For this coding.
    pub codec: &'static str,
    /// Whether it was to be expected to work: it is installed, or was asked for.
    pub expected: bool,
    /// Why not.
    pub error: &'a dyn std::error::Error,
}

impl BackendPassedOver<'_> {
    /// Logs it; [`DecodersChosen`] tells the metrics what is used instead.
    pub fn emit(self) {
        let Self { backend, codec, expected, error } = self;
        if expected {
            tracing::warn!(backend, codec, %error, "decoder backend not used");
        } else {
            tracing::debug!(backend, codec, %error, "decoder backend not used");
        }
    }
}

/// Hardware gave no further decoder, and software took its place.
pub struct DecoderReplaced<'a> {
    /// For this coding.
    pub codec: &'static str,
    /// Whose decoder it was to be.
    pub backend: &'static str,
    /// The GStreamer element.
    pub element: &'static str,
    /// What went wrong.
    pub why: &'a str,
}

impl DecoderReplaced<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        let Self { codec, backend, element, why } = self;
        DECODERS_REPLACED.with_label_values(&[codec, backend]).inc();
        tracing::warn!(codec, backend, element, why, "no further hardware decoder: decoding in software");
    }
}

/// The configuration has this camera no more.
pub struct CameraForgotten<'a> {
    /// The camera.
    pub camera: &'a str,
}

impl CameraForgotten<'_> {
    /// Logs it, and removes what the metrics say of it.
    pub fn emit(self) {
        super::forget("camera", self.camera);
        tracing::info!(camera = self.camera, "camera is no more in the configuration");
    }
}
