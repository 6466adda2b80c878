//! The daily summary (日汇总): what a day has brought, counted from the revisions of its incidents.
//!
//! Pure: a [`DailySummary`] takes in each revision with its event number ([`DailySummary::take`]) and passes over numbers that it
//! has taken, so that it may be stored beside the revisions, or made anew from them, and counts nothing twice. What no revision
//! says is *given*: how long cameras and sensors were up, and how many incidents are unfinished.
//!
//! It is bounded: of each kind of group there are at most [`MAX_GROUPS`]; what comes later is counted in the day's total only,
//! and [`DailySummary::groups_left_out`] says so.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Deadline, Handling, Light,
    event::{EventKind, Revision},
    verify::Outcome,
};
use crate::{ids::Id, time::Moment};

/// The most categories, grids, rules, cameras and sensors that are told apart, of each.
pub const MAX_GROUPS: usize = 512;

/// One day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DailySummary {
    /// The gateway.
    pub gateway: Id,
    /// The day, in the gateway's time zone.
    #[schemars(with = "String", extend("format" = "date"))]
    pub date: Date,
    /// Whether the day is over: until then the counts still grow.
    pub complete: bool,
    /// The last event number that was counted.
    pub sequence: u64,
    /// All of it.
    pub total: Tally,
    /// By category.
    pub by_category: Vec<Group<CategoryKey>>,
    /// By the grid it happened in.
    pub by_grid: Vec<Group<GridKey>>,
    /// By rule.
    pub by_rule: Vec<Group<RuleKey>>,
    /// Incidents finished on this day, by the light they were finished under.
    pub finished_by_light: Lights,
    /// Incidents unfinished now, by their light; as given.
    pub unfinished_by_light: Lights,
    /// Cameras, as given.
    pub cameras: Vec<Uptime>,
    /// Sensors, as given.
    pub sensors: Vec<Uptime>,
    /// How often something was counted in the total only, for there were too many groups.
    pub groups_left_out: u64,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Incidents opened.
    pub opened: u64,
    /// Conditions that were over.
    pub ended: u64,
    /// Incidents finished and closed.
    pub closed: u64,
    /// Incidents finished because there was nothing.
    pub false_alarms: u64,
    /// False alarms among all that were finished, 0..1; missing where nothing was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_alarm_share: Option<f64>,
    /// Incidents whose light turned yellow.
    pub turned_yellow: u64,
    /// Incidents whose light turned red.
    pub turned_red: u64,
    /// Verifications that found it over.
    pub verified_cleared: u64,
    /// Verifications that found it still so.
    pub verified_persists: u64,
    /// Verifications that could not tell.
    pub verified_cannot_tell: u64,
}

/// A group and its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "GroupBy{K}")]
pub struct Group<K> {
    /// What its incidents have in common.
    #[serde(flatten)]
    pub key: K,
    /// Its counts.
    #[serde(flatten)]
    pub tally: Tally,
}

/// A category.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Category")]
pub struct CategoryKey {
    /// Its id.
    pub category: Id,
}

/// A grid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Grid")]
pub struct GridKey {
    /// Its code.
    pub grid: String,
}

/// A rule of a camera or of a sensor, or a joined rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Rule")]
pub struct RuleKey {
    /// `camera`, `sensor` or `joined`.
    pub source_kind: String,
    /// Its id; of a joined rule the rule's.
    pub source: Id,
    /// The rule's id.
    pub rule: Id,
}

/// Incidents by light.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lights {
    /// Green.
    pub green: u64,
    /// Yellow.
    pub yellow: u64,
    /// Red: the time limit has passed.
    pub red: u64,
    /// Without a time limit.
    pub none: u64,
}

impl Lights {
    /// One more.
    pub fn add(&mut self, light: Option<Light>) {
        match light {
            Some(Light::Green) => self.green += 1,
            Some(Light::Yellow) => self.yellow += 1,
            Some(Light::Red) => self.red += 1,
            None => self.none += 1,
        }
    }
}

/// How long something was up on that day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Uptime {
    /// Id of the camera or sensor.
    pub id: Id,
    /// Seconds it was up.
    pub up_seconds: u64,
    /// Seconds it should have been up: since the day or the daemon began.
    pub watched_seconds: u64,
}

/// A revision on its way into the summary.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The number of its event.
    pub sequence: u64,
    /// The revision.
    pub revision: &'a Revision,
    /// The incident's light at the revision before; none for the first, and without a time limit.
    pub light_before: Option<Light>,
}

impl Told<'_> {
    /// The incident's light now; none without a time limit.
    fn light(&self) -> Option<Light> {
        self.revision.incident.deadline.as_ref().map(Deadline::light)
    }
}

impl DailySummary {
    /// A day on which nothing has happened yet.
    pub fn new(gateway: Id, date: Date) -> Self {
        Self {
            gateway,
            date,
            complete: false,
            sequence: 0,
            total: Tally::default(),
            by_category: Vec::new(),
            by_grid: Vec::new(),
            by_rule: Vec::new(),
            finished_by_light: Lights::default(),
            unfinished_by_light: Lights::default(),
            cameras: Vec::new(),
            sensors: Vec::new(),
            groups_left_out: 0,
        }
    }

    /// It is `today`, as `now` says: answers the day that is over, if it is, and begins the next one.
    ///
    /// A clock that is not synchronised ends no day. One that was set back by up to a day goes on counting into the later
    /// date, for a day that is over is not begun again; set back further, it was wrong before, and a day begins.
    pub fn turn(&mut self, today: Date, now: Moment) -> Option<Self> {
        let back_a_little = today < self.date && today.tomorrow().is_ok_and(|tomorrow| tomorrow >= self.date);
        if !now.synchronised || today == self.date || back_a_little {
            return None;
        }
        let mut next = Self::new(self.gateway.clone(), today);
        next.sequence = self.sequence;
        let over = std::mem::replace(self, next);
        Some(Self { complete: true, ..over })
    }

    /// Counts a revision; one whose number has been counted changes nothing.
    pub fn take(&mut self, told: Told<'_>) {
        if told.sequence <= self.sequence {
            return;
        }
        self.sequence = told.sequence;
        let incident = &told.revision.incident;
        self.total.count(&told);
        let (kind, source) = incident.origin.kind_and_id();
        let category = CategoryKey { category: incident.target.category.clone() };
        let grid = GridKey { grid: incident.target.grid.clone() };
        let rule = RuleKey { source_kind: kind.to_owned(), source: source.clone(), rule: incident.rule.clone() };
        let told_apart = count_in(&mut self.by_category, category, &told)
            & count_in(&mut self.by_grid, grid, &told)
            & count_in(&mut self.by_rule, rule, &told);
        self.groups_left_out += u64::from(!told_apart);
        if told.revision.kind == EventKind::Closed {
            self.finished_by_light.add(told.light());
        }
    }

    /// How long cameras and sensors were up; of each the first [`MAX_GROUPS`].
    pub fn set_uptimes(
        &mut self,
        cameras: impl IntoIterator<Item = Uptime>,
        sensors: impl IntoIterator<Item = Uptime>,
    ) {
        self.cameras = cameras.into_iter().take(MAX_GROUPS).collect();
        self.sensors = sensors.into_iter().take(MAX_GROUPS).collect();
    }
}

/// Counts in the group of this key; answers whether there is room for it. Groups are sorted by their keys.
fn count_in<K: Ord>(groups: &mut Vec<Group<K>>, key: K, told: &Told<'_>) -> bool {
    let at = match groups.binary_search_by(|group| group.key.cmp(&key)) {
        Ok(at) => at,
        Err(_) if groups.len() >= MAX_GROUPS => return false,
        Err(at) => {
            groups.insert(at, Group { key, tally: Tally::default() });
            at
        }
    };
    if let Some(group) = groups.get_mut(at) {
        group.tally.count(told);
    }
    true
}

impl Tally {
    fn count(&mut self, told: &Told<'_>) {
        let incident = &told.revision.incident;
        match told.revision.kind {
            EventKind::Opened => self.opened += 1,
            EventKind::Ended => self.ended += 1,
            EventKind::Closed if incident.handling == Handling::RejectedFalseAlarm => self.false_alarms += 1,
            EventKind::Closed => self.closed += 1,
            EventKind::Verified => match incident.verifications.last().map(|verification| verification.outcome) {
                Some(Outcome::Cleared) => self.verified_cleared += 1,
                Some(Outcome::Persists) => self.verified_persists += 1,
                Some(Outcome::CannotTell) | None => self.verified_cannot_tell += 1,
            },
            EventKind::Updated => {}
        }
        if told.light() != told.light_before {
            match told.light() {
                Some(Light::Yellow) => self.turned_yellow += 1,
                Some(Light::Red) => self.turned_red += 1,
                Some(Light::Green) | None => {}
            }
        }
        let finished = self.closed + self.false_alarms;
        self.false_alarm_share =
            (finished > 0).then(|| (1_000.0 * self.false_alarms as f64 / finished as f64).round() / 1_000.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::{
        incidents::testing,
        time::{Clock, ManualClock},
    };

    fn clock() -> ManualClock {
        ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap())
    }

    fn summary() -> DailySummary {
        DailySummary::new("demo".parse().unwrap(), "2026-03-01".parse().unwrap())
    }

    fn revision(kind: EventKind, handling: Handling, clock: &ManualClock) -> Revision {
        let mut incident = testing::incident(clock);
        incident.handling = handling;
        Revision { kind, incident }
    }

    fn told(sequence: u64, revision: &Revision) -> Told<'_> {
        Told { sequence, revision, light_before: Some(Light::Green) }
    }

    #[test]
    fn a_day_is_counted_by_category_grid_rule_and_light() {
        let clock = clock();
        let mut day = summary();
        let opened = revision(EventKind::Opened, Handling::Reported, &clock);
        let closed = revision(EventKind::Closed, Handling::Closed, &clock);
        let rejected = revision(EventKind::Closed, Handling::RejectedFalseAlarm, &clock);
        let red = |mut revision: Revision| {
            clock.advance(std::time::Duration::from_secs(7_200));
            assert!(revision.incident.turn_light(&testing::calendar(), clock.now()));
            revision
        };
        let late = red(revision(EventKind::Updated, Handling::Reported, &clock));
        let closed_late = red(revision(EventKind::Closed, Handling::Closed, &clock));
        day.take(told(1, &opened));
        day.take(told(2, &opened));
        day.take(told(3, &opened));
        day.take(Told { light_before: Some(Light::Yellow), ..told(4, &late) });
        day.take(Told { light_before: Some(Light::Red), ..told(5, &closed_late) });
        day.take(told(6, &closed));
        day.take(told(7, &rejected));
        day.take(told(7, &rejected));
        let Tally { opened, closed, false_alarms, turned_red, false_alarm_share, .. } = day.total;
        assert_eq!((opened, closed, false_alarms, turned_red), (3, 2, 1, 1));
        assert_eq!(false_alarm_share, Some(0.333));
        assert_eq!(day.finished_by_light, Lights { green: 2, red: 1, ..Lights::default() });
        assert_eq!((day.by_rule.len(), day.by_rule[0].tally), (1, day.total));
        let json = serde_json::to_value(&day).unwrap();
        assert_eq!(json["by_rule"][0]["rule"], "yard-intrusion");
        assert_eq!(json["by_rule"][0]["source"], "gate");
        assert_eq!(json["by_grid"][0]["grid"], "330522101003");
        assert_eq!(json["by_category"][0]["false_alarms"], 1);
        assert_eq!(serde_json::from_value::<DailySummary>(json).unwrap(), day);
    }

    #[test]
    fn groups_are_bounded_and_the_total_is_right_all_the_same() {
        let clock = clock();
        let mut day = summary();
        let mut opened = revision(EventKind::Opened, Handling::Reported, &clock);
        let many = MAX_GROUPS as u64 + 10;
        for sequence in 1..=many {
            opened.incident.target.grid = format!("{sequence:064}");
            opened.incident.target.category = format!("{sequence:064}").parse().unwrap();
            opened.incident.rule = format!("{sequence:064}").parse().unwrap();
            day.take(told(sequence, &opened));
        }
        assert_eq!((day.total.opened, day.by_grid.len(), day.groups_left_out), (many, MAX_GROUPS, 10));
        let up = |number: u64| Uptime {
            id: format!("{number:064}").parse().unwrap(),
            up_seconds: 86_400,
            watched_seconds: 86_400,
        };
        day.set_uptimes((0..many).map(up), (0..many).map(up));
        let bytes = serde_json::to_vec(&day).unwrap().len();
        assert!(bytes < 700_000, "{bytes} bytes: it must fit into a packet of 1 MiB at its largest");
    }

    #[test]
    fn a_day_ends_once_whatever_the_clock_does() {
        let mut day = summary();
        day.take(told(9, &revision(EventKind::Opened, Handling::Reported, &clock())));
        let now = |synchronised| Moment { synchronised, ..clock().now() };
        let date = |text: &str| text.parse::<Date>().unwrap();
        assert_eq!(day.turn(date("2026-03-01"), now(true)), None);
        assert_eq!(day.turn(date("2031-01-01"), now(false)), None);
        let over = day.turn(date("2026-03-02"), now(true)).unwrap();
        assert_eq!((over.complete, over.total.opened, over.date), (true, 1, date("2026-03-01")));
        assert_eq!((day.complete, day.total.opened, day.sequence), (false, 0, 9));
        assert_eq!(day.turn(date("2026-03-01"), now(true)), None, "a second before midnight again");
        assert_eq!(day.date, date("2026-03-02"));
        assert!(day.turn(date("2025-01-01"), now(true)).is_some(), "it had been wrong");
    }

    proptest! {
        #[test]
        fn groups_add_up_and_nothing_is_counted_twice(
            events in proptest::collection::vec(
                (1u64..40, select(&[EventKind::Opened, EventKind::Ended, EventKind::Closed, EventKind::Updated]), 0u8..3),
                0..60,
            )
        ) {
            let clock = clock();
            let (mut once, mut twice) = (summary(), summary());
            for (sequence, kind, grid) in events {
                let mut revision = revision(kind, Handling::Closed, &clock);
                revision.incident.target.grid = grid.to_string();
                once.take(told(sequence, &revision));
                twice.take(told(sequence, &revision));
                twice.take(told(sequence, &revision));
            }
            prop_assert_eq!(&once, &twice);
            let sum = |of: fn(&Tally) -> u64| once.by_grid.iter().map(|group| of(&group.tally)).sum::<u64>();
            prop_assert_eq!(sum(|tally| tally.opened), once.total.opened);
            prop_assert_eq!(sum(|tally| tally.closed), once.total.closed);
            prop_assert!(once.by_grid.is_sorted_by(|one, other| one.key < other.key));
        }
    }
}
