//! Commands of one connection: handed on as they come, acknowledged as they are settled.
//!
//! What one connection holds is bounded by the queue to whoever carries commands out. Overflow policy: commands of
//! quality of service 0 get half of the queue, and are dropped beyond it; the others get all of it, and beyond it are
//! *left* with the broker, neither acknowledged nor lost, until a new connection fetches them; and so are those that come
//! after them, because what was done about an incident makes sense in its order only. Brokers send only a few
//! (mosquitto: 20) without an acknowledgement, so that queue is full for them only where a broker has no such limit.

use std::collections::VecDeque;

use crossbeam_channel::Sender;
use rumqttc::{AsyncClient, Publish, QoS};
use tokio::sync::mpsc;

use super::command::{Command, Content, Delivery, Fate, Receipt};
use crate::events::uplink as events;

/// Acknowledgements handed to the event loop and not yet at the socket.
pub(super) const ACKS_OUT: usize = 32;
/// Acknowledgements that wait for their turn; what comes beyond is left with the broker.
const ACKS_WAITING: usize = 4096;

/// A receipt's fate, and the packet it stands for.
#[derive(Debug)]
pub(super) struct Decided {
    packet_id: Option<u16>,
    fate: Fate,
}

/// One connection's commands.
pub(super) struct Inbox {
    commands: Sender<Command>,
    /// Unbounded, but for each receipt it takes one fate, and there are as many as the queue takes and its reader holds.
    decide: mpsc::UnboundedSender<Decided>,
    decided: mpsc::UnboundedReceiver<Decided>,
    /// Handed on, and not decided upon.
    open: usize,
    /// Not to be sent again, and not yet acknowledged.
    acks: VecDeque<u16>,
    acks_out: usize,
    /// Left with the broker.
    left: u64,
    settled_any: bool,
    closed: bool,
}

impl Inbox {
    pub(super) fn new(commands: Sender<Command>) -> Self {
        let (decide, decided) = mpsc::unbounded_channel();
        Self {
            commands,
            decide,
            decided,
            open: 0,
            acks: VecDeque::new(),
            acks_out: 0,
            left: 0,
            settled_any: false,
            closed: false,
        }
    }

    /// Takes what the broker delivered. Never blocks.
    pub(super) fn take(&mut self, Delivery { packet_id, content }: Delivery) {
        if self.closed {
            return;
        }
        match content {
            Ok(content) => {
                events::CommandReceived { name: &content.name }.emit();
                self.hand_on(packet_id, content);
            }
            Err(passed_over) => {
                events::CommandDropped { reason: passed_over.reason() }.emit();
                self.acknowledge_later(packet_id);
            }
        }
    }

    fn hand_on(&mut self, packet_id: Option<u16>, Content { name, payload }: Content) {
        let capacity = self.commands.capacity().unwrap_or(usize::MAX);
        let share = if packet_id.is_some() { capacity } else { capacity / 2 };
        let behind_left = packet_id.is_some() && self.left > 0;
        if self.commands.len() >= share || behind_left {
            match packet_id {
                Some(_) => self.leave_one(),
                None => events::CommandDropped { reason: "queue_full" }.emit(),
            }
            return;
        }
        let decide = self.decide.clone();
        let receipt = Receipt::new(move |fate| {
            // Nobody is there any more once the connection has ended: the receipt is void.
            let _ = decide.send(Decided { packet_id, fate });
        });
        self.open += 1;
        // There is room, and only this end sends. If nobody reads any more, the receipt comes back dropped.
        let _ = self.commands.try_send(Command { name, payload, receipt });
    }

    /// Leaves a command with the broker.
    fn leave_one(&mut self) {
        if self.left == 0 {
            events::CommandsLeft {}.emit();
        }
        self.left += 1;
        events::CommandDropped { reason: "left" }.emit();
    }

    fn acknowledge_later(&mut self, packet_id: Option<u16>) {
        match packet_id {
            Some(_) if self.acks.len() >= ACKS_WAITING => self.leave_one(),
            packet_id => self.acks.extend(packet_id),
        }
    }

    /// The next receipt decided upon. May be given up and asked again.
    pub(super) async fn decided(&mut self) -> Decided {
        match self.decided.recv().await {
            Some(decided) => decided,
            // This end keeps a sender.
            None => std::future::pending().await,
        }
    }

    /// Takes a receipt's fate, and those that have been decided upon meanwhile.
    pub(super) fn note(&mut self, decided: Decided) {
        let mut next = Some(decided);
        while let Some(Decided { packet_id, fate }) = next {
            self.open -= 1;
            match (fate, packet_id) {
                (Fate::Settled, packet_id) => {
                    self.settled_any = true;
                    self.acknowledge_later(packet_id);
                }
                (Fate::Dropped, Some(_)) => self.leave_one(),
                (Fate::Dropped, None) => {}
            }
            next = self.decided.try_recv().ok();
        }
    }

    /// Hands over as many acknowledgements as may be on their way to the socket. False if the event loop has gone.
    pub(super) fn acknowledge(&mut self, client: &AsyncClient) -> bool {
        while self.acks_out < ACKS_OUT
            && let Some(packet_id) = self.acks.pop_front()
        {
            let mut packet = Publish::new("", QoS::AtLeastOnce, Vec::new());
            packet.pkid = packet_id;
            if client.try_ack(&packet).is_err() {
                return false;
            }
            self.acks_out += 1;
        }
        true
    }

    /// An acknowledgement has been written to the socket.
    pub(super) fn acknowledged(&mut self) {
        self.acks_out = self.acks_out.saturating_sub(1);
        events::CommandAcknowledged {}.emit();
    }

    /// Takes no more commands, but still acknowledges what is settled.
    pub(super) fn close(&mut self) {
        self.closed = true;
        if let Ok(decided) = self.decided.try_recv() {
            self.note(decided);
        }
    }

    /// Whether all that is settled is acknowledged.
    pub(super) fn is_quiet(&self) -> bool {
        self.acks.is_empty() && self.acks_out == 0
    }

    /// Whether nothing is left here, but something with the broker: a new connection would bring it.
    pub(super) fn has_only_left(&self) -> bool {
        self.left > 0 && self.open == 0 && self.is_quiet()
    }

    /// Whether any command has been settled.
    pub(super) fn settled_any(&self) -> bool {
        self.settled_any
    }
}
