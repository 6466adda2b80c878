//! Keeps one connection's event loop going, and reports what it does.

use rumqttc::{Event, EventLoop, Outgoing, Packet, QoS, SubscribeReasonCode};
use tokio::sync::mpsc;

use super::{command::Delivery, fault::Fault};

/// Reports that wait to be read. Overflow policy: block, and with it the broker.
pub(super) const REPORTS: usize = 64;

/// What happened on a connection.
pub(super) enum Report {
    /// The next publish in line went to the socket under this packet identifier.
    Sent(u16),
    /// The broker has this packet.
    Acknowledged(u16),
    /// The broker has answered the subscription: the quality of service granted, if any.
    Subscribed(Option<QoS>),
    /// The broker delivered something.
    Delivered(Delivery),
    /// An acknowledgement of a delivery went to the socket.
    DeliveryAcknowledged,
    /// DISCONNECT went to the socket.
    Disconnected,
    /// It is over.
    Broken(Fault),
}

/// Polls until the connection ends; nothing else may be awaited in between, or keep-alive and reading stop. `prefix` is
/// what topics of commands begin with.
pub(super) async fn poll(mut event_loop: EventLoop, prefix: String, reports: mpsc::Sender<Report>) {
    let fault = loop {
        match event_loop.poll().await {
            Ok(event) => {
                if let Some(report) = report(&prefix, event)
                    && reports.send(report).await.is_err()
                {
                    return;
                }
            }
            Err(error) => break Fault::connected(error),
        }
    };
    // Acknowledgements that came with the error are as good as any.
    let last = std::mem::take(&mut event_loop.state.events).into_iter().filter_map(|event| report(&prefix, event));
    for report in last.chain([Report::Broken(fault)]) {
        if reports.send(report).await.is_err() {
            return;
        }
    }
}

fn report(prefix: &str, event: Event) -> Option<Report> {
    match event {
        Event::Outgoing(Outgoing::Publish(packet_id)) => Some(Report::Sent(packet_id)),
        Event::Outgoing(Outgoing::PubAck(_)) => Some(Report::DeliveryAcknowledged),
        Event::Outgoing(Outgoing::Disconnect) => Some(Report::Disconnected),
        Event::Incoming(Packet::PubAck(ack)) => Some(Report::Acknowledged(ack.pkid)),
        Event::Incoming(Packet::SubAck(ack)) => Some(Report::Subscribed(match ack.return_codes.first() {
            Some(SubscribeReasonCode::Success(quality)) => Some(*quality),
            Some(SubscribeReasonCode::Failure) | None => None,
        })),
        Event::Incoming(Packet::Publish(publish)) => {
            Some(Delivery::read(prefix, &publish).map_or_else(Report::Broken, Report::Delivered))
        }
        _ => None,
    }
}
