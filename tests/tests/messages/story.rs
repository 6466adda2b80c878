//! A gateway without cameras and a grid system without people: the code that decides what is said runs, and what it says is
//! written down.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;
use snowgate::{messages::Example, uplink::Topics};
use snowgate_core::{
    calendar::Calendar,
    ids::{CountedIds, IncidentId},
    incidents::{
        Book, Evidence, Incident, LightTimer, Locale,
        command::read,
        disposition::{self, Disposition, RememberedDisposition},
        event::{Gateway, Revision},
        summary::{DailySummary, Told},
        verify::{self, Look, RememberedVerify, Verification, Verify, VerifyLimits},
    },
    spec::all_defaults,
    time::{Clock, ManualClock, Moment},
};
use snowgate_tests::contract::{channel_of, check};

/// The day it is.
pub const DATE: &str = "2026-03-02";

/// What has happened and been said so far.
pub struct Story {
    pub clock: ManualClock,
    pub gateway: Gateway,
    pub topics: Topics,
    pub book: Book<CountedIds>,
    pub said: Vec<Example>,
    calendar: Arc<Calendar>,
    stored: HashMap<IncidentId, Incident>,
    lights: LightTimer,
    looks: VerifyLimits,
    dispositions: HashMap<String, RememberedDisposition>,
    verifications: HashMap<String, RememberedVerify>,
    sequence: u64,
    summary: DailySummary,
}

impl Story {
    /// In the morning: nothing has happened yet.
    pub fn begin() -> Self {
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
        let gateway = Gateway { id: "qinglong-01".parse().unwrap(), time_zone: zone.clone() };
        let clock = ManualClock::new("5b1f3c52-8f5e-4f0a-9c3e-2a6d1a7c9e10", moment("07:00:00"));
        let calendar = Arc::new(Calendar::new(&all_defaults(), zone).unwrap());
        let digest = "6f0f3c6a1b7d";
        let boot = clock.boot_id().clone();
        Self {
            topics: Topics::new(&gateway.id),
            book: Book::new(Locale::En, boot, digest.to_owned(), calendar.clone(), CountedIds::default()),
            said: Vec::new(),
            stored: HashMap::new(),
            lights: LightTimer::default(),
            looks: VerifyLimits::new(&all_defaults()),
            dispositions: HashMap::new(),
            verifications: HashMap::new(),
            sequence: 4710,
            summary: DailySummary::new(gateway.id.clone(), DATE.parse().unwrap()),
            calendar,
            clock,
            gateway,
        }
    }

    /// It becomes so late.
    pub fn at(&self, time: &str) {
        let passed = moment(time).duration_since(self.clock.now().wall);
        assert!(!passed.is_negative(), "{time} is over");
        self.clock.advance(passed.unsigned_abs());
    }

    /// The newest revision of an incident.
    pub fn stored(&self, incident: IncidentId) -> Incident {
        self.stored[&incident].clone()
    }

    /// Something is said; it must be as the schemas say.
    pub fn say(&mut self, topic: String, payload: &[u8]) {
        check(&topic, payload).unwrap_or_else(|violation| panic!("{violation}"));
        let payload: Value = serde_json::from_slice(payload).unwrap();
        let (channel, _) = channel_of(&topic).unwrap();
        let is_of = |event: &str| payload["type"] == event;
        let kind =
            channel.messages.iter().find(|kind| kind.event.is_none_or(|event| is_of(event.event_type()))).unwrap();
        self.said.push(Example { message: kind.name.to_owned(), topic, payload });
    }

    /// A revision is stored and announced.
    pub fn announce(&mut self, revision: &Revision) -> IncidentId {
        let incident = &revision.incident;
        let light_before = self.stored.get(&incident.id).and_then(|stored| Some(stored.deadline.as_ref()?.light()));
        self.sequence += 1;
        self.summary.take(Told { sequence: self.sequence, revision, light_before });
        self.book.committed(incident);
        self.stored.insert(incident.id, incident.clone());
        self.lights.plan(incident, &self.calendar, self.clock.boot_id());
        // A commit takes a while.
        self.clock.advance(Duration::from_millis(38));
        let payload = revision.to_json(&self.gateway, self.sequence, self.clock.now());
        self.say(self.topics.incident(&incident.target.level, &incident.target.level_grid), &payload);
        incident.id
    }

    /// A still is added.
    pub fn add_still(&mut self, incident: IncidentId, evidence: Evidence) {
        let revision = self.book.add_evidence(self.stored(incident), evidence);
        self.announce(&revision);
    }

    /// It becomes as late as the next light is due, and it is turned.
    pub fn light_turns(&mut self) {
        let turns = |incident: &Incident| incident.deadline.as_ref()?.next_turn(&self.calendar);
        let due = self.stored.values().filter_map(turns).min().unwrap();
        self.clock.advance(due.duration_since(self.clock.now().wall).unsigned_abs());
        for incident in self.lights.take_due(self.clock.now(), 10) {
            if let Some(revision) = self.book.refresh(self.stored(incident), &self.clock) {
                self.announce(&revision);
            }
        }
    }

    fn command(&mut self, name: &str, payload: &Value) -> Vec<u8> {
        let payload = serde_json::to_vec(payload).unwrap();
        self.say(format!("{}/cmd/{name}", self.topics.root()), &payload);
        payload
    }

    fn answer(&mut self, name: &str, answer: &impl serde::Serialize) {
        self.say(format!("{}/cmd-ack/{name}", self.topics.root()), &serde_json::to_vec(answer).unwrap());
    }

    /// The grid system says what people have done.
    pub fn dispose(&mut self, command: &Value) {
        let payload = self.command("disposition", command);
        let command = match read::<Disposition>(&payload) {
            Ok(command) => command,
            Err(malformed) => return self.answer("disposition", &disposition::answer_malformed(malformed)),
        };
        let stored = self.stored.get(&command.incident).cloned();
        let remembered = self.dispositions.get(command.id.as_str());
        let decision = self.book.dispose(&command, remembered, stored, &self.clock);
        if let Some(remember) = decision.remember {
            self.dispositions.insert(command.id.to_string(), remember);
        }
        self.answer("disposition", &decision.answer);
        if let Some(revision) = decision.revision {
            self.announce(&revision);
        }
    }

    /// The grid system asks the box to look again. Answers the command if it does.
    pub fn verify(&mut self, command: &Value) -> Option<Verify> {
        let payload = self.command("verify", command);
        let command: Verify = read(&payload).unwrap();
        let remembered = self.verifications.get(command.id.as_str());
        let stored = self.stored.get(&command.incident);
        let admission = verify::admit(&command, remembered, stored, &mut self.looks, self.clock.now());
        if let Some(remember) = admission.remember {
            self.verifications.insert(command.id.to_string(), remember);
        }
        self.answer("verify", &admission.answer);
        admission.look.then_some(command)
    }

    /// The box looks twice a second, and sees nothing that the rule is about.
    pub fn look(&mut self, command: &Verify, still: Evidence) {
        let (from, half_a_second) = (self.clock.now(), Duration::from_millis(500));
        let mut look = Look::new(from.mono, command.for_seconds, Duration::from_secs(2));
        while self.clock.mono() < look.until() {
            self.clock.advance(half_a_second);
            look.observe(self.clock.mono(), false);
        }
        let (until, boot) = (self.clock.now(), self.clock.boot_id().clone());
        let looked = Verification::looked(command, look.seen(), from, until, boot);
        let verification = Verification { still: Some(still.name.clone()), ..looked };
        let outcome = verification.outcome;
        let incident = self.stored(command.incident);
        let revision = self.book.verified(incident, verification, Some(still));
        let remember = verify::finished(command.clone(), outcome, revision.incident.revision);
        self.verifications.insert(command.id.to_string(), remember);
        self.announce(&revision);
    }

    /// What the day has brought so far.
    pub fn summary(&mut self) -> &mut DailySummary {
        &mut self.summary
    }
}

/// A time of the day.
pub fn moment(time: &str) -> jiff::Timestamp {
    format!("{DATE}T{time}+08:00").parse().unwrap()
}

/// A still that was taken then; its digest is that of its name.
pub fn still(name: &str, camera: &str, taken: Moment) -> Evidence {
    use sha2::{Digest, Sha256};
    use snowgate_core::hex::hex;

    Evidence {
        name: name.to_owned(),
        camera: Some(camera.parse().unwrap()),
        media_type: "image/jpeg".to_owned(),
        sha256: hex(Sha256::digest(name)),
        bytes: 58_211,
        taken,
        duration_ms: None,
        sealed: None,
    }
}
