//! Incidents for tests.

use std::{sync::Arc, time::Duration};

use super::{Area, Book, CameraSource, Incident, Locale, Source, Target, TimeLimit};
use crate::{
    calendar::Calendar,
    ids::CountedIds,
    priority::Priority,
    rules::{Change, Finding, Tally},
    severity::Severity,
    spec::all_defaults,
    time::Clock,
};

/// Office hours, without holidays.
pub(super) fn calendar() -> Arc<Calendar> {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    Arc::new(Calendar::new(&all_defaults(), zone).unwrap())
}

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
        time_limit: Some(TimeLimit::wall_time(Duration::from_secs(7_200))),
    }
}

/// A rule of a camera.
pub(super) fn camera() -> Source<CameraSource> {
    Source {
        of: CameraSource {
            camera: "gate".parse().unwrap(),
            camera_name: "North gate".into(),
            area: Some(Area { id: "yard".parse().unwrap(), name: "yard".into() }),
            models: Vec::new(),
        },
        place: None,
        rule: "yard-intrusion".parse().unwrap(),
        rule_kind: "intrusion".into(),
        target: target("Intrusion"),
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
    }
}

/// An incident that has just been opened.
pub(super) fn incident(clock: &dyn Clock) -> Incident {
    let at = clock.mono();
    let tally = Tally { things: 1, peak: 1, score: 0.5, ..Tally::new(at, at) };
    let began = Finding { rule: camera().rule, episode: 1, at, change: Change::Began, tally, subjects: Vec::new() };
    let mut book = Book::new(Locale::En, clock.boot_id().clone(), String::new(), calendar(), CountedIds::default());
    book.found(&camera(), &began, clock).unwrap().incident
}
