//! Incidents and a small comparison for tests.

use snowgate_core::{incidents::Counts, severity::Severity};

use super::{
    cost::Cost,
    outcome::{ComparedClip, Comparison, Sides, Told},
    stills::NoStill,
};
use crate::{cli::replay::expect::ReplayedIncident, evidence::still::Still};

pub fn incident(rule: &str, area: &str, began: f64, last_seen: f64) -> ReplayedIncident {
    ReplayedIncident {
        clip: None,
        incident: "01".into(),
        rule: rule.parse().unwrap(),
        kind: "intrusion".into(),
        camera: "gate".parse().unwrap(),
        area: Some(area.parse().unwrap()),
        condition: None,
        grid: "33".into(),
        category: "intrusion".parse().unwrap(),
        severity: Severity::Ordinary,
        title: format!("Intrusion: North gate, {area}"),
        began,
        opened: began,
        last_seen,
        counts: Counts { things: 1, peak: 1, left_to_right: 0, right_to_left: 0 },
        score: 0.5,
    }
}

/// With a still, of which no browser would make anything.
pub fn told(incident: ReplayedIncident) -> Told {
    let (jpeg, sha256) = (vec![0xFF, 0xD8], String::new());
    let still = Still { jpeg, sha256, width: 8, height: 6, faces_covered: 0, heads_covered: 0, covered_pixels: 0 };
    Told { incident, still: Some(Ok(still)) }
}

pub fn compared(a: Vec<ReplayedIncident>, b: Vec<ReplayedIncident>) -> ComparedClip {
    let [a, b] = [a, b].map(|incidents| incidents.into_iter().map(told).collect());
    compared_as_told("clips/one.mp4", a, b)
}

fn compared_as_told(clip: &str, a: Vec<Told>, b: Vec<Told>) -> ComparedClip {
    let (cpu_seconds, wall_seconds) = (4.0, 5.0);
    let cost = Cost { clip_seconds: 60.0, cpu_seconds, wall_seconds, realtime_factor: 12.0, ..Cost::default() };
    let costs = Sides { a: Cost { decoded: 600, inferred: 120, regions: 300, ..cost }, b: cost };
    ComparedClip::new(clip.into(), Sides { a, b }, costs)
}

/// An incident of each class, every way to have no still, and a clip that is none.
pub fn comparison() -> Comparison {
    let kept = incident("kept", "yard", 10.0, 12.5);
    let heavier = ReplayedIncident { severity: Severity::Major, ..kept.clone() };
    let crossing = ReplayedIncident {
        counts: Counts { things: 3, peak: 2, left_to_right: 2, right_to_left: 1 },
        ..incident("crossed", "line", 20.0, 20.0)
    };
    let one = compared(vec![kept, incident("gone", "road", 1.0, 2.0)], vec![heavier, crossing]);
    let at = |second: f64, still| Told { incident: incident("no-still", "yard", second, second + 1.0), still };
    let a = vec![at(1.0, Some(Err(NoStill::Off))), at(11.0, Some(Err(NoStill::Full)))];
    let two = compared_as_told("clips/two.mp4", a, vec![at(21.0, Some(Err(NoStill::Failed))), at(31.0, None)]);
    let three = compared_as_told("clips/three.mp4", Vec::new(), Vec::new());
    Comparison {
        configs: Sides { a: "configs/now".into(), b: "configs/next".into() },
        clips: vec![one, two, three],
        unplayable: vec!["clips/four.mp4: this is no video".into()],
    }
}
