//! Dispositions: the grid system says what people have done about an incident.
//!
//! [`decide`] is pure: a command, what was answered to the same command before, and the newest revision of the incident go
//! in; the answer, and the revision if there is one, come out. They are to be stored together with the answer in one
//! transaction, and the answer sent after it.
//!
//! What always holds:
//! 1. A command changes an incident at most once, however often it comes.
//! 2. It changes nothing but [`Incident::handling`], [`Incident::dispositions`], [`Incident::deadline`] and the revision: never
//!    the scene.
//! 3. What is refused changes nothing, and the answer says how things stand.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Handling, Incident, Scene,
    command::{self, CommandId, CommandResult, Malformed, Note, Remembered, Timeliness, Who},
    event::{EventKind, Revision},
    handling::{Extension, Stage, Step},
    time_limit::DeadlineError,
};
use crate::{calendar::Calendar, ids::IncidentId, time::Stamp};

/// The most time one extension may add, in seconds: a year.
const LONGEST_EXTENSION: u32 = 366 * 86_400;

/// `cmd/disposition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DispositionPayload", into = "DispositionPayload")]
pub struct Disposition {
    /// The command's own id.
    pub id: CommandId,
    /// The incident.
    pub incident: IncidentId,
    /// What was done.
    pub stage: Stage,
    /// How much more time there is: of an extension, and of nothing else.
    pub extension: Option<Extension>,
    /// Who did it.
    pub by: Who,
    /// What they say about it.
    pub note: Option<Note>,
    /// When it was done.
    pub at: jiff::Timestamp,
    /// From when on the command is not to be carried out any more.
    pub expires: jiff::Timestamp,
}

/// `cmd/disposition` as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(
    rename = "Disposition",
    extend("if" = { "properties": { "stage": { "const": "extended" } } }),
    extend("then" = { "oneOf": [{ "required": ["until"] }, { "required": ["for_seconds"] }] }),
    extend("else" = { "properties": { "until": { "type": "null" }, "for_seconds": { "type": "null" } } })
)]
pub struct DispositionPayload {
    /// The command's own id: the same one again is the same command.
    id: CommandId,
    /// The incident's id.
    incident: IncidentId,
    /// What was done.
    stage: Stage,
    /// Who did it.
    by: Who,
    /// What they say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
    /// When it was done, RFC 3339 with an offset.
    #[serde(deserialize_with = "command::time")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: jiff::Timestamp,
    /// From when on the command is not to be carried out any more, at most seven days ahead.
    #[serde(deserialize_with = "command::time")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    expires: jiff::Timestamp,
    /// Of `extended`: until when it must be handled; either this or `for_seconds`.
    #[serde(default, deserialize_with = "command::optional_time", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    until: Option<jiff::Timestamp>,
    /// Of `extended`: by how much longer it may take, in the kind of time that its limit counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LONGEST_EXTENSION))]
    for_seconds: Option<u32>,
}

impl TryFrom<DispositionPayload> for Disposition {
    type Error = &'static str;

    fn try_from(payload: DispositionPayload) -> Result<Self, Self::Error> {
        let DispositionPayload { id, incident, stage, by, note, at, expires, until, for_seconds } = payload;
        let extension = match (stage, until, for_seconds) {
            (Stage::Extended, Some(until), None) => Some(Extension::Until(until)),
            (Stage::Extended, None, Some(seconds)) if (1..=LONGEST_EXTENSION).contains(&seconds) => {
                Some(Extension::Seconds(seconds))
            }
            (Stage::Extended, None, Some(_)) => return Err("`for_seconds` must be at least 1 and at most a year"),
            (Stage::Extended, ..) => return Err("`extended` needs exactly one of `until` and `for_seconds`"),
            (_, None, None) => None,
            _ => return Err("`until` and `for_seconds` go with `extended` only"),
        };
        Ok(Self { id, incident, stage, extension, by, note, at, expires })
    }
}

impl From<Disposition> for DispositionPayload {
    fn from(command: Disposition) -> Self {
        let Disposition { id, incident, stage, extension, by, note, at, expires } = command;
        let (until, for_seconds) = match extension {
            Some(Extension::Until(until)) => (Some(until), None),
            Some(Extension::Seconds(seconds)) => (None, Some(seconds)),
            None => (None, None),
        };
        Self { id, incident, stage, by, note, at, expires, until, for_seconds }
    }
}

/// `cmd-ack/disposition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DispositionAnswer {
    /// The command's id; missing where none could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The incident it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Whether it was carried out.
    pub result: CommandResult,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DispositionRefusal>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How things stand with the incident, now that it was carried out or refused; missing for unknown ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Standing>,
}

/// Why a disposition was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DispositionRefusal {
    /// It cannot be read.
    Malformed,
    /// Another command had this id.
    IdReused,
    /// It came too late.
    Expired,
    /// It would be valid for too long.
    ExpiresTooLate,
    /// There is no such incident here, or it has been forgotten for space.
    UnknownIncident,
    /// It cannot follow what is the case now.
    OutOfOrder,
    /// The incident has no time limit that could be extended.
    NoTimeLimit,
    /// The new limit is no later than the one there is, lies in the past, or too far ahead.
    InvalidExtension,
    /// Extended until a date while the clock is not synchronised: by how much that is cannot be told.
    ClockNotSynchronised,
    /// It has been put off or taken up again too often.
    TooMany,
}

impl DispositionRefusal {
    /// The word for it in messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::IdReused => "id_reused",
            Self::Expired => "expired",
            Self::ExpiresTooLate => "expires_too_late",
            Self::UnknownIncident => "unknown_incident",
            Self::OutOfOrder => "out_of_order",
            Self::NoTimeLimit => "no_time_limit",
            Self::InvalidExtension => "invalid_extension",
            Self::ClockNotSynchronised => "clock_not_synchronised",
            Self::TooMany => "too_many",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Malformed => "the command cannot be read",
            Self::IdReused => "another command had this id",
            Self::Expired => "the command has expired",
            Self::ExpiresTooLate => "a command may expire seven days ahead at the latest",
            Self::UnknownIncident => "there is no such incident",
            Self::OutOfOrder => "this cannot follow what is the case now",
            Self::NoTimeLimit => "the incident has no time limit",
            Self::InvalidExtension => {
                "the new limit is no later than the one there is, lies in the past, or too far ahead"
            }
            Self::ClockNotSynchronised => "the gateway's clock is not synchronised: say by how much, not until when",
            Self::TooMany => "the incident has been put off or taken up again too often",
        }
    }
}

/// How things stand with an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// The newest revision.
    pub revision: u32,
    /// What the box sees.
    pub scene: Scene,
    /// What people do.
    pub handling: Handling,
    /// Whether handling stands still.
    pub suspended: bool,
}

impl From<&Incident> for Standing {
    fn from(incident: &Incident) -> Self {
        let Incident { revision, scene, handling, dispositions, .. } = incident;
        Self { revision: *revision, scene: *scene, handling: *handling, suspended: dispositions.is_suspended() }
    }
}

/// A disposition and its answer, as they are kept.
pub type RememberedDisposition = Remembered<Disposition, DispositionAnswer>;

/// What becomes of a disposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// To be sent once what follows is on disk.
    pub answer: DispositionAnswer,
    /// To be stored and announced.
    pub revision: Option<Revision>,
    /// To be stored under the command's id, in the same transaction; none if it is there already or need not be.
    pub remember: Option<RememberedDisposition>,
}

/// The answer to what is no disposition.
pub fn answer_malformed(malformed: Malformed) -> DispositionAnswer {
    DispositionAnswer {
        id: malformed.id,
        incident: None,
        result: CommandResult::Refused,
        reason: Some(DispositionRefusal::Malformed),
        detail: Some(malformed.detail),
        now: None,
    }
}

/// What becomes of a disposition: `remembered` is what was kept under its id, `incident` the newest revision there is.
///
/// Where the clock is not synchronised nobody can tell whether it has expired: it is carried out, for it says what people
/// have done, and its place in the loop is checked in any case.
pub fn decide(
    command: &Disposition,
    remembered: Option<&RememberedDisposition>,
    incident: Option<Incident>,
    now: Stamp,
    calendar: &Calendar,
) -> Decision {
    let standing = incident.as_ref().map(Standing::from);
    if let Some(remembered) = remembered {
        let answer = match remembered.command == *command {
            true => remembered.answer.clone(),
            false => refusal(command, DispositionRefusal::IdReused, standing),
        };
        return Decision { answer, revision: None, remember: None };
    }
    if let (Some(incident), Some(now)) = (&incident, standing)
        && incident.dispositions.contain(&command.id)
    {
        // The answer has been lost or forgotten, the deed has not.
        return Decision { answer: done(command, now), revision: None, remember: None };
    }
    match carry_out(command, incident, now, calendar) {
        Ok(revision) => {
            let answer = done(command, (&revision.incident).into());
            let remember = Some(Remembered { command: command.clone(), answer: answer.clone() });
            Decision { answer, revision: Some(revision), remember }
        }
        Err(reason) => {
            let answer = refusal(command, reason, standing);
            // Expired it stays; and when the clock is right the same command may come again.
            let keep = !matches!(reason, DispositionRefusal::Expired | DispositionRefusal::ClockNotSynchronised);
            let remember = keep.then(|| Remembered { command: command.clone(), answer: answer.clone() });
            Decision { answer, revision: None, remember }
        }
    }
}

fn done(command: &Disposition, now: Standing) -> DispositionAnswer {
    DispositionAnswer {
        id: Some(command.id.clone()),
        incident: Some(command.incident),
        result: CommandResult::Done,
        reason: None,
        detail: None,
        now: Some(now),
    }
}

fn refusal(command: &Disposition, reason: DispositionRefusal, now: Option<Standing>) -> DispositionAnswer {
    DispositionAnswer {
        id: Some(command.id.clone()),
        incident: Some(command.incident),
        result: CommandResult::Refused,
        reason: Some(reason),
        detail: Some(reason.detail().to_owned()),
        now,
    }
}

fn carry_out(
    command: &Disposition,
    incident: Option<Incident>,
    now: Stamp,
    calendar: &Calendar,
) -> Result<Revision, DispositionRefusal> {
    match Timeliness::of(command.expires, now.moment) {
        Timeliness::Expired => return Err(DispositionRefusal::Expired),
        Timeliness::TooLong => return Err(DispositionRefusal::ExpiresTooLate),
        Timeliness::InTime | Timeliness::Unknown => {}
    }
    let mut incident = incident.ok_or(DispositionRefusal::UnknownIncident)?;
    let was_finished = incident.handling.is_finished();
    match command.stage.leads_to() {
        Some(next) => incident.hand_on(next, &now)?,
        None => incident.set_aside(command, &now, calendar)?,
    }
    incident.run_deadline(&now, calendar)?;
    incident.revision += 1;
    incident.dispositions.push(Step {
        command: command.id.clone(),
        revision: incident.revision,
        stage: command.stage,
        by: command.by.clone(),
        note: command.note.clone(),
        extension: command.extension,
        at: command.at,
        received: now,
    });
    let closes = incident.handling.is_finished() && !was_finished;
    Ok(Revision { kind: if closes { EventKind::Closed } else { EventKind::Updated }, incident })
}

impl Incident {
    /// Handling comes to another stage.
    fn hand_on(&mut self, next: Handling, now: &Stamp) -> Result<(), DispositionRefusal> {
        let stands_still = self.dispositions.is_suspended() && next != Handling::RejectedFalseAlarm;
        if stands_still || !self.handling.next().contains(&next) {
            return Err(DispositionRefusal::OutOfOrder);
        }
        self.handling = next;
        if next.is_finished() {
            self.dispositions.suspended = None;
            self.dispositions.finished.get_or_insert_with(|| now.clone());
        }
        Ok(())
    }

    /// What stands beside the stage: suspended, resumed, extended.
    fn set_aside(&mut self, command: &Disposition, now: &Stamp, calendar: &Calendar) -> Result<(), DispositionRefusal> {
        if self.handling.is_finished() {
            return Err(DispositionRefusal::OutOfOrder);
        }
        let suspended = &mut self.dispositions.suspended;
        match (command.extension, command.stage) {
            (Some(extension), _) => {
                let deadline = self.deadline_mut().ok_or(DispositionRefusal::NoTimeLimit)?;
                match extension {
                    Extension::Until(until) => deadline.extend_until(until, now.moment, calendar)?,
                    Extension::Seconds(seconds) => deadline.extend(Duration::from_secs(u64::from(seconds)))?,
                }
            }
            (None, Stage::Suspended) if suspended.is_none() => *suspended = Some(now.clone()),
            (None, Stage::Resumed) if suspended.is_some() => *suspended = None,
            (None, _) => return Err(DispositionRefusal::OutOfOrder),
        }
        Ok(())
    }

    /// Lets the time limit run, stand still or stop as handling now says.
    fn run_deadline(&mut self, now: &Stamp, calendar: &Calendar) -> Result<(), DispositionRefusal> {
        let suspended = self.dispositions.is_suspended();
        let runs = self.handling.is_awaited() && !suspended;
        let stops = self.handling.is_finished();
        let Some(deadline) = self.deadline_mut() else { return Ok(()) };
        let (ran, stopped) = (deadline.suspended_since().is_none(), deadline.is_finished());
        match (stops, runs) {
            (true, _) if !stopped => deadline.finish(now.clone())?,
            (false, false) if ran && suspended => deadline.suspend(now.clone())?,
            (false, false) if ran => deadline.stop(now.clone())?,
            (false, true) if !ran => deadline.resume(now.clone())?,
            _ => {}
        }
        deadline.turn(calendar, now.moment);
        Ok(())
    }
}

impl From<DeadlineError> for DispositionRefusal {
    fn from(error: DeadlineError) -> Self {
        match error {
            DeadlineError::Suspended | DeadlineError::Running | DeadlineError::Finished => Self::OutOfOrder,
            DeadlineError::TooManySuspensions => Self::TooMany,
            DeadlineError::TimesUnknown => Self::ClockNotSynchronised,
            DeadlineError::NoLater | DeadlineError::ExtendedTooFar => Self::InvalidExtension,
        }
    }
}

#[cfg(test)]
mod tests;
