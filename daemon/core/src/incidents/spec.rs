//! What can be told about categories and about the grid.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::{
    choice,
    ids::Id,
    retention::RetentionSpec,
    severity::Severity,
    spec,
    spec::{
        DeserError, Deserialize, Error, ErrorKind, Fraction, Located, Maybe, TimeSpan, Value, ValueInner, all_defaults,
        custom, expected,
    },
};

choice! {
    /// The language of what people read.
    pub enum Locale {
        /// Simplified Chinese.
        ZhCn = "zh-CN",
        /// English.
        En = "en",
    }
}

spec! {
    /// categories.toml.
    pub struct CategoriesSpec {
        /// Every category that rules may name.
        category: Vec<CategorySpec>,
    }
}

spec! {
    /// One kind of incident, as the grid system files it.
    pub struct CategorySpec {
        /// Name that rules refer to, and that incidents carry.
        id: Located<Id>,
        /// What people call it.
        name: Names,
        /// Severity, unless the rule, zone or camera says otherwise.
        severity: Severity = Severity::Ordinary,
        /// Time within which it must be handled, from its opening; none if left out.
        time_limit: Maybe<TimeSpan> = Maybe::NONE,
        /// Which time the limit counts: every hour, or those of calendar.toml. A working day there has as many hours as
        /// are worked, so three days of eight hours are "24h".
        time_limit_in: TimeBase = TimeBase::WallTime,
        /// Share of the time limit from which its light is yellow; before, it is green.
        yellow_from: Located<Fraction> = Located::nowhere(Fraction(0.8)),
        /// Share of the time limit from which its light is red.
        red_from: Located<Fraction> = Located::nowhere(Fraction(1.0)),
        /// How long its evidence is kept, and how much of it.
        evidence: RetentionSpec = all_defaults(),
        /// Whether its incidents get a clip, sealed for the gateway's recipients. Never of a camera with masks.
        clip: bool = false,
        /// Whether they get a covered copy of it: a few pictures a second, with faces, heads and masks covered, not sealed.
        covered_clip: bool = false,
    }
}

choice! {
    /// Which time a limit counts.
    pub enum TimeBase {
        /// Every hour of every day.
        WallTime = "wall_time",
        /// Working hours, as the calendar has them.
        WorkingTime = "working_time",
    }
}

spec! {
    /// One name in both languages.
    pub struct Names {
        /// Simplified Chinese.
        zh: String,
        /// English.
        en: String,
    }
}

spec! {
    /// The tree of grids that events belong to, and where events start in it.
    pub struct GridSpec {
        /// Names of the levels from the top, for instance county, township, village, grid.
        levels: Located<Vec<Id>>,
        /// How codes are built: "free", or the digits that each level adds to its parent's code, for instance
        /// [6, 3, 3, 3] for county, township, community and the 15-digit unit grid.
        code_scheme: Located<CodeScheme> = Located::nowhere(CodeScheme::Free),
        /// The level at which minor incidents start, unless their grid stands above it; their grid's own if left out.
        minor_level: Maybe<Located<Id>> = Maybe::NONE,
        /// The level at which ordinary incidents start, likewise.
        ordinary_level: Maybe<Located<Id>> = Maybe::NONE,
        /// The level at which major incidents start (越级上报), likewise.
        major_level: Located<Id>,
        /// The level at which critical incidents start, likewise; `major_level` if left out.
        critical_level: Maybe<Located<Id>> = Maybe::NONE,
        /// Every node of the tree that this gateway reports for, each with its parents.
        nodes: Vec<GridNodeSpec>,
    }
}

spec! {
    /// One node of the grid tree.
    pub struct GridNodeSpec {
        /// Its code, unique: letters and digits.
        code: Located<String>,
        /// What people call it.
        name: String,
        /// Its level, one of `levels`.
        level: Located<Id>,
        /// Code of the node above it; left out at the top.
        parent: Maybe<Located<String>> = Maybe::NONE,
    }
}

/// How the codes of a grid tree are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeScheme {
    /// Letters and digits as anyone likes.
    Free,
    /// Digits only: a node's code is its parent's followed by so many digits of its own. One number a level, from the
    /// top.
    Segments(Vec<usize>),
}

impl CodeScheme {
    /// The word that stands for [`Self::Free`].
    const FREE: &str = "free";
    /// The most digits of one level.
    const MAX_SEGMENT: i64 = 16;
}

impl fmt::Display for CodeScheme {
    /// `free` or `6 + 3 + 3 + 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str(Self::FREE),
            Self::Segments(segments) => {
                f.write_str(&segments.iter().map(usize::to_string).collect::<Vec<_>>().join(" + "))
            }
        }
    }
}

impl Serialize for CodeScheme {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Free => serializer.serialize_str(Self::FREE),
            Self::Segments(segments) => segments.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CodeScheme {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        match value.take() {
            ValueInner::String(word) if word == Self::FREE => Ok(Self::Free),
            ValueInner::String(word) => Err(Error {
                kind: ErrorKind::UnexpectedValue { expected: &[Self::FREE], value: Some(word.into_owned()) },
                span: value.span,
                line_info: None,
            }
            .into()),
            ValueInner::Array(array) => array.into_iter().map(segment).collect::<Result<_, _>>().map(Self::Segments),
            other => Err(expected("\"free\" or the digits of each level, like [6, 3, 3, 3]", other, value.span).into()),
        }
    }
}

fn segment(mut value: Value<'_>) -> Result<usize, DeserError> {
    match value.take() {
        ValueInner::Integer(digits) if (1..=CodeScheme::MAX_SEGMENT).contains(&digits) => {
            Ok(digits.unsigned_abs() as usize)
        }
        ValueInner::Integer(digits) => Err(custom(
            format!("a level has 1 to {} digits of its own, not {digits}", CodeScheme::MAX_SEGMENT),
            value.span,
        )),
        other => Err(expected("a number of digits", other, value.span).into()),
    }
}

impl JsonSchema for CodeScheme {
    fn schema_name() -> Cow<'static, str> {
        "CodeScheme".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let segment = json_schema!({ "type": "integer", "minimum": 1, "maximum": Self::MAX_SEGMENT });
        json_schema!({ "oneOf": [{ "const": Self::FREE }, { "type": "array", "items": segment }] })
    }
}
