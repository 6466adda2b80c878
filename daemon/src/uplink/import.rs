//! Publishing an export from a machine that has a connection, in place of the gateway that has none.
//!
//! Every message goes out at quality of service 1, in the order in which it was committed, and counts as delivered only
//! when the broker has acknowledged it. There is one connection: when it breaks, [`Stopped`] says how far everything had
//! got, and another import begins after that, or from the start: receivers remove duplicates by their ids.

use std::{collections::VecDeque, io::BufRead, time::Duration};

use rumqttc::{AsyncClient, Event, EventLoop, Outgoing, Packet, QoS};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{Broker, Fault};
use crate::{
    export::{ReadError, Reader},
    shutdown::Shutdown,
    store::{RowId, WaitingMessage},
};

/// Longest time until the broker has answered CONNECT.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Longest time until the connection is closed in good order.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// How far an import got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Messages the broker has acknowledged.
    pub acknowledged: u64,
    /// Messages passed over because they were not to be sent again.
    pub passed_over: u64,
    /// Every message up to this row has been acknowledged or passed over.
    pub up_to: Option<RowId>,
}

/// An import that ended before its last message was acknowledged.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Stopped {
    /// How far it got.
    pub progress: Progress,
    /// Why.
    pub why: Why,
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The connection.
    #[error(transparent)]
    Broker(#[from] Fault),
    /// The file, which had been verified before: it has been changed since.
    #[error("the file has been changed while it was read: {0}")]
    File(#[from] ReadError),
    /// Somebody wanted it so.
    #[error("interrupted")]
    Interrupted,
}

/// What the polling task reports.
enum Report {
    Sent(u16),
    Acknowledged(u16),
    Disconnected,
    Broken(Fault),
}

/// A message on its way.
struct OnItsWay {
    row: RowId,
    /// Known once it has been written to the socket.
    packet_id: Option<u16>,
    acknowledged: bool,
}

/// Publishes every message after a row, and waits until each is acknowledged.
///
/// # Errors
/// How far it got, and why no further.
pub async fn import(
    broker: &Broker,
    mut messages: Reader<impl BufRead>,
    after: Option<RowId>,
    shutdown: &Shutdown,
) -> Result<Progress, Stopped> {
    let mut progress = Progress::default();
    let outcome = match connect(broker, shutdown).await {
        Ok((client, reports, _poller)) => {
            let mut import = Import { broker, client, reports, on_their_way: VecDeque::new(), progress };
            let outcome = tokio::select! {
                outcome = import.publish_all(&mut messages, after) => outcome,
                () = shutdown.triggered() => Err(Why::Interrupted),
            };
            if !matches!(outcome, Err(Why::Broker(_))) {
                import.disconnect().await;
            }
            progress = import.progress;
            outcome
        }
        Err(why) => Err(why),
    };
    match outcome {
        Ok(()) => Ok(progress),
        Err(why) => Err(Stopped { progress, why }),
    }
}

type Connection = (AsyncClient, mpsc::Receiver<Report>, JoinSet<()>);

async fn connect(broker: &Broker, shutdown: &Shutdown) -> Result<Connection, Why> {
    let (options, network) = broker.subscriber("import");
    // A few places more than publishes on their way, and handing over never has to wait.
    let (client, mut event_loop) = AsyncClient::new(options, usize::from(broker.max_inflight) + 4);
    event_loop.set_network_options(network);
    let connected = tokio::select! {
        connected = timeout(CONNECT_LIMIT, event_loop.poll()) => connected,
        () = shutdown.triggered() => return Err(Why::Interrupted),
    };
    match connected {
        Ok(Ok(_connack)) => {}
        Ok(Err(error)) => return Err(Fault::connecting(error, broker.is_encrypted()).into()),
        Err(_) => return Err(Fault::Unreachable("no answer in time".to_owned()).into()),
    }
    let (reports, from_poller) = mpsc::channel(64);
    let mut poller = JoinSet::new();
    poller.spawn(poll(event_loop, reports));
    Ok((client, from_poller, poller))
}

/// Polls until the connection ends; nothing else may be awaited in between, or keep-alive and reading stop.
async fn poll(mut event_loop: EventLoop, reports: mpsc::Sender<Report>) {
    let fault = loop {
        match event_loop.poll().await {
            Ok(event) => {
                if let Some(report) = report(event)
                    && reports.send(report).await.is_err()
                {
                    return;
                }
            }
            Err(error) => break Fault::connected(error),
        }
    };
    // Acknowledgements that came with the error are as good as any.
    let last = std::mem::take(&mut event_loop.state.events).into_iter().filter_map(report);
    for report in last.chain([Report::Broken(fault)]) {
        if reports.send(report).await.is_err() {
            return;
        }
    }
}

fn report(event: Event) -> Option<Report> {
    match event {
        Event::Outgoing(Outgoing::Publish(packet_id)) => Some(Report::Sent(packet_id)),
        Event::Outgoing(Outgoing::Disconnect) => Some(Report::Disconnected),
        Event::Incoming(Packet::PubAck(ack)) => Some(Report::Acknowledged(ack.pkid)),
        _ => None,
    }
}

struct Import<'a> {
    broker: &'a Broker,
    client: AsyncClient,
    reports: mpsc::Receiver<Report>,
    /// In order, the oldest first, which is not acknowledged.
    on_their_way: VecDeque<OnItsWay>,
    progress: Progress,
}

impl Import<'_> {
    async fn publish_all(&mut self, messages: &mut Reader<impl BufRead>, after: Option<RowId>) -> Result<(), Why> {
        let mut all_handed_over = false;
        loop {
            while !all_handed_over && self.on_their_way.len() < usize::from(self.broker.max_inflight) {
                match messages.next()? {
                    None => all_handed_over = true,
                    Some(message) if after.is_some_and(|after| message.row <= after) => {
                        self.progress.passed_over += 1;
                        self.progress.up_to = Some(message.row);
                    }
                    Some(message) => self.hand_over(message)?,
                }
                // What the broker says meanwhile is not left to pile up.
                while let Ok(report) = self.reports.try_recv() {
                    self.take(report)?;
                }
            }
            if self.on_their_way.is_empty() {
                return Ok(());
            }
            let patience = Instant::now() + self.broker.patience;
            tokio::select! {
                report = self.reports.recv() => self.take(report.unwrap_or_else(ended))?,
                () = sleep_until(patience) => {
                    return Err(Fault::Silent("nothing in flight is acknowledged").into());
                }
            }
        }
    }

    fn hand_over(&mut self, WaitingMessage { row, message, .. }: WaitingMessage) -> Result<(), Why> {
        // There is room by construction; if not, the event loop has gone, and its last report says why.
        if self.client.try_publish(message.topic, QoS::AtLeastOnce, message.retain, message.payload).is_err() {
            while let Ok(report) = self.reports.try_recv() {
                self.take(report)?;
            }
            return Err(Fault::Lost("its event loop ended".to_owned()).into());
        }
        self.on_their_way.push_back(OnItsWay { row, packet_id: None, acknowledged: false });
        Ok(())
    }

    fn take(&mut self, report: Report) -> Result<(), Fault> {
        match report {
            // rumqttc numbers publishes in the order in which they were handed over.
            Report::Sent(packet_id) => {
                if let Some(next) = self.on_their_way.iter_mut().find(|publish| publish.packet_id.is_none()) {
                    next.packet_id = Some(packet_id);
                }
            }
            Report::Acknowledged(packet_id) => {
                let waits = |publish: &&mut OnItsWay| !publish.acknowledged && publish.packet_id == Some(packet_id);
                if let Some(publish) = self.on_their_way.iter_mut().find(waits) {
                    publish.acknowledged = true;
                    self.progress.acknowledged += 1;
                }
                while let Some(first) = self.on_their_way.pop_front_if(|first| first.acknowledged) {
                    self.progress.up_to = Some(first.row);
                }
            }
            Report::Disconnected => {}
            Report::Broken(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Says good-bye, so that the broker does not take the end for a fault. What is still acknowledged counts.
    async fn disconnect(&mut self) {
        let _ = timeout(CLOSE_LIMIT, async {
            if self.client.disconnect().await.is_err() {
                return;
            }
            while let Some(report) = self.reports.recv().await {
                if matches!(report, Report::Disconnected) || self.take(report).is_err() {
                    return;
                }
            }
        })
        .await;
    }
}

fn ended() -> Report {
    Report::Broken(Fault::Lost("its event loop ended".to_owned()))
}
