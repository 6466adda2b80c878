//! One connection's whole life: connect, subscribe, hear and acknowledge, until it breaks or it is time to stop.

use std::{collections::BTreeSet, time::Duration};

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Outgoing, Packet, Publish, QoS, SubscribeFilter,
    SubscribeReasonCode,
};
use snowgate_core::ids::Id;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    BrokerFault, Connection, FaultKind, TopicFilter,
    route::{Heard, Routes},
};
use crate::{
    intake::{Device, Fault, Intake},
    spec::MqttSource,
};

/// Longest time until the broker has answered CONNECT.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Longest time until the broker has answered SUBSCRIBE.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(15);
/// Longest time a clean end takes.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Topics in one SUBSCRIBE: the least that brokers are known to take (AWS IoT: 8).
const BATCH: usize = 8;
/// Acknowledgements on their way. There are so many packet identifiers, so that no more messages can be unacknowledged.
const ACKNOWLEDGEMENTS: usize = u16::MAX as usize;
/// Topics that nobody listens to and that are given up, on one connection.
const STRAYS: usize = 256;

/// How a connection ended.
pub(super) enum Ended {
    /// It was time to stop.
    Stopped,
    /// The session has been discarded.
    Discarded,
    /// Something broke.
    Broken(BrokerFault),
}

/// What is known, and has been told, of the way to each sensor.
pub(super) struct Links {
    address: String,
    links: Vec<Link>,
    intake: Intake,
}

struct Link {
    sensor: Id,
    filter: TopicFilter,
    /// The fault that was told last and has not passed.
    told: Option<Fault>,
}

impl Links {
    pub(super) fn new(address: &str, devices: Vec<Device<MqttSource>>, intake: Intake) -> Self {
        let link =
            |device: Device<MqttSource>| Link { sensor: device.sensor, filter: device.source.topic.value, told: None };
        Self { address: address.to_owned(), links: devices.into_iter().map(link).collect(), intake }
    }

    /// No sensor of this broker can be heard.
    pub(super) async fn down(&mut self, fault: &BrokerFault) {
        let fault = fault.of_sensor(&self.address);
        for link in &mut self.links {
            link.suffer(&fault, &self.intake).await;
        }
    }

    /// The broker delivers what a filter stands for.
    async fn granted(&mut self, filter: &TopicFilter) {
        for link in self.links.iter_mut().filter(|link| filter.covers(&link.filter)) {
            if link.told.take().is_some() {
                self.intake.reached(&link.sensor).await;
            }
        }
    }

    /// The broker does not let us hear a topic.
    async fn refused(&mut self, filter: &TopicFilter) {
        let why = format!("this gateway may not subscribe to {filter}");
        let fault = Fault::Refused { address: self.address.clone(), why };
        for link in self.links.iter_mut().filter(|link| link.filter == *filter) {
            link.suffer(&fault, &self.intake).await;
        }
    }
}

impl Link {
    async fn suffer(&mut self, fault: &Fault, intake: &Intake) {
        if self.told.as_ref() != Some(fault) {
            self.told = Some(fault.clone());
            intake.fault(&self.sensor, fault.clone()).await;
        }
    }
}

/// Subscriptions still to be made. A topic within another's is left out, or the broker may send its messages twice; if the
/// wider one is refused, the narrower ones are asked for by themselves.
struct Subscriptions {
    wanted: BTreeSet<TopicFilter>,
    waiting: Vec<TopicFilter>,
    /// In the SUBSCRIBE that is not answered yet, in order, and until when it may take.
    asked: Vec<TopicFilter>,
    until: Option<Instant>,
}

impl Subscriptions {
    fn new(wanted: BTreeSet<TopicFilter>) -> Self {
        let mut subscriptions = Self { wanted, waiting: Vec::new(), asked: Vec::new(), until: None };
        subscriptions.waiting = subscriptions.widest(|_| true);
        subscriptions
    }

    /// Those of the wanted that are within no other.
    fn widest(&self, among: impl Fn(&TopicFilter) -> bool) -> Vec<TopicFilter> {
        let within = |filter: &TopicFilter| self.wanted.iter().any(|other| other != filter && other.covers(filter));
        self.wanted.iter().filter(|filter| among(filter) && !within(filter)).cloned().collect()
    }

    /// Asks for the next ones, if the last have been answered.
    fn ask(&mut self, client: &AsyncClient) -> Result<(), BrokerFault> {
        if self.until.is_some() || self.waiting.is_empty() {
            return Ok(());
        }
        self.asked = self.waiting.split_off(self.waiting.len().saturating_sub(BATCH));
        let filters =
            self.asked.iter().map(|filter| SubscribeFilter::new(filter.as_str().to_owned(), QoS::AtLeastOnce));
        let handed = client.try_subscribe_many(filters);
        self.until = Some(Instant::now() + SUBSCRIBE_LIMIT);
        handed.map_err(|_| BrokerFault::network("its event loop ended"))
    }

    /// What the broker answered: granted and refused ones.
    fn answered(&mut self, codes: &[SubscribeReasonCode]) -> Vec<(TopicFilter, bool)> {
        self.until = None;
        let granted = |at: usize| matches!(codes.get(at), Some(SubscribeReasonCode::Success(_)));
        let asked = std::mem::take(&mut self.asked).into_iter().enumerate();
        let answers: Vec<_> = asked.map(|(at, filter)| (filter, granted(at))).collect();
        for (refused, _) in answers.iter().filter(|(_, granted)| !granted) {
            self.wanted.remove(refused);
            let alone = self.widest(|filter| refused.covers(filter) && !self.waiting.contains(filter));
            self.waiting.extend(alone);
        }
        answers
    }
}

/// Runs one connection.
pub(super) async fn run(
    broker: &Connection,
    routes: &Routes,
    links: &mut Links,
    shutdown: &CancellationToken,
) -> Ended {
    let (client, mut event_loop) = match connect(broker, broker.options.clean_session(), shutdown).await {
        Ok(connected) => connected,
        Err(ended) => return ended,
    };
    let mut subscriptions = Subscriptions::new(links.links.iter().map(|link| link.filter.clone()).collect());
    let mut strays = BTreeSet::new();
    loop {
        if let Err(fault) = subscriptions.ask(&client) {
            return Ended::Broken(fault);
        }
        let event = tokio::select! {
            event = next(&mut event_loop, subscriptions.until) => event,
            () = shutdown.cancelled() => return close(&client, &mut event_loop, Ended::Stopped).await,
        };
        match event {
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let heard = tokio::select! {
                    heard = routes.hear(&message) => heard,
                    // Not acknowledged: the broker keeps it for the next start.
                    () = shutdown.cancelled() => return close(&client, &mut event_loop, Ended::Stopped).await,
                };
                if heard == Heard::NotTaken {
                    return close(&client, &mut event_loop, Ended::Stopped).await;
                }
                // Of no effect where a wildcard has brought it.
                if heard == Heard::Unwanted && strays.len() < STRAYS && strays.insert(message.topic.clone()) {
                    let _ = client.try_unsubscribe(message.topic.clone());
                }
                if client.try_ack(&message).is_err() {
                    let why = "it sends messages faster than it takes acknowledgements".to_owned();
                    return Ended::Broken(BrokerFault { kind: FaultKind::Network, why });
                }
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                for (filter, granted) in subscriptions.answered(&answer.return_codes) {
                    tokio::select! {
                        () = async { if granted { links.granted(&filter).await } else { links.refused(&filter).await } } => {}
                        () = shutdown.cancelled() => return close(&client, &mut event_loop, Ended::Stopped).await,
                    }
                }
            }
            Ok(_) => {}
            Err(fault) => {
                // Messages that came with the end are as good as any; unacknowledged, they come again.
                for message in messages(&mut event_loop) {
                    tokio::select! {
                        _ = routes.hear(&message) => {}
                        () = shutdown.cancelled() => return Ended::Stopped,
                    }
                }
                return Ended::Broken(fault);
            }
        }
    }
}

/// Lets the broker forget the session, and with it a message that cannot be received.
pub(super) async fn discard(broker: &Connection, shutdown: &CancellationToken) -> Ended {
    match connect(broker, true, shutdown).await {
        Ok((client, mut event_loop)) => close(&client, &mut event_loop, Ended::Discarded).await,
        Err(ended) => ended,
    }
}

async fn connect(
    broker: &Connection,
    clean_session: bool,
    shutdown: &CancellationToken,
) -> Result<(AsyncClient, EventLoop), Ended> {
    let mut options = broker.options.clone();
    options.set_clean_session(clean_session);
    let (client, mut event_loop) = AsyncClient::new(options, ACKNOWLEDGEMENTS);
    event_loop.set_network_options(broker.network.clone());
    let connected = tokio::select! {
        connected = timeout(CONNECT_LIMIT, event_loop.poll()) => connected,
        () = shutdown.cancelled() => return Err(Ended::Stopped),
    };
    match connected {
        Ok(Ok(_connack)) => Ok((client, event_loop)),
        Ok(Err(error)) => Err(Ended::Broken(unanswered(error))),
        Err(_) => Err(Ended::Broken(BrokerFault::network("no answer in time"))),
    }
}

/// Before CONNACK no packet is a message that would come again.
fn unanswered(error: ConnectionError) -> BrokerFault {
    let fault = BrokerFault::from(error);
    let kind = if fault.kind == FaultKind::Packet { FaultKind::Network } else { fault.kind };
    BrokerFault { kind, ..fault }
}

async fn next(event_loop: &mut EventLoop, until: Option<Instant>) -> Result<Event, BrokerFault> {
    let event = match until {
        None => event_loop.poll().await,
        Some(until) => match timeout_at(until, event_loop.poll()).await {
            Ok(event) => event,
            Err(_) => return Err(BrokerFault::network("it does not answer SUBSCRIBE")),
        },
    };
    event.map_err(BrokerFault::from)
}

fn messages(event_loop: &mut EventLoop) -> Vec<Publish> {
    let left = std::mem::take(&mut event_loop.state.events).into_iter();
    left.filter_map(|event| match event {
        Event::Incoming(Packet::Publish(message)) => Some(message),
        _ => None,
    })
    .collect()
}

/// Sends what acknowledgements there are, then DISCONNECT. What comes meanwhile is not acknowledged, so it comes again.
async fn close(client: &AsyncClient, event_loop: &mut EventLoop, ended: Ended) -> Ended {
    let closed = async {
        if client.try_disconnect().is_ok() {
            while !matches!(event_loop.poll().await, Err(_) | Ok(Event::Outgoing(Outgoing::Disconnect))) {}
        }
    };
    // The broker sees the connection end either way.
    let _ = timeout(CLOSE_LIMIT, closed).await;
    ended
}
