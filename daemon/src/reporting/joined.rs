//! Joined rules: what the rules of several cameras and sensors tell is joined as soon as their own incidents are on disk.

use std::{collections::HashMap, sync::Arc};

use snowgate_core::{
    ids::{Id, IncidentId},
    incidents::{JoinedSource, Source, event::EventKind},
    joined::{Coincidence, Device, JoinedRules, RuleOf, Told},
    rules::Change as Happened,
    time::Mono,
};

use super::{
    Look,
    reporter::{Change, Reporter, as_found},
};
use crate::evidence::provenance::Provenance;

/// The joined rules, and everything that their incidents carry.
#[derive(Debug, Default)]
pub struct Joined {
    rules: JoinedRules,
    sources: HashMap<(Id, String), Source<JoinedSource>>,
}

impl Joined {
    /// These rules. The sources are those of each rule for each grid in which its condition may be completed; where that was is
    /// put in when it is known.
    pub fn new(rules: JoinedRules, sources: impl IntoIterator<Item = ((Id, String), Source<JoinedSource>)>) -> Self {
        Self { rules, sources: sources.into_iter().collect() }
    }
}

/// What a rule of a camera or of a sensor has told.
pub(super) struct Heard<'a> {
    pub device: Device,
    pub rule: &'a Id,
    pub episode: u64,
    pub change: Happened,
    pub at: Mono,
    pub incident: IncidentId,
}

impl Reporter {
    /// Joins what has been told, if there are rules that do. What begins counts once its incident is on disk, what ends in any
    /// case.
    pub(super) fn join(&mut self, heard: Heard<'_>, on_disk: bool) {
        let Heard { device, rule, episode, change, at, incident } = heard;
        if !on_disk && change == Happened::Began {
            return;
        }
        let by = RuleOf { device, rule: rule.clone() };
        let mut coincidences = Vec::new();
        let rules = &mut self.with.joined.rules;
        rules.it_is(self.with.clock.now());
        rules.hear(&Told { by, episode, change, at, incident }, &mut coincidences);
        self.coincided(coincidences);
    }

    /// Other rules are in force: those that are the same go on with what they have heard.
    pub(super) fn replace_joined(&mut self, joined: Joined) {
        let Joined { rules, sources } = joined;
        let mut ended = Vec::new();
        self.with.joined.rules.replace(rules, &mut ended);
        // By what their incidents have carried until now.
        self.coincided(ended);
        self.with.joined.sources = sources;
    }

    /// Time has passed: what counted may not count any more.
    pub(super) fn look_after_joined(&mut self) {
        let now = self.with.clock.now();
        let mut coincidences = Vec::new();
        let rules = &mut self.with.joined.rules;
        rules.it_is(now);
        rules.tick(now.mono, &mut coincidences);
        self.coincided(coincidences);
    }

    fn coincided(&mut self, coincidences: Vec<Coincidence>) {
        for coincidence in coincidences {
            let completed_by = &coincidence.completed_by;
            let key = (coincidence.rule.clone(), completed_by.grid.clone());
            let Some(source) = self.with.joined.sources.get(&key) else { continue };
            let source = Source { place: completed_by.place.clone(), ..source.clone() };
            let Some(revision) = self.book.coincided(&source, &coincidence, &*self.with.clock) else {
                self.tell_passed_over();
                continue;
            };
            let (kind, grid) = (revision.kind, revision.incident.target.grid.clone());
            let of = Provenance::of(&revision.incident);
            let change = Change { revision: Some(as_found(revision)), ..Change::default() };
            if self.commit(change) && kind == EventKind::Opened {
                let (priority, place) = (source.priority, source.place);
                self.look_at(Look { of: Arc::new(of), verification: None, priority, grid, place });
            }
        }
    }
}
