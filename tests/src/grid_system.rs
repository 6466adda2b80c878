//! Plays the grid system: hears everything a gateway publishes, removes duplicates by event id as its contract says,
//! keeps what arrived, and files stills. Survives a broker that goes and comes back: its session is persistent.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rumqttc::{Client, Connection, Event, MqttOptions, Packet, Publish, QoS};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use snowgate::clock::SystemClock;
use snowgate_core::{
    hex::hex,
    ids::{Id, IncidentId},
    time::{Clock, Mono},
};

use crate::contract;

/// The largest packet taken.
const MAX_PACKET: usize = 4 << 20;
/// Pause before connecting again.
const RECONNECT: Duration = Duration::from_millis(200);
/// What was not understood is kept, up to so much.
const MAX_REJECTED: usize = 100;

/// Messages of readings are kept, up to so many.
pub const MAX_TELEMETRY: usize = 1000;

/// An event about an incident, as it arrived: CloudEvents 1.0 in JSON.
#[derive(Debug, Clone, Deserialize)]
pub struct IncidentEvent {
    /// `{incident}.{revision}`; unique.
    pub id: String,
    /// `org.snowgate.incident.opened` and so on.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it tells of the incident.
    pub data: IncidentData,
    /// The whole document, for whoever wants to look closer.
    #[serde(skip)]
    pub json: serde_json::Value,
    /// The topic it came on.
    #[serde(skip)]
    pub topic: String,
    /// When it came, on the machine's monotonic clock.
    #[serde(skip)]
    pub arrived: Mono,
}

impl IncidentEvent {
    /// `opened`, `updated` or `ended`.
    pub fn kind(&self) -> &str {
        self.event_type.rsplit('.').next().unwrap_or_default()
    }
}

/// What the grid system reads of an incident.
#[derive(Debug, Clone, Deserialize)]
pub struct IncidentData {
    /// The incident.
    pub incident: IncidentId,
    /// Counts from 1.
    pub revision: u32,
    /// Grows with every event of the gateway.
    pub sequence: u64,
    /// `active` or `ended`.
    pub scene: String,
    /// How bad it is.
    pub severity: String,
    /// The level of the grid tree it starts at.
    pub level: String,
    /// Where it happened.
    pub grid: String,
    /// What found it.
    #[serde(flatten)]
    pub origin: Origin,
    /// The rule that found it.
    pub rule: Id,
    /// The rule's kind.
    pub rule_kind: String,
    /// One line for people.
    pub title: String,
    /// Pictures that belong to it.
    pub evidence: Vec<EvidenceReference>,
}

/// What found an incident: exactly one of the three keys is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A camera.
    Camera(Id),
    /// A sensor.
    Sensor(Id),
    /// A joined rule.
    Joined(Joined),
}

impl Origin {
    /// The camera's, the sensor's or the joined rule's id.
    pub fn id(&self) -> &Id {
        match self {
            Self::Camera(id) | Self::Sensor(id) => id,
            Self::Joined(joined) => &joined.rule,
        }
    }
}

/// What a joined rule joins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Joined {
    /// The joined rule.
    pub rule: Id,
    /// The incidents.
    pub incidents: Vec<JoinedIncident>,
}

/// An incident that a joined rule joins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JoinedIncident {
    /// Its id.
    pub incident: IncidentId,
}

/// A picture that an incident refers to.
#[derive(Debug, Clone, Deserialize)]
pub struct EvidenceReference {
    /// Last part of its topic.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// A still that arrived, and was filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The incident it belongs to.
    pub incident: IncidentId,
    /// Its name within the incident.
    pub name: String,
    /// Where it was filed.
    pub file: PathBuf,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: usize,
}

/// Everything that has arrived.
#[derive(Debug, Default)]
pub struct Received {
    /// Times the broker acknowledged our subscription.
    pub subscribed: u64,
    /// Every event once, in order of arrival.
    pub events: Vec<IncidentEvent>,
    /// Events that had arrived before.
    pub duplicates: u64,
    /// Stills, in order of arrival; each once.
    pub stills: Vec<Still>,
    /// What the gateway, its cameras and sensors last said of themselves, by topic below the gateway's.
    pub states: BTreeMap<String, serde_json::Value>,
    /// The last messages of readings, up to [`MAX_TELEMETRY`].
    pub telemetry: VecDeque<serde_json::Value>,
    /// Answers to commands: the command's name, and what was said.
    pub answers: Vec<(String, serde_json::Value)>,
    /// What the gateway says it had to give up.
    pub gaps: Vec<serde_json::Value>,
    /// Heads of its access log, as they were published.
    pub heads: Vec<serde_json::Value>,
    /// Its reports of evidence that it has deleted.
    pub deleted: Vec<serde_json::Value>,
    /// What could not be understood, and why.
    pub rejected: Vec<String>,
    /// What is not as the published schemas say, and why.
    pub violations: Vec<String>,
    ids: HashSet<String>,
}

impl Received {
    /// Ids of events that must have been sent and never arrived: of every incident, revisions below its newest.
    pub fn holes(&self) -> Vec<String> {
        let mut newest: BTreeMap<IncidentId, u32> = BTreeMap::new();
        for event in &self.events {
            let known = newest.entry(event.data.incident).or_default();
            *known = event.data.revision.max(*known);
        }
        let revisions = newest.into_iter().flat_map(|(incident, newest)| (1..=newest).map(move |r| (incident, r)));
        revisions
            .map(|(incident, revision)| format!("{incident}.{revision}"))
            .filter(|id| !self.ids.contains(id))
            .collect()
    }

    /// Sequence numbers that never arrived, between the lowest and the highest that did. While the gateway still sends,
    /// these may be on their way: live events overtake a backlog.
    pub fn missing_sequences(&self) -> Vec<u64> {
        let arrived: BTreeSet<u64> = self.events.iter().map(|event| event.data.sequence).collect();
        let (Some(first), Some(last)) = (arrived.first(), arrived.last()) else { return Vec::new() };
        (*first..=*last).filter(|sequence| !arrived.contains(sequence)).collect()
    }

    /// Whether an event of this id has arrived.
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Stills whose bytes are not those that an event announced.
    pub fn forged_stills(&self) -> Vec<&Still> {
        let announced: HashMap<(IncidentId, &str), &str> = self
            .events
            .iter()
            .flat_map(|event| {
                event.data.evidence.iter().map(|e| ((event.data.incident, e.name.as_str()), e.sha256.as_str()))
            })
            .collect();
        let forged = |still: &&Still| {
            let digest = announced.get(&(still.incident, still.name.as_str()));
            digest.is_some_and(|digest| *digest != still.sha256)
        };
        self.stills.iter().filter(forged).collect()
    }

    fn check(&mut self, publish: &Publish) {
        if self.violations.len() < MAX_REJECTED
            && let Err(violation) = contract::check(&publish.topic, &publish.payload)
        {
            self.violations.push(violation.to_string());
        }
    }

    fn reject(&mut self, topic: &str, why: &dyn std::fmt::Display) {
        if self.rejected.len() < MAX_REJECTED {
            self.rejected.push(format!("{topic}: {why}"));
        }
    }
}

/// A subscriber on a thread of its own. Dropping it disconnects, and panics if the gateway has said anything that its
/// published schemas do not: see [`GridSystem::take_violations`].
pub struct GridSystem {
    inbox: Arc<Inbox>,
    client: Client,
    thread: Option<JoinHandle<()>>,
}

struct Inbox {
    gateway: String,
    stills: PathBuf,
    clock: SystemClock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    received: Received,
    stopping: bool,
}

impl GridSystem {
    /// Subscribes to a gateway at a broker on loopback; stills are filed in a folder, which is made if need be.
    ///
    /// # Errors
    /// The folder cannot be made, or no thread be had. That the broker is not there is no error: it is tried again.
    pub fn start(broker_port: u16, gateway: &str, stills: &Path) -> io::Result<Self> {
        Self::start_with(MqttOptions::new("grid-system", "127.0.0.1", broker_port), gateway, stills)
    }

    /// The same with a broker that wants more than a port.
    ///
    /// # Errors
    /// As [`GridSystem::start`].
    pub fn start_with(mut options: MqttOptions, gateway: &str, stills: &Path) -> io::Result<Self> {
        fs::create_dir_all(stills)?;
        options.set_clean_session(false).set_max_packet_size(MAX_PACKET, MAX_PACKET);
        let (client, connection) = Client::new(options, 10);
        let inbox = Arc::new(Inbox {
            gateway: gateway.to_owned(),
            stills: stills.to_owned(),
            clock: SystemClock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = thread::Builder::new().name("grid-system".to_owned()).spawn({
            let (inbox, client) = (Arc::clone(&inbox), client.clone());
            move || listen(&inbox, &client, connection)
        })?;
        Ok(Self { inbox, client, thread: Some(thread) })
    }

    /// Waits until what has arrived satisfies `look`, or the time is up; answers what `look` found.
    pub fn wait_for<T>(&self, within: Duration, mut look: impl FnMut(&Received) -> Option<T>) -> Option<T> {
        let end = Instant::now() + within;
        let mut state = self.inbox.lock();
        loop {
            if let Some(found) = look(&state.received) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.inbox.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends the gateway a command.
    ///
    /// # Errors
    /// Too much waits to be sent already.
    pub fn command(&self, name: &str, command: &serde_json::Value) -> Result<(), rumqttc::ClientError> {
        let topic = format!("snowgate/v1/{}/cmd/{name}", self.inbox.gateway);
        self.client.try_publish(topic, QoS::AtLeastOnce, false, command.to_string())
    }

    /// What has come up to now and is not as the published schemas say. Whoever takes it answers for it.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.inbox.lock().received.violations)
    }

    /// Looks at what has arrived up to now.
    pub fn look<T>(&self, look: impl FnOnce(&Received) -> T) -> T {
        look(&self.inbox.lock().received)
    }
}

impl Drop for GridSystem {
    fn drop(&mut self) {
        self.inbox.lock().stopping = true;
        self.inbox.changed.notify_all();
        // Wakes a connection that waits for messages; one that is not connected notices by itself.
        let _ = self.client.try_disconnect();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        contract::answer_for(&self.take_violations());
    }
}

fn listen(inbox: &Inbox, client: &Client, mut connection: Connection) {
    while let Ok(event) = connection.recv() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                // A broker that forgot our session forgot our subscription.
                let _ = client.try_subscribe(format!("snowgate/v1/{}/#", inbox.gateway), QoS::AtLeastOnce);
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => inbox.change(|received| received.subscribed += 1),
            Ok(Event::Incoming(Packet::Publish(publish))) => inbox.take(&publish),
            Ok(_) => {}
            Err(_) if inbox.pause() => return,
            Err(_) => {}
        }
        if inbox.lock().stopping {
            return;
        }
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Received)) {
        change(&mut self.lock().received);
        self.changed.notify_all();
    }

    /// Waits before connecting again; tells whether it is time to stop.
    fn pause(&self) -> bool {
        let waiting = self.changed.wait_timeout_while(self.lock(), RECONNECT, |state| !state.stopping);
        waiting.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    fn take(&self, publish: &Publish) {
        self.change(|received| received.check(publish));
        let parts: Vec<&str> = publish.topic.split('/').collect();
        let below = parts.get(3..).unwrap_or_default();
        match below {
            ["incident", _, _] => self.take_event(publish),
            ["evidence", incident, name] => self.take_still(publish, incident, name),
            ["camera" | "sensor", _, "state"] if publish.payload.is_empty() => self.change(|received| {
                received.states.remove(&below.join("/"));
            }),
            ["status"] | ["config", "state"] | ["camera" | "sensor", _, "state"] => {
                self.take_json(publish, |received, state| {
                    received.states.insert(below.join("/"), state);
                })
            }
            ["access-log", "head"] => {
                self.take_json(publish, |received, head| received.heads.push(head));
            }
            ["evidence-deleted"] => {
                self.take_json(publish, |received, report| received.deleted.push(report));
            }
            ["gap"] => self.take_json(publish, |received, gap| received.gaps.push(gap)),
            ["cmd-ack", name] => {
                self.take_json(publish, |received, answer| received.answers.push(((*name).to_owned(), answer)));
            }
            ["telemetry", _] => self.take_json(publish, |received, readings| {
                if received.telemetry.len() == MAX_TELEMETRY {
                    received.telemetry.pop_front();
                }
                received.telemetry.push_back(readings);
            }),
            // Summaries, and our own commands.
            _ => {}
        }
    }

    fn take_event(&self, publish: &Publish) {
        let arrived = self.clock.mono();
        let json = serde_json::from_slice::<serde_json::Value>(&publish.payload);
        let event = json.and_then(|json| Ok(IncidentEvent { json: json.clone(), ..serde_json::from_value(json)? }));
        self.change(|received| match event {
            Ok(event) if !received.ids.insert(event.id.clone()) => received.duplicates += 1,
            Ok(event) => received.events.push(IncidentEvent { topic: publish.topic.clone(), arrived, ..event }),
            Err(error) => received.reject(&publish.topic, &error),
        });
    }

    fn take_json(&self, publish: &Publish, take: impl FnOnce(&mut Received, serde_json::Value)) {
        match serde_json::from_slice(&publish.payload) {
            Ok(json) => self.change(|received| take(received, json)),
            Err(error) => self.change(|received| received.reject(&publish.topic, &error)),
        }
    }

    fn take_still(&self, publish: &Publish, incident: &str, name: &str) {
        match self.file(&publish.payload, incident, name) {
            Ok(still) => self.change(|received| {
                if !received.stills.contains(&still) {
                    received.stills.push(still);
                }
            }),
            Err(why) => self.change(|received| received.reject(&publish.topic, &why)),
        }
    }

    /// Both names come off the network: only what is an incident id and an id may become part of a path.
    fn file(&self, jpeg: &[u8], incident: &str, name: &str) -> Result<Still, String> {
        let incident = IncidentId::try_from(incident.to_owned())?;
        let name: Id = name.parse()?;
        if !jpeg.starts_with(&[0xff, 0xd8, 0xff]) {
            return Err("no JPEG".to_owned());
        }
        let extension = if name.as_str().ends_with(".jpg") { "" } else { ".jpg" };
        let file = self.stills.join(format!("{incident}-{name}{extension}"));
        fs::write(&file, jpeg).map_err(|error| format!("{}: {error}", file.display()))?;
        let sha256 = hex(Sha256::digest(jpeg));
        Ok(Still { incident, name: name.to_string(), file, sha256, bytes: jpeg.len() })
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::MqttOptions;

    use super::*;
    use crate::embedded_broker::EmbeddedBroker;

    const A: &str = "01JZZZZZZZZZZZZZZZZZZZZZZA";
    const B: &str = "01JZZZZZZZZZZZZZZZZZZZZZZB";

    /// Publishes these at a broker, and waits until it has taken them all.
    fn publish(port: u16, messages: &[(String, Vec<u8>)]) {
        let mut options = MqttOptions::new("gateway", "127.0.0.1", port);
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        let (client, mut connection) = Client::new(options, messages.len() + 1);
        for (topic, payload) in messages {
            client.try_publish(topic, QoS::AtLeastOnce, false, payload.as_slice()).unwrap();
        }
        let mut unacknowledged = messages.len();
        while unacknowledged > 0 {
            if let Event::Incoming(Packet::PubAck(_)) = connection.recv().unwrap().unwrap() {
                unacknowledged -= 1;
            }
        }
    }

    fn event(incident: &str, revision: u32, sequence: u64, evidence: &[(&str, &str)]) -> (String, Vec<u8>) {
        let evidence: Vec<_> =
            evidence.iter().map(|(name, sha256)| serde_json::json!({ "name": name, "sha256": sha256 })).collect();
        let event = serde_json::json!({
            "specversion": "1.0", "id": format!("{incident}.{revision}"), "type": "org.snowgate.incident.updated",
            "data": {
                "incident": incident, "revision": revision, "sequence": sequence, "scene": "active", "severity": "normal",
                "level": "grid", "grid": "1", "camera": "c", "rule": "r", "rule_kind": "intrusion", "title": "t",
                "evidence": evidence,
            },
        });
        ("snowgate/v1/gate/incident/grid/1".to_owned(), serde_json::to_vec(&event).unwrap())
    }

    fn still(incident: &str, name: &str, tail: &[u8]) -> (String, Vec<u8>) {
        (format!("snowgate/v1/gate/evidence/{incident}/{name}"), [b"\xff\xd8\xff", tail].concat())
    }

    #[test]
    fn duplicates_are_dropped_holes_seen_and_stills_checked() {
        let broker = EmbeddedBroker::start(0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = broker.address().port();
        let grid = GridSystem::start(port, "gate", &folder.path().join("stills")).unwrap();
        grid.wait_for(Duration::from_secs(10), |received| (received.subscribed > 0).then_some(())).unwrap();

        let big = vec![7; 1 << 20];
        let digest = hex(Sha256::digest(&still(A, "still", &big).1));
        publish(
            port,
            &[
                event(A, 1, 7, &[]),
                event(A, 1, 7, &[]),
                event(A, 4, 10, &[("still", &digest)]),
                event(B, 1, 8, &[("still", &digest)]),
                still(A, "still", &big),
                still(B, "still", b"something else"),
                still(A, "..", b""),
                (format!("snowgate/v1/gate/evidence/{A}/text"), b"no picture".to_vec()),
                ("snowgate/v1/gate/incident/grid/1".to_owned(), b"{}".to_vec()),
                ("snowgate/v1/gate/camera/c/state".to_owned(), br#"{"state":"live"}"#.to_vec()),
            ],
        );

        let all_arrived = |received: &Received| (!received.states.is_empty()).then_some(());
        grid.wait_for(Duration::from_secs(10), all_arrived).unwrap();
        // None of these events says all that it must, nor does the camera's state; and one still is none.
        assert_eq!(grid.take_violations().len(), 7, "all but the three that are stills");
        grid.look(|received| {
            let ids: Vec<_> = received.events.iter().map(|event| event.id.clone()).collect();
            assert_eq!(ids, [format!("{A}.1"), format!("{A}.4"), format!("{B}.1")]);
            assert_eq!(received.duplicates, 1);
            assert_eq!(received.holes(), [format!("{A}.2"), format!("{A}.3")]);
            assert_eq!(received.missing_sequences(), [9]);
            assert_eq!(received.states["camera/c/state"]["state"], "live");
            assert_eq!(received.rejected.len(), 3, "{:?}", received.rejected);
            let forged: Vec<_> = received.forged_stills().iter().map(|still| still.incident.to_string()).collect();
            assert_eq!(forged, [B]);
            assert_eq!(fs::read(&received.stills[0].file).unwrap().len(), big.len() + 3);
        });
    }

    #[test]
    fn a_missing_broker_stops_nobody_from_stopping() {
        let folder = tempfile::tempdir().unwrap();
        // Port 1 is nobody's.
        let grid = GridSystem::start(1, "gate", folder.path()).unwrap();
        assert!(grid.wait_for(Duration::from_millis(1), |received| (received.subscribed > 0).then_some(())).is_none());
        drop(grid);
    }

    #[test]
    fn a_taken_port_is_said_so() {
        let broker = EmbeddedBroker::start(0).unwrap();
        let error = EmbeddedBroker::start(broker.address().port()).unwrap_err();
        assert!(error.to_string().contains("another demo"), "{error}");
    }
}
