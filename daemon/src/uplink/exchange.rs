//! What goes over one connection while it stands: messages and states out, commands in.
//!
//! One task only polls; this one publishes, and never waits for the other, so neither can block the other. rumqttc
//! numbers publishes in the order they are handed over, so its n-th `Outgoing::Publish` is our n-th publish. That
//! event says the packet has been written to the socket, no more; the acknowledgement alone ends a message's life.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    pin::Pin,
    time::Duration,
};

use rumqttc::{AsyncClient, QoS};
use snowgate_core::time::Mono;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Shared,
    connection::Memory,
    fault::Fault,
    inbox::Inbox,
    poller::{REPORTS, Report},
    schedule::Schedule,
    status,
    subscription::REST,
    suspects::Suspect,
};
use crate::{
    events::uplink as events,
    store::{Class, Gap, LossReason, OutboxRow, RowId, StoreError, publish_packet_bytes},
};

/// Longest time a clean end takes: the last acknowledgements, the offline status, DISCONNECT.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// Bytes on their way above which pictures, summaries and readings wait: an incident must not stand in a long queue
/// of stills on a slow line.
const BULK_BYTES: usize = 256 << 10;
/// Acknowledged messages the store has not let go of yet (its disk is full); above it nothing more is sent.
const UNSETTLED_LIMIT: usize = 4096;
/// How often to look at what no event announces: ages, patience, a store that failed.
const TICK: Duration = Duration::from_secs(1);

/// A publish on its way.
struct Publish {
    what: What,
    bytes: usize,
}

enum What {
    /// The status or a retained state: published anew on each connection, so nothing is settled.
    State,
    Message {
        suspect: Suspect,
        origin: Option<Mono>,
    },
}

type Settling = Pin<Box<dyn Future<Output = (Vec<RowId>, Result<(), StoreError>)> + Send>>;

/// Why it ends.
pub(super) enum Ending {
    /// It is time to stop.
    Stop,
    /// A new connection is to fetch the commands left with the broker.
    Fetch,
    /// Something broke.
    Fault(Fault),
}

/// What goes over one connection while it stands.
pub(super) struct Exchange<'a> {
    shared: &'a Shared,
    memory: &'a mut Memory,
    client: AsyncClient,
    reports: mpsc::Receiver<Report>,
    schedule: Schedule,
    inbox: Inbox,
    /// States still to be published, the status first.
    states: VecDeque<(String, Vec<u8>)>,
    states_version: u64,
    /// Handed to rumqttc, in order, and not yet at the socket.
    queued: VecDeque<Publish>,
    /// At the broker, by packet identifier, as far as we know.
    in_flight: HashMap<u16, Publish>,
    bytes_out: usize,
    settling: Option<Settling>,
    /// What the connection before had handed to its socket in vain.
    repeats: HashSet<RowId>,
    /// The store failed: try again with the next tick.
    store_rests: bool,
    /// When the broker last gave a sign that it works on what is in flight.
    heard: Mono,
    /// Whether messages were acknowledged.
    pub(super) progress: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        memory: &'a mut Memory,
        client: AsyncClient,
        reports: mpsc::Receiver<Report>,
    ) -> Self {
        let now = shared.clock.mono();
        memory.mark.observe(now, shared.store.status().last_row);
        let mut schedule = Schedule::new(memory.mark.row(), shared.broker.drain_rate, now);
        schedule.hold(&memory.settled);
        memory.suspects.forgive(now);
        schedule.put_off(memory.suspects.put_off());
        memory.subscription.connected();
        Self {
            schedule,
            inbox: Inbox::new(shared.commands.clone()),
            states: VecDeque::from([(shared.topics.status(), status::online(shared))]),
            states_version: 0,
            queued: VecDeque::new(),
            in_flight: HashMap::new(),
            bytes_out: 0,
            settling: None,
            repeats: std::mem::take(&mut memory.handed),
            store_rests: false,
            heard: now,
            progress: false,
            shared,
            memory,
            client,
            reports,
        }
    }

    /// Sends, hears and settles until there is a reason to end.
    pub(super) async fn serve(&mut self) -> Ending {
        let shared = self.shared;
        let mut outbox = shared.store.watch();
        let mut states = shared.retained.watch();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            outbox.mark_unchanged();
            states.mark_unchanged();
            if let Err(fault) = self.send().await {
                return Ending::Fault(fault);
            }
            self.settle();
            let held_back = self.schedule.held_back();
            tokio::select! {
                report = self.reports.recv() => {
                    if let Err(fault) = self.take_all(report) {
                        return Ending::Fault(fault);
                    }
                }
                decided = self.inbox.decided() => self.inbox.note(decided),
                done = settled(&mut self.settling) => self.settled(done),
                Ok(()) = outbox.changed() => {}
                Ok(()) = states.changed() => {}
                () = sleep(held_back.unwrap_or_default()), if held_back.is_some() => {}
                _ = tick.tick() => {
                    self.store_rests = false;
                    shared.store.observe();
                    if self.memory.suspects.forgive(shared.clock.mono()) {
                        self.schedule.begin_again(self.memory.suspects.put_off());
                    }
                    if let Some(fault) = self.impatient() {
                        return Ending::Fault(fault);
                    }
                    if self.fetches() {
                        return Ending::Fetch;
                    }
                }
                () = shared.shutdown.triggered() => return Ending::Stop,
            }
            self.memory.mark.observe(shared.clock.mono(), shared.store.status().last_row);
        }
    }

    /// Hands over as much as may be on its way at once.
    async fn send(&mut self) -> Result<(), Fault> {
        self.subscribe()?;
        self.acknowledge_commands()?;
        let changed = self.shared.retained.since(self.states_version);
        self.states_version = changed.last().map_or(self.states_version, |last| last.version);
        self.states.extend(changed.into_iter().map(|state| (state.topic, state.payload)));
        while self.has_room()
            && let Some((topic, payload)) = self.states.pop_front()
        {
            self.publish_state(topic, payload)?;
        }
        self.announce_gaps().await;
        while self.has_room() && !self.store_rests {
            let least = if self.bytes_out < BULK_BYTES { Class::Telemetry } else { Class::DispositionAck };
            let (store, now) = (&self.shared.store, self.shared.clock.mono());
            match self.schedule.next(store, &store.status(), least, now).await {
                Ok(Some(row)) => self.publish_row(row).await?,
                Ok(None) => break,
                Err(error) => self.store_failed(&error),
            }
            // What has happened meanwhile may be more urgent than the rest of the backlog.
            self.take_waiting()?;
        }
        Ok(())
    }

    /// Asks for commands, where that is due.
    fn subscribe(&mut self) -> Result<(), Fault> {
        let now = self.shared.clock.mono();
        if self.memory.subscription.is_due(now) {
            if self.client.try_subscribe(self.shared.topics.commands(), QoS::AtLeastOnce).is_err() {
                return Err(self.why_broken());
            }
            self.memory.subscription.asked(now);
        }
        Ok(())
    }

    fn acknowledge_commands(&mut self) -> Result<(), Fault> {
        if self.inbox.acknowledge(&self.client) { Ok(()) } else { Err(self.why_broken()) }
    }

    fn has_room(&self) -> bool {
        let window = self.memory.suspects.window(usize::from(self.shared.broker.max_inflight));
        self.queued.len() + self.in_flight.len() < window && self.memory.settled.len() < UNSETTLED_LIMIT
    }

    fn publish_state(&mut self, topic: String, payload: Vec<u8>) -> Result<(), Fault> {
        let bytes = payload.len();
        let packet = publish_packet_bytes(topic.len(), bytes);
        if packet > self.shared.broker.max_packet {
            events::StateTooLarge { topic: &topic, bytes: packet, limit: self.shared.broker.max_packet }.emit();
            return Ok(());
        }
        self.hand_over(topic, QoS::AtLeastOnce, true, payload, Publish { what: What::State, bytes })
    }

    async fn publish_row(&mut self, OutboxRow { row, message }: OutboxRow) -> Result<(), Fault> {
        // Committed under a larger limit: sent, it would end this connection and every one after it.
        if message.packet_bytes() > self.shared.broker.max_packet {
            match self.shared.store.give_up(vec![row], LossReason::Oversize).await {
                Ok(()) => self.schedule.gone(&[row]),
                Err(error) => self.store_failed(&error),
            }
            return Ok(());
        }
        let quality = if message.class == Class::Telemetry { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let suspect = Suspect { row, class: message.class, lane: message.lane };
        let what = What::Message { suspect, origin: message.origin };
        let publish = Publish { what, bytes: message.payload.len() };
        self.hand_over(message.topic, quality, message.retain, message.payload, publish)
    }

    fn hand_over(
        &mut self,
        topic: String,
        quality: QoS,
        retain: bool,
        payload: Vec<u8>,
        publish: Publish,
    ) -> Result<(), Fault> {
        if self.in_flight.is_empty() && self.queued.is_empty() {
            self.heard = self.shared.clock.mono();
        }
        // There is room by construction; if not, the event loop has gone, and its last report says why.
        if self.client.try_publish(topic, quality, retain, payload).is_err() {
            return Err(self.why_broken());
        }
        self.bytes_out += publish.bytes;
        self.queued.push_back(publish);
        Ok(())
    }

    fn why_broken(&mut self) -> Fault {
        while let Ok(report) = self.reports.try_recv() {
            if let Err(fault) = self.take(report) {
                return fault;
            }
        }
        Fault::Lost("its event loop ended".to_owned())
    }

    /// Losses are told as soon as there is a connection to tell them over.
    async fn announce_gaps(&mut self) {
        let status = self.shared.store.status();
        if status.gaps == 0 || status.of(Class::Gap).messages > 0 || self.store_rests {
            return;
        }
        let topic = self.shared.topics.gap();
        let gateway = self.shared.gateway.clone();
        let render = move |gap: &Gap| (topic.clone(), status::gap(&gateway, gap));
        if let Err(error) = self.shared.store.announce_gaps(render).await {
            self.store_failed(&error);
        }
    }

    fn take_all(&mut self, first: Option<Report>) -> Result<(), Fault> {
        self.take(first.unwrap_or_else(|| Report::Broken(Fault::Lost("its event loop ended".to_owned()))))?;
        self.take_waiting()
    }

    /// Takes what waits, but not for ever: a flood of commands must not keep incidents from going out.
    fn take_waiting(&mut self) -> Result<(), Fault> {
        for _ in 0..REPORTS {
            let Ok(report) = self.reports.try_recv() else { break };
            self.take(report)?;
        }
        Ok(())
    }

    fn take(&mut self, report: Report) -> Result<(), Fault> {
        match report {
            Report::Sent(packet_id) => self.sent(packet_id),
            Report::Acknowledged(packet_id) => self.acknowledged(packet_id),
            Report::Subscribed(granted) => self.subscribed(granted),
            Report::Delivered(delivery) => self.inbox.take(delivery),
            Report::DeliveryAcknowledged => self.inbox.acknowledged(),
            Report::Disconnected => {}
            Report::Broken(fault) => return Err(fault),
        }
        Ok(())
    }

    fn subscribed(&mut self, granted: Option<QoS>) {
        self.memory.subscription.answered(granted.is_some(), self.shared.clock.mono());
        match granted {
            Some(quality) => events::Subscribed { at_most_once: quality == QoS::AtMostOnce }.emit(),
            None => events::SubscriptionRefused { rest: REST }.emit(),
        }
    }

    fn sent(&mut self, packet_id: u16) {
        let Some(publish) = self.queued.pop_front() else { return };
        if let What::Message { suspect: Suspect { row, class, .. }, origin } = &publish.what {
            self.memory.handed.insert(*row);
            let first = !self.repeats.remove(row);
            let frame_to_publish = origin.filter(|_| first).map(|origin| self.shared.clock.mono().since(origin));
            events::Published { class: class.as_str(), again: !first, frame_to_publish }.emit();
        }
        if packet_id == 0 {
            // Quality of service 0: nobody will acknowledge it.
            self.finish(publish);
        } else {
            self.in_flight.insert(packet_id, publish);
        }
    }

    fn acknowledged(&mut self, packet_id: u16) {
        self.heard = self.shared.clock.mono();
        if let Some(publish) = self.in_flight.remove(&packet_id) {
            if let What::Message { suspect, .. } = &publish.what {
                events::Acknowledged { class: suspect.class.as_str() }.emit();
                self.memory.suspects.fruitful();
                self.progress = true;
            }
            self.finish(publish);
        }
    }

    fn finish(&mut self, publish: Publish) {
        self.bytes_out -= publish.bytes;
        if let What::Message { suspect: Suspect { row, .. }, .. } = publish.what {
            self.memory.handed.remove(&row);
            self.memory.settled.push(row);
        }
    }

    /// Has the store let go of what is acknowledged: one batch at a time, while messages go on.
    fn settle(&mut self) {
        if self.settling.is_none() && !self.memory.settled.is_empty() && !self.store_rests {
            let (store, rows) = (self.shared.store.clone(), self.memory.settled.clone());
            self.settling = Some(Box::pin(async move {
                let outcome = store.acknowledge(rows.clone()).await;
                (rows, outcome)
            }));
        }
    }

    fn settled(&mut self, (rows, outcome): (Vec<RowId>, Result<(), StoreError>)) {
        self.settling = None;
        match outcome {
            Ok(()) => {
                // The batch is the front of the list: later ones came behind it.
                self.memory.settled.drain(..rows.len());
                self.schedule.gone(&rows);
            }
            Err(error) => self.store_failed(&error),
        }
    }

    fn store_failed(&mut self, error: &StoreError) {
        events::StoreFailed { error }.emit();
        self.store_rests = true;
    }

    /// After the connection broke: was it over commands, or over a message?
    pub(super) fn broke(&mut self, fault: &Fault) {
        let now = self.shared.clock.mono();
        let delivered = matches!(fault, Fault::Unreadable(_));
        let over_commands = delivered || self.memory.subscription.is_unanswered();
        self.memory.session_is_spoilt |= delivered;
        if self.memory.subscription.broke(delivered, now) {
            events::SubscriptionGivenUp { rest: REST }.emit();
        }
        if self.progress || over_commands {
            return;
        }
        let on_their_way = self.queued.iter().chain(self.in_flight.values());
        let suspects: Vec<_> = on_their_way
            .filter_map(|publish| match &publish.what {
                What::Message { suspect, .. } => Some(suspect.clone()),
                What::State => None,
            })
            .collect();
        if let Some(Suspect { row, class, lane }) = self.memory.suspects.broke(&suspects, now) {
            events::PutOff { class: class.as_str(), row: row.0, lane: lane.as_deref() }.emit();
        }
    }

    /// A broker that answers pings but acknowledges nothing does not deliver.
    fn impatient(&mut self) -> Option<Fault> {
        let (now, patience) = (self.shared.clock.mono(), self.shared.broker.patience);
        if now.since(self.heard) > patience && !self.in_flight.is_empty() {
            return Some(Fault::Silent("nothing in flight is acknowledged"));
        }
        let overdue = self.memory.subscription.is_overdue(now, patience);
        overdue.then_some(Fault::Silent("it does not answer the subscription to commands"))
    }

    /// Whether to end the connection for commands that only a new one will bring.
    fn fetches(&mut self) -> bool {
        let (at, pauses) = &mut self.memory.fetch;
        let now = self.shared.clock.mono();
        if !self.inbox.has_only_left() || now < *at {
            return false;
        }
        if self.inbox.settled_any() {
            pauses.reset();
        }
        *at = now + pauses.next_pause();
        events::CommandsFetched {}.emit();
        true
    }

    /// Settles what is left and, if the connection stands, ends it in good order; all within [`CLOSE_LIMIT`].
    pub(super) async fn leave(&mut self, ending: &Ending) {
        let _ = timeout(CLOSE_LIMIT, async {
            match ending {
                Ending::Stop => {
                    let (topic, payload) = (self.shared.topics.status(), status::stopped(self.shared));
                    if self.publish_state(topic, payload).is_ok() {
                        self.disconnect().await;
                    }
                }
                // Online it stays: nobody need be told.
                Ending::Fetch => self.disconnect().await,
                Ending::Fault(_) => {}
            }
            if let Some(done) = self.settling.take() {
                let done = done.await;
                self.settled(done);
            }
            self.store_rests = false;
            self.settle();
            if let Some(done) = self.settling.take() {
                let done = done.await;
                self.settled(done);
            }
        })
        .await;
    }

    /// Waits until all that is in flight and all settled commands are acknowledged, and disconnects.
    async fn disconnect(&mut self) {
        self.inbox.close();
        let mut asked = false;
        loop {
            if self.acknowledge_commands().is_err() {
                return;
            }
            if !asked && self.queued.is_empty() && self.in_flight.is_empty() && self.inbox.is_quiet() {
                asked = self.client.try_disconnect().is_ok();
            }
            match self.reports.recv().await {
                None | Some(Report::Disconnected) => return,
                Some(report) => {
                    if self.take(report).is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// The outcome of a batch that is being settled; never, if there is none.
async fn settled(settling: &mut Option<Settling>) -> (Vec<RowId>, Result<(), StoreError>) {
    match settling {
        Some(settling) => settling.await,
        None => std::future::pending().await,
    }
}
