//! What people do about an incident: how far it has come in the closed loop, and how it came there.
//!
//! The loop is 发现上报 → 指挥派遣 → 处置反馈 → 任务核查 → 考核评价 → 结案存档: reported → (accepted →) dispatched → handled →
//! verified → assessed → closed → archived. [`Handling::next`] is the one table of what may follow what; in words:
//!
//! - *Accepted* and *dispatched* may be skipped: who stands at the spot may handle it at once.
//! - *Handled* may not be skipped: nothing is closed that nobody has dealt with, but for a false alarm.
//! - *Verified* and *assessed* may be skipped: a small township closes what was handled. Nothing is assessed unverified.
//! - Back it goes only for work that is to be done again: dispatched to somebody else (改派), returned by whom it was
//!   dispatched to, found undone when it was to be verified or assessed.
//! - A *false alarm* may be said so in every stage until it is closed, and ends the handling.
//! - What is finished stays so; what happens afterwards is another incident. Only *archived* follows *closed*.
//!
//! *Suspended* and *extended* stand beside the stage. While it is suspended nothing goes on: it must be resumed first, unless
//! it turns out to be a false alarm.
//!
//! The time limit runs until the incident is *handled*, and goes on if that is to be done again; while it is suspended it
//! stands still, and it stops for good when the handling is finished. Each of these stops is stored, so there is an end to
//! them ([`Deadline::MOST_SUSPENSIONS`](super::Deadline::MOST_SUSPENSIONS)): then it is not suspended again, nor dispatched
//! again once it is handled. *Handled*, and all that leads to the end, always remains possible.

use serde::{Deserialize, Serialize};

use super::command::{CommandId, Note, Who};
use crate::{choice, time::Stamp};

choice! {
    /// How far handling has come.
    pub enum Handling {
        /// Found and reported (发现上报); nobody has answered yet.
        Reported = "reported",
        /// Somebody has taken it on (受理).
        Accepted = "accepted",
        /// Somebody was sent (指挥派遣).
        Dispatched = "dispatched",
        /// Dealt with, and fed back (处置反馈).
        Handled = "handled",
        /// Checked that it was dealt with (任务核查).
        Verified = "verified",
        /// How it was dealt with has been assessed (考核评价).
        Assessed = "assessed",
        /// Finished (结案).
        Closed = "closed",
        /// Finished and filed (存档).
        Archived = "archived",
        /// There was nothing: the rule was wrong.
        RejectedFalseAlarm = "rejected_false_alarm",
    }
}

impl Handling {
    /// What may follow: the one table of legal transitions.
    pub const fn next(self) -> &'static [Self] {
        use Handling::{Accepted, Archived, Assessed, Closed, Dispatched, Handled, RejectedFalseAlarm, Verified};
        match self {
            Self::Reported => &[Accepted, Dispatched, Handled, RejectedFalseAlarm],
            Self::Accepted => &[Dispatched, Handled, RejectedFalseAlarm],
            Self::Dispatched => &[Accepted, Dispatched, Handled, RejectedFalseAlarm],
            Self::Handled => &[Dispatched, Verified, Closed, RejectedFalseAlarm],
            Self::Verified => &[Dispatched, Assessed, Closed, RejectedFalseAlarm],
            Self::Assessed => &[Closed, RejectedFalseAlarm],
            Self::Closed => &[Archived],
            Self::Archived | Self::RejectedFalseAlarm => &[],
        }
    }

    /// Whether the time within which it must be handled runs: until it is handled, and again where that is to be done again.
    pub const fn is_awaited(self) -> bool {
        matches!(self, Self::Reported | Self::Accepted | Self::Dispatched)
    }

    /// Whether people have finished with it.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Closed | Self::Archived | Self::RejectedFalseAlarm)
    }
}

choice! {
    /// What a disposition says was done.
    pub enum Stage {
        /// Somebody has taken it on (受理).
        Accepted = "accepted",
        /// Somebody was sent (指挥派遣).
        Dispatched = "dispatched",
        /// Dealt with, and fed back (处置反馈).
        Handled = "handled",
        /// Checked that it was dealt with (任务核查).
        Verified = "verified",
        /// How it was dealt with has been assessed (考核评价).
        Assessed = "assessed",
        /// Finished (结案).
        Closed = "closed",
        /// Finished and filed (存档).
        Archived = "archived",
        /// There was nothing: the rule was wrong.
        RejectedFalseAlarm = "rejected_false_alarm",
        /// Put off; its time limit stands still.
        Suspended = "suspended",
        /// Taken up again.
        Resumed = "resumed",
        /// Given more time.
        Extended = "extended",
    }
}

impl Stage {
    /// The stage of handling that it leads to; none for what stands beside the stage.
    pub const fn leads_to(self) -> Option<Handling> {
        Some(match self {
            Self::Accepted => Handling::Accepted,
            Self::Dispatched => Handling::Dispatched,
            Self::Handled => Handling::Handled,
            Self::Verified => Handling::Verified,
            Self::Assessed => Handling::Assessed,
            Self::Closed => Handling::Closed,
            Self::Archived => Handling::Archived,
            Self::RejectedFalseAlarm => Handling::RejectedFalseAlarm,
            Self::Suspended | Self::Resumed | Self::Extended => return None,
        })
    }
}

/// More time for an incident. It never shortens the time there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extension {
    /// It must be handled by then, if that is later than it was.
    Until(jiff::Timestamp),
    /// So many seconds are added, in the kind of time that its limit counts in.
    Seconds(u32),
}

/// One disposition as it was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The command that said so.
    pub command: CommandId,
    /// The revision that it made.
    pub revision: u32,
    /// What was done.
    pub stage: Stage,
    /// Who did it.
    pub by: Who,
    /// What they say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// How much more time there is, of an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<Extension>,
    /// When it was done, as they say.
    pub at: jiff::Timestamp,
    /// When the gateway heard of it.
    pub received: Stamp,
}

/// How an incident has been handled: by what came in, in that order.
///
/// What counts is when the gateway heard of them, by its own clock: what people say the time was is kept in the [`Step`], but
/// moves no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dispositions {
    /// The last [`Self::MAX_STEPS`] steps, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// How many steps came before these.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub earlier_steps: u32,
    /// Since when handling stands still, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Stamp>,
    /// When handling was finished, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Stamp>,
}

impl Dispositions {
    /// The most steps that are kept.
    pub const MAX_STEPS: usize = 48;
    /// Whether nothing has been done yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether handling stands still now.
    pub fn is_suspended(&self) -> bool {
        self.suspended.is_some()
    }

    /// The step that made this revision, if one did.
    pub fn step_of(&self, revision: u32) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.revision == revision)
    }

    /// Whether this command has been carried out, as far back as steps are kept.
    pub fn contain(&self, command: &CommandId) -> bool {
        self.steps.iter().any(|step| step.command == *command)
    }

    /// Adds a step; the oldest gives way.
    pub(super) fn push(&mut self, step: Step) {
        if self.steps.len() >= Self::MAX_STEPS {
            self.steps.remove(0);
            self.earlier_steps = self.earlier_steps.saturating_add(1);
        }
        self.steps.push(step);
    }

    /// Every moment the gateway wrote down.
    pub(super) fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        self.steps.iter().map(|step| &step.received).chain(&self.suspended).chain(&self.finished)
    }

    /// Every moment the gateway wrote down.
    pub(super) fn stamps_mut(&mut self) -> impl Iterator<Item = &mut Stamp> {
        self.steps.iter_mut().map(|step| &mut step.received).chain(&mut self.suspended).chain(&mut self.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stage.
    pub(crate) const ALL: [Handling; 9] = [
        Handling::Reported,
        Handling::Accepted,
        Handling::Dispatched,
        Handling::Handled,
        Handling::Verified,
        Handling::Assessed,
        Handling::Closed,
        Handling::Archived,
        Handling::RejectedFalseAlarm,
    ];

    #[test]
    fn the_whole_loop_can_be_walked_and_no_stage_is_out_of_reach() {
        let road = [
            Handling::Reported,
            Handling::Accepted,
            Handling::Dispatched,
            Handling::Handled,
            Handling::Verified,
            Handling::Assessed,
            Handling::Closed,
            Handling::Archived,
        ];
        for (from, to) in road.iter().zip(&road[1..]) {
            assert!(from.next().contains(to), "{from} → {to}");
        }
        assert_eq!(ALL.len(), Handling::WORDS.len());
    }

    #[test]
    fn what_is_finished_stays_so_and_a_false_alarm_may_be_said_until_then() {
        for from in ALL {
            assert_eq!(from.next().contains(&Handling::RejectedFalseAlarm), !from.is_finished(), "{from}");
            assert!(!from.next().contains(&Handling::Reported), "{from}");
            assert!(!from.is_finished() || from.next().iter().all(|to| to.is_finished()), "{from}");
        }
    }

    #[test]
    fn nothing_is_closed_that_nobody_has_dealt_with() {
        // Without passing through `handled`, `closed` cannot be reached.
        let mut reached = vec![Handling::Reported];
        let mut at = 0;
        while let Some(from) = reached.get(at).copied() {
            at += 1;
            let next = from.next().iter().filter(|to| **to != Handling::Handled);
            let new: Vec<_> = next.filter(|to| !reached.contains(to)).copied().collect();
            reached.extend(new);
        }
        assert!(!reached.contains(&Handling::Closed), "{reached:?}");
    }
}
