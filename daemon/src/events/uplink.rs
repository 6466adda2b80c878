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
static SUBSCRIBED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge("snowgate_mqtt_subscribed", "Whether the broker has confirmed the subscription to commands.", &[])
});
static COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_mqtt_commands_total", "Commands the broker delivered, repetitions included, by name.", &["name"])
});
static COMMANDS_DROPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_mqtt_commands_dropped_total",
        "Deliveries not handed on, by reason; those that were left come again with a later connection.",
        &["reason"],
    )
});
static COMMAND_ACKS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("snowgate_mqtt_command_acks_total", "Deliveries acknowledged to the broker.", &[]));
static SESSIONS_DISCARDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_mqtt_sessions_discarded_total",
        "Times the broker was told to forget what it held for this gateway.",
        &[],
    )
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
        SUBSCRIBED.with_label_values::<&str>(&[]).set(0);
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
        SUBSCRIBED.with_label_values::<&str>(&[]).set(0);
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

/// The broker lets commands through.
pub(crate) struct Subscribed {
    /// It may lose them.
    pub at_most_once: bool,
}

impl Subscribed {
    pub(crate) fn emit(self) {
        SUBSCRIBED.with_label_values::<&str>(&[]).set(1);
        if self.at_most_once {
            warn!("the broker delivers commands at quality of service 0: some may get lost");
        } else {
            info!("hearing commands");
        }
    }
}

/// The broker does not let commands through.
pub(crate) struct SubscriptionRefused {
    pub rest: Duration,
}

impl SubscriptionRefused {
    pub(crate) fn emit(self) {
        SUBSCRIBED.with_label_values::<&str>(&[]).set(0);
        let rest_seconds = self.rest.as_secs();
        error!(rest_seconds, "the broker refuses the subscription to commands; does its access list allow it?");
    }
}

/// Connections break over commands: some go without.
pub(crate) struct SubscriptionGivenUp {
    pub rest: Duration,
}

impl SubscriptionGivenUp {
    pub(crate) fn emit(self) {
        SUBSCRIBED.with_label_values::<&str>(&[]).set(0);
        let rest_seconds = self.rest.as_secs();
        error!(rest_seconds, "connections break over the subscription to commands; none are heard for a while");
    }
}

/// A command came. Frequent: only counted.
pub(crate) struct CommandReceived<'a> {
    pub name: &'a str,
}

impl CommandReceived<'_> {
    pub(crate) fn emit(self) {
        let name = match self.name {
            known @ ("disposition" | "verify") => known,
            _ => "other",
        };
        COMMANDS.with_label_values(&[name]).inc();
    }
}

/// A delivery was not handed on. Frequent: only counted.
pub(crate) struct CommandDropped {
    pub reason: &'static str,
}

impl CommandDropped {
    pub(crate) fn emit(self) {
        COMMANDS_DROPPED.with_label_values(&[self.reason]).inc();
    }
}

/// A delivery was acknowledged. Frequent: only counted.
pub(crate) struct CommandAcknowledged {}

impl CommandAcknowledged {
    pub(crate) fn emit(self) {
        COMMAND_ACKS.with_label_values::<&str>(&[]).inc();
    }
}

/// Commands begin to be left with the broker on this connection.
pub(crate) struct CommandsLeft {}

impl CommandsLeft {
    pub(crate) fn emit(self) {
        warn!("commands cannot be taken now; the broker keeps them until a new connection fetches them");
    }
}

/// A new connection is made for commands left with the broker.
pub(crate) struct CommandsFetched {}

impl CommandsFetched {
    pub(crate) fn emit(self) {
        info!("connecting anew for the commands left with the broker");
    }
}

/// The broker held for this gateway what cannot be taken in, and was told to forget it.
pub(crate) struct SessionDiscarded<'a> {
    pub broker: &'a str,
}

impl SessionDiscarded<'_> {
    pub(crate) fn emit(self) {
        SESSIONS_DISCARDED.with_label_values::<&str>(&[]).inc();
        error!(broker = self.broker, "the broker was told to forget all commands it held: one could not be taken in");
    }
}
