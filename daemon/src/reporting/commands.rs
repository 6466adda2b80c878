//! What the grid system commands: dispositions, and to look again.
//!
//! A command is acknowledged to the broker only after what it changed, and its answer, are on disk. One that could not be
//! stored is not acknowledged: the broker sends it again on the next connection.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use snowgate_core::{
    ids::Id,
    incidents::{
        Evidence, Incident, Origin,
        command::{self, CommandId, Malformed, UnknownCommandAnswer},
        disposition::{self, Disposition, DispositionAnswer, RememberedDisposition},
        verify::{self, RememberedVerify, Seen, Verification, Verify, VerifyAnswer},
    },
    time::Stamp,
};

use super::{
    reporter::{Change, Reporter, light, message},
    verify::{Finder, LookAgain, Looked},
};
use crate::{
    events::command as events,
    evidence::{
        access_log::{Access, Action},
        provenance::Provenance,
    },
    store::{Class, CommandRecord, Message},
    uplink::Command,
};

/// The names of commands.
const DISPOSITION: &str = "disposition";
const VERIFY: &str = "verify";

impl Reporter {
    /// Carries a command out.
    pub(super) fn obey(&mut self, command: Command) {
        let Command { name, payload, receipt } = command;
        let done = match name.as_str() {
            DISPOSITION => match payload.and_then(|payload| command::read(&payload)) {
                Ok(command) => self.disposition(&command),
                Err(malformed) => self.refuse_malformed(DISPOSITION, malformed, disposition::answer_malformed),
            },
            VERIFY => match payload.and_then(|payload| command::read(&payload)) {
                Ok(command) => self.verify(&command),
                Err(malformed) => self.refuse_malformed(VERIFY, malformed, verify::answer_malformed),
            },
            unknown => {
                let id = payload.ok().and_then(|payload| command::read_id(&payload));
                self.refuse_unknown(unknown, id)
            }
        };
        if done {
            receipt.settle();
        }
    }

    fn disposition(&mut self, command: &Disposition) -> bool {
        let Some(remembered) = self.remembered::<RememberedDisposition>(DISPOSITION, &command.id) else { return false };
        let Ok(stored) = self.stored(command.incident) else { return false };
        let light_before = stored.as_ref().and_then(light);
        let decision = self.book.dispose(command, remembered.as_ref(), stored, &*self.with.clock);
        let rule = decision.revision.as_ref().map(|revision| revision.incident.rule.clone());
        let DispositionAnswer { result, reason, .. } = &decision.answer;
        let told = events::Disposed {
            incident: command.incident,
            stage: command.stage,
            by: command.by.as_str(),
            rule: rule.as_ref().map(Id::as_str),
            result: *result,
            reason: *reason,
        };
        let remember = decision.remember.as_ref();
        let command = remember.map(|it| record(DISPOSITION, &it.command.id, it.command.expires, false, it));
        let messages = vec![self.answer(DISPOSITION, &decision.answer)];
        let revision = decision.revision.map(|revision| (revision, light_before));
        let stored = self.commit(Change { revision, command, messages, ..Change::default() });
        if stored {
            told.emit();
        }
        stored
    }

    fn verify(&mut self, command: &Verify) -> bool {
        let Some(remembered) = self.remembered::<RememberedVerify>(VERIFY, &command.id) else { return false };
        let Ok(stored) = self.stored(command.incident) else { return false };
        let now = self.with.clock.now();
        let limits = self.verify_limits.clone();
        let admission = verify::admit(command, remembered.as_ref(), stored.as_ref(), &mut self.verify_limits, now);
        // Who has asked is on disk before anybody looks. That somebody was refused is worth a line, but no harm is done without.
        if remembered.is_none() && !self.log_access(command, &admission.answer) && admission.look {
            self.verify_limits = limits;
            return false;
        }
        let remember = admission.remember.as_ref();
        let change = Change {
            command: remember.map(|it| record(VERIFY, &command.id, command.expires, admission.look, it)),
            messages: vec![self.answer(VERIFY, &admission.answer)],
            ..Change::default()
        };
        if !self.commit(change) {
            return false;
        }
        events::VerifyAnswered { by: command.by.as_str(), answer: &admission.answer }.emit();
        if let (true, Some(incident)) = (admission.look, stored) {
            self.look_again(command, &incident);
        }
        true
    }

    fn look_again(&mut self, command: &Verify, incident: &Incident) {
        let by = match &incident.origin {
            Origin::Camera(seen) => Some(Finder::Camera(seen.camera.clone())),
            Origin::Sensor(told) => Some(Finder::Sensor(told.sensor.clone())),
            // It is asked of the incidents that are joined: there is nothing else to be seen.
            Origin::Joined { .. } => None,
        };
        let wish = by.map(|by| LookAgain {
            command: command.clone(),
            of: Arc::new(Provenance::of(incident)),
            by,
            rule: incident.rule.clone(),
            grid: incident.target.grid.clone(),
            place: incident.place.clone(),
        });
        if wish.is_none_or(|wish| self.with.look_again.try_send(wish).is_err()) {
            let now = self.with.clock.now();
            let command = command.clone();
            self.looked(Looked { command, seen: Seen::NOT_WATCHED, from: now, until: now, still: None });
        }
    }

    /// The box has looked again.
    pub(super) fn looked(&mut self, looked: Looked) {
        let Looked { command, seen, from, until, still } = looked;
        let boot = self.with.clock.boot_id().clone();
        let mut verification = Verification::looked(&command, seen, from, until, boot);
        let still =
            still.map(|ready| (self.picture(ready.incident, &ready.evidence.name, ready.still.jpeg), ready.evidence));
        let (picture, evidence) = still.unzip();
        verification.still = evidence.as_ref().map(|evidence| evidence.name.clone());
        self.conclude(&command, verification, evidence, picture);
    }

    /// Verifications that an earlier run had begun: nobody has looked to the end.
    pub(super) fn conclude_left_open(&mut self) {
        let open = match self.with.store.open_commands(VERIFY) {
            Ok(open) => open,
            Err(error) => return events::NotRead { name: VERIFY, error: &error }.emit(),
        };
        for json in open {
            let command = match serde_json::from_slice::<RememberedVerify>(&json) {
                Ok(remembered) => remembered.command,
                Err(error) => {
                    events::NotRead { name: VERIFY, error: &error }.emit();
                    continue;
                }
            };
            let clock = &self.with.clock;
            let verification = Verification::restarted(&command, clock.now(), clock.boot_id().clone());
            self.conclude(&command, verification, None, None);
        }
    }

    fn conclude(
        &mut self,
        command: &Verify,
        verification: Verification,
        evidence: Option<Evidence>,
        picture: Option<Message>,
    ) {
        let Ok(stored) = self.stored(command.incident) else { return };
        // An incident that has been forgotten for space needs no verification either.
        let Some(stored) = stored else {
            let unknown = verify::forgotten(command.clone());
            let command = Some(record(VERIFY, &command.id, command.expires, false, &unknown));
            let messages = vec![self.answer(VERIFY, &unknown.answer)];
            self.commit(Change { command, messages, ..Change::default() });
            return;
        };
        let light_before = light(&stored);
        let outcome = verification.outcome;
        let revision = self.book.verified(stored, verification, evidence);
        let finished = verify::finished(command.clone(), outcome, revision.incident.revision);
        events::Verified { rule: revision.incident.rule.as_str(), outcome }.emit();
        self.commit(Change {
            revision: Some((revision, light_before)),
            picture,
            command: Some(record(VERIFY, &command.id, command.expires, false, &finished)),
            messages: vec![self.answer(VERIFY, &finished.answer)],
            ..Change::default()
        });
    }

    fn refuse_malformed<A: Serialize>(
        &mut self,
        name: &'static str,
        malformed: Malformed,
        answer: impl FnOnce(Malformed) -> A,
    ) -> bool {
        let answered = self.may_answer();
        events::Malformed { name, detail: &malformed.detail, answered }.emit();
        !answered || self.commit_answer(name, &answer(malformed))
    }

    fn refuse_unknown(&mut self, name: &str, id: Option<CommandId>) -> bool {
        let answered = self.may_answer();
        events::Unknown { name, answered }.emit();
        !answered || self.commit_answer(name, &UnknownCommandAnswer::new(id))
    }

    /// Whether one more of those who cannot say what they want is answered.
    fn may_answer(&mut self) -> bool {
        self.malformed_answers.take(self.with.clock.mono()).is_ok()
    }

    fn commit_answer(&mut self, name: &str, answer: &impl Serialize) -> bool {
        let messages = vec![self.answer(name, answer)];
        self.commit(Change { messages, ..Change::default() })
    }

    /// What is remembered of a command, if anything is. `None` if that cannot be read: then nothing is done.
    fn remembered<R: DeserializeOwned>(&self, name: &'static str, id: &CommandId) -> Option<Option<R>> {
        match self.with.store.command(name, id.as_str()) {
            Ok(None) => Some(None),
            Ok(Some(json)) => match serde_json::from_slice(&json) {
                Ok(remembered) => Some(Some(remembered)),
                // What another version wrote; that the incident remembers its steps keeps it from being done twice.
                Err(error) => {
                    events::NotRead { name, error: &error }.emit();
                    Some(None)
                }
            },
            Err(error) => {
                events::NotRead { name, error: &error }.emit();
                None
            }
        }
    }

    fn log_access(&mut self, command: &Verify, answer: &VerifyAnswer) -> bool {
        let access = Access {
            action: Action::Verify,
            incident: Some(command.incident),
            camera: None,
            command: Some(command.id.to_string()),
            by: command.by.as_str().to_owned(),
            unit: None,
            reason: command.reason.as_str().to_owned(),
            account: None,
            files: Vec::new(),
            granted: answer.reason.is_none(),
            refusal: answer.reason.map(|refusal| refusal.as_str().to_owned()),
        };
        match self.with.access_log.write(&access, &Stamp::now(&*self.with.clock)) {
            Ok(()) => true,
            Err(error) => {
                events::NotLogged { what: VERIFY, error: &error }.emit();
                false
            }
        }
    }

    fn answer(&self, name: &str, answer: &impl Serialize) -> Message {
        // A struct of plain fields always serialises.
        message(Class::DispositionAck, self.topics.command_answer(name), serde_json::to_vec(answer).unwrap_or_default())
    }
}

fn record(
    name: &str,
    id: &CommandId,
    expires: jiff::Timestamp,
    open: bool,
    remembered: &impl Serialize,
) -> CommandRecord {
    let json = serde_json::to_vec(remembered).unwrap_or_default();
    CommandRecord { name: name.to_owned(), id: id.to_string(), expires, open, json }
}
