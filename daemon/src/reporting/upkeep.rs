//! What time brings about: joined rules whose condition is over, lights that turn, times that become known, days that end, answers that may be forgotten.

use std::{collections::HashMap, time::Duration};

use snowgate_core::{
    ids::IncidentId,
    incidents::{Incident, Light, LightTimer, command::forget_expired_before, summary::Lights},
    time::{Mono, Synchronisation},
};

use super::{
    Reporting,
    reporter::{Change, Reporter, light, message, parse},
};
use crate::{
    events::{command::NotRead, evidence::NotPublished, incident as events},
    evidence::access_log::PublishedHead,
    store::{Class, Message, Store},
};

/// How often to look whether the clock has jumped, or the day turned.
const EVERY: Duration = Duration::from_secs(1);
/// How often the summary of the day that goes on is shown.
const SHOW_EVERY: Duration = Duration::from_secs(60);
/// How often answers that may be forgotten are.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// How often to learn anew from the store what is unfinished: what has been forgotten for space is counted no longer.
const RECALL_EVERY: Duration = Duration::from_secs(3600);
/// When to go on after the store could not be read.
const RECALL_RETRY: Duration = Duration::from_secs(60);
/// Incidents recalled in a row: after them findings and commands have their turn.
const RECALLED_AT_ONCE: usize = 256;
/// Incidents that people have finished with and that are recalled at the start, the newest: so far back rules know that they
/// are quiet.
const FINISHED_RECALLED: usize = 1024;
/// How long recalling may keep findings and commands waiting at the start. The newest incidents come first, so those that
/// something may join are there.
const HEAD_START: Duration = Duration::from_millis(250);
/// Incidents brought up to date in a row: after them findings and commands have their turn.
const AT_ONCE: usize = 8;

/// What is looked after.
#[derive(Default)]
pub(super) struct Upkeep {
    timer: LightTimer,
    /// Every incident that people have not finished with.
    unfinished: HashMap<IncidentId, Unfinished>,
    recall: Recall,
    /// Whether the clock's times have been filled in.
    synchronised: bool,
    /// When to look next, to show the day next, and to forget next.
    look: Mono,
    show: Mono,
    forget: Mono,
}

struct Unfinished {
    light: Option<Light>,
    /// When it was last seen to be in the store.
    round: u32,
}

/// Going through all that is unfinished in the store, the newest first, over and over.
#[derive(Default)]
struct Recall {
    /// When to go on.
    due: Mono,
    /// The last one seen in this round.
    before: Option<String>,
    /// Rounds completed.
    round: u32,
}

impl Recall {
    /// Whether it goes through the store for the first time, and is not held up by a store that cannot be read.
    fn is_in_its_first_round(&self, now: Mono) -> bool {
        self.round == 0 && self.due <= now
    }
}

impl Upkeep {
    /// The days that count have changed: when lights turn is worked out anew, of everything that is unfinished.
    pub(super) fn plan_anew(&mut self) {
        let round = self.recall.round;
        self.recall = Recall { round, ..Recall::default() };
    }

    /// An incident has a new revision.
    pub(super) fn plan(&mut self, incident: &Incident, with: &Reporting) {
        self.timer.plan(incident, &with.calendar, with.clock.boot_id());
        if incident.handling.is_finished() {
            self.unfinished.remove(&incident.id);
        } else {
            let unfinished = Unfinished { light: light(incident), round: self.recall.round };
            self.unfinished.insert(incident.id, unfinished);
        }
    }

    /// An incident is not there any more.
    fn gone(&mut self, incident: IncidentId) {
        self.timer.forget(incident);
        self.unfinished.remove(&incident);
    }

    fn lights(&self) -> Lights {
        let mut lights = Lights::default();
        self.unfinished.values().for_each(|unfinished| lights.add(unfinished.light));
        lights
    }

    /// All of the store has been gone through: what was not there has gone.
    fn end_round(&mut self, now: Mono) {
        let Self { timer, unfinished, recall, .. } = self;
        unfinished.retain(|incident, unfinished| {
            let there = unfinished.round == recall.round;
            if !there {
                timer.forget(*incident);
            }
            there
        });
        *recall = Recall { due: now + RECALL_EVERY, before: None, round: recall.round.wrapping_add(1) };
    }
}

impl Reporter {
    /// Takes over from an earlier run: its incidents, lights and verifications.
    pub(super) fn take_over(&mut self) {
        let Ok(active) = self.read("those left open by an earlier run", Store::active_incidents) else { return };
        for incident in active.iter().filter_map(parse) {
            let light = light(&incident);
            let revision = self.book.end_left_open(incident, &*self.with.clock);
            self.commit(Change { revision: Some((revision, light)), ..Change::default() });
        }
        self.recall_finished();
        let began = self.with.clock.mono();
        while self.recall() && self.with.clock.mono().since(began) < HEAD_START {}
        self.conclude_left_open();
        let head: Vec<Message> = self.access_head().into_iter().collect();
        self.commit(Change { messages: head, ..Change::default() });
    }

    /// Learns from the store which rules are quiet.
    fn recall_finished(&mut self) {
        match self.with.store.finished_incidents(FINISHED_RECALLED) {
            Ok(newest_first) => {
                newest_first.iter().rev().filter_map(parse).for_each(|incident| self.book.recall_finished(&incident));
            }
            // Then none is.
            Err(error) => events::Unreadable { incident: "finished ones", error: &error }.emit(),
        }
    }

    /// Goes on learning from the store what people have not finished with, where that is due. Whether there is more at once.
    fn recall(&mut self) -> bool {
        let Self { upkeep, book, with, .. } = self;
        let now = with.clock.mono();
        if now < upkeep.recall.due {
            return false;
        }
        let page = match with.store.unfinished_incidents(upkeep.recall.before.as_deref(), RECALLED_AT_ONCE) {
            Ok(page) => page,
            Err(error) => {
                events::Unreadable { incident: "unfinished ones", error: &error }.emit();
                upkeep.recall.due = now + RECALL_RETRY;
                return false;
            }
        };
        for incident in page.iter().filter_map(parse) {
            upkeep.plan(&incident, with);
            if upkeep.recall.round == 0 {
                book.recall(incident);
            }
        }
        match page.into_iter().nth(RECALLED_AT_ONCE - 1) {
            Some(last) => upkeep.recall.before = Some(last.id),
            None => upkeep.end_round(now),
        }
        upkeep.recall.before.is_some()
    }

    /// Does what is due, a little at a time. Answers when there is more to do.
    pub(super) fn look_after(&mut self) -> Mono {
        let recalling = self.recall();
        self.look_after_joined();
        let next = self.bring_up_to_now();
        if recalling { self.with.clock.mono() } else { next }
    }

    fn bring_up_to_now(&mut self) -> Mono {
        let now = self.with.clock.now();
        if now.mono < self.upkeep.look {
            return self.upkeep.look;
        }
        if now.synchronised && !self.upkeep.synchronised {
            self.upkeep.synchronised = self.fill_in();
        }
        let due = self.upkeep.timer.take_due(now, AT_ONCE);
        let more = due.len() == AT_ONCE;
        for incident in due {
            self.bring_up_to_date(incident);
        }
        self.look_after_day(now.mono);
        if self.upkeep.forget <= now.mono {
            self.upkeep.forget = now.mono + FORGET_EVERY;
            self.forget_commands();
        }
        self.upkeep.look = if more { now.mono } else { now.mono + EVERY };
        self.upkeep.look
    }

    fn bring_up_to_date(&mut self, incident: IncidentId) {
        let Ok(stored) = self.stored(incident) else { return };
        // One that has been forgotten for space has no light any more.
        let Some(stored) = stored else { return self.upkeep.gone(incident) };
        let before = light(&stored);
        let as_it_is = stored.clone();
        match self.book.refresh(stored, &*self.with.clock) {
            Some(revision) => {
                let (rule, now) = (revision.incident.rule.clone(), light(&revision.incident));
                if self.commit(Change { revision: Some((revision, before)), ..Change::default() }) && now != before {
                    events::LightTurned { rule: rule.as_str(), light: now }.emit();
                }
            }
            None => self.upkeep.plan(&as_it_is, &self.with),
        }
    }

    /// Fills in the wall times that this boot wrote before its clock was right; those of incidents follow one by one. Whether
    /// it could.
    fn fill_in(&mut self) -> bool {
        let clock = &self.with.clock;
        let Some(known) = Synchronisation::told_by(clock.boot_id(), clock.now()) else { return false };
        self.day.date(&self.with);
        let filled_in = self.with.store.fill_in(known);
        if let Err(error) = &filled_in {
            events::NotFilledIn { error }.emit();
        }
        filled_in.is_ok()
    }

    fn look_after_day(&mut self, now: Mono) {
        // Until all that is unfinished has been counted once, no day is told or shown.
        if self.upkeep.recall.is_in_its_first_round(now) {
            return;
        }
        if let Some((mut over, next)) = self.day.turned(&self.with) {
            over.give(&self.with.uptimes, self.upkeep.lights(), &*self.with.clock);
            let told = Message { retain: true, ..message(Class::Summary, self.topics.daily_summary(), over.message()) };
            // One that no packet can carry is not told; the next day begins all the same.
            let mut messages = if self.with.store.check(&told).is_ok() { vec![told] } else { Vec::new() };
            messages.extend(self.access_head());
            if self.commit(Change { messages, day: Some(next), ..Change::default() }) {
                self.with.uptimes.begin_day(now);
            }
            self.upkeep.show = now;
        }
        if self.upkeep.show <= now {
            self.upkeep.show = now + SHOW_EVERY;
            let lights = self.upkeep.lights();
            self.day.give(&self.with.uptimes, lights, &*self.with.clock);
            events::Unfinished { lights }.emit();
            self.with.retained.set(self.topics.summary_today(), self.day.message());
        }
    }

    /// The last line of the access log, as it is published: from then on nobody can cut the log off before it unnoticed.
    fn access_head(&self) -> Option<Message> {
        let Reporting { access_log, signing_key, gateway, clock, .. } = &self.with;
        let head = access_log
            .publish()
            .and_then(|head| PublishedHead::new(&gateway.id, head, clock.now(), signing_key.as_ref()))
            .inspect_err(|error| NotPublished { error }.emit())
            .ok()?;
        // A struct of plain fields always serialises.
        let head = serde_json::to_vec(&head).unwrap_or_default();
        Some(Message { retain: true, ..message(Class::Summary, self.topics.access_head(), head) })
    }

    fn forget_commands(&self) {
        let Some(before) = forget_expired_before(self.with.clock.now()) else { return };
        if let Err(error) = self.with.store.forget_commands(before) {
            NotRead { name: "expired", error: &error }.emit();
        }
    }
}
