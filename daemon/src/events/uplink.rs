//! Events of the `uplink` module.

use std::{error::Error, sync::LazyLock, time::Duration};

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use tracing::{error, info, warn};

use super::{Chain, counter, gauge, seconds_histogram};

static CONNECTED: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_mqtt_connected", "Whether the broker is connected.", &[]));
static CONNECTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_mqtt_connects_total", "Connections made to the broker.", &[]));
static DISCONNECTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_mqtt_disconnects_total", "Connections that failed or broke, by reason.", &["reason"])
});
static PUBLISHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_mqtt_publishes_total", "Messages written to the broker's socket, repeats included.", &["class"])
});
static REPEATS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_mqtt_repeats_total", "Messages sent again for want of an acknowledgement.", &["class"])
});
static ACKNOWLEDGED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_mqtt_acks_total", "Messages the broker has acknowledged.", &["class"]));
static STATES_TOO_LARGE: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_mqtt_states_too_large_total", "Retained states not published for their size.", &[])
});
static STORE_FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_mqtt_store_failures_total", "Times the store could not be read or settled.", &[])
});
static PUT_OFF: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_mqtt_put_off_total", "Messages put off because connections broke over them.", &["class"])
});
static FRAME_TO_PUBLISH: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets =
        [0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0];
    seconds_histogram(
        "snowgate_frame_to_publish_seconds",
        "From the arrival of the frame that completed a condition until its message was written to the socket; frames of cameras \
         that were woken after it had arrived are counted in snowgate_gate_found_late_seconds instead.",
        &[],
        &buckets,
    )
});

/// A connection was made.
pub(crate) struct Connected<'a> {
    pub broker: &'a str,
}

impl Connected<'_> {
    pub(crate) fn emit(self) {
        CONNECTED.with_label_values::<&str>(&[]).set(1);
        CONNECTS.with_label_values::<&str>(&[]).inc();
        info!(broker = self.broker, "connected to the broker");
    }
}

/// A connection failed or broke.
pub(crate) struct Disconnected<'a> {
    pub broker: &'a str,
    pub kind: &'static str,
    pub fault: &'a dyn Error,
    pub pause: Duration,
}

impl Disconnected<'_> {
    pub(crate) fn emit(self) {
        CONNECTED.with_label_values::<&str>(&[]).set(0);
        DISCONNECTS.with_label_values(&[self.kind]).inc();
        let pause_seconds = self.pause.as_secs_f64();
        warn!(broker = self.broker, fault = %Chain(self.fault), pause_seconds, "no connection to the broker");
    }
}

/// The uplink has stopped.
pub(crate) struct Stopped {}

impl Stopped {
    pub(crate) fn emit(self) {
        CONNECTED.with_label_values::<&str>(&[]).set(0);
        info!("uplink stopped");
    }
}

/// A message was written to the socket. Frequent: only counted.
pub(crate) struct Published {
    pub class: &'static str,
    pub again: bool,
    pub frame_to_publish: Option<Duration>,
}

impl Published {
    pub(crate) fn emit(self) {
        PUBLISHES.with_label_values(&[self.class]).inc();
        if self.again {
            REPEATS.with_label_values(&[self.class]).inc();
        }
        if let Some(took) = self.frame_to_publish {
            FRAME_TO_PUBLISH.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
        }
    }
}

/// The broker has a message. Frequent: only counted.
pub(crate) struct Acknowledged {
    pub class: &'static str,
}

impl Acknowledged {
    pub(crate) fn emit(self) {
        ACKNOWLEDGED.with_label_values(&[self.class]).inc();
    }
}

/// A retained state is larger than a packet may be.
pub(crate) struct StateTooLarge<'a> {
    pub topic: &'a str,
    pub bytes: u64,
    pub limit: u64,
}

impl StateTooLarge<'_> {
    pub(crate) fn emit(self) {
        STATES_TOO_LARGE.with_label_values::<&str>(&[]).inc();
        error!(topic = self.topic, bytes = self.bytes, limit = self.limit, "a state is too large to publish");
    }
}

/// Connections broke over one message: it waits, with its lane, and the others go on.
pub(crate) struct PutOff<'a> {
    pub class: &'static str,
    pub row: i64,
    pub lane: Option<&'a str>,
}

impl PutOff<'_> {
    pub(crate) fn emit(self) {
        PUT_OFF.with_label_values(&[self.class]).inc();
        error!(class = self.class, row = self.row, lane = self.lane, "connections break over a message; it is put off");
    }
}

/// The store could not be read, or not be told what is acknowledged.
pub(crate) struct StoreFailed<'a> {
    pub error: &'a dyn Error,
}

impl StoreFailed<'_> {
    pub(crate) fn emit(self) {
        STORE_FAILURES.with_label_values::<&str>(&[]).inc();
        warn!(error = %Chain(self.error), "the outbox cannot be worked on; trying again");
    }
}
