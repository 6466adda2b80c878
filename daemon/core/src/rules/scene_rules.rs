//! Rules about the whole scene: what its camera's key frames are fit for, and what is in it that was never there.

use std::{fmt, time::Duration};

use super::{
    Finding, MissingReference, Subject,
    duty::Duty,
    episode::{Alarm, Episodes},
    explain::{About, Explanation, Progress, Verdict},
    spec::{RuleKind, RuleSpec, TamperSpec, ZoneSpec},
    succession::{Definition, Followed, succeed},
};
use crate::{
    geometry::{Point, Polygon, Rect},
    ids::Id,
    observation::Label,
    scene::{self, Health, anomaly::Outlook},
    schedule::Schedules,
    time::{Moment, Mono},
};

/// What nobody has looked at for so long is not there any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// All rules of one camera about its whole scene, with their state.
#[derive(Debug, Default)]
pub struct SceneRules {
    rules: Vec<SceneRule>,
}

/// What a key frame gave. Each kind of rule takes in its own part; where neither is there nobody could see.
#[derive(Debug, Clone, Copy)]
pub struct SceneObservation<'a> {
    /// When it was taken, on the box's monotonic clock.
    pub at: Mono,
    /// What is wrong with the camera.
    pub health: Option<&'a Health>,
    /// What is in the scene that was never there.
    pub outlook: Option<Outlook<'a>>,
}

impl<'a> SceneObservation<'a> {
    /// Of what is wrong with the camera.
    pub const fn of_health(at: Mono, health: &'a Health) -> Self {
        Self { at, health: Some(health), outlook: None }
    }

    /// Of what is in the scene.
    pub const fn of_outlook(at: Mono, outlook: Outlook<'a>) -> Self {
        Self { at, health: None, outlook: Some(outlook) }
    }

    /// Of a time at which nobody could see.
    pub const fn of_nothing(at: Mono) -> Self {
        Self { at, health: None, outlook: None }
    }

    const fn is_of_nothing(&self) -> bool {
        self.health.is_none() && self.outlook.is_none()
    }
}

impl SceneRules {
    /// Rules that have seen nothing yet; those about things of known kinds are passed over.
    ///
    /// # Errors
    /// The first rule that names a zone or schedule which is not there.
    pub fn new(zones: &[ZoneSpec], schedules: &Schedules, rules: &[RuleSpec]) -> Result<Self, MissingReference> {
        let rules = rules.iter().filter_map(|rule| SceneRule::new(zones, schedules, rule).transpose());
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// As [`CameraRules::succeed`](super::CameraRules::succeed).
    pub fn succeed(&mut self, successors: Self, at: Mono, findings: &mut Vec<Finding>) {
        succeed(&mut self.rules, successors.rules, at, findings);
    }

    /// As [`CameraRules::it_is`](super::CameraRules::it_is).
    pub fn it_is(&mut self, now: Moment) {
        self.rules.iter_mut().for_each(|rule| rule.duty.it_is(now));
    }

    /// As [`CameraRules::keeps_hours`](super::CameraRules::keeps_hours).
    pub fn keeps_hours(&self) -> bool {
        self.rules.iter().any(|rule| rule.duty.is_part_time())
    }

    /// Takes in one key frame and appends what there is to tell.
    pub fn observe(&mut self, observation: &SceneObservation<'_>, findings: &mut Vec<Finding>) {
        for rule in &mut self.rules {
            let nothing = SceneObservation::of_nothing(observation.at);
            let observation = if rule.duty.is_on() { observation } else { &nothing };
            rule.episodes.next_picture();
            if rule.watching.observe(observation, &mut rule.episodes, findings) {
                rule.last = Some(observation.at);
            }
            rule.episodes.settle(observation.at, findings);
        }
    }

    /// Time has passed without pictures: what nobody could see ends after its `linger` as if seen over. What has stayed is
    /// given ten minutes before.
    pub fn lapse(&mut self, at: Mono, findings: &mut Vec<Finding>) {
        self.observe(&SceneObservation::of_nothing(at), findings);
    }

    /// Whether the condition of a rule holds in the key frame of that time, as [`CameraRules::holds`](super::CameraRules::holds).
    /// `None` if there is no such rule, it rests by its schedule, or that was not the last key frame that it took in.
    pub fn holds(&self, rule: &Id, at: Mono, patience: Duration) -> Option<bool> {
        let rule = self.rules.iter().find(|known| known.episodes.rule() == rule)?;
        (rule.duty.is_on() && rule.last == Some(at)).then(|| rule.watching.holds(at, patience))
    }

    /// Appends what each rule has to say of what it has taken in by now.
    pub fn explain(&self, at: Mono, explanations: &mut Vec<Explanation>) {
        self.rules.iter().for_each(|rule| rule.explain(at, explanations));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any episode is under way.
    pub fn is_active(&self) -> bool {
        self.rules.iter().any(|rule| !rule.episodes.is_empty())
    }
}

#[derive(Debug)]
struct SceneRule {
    definition: Definition,
    duty: Duty,
    watching: Box<dyn Watching>,
    episodes: Episodes,
    /// When the last key frame that it took in was taken.
    last: Option<Mono>,
}

impl SceneRule {
    /// `None` if it is no rule about the whole scene.
    fn new(zones: &[ZoneSpec], schedules: &Schedules, spec: &RuleSpec) -> Result<Option<Self>, MissingReference> {
        let polygon = spec.kind.zone().map(|id| spec.zone(zones, id)).transpose()?.cloned();
        let watching: Box<dyn Watching> = match &spec.kind {
            RuleKind::Tamper(keys) => Box::new(TamperRule::new(keys, spec.hold().0)),
            RuleKind::Anomaly(_) => Box::new(AnomalyRule {
                zone: polygon.clone(),
                hold: spec.hold().0,
                things: Vec::new(),
                outside: Vec::new(),
                looked: Mono(0),
            }),
            RuleKind::Intrusion(_)
            | RuleKind::LineCrossing(_)
            | RuleKind::Loitering(_)
            | RuleKind::Count(_)
            | RuleKind::Stationary(_)
            | RuleKind::WrongWay(_)
            | RuleKind::Absence(_)
            | RuleKind::Speed(_)
            | RuleKind::Offline(_) => return Ok(None),
        };
        let episodes = Episodes::new(spec.id.value.clone(), spec.cool_down.0, spec.linger.0);
        let duty = Duty::new(&spec.id, spec.schedule.as_ref(), schedules)?;
        let definition = Definition { spec: spec.clone(), polygon, line: None };
        Ok(Some(Self { definition, duty, watching, episodes, last: None }))
    }
}

impl Followed for SceneRule {
    fn definition(&self) -> (&Definition, &Duty) {
        (&self.definition, &self.duty)
    }

    fn episodes(&mut self) -> &mut Episodes {
        &mut self.episodes
    }
}

impl SceneRule {
    fn explain(&self, at: Mono, explanations: &mut Vec<Explanation>) {
        let Self { duty, watching, episodes, .. } = self;
        let mut said = |about, label, verdict| {
            let resting = duty.resting().map(|schedule| Verdict::Resting { schedule: schedule.clone() });
            let verdict = resting.or_else(|| episodes.fired(about)).unwrap_or(verdict);
            explanations.push(Explanation { rule: episodes.rule().clone(), about, label, verdict });
        };
        watching.explain(at, episodes, &mut said);
    }
}

/// What one kind of rule watches for.
trait Watching: fmt::Debug + Send {
    /// Takes in one key frame: raises alarms with `episodes` and releases them. Answers whether it is about what this rule
    /// watches for.
    fn observe(
        &mut self,
        observation: &SceneObservation<'_>,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) -> bool;

    /// Whether the condition holds in the last key frame taken in, which is of this time. What must last for longer than
    /// `patience` need last no longer.
    fn holds(&self, at: Mono, patience: Duration) -> bool;

    /// Says what there is to say of what it has taken in by now.
    fn explain(&self, at: Mono, episodes: &Episodes, say: &mut dyn FnMut(About, Option<Label>, Verdict));
}

/// Tamper: the camera cannot be relied upon. What is wrong may change while an episode goes on: a lens that is sprayed is
/// out of focus before it is covered.
#[derive(Debug)]
struct TamperRule {
    conditions: Vec<scene::Condition>,
    hold: Duration,
    /// What holds in the last key frame, and since when.
    holding: Option<(scene::Condition, Mono)>,
    /// The episode it has alarmed in.
    episode: Option<u64>,
}

impl TamperRule {
    fn new(keys: &TamperSpec, hold: Duration) -> Self {
        Self { conditions: keys.conditions.value.clone(), hold, holding: None, episode: None }
    }
}

impl Watching for TamperRule {
    fn observe(
        &mut self,
        observation: &SceneObservation<'_>,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let at = observation.at;
        if observation.health.is_none() && !observation.is_of_nothing() {
            return false;
        }
        let mut counting =
            observation.health.into_iter().flat_map(Health::holding).filter(|(held, _)| self.conditions.contains(held));
        // The first one is what to tell.
        self.holding = counting.next();
        match (self.holding, self.episode) {
            (Some((condition, _)), Some(episode)) => {
                episodes.holds(episode, at, 1.0);
                episodes.turns_into(episode, condition);
            }
            (Some((condition, since)), None) if at.since(since) >= self.hold => {
                let alarm = Alarm { condition: Some(condition), ..Alarm::holding(since) };
                self.episode = Some(episodes.alarm(at, alarm, findings));
            }
            (Some(_), None) => {}
            (None, episode) => {
                self.episode = None;
                episode.into_iter().for_each(|episode| episodes.release(episode));
            }
        }
        true
    }

    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        self.holding.is_some_and(|(_, since)| self.episode.is_some() || at.since(since) >= enough)
    }

    fn explain(&self, at: Mono, episodes: &Episodes, say: &mut dyn FnMut(About, Option<Label>, Verdict)) {
        let verdict = match (self.episode, self.holding) {
            (Some(episode), _) => Verdict::Told { episode, joins_for: episodes.joins_for(episode, at) },
            (None, Some((condition, since))) => {
                Verdict::Wrong { condition, progress: Progress { held: at.since(since), hold: self.hold } }
            }
            (None, None) => Verdict::Sound,
        };
        say(About::Picture, None, verdict);
    }
}

/// Anomaly: something is in the scene that was never there, and stays. Each such thing is told of once.
#[derive(Debug)]
struct AnomalyRule {
    /// Where it counts; everywhere if left out.
    zone: Option<Polygon>,
    hold: Duration,
    /// Those that count.
    things: Vec<UnknownThing>,
    /// The regions of those that are in another place.
    outside: Vec<u64>,
    /// When somebody last looked.
    looked: Mono,
}

/// An unknown thing that a rule follows.
#[derive(Debug)]
struct UnknownThing {
    /// Its region.
    region: u64,
    since: Mono,
    /// Whether it is still to be seen in the last picture.
    visible: bool,
    /// The episode it was told in.
    episode: Option<u64>,
}

impl AnomalyRule {
    fn take(&mut self, at: Mono, outlook: &Outlook<'_>, episodes: &mut Episodes, findings: &mut Vec<Finding>) {
        let is_judged = outlook.is_judged;
        let Self { zone, hold, things, outside, .. } = self;
        outside.clear();
        for region in outlook.regions {
            if !zone.as_ref().is_none_or(|zone| lies_in(&region.rect, zone)) {
                outside.push(region.id);
                continue;
            }
            let place = things.iter().position(|thing| thing.region == region.id);
            let place = place.unwrap_or_else(|| {
                things.push(UnknownThing { region: region.id, since: region.since, visible: false, episode: None });
                things.len() - 1
            });
            let thing = &mut things[place];
            thing.visible = region.visible && is_judged;
            match thing.episode {
                Some(episode) => episodes.holds(episode, at, certainty(region.score)),
                None if at.since(thing.since) >= *hold => {
                    let alarm = Alarm {
                        things: 1,
                        score: certainty(region.score),
                        subjects: vec![Subject { label: Label::UNKNOWN.into(), rect: region.rect, track: None }],
                        about: vec![About::Region { region: region.id }],
                        ..Alarm::holding(thing.since)
                    };
                    thing.episode = Some(episodes.alarm(at, alarm, findings));
                }
                None => {}
            }
        }
        let stays = |thing: &UnknownThing| outlook.regions.iter().any(|region| region.id == thing.region);
        self.release(episodes, stays);
    }

    /// Forgets the things that do not stay.
    fn release(&mut self, episodes: &mut Episodes, stays: impl Fn(&UnknownThing) -> bool) {
        self.things.retain(|thing| {
            let stays = stays(thing);
            if let Some(episode) = thing.episode.filter(|_| !stays) {
                episodes.release(episode);
            }
            stays
        });
    }
}

impl Watching for AnomalyRule {
    fn observe(
        &mut self,
        observation: &SceneObservation<'_>,
        episodes: &mut Episodes,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let at = observation.at;
        match &observation.outlook {
            Some(outlook) => {
                self.looked = at;
                self.take(at, outlook, episodes, findings);
                outlook.is_judged
            }
            None => {
                if observation.is_of_nothing() && at.since(self.looked) >= FORGOTTEN_AFTER {
                    self.release(episodes, |_| false);
                }
                false
            }
        }
    }

    fn holds(&self, at: Mono, patience: Duration) -> bool {
        let enough = self.hold.min(patience);
        self.things.iter().any(|thing| thing.visible && (thing.episode.is_some() || at.since(thing.since) >= enough))
    }

    fn explain(&self, at: Mono, episodes: &Episodes, say: &mut dyn FnMut(About, Option<Label>, Verdict)) {
        let mut say = |region, verdict| say(About::Region { region }, Some(Label::UNKNOWN.into()), verdict);
        for thing in &self.things {
            let told = |episode| Verdict::Told { episode, joins_for: episodes.joins_for(episode, at) };
            let stands = || Verdict::Stands(Progress { held: at.since(thing.since), hold: self.hold });
            say(thing.region, thing.episode.map_or_else(stands, told));
        }
        self.outside.iter().for_each(|region| say(*region, Verdict::OutsideZone));
    }
}

/// Whether at least half of a box lies inside of a zone.
fn lies_in(rect: &Rect, zone: &Polygon) -> bool {
    const STEPS: usize = 8;
    let part = |step: usize| (step as f32 + 0.5) / STEPS as f32;
    let points = (0..STEPS * STEPS)
        .map(|point| Point::new(rect.x + rect.width * part(point % STEPS), rect.y + rect.height * part(point / STEPS)));
    points.filter(|point| zone.contains(*point)).count() * 2 >= STEPS * STEPS
}

/// How strange something is, as a score: 0.5 at the limit, towards 1 beyond.
fn certainty(heat: f32) -> f32 {
    let heat = heat.max(0.0);
    if heat.is_finite() { heat / (1.0 + heat) } else { 1.0 }
}

#[cfg(test)]
mod tests;
