//! The book of incidents: their life cycle from first finding to end.

mod quiet;

use std::{collections::HashMap, sync::Arc};

use self::quiet::Quiet;
use super::{
    CameraSource, Deadline, Dispositions, EndReason, Ending, Evidence, Handling, Incident, JoinedSource, Locale, Merge,
    Origin, Scene, SeenByCamera, SensorSource, Source, ToldBySensor,
    disposition::{self, Decision, Disposition, RememberedDisposition},
    event::{EventKind, Revision},
    merge::Newcomer,
    title,
    verify::{self, Verification},
};
use crate::{
    calendar::Calendar,
    ids::{Id, IncidentId, IncidentIds},
    joined::Coincidence,
    rules::{Change, Finding},
    sensor::{reading::Reading, rules::Alarm},
    time::{BootId, Clock, Mono, Stamp, Synchronisation},
};

/// The incidents of this run that what is found may still change. Pure: it decides, others store and announce.
///
/// Several episodes of a rule may be of one incident, where the rule [merges](Merge): it ends when the last of them does.
pub struct Book<I> {
    locale: Locale,
    boot: BootId,
    config_digest: String,
    calendar: Arc<Calendar>,
    ids: I,
    incidents: HashMap<IncidentId, Entry>,
    /// Which incident each episode under way is of.
    episodes: HashMap<(RuleKey, u64), IncidentId>,
    /// The newest incident of each rule that merges.
    joinable: HashMap<RuleKey, IncidentId>,
    quiet: Quiet,
}

/// `camera`, `sensor` or `joined`, its id, and its rule.
pub type RuleKey = (&'static str, Id, Id);

/// An incident, and the episodes it is made of.
struct Entry {
    incident: Incident,
    merge: Option<Merge>,
    /// The episodes that are over, together.
    over: Option<Origin>,
    /// The episodes under way; what was last told of comes last.
    under_way: Vec<(u64, Origin)>,
}

/// What findings, alarms and coincidences have in common.
struct Episode {
    number: u64,
    change: Change,
    at: Mono,
    since: Mono,
    last_seen: Mono,
    score: f32,
    origin: Origin,
    title: String,
}

impl<I: IncidentIds> Book<I> {
    /// A book without incidents, whose time limits in working time count by `calendar`.
    pub fn new(locale: Locale, boot: BootId, config_digest: String, calendar: Arc<Calendar>, ids: I) -> Self {
        let (incidents, episodes, joinable) = (HashMap::new(), HashMap::new(), HashMap::new());
        let quiet = Quiet::default();
        Self { locale, boot, config_digest, calendar, ids, incidents, episodes, joinable, quiet }
    }

    /// From now on another configuration is in force. Incidents that are open keep the digest of the one that found them.
    pub fn configure(&mut self, config_digest: String, calendar: Arc<Calendar>) {
        (self.config_digest, self.calendar) = (config_digest, calendar);
    }

    /// What a camera's finding makes of an incident. `None` if it belongs to none that is open, or its rule is
    /// [quiet](Self::take_passed_over).
    pub fn found(&mut self, source: &Source<CameraSource>, finding: &Finding, clock: &dyn Clock) -> Option<Revision> {
        let CameraSource { camera, area, models, .. } = &source.of;
        let seen = SeenByCamera {
            camera: camera.clone(),
            area: area.as_ref().map(|area| area.id.clone()),
            condition: finding.tally.condition,
            speed_kmh: finding.tally.speed.map(f32::round),
            height: finding.tally.height.map(|height| (height * 1000.0).round() / 1000.0),
            density_m2: finding.tally.density.map(|density| (density * 100.0).round() / 100.0),
            counts: (&finding.tally).into(),
            models: models.clone(),
        };
        let episode = Episode {
            number: finding.episode,
            change: finding.change,
            at: finding.at,
            since: finding.tally.since,
            last_seen: finding.tally.last_seen,
            score: finding.tally.score,
            origin: Origin::Camera(seen),
            title: title::of_camera(self.locale, source, &finding.tally),
        };
        self.apply(source, episode, clock)
    }

    /// What a sensor's alarm makes of an incident, with the last readings, the oldest first. `None` if it belongs to none
    /// that is open, or its rule is [quiet](Self::take_passed_over).
    pub fn alarmed<'r>(
        &mut self,
        source: &Source<SensorSource>,
        alarm: &Alarm,
        readings: impl IntoIterator<Item = &'r Reading>,
        clock: &dyn Clock,
    ) -> Option<Revision> {
        let SensorSource { sensor, quantity, unit, .. } = &source.of;
        let told = ToldBySensor {
            sensor: sensor.clone(),
            quantity: quantity.clone(),
            unit: unit.to_string(),
            measure: (&alarm.tally).into(),
            readings: readings.into_iter().map(Into::into).collect(),
        };
        let episode = Episode {
            number: alarm.episode,
            change: alarm.change,
            at: alarm.at,
            since: alarm.tally.since,
            last_seen: alarm.tally.last_seen,
            score: alarm.tally.score as f32,
            origin: Origin::Sensor(told),
            title: title::of_sensor(self.locale, source, &alarm.tally),
        };
        self.apply(source, episode, clock)
    }

    /// What a joined rule's coincidence makes of an incident. `None` if it belongs to none that is open.
    pub fn coincided(
        &mut self,
        source: &Source<JoinedSource>,
        coincidence: &Coincidence,
        clock: &dyn Clock,
    ) -> Option<Revision> {
        let episode = Episode {
            number: coincidence.episode,
            change: coincidence.change,
            at: coincidence.at,
            since: coincidence.since,
            last_seen: coincidence.last_seen,
            score: 0.0,
            origin: Origin::Joined { joined: coincidence.into() },
            title: title::of_joined(self.locale, source),
        };
        self.apply(source, episode, clock)
    }

    fn apply<O>(&mut self, source: &Source<O>, episode: Episode, clock: &dyn Clock) -> Option<Revision> {
        let (kind, id) = episode.origin.kind_and_id();
        let rule = (kind, id.clone(), source.rule.clone());
        let number = episode.number;
        match episode.change {
            Change::Began => self.begin(rule, source, episode, clock),
            Change::Grew if self.quiet.has_passed_over(&(rule.clone(), number)) => {
                self.begin(rule, source, episode, clock)
            }
            Change::Grew => {
                let id = self.episodes.get(&(rule, number))?;
                let entry = self.incidents.get_mut(id)?;
                entry.take_in(episode, clock);
                Some(entry.updated())
            }
            Change::Ended => {
                self.quiet.forget(&(rule.clone(), number));
                let id = self.episodes.remove(&(rule.clone(), number))?;
                let entry = self.incidents.get_mut(&id)?;
                let revision = entry.finish(episode, clock);
                if self.joinable.get(&rule) != Some(&id) {
                    self.forget_if_over(id);
                }
                Some(revision)
            }
        }
    }

    /// An episode joins an incident, or opens one, unless its rule is quiet.
    fn begin<O>(&mut self, rule: RuleKey, source: &Source<O>, episode: Episode, clock: &dyn Clock) -> Option<Revision> {
        let key = (rule.clone(), episode.number);
        if let Some((merge, id)) = self.joined_by(&rule, source, &episode, clock) {
            self.quiet.forget(&key);
            self.episodes.insert(key, id);
            return self.incidents.get_mut(&id).map(|entry| entry.join(merge, episode, clock));
        }
        let now = Stamp { boot: self.boot.clone(), moment: clock.moment_at(episode.at) };
        let is_quiet = self.quiet.passes_over(key, episode.change, source.quiet_after, &now);
        (!is_quiet).then(|| self.open(rule, source, episode, clock))
    }

    /// What began since this was last asked and opened no incident, since its rule is quiet: `camera` or `sensor`, its id, and
    /// its rule. To be asked whenever something was found that made no revision.
    pub fn take_passed_over(&mut self) -> Option<RuleKey> {
        self.quiet.take_untold()
    }

    /// The incident that an episode joins instead of opening one.
    fn joined_by<O>(
        &self,
        rule: &RuleKey,
        source: &Source<O>,
        episode: &Episode,
        clock: &dyn Clock,
    ) -> Option<(Merge, IncidentId)> {
        let (merge, id) = (source.merge?, self.joinable.get(rule)?);
        let target = source.target_at(clock.moment_at(episode.at));
        let newcomer = Newcomer { at: episode.at, boot: &self.boot, target, origin: &episode.origin };
        let entry = self.incidents.get(id)?;
        merge.joins(&entry.incident, newcomer).then_some((merge, *id))
    }

    fn open<O>(&mut self, rule: RuleKey, source: &Source<O>, episode: Episode, clock: &dyn Clock) -> Revision {
        let opened = clock.moment_at(episode.at);
        let target = source.target_at(opened);
        let deadline = target.time_limit.map(|limit| {
            let mut deadline = Deadline::new(limit, Stamp { boot: self.boot.clone(), moment: opened });
            deadline.turn(&self.calendar, clock.now());
            deadline
        });
        let incident = Incident {
            id: self.ids.next(opened),
            revision: 1,
            boot: self.boot.clone(),
            scene: Scene::Active,
            handling: Handling::Reported,
            dispositions: Dispositions::default(),
            verifications: Vec::new(),
            recurrences: 0,
            origin: episode.origin.clone(),
            rule: source.rule.clone(),
            rule_kind: source.rule_kind.clone(),
            priority: source.priority,
            target: target.clone(),
            place: source.place.clone(),
            title: episode.title,
            began: clock.moment_at(episode.since),
            opened,
            last_seen: clock.moment_at(episode.last_seen),
            deadline,
            ended: None,
            score: episode.score,
            evidence: Vec::new(),
            config_digest: self.config_digest.clone(),
        };
        let id = incident.id;
        self.episodes.insert((rule.clone(), episode.number), id);
        let under_way = vec![(episode.number, episode.origin)];
        self.incidents.insert(id, Entry { incident: incident.clone(), merge: source.merge, over: None, under_way });
        if source.merge.is_some() {
            self.keep_joinable(rule, id);
        }
        Revision { kind: EventKind::Opened, incident }
    }

    /// From now on this is the incident that the rule's episodes may join.
    fn keep_joinable(&mut self, rule: RuleKey, id: IncidentId) {
        if let Some(before) = self.joinable.insert(rule, id) {
            self.forget_if_over(before);
        }
    }

    fn forget_if_over(&mut self, id: IncidentId) {
        if self.incidents.get(&id).is_some_and(|entry| entry.under_way.is_empty()) {
            self.incidents.remove(&id);
        }
    }

    /// An incident of an earlier run that people have not finished with, whose scene has ended: what its rule finds may join
    /// it, if the rule says so.
    ///
    /// To be called in any order: the one that was opened last can be joined, by the monotonic clock, since all of them are of
    /// this boot; their ids follow the wall clock, which may have jumped. One that this run opened, or that something has
    /// joined and that goes on, is not replaced.
    pub fn recall(&mut self, stored: Incident) {
        if stored.boot != self.boot || stored.handling.is_finished() || stored.scene != Scene::Ended {
            return;
        }
        let (kind, id) = stored.origin.kind_and_id();
        let (rule, id) = ((kind, id.clone(), stored.rule.clone()), stored.id);
        let age = |incident: &Incident| (incident.opened.mono, incident.id);
        let stays = |entry: &Entry| !entry.under_way.is_empty() || age(&entry.incident) >= age(&stored);
        let joinable = self.joinable.get(&rule).and_then(|joinable| self.incidents.get(joinable));
        if joinable.is_some_and(stays) || self.incidents.contains_key(&id) {
            return;
        }
        let over = Some(stored.origin.clone());
        self.incidents.insert(id, Entry { incident: stored, merge: None, over, under_way: Vec::new() });
        self.keep_joinable(rule, id);
    }

    /// An incident that people have finished with, of an earlier run: its rule may be quiet because of it. Those that were
    /// opened first are to be recalled first.
    pub fn recall_finished(&mut self, incident: &Incident) {
        if let Some(at) = incident.dispositions.finished.as_ref().filter(|_| incident.handling.is_finished()) {
            let (kind, id) = incident.origin.kind_and_id();
            self.quiet.finished((kind, id.clone(), incident.rule.clone()), at);
        }
    }

    /// What becomes of a disposition; `stored` is the newest revision of its incident on disk. Nothing changes here until
    /// the revision is [on disk](Self::committed).
    pub fn dispose(
        &self,
        command: &Disposition,
        remembered: Option<&RememberedDisposition>,
        stored: Option<Incident>,
        clock: &dyn Clock,
    ) -> Decision {
        let incident = stored.map(|stored| self.newest(stored));
        disposition::decide(command, remembered, incident, Stamp::now(clock), &self.calendar)
    }

    /// What the box has seen when it was asked to look again, and the picture it has taken, if it has. Nothing changes here
    /// until the revision is [on disk](Self::committed).
    pub fn verified(&self, stored: Incident, verification: Verification, picture: Option<Evidence>) -> Revision {
        let mut incident = self.newest(stored);
        incident.evidence.extend(picture);
        verify::record(incident, verification)
    }

    /// A revision that does not come from what was found is on disk: what is found next builds upon it.
    pub fn committed(&mut self, incident: &Incident) {
        self.recall_finished(incident);
        let Some(entry) = self.incidents.get_mut(&incident.id) else { return };
        if incident.revision > entry.incident.revision {
            entry.incident = incident.clone();
        }
        if entry.incident.handling.is_finished() {
            self.joinable.retain(|_, id| *id != incident.id);
            self.forget_if_over(incident.id);
        }
    }

    /// The newest revision of an incident.
    fn newest(&self, stored: Incident) -> Incident {
        match self.incidents.get(&stored.id) {
            Some(entry) if entry.incident.revision > stored.revision => entry.incident.clone(),
            _ => stored,
        }
    }

    /// Adds a picture to an incident as last stored, open or ended. Nothing changes here until the revision is
    /// [on disk](Self::committed).
    pub fn add_evidence(&self, stored: Incident, evidence: Evidence) -> Revision {
        let mut incident = self.newest(stored);
        incident.evidence.push(evidence);
        updated(incident)
    }

    /// Brings an incident as last stored, open or ended, up to date with the clock: fills in the times of this boot once the
    /// clock is synchronised, and turns its light. `None` if nothing has changed. Nothing changes here until the revision is
    /// [on disk](Self::committed).
    pub fn refresh(&self, stored: Incident, clock: &dyn Clock) -> Option<Revision> {
        let now = clock.now();
        let sync = Synchronisation::told_by(&self.boot, now)?;
        let mut incident = self.newest(stored);
        let filled = incident.fill_in(&sync);
        let turned = incident.turn_light(&self.calendar, now);
        (filled || turned).then(|| updated(incident))
    }

    /// Ends an incident that an earlier run left open: nobody has watched it in between.
    pub fn end_left_open(&self, mut incident: Incident, clock: &dyn Clock) -> Revision {
        incident.end(EndReason::Restarted, clock);
        Revision { kind: EventKind::Ended, incident }
    }
}

fn updated(mut incident: Incident) -> Revision {
    incident.revision += 1;
    Revision { kind: EventKind::Updated, incident }
}

impl Entry {
    /// The condition holds again.
    fn join(&mut self, merge: Merge, episode: Episode, clock: &dyn Clock) -> Revision {
        self.merge = Some(merge);
        self.incident.scene = Scene::Active;
        self.incident.ended = None;
        self.incident.recurrences = self.incident.recurrences.saturating_add(1);
        self.take_in(episode, clock);
        self.updated()
    }

    /// One episode is over; the incident ends with the last one.
    fn finish(&mut self, episode: Episode, clock: &dyn Clock) -> Revision {
        self.take_in(episode, clock);
        if !self.under_way.is_empty() {
            return self.updated();
        }
        self.incident.end(EndReason::ConditionOver, clock);
        Revision { kind: EventKind::Ended, incident: self.incident.clone() }
    }

    fn take_in(&mut self, episode: Episode, clock: &dyn Clock) {
        let Episode { number, change, last_seen, score, origin, title, .. } = episode;
        let Self { incident, merge, over, under_way } = self;
        let merge = *merge;
        let together = |earlier: &Origin, later: &Origin| match merge {
            Some(merge) => merge.together(earlier, later),
            None => later.clone(),
        };
        if origin.camera().is_some_and(|seen| seen.condition.is_some()) {
            // What is wrong with a camera may be something else by now, and people read the title.
            incident.title = title;
        }
        under_way.retain(|(other, _)| *other != number);
        let others = over.iter().chain(under_way.iter().map(|(_, origin)| origin)).cloned();
        let others = others.reduce(|earlier, later| together(&earlier, &later));
        incident.origin = others.map_or_else(|| origin.clone(), |others| together(&others, &origin));
        incident.score = incident.score.max(score);
        if last_seen > incident.last_seen.mono {
            incident.last_seen = clock.moment_at(last_seen);
        }
        if change == Change::Ended {
            *over = Some(over.as_ref().map_or_else(|| origin.clone(), |over| together(over, &origin)));
        } else {
            under_way.push((number, origin));
        }
    }

    fn updated(&mut self) -> Revision {
        self.incident.revision += 1;
        Revision { kind: EventKind::Updated, incident: self.incident.clone() }
    }
}

impl Incident {
    fn end(&mut self, reason: EndReason, clock: &dyn Clock) {
        self.revision += 1;
        self.scene = Scene::Ended;
        let boot = Some(clock.boot_id()).filter(|boot| **boot != self.boot).cloned();
        self.ended = Some(Ending { at: clock.now(), boot, reason });
    }
}

#[cfg(test)]
mod tests;
