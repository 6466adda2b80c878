//! What a camera's zones, lines and rules can be told.

use super::MissingReference;
use crate::{
    choice,
    geometry::{GroundPlane, GroundPlaneError, GroundSize, Point, Polygon},
    ids::Id,
    incidents::{Merge, Worse},
    observation::Label,
    priority::Priority,
    scene::Condition,
    sensor::anomaly::spec::Count,
    severity::Severity,
    spec,
    spec::{Bounded, Fraction, Located, Maybe, TimeSpan},
    tagged,
};

spec! {
    /// An area on the ground that rules refer to.
    pub struct ZoneSpec {
        /// Name that rules refer to; unique within the camera.
        id: Located<Id>,
        /// What people call it; used in titles.
        name: Maybe<String> = Maybe::NONE,
        /// Corners in order, fractions of the frame.
        polygon: Polygon,
        /// How it is reported.
        flatten report: ReportSpec,
    }
}

spec! {
    /// A directed line on the ground that line crossing rules refer to.
    pub struct LineSpec {
        /// Name that rules refer to; unique within the camera.
        id: Located<Id>,
        /// What people call it; used in titles.
        name: Maybe<String> = Maybe::NONE,
        /// Where it starts, fractions of the frame.
        start: Point,
        /// Where it ends. Left and right are those of somebody who looks from start to end.
        end: Located<Point>,
        /// How it is reported.
        flatten report: ReportSpec,
    }
}

spec! {
    /// How an incident is reported. What a rule leaves out comes from its zone or line, then from its camera, then
    /// from its category.
    pub struct ReportSpec {
        /// Category id, as in categories.toml.
        category: Maybe<Located<Id>> = Maybe::NONE,
        /// Severity, where it differs from the category's.
        severity: Maybe<Severity> = Maybe::NONE,
        /// Severities in its place of what begins while schedules hold; the first that does decides.
        severity_during: Maybe<Vec<SeverityDuringSpec>> = Maybe::NONE,
        /// Grid code, where it differs from the camera's.
        grid: Maybe<Located<String>> = Maybe::NONE,
        /// Time within which it must be handled, where it differs from the category's.
        time_limit: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// A severity for a time: night is major.
    pub struct SeverityDuringSpec {
        /// The schedule's id, as in schedules.toml.
        schedule: Located<Id>,
        /// Severity of what begins while it holds.
        severity: Severity,
    }
}

spec! {
    /// One rule of a camera.
    pub struct RuleSpec {
        /// Name of the rule; unique within the camera.
        id: Located<Id>,
        /// The schedule, as in schedules.toml, while which it watches; always if left out.
        schedule: Maybe<Located<Id>> = Maybe::NONE,
        /// Which things it looks at: labels of the object model, or "face". Rules about the whole scene look at none.
        labels: Located<Vec<String>> = Located::nowhere(vec!["person".to_owned()]),
        /// Detections below this score do not count for this rule.
        min_score: Located<Fraction> = Located::nowhere(Fraction(0.4)),
        /// Things lower than this share of the frame's height do not count.
        min_height: Located<Fraction> = Located::nowhere(Fraction(0.0)),
        /// How long the condition must hold before it is an incident: 1 s for intrusion, 30 s for loitering, 2 s for
        /// count, 1 min for stationary, 1 s for wrong_way, 5 min for absence, 500 ms for speed, 1 min for offline if left out;
        /// crossing a line takes no time. Of offline it counts from the last picture. Of tamper and anomaly it counts from the first picture that showed it, and what `health.for` and
        /// `anomaly.for` demand comes first.
        r#for: Maybe<TimeSpan> = Maybe::NONE,
        /// How long after an incident was opened further things join it instead of opening another one.
        cool_down: TimeSpan = TimeSpan::secs(0),
        /// How long the condition must have been over before the incident ends.
        linger: TimeSpan = TimeSpan::secs(3),
        /// For how long it opens no other incident after people have closed one of its incidents, or rejected it as a false alarm;
        /// it is never quiet if left out. At most 7 days.
        quiet_after: Maybe<TimeSpan> = Maybe::NONE,
        /// Whose still is made first when many are wanted at once, and last gives way when they are too many.
        priority: Priority = Priority::Normal,
        /// How it is reported.
        flatten report: ReportSpec,
        /// What it watches for.
        flatten kind: RuleKind,
    }
}

impl RuleSpec {
    /// How long the condition must hold, with the default that suits the kind of rule.
    pub fn hold(&self) -> TimeSpan {
        self.r#for.unwrap_or(match self.kind {
            RuleKind::Intrusion(_) => TimeSpan::secs(1),
            RuleKind::Loitering(_) => TimeSpan::secs(30),
            RuleKind::Count(_) => TimeSpan::secs(2),
            RuleKind::Stationary(_) | RuleKind::Offline(_) => TimeSpan::secs(60),
            RuleKind::WrongWay(_) => TimeSpan::secs(1),
            RuleKind::Absence(_) => TimeSpan::secs(300),
            RuleKind::Speed(_) => TimeSpan::millis(500),
            RuleKind::LineCrossing(_) | RuleKind::Tamper(_) | RuleKind::Anomaly(_) => TimeSpan::secs(0),
        })
    }

    /// The labels that models must look for: its own, and people where it is about what they leave behind. None of a rule
    /// about the whole scene.
    pub fn looks_for(&self) -> impl Iterator<Item = &str> {
        let bringer = match &self.kind {
            RuleKind::Stationary(keys) if keys.after_bringer_left && !self.is_of(Label::PERSON) => Some(Label::PERSON),
            _ => None,
        };
        let own = self.labels.iter().filter(|_| !self.kind.is_of_scene()).map(String::as_str);
        own.chain(bringer)
    }

    /// Whether people are among the things it looks at.
    fn is_of_people(&self) -> bool {
        self.is_of(Label::PERSON) || self.is_of(Label::FACE)
    }

    fn is_of(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own == label)
    }

    /// The polygon of a zone that it names.
    ///
    /// # Errors
    /// There is no such zone.
    pub(super) fn zone<'z>(&self, zones: &'z [ZoneSpec], id: &Id) -> Result<&'z Polygon, MissingReference> {
        let missing = || MissingReference { rule: self.id.value.clone(), what: "zone", missing: id.clone() };
        let zone = zones.iter().find(|zone| zone.id.value == *id);
        zone.map(|zone| &zone.polygon).ok_or_else(missing)
    }

    /// Whether what it finds joins an incident that people have not finished with.
    ///
    /// # Errors
    /// The rule asks for what it cannot have: what it watches for neither is a condition nor stands still, or it would join
    /// for ever.
    pub fn merge(&self) -> Result<Option<Merge>, NoMerge> {
        let (within, stands_still) = match &self.kind {
            RuleKind::Count(keys) => (keys.merge_within.0, true),
            RuleKind::Absence(keys) => (keys.merge_within.0, true),
            RuleKind::Loitering(keys) => (keys.merge_within.0, keys.include_parked && !self.is_of_people()),
            RuleKind::Stationary(keys) => (keys.merge_within.0, !self.is_of_people()),
            RuleKind::Tamper(keys) => (keys.merge_within.0, true),
            RuleKind::Anomaly(keys) => (keys.merge_within.0, true),
            RuleKind::Offline(keys) => (keys.merge_within.0, true),
            RuleKind::Intrusion(_) | RuleKind::LineCrossing(_) | RuleKind::WrongWay(_) | RuleKind::Speed(_) => {
                (None, true)
            }
        };
        match within {
            Some(_) if !stands_still => Err(NoMerge::Moves),
            within => merge_within(within, Worse::Latest),
        }
    }
}

/// Why a rule cannot have what it finds join earlier incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMerge {
    /// What it watches for moves, so what comes later is something else.
    #[error(
        "only what stands still joins an earlier incident: no labels of people, and loitering needs `include_parked`"
    )]
    Moves,
    /// It is too long, or no time at all.
    #[error("must be more than 0s and at most {}", Merge::LONGEST)]
    Length,
}

/// The choice to merge within that time, if one is given.
///
/// # Errors
/// It is too long, or no time at all.
pub fn merge_within(within: Option<TimeSpan>, worse: Worse) -> Result<Option<Merge>, NoMerge> {
    match within {
        Some(within) if within.is_zero() || within > Merge::LONGEST => Err(NoMerge::Length),
        within => Ok(within.map(|within| Merge::new(within, worse))),
    }
}

tagged! {
    /// What a rule watches for.
    pub enum RuleKind by "kind" {
        /// A thing is inside a zone.
        "intrusion" => Intrusion(InZoneSpec),
        /// A thing crosses a line.
        "line_crossing" => LineCrossing(LineCrossingSpec),
        /// A thing stays inside a zone for long; "for" says how long.
        "loitering" => Loitering(LoiteringSpec),
        /// More things than a limit are inside a zone at once, or more than that on a square metre.
        "count" => Count(CountSpec),
        /// A thing has come and stands still inside a zone: a parked car, dumped rubbish, something left behind; "for" says how
        /// long.
        "stationary" => Stationary(StationarySpec),
        /// A thing moves against the allowed direction inside a zone.
        "wrong_way" => WrongWay(WrongWaySpec),
        /// Fewer things than enough are inside a zone: a post that must be manned; "for" says how long.
        "absence" => Absence(AbsenceSpec),
        /// A thing goes faster than a limit over measured ground.
        "speed" => Speed(SpeedSpec),
        /// The camera cannot be relied upon: it is covered, turned, out of focus, frozen.
        "tamper" => Tamper(TamperSpec),
        /// Something is in the scene that was never there, and stays: rubbish, a fallen wall, water, smoke.
        "anomaly" => Anomaly(UnknownThingSpec),
        /// No pictures come from the camera; "for" says for how long.
        "offline" => Offline(OfflineSpec),
    }
}

impl RuleKind {
    /// Whether it is about the whole scene, or the camera itself, rather than about things in it.
    pub const fn is_of_scene(&self) -> bool {
        matches!(self, Self::Tamper(_) | Self::Anomaly(_) | Self::Offline(_))
    }

    /// The zone that it names, if it does.
    pub const fn zone(&self) -> Option<&Located<Id>> {
        match self {
            Self::Intrusion(keys) => Some(&keys.zone),
            Self::Loitering(keys) => Some(&keys.zone),
            Self::Count(keys) => Some(&keys.zone),
            Self::Stationary(keys) => Some(&keys.zone),
            Self::WrongWay(keys) => Some(&keys.zone),
            Self::Absence(keys) => Some(&keys.zone),
            Self::Speed(keys) => Some(&keys.zone),
            Self::Anomaly(keys) => keys.zone.0.as_ref(),
            Self::LineCrossing(_) | Self::Tamper(_) | Self::Offline(_) => None,
        }
    }
}

spec! {
    /// Keys of an intrusion rule.
    pub struct InZoneSpec {
        /// The zone's id.
        zone: Located<Id>,
        /// Whether things count that have never moved since they were first seen, such as a car parked all along.
        include_parked: bool = false,
    }
}

spec! {
    /// Keys of a rule about things that stay inside a zone.
    pub struct LoiteringSpec {
        /// The zone's id.
        zone: Located<Id>,
        /// Whether things count that have never moved since they were first seen, such as a car parked all along.
        include_parked: bool = false,
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days. It is for things that stand still, such as a dumped heap: only with
        /// `include_parked`, and not of people.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a line crossing rule.
    pub struct LineCrossingSpec {
        /// The line's id.
        line: Located<Id>,
        /// Which crossings count.
        direction: Direction = Direction::Both,
    }
}

choice! {
    /// Which crossings of a line count, seen by somebody who looks from its start to its end.
    pub enum Direction {
        /// Either way.
        Both = "both",
        /// From the left-hand side to the right-hand side.
        LeftToRight = "left_to_right",
        /// From the right-hand side to the left-hand side.
        RightToLeft = "right_to_left",
    }
}

spec! {
    /// Keys of a count rule.
    pub struct CountSpec {
        /// The zone's id.
        zone: Located<Id>,
        /// The condition holds while more things than this are inside; 0: while there are any. Either this or `density`.
        limit: Maybe<u32> = Maybe::NONE,
        /// With `limit`: once told of, it is over when no more than so many are left: at most `limit`, which it is if left out.
        end_limit: Maybe<u32> = Maybe::NONE,
        /// The condition holds while more things than this are on a square metre, more than 0 and up to 10. Either this or
        /// `limit`. The zone then has exactly four corners, which are those of a rectangle on flat ground.
        density: Maybe<Bounded<0, 10>> = Maybe::NONE,
        /// With `density`: once told of, it is over when no more than this are left on a square metre: at most `density`, which it
        /// is if left out.
        end_density: Maybe<Bounded<0, 10>> = Maybe::NONE,
        /// With `density`, and required there: the sides of that rectangle in metres, 1 to 1000: from the zone's first corner to its
        /// second, and from its second to its third.
        metres: Maybe<GroundSize> = Maybe::NONE,
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a rule about things that have come and stand still inside a zone. What it looks for stands in `labels`.
    pub struct StationarySpec {
        /// The zone's id.
        zone: Located<Id>,
        /// Whether it is about things left behind: the time counts from when nobody has been near the thing.
        after_bringer_left: bool = false,
        /// With `after_bringer_left`: somebody is near whose feet are no further from the thing's box than so many times the
        /// height of that person, 0 to 10.
        bringer_distance: Bounded<0, 10> = Bounded(1.5),
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days. Not of people.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a rule about things that move against the allowed direction.
    pub struct WrongWaySpec {
        /// The zone's id.
        zone: Located<Id>,
        /// Where an arrow that points the allowed way starts, fractions of the frame.
        from: Point,
        /// Where it points.
        to: Located<Point>,
        /// How far a way may turn from the arrow and still be right, in degrees in the picture stretched to a square, 10 to
        /// 170. At 120 only what comes towards the arrow within 60 degrees is wrong; below 90 crossing the lane is, too.
        tolerance: Bounded<10, 170> = Bounded(120.0),
        /// How far a thing must go the wrong way, as the crow flies, as a share of the frame.
        min_distance: Fraction = Fraction(0.05),
    }
}

spec! {
    /// Keys of a rule about a post that must be manned.
    pub struct AbsenceSpec {
        /// The zone's id.
        zone: Located<Id>,
        /// The condition holds while fewer things than this are inside, 1 to 1000.
        least: Count<1, 1000> = Count::new(1),
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a rule about how fast things go.
    pub struct SpeedSpec {
        /// The zone's id. It has exactly four corners, which are those of a rectangle on flat ground.
        zone: Located<Id>,
        /// The sides of that rectangle in metres, 1 to 1000: from the zone's first corner to its second, and from its second to
        /// its third.
        metres: GroundSize,
        /// What is faster is too fast, in kilometres per hour, 1 to 300.
        above: Bounded<1, 300>,
    }
}

impl SpeedSpec {
    /// The measured ground, where `zone` is the zone's polygon.
    ///
    /// # Errors
    /// The zone cannot be the picture of a rectangle.
    pub fn ground(&self, zone: &Polygon) -> Result<GroundPlane, GroundPlaneError> {
        GroundPlane::new(zone, self.metres)
    }
}

spec! {
    /// Keys of a rule about what is wrong with a camera's pictures. It has no zone: it is about the camera.
    pub struct TamperSpec {
        /// What counts.
        conditions: Located<Vec<Condition>> = Located::nowhere(Condition::PRECEDENCE.to_vec()),
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a rule about things that were never in the scene before.
    pub struct UnknownThingSpec {
        /// The zone's id: at least half of the thing must lie in it. All that the camera shows if left out.
        zone: Maybe<Located<Id>> = Maybe::NONE,
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

spec! {
    /// Keys of a rule about a camera from which no pictures come. It has no zone: it is about the camera.
    pub struct OfflineSpec {
        /// For how long after an incident was opened what is found anew joins it, if people have not finished with it by then;
        /// nothing joins if left out. At most 30 days.
        merge_within: Maybe<TimeSpan> = Maybe::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read_table;

    fn merge(keys: &str) -> Result<Option<Merge>, String> {
        let text = format!("id = 'rule'\n{keys}");
        let mut value = toml_span::parse(&text).map_err(|error| error.to_string())?;
        let rule: RuleSpec = read_table(&mut value).map_err(|error| format!("{error:?}"))?;
        rule.merge().map_err(|error| error.to_string())
    }

    #[test]
    fn conditions_and_what_stands_still_may_merge_and_nothing_else() {
        let within = |seconds| Ok(Some(Merge::new(TimeSpan::secs(seconds), Worse::Latest)));
        assert_eq!(merge("kind = 'count'\nzone = 'z'\nlimit = 3"), Ok(None));
        assert_eq!(merge("kind = 'count'\nzone = 'z'\nlimit = 3\nmerge_within = '2h'"), within(7_200));
        assert_eq!(merge("kind = 'absence'\nzone = 'z'\nmerge_within = '2h'"), within(7_200));
        assert_eq!(merge("kind = 'offline'\nmerge_within = '2h'"), within(7_200));
        let heap = "zone = 'z'\nlabels = ['heap']\nmerge_within = '1d'\nkind = ";
        assert_eq!(merge(&format!("{heap}'loitering'\ninclude_parked = true")), within(86_400));
        assert!(merge(&format!("{heap}'loitering'")).unwrap_err().contains("stands still"));
        assert!(merge(&format!("{heap}'intrusion'\ninclude_parked = true")).unwrap_err().contains("merge_within"));
        let people = "kind = 'loitering'\nzone = 'z'\nmerge_within = '1d'\ninclude_parked = true";
        assert!(merge(people).unwrap_err().contains("people"));
        assert_eq!(merge(&format!("{heap}'stationary'")), within(86_400));
        let people = "kind = 'stationary'\nzone = 'z'\nmerge_within = '1d'";
        assert!(merge(people).unwrap_err().contains("people"));
        assert!(merge("kind = 'line_crossing'\nline = 'l'\nmerge_within = '1d'").unwrap_err().contains("merge_within"));
        assert!(merge("kind = 'count'\nzone = 'z'\nlimit = 3\nmerge_within = '31d'").unwrap_err().contains("30d"));
        assert!(merge("kind = 'count'\nzone = 'z'\nlimit = 3\nmerge_within = '0s'").is_err());
    }
}
