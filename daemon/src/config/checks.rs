//! Checks that every part of the configuration shares.

use std::{
    collections::BTreeMap,
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use snowgate_core::{
    calendar::Calendar,
    ids::Id,
    incidents::{GridTree, TimeLimit, spec::CategorySpec},
    retention::RetentionSpec,
    rules::spec::{ReportSpec, SeverityDuringSpec},
    schedule::Schedules,
    secret::Secret,
    spec::{ByteSize, DeserError, Located, Maybe, Span, TimeSpan},
};

use super::{
    problem::{Place, Problem, Problems, Source},
    resolved::{PlaceConfig, ReportTarget},
    secret_file,
    spec::PlaceSpec,
    suggest::suggestion,
    toml_errors::{place_beside, place_of, translate},
};

/// The level of the grid tree that takes sensors only.
const HOUSEHOLD: &str = "household";

/// How long evidence may be kept at the most.
pub(super) const KEEP: RangeInclusive<TimeSpan> = TimeSpan::secs(60)..=TimeSpan::secs(10 * 366 * 86_400);

/// Checks one file and keeps what it finds.
pub(super) struct Checker<'a> {
    pub source: &'a Arc<Source>,
    /// What relative paths are relative to.
    pub base: &'a Path,
    pub problems: Problems,
}

/// What cameras and sensors refer to; `None` where it is wrong itself, so that its absence is not reported again and again.
#[derive(Clone, Copy)]
pub(super) struct References<'a> {
    pub grid: Option<&'a GridTree>,
    pub categories: Option<&'a BTreeMap<Id, CategorySpec>>,
    pub calendar: Option<&'a Calendar>,
    pub schedules: Option<&'a Schedules>,
    /// Whether grids of the household level may be reported to.
    pub households: bool,
}

impl<'a> Checker<'a> {
    pub fn new(source: &'a Arc<Source>, base: &'a Path) -> Self {
        Self { source, base, problems: Problems::default() }
    }

    pub fn place(&self, span: Span) -> Place {
        Place::span(self.source, span)
    }

    pub fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<Option<String>>) {
        let place = self.place(span);
        self.problems.push(Problem::error(place, message).help(help));
    }

    pub fn warning(&mut self, span: Span, message: impl Into<String>, help: impl Into<Option<String>>) {
        let place = self.place(span);
        self.problems.push(Problem::warning(place, message).help(help));
    }

    /// `value`, written at `pointer`, must lie in `range`.
    pub fn within<T: PartialOrd + Display>(&mut self, pointer: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            let key = pointer.rsplit('/').next().unwrap_or(pointer);
            let (least, most) = (range.start(), range.end());
            let message = format!("{key} must lie between {least} and {most}; {value} does not");
            self.problems.push(Problem::error(place_of(self.source, pointer), message));
        }
    }

    /// What is said of how long evidence is kept, in the table at `pointer`.
    pub fn retention(&mut self, pointer: &str, spec: &RetentionSpec) {
        let RetentionSpec { keep_at_least, keep, quota } = spec;
        if let Some(keep) = keep.0 {
            self.within(&format!("{pointer}/keep"), keep, KEEP);
        }
        if let Some(quota) = quota.0 {
            self.within(&format!("{pointer}/quota"), quota, ByteSize::mib(1)..=ByteSize::mib(16 << 20));
        }
        if let (Some(least), Some(most)) = (keep_at_least.0, keep.0)
            && least > most
        {
            let place = place_of(self.source, &format!("{pointer}/keep_at_least"));
            self.error_at(place, format!("keep_at_least ({least}) is longer than keep ({most})"), None);
        }
    }

    /// The place of the value at `pointer` in the table in which a value stands at `span`, or else of that one.
    pub fn beside(&self, span: Span, pointer: &str) -> Place {
        place_beside(self.source, span, pointer)
    }

    /// An error at a place.
    pub fn error_at(&mut self, place: Place, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(Problem::error(place, message).help(help));
    }

    /// A warning at a place.
    pub fn warning_at(&mut self, place: Place, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(Problem::warning(place, message).help(help));
    }

    /// What a part of the file that checks itself says; what it makes, if nothing is wrong.
    pub fn mistakes<T>(&mut self, checked: Result<T, DeserError>) -> Option<T> {
        let mistakes = |error: DeserError| {
            self.problems.extend(error.errors.iter().flat_map(|error| translate(error, self.source)));
        };
        checked.map_err(mistakes).ok()
    }

    /// An id or code must be one of `known`.
    pub fn known<'k>(
        &mut self,
        what: &str,
        plural: &str,
        name: &str,
        span: Span,
        known: impl IntoIterator<Item = &'k str, IntoIter: Clone>,
    ) {
        let known = known.into_iter();
        if !known.clone().any(|candidate| candidate == name) {
            self.error(span, format!("there is no {what} `{name}`"), suggestion(name, known, plural));
        }
    }

    /// Ids must differ.
    pub fn unique<'i>(&mut self, what: &str, ids: impl IntoIterator<Item = &'i Located<Id>>) {
        let mut first_uses = BTreeMap::new();
        for id in ids {
            match first_uses.get(&id.value) {
                None => drop(first_uses.insert(&id.value, id.span)),
                Some(&first) => {
                    let (place, first) = (self.place(id.span), self.place(first));
                    let message = format!("{what} id `{}` is used twice", id.value);
                    self.problems.push(Problem::error(place, message).related(first, "first used here"));
                }
            }
        }
    }

    /// Category, grid and schedules of a report must exist.
    pub fn report(&mut self, report: &ReportSpec, references: References<'_>) {
        if let (Some(category), Some(known)) = (&*report.category, references.categories) {
            self.known("category", "categories", category.as_str(), category.span, known.keys().map(Id::as_str));
        }
        for SeverityDuringSpec { schedule, .. } in report.severity_during.iter().flatten() {
            self.schedule(schedule, references);
        }
        let (Some(code), Some(tree)) = (&*report.grid, references.grid) else { return };
        let codes: Vec<&str> = tree.codes().collect();
        self.known("grid", "grids", code, code.span, codes);
        if !references.households && tree.node(code).is_some_and(|node| tree.level(node).as_str() == HOUSEHOLD) {
            self.error(code.span, "a grid of the household level takes sensors, not cameras", None);
        }
    }

    /// A schedule that is named must exist.
    pub fn schedule(&mut self, named: &Located<Id>, references: References<'_>) {
        if let Some(known) = references.schedules {
            self.known("schedule", "schedules", named.as_str(), named.span, known.keys().map(Id::as_str));
        }
    }

    /// How long a rule is quiet after a disposition.
    pub fn quiet_after(&mut self, rule: &Located<Id>, quiet: Option<TimeSpan>) {
        let (least, most) = (TimeSpan::secs(1), TimeSpan::secs(7 * 86_400));
        if let Some(quiet) = quiet.filter(|quiet| !(least..=most).contains(quiet)) {
            let place = self.beside(rule.span, "/quiet_after");
            let message =
                format!("rule `{}`: quiet_after must lie between {least} and {most}; {quiet} does not", **rule);
            self.error_at(place, message, "a rule that is wrong for longer wants to be changed".to_owned());
        }
    }

    /// A path, relative to the configuration directory.
    pub fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The secret a setting names, or a sentence that says why it cannot be had. A file that others can read is
    /// warned about.
    pub fn secret(&mut self, reference: &Located<String>) -> Result<Secret, String> {
        let read = secret_file::read(reference, self.base).map_err(|error| error.to_string())?;
        if read.widely_readable {
            let message = format!("the secret {} can be read by others than its owner", read.path.display());
            self.warning(reference.span, message, format!("chmod 600 {}", read.path.display()));
        }
        Ok(read.secret)
    }
}

/// How a rule reports: the first of `said` that has a word decides; the severity is at last the category's. `places` names
/// where to write what is missing.
pub(super) fn report_target(
    rule: &Located<Id>,
    said: &[&ReportSpec],
    places: &str,
    references: References<'_>,
    check: &mut Checker<'_>,
) -> Option<ReportTarget> {
    let category = said.iter().find_map(|report| report.category.0.as_ref());
    let grid = said.iter().find_map(|report| report.grid.0.as_ref());
    for (key, missing) in [("category", category.is_none()), ("grid", grid.is_none())] {
        if missing {
            let message = format!("rule `{}` has no {key}", **rule);
            check.error(rule.span, message, format!("write {key} = \"…\" in {places}"));
        }
    }
    let (category, grid) = (category?, grid?);
    // A category that does not exist has been reported where it is named.
    let by_category = references.categories?.get(&category.value)?;
    let severity = said.iter().find_map(|report| *report.severity).unwrap_or(by_category.severity);
    let during = said.iter().find_map(|report| report.severity_during.as_deref());
    let during = during.into_iter().flatten().map(|during| (during.schedule.value.clone(), during.severity));
    let time_limit = match said.iter().find_map(|report| *report.time_limit) {
        None => TimeLimit::of(by_category, references.calendar?, Timestamp::now()).ok()?,
        Some(own) => {
            let with_own = CategorySpec { time_limit: Maybe(Some(own)), ..by_category.clone() };
            let limit = TimeLimit::of(&with_own, references.calendar?, Timestamp::now());
            limit
                .map_err(|errors| errors.iter().for_each(|error| check.error(rule.span, error.kind.to_string(), None)))
                .ok()?
        }
    };
    Some(ReportTarget {
        category: category.value.clone(),
        severity,
        severity_during: during.collect(),
        grid: grid.value.clone(),
        time_limit,
    })
}

/// Where something stands; `pointer` says where that is written.
pub(super) fn place(spec: PlaceSpec, pointer: &str, check: &mut Checker<'_>) -> PlaceConfig {
    check.within(&format!("{pointer}/lat"), spec.lat.0, -90.0..=90.0);
    PlaceConfig { lat: spec.lat.0, lon: spec.lon.0, name: spec.name.0 }
}

/// Text of a PEM file that a setting names, bounded like a configuration file.
pub(super) fn read_pem(path: &Path) -> Result<String, String> {
    super::files::read_text(path).map_err(|message| format!("{}: {message}", path.display()))
}

/// The certificates in a PEM text must be readable, and there must be one.
pub(super) fn check_certificates(path: &Path, pem: &str) -> Result<(), String> {
    match native_tls::Certificate::stack_from_pem(pem.as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        Ok(_) => Err(format!("{} holds no certificate in PEM form", path.display())),
        Err(error) => Err(format!("{} is not a certificate in PEM form: {error}", path.display())),
    }
}
