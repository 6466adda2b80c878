//! Incidents for tests.

use super::{Book, CameraSource, Incident, Locale, Source, Target};
use crate::{
    ids::CountedIds,
    rules::{Change, Finding, Tally},
    severity::Severity,
    time::Clock,
};

/// A target with a time limit.
pub(super) fn target(category: &str) -> Target {
    Target {
        category: category.to_lowercase().parse().unwrap(),
        category_name: category.into(),
        severity: Severity::Ordinary,
        grid: "330522101003".into(),
        path: vec!["330522".into(), "330522101003".into()],
        level: "grid".parse().unwrap(),
        level_grid: "330522101003".into(),
        time_limit_ms: Some(7_200_000),
    }
}

/// A rule of a camera.
pub(super) fn camera() -> Source<CameraSource> {
    Source {
        of: CameraSource {
            camera: "gate".parse().unwrap(),
            camera_name: "North gate".into(),
            area: "yard".parse().unwrap(),
            area_name: "yard".into(),
            models: Vec::new(),
        },
        place: None,
        rule: "yard-intrusion".parse().unwrap(),
        rule_kind: "intrusion".into(),
        target: target("Intrusion"),
        merge: None,
    }
}

/// An incident that has just been opened.
pub(super) fn incident(clock: &dyn Clock) -> Incident {
    let at = clock.mono();
    let tally = Tally { things: 1, peak: 1, left_to_right: 0, right_to_left: 0, score: 0.5, since: at, last_seen: at };
    let began = Finding { rule: camera().rule, episode: 1, at, change: Change::Began, tally, subjects: Vec::new() };
    let mut book = Book::new(Locale::En, clock.boot_id().clone(), String::new(), CountedIds::default());
    book.found(&camera(), &began, clock).unwrap().incident
}
