//! What is wrong with a configuration, as people and machines read it: each problem with its place and its way out.

use std::{cmp::Ordering, fmt, fmt::Write as _, ops::Range, path::PathBuf, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;
use snowgate_core::{ids::Id, spec::Span};

use super::redact::redact;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is refused because of it.
    Error,
    /// Worth a look; everything runs.
    Warning,
}

/// A file of the configuration, or a path that could not be read (its text is then empty).
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path, under the directory as the operator named it.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

/// A place that a problem points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    /// Byte range in the text; `None` for the file as a whole.
    range: Option<Range<usize>>,
}

impl Place {
    /// A file as a whole.
    pub fn file(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), range: None }
    }

    /// A path that is no readable file.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self { source: Arc::new(Source { path: path.into(), text: String::new() }), range: None }
    }

    /// A span of a file, cut to its first line; the whole file if the span is that of a default, which stands nowhere.
    pub fn span(source: &Arc<Source>, span: Span) -> Self {
        let text = &source.text;
        if span.is_empty() || text.is_empty() || (span.start == 0 && span.end >= text.len()) {
            return Self::file(source);
        }
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let end = text.floor_char_boundary(span.end.min(line_end)).max(start);
        // A caret needs something to stand under, even at the end of a line.
        let end = if end == start { text.ceil_char_boundary((start + 1).min(text.len())) } else { end };
        Self { source: Arc::clone(source), range: Some(start..end) }
    }

    /// Line and column, both from 1, the column in characters; `None` for the file as a whole.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        let before = &self.source.text[..self.range.as_ref()?.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Another place that has to do with it, and why.
    pub related: Option<(Place, &'static str)>,
    /// The cameras that are refused because of this error; the others run. None: the error refuses everything.
    pub cameras: Vec<Id>,
    /// The sensors that are refused because of it, likewise.
    pub sensors: Vec<Id>,
}

impl Problem {
    /// An error at a place.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place,
            message: message.into(),
            help: None,
            related: None,
            cameras: Vec::new(),
            sensors: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    /// Adds a place that has to do with it.
    pub fn related(mut self, place: Place, why: &'static str) -> Self {
        self.related = Some((place, why));
        self
    }

    /// Makes this error one that refuses these cameras only.
    pub fn refusing(mut self, cameras: impl IntoIterator<Item = Id>) -> Self {
        self.cameras.extend(cameras);
        self
    }

    /// Makes this error one that refuses these sensors only.
    pub fn refusing_sensors(mut self, sensors: impl IntoIterator<Item = Id>) -> Self {
        self.sensors.extend(sensors);
        self
    }

    /// Whether nothing at all can run with it.
    pub fn is_fatal(&self) -> bool {
        self.severity == Severity::Error && self.cameras.is_empty() && self.sensors.is_empty()
    }

    fn groups(&self) -> Vec<Group<'_>> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(self.message.as_str()));
        let mut group = add_place(group, &self.place, AnnotationKind::Primary, None);
        if let Some((place, why)) = &self.related {
            group = add_place(group, place, AnnotationKind::Context, Some(why));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        vec![group]
    }
}

fn add_place<'a>(group: Group<'a>, place: &'a Place, kind: AnnotationKind, label: Option<&'a str>) -> Group<'a> {
    let path = place.source.path.to_string_lossy();
    match &place.range {
        None => group.element(Origin::path(path)),
        Some(range) => {
            let annotation = kind.span(range.clone()).label(label);
            group.element(Snippet::source(redact(&place.source.text)).path(path).annotation(annotation))
        }
    }
}

/// Everything found, in the order of files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Problem>) {
        self.0.extend(others);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Whether one of them is an error, be it of one camera or sensor only.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether one of them keeps everything from running.
    pub fn is_fatal(&self) -> bool {
        self.0.iter().any(Problem::is_fatal)
    }

    /// How many of them keep everything from running.
    pub(super) fn count_fatal(&self) -> usize {
        self.0.iter().filter(|problem| problem.is_fatal()).count()
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Brings them into the order of files and places, each once.
    pub(super) fn sort(&mut self) {
        let key = |problem: &Problem| {
            let start = problem.place.range.as_ref().map_or(0, |range| range.start);
            (problem.place.source.path.clone(), start)
        };
        self.0.sort_by(|a, b| match key(a).cmp(&key(b)) {
            Ordering::Equal => a.message.cmp(&b.message),
            order => order,
        });
        self.0.dedup();
    }

    /// For people: each problem with its line and a caret. `colour` for terminals.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in &self.0 {
            text.push_str(&renderer.render(&problem.groups()));
            text.push_str("\n\n");
        }
        text
    }

    /// For machines.
    pub fn report(&self) -> Vec<ProblemReport<'_>> {
        self.0.iter().map(ProblemReport::new).collect()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<T: IntoIterator<Item = Problem>>(problems: T) -> Self {
        Self(problems.into_iter().collect())
    }
}

impl fmt::Display for Problems {
    /// One line a problem, for logs: `file:line:column: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place.source.path.display())?;
        if let Some((line, column)) = self.place.line_and_column() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problems {}

/// One problem as `--format json` prints it. Line and column count from 1 and are missing where the whole file is meant.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ProblemReport<'a> {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    severity: Severity,
    message: &'a str,
    help: Option<&'a str>,
    cameras: &'a [Id],
    sensors: &'a [Id],
}

impl<'a> ProblemReport<'a> {
    fn new(problem: &'a Problem) -> Self {
        let place = problem.place.line_and_column();
        Self {
            file: problem.place.source.path.to_string_lossy().into_owned(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            severity: problem.severity,
            message: &problem.message,
            help: problem.help.as_deref(),
            cameras: &problem.cameras,
            sensors: &problem.sensors,
        }
    }
}
