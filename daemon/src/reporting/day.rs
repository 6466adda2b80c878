//! The day's summary (日汇总): counted with each revision, in the same commit; told when the day is over, and shown while it
//! goes on.

use serde::{Deserialize, Serialize};
use snowgate_core::{
    incidents::summary::{DailySummary, Lights, Told},
    time::{Clock, Moment},
};

use super::Reporting;
use crate::{events::incident as events, uptime::Uptimes};

/// The day that goes on, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Day {
    /// What it has brought.
    summary: DailySummary,
    /// Whether its date comes from a synchronised clock. Until it does, the day has no name, and goes over into the first
    /// that has one.
    dated: bool,
}

impl Day {
    /// The stored day, or a new one.
    pub(super) fn begin(with: &Reporting) -> Self {
        let stored = with.store.day().unwrap_or_else(|error| {
            events::Unreadable { incident: "the day's summary", error: &error }.emit();
            None
        });
        let stored = stored.and_then(|json| {
            serde_json::from_slice::<Self>(&json)
                .inspect_err(|error| events::Unreadable { incident: "the day's summary", error }.emit())
                .ok()
        });
        let now = with.clock.now();
        let day = stored.filter(|day| day.summary.gateway == with.gateway.id).unwrap_or_else(|| Self {
            summary: DailySummary::new(with.gateway.id.clone(), date(with, now)),
            dated: now.synchronised,
        });
        with.uptimes.continue_from(&day.summary.cameras, &day.summary.sensors);
        day
    }

    /// The day with one more revision.
    pub(super) fn counting(&self, told: Told<'_>) -> Self {
        let mut day = self.clone();
        day.summary.take(told);
        day
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // A struct of plain fields always serialises.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The summary as it is published.
    pub(super) fn message(&self) -> Vec<u8> {
        serde_json::to_vec(&self.summary).unwrap_or_default()
    }

    /// What is given: uptimes, and how many incidents are unfinished.
    pub(super) fn give(&mut self, uptimes: &Uptimes, unfinished: Lights, clock: &dyn Clock) {
        let (cameras, sensors) = uptimes.of_day(clock.mono());
        self.summary.set_uptimes(cameras, sensors);
        self.summary.unfinished_by_light = unfinished;
    }

    /// Gives a day without a date the one it has by a synchronised clock.
    pub(super) fn date(&mut self, with: &Reporting) {
        let now = with.clock.now();
        if now.synchronised && !self.dated {
            self.dated = true;
            self.summary.date = date(with, now);
        }
    }

    /// The day that is over, and the one that begins; none while it is the same.
    pub(super) fn turned(&self, with: &Reporting) -> Option<(Self, Self)> {
        let now = with.clock.now();
        let mut next = self.clone();
        let over = next.summary.turn(date(with, now), now)?;
        Some((Self { summary: over, dated: self.dated }, next))
    }
}

fn date(with: &Reporting, now: Moment) -> jiff::civil::Date {
    with.gateway.time_zone.to_datetime(now.wall).date()
}
