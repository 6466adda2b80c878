//! Events of what the grid system commands.

use std::{fmt, sync::LazyLock};

use prometheus::IntCounterVec;
use snowgate_core::{
    ids::IncidentId,
    incidents::{
        command::CommandResult,
        disposition::DispositionRefusal,
        handling::Stage,
        verify::{Outcome, VerifyAnswer, VerifyRefusal},
    },
};

use super::counter;

static DISPOSITIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_dispositions_total",
        "Dispositions carried out, by the rule of the incident; false alarms have the stage rejected_false_alarm.",
        &["rule", "stage"],
    )
});
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_commands_refused_total", "Commands that were not carried out.", &["command", "reason"])
});
static VERIFICATIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("snowgate_verifications_total", "What was seen when the box was asked to look again.", &["rule", "outcome"])
});

/// A disposition has been answered.
pub struct Disposed<'a> {
    /// The incident.
    pub incident: IncidentId,
    /// What was done.
    pub stage: Stage,
    /// Who did it.
    pub by: &'a str,
    /// The incident's rule, if this made a revision.
    pub rule: Option<&'a str>,
    /// Whether it was carried out.
    pub result: CommandResult,
    /// Why it was not.
    pub reason: Option<DispositionRefusal>,
}

impl Disposed<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        let Self { incident, stage, by, rule, result, reason } = self;
        let reason = reason.map(DispositionRefusal::as_str);
        if let Some(rule) = rule {
            DISPOSITIONS.with_label_values(&[rule, stage.as_str()]).inc();
        }
        if let Some(reason) = reason {
            REFUSED.with_label_values(&["disposition", reason]).inc();
        }
        tracing::info!(%incident, stage = stage.as_str(), by, reason, "disposition {}", result.as_str());
    }
}

/// A wish to look again has been answered.
pub struct VerifyAnswered<'a> {
    /// Who asked.
    pub by: &'a str,
    /// The answer.
    pub answer: &'a VerifyAnswer,
}

impl VerifyAnswered<'_> {
    /// Logs it, and counts a refusal.
    pub fn emit(self) {
        let reason = self.answer.reason.map(VerifyRefusal::as_str);
        if let Some(reason) = reason {
            REFUSED.with_label_values(&["verify", reason]).inc();
        }
        let incident = self.answer.incident.map(tracing::field::display);
        tracing::info!(incident, by = self.by, reason, "asked to look again");
    }
}

/// The box has looked again.
pub struct Verified<'a> {
    /// The incident's rule.
    pub rule: &'a str,
    /// What was seen.
    pub outcome: Outcome,
}

impl Verified<'_> {
    /// Counts it.
    pub fn emit(self) {
        VERIFICATIONS.with_label_values(&[self.rule, self.outcome.as_str()]).inc();
    }
}

/// What came is no command.
pub struct Malformed<'a> {
    /// What it was sent as.
    pub name: &'static str,
    /// What is wrong with it.
    pub detail: &'a str,
    /// Whether it is answered; too many are not.
    pub answered: bool,
}

impl Malformed<'_> {
    /// Counts it; logs it if it is answered.
    pub fn emit(self) {
        REFUSED.with_label_values(&[self.name, "malformed"]).inc();
        if self.answered {
            tracing::warn!(command = self.name, detail = self.detail, "malformed command");
        }
    }
}

/// A command this version does not know.
pub struct Unknown<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is answered; too many are not.
    pub answered: bool,
}

impl Unknown<'_> {
    /// Counts it; logs it if it is answered.
    pub fn emit(self) {
        REFUSED.with_label_values(&["other", "unknown_command"]).inc();
        if self.answered {
            tracing::warn!(command = self.name, "unknown command");
        }
    }
}

/// What is remembered of commands cannot be read.
pub struct NotRead<'a> {
    /// Of which.
    pub name: &'static str,
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl NotRead<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::error!(command = self.name, error = %self.error, "answered commands cannot be read");
    }
}

/// Who asks cannot be written down, so nobody looks; or what is deleted cannot, and goes all the same.
pub struct NotLogged<'a> {
    /// What is asked: `verify`, `delete`.
    pub what: &'static str,
    /// Why.
    pub error: &'a dyn fmt::Display,
}

impl NotLogged<'_> {
    /// Logs and counts it.
    pub fn emit(self) {
        REFUSED.with_label_values(&[self.what, "not_logged"]).inc();
        tracing::error!(what = self.what, error = %self.error, "the access log cannot be written");
    }
}
