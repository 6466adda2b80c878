//! Verification (任务核查): the grid system asks the box to look again.
//!
//! Who asks, and why, is part of the command and stays with the incident. A verification changes neither the scene nor the
//! handling: it tells people what the box sees, and they say what follows from it.
//!
//! [`admit`] decides whether the box looks, [`Look`] what it has seen, [`Verification`] becomes a revision of the incident
//! (`org.snowgate.incident.verified`). Until then the command is remembered with the answer `looking`; a daemon that starts
//! and finds one so remembers that nobody has looked, and says it ([`Verification::restarted`]).

use std::{collections::HashMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Incident,
    command::{self, CommandId, Malformed, Reason, Remembered, Timeliness, Who},
    event::{EventKind, Revision},
};
use crate::{
    choice,
    ids::IncidentId,
    rate::TokenBucket,
    spec,
    spec::TimeSpan,
    time::{BootId, Moment, Mono},
};

/// The share of the time that must have been seen for the box to say that it is over.
const ENOUGH: f64 = 0.8;

/// More incidents than these are not limited one by one at a time; the gateway's own limit allows far fewer.
const MOST_INCIDENTS: usize = 1024;

/// `cmd/verify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verify {
    /// The command's own id: the same one again is the same command.
    pub id: CommandId,
    /// The incident's id.
    pub incident: IncidentId,
    /// Who asks.
    pub by: Who,
    /// Why the box shall look.
    pub reason: Reason,
    /// When it was asked, RFC 3339 with an offset.
    #[serde(deserialize_with = "command::time")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: jiff::Timestamp,
    /// From when on the command is not to be carried out any more, at most seven days ahead.
    #[serde(deserialize_with = "command::time")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires: jiff::Timestamp,
    /// For how long the box shall look.
    #[serde(default)]
    pub for_seconds: LookFor,
}

/// For how long the box looks: 1 to 300 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16")]
pub struct LookFor(#[schemars(range(min = 1, max = 300))] u16);

impl LookFor {
    /// The same as a length of time.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl Default for LookFor {
    fn default() -> Self {
        Self(30)
    }
}

impl TryFrom<u16> for LookFor {
    type Error = &'static str;
    fn try_from(seconds: u16) -> Result<Self, Self::Error> {
        match seconds {
            1..=300 => Ok(Self(seconds)),
            _ => Err("`for_seconds` must be 1 to 300"),
        }
    }
}

choice! {
    /// What the box has seen.
    pub enum Outcome {
        /// The rule's condition did not hold while it looked.
        Cleared = "cleared",
        /// It did.
        Persists = "persists",
        /// It could not see, or not for long enough.
        CannotTell = "cannot_tell",
    }
}

choice! {
    /// Why the box cannot tell.
    pub enum Obstacle {
        /// The camera gave no pictures, the sensor no readings, or too few of them.
        NotSeen = "not_seen",
        /// The rule, or its camera or sensor, is not there any more.
        NotWatched = "not_watched",
        /// The daemon was started anew before it had looked.
        Restarted = "restarted",
    }
}

/// A verification, as it stays with the incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The command.
    pub command: CommandId,
    /// The revision that it made; set by [`record`].
    pub revision: u32,
    /// Who asked.
    pub by: Who,
    /// Why.
    pub reason: Reason,
    /// What was seen.
    pub outcome: Outcome,
    /// Why that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
    /// Since when the box has looked; none if it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Moment>,
    /// Until when it has looked, or when it was found that it could not.
    pub until: Moment,
    /// The boot it looked in.
    pub boot: BootId,
    /// Name of the still that was taken, among the incident's evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<String>,
}

impl Verification {
    /// The box has looked, or has found that it cannot.
    pub fn looked(command: &Verify, seen: Seen, from: Moment, until: Moment, boot: BootId) -> Self {
        let Seen { outcome, obstacle } = seen;
        Self { outcome, obstacle, from: Some(from), ..Self::restarted(command, until, boot) }
    }

    /// Every moment in it.
    pub(super) fn moments(&self) -> impl Iterator<Item = &Moment> {
        self.from.iter().chain([&self.until])
    }

    /// Every moment in it.
    pub(super) fn moments_mut(&mut self) -> impl Iterator<Item = &mut Moment> {
        self.from.iter_mut().chain([&mut self.until])
    }

    /// Nobody has looked: the daemon was started anew.
    pub fn restarted(command: &Verify, now: Moment, boot: BootId) -> Self {
        Self {
            command: command.id.clone(),
            revision: 0,
            by: command.by.clone(),
            reason: command.reason.clone(),
            outcome: Outcome::CannotTell,
            obstacle: Some(Obstacle::Restarted),
            from: None,
            until: now,
            boot,
            still: None,
        }
    }
}

/// What the box has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What.
    pub outcome: Outcome,
    /// Why that cannot be told.
    pub obstacle: Option<Obstacle>,
}

impl Seen {
    /// What was to be looked at is not there any more.
    pub const NOT_WATCHED: Self = Self { outcome: Outcome::CannotTell, obstacle: Some(Obstacle::NotWatched) };
}

/// The most verifications that stay with an incident; the oldest give way, and their pictures with them.
pub const MAX_VERIFICATIONS: usize = 8;

/// Makes a verification a revision of the incident's newest one.
///
/// However often the box looks, the incident stays small enough to be sent: besides its own pictures it lists those of the
/// last [`MAX_VERIFICATIONS`] only.
pub fn record(mut incident: Incident, mut verification: Verification) -> Revision {
    incident.revision += 1;
    verification.revision = incident.revision;
    incident.verifications.push(verification);
    while incident.verifications.len() > MAX_VERIFICATIONS {
        let oldest = incident.verifications.remove(0);
        let is_kept = |still: &String| incident.verifications.iter().any(|kept| kept.still.as_ref() == Some(still));
        if let Some(still) = oldest.still.filter(|still| !is_kept(still)) {
            incident.evidence.retain(|evidence| evidence.name != still);
        }
    }
    Revision { kind: EventKind::Verified, incident }
}

/// The box looking: whether the rule's condition holds, and whether it was seen for long enough to say that it does not.
#[derive(Debug, Clone)]
pub struct Look {
    from: Mono,
    until: Mono,
    longest_gap: Duration,
    last: Mono,
    covered: Duration,
    observed: bool,
    held: bool,
}

impl Look {
    /// Begins to look. What lies between two pictures or readings counts as seen if it is no longer than `longest_gap`: a few
    /// times what is usual with the source.
    pub fn new(from: Mono, look_for: LookFor, longest_gap: Duration) -> Self {
        let until = from + look_for.duration();
        Self { from, until, longest_gap, last: from, covered: Duration::ZERO, observed: false, held: false }
    }

    /// When it is over.
    pub fn until(&self) -> Mono {
        self.until
    }

    /// Whether what was seen then counts.
    pub fn includes(&self, at: Mono) -> bool {
        (self.from..=self.until).contains(&at)
    }

    /// A picture was looked at, or a reading heard. Those from before and after do not count.
    pub fn observe(&mut self, at: Mono, holds: bool) {
        if self.includes(at) {
            self.observed = true;
            self.held |= holds;
            self.cover(at);
        }
    }

    /// What it has seen, once it is over.
    pub fn seen(mut self) -> Seen {
        if self.observed {
            self.cover(self.until);
        }
        let outcome = if self.held {
            Outcome::Persists
        } else if self.covered.as_secs_f64() >= ENOUGH * self.until.since(self.from).as_secs_f64() {
            Outcome::Cleared
        } else {
            Outcome::CannotTell
        };
        Seen { outcome, obstacle: (outcome == Outcome::CannotTell).then_some(Obstacle::NotSeen) }
    }

    fn cover(&mut self, at: Mono) {
        let gap = at.since(self.last);
        if gap <= self.longest_gap {
            self.covered += gap;
        }
        self.last = self.last.max(at);
    }
}

spec! {
    /// How often the box may be asked to look again.
    pub struct VerifySpec {
        /// After one verification of an incident, the next one of the same incident is taken only so much later.
        incident_every: TimeSpan = TimeSpan::secs(60),
        /// Of all incidents together one is taken so often…
        every: TimeSpan = TimeSpan::secs(10),
        /// …and so many at once.
        burst: u32 = 6,
    }
}

/// How often the box may still be asked to look.
#[derive(Debug, Clone)]
pub struct VerifyLimits {
    incident_every: Duration,
    gateway: TokenBucket,
    incidents: HashMap<IncidentId, TokenBucket>,
}

impl VerifyLimits {
    /// Nobody has asked yet.
    pub fn new(spec: &VerifySpec) -> Self {
        let gateway = TokenBucket::new(spec.burst, spec.every.0);
        Self { incident_every: spec.incident_every.0, gateway, incidents: HashMap::new() }
    }

    /// Takes one verification of this incident.
    ///
    /// # Errors
    /// How long it takes until there may be one; nothing was taken.
    pub fn take(&mut self, incident: IncidentId, now: Mono) -> Result<(), Duration> {
        self.incidents.retain(|_, bucket| !bucket.is_full(now));
        let fresh = TokenBucket::new(1, self.incident_every);
        let mut own = self.incidents.get(&incident).copied().unwrap_or(fresh);
        let crowded = self.incidents.len() >= MOST_INCIDENTS && !self.incidents.contains_key(&incident);
        let wait =
            own.wait(now).max(self.gateway.wait(now)).max(if crowded { self.incident_every } else { Duration::ZERO });
        if !wait.is_zero() {
            return Err(wait);
        }
        self.gateway.take(now)?;
        own.take(now)?;
        self.incidents.insert(incident, own);
        Ok(())
    }
}

/// `cmd-ack/verify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyAnswer {
    /// The command's id; missing where none could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The incident it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// What becomes of it.
    pub result: VerifyResult,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<VerifyRefusal>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of one that was asked too often: after how many seconds it may be asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// What was seen, once the box has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The revision of the incident that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}

/// What becomes of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyResult {
    /// The box looks; an event follows.
    Looking,
    /// The box has looked.
    Done,
    /// It does not look.
    Refused,
}

/// Why the box does not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyRefusal {
    /// The command cannot be read.
    Malformed,
    /// Another command had this id.
    IdReused,
    /// It came too late.
    Expired,
    /// It would be valid for too long.
    ExpiresTooLate,
    /// The clock is not synchronised, so nobody can tell whether it has expired; looking is not done on a guess.
    ClockNotSynchronised,
    /// There is no such incident here, or it has been forgotten for space.
    UnknownIncident,
    /// People have finished with the incident.
    Finished,
    /// The box was asked to look too often.
    TooOften,
}

impl VerifyRefusal {
    /// The word for it in messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::IdReused => "id_reused",
            Self::Expired => "expired",
            Self::ExpiresTooLate => "expires_too_late",
            Self::ClockNotSynchronised => "clock_not_synchronised",
            Self::UnknownIncident => "unknown_incident",
            Self::Finished => "finished",
            Self::TooOften => "too_often",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Malformed => "the command cannot be read",
            Self::IdReused => "another command had this id",
            Self::Expired => "the command has expired",
            Self::ExpiresTooLate => "a command may expire seven days ahead at the latest",
            Self::ClockNotSynchronised => {
                "the gateway's clock is not synchronised: it cannot tell whether this has expired"
            }
            Self::UnknownIncident => "there is no such incident",
            Self::Finished => "handling of the incident is finished",
            Self::TooOften => "the gateway was asked to look too often",
        }
    }
}

/// A verification command and its answer, as they are kept.
pub type RememberedVerify = Remembered<Verify, VerifyAnswer>;

/// Whether the box looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// To be sent once what follows is on disk.
    pub answer: VerifyAnswer,
    /// Whether the box is to look now.
    pub look: bool,
    /// To be stored under the command's id; none if it is there already or need not be.
    pub remember: Option<RememberedVerify>,
}

/// The answer to what is no verification command.
pub fn answer_malformed(malformed: Malformed) -> VerifyAnswer {
    let detail = Some(malformed.detail);
    VerifyAnswer {
        id: malformed.id,
        incident: None,
        detail,
        ..answer(None, VerifyResult::Refused, Some(VerifyRefusal::Malformed))
    }
}

/// Whether the box looks: `remembered` is what was kept under the command's id, `incident` the newest revision there is.
pub fn admit(
    command: &Verify,
    remembered: Option<&RememberedVerify>,
    incident: Option<&Incident>,
    limits: &mut VerifyLimits,
    now: Moment,
) -> Admission {
    if let Some(remembered) = remembered {
        let answer = match remembered.command == *command {
            true => remembered.answer.clone(),
            false => answer(Some(command), VerifyResult::Refused, Some(VerifyRefusal::IdReused)),
        };
        return Admission { answer, look: false, remember: None };
    }
    let wanted = match may_look(command, incident, now) {
        Ok(()) => limits.take(command.incident, now.mono).map_err(|wait| (VerifyRefusal::TooOften, Some(wait))),
        Err(reason) => Err((reason, None)),
    };
    match wanted {
        Ok(()) => {
            let answer = answer(Some(command), VerifyResult::Looking, None);
            let remember = Some(Remembered { command: command.clone(), answer: answer.clone() });
            Admission { answer, look: true, remember }
        }
        Err((reason, wait)) => {
            // A second begun is a second: who comes back then finds room.
            let retry_after_seconds = wait.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
            let answer =
                VerifyAnswer { retry_after_seconds, ..answer(Some(command), VerifyResult::Refused, Some(reason)) };
            // These pass by themselves, so the same command may come again; and expired it stays.
            let passes = matches!(
                reason,
                VerifyRefusal::TooOften | VerifyRefusal::ClockNotSynchronised | VerifyRefusal::Expired
            );
            let remember = (!passes).then(|| Remembered { command: command.clone(), answer: answer.clone() });
            Admission { answer, look: false, remember }
        }
    }
}

/// What is remembered of a command from the revision on that answers it.
pub fn finished(command: Verify, outcome: Outcome, revision: u32) -> RememberedVerify {
    let done = answer(Some(&command), VerifyResult::Done, None);
    Remembered { answer: VerifyAnswer { outcome: Some(outcome), revision: Some(revision), ..done }, command }
}

/// What is remembered of a command whose incident has been forgotten for space while the box looked.
pub fn forgotten(command: Verify) -> RememberedVerify {
    let answer = answer(Some(&command), VerifyResult::Refused, Some(VerifyRefusal::UnknownIncident));
    Remembered { answer, command }
}

fn may_look(command: &Verify, incident: Option<&Incident>, now: Moment) -> Result<(), VerifyRefusal> {
    match Timeliness::of(command.expires, now) {
        Timeliness::InTime => {}
        Timeliness::Expired => return Err(VerifyRefusal::Expired),
        Timeliness::TooLong => return Err(VerifyRefusal::ExpiresTooLate),
        Timeliness::Unknown => return Err(VerifyRefusal::ClockNotSynchronised),
    }
    match incident {
        None => Err(VerifyRefusal::UnknownIncident),
        Some(incident) if incident.handling.is_finished() => Err(VerifyRefusal::Finished),
        Some(_) => Ok(()),
    }
}

fn answer(command: Option<&Verify>, result: VerifyResult, reason: Option<VerifyRefusal>) -> VerifyAnswer {
    VerifyAnswer {
        id: command.map(|command| command.id.clone()),
        incident: command.map(|command| command.incident),
        result,
        reason,
        detail: reason.map(|reason| reason.detail().to_owned()),
        retry_after_seconds: None,
        outcome: None,
        revision: None,
    }
}

#[cfg(test)]
mod tests;
