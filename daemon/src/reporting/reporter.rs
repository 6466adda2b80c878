//! The reporting thread.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, never, select_biased};
use snowgate_core::{
    ids::IncidentId,
    incidents::{
        Book, Deadline, Evidence, Incident, Light,
        event::{EventKind, Revision},
        summary::Told,
        verify::VerifyLimits,
    },
    joined::Device,
    rate::TokenBucket,
    rules,
    time::Mono,
};

use super::{
    Alarmed, Configured, Found, Item, Look, Reporting, day::Day, ids::RandomIds, joined::Heard, upkeep::Upkeep,
};
use crate::{
    events::{incident as events, sensor::TelemetryLost},
    evidence::{
        files::{DeletedFile, DeletionReport},
        provenance::Provenance,
        worker::StillReady,
    },
    health::Part,
    store::{Class, CommandRecord, Commit, IncidentRecord, Message, Store, StoreError},
    uplink::Topics,
};

/// How long a full disk is left alone before the next try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long what time brings about waits for a moment without findings and commands.
const OVERDUE: Duration = Duration::from_secs(1);

/// Answers to what is no command: so many at once, then one every so often. The rest is only counted, so that rubbish
/// costs no disk.
const MALFORMED_ANSWERS: (u32, Duration) = (100, Duration::from_millis(100));

pub(super) struct Reporter {
    pub(super) book: Book<RandomIds>,
    pub(super) topics: Topics,
    pub(super) day: Day,
    pub(super) upkeep: Upkeep,
    pub(super) verify_limits: VerifyLimits,
    pub(super) malformed_answers: TokenBucket,
    pub(super) with: Reporting,
}

/// The daemon stops: what cannot be done now is not done any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopping;

/// What is to be on disk together.
#[derive(Default)]
pub(super) struct Change {
    /// A revision of an incident, and the light at the one before it; none of the first.
    pub(super) revision: Option<(Revision, Option<Light>)>,
    /// Arrival of the picture that opened it.
    pub(super) origin: Option<Mono>,
    /// A picture that goes before it.
    pub(super) picture: Option<Message>,
    /// The command that made it, with its answer, as they are remembered.
    pub(super) command: Option<CommandRecord>,
    /// What leaves beside: answers, a summary.
    pub(super) messages: Vec<Message>,
    /// The day that begins, when one is over.
    pub(super) day: Option<Day>,
}

impl Reporter {
    pub(super) fn new(with: Reporting) -> Self {
        let boot = with.clock.boot_id().clone();
        let book = Book::new(with.locale, boot, with.config_digest.clone(), Arc::clone(&with.calendar), RandomIds);
        Self {
            book,
            topics: Topics::new(&with.gateway.id),
            day: Day::begin(&with),
            upkeep: Upkeep::default(),
            verify_limits: VerifyLimits::new(&with.verify),
            malformed_answers: TokenBucket::new(MALFORMED_ANSWERS.0, MALFORMED_ANSWERS.1),
            with,
        }
    }

    pub(super) fn serve(mut self, items: &Receiver<Item>) {
        self.take_over();
        let mut commands = self.with.commands.clone();
        let mut due = Mono(0);
        loop {
            // Findings before commands, commands before everything that can wait.
            select_biased! {
                recv(items) -> item => match item {
                    Ok(item) => self.take(item),
                    Err(_) => return,
                },
                recv(commands) -> command => match command {
                    Ok(command) => self.obey(command),
                    Err(_) => commands = never(),
                },
                default(due.since(self.with.clock.mono())) => due = self.look_after(),
            }
            // Which waits for a second at the most.
            if self.with.clock.mono().since(due) >= OVERDUE {
                due = self.look_after();
            }
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Found(found) => self.found(*found),
            Item::Alarmed(alarmed) => self.alarmed(&alarmed),
            Item::Telemetry(batches) => self.telemetry(batches),
            Item::Still(still) => {
                let StillReady { incident, evidence, still, .. } = *still;
                self.evidence_ready(incident, evidence, Some(still.jpeg));
            }
            Item::Clip(clip) => self.evidence_ready(clip.incident, clip.evidence, None),
            Item::Looked(looked) => self.looked(*looked),
            Item::Deleted(files) => self.evidence_deleted(files),
            Item::Configured(configured) => self.configured(*configured),
        }
    }

    /// What is open stays as it was opened, but for the days that count.
    fn configured(&mut self, configured: Configured) {
        let Configured { digest, calendar, joined } = configured;
        if calendar != self.with.calendar {
            self.with.calendar = Arc::clone(&calendar);
            self.upkeep.plan_anew();
        }
        self.book.configure(digest, calendar);
        self.replace_joined(joined);
    }

    fn found(&mut self, found: Found) {
        let Found { rule, finding, arrived, sight } = found;
        let Some(revision) = self.book.found(&rule.source, &finding, &*self.with.clock) else {
            return self.tell_passed_over();
        };
        let (kind, incident, opened) = (revision.kind, revision.incident.id, revision.incident.opened);
        let of = Arc::new(Provenance::of(&revision.incident));
        let began = revision.incident.began.mono;
        let ended = revision.incident.ended.as_ref().map(|ending| ending.at.mono);
        let origin = arrived.filter(|_| finding.change == rules::Change::Began);
        let on_disk = self.commit(Change { revision: Some(as_found(revision)), origin, ..Change::default() });
        let heard = Heard {
            device: Device::Camera(rule.source.of.camera.clone()),
            rule: &finding.rule,
            episode: finding.episode,
            change: finding.change,
            at: finding.at,
            incident,
        };
        self.join(heard, on_disk);
        if !on_disk {
            return;
        }
        if kind == EventKind::Opened {
            self.with.clips.opened(rule.clip(Arc::clone(&of), began, opened.mono));
        }
        if let Some(ended) = ended {
            self.with.clips.ended(incident, ended);
        }
        if let (EventKind::Opened, Some(sight), Some(stills)) = (kind, sight, &self.with.stills) {
            stills.request(rule.still(of, opened, finding.subjects, sight));
        }
    }

    fn alarmed(&mut self, alarmed: &Alarmed) {
        let Alarmed { source, alarm, readings } = alarmed;
        let Some(revision) = self.book.alarmed(source, alarm, readings, &*self.with.clock) else {
            return self.tell_passed_over();
        };
        let (kind, incident) = (revision.kind, revision.incident.id);
        let of = Provenance::of(&revision.incident);
        let on_disk = self.commit(Change { revision: Some(as_found(revision)), ..Change::default() });
        let heard = Heard {
            device: Device::Sensor(source.of.sensor.clone()),
            rule: &alarm.rule,
            episode: alarm.episode,
            change: alarm.change,
            at: alarm.at,
            incident,
        };
        self.join(heard, on_disk);
        if on_disk && kind == EventKind::Opened {
            let (grid, place, priority) = (source.target.grid.clone(), source.place.clone(), source.priority);
            self.look_at(Look { of: Arc::new(of), verification: None, priority, grid, place });
        }
    }

    /// What opened no incident since its rule is quiet is told all the same.
    pub(super) fn tell_passed_over(&mut self) {
        if let Some((kind, source, rule)) = self.book.take_passed_over() {
            events::PassedOver { kind, source: source.as_str(), rule: rule.as_str() }.emit();
        }
    }

    /// Asks the cameras to look at a place, where there are any.
    pub(super) fn look_at(&self, look: Look) {
        if let Some(looks) = &self.with.looks {
            // Nobody waits for a picture; that there is none is seen in the incident.
            let _ = looks.try_send(look);
        }
    }

    /// Puts readings on their way. They are the first to give way: what cannot be stored now is dropped.
    fn telemetry(&self, batches: Vec<(snowgate_core::ids::Id, Vec<u8>)>) {
        let count = batches.len();
        let message = |(sensor, payload)| message(Class::Telemetry, self.topics.telemetry(&sensor), payload);
        let messages: Vec<Message> = batches.into_iter().map(message).collect();
        let result = self.with.store.commit(|_| Commit { messages: messages.clone(), ..Commit::default() });
        if let Err(error) = result {
            TelemetryLost { batches: count, error: &error }.emit();
        }
    }

    /// What lies on disk is told with the incident's next revision; a picture leaves with it.
    fn evidence_ready(&mut self, incident: IncidentId, evidence: Evidence, jpeg: Option<Vec<u8>>) {
        // An incident that has been forgotten for space needs no picture either.
        let Ok(Some(stored)) = self.stored(incident) else { return };
        let light = light(&stored);
        let picture = jpeg.map(|jpeg| self.picture(incident, &evidence.name, jpeg));
        let revision = Some((self.book.add_evidence(stored, evidence), light));
        self.commit(Change { revision, picture, ..Change::default() });
    }

    /// Tells that evidence was deleted.
    fn evidence_deleted(&mut self, files: Vec<DeletedFile>) {
        let report = DeletionReport { gateway: self.with.gateway.id.clone(), files };
        // A struct of plain fields always serialises.
        let report = serde_json::to_vec(&report).unwrap_or_default();
        let messages = vec![message(Class::Summary, self.topics.evidence_deleted(), report)];
        self.commit(Change { messages, ..Change::default() });
    }

    /// The message that carries a picture of an incident.
    pub(super) fn picture(&self, incident: IncidentId, name: &str, jpeg: Vec<u8>) -> Message {
        let lane = Some(incident.to_string());
        Message { lane, ..message(Class::Evidence, self.topics.evidence(incident, name), jpeg) }
    }

    /// The newest revision of an incident on disk; none if it has been forgotten. Waits out a store that cannot be read: what
    /// is not known must not be taken for forgotten.
    ///
    /// # Errors
    /// The daemon stops.
    pub(super) fn stored(&self, incident: IncidentId) -> Result<Option<Incident>, Stopping> {
        let id = incident.to_string();
        let record = self.read(&id, |store| store.incident(&id))?;
        Ok(record.as_ref().and_then(parse))
    }

    /// Reads from the store until it can be read; `what` is said where it cannot.
    ///
    /// # Errors
    /// The daemon stops.
    pub(super) fn read<T>(&self, what: &str, read: impl Fn(&Store) -> Result<T, StoreError>) -> Result<T, Stopping> {
        let mut failed = false;
        loop {
            match read(&self.with.store) {
                Ok(found) => {
                    if failed {
                        self.with.health.set(Part::Outbox, Ok(()));
                    }
                    return Ok(found);
                }
                Err(error) => {
                    failed = true;
                    events::Unreadable { incident: what, error: &error }.emit();
                    self.wait_for_store(&error)?;
                }
            }
        }
    }

    /// Waits a while for a store that fails.
    ///
    /// # Errors
    /// The daemon stops.
    fn wait_for_store(&self, error: &StoreError) -> Result<(), Stopping> {
        self.with.health.set(Part::Outbox, Err(error.to_string()));
        if self.with.shutdown.wait_for(RETRY_AFTER) { Err(Stopping) } else { Ok(()) }
    }

    /// Puts a change on disk; waits out a full disk, and keeps what it has while the daemon still has to notice that the store
    /// has stopped. Answers whether it is there.
    pub(super) fn commit(&mut self, change: Change) -> bool {
        let Change { revision, origin, picture, command, messages, day: begun } = change;
        let record = revision.as_ref().map(|(revision, _)| record(&revision.incident));
        let name = revision.as_ref().map(|(revision, _)| revision.incident.id.to_string()).unwrap_or_default();
        loop {
            let Self { day, topics, with, .. } = &*self;
            let mut counted = begun.clone();
            let result = with.store.commit(|sequence| {
                let mut leaving: Vec<Message> = picture.clone().into_iter().collect();
                if let Some((revision, light_before)) = &revision {
                    let sequence = sequence.next();
                    let incident = &revision.incident;
                    leaving.push(Message {
                        lane: Some(name.clone()),
                        origin,
                        ..message(
                            Class::Incident,
                            topics.incident(&incident.target.level, &incident.target.level_grid),
                            revision.to_json(&with.gateway, sequence, with.clock.now()),
                        )
                    });
                    counted = Some(day.counting(Told { sequence, revision, light_before: *light_before }));
                }
                leaving.extend(messages.iter().cloned());
                Commit {
                    incidents: record.clone().into_iter().collect(),
                    messages: leaving,
                    commands: command.clone().into_iter().collect(),
                    day: counted.as_ref().map(Day::to_json),
                }
            });
            match result {
                Ok(_) => {
                    with.health.set(Part::Outbox, Ok(()));
                    if let Some(counted) = counted {
                        self.day = counted;
                    }
                    if let Some((revision, _)) = &revision {
                        self.committed(revision);
                    }
                    return true;
                }
                Err(error) => {
                    events::NotStored { incident: &name, reason: error.kind(), error: &error }.emit();
                    if is_about_the_change(&error) || self.wait_for_store(&error).is_err() {
                        return false;
                    }
                }
            }
        }
    }

    /// A revision is on disk.
    fn committed(&mut self, revision: &Revision) {
        self.book.committed(&revision.incident);
        self.upkeep.plan(&revision.incident, &self.with);
        events::Announced { revision }.emit();
    }
}

/// A revision that comes from what was found: no light has changed since the one before.
pub(super) fn as_found(revision: Revision) -> (Revision, Option<Light>) {
    let light = match revision.kind {
        EventKind::Opened => None,
        _ => light(&revision.incident),
    };
    (revision, light)
}

/// The incident's light; none without a time limit.
pub(super) fn light(incident: &Incident) -> Option<Light> {
    incident.deadline.as_ref().map(Deadline::light)
}

/// A message that is not retained and belongs to no lane.
pub(super) fn message(class: Class, topic: String, payload: Vec<u8>) -> Message {
    Message { class, lane: None, topic, payload, retain: false, origin: None }
}

fn record(incident: &Incident) -> IncidentRecord {
    IncidentRecord {
        id: incident.id.to_string(),
        revision: incident.revision,
        scene_active: incident.ended.is_none(),
        finished: incident.handling.is_finished(),
        // A struct of plain fields always serialises; an empty record would be seen at once by the store's reader.
        json: serde_json::to_vec(incident).unwrap_or_default(),
    }
}

/// Whether the same commit will never succeed, whatever becomes of the store.
fn is_about_the_change(error: &StoreError) -> bool {
    matches!(error, StoreError::Oversize { .. } | StoreError::Topic { .. } | StoreError::StaleRevision { .. })
}

pub(super) fn parse(record: &IncidentRecord) -> Option<Incident> {
    serde_json::from_slice(&record.json)
        .inspect_err(|error| events::Unreadable { incident: &record.id, error }.emit())
        .ok()
}
