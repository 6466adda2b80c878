//! Episodes: how single alarms of a rule become one tale with a beginning and an end.

use std::time::Duration;

use super::{
    Change, Finding, Subject, Tally,
    explain::{About, Verdict},
};
use crate::{geometry::Crossing, ids::Id, observation::Track, scene, time::Mono};

/// Growth is told at most this often; what grew in between is told together.
const TELL_GROWTH_EVERY: Duration = Duration::from_secs(5);

/// The episodes of one rule that have not ended.
#[derive(Debug)]
pub(super) struct Episodes {
    rule: Id,
    cool_down: Duration,
    linger: Duration,
    begun: u64,
    under_way: Vec<Episode>,
    /// What has alarmed in the last picture, and in which episode: for who asks why.
    fired: Vec<(About, u64)>,
}

#[derive(Debug)]
struct Episode {
    number: u64,
    opened: Mono,
    tally: Tally,
    /// How many alarms hold the condition now; the episode cannot end while there are any.
    holders: u32,
    told: Mono,
    has_grown: bool,
}

/// A condition has held long enough.
pub(super) struct Alarm {
    /// When it began to hold.
    pub since: Mono,
    /// Whether it goes on holding until [`Episodes::release`]; a crossing is over at once.
    pub holds: bool,
    /// How many things take part.
    pub things: u32,
    /// Which way a line was crossed.
    pub crossing: Option<Crossing>,
    /// Best score of the things.
    pub score: f32,
    /// What is wrong with the camera.
    pub condition: Option<scene::Condition>,
    /// The greatest height of the things, as a share of the frame's.
    pub height: Option<f32>,
    /// The highest speed of the things, in kilometres per hour.
    pub speed: Option<f32>,
    /// How many of them there are on a square metre.
    pub density: Option<f32>,
    /// The things.
    pub subjects: Vec<Subject>,
    /// By what they can be asked for; nothing where it is the whole picture.
    pub about: Vec<About>,
}

impl Alarm {
    /// One thing's condition has held since then, and goes on.
    pub(super) fn of(track: &Track, since: Mono) -> Self {
        Self::of_all(std::iter::once(track), since)
    }

    /// The condition of several things together has held since then, and goes on.
    pub(super) fn of_all<'t>(tracks: impl Iterator<Item = &'t Track> + Clone, since: Mono) -> Self {
        let subjects: Vec<_> = tracks.clone().map(Subject::from).collect();
        Self {
            things: u32::try_from(subjects.len()).unwrap_or(u32::MAX),
            score: best_score(tracks.clone()),
            height: greatest_height(tracks.clone()),
            subjects,
            about: tracks.map(About::from).collect(),
            ..Self::holding(since)
        }
    }

    /// A condition has held since then, and goes on; it is beyond doubt, and nothing takes part.
    pub(super) const fn holding(since: Mono) -> Self {
        Self {
            since,
            holds: true,
            things: 0,
            crossing: None,
            score: 1.0,
            condition: None,
            height: None,
            speed: None,
            density: None,
            subjects: Vec::new(),
            about: Vec::new(),
        }
    }
}

impl Episodes {
    pub(super) fn new(rule: Id, cool_down: Duration, linger: Duration) -> Self {
        Self { rule, cool_down, linger, begun: 0, under_way: Vec::new(), fired: Vec::new() }
    }

    /// Another picture is taken in.
    pub(super) fn next_picture(&mut self) {
        self.fired.clear();
    }

    /// The rule they are of.
    pub(super) fn rule(&self) -> &Id {
        &self.rule
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Joins the episode that is cooling down, or begins another; answers the episode's number.
    pub(super) fn alarm(&mut self, at: Mono, mut alarm: Alarm, findings: &mut Vec<Finding>) -> u64 {
        let mut about = std::mem::take(&mut alarm.about);
        if about.is_empty() {
            about.push(About::Picture);
        }
        let episode = self.join_or_begin(at, alarm, findings);
        self.fired.extend(about.into_iter().map(|about| (about, episode)));
        episode
    }

    fn join_or_begin(&mut self, at: Mono, alarm: Alarm, findings: &mut Vec<Finding>) -> u64 {
        let cool_down = self.cool_down;
        if let Some(episode) = self.under_way.iter_mut().find(|episode| at < episode.opened + cool_down) {
            episode.join(at, &alarm);
            episode.has_grown = true;
            return episode.number;
        }
        self.begun += 1;
        let mut episode = Episode::new(self.begun, at, alarm.since);
        episode.join(at, &alarm);
        findings.push(episode.finding(&self.rule, at, Change::Began, alarm.subjects));
        self.under_way.push(episode);
        self.begun
    }

    /// The condition is seen to hold.
    pub(super) fn holds(&mut self, number: u64, at: Mono, score: f32) {
        if let Some(episode) = self.find(number) {
            episode.tally.last_seen = at;
            episode.tally.score = episode.tally.score.max(score);
        }
    }

    /// These things are seen to hold the condition.
    pub(super) fn shows<'t>(&mut self, number: u64, at: Mono, tracks: impl Iterator<Item = &'t Track> + Clone) {
        self.holds(number, at, best_score(tracks.clone()));
        if let Some(episode) = self.find(number) {
            episode.tally.height = highest(episode.tally.height, greatest_height(tracks));
        }
    }

    /// So many things hold the condition together, and so many on a square metre, if that is known.
    pub(super) fn counts(&mut self, number: u64, count: u32, density: Option<f32>) {
        if let Some(episode) = self.find(number)
            && count > episode.tally.peak
        {
            episode.tally.peak = count;
            episode.tally.density = highest(episode.tally.density, density);
            episode.tally.things = episode.tally.things.max(count);
            episode.has_grown = true;
        }
    }

    /// Something else is wrong with the camera than before.
    pub(super) fn turns_into(&mut self, number: u64, condition: scene::Condition) {
        if let Some(episode) = self.find(number)
            && episode.tally.condition.replace(condition) != Some(condition)
        {
            episode.has_grown = true;
        }
    }

    /// A thing goes at that speed, in kilometres per hour.
    pub(super) fn goes(&mut self, number: u64, speed: f32) {
        if let Some(episode) = self.find(number) {
            episode.tally.speed = highest(episode.tally.speed, Some(speed));
        }
    }

    /// One alarm's condition is over.
    pub(super) fn release(&mut self, number: u64) {
        if let Some(episode) = self.find(number) {
            episode.holders = episode.holders.saturating_sub(1);
        }
    }

    /// Tells of growth that is due, and ends what is over.
    pub(super) fn settle(&mut self, at: Mono, findings: &mut Vec<Finding>) {
        let Self { rule, cool_down, linger, under_way, .. } = self;
        under_way.retain_mut(|episode| {
            let over =
                episode.holders == 0 && at >= episode.opened + *cool_down && at >= episode.tally.last_seen + *linger;
            if over {
                findings.push(episode.finding(rule, at, Change::Ended, Vec::new()));
            } else if episode.has_grown && at >= episode.told + TELL_GROWTH_EVERY {
                findings.push(episode.finding(rule, at, Change::Grew, Vec::new()));
                episode.told = at;
                episode.has_grown = false;
            }
            !over
        });
    }

    /// Ends everything at once, whatever holds.
    pub(super) fn close(&mut self, at: Mono, findings: &mut Vec<Finding>) {
        let Self { rule, under_way, .. } = self;
        findings.extend(under_way.drain(..).map(|episode| episode.finding(rule, at, Change::Ended, Vec::new())));
    }

    /// What is said of what has alarmed in the last picture.
    pub(super) fn fired(&self, about: About) -> Option<Verdict> {
        let (_, episode) = self.fired.iter().find(|(fired, _)| *fired == about)?;
        Some(Verdict::Fired { episode: *episode })
    }

    /// For how long further things join that episode.
    pub(super) fn joins_for(&self, number: u64, at: Mono) -> Duration {
        let episode = self.under_way.iter().find(|episode| episode.number == number);
        episode.map_or(Duration::ZERO, |episode| (episode.opened + self.cool_down).since(at))
    }

    fn find(&mut self, number: u64) -> Option<&mut Episode> {
        self.under_way.iter_mut().find(|episode| episode.number == number)
    }
}

impl Episode {
    fn new(number: u64, at: Mono, since: Mono) -> Self {
        let tally = Tally::new(since, at);
        Self { number, opened: at, tally, holders: 0, told: at, has_grown: false }
    }

    fn join(&mut self, at: Mono, alarm: &Alarm) {
        self.holders += u32::from(alarm.holds);
        let tally = &mut self.tally;
        tally.things += alarm.things;
        // No things take part in what is wrong with a camera, or in that nobody is there.
        let at_once = if alarm.things == 0 { 0 } else { self.holders };
        tally.peak = tally.peak.max(alarm.things).max(at_once);
        tally.condition = alarm.condition.or(tally.condition);
        tally.height = highest(tally.height, alarm.height);
        tally.speed = highest(tally.speed, alarm.speed);
        tally.density = highest(tally.density, alarm.density);
        tally.left_to_right += u32::from(alarm.crossing == Some(Crossing::LeftToRight));
        tally.right_to_left += u32::from(alarm.crossing == Some(Crossing::RightToLeft));
        tally.score = tally.score.max(alarm.score);
        tally.last_seen = at;
    }

    fn finding(&self, rule: &Id, at: Mono, change: Change, subjects: Vec<Subject>) -> Finding {
        Finding { rule: rule.clone(), episode: self.number, at, change, tally: self.tally, subjects }
    }
}

fn best_score<'t>(tracks: impl Iterator<Item = &'t Track>) -> f32 {
    tracks.map(|track| track.score).fold(0.0, f32::max)
}

fn greatest_height<'t>(tracks: impl Iterator<Item = &'t Track>) -> Option<f32> {
    tracks.map(|track| track.rect.height).reduce(f32::max)
}

/// The higher one of those that are known.
fn highest(one: Option<f32>, other: Option<f32>) -> Option<f32> {
    one.into_iter().chain(other).reduce(f32::max)
}
