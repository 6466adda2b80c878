//! Reporting: findings and alarms in, committed and announced revisions of incidents out.
//!
//! One thread owns the book of incidents. Each revision is on disk, together with the message that announces it, before
//! the next finding is looked at (I1). While the disk is full the thread waits and findings queue up behind it: the
//! queue is bounded and blocks (policy `block`), so that overload costs pictures, never incidents. A still comes back
//! from the evidence thread whenever it is ready and becomes a revision of its own: `opened` never waits for it.
//!
//! A sensor has no picture: when its incident opens, the cameras are asked to look at the same grid ([`Look`]).

mod ids;
pub mod verify;

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use snowgate_core::{
    calendar::Calendar,
    geometry::{Polygon, Rect},
    ids::{Id, IncidentId},
    incidents::{
        Book, CameraSource, Incident, Locale, Place, SensorSource, Source,
        command::CommandId,
        event::{EventKind, Gateway, Revision},
        verify::Verification,
    },
    rules::{Change, Finding},
    sensor::{reading::Reading, rules::Alarm},
    time::{Clock, Mono},
};

use self::{
    ids::RandomIds,
    verify::{LookAgain, Looked},
};
use crate::{
    camera::picture::Picture,
    events::{incident as events, sensor::TelemetryLost},
    evidence::{
        still::{Outline, StillRequest},
        worker::{StillQueue, StillReady},
    },
    health::{Health, Part},
    shutdown::Shutdown,
    store::{Class, Commit, IncidentRecord, Message, Store, StoreError},
    uplink::Topics,
};

/// Findings on their way; the next one waits when so many do.
const QUEUED_FINDINGS: usize = 256;

/// How long a full disk is left alone before the next try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A rule of a camera, with everything its incidents carry.
#[derive(Debug)]
pub struct WatchedRule {
    /// What goes into its incidents.
    pub source: Source<CameraSource>,
    /// Its zone or line, drawn into stills.
    pub outline: Outline,
    /// What nobody may see.
    pub masks: Arc<[Polygon]>,
}

/// A finding on its way to the book.
pub struct Found {
    /// The rule that found it.
    pub rule: Arc<WatchedRule>,
    /// What it found.
    pub finding: Finding,
    /// Arrival of the picture that completed the condition, if a picture did.
    pub arrived: Option<Mono>,
    /// That picture, where a still is wanted.
    pub sight: Option<Sight>,
}

/// A picture for a still.
pub struct Sight {
    /// The picture.
    pub picture: Arc<Picture>,
    /// Every person followed in it.
    pub people: Vec<Rect>,
}

/// An alarm on its way to the book.
pub struct Alarmed {
    /// The rule that tells it.
    pub source: Arc<Source<SensorSource>>,
    /// What it tells.
    pub alarm: Alarm,
    /// The last readings of the rule's quantity, the oldest first.
    pub readings: Vec<Reading>,
}

/// The wish for a still of a place where a sensor's incident has opened, or is looked at again.
#[derive(Debug, Clone)]
pub struct Look {
    /// The incident.
    pub incident: IncidentId,
    /// The command of the verification that looks again, if one does.
    pub verification: Option<CommandId>,
    /// Its grid.
    pub grid: String,
    /// Where the sensor stands.
    pub place: Option<Place>,
}

/// What the reporting thread takes in.
pub enum Item {
    /// A camera's rule found something.
    Found(Box<Found>),
    /// A sensor's rule has something to tell.
    Alarmed(Box<Alarmed>),
    /// Readings that are to be published: each sensor's message.
    Telemetry(Vec<(Id, Vec<u8>)>),
    /// A still is ready.
    Still(Box<StillReady>),
    /// The box has looked again.
    Looked(Box<Looked>),
}

/// Where the reporting thread asks for stills.
pub type StillRequests = StillQueue<Arc<Picture>>;

/// The queue to the reporting thread. Policy `block`: who sends waits.
pub type Items = Sender<Item>;

/// A queue to the reporting thread and its other end.
pub fn queue() -> (Items, Receiver<Item>) {
    crossbeam_channel::bounded(QUEUED_FINDINGS)
}

/// What the reporting thread works with.
pub struct Reporting {
    /// Language of titles.
    pub locale: Locale,
    /// Who we are.
    pub gateway: Gateway,
    /// Digest of the configuration in force.
    pub config_digest: String,
    /// When people work.
    pub calendar: Arc<Calendar>,
    /// Where revisions are kept.
    pub store: Store,
    /// Who makes stills; none where stills are off.
    pub stills: Option<StillRequests>,
    /// Who looks at the place of a sensor's incident; none where stills are off or there are no cameras. Policy
    /// `refuse_newest`: an incident that finds it full goes without a still.
    pub looks: Option<Sender<Look>>,
    /// Who looks again at what a rule watches. Policy `refuse_newest`.
    pub look_again: Sender<LookAgain>,
    /// Whom to tell when the outbox cannot be written.
    pub health: Arc<Health>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to stop waiting for a full disk.
    pub shutdown: Shutdown,
}

impl Reporting {
    /// Ends what an earlier run left open, then serves the queue until every sender is gone.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(self, items: Receiver<Item>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("reporting".to_owned()).spawn(move || Reporter::new(self).serve(&items))
    }
}

struct Reporter {
    book: Book<RandomIds>,
    topics: Topics,
    with: Reporting,
}

impl Reporter {
    fn new(with: Reporting) -> Self {
        let boot = with.clock.boot_id().clone();
        let book = Book::new(with.locale, boot, with.config_digest.clone(), Arc::clone(&with.calendar), RandomIds);
        Self { book, topics: Topics::new(&with.gateway.id), with }
    }

    fn serve(&mut self, items: &Receiver<Item>) {
        self.end_left_open();
        for item in items {
            match item {
                Item::Found(found) => self.found(*found),
                Item::Alarmed(alarmed) => self.alarmed(&alarmed),
                Item::Telemetry(batches) => self.telemetry(batches),
                Item::Still(still) => self.still_ready(*still),
                Item::Looked(looked) => self.looked(*looked),
            }
        }
    }

    fn end_left_open(&mut self) {
        let left_open = match self.with.store.active_incidents() {
            Ok(records) => records,
            Err(error) => return events::Unreadable { incident: "left open by an earlier run", error: &error }.emit(),
        };
        for record in left_open {
            if let Some(incident) = parse(&record) {
                let revision = self.book.end_left_open(incident, &*self.with.clock);
                self.announce(&revision, None, None);
            }
        }
    }

    fn found(&mut self, found: Found) {
        let Found { rule, finding, arrived, sight } = found;
        let Some(revision) = self.book.found(&rule.source, &finding, &*self.with.clock) else { return };
        let origin = arrived.filter(|_| finding.change == Change::Began);
        if !self.announce(&revision, origin, None) {
            return;
        }
        if let (EventKind::Opened, Some(sight), Some(stills)) = (revision.kind, sight, &self.with.stills) {
            stills.request(StillRequest {
                incident: revision.incident.id,
                verification: None,
                camera: rule.source.of.camera.clone(),
                taken: revision.incident.opened,
                picture: sight.picture,
                subjects: finding.subjects,
                people: sight.people,
                outline: Some(rule.outline.clone()),
                masks: Arc::clone(&rule.masks),
            });
        }
    }

    fn alarmed(&mut self, alarmed: &Alarmed) {
        let Alarmed { source, alarm, readings } = alarmed;
        let Some(revision) = self.book.alarmed(source, alarm, readings, &*self.with.clock) else { return };
        if !self.announce(&revision, None, None) {
            return;
        }
        if let (EventKind::Opened, Some(looks)) = (revision.kind, &self.with.looks) {
            let Incident { id: incident, target, place, .. } = revision.incident;
            // Nobody waits for a picture; that there is none is seen in the incident.
            let _ = looks.try_send(Look { incident, verification: None, grid: target.grid, place });
        }
    }

    /// Puts readings on their way. They are the first to give way: what cannot be stored now is dropped.
    fn telemetry(&self, batches: Vec<(Id, Vec<u8>)>) {
        let count = batches.len();
        let message = |(sensor, payload): (Id, Vec<u8>)| Message {
            class: Class::Telemetry,
            lane: None,
            topic: self.topics.telemetry(&sensor),
            payload,
            retain: false,
            origin: None,
        };
        let messages: Vec<Message> = batches.into_iter().map(message).collect();
        let result = self.with.store.commit(|_| Commit { incidents: Vec::new(), messages: messages.clone() });
        if let Err(error) = result {
            TelemetryLost { batches: count, error: &error }.emit();
        }
    }

    fn still_ready(&mut self, ready: StillReady) {
        let id = ready.incident.to_string();
        let incident = match self.with.store.incident(&id) {
            Ok(Some(record)) => parse(&record),
            Ok(None) => None,
            Err(error) => return events::Unreadable { incident: &id, error: &error }.emit(),
        };
        // An incident that has been forgotten for space needs no picture either.
        let Some(incident) = incident else { return };
        let picture = Message {
            class: Class::Evidence,
            lane: Some(id),
            topic: self.topics.evidence(ready.incident, &ready.evidence.name),
            payload: ready.still.jpeg,
            retain: false,
            origin: None,
        };
        let revision = self.book.add_evidence(incident, ready.evidence);
        self.announce(&revision, None, Some(picture));
    }

    fn looked(&mut self, looked: Looked) {
        let Looked { command, seen, from, until, still } = looked;
        let id = command.incident.to_string();
        let incident = match self.with.store.incident(&id) {
            Ok(Some(record)) => parse(&record),
            Ok(None) => None,
            Err(error) => return events::Unreadable { incident: &id, error: &error }.emit(),
        };
        let Some(mut incident) = incident else { return };
        let mut verification = Verification::looked(&command, seen, from, until, self.with.clock.boot_id().clone());
        let picture = still.map(|still| {
            verification.still = Some(still.evidence.name.clone());
            let topic = self.topics.evidence(still.incident, &still.evidence.name);
            incident.evidence.push(still.evidence);
            let (class, lane, payload) = (Class::Evidence, Some(id), still.still.jpeg);
            Message { class, lane, topic, payload, retain: false, origin: None }
        });
        let revision = self.book.verified(incident, verification);
        if self.announce(&revision, None, picture) {
            self.book.committed(&revision.incident);
        }
    }

    /// Puts a revision and its messages on disk; waits out a full disk. Answers whether it is there.
    fn announce(&self, revision: &Revision, origin: Option<Mono>, picture: Option<Message>) -> bool {
        let Reporting { gateway, store, clock, health, shutdown, .. } = &self.with;
        let incident = &revision.incident;
        let record = IncidentRecord {
            id: incident.id.to_string(),
            revision: incident.revision,
            scene_active: incident.ended.is_none(),
            // A struct of plain fields always serialises; an empty record would be seen at once by the store's reader.
            json: serde_json::to_vec(incident).unwrap_or_default(),
        };
        let event = |sequence| Message {
            class: Class::Incident,
            lane: Some(record.id.clone()),
            topic: self.topics.incident(&incident.target.level, &incident.target.level_grid),
            payload: revision.to_json(gateway, sequence, clock.now()),
            retain: false,
            origin,
        };
        loop {
            let result = store.commit(|sequence| Commit {
                incidents: vec![record.clone()],
                messages: picture.clone().into_iter().chain([event(sequence.next())]).collect(),
            });
            match result {
                Ok(_) => {
                    health.set(Part::Outbox, Ok(()));
                    events::Announced { revision }.emit();
                    return true;
                }
                Err(error) => {
                    events::NotStored { incident: &record.id, reason: error.kind(), error: &error }.emit();
                    if !matters_only_now(&error) {
                        return false;
                    }
                    health.set(Part::Outbox, Err(error.to_string()));
                    if shutdown.wait_for(RETRY_AFTER) {
                        return false;
                    }
                }
            }
        }
    }
}

/// Whether the same commit may succeed later on.
fn matters_only_now(error: &StoreError) -> bool {
    matches!(error, StoreError::DiskFull(_) | StoreError::Sqlite(_))
}

fn parse(record: &IncidentRecord) -> Option<Incident> {
    serde_json::from_slice(&record.json)
        .inspect_err(|error| events::Unreadable { incident: &record.id, error }.emit())
        .ok()
}

/// The people among a camera's tracks: their heads are covered in stills.
pub fn people(tracks: &[snowgate_core::observation::Track]) -> Vec<Rect> {
    tracks.iter().filter(|track| track.label.is_person()).map(|track| track.rect).collect()
}

/// The rule of this id.
pub fn rule_of<'a>(rules: &'a [Arc<WatchedRule>], id: &Id) -> Option<&'a Arc<WatchedRule>> {
    rules.iter().find(|rule| rule.source.rule == *id)
}
