//! What a comparison found: clip by clip, each incident once, beside the one it is the same as.

use serde::Serialize;
use snowgate_core::choice;

use super::{cost::Cost, matching::matched, stills::NoStill};
use crate::{
    cli::replay::expect::{ReplayedIncident, near},
    evidence::still::Still,
};

/// Something of both configurations.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sides<T> {
    /// The first one's.
    pub a: T,
    /// The second one's.
    pub b: T,
}

/// Two configurations on the same clips.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    /// Their directories.
    pub configs: Sides<String>,
    /// What could be played, in the order in which it was.
    pub clips: Vec<ComparedClip>,
    /// What could not, and why.
    pub unplayable: Vec<String>,
}

/// One clip under both.
#[derive(Debug, Serialize)]
pub struct ComparedClip {
    /// The file.
    pub clip: String,
    /// What it took.
    pub cost: Sides<Cost>,
    /// By the time at which they began.
    pub incidents: Vec<Row>,
}

/// An incident of one or of both.
#[derive(Debug, Serialize)]
#[serde(tag = "in", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "most incidents are told by both, and a clip has few")]
pub enum Row {
    /// Both tell it.
    Both {
        /// As the first one does.
        a: Told,
        /// As the second one does.
        b: Told,
        /// In what they differ.
        differs: Vec<Difference>,
    },
    /// Only the first one tells it.
    OnlyA {
        /// As it does.
        a: Told,
    },
    /// Only the second one tells it.
    OnlyB {
        /// As it does.
        b: Told,
    },
}

/// An incident as it stood at the clip's end.
#[derive(Debug, Serialize)]
pub struct Told {
    /// The incident.
    #[serde(flatten)]
    pub incident: ReplayedIncident,
    /// Its still; nothing where none was asked for, or no picture opened it.
    #[serde(skip)]
    pub still: Option<Result<Still, NoStill>>,
}

choice! {
    /// In what two incidents differ that are the same.
    pub enum Difference {
        /// The rule has another id.
        Rule = "rule",
        /// It is about another zone or line.
        Area = "area",
        /// It belongs to another grid.
        Grid = "grid",
        /// It is filed under another category.
        Category = "category",
        /// It weighs more or less.
        Severity = "severity",
        /// More or fewer take part.
        Counts = "counts",
        /// It begins, is told or ends at another time.
        Times = "times",
    }
}

impl Difference {
    /// Everything in which these differ; what differs a little by chance (scores, times by less than 0.2 s) is no difference.
    fn between(a: &ReplayedIncident, b: &ReplayedIncident) -> Vec<Self> {
        let times = |of: &ReplayedIncident| [of.began, of.opened, of.last_seen];
        let differs = [
            (a.rule != b.rule, Self::Rule),
            (a.area != b.area, Self::Area),
            (a.grid != b.grid, Self::Grid),
            (a.category != b.category, Self::Category),
            (a.severity != b.severity, Self::Severity),
            (a.counts != b.counts, Self::Counts),
            (times(a).into_iter().zip(times(b)).any(|(a, b)| !near(a, b)), Self::Times),
        ];
        differs.into_iter().filter(|(differs, _)| *differs).map(|(_, difference)| difference).collect()
    }
}

impl Comparison {
    /// Whether both configurations tell the same of everything that could be played.
    pub fn is_same(&self) -> bool {
        self.clips.iter().flat_map(|clip| &clip.incidents).all(Row::is_same)
    }

    /// What all clips took together.
    pub fn cost(&self) -> Sides<Cost> {
        self.clips.iter().fold(Sides::default(), |sum, clip| Sides { a: sum.a + clip.cost.a, b: sum.b + clip.cost.b })
    }
}

impl ComparedClip {
    /// A clip in which the two told this.
    pub fn new(clip: String, told: Sides<Vec<Told>>, cost: Sides<Cost>) -> Self {
        let incidents = |told: &[Told]| told.iter().map(|told| told.incident.clone()).collect::<Vec<_>>();
        let matched = matched(&incidents(&told.a), &incidents(&told.b));
        let [mut a, mut b] = [told.a, told.b].map(|told| told.into_iter().map(Some).collect::<Vec<_>>());
        let take = |told: &mut [Option<Told>], at: Option<usize>| told.get_mut(at?).and_then(Option::take);
        let rows = matched.into_iter().filter_map(|(i, j)| Row::new(take(&mut a, i), take(&mut b, j)));
        let mut incidents: Vec<Row> = rows.collect();
        incidents.sort_by(|one, other| one.began().total_cmp(&other.began()));
        Self { clip, cost, incidents }
    }

    /// How many incidents are told by both, by the first only and by the second only.
    pub fn counts(&self) -> [usize; 3] {
        let count = |is: fn(&Row) -> bool| self.incidents.iter().filter(|row| is(row)).count();
        [
            count(|row| matches!(row, Row::Both { .. })),
            count(|row| matches!(row, Row::OnlyA { .. })),
            count(|row| matches!(row, Row::OnlyB { .. })),
        ]
    }
}

impl Row {
    fn new(a: Option<Told>, b: Option<Told>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => {
                let differs = Difference::between(&a.incident, &b.incident);
                Some(Self::Both { a, b, differs })
            }
            (Some(a), None) => Some(Self::OnlyA { a }),
            (None, Some(b)) => Some(Self::OnlyB { b }),
            (None, None) => None,
        }
    }

    /// The incident as each tells it, if it does.
    pub fn sides(&self) -> Sides<Option<&Told>> {
        match self {
            Self::Both { a, b, .. } => Sides { a: Some(a), b: Some(b) },
            Self::OnlyA { a } => Sides { a: Some(a), b: None },
            Self::OnlyB { b } => Sides { a: None, b: Some(b) },
        }
    }

    /// The incident, as the first of those tells it that do.
    pub fn told(&self) -> &Told {
        match self {
            Self::Both { a, .. } | Self::OnlyA { a } => a,
            Self::OnlyB { b } => b,
        }
    }

    /// In what they differ, where both tell it.
    pub fn differs(&self) -> &[Difference] {
        match self {
            Self::Both { differs, .. } => differs,
            Self::OnlyA { .. } | Self::OnlyB { .. } => &[],
        }
    }

    fn is_same(&self) -> bool {
        matches!(self, Self::Both { differs, .. } if differs.is_empty())
    }

    fn began(&self) -> f64 {
        let Sides { a, b } = self.sides();
        [a, b].into_iter().flatten().map(|told| told.incident.began).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use snowgate_core::severity::Severity;

    use super::*;
    use crate::cli::compare::testing::{compared, incident, told};

    #[test]
    fn incidents_stand_in_the_order_of_time_each_once() {
        let a = vec![incident("late", "yard", 30.0, 31.0), incident("kept", "yard", 10.0, 12.0)];
        let b = vec![incident("kept", "yard", 10.1, 12.0), incident("new", "gate", 5.0, 6.0)];
        let clip = compared(a, b);
        let rules: Vec<_> = clip.incidents.iter().map(|row| row.told().incident.rule.as_str()).collect();
        assert_eq!(rules, ["new", "kept", "late"]);
        assert_eq!(clip.counts(), [1, 1, 1]);
        let comparison = |clip| Comparison { clips: vec![clip], ..Comparison::default() };
        assert!(!comparison(clip).is_same());
        let same = || vec![incident("kept", "yard", 10.0, 12.0)];
        assert!(comparison(compared(same(), same())).is_same());
    }

    #[test]
    fn what_differs_is_named_and_chance_is_not() {
        let a = incident("kept", "yard", 10.0, 12.0);
        let chance = ReplayedIncident { score: 0.1, began: 10.15, incident: "07".into(), ..a.clone() };
        assert_eq!(Difference::between(&a, &chance), []);
        let mut other = ReplayedIncident { severity: Severity::Major, last_seen: 13.0, ..a.clone() };
        other.counts.things += 1;
        assert_eq!(Difference::between(&a, &other), [Difference::Severity, Difference::Counts, Difference::Times]);
        let row = Row::new(Some(told(a)), Some(told(other))).unwrap();
        assert!(!row.is_same());
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!((&json["in"], &json["b"]["severity"]), (&"both".into(), &"major".into()));
        assert_eq!(json["differs"], serde_json::json!(["severity", "counts", "times"]));
    }
}
