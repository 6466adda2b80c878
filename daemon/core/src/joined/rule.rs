//! One joined rule: its groups, what it remembers, and its episodes.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Coincidence, Listened, MOST_NAMED, REMEMBERED, RuleOf, Told, Wiring, group,
    spec::{JoinedRuleSpec, When},
};
use crate::{
    ids::{Id, IncidentId},
    rules::{Change, MissingReference, duty::Duty},
    schedule::Schedules,
    time::{Moment, Mono},
};

/// Growth is told at most this often; what grew in between is told together.
const TELL_GROWTH_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Rule {
    spec: JoinedRuleSpec,
    /// The rules that it listens to, and the input that each is of.
    listened: Vec<(usize, Listened)>,
    duty: Duty,
    groups: Vec<Group>,
    heard: Vec<Heard>,
    episodes: u64,
}

/// Rules that are near each other.
#[derive(Debug)]
struct Group {
    members: BTreeSet<usize>,
    open: Option<Open>,
}

/// An episode of a rule that is listened to.
#[derive(Debug)]
struct Heard {
    /// Position of the rule.
    by: usize,
    episode: u64,
    began: Mono,
    ended: Option<Mono>,
    incident: IncidentId,
    /// The group in whose episode it counts.
    counts_in: Option<usize>,
}

/// An episode that has not ended.
#[derive(Debug)]
struct Open {
    number: u64,
    opened: Mono,
    completed_by: usize,
    last_seen: Mono,
    over_since: Option<Mono>,
    joins: Vec<(IncidentId, RuleOf)>,
    told: Mono,
    has_grown: bool,
}

impl Rule {
    /// # Errors
    /// It names a schedule that is not there.
    pub(super) fn new(wiring: Wiring, schedules: &Schedules) -> Result<Self, MissingReference> {
        let duty = Duty::new(&wiring.spec.id, wiring.spec.schedule.as_ref(), schedules)?;
        let groups = group::groups(&wiring).into_iter().map(|members| Group { members, open: None }).collect();
        let Wiring { spec, inputs } = wiring;
        let inputs = inputs.into_iter().enumerate();
        let listened = inputs.flat_map(|(input, rules)| rules.into_iter().map(move |rule| (input, rule))).collect();
        Ok(Self { spec, listened, duty, groups, heard: Vec::new(), episodes: 0 })
    }

    pub(super) fn id(&self) -> &Id {
        &self.spec.id
    }

    /// The rules that it listens to.
    pub(super) fn listened(&self) -> impl Iterator<Item = &Listened> {
        self.listened.iter().map(|(_, listened)| listened)
    }

    pub(super) fn it_is(&mut self, now: Moment) {
        self.duty.it_is(now);
    }

    /// Remembers what the rule at a position has told.
    pub(super) fn hear(&mut self, by: usize, told: &Told) {
        let under_way = |heard: &Heard| heard.by == by && heard.episode == told.episode && heard.ended.is_none();
        match told.change {
            Change::Began => {
                // A rule that was made anew counts its episodes from 1 again, and the one before is not there any more.
                self.heard.retain(|heard| !under_way(heard));
                if self.makes_room(by) {
                    let (episode, began, incident) = (told.episode, told.at, told.incident);
                    self.heard.push(Heard { by, episode, began, ended: None, incident, counts_in: None });
                }
            }
            Change::Grew => {}
            Change::Ended => {
                if let Some(heard) = self.heard.iter_mut().find(|heard| under_way(heard)) {
                    heard.ended = Some(told.at);
                }
            }
        }
    }

    /// Whether one more episode of the rule at a position can be remembered; the one that ended first gives way.
    fn makes_room(&mut self, by: usize) -> bool {
        if self.heard.iter().filter(|heard| heard.by == by).count() < REMEMBERED {
            return true;
        }
        let ended = self.heard.iter().enumerate().filter(|(_, heard)| heard.by == by);
        let first = ended.filter_map(|(place, heard)| Some((heard.ended?, place))).min();
        first.map(|(_, place)| self.heard.remove(place)).is_some()
    }

    /// It is `now`: begins, goes on with and ends what is due.
    pub(super) fn settle(&mut self, now: Mono, coincidences: &mut Vec<Coincidence>) {
        let within = self.spec.within.0;
        self.heard.retain(|heard| heard.ended.is_none_or(|ended| now.since(ended) <= within));
        // What is open has the first claim to what is new.
        for group in 0..self.groups.len() {
            if let Some(open) = self.groups[group].open.take() {
                self.groups[group].open = self.go_on(group, open, now, coincidences);
            }
        }
        for group in 0..self.groups.len() {
            if self.groups[group].open.is_none() && self.holds(group) {
                self.groups[group].open = self.begin(group, now, coincidences);
            }
        }
    }

    /// Everything ends now.
    pub(super) fn end(&mut self, now: Mono, coincidences: &mut Vec<Coincidence>) {
        for group in 0..self.groups.len() {
            if let Some(open) = self.groups[group].open.take() {
                coincidences.push(self.coincidence(&open, now, Change::Ended));
            }
        }
    }

    /// Goes on where a rule of the same name stopped, if it was the same rule; what that one had open ends otherwise.
    pub(super) fn take_over(&mut self, mut before: Self, now: Mono, coincidences: &mut Vec<Coincidence>) {
        if (&before.spec, &before.listened) == (&self.spec, &self.listened) {
            (self.groups, self.heard) = (before.groups, before.heard);
        } else {
            before.end(now, coincidences);
        }
        self.episodes = before.episodes;
    }

    /// What counts in a group.
    fn counting(&self, group: usize) -> impl Iterator<Item = &Heard> {
        let members = &self.groups[group].members;
        self.heard.iter().filter(move |heard| {
            members.contains(&heard.by) && heard.counts_in.is_none_or(|counts_in| counts_in == group)
        })
    }

    /// Whether the condition holds in a group.
    fn holds(&self, group: usize) -> bool {
        if !self.duty.is_on() {
            return false;
        }
        let met = |input: usize| self.counting(group).filter(move |heard| self.listened[heard.by].0 == input);
        let mut inputs = 0..self.spec.inputs.len();
        match self.spec.when {
            // The earliest that is not too early leaves the most room for those after it.
            When::Sequence(_) => inputs
                .try_fold(Mono::default(), |before, input| {
                    met(input).map(|heard| heard.began).filter(|began| *began >= before).min()
                })
                .is_some(),
            When::All(_) | When::Any(_) | When::AtLeast(_) => {
                inputs.filter(|&input| met(input).next().is_some()).count() >= self.spec.needed()
            }
        }
    }

    fn begin(&mut self, group: usize, now: Mono, coincidences: &mut Vec<Coincidence>) -> Option<Open> {
        let completed_by = self.counting(group).max_by_key(|heard| heard.began)?.by;
        self.episodes += 1;
        let mut open = Open {
            number: self.episodes,
            opened: now,
            completed_by,
            last_seen: now,
            over_since: None,
            joins: Vec::new(),
            told: now,
            has_grown: false,
        };
        self.join(group, &mut open);
        open.has_grown = false;
        coincidences.push(self.coincidence(&open, now, Change::Began));
        Some(open)
    }

    /// An open episode; `None` if it has ended.
    fn go_on(&mut self, group: usize, mut open: Open, now: Mono, coincidences: &mut Vec<Coincidence>) -> Option<Open> {
        self.join(group, &mut open);
        if self.holds(group) {
            (open.last_seen, open.over_since) = (now, None);
        } else {
            let over_since = *open.over_since.get_or_insert(now);
            if now.since(over_since) >= self.spec.linger.0 && now.since(open.opened) >= self.spec.cool_down.0 {
                coincidences.push(self.coincidence(&open, now, Change::Ended));
                self.heard.iter_mut().filter(|it| it.counts_in == Some(group)).for_each(|it| it.counts_in = None);
                return None;
            }
        }
        if open.has_grown && now >= open.told + TELL_GROWTH_EVERY {
            coincidences.push(self.coincidence(&open, now, Change::Grew));
            (open.told, open.has_grown) = (now, false);
        }
        Some(open)
    }

    /// What counts in a group counts in its episode from now on.
    fn join(&mut self, group: usize, open: &mut Open) {
        let members = &self.groups[group].members;
        let new = self.heard.iter_mut().filter(|heard| heard.counts_in.is_none() && members.contains(&heard.by));
        for heard in new {
            heard.counts_in = Some(group);
            let joins = (heard.incident, self.listened[heard.by].1.to.clone());
            if open.joins.len() < MOST_NAMED && !open.joins.contains(&joins) {
                open.joins.push(joins);
                open.has_grown = true;
            }
        }
    }

    fn coincidence(&self, open: &Open, at: Mono, change: Change) -> Coincidence {
        Coincidence {
            rule: self.id().clone(),
            episode: open.number,
            at,
            change,
            completed_by: self.listened[open.completed_by].1.clone(),
            since: open.opened,
            last_seen: open.last_seen,
            joins: open.joins.clone(),
        }
    }
}
