//! Golden replays: what must hold on any machine.
//!
//! Scores and pictures differ a little between machines; which rule found what, where, how often and when must not.
//! A camera's incident matches an expected one when clip, rule, camera, area, grid and counts are the same and every time
//! is within 0.2 s.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use snowgate_core::{
    ids::Id,
    incidents::{Counts, Incident},
    scene::Condition,
    severity::Severity,
    time::{Moment, Mono},
};

/// How far a time may be off, in seconds.
const TOLERANCE: f64 = 0.2;

/// One incident of a replay, as it stood at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayedIncident {
    /// The clip's file name, where a directory of them was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<String>,
    /// Incident id: counted, so the same in every replay of its clip.
    pub incident: String,
    /// The rule that found it.
    pub rule: Id,
    /// The rule's kind.
    pub kind: String,
    /// The camera.
    pub camera: Id,
    /// The zone or line; missing if it is about all that the camera shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Id>,
    /// What is wrong with the camera, if it is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Grid code.
    pub grid: String,
    /// Category id.
    pub category: Id,
    /// How bad it is.
    pub severity: Severity,
    /// For people.
    pub title: String,
    /// When the condition began to hold, in seconds of the clip.
    pub began: f64,
    /// When it was opened, in seconds of the clip.
    pub opened: f64,
    /// When the condition was last seen to hold, in seconds of the clip.
    pub last_seen: f64,
    /// How many things took part.
    pub counts: Counts,
    /// Best score.
    pub score: f64,
}

impl ReplayedIncident {
    /// The line of a camera's incident; times count from `start`.
    pub fn new(incident: &Incident, start: Mono) -> Option<Self> {
        let seen = incident.origin.camera()?;
        let seconds = |moment: Moment| (moment.mono.since(start).as_secs_f64() * 1000.0).round() / 1000.0;
        Some(Self {
            clip: None,
            incident: incident.id.to_string(),
            rule: incident.rule.clone(),
            kind: incident.rule_kind.clone(),
            camera: seen.camera.clone(),
            area: seen.area.clone(),
            condition: seen.condition,
            grid: incident.target.grid.clone(),
            category: incident.target.category.clone(),
            severity: incident.target.severity,
            title: incident.title.clone(),
            began: seconds(incident.began),
            opened: seconds(incident.opened),
            last_seen: seconds(incident.last_seen),
            counts: seen.counts,
            score: (f64::from(incident.score) * 1000.0).round() / 1000.0,
        })
    }
}

/// Whether two times in seconds are the same, small differences aside.
pub fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE + 1e-9
}

/// What a replay found, and a golden file holds.
pub trait Golden: fmt::Display + Serialize + DeserializeOwned {
    /// Whether `found` is what is meant, small differences aside.
    fn matches(&self, found: &Self) -> bool;
}

impl Golden for ReplayedIncident {
    fn matches(&self, found: &Self) -> bool {
        self.clip == found.clip
            && self.rule == found.rule
            && self.camera == found.camera
            && self.area == found.area
            && self.condition == found.condition
            && self.grid == found.grid
            && self.counts == found.counts
            && near(self.began, found.began)
            && near(self.opened, found.opened)
            && near(self.last_seen, found.last_seen)
    }
}

impl fmt::Display for ReplayedIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clip, rule, area, condition, counts, began, opened, last_seen, .. } = self;
        let Counts { things, peak, left_to_right, right_to_left } = counts;
        clip.iter().try_for_each(|clip| write!(f, "{clip}: "))?;
        write!(f, "{rule}")?;
        area.iter().try_for_each(|area| write!(f, " at {area}"))?;
        write!(f, ": began {began:.1} s, opened {opened:.1} s, last seen {last_seen:.1} s, ")?;
        if let Some(condition) = condition {
            return write!(f, "{condition}");
        }
        write!(f, "{things} thing(s), {peak} at once")?;
        if left_to_right + right_to_left > 0 {
            write!(f, ", {left_to_right} left to right, {right_to_left} right to left")?;
        }
        Ok(())
    }
}

/// Why a golden file cannot be held against a replay.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A line is no incident.
    #[error("line {line}: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Reads a golden file: one incident a line; empty lines are passed over.
///
/// # Errors
/// The first line that is no incident.
pub fn parse<T: Golden>(text: &str) -> Result<Vec<T>, GoldenError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| serde_json::from_str(line).map_err(|source| GoldenError::Line { line: index + 1, source }))
        .collect()
}

/// What differs: `-` lines were expected and not found, `+` lines were found and not expected. `None` if nothing does.
pub fn diff<T: Golden>(expected: &[T], found: &[T]) -> Option<String> {
    let mut unexpected: Vec<_> = found.iter().collect();
    let mut missing = Vec::new();
    for wanted in expected {
        match unexpected.iter().position(|found| wanted.matches(found)) {
            Some(index) => drop(unexpected.remove(index)),
            None => missing.push(wanted),
        }
    }
    if missing.is_empty() && unexpected.is_empty() {
        return None;
    }
    let signed = missing.iter().map(|line| ('-', line)).chain(unexpected.iter().map(|line| ('+', line)));
    Some(signed.fold(String::new(), |mut text, (sign, line)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{sign} {line}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(rule: &str, opened: f64, things: u32) -> ReplayedIncident {
        ReplayedIncident {
            clip: None,
            incident: "01".into(),
            rule: rule.parse().unwrap(),
            kind: "intrusion".into(),
            camera: "gate".parse().unwrap(),
            area: Some("yard".parse().unwrap()),
            condition: None,
            grid: "33".into(),
            category: "intrusion".parse().unwrap(),
            severity: Severity::Ordinary,
            title: "Intrusion".into(),
            began: opened - 1.0,
            opened,
            last_seen: opened + 5.0,
            counts: Counts { things, peak: things, left_to_right: 0, right_to_left: 0 },
            score: 0.5,
        }
    }

    #[test]
    fn small_differences_in_time_and_score_are_no_differences() {
        let found = ReplayedIncident { score: 0.7, ..incident("a", 10.15, 1) };
        assert_eq!(diff(&[incident("a", 10.0, 1)], &[found]), None);
    }

    #[test]
    fn what_is_missing_and_what_is_new_are_named() {
        let text =
            diff(&[incident("a", 10.0, 1), incident("b", 20.0, 1)], &[incident("a", 10.3, 1), incident("b", 20.0, 1)]);
        let text = text.unwrap();
        assert!(text.starts_with("- a at yard") && text.contains("\n+ a at yard"), "{text}");
        assert!(diff(&[], &[incident("a", 1.0, 1)]).is_some() && diff(&[incident("a", 1.0, 1)], &[]).is_some());
    }

    #[test]
    fn the_same_incident_of_another_clip_is_another() {
        let of = |clip: &str| ReplayedIncident { clip: Some(clip.into()), ..incident("a", 10.0, 1) };
        assert_eq!(diff(&[of("one.mp4")], &[of("one.mp4")]), None);
        let text = diff(&[of("one.mp4")], &[of("two.mp4")]).unwrap();
        assert!(text.starts_with("- one.mp4: a at yard") && text.contains("\n+ two.mp4: a at yard"), "{text}");
    }

    #[test]
    fn golden_lines_survive_being_written() {
        let line = serde_json::to_string(&incident("a", 10.0, 1)).unwrap();
        assert_eq!(parse::<ReplayedIncident>(&format!("{line}\n\n{line}\n")).unwrap(), vec![incident("a", 10.0, 1); 2]);
        assert_eq!(parse::<ReplayedIncident>("{}").unwrap_err().to_string().split(':').next(), Some("line 1"));
    }
}
