//! `scale all`: everything, in one run, as one report.

use std::time::Duration;

use super::{
    clips::{self, ACTIVE, ACTIVE_HEAVY, EVENTFUL, EVENTS, QUIET, QUIET_HEAVY},
    configuration::Gate,
    error::ScaleError,
    floors, load,
    load::Load,
    overload,
    patience::Patience,
    report::Report,
    search, sensors,
};

/// How long the parts take.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    /// Receiving, for the floors.
    pub floors: u64,
    /// Pictures decoded, for the floors.
    pub pictures: usize,
    /// One load.
    pub load: Duration,
    /// What is let pass before each.
    pub warm_up: Duration,
    /// A run over the clip of short events.
    pub recall: Duration,
    /// Holding what the search found.
    pub hold: Duration,
    /// The most cameras tried.
    pub most: usize,
    /// Cameras overloaded.
    pub overloaded: usize,
    /// The phases of the overload.
    pub phases: [Duration; 3],
    /// Readings of sensors.
    pub sensors: sensors::Wanted,
}

impl Lengths {
    /// For figures that are published.
    pub const FULL: Self = Self {
        floors: 15,
        pictures: 1500,
        load: Duration::from_secs(60),
        warm_up: Duration::from_secs(30),
        recall: Duration::from_secs(240),
        hold: Duration::from_secs(300),
        most: 96,
        overloaded: 64,
        phases: [Duration::from_secs(20), Duration::from_secs(60), Duration::from_secs(40)],
        sensors: sensors::Wanted { sensors: 100, rate: 10_000, measure: Duration::from_secs(180), anomaly: true },
    };
    /// For a look whether everything works.
    pub const QUICK: Self = Self {
        floors: 5,
        pictures: 250,
        load: Duration::from_secs(15),
        warm_up: Duration::from_secs(8),
        recall: Duration::from_secs(60),
        hold: Duration::from_secs(20),
        most: 16,
        overloaded: 16,
        phases: [Duration::from_secs(8), Duration::from_secs(15), Duration::from_secs(12)],
        sensors: sensors::Wanted { sensors: 100, rate: 10_000, measure: Duration::from_secs(15), anomaly: true },
    };
}

/// Runs everything.
///
/// # Errors
/// Something does not start, ends, or is missing.
pub fn run(
    lengths: &Lengths,
    look_every: Duration,
    patience: &Patience,
    report: &mut Report,
) -> Result<(), ScaleError> {
    let wanted = floors::Wanted {
        clips: clips::ALL.map(str::to_owned).into(),
        cameras: 8,
        seconds: lengths.floors,
        look_every,
        pictures: lengths.pictures,
        ffmpeg: true,
    };
    let floors = floors::measure(&wanted, patience, report)?;
    let base = Load {
        cameras: 8,
        active: 0,
        active_clip: ACTIVE.to_owned(),
        quiet_clip: QUIET.to_owned(),
        eventful: 0.0,
        gate: Gate::Keyframe,
        look_every,
        fps: 5,
        warm_up: lengths.warm_up,
        measure: lengths.load,
        stills: false,
    };
    let mut load = |name: &str, load: Load| -> Result<(), ScaleError> {
        let figures = load::run(&load, Some(&floors), patience)?;
        load::show(&figures, report);
        report.keep(name, &figures);
        Ok(())
    };
    load("quiet_cameras", base.clone())?;
    load("active_cameras", Load { cameras: 2, active: 2, ..base.clone() })?;
    // Four cameras that decode everything are what two cores carry; both gates see the same events.
    for (name, gate) in [("recall_keyframe", Gate::Keyframe), ("recall_always", Gate::Always)] {
        let events = Load { cameras: 4, quiet_clip: EVENTS.to_owned(), gate, measure: lengths.recall, ..base.clone() };
        load(name, events)?;
    }
    // The goal, held; then rarer looks and heavier streams, from what was found on.
    let usual = Load { eventful: EVENTFUL, ..base.clone() };
    let rarer = Load { look_every: look_every * 2, ..usual.clone() };
    let heavier = Load { quiet_clip: QUIET_HEAVY.to_owned(), active_clip: ACTIVE_HEAVY.to_owned(), ..usual.clone() };
    let mut first = 16;
    for (load, step, hold) in [(usual, 8, lengths.hold), (rarer, 16, Duration::ZERO), (heavier, 16, Duration::ZERO)] {
        let wanted = search::Wanted { load, active: 0.1, step, most: lengths.most, first, hold };
        first = search::run(&wanted, Some(&floors), patience, report)?.cameras.max(8);
    }
    let wanted = overload::Wanted {
        cameras: lengths.overloaded,
        gate: Gate::Keyframe,
        look_every,
        fps: 5,
        phases: lengths.phases,
    };
    overload::run(&wanted, patience, report)?;
    sensors::run(&lengths.sensors, patience, report)
}
