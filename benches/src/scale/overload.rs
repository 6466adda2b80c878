//! `scale overload`: all cameras become active at once, and quiet again; second by second, what the daemon gives up and
//! how it recovers.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    clips::{self, ACTIVE, QUIET},
    configuration::Gate,
    error::ScaleError,
    patience::Patience,
    report::Report,
    rig::{Rig, Sample, Wanted as RigWanted},
    table::{Table, mebibytes, millis, or_dash, percent},
    window::{Delay, Window},
};

const EVERY: Duration = Duration::from_secs(1);

/// What is run.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Cameras.
    pub cameras: usize,
    /// When pictures are decoded.
    pub gate: Gate,
    /// The look interval of a quiet camera.
    pub look_every: Duration,
    /// Pictures looked at a second.
    pub fps: u32,
    /// How long they are quiet first, all active, and quiet again.
    pub phases: [Duration; 3],
}

/// One second.
#[derive(Debug, Clone, Serialize)]
pub struct Second {
    /// Seconds since the run began.
    pub at: f64,
    /// `quiet`, `active` or `recovery`.
    pub phase: &'static str,
    /// Cameras by the state of their gate; empty where the daemon does not tell.
    pub gates: BTreeMap<String, f64>,
    /// Cameras by how far they are degraded (0: not at all); empty where the daemon does not tell.
    pub degraded: BTreeMap<String, usize>,
    /// Pressure on decoding, then on inference.
    pub pressure: [Option<f64>; 2],
    /// Pictures decoded a second.
    pub decoded: f64,
    /// Pictures inferred a second.
    pub inferred: f64,
    /// Given up in this second, by kind.
    pub losses: BTreeMap<String, f64>,
    /// How long pictures waited for inference.
    pub slot_wait: Option<Delay>,
    /// From frame to message.
    pub frame_to_publish: Option<Delay>,
    /// The daemon's share of one core.
    pub share: f64,
    /// The daemon's resident memory in bytes.
    pub resident: u64,
    /// Cameras that delivered nothing or too little.
    pub stalled: usize,
}

/// Runs it and shows the timeline.
///
/// # Errors
/// Something does not start, or ends.
pub fn run(wanted: &Wanted, patience: &Patience, report: &mut Report) -> Result<Vec<Second>, ScaleError> {
    let clips = clips::open_all([QUIET, ACTIVE])?;
    let (quiet, active) = (&clips[QUIET], &clips[ACTIVE]);
    // Zones belong to the place, not to what happens there: the active clip's stand for both.
    let mut place = quiet.clone();
    place.zone.clone_from(&active.zone);
    let rig = RigWanted {
        clips: vec![&place; wanted.cameras],
        standby: vec![ACTIVE.to_owned()],
        gate: wanted.gate,
        look_every: wanted.look_every,
        fps: wanted.fps,
        stills: false,
    };
    let mut rig = Rig::start(&rig, patience)?;
    let mut seconds = Vec::new();
    let began = Instant::now();
    let mut before = rig.sample()?;
    let mut next = began;
    for ((phase, clip), length) in
        [("quiet", None), ("active", Some(active)), ("recovery", Some(quiet))].into_iter().zip(wanted.phases)
    {
        if let Some(clip) = clip {
            rig.play_everywhere(clip)?;
        }
        let ends = Instant::now() + length;
        while Instant::now() < ends {
            next += EVERY;
            patience.until(next)?;
            let now = rig.sample()?;
            seconds.push(second(&before, &now, phase, began, rig.names()));
            before = now;
        }
        clip.map_or(Ok(()), |clip| rig.ensure_playing(clip))?;
    }
    let served = rig.stop()?;
    show(&seconds, wanted, report);
    report.keep("overload", &seconds);
    report.keep("overload_served", &served);
    Ok(seconds)
}

fn second(before: &Sample, now: &Sample, phase: &'static str, began: Instant, names: &[String]) -> Second {
    let window = Window::between(before, now, names, 0.0);
    let metrics = &now.metrics;
    let states = metrics.label_values("snowgate_gate_state", "state");
    let gates = states.into_iter().map(|state| {
        let cameras = metrics.total("snowgate_gate_state", &[("state", &state)]);
        (state, cameras)
    });
    let mut degraded: BTreeMap<String, usize> = BTreeMap::new();
    for camera in metrics.label_values("snowgate_camera_degradation", "camera") {
        let level = metrics.total("snowgate_camera_degradation", &[("camera", &camera)]);
        *degraded.entry(format!("{level:.0}")).or_default() += 1;
    }
    let known = metrics.label_values("snowgate_overload_pressure", "resource");
    let pressure = ["decode", "infer"].map(|resource| {
        known.contains(resource).then(|| metrics.total("snowgate_overload_pressure", &[("resource", resource)]))
    });
    let counted = now.metrics.since(&before.metrics);
    Second {
        at: now.at.duration_since(began).as_secs_f64(),
        phase,
        gates: gates.filter(|(_, cameras)| *cameras > 0.0).collect(),
        degraded,
        pressure,
        decoded: window.rates.iter().map(|rates| rates.decoded).sum(),
        inferred: window.rates.iter().map(|rates| rates.inferred).sum(),
        slot_wait: Delay::of(&counted, "snowgate_slot_wait_seconds"),
        frame_to_publish: window.frame_to_publish,
        share: window.daemon.share,
        resident: window.daemon.resident,
        stalled: window.stalled.len(),
        losses: window.losses,
    }
}

fn show(seconds: &[Second], wanted: &Wanted, report: &mut Report) {
    report.heading(&format!(
        "{} cameras, quiet, all active at once, quiet again; gate {}",
        wanted.cameras,
        wanted.gate.as_str()
    ));
    let mut table = Table::new(&[
        "second",
        "phase",
        "gates",
        "degraded",
        "pressure",
        "decoded/s",
        "inferred/s",
        "lost/s",
        "slot wait p99",
        "publish p99",
        "CPU",
        "memory",
        "stalled",
    ]);
    for it in seconds {
        table.row([
            format!("{:.0}", it.at),
            it.phase.to_owned(),
            counts(it.gates.iter().map(|(state, cameras)| (state, *cameras))),
            counts(it.degraded.iter().map(|(level, cameras)| (level, *cameras as f64))),
            it.pressure.map(|pressure| or_dash(pressure, |pressure| format!("{pressure:.2}"))).join(" / "),
            format!("{:.0}", it.decoded),
            format!("{:.0}", it.inferred),
            format!("{:.0}", it.losses.values().fold(0.0, |sum, count| sum + count)),
            or_dash(it.slot_wait, |delay| millis(delay.p99)),
            or_dash(it.frame_to_publish, |delay| millis(delay.p99)),
            percent(it.share),
            mebibytes(it.resident as f64),
            it.stalled.to_string(),
        ]);
    }
    report.table(&table);
    report.line("gates and degraded: cameras by state and by level (0: not degraded); pressure: decode / infer");
    let mut losses: BTreeMap<&str, f64> = BTreeMap::new();
    for (what, count) in seconds.iter().flat_map(|second| &second.losses) {
        *losses.entry(what).or_default() += count;
    }
    let losses: Vec<String> = losses.iter().map(|(what, count)| format!("{what} {count:.0}")).collect();
    report
        .line(format!("given up in all: {}", if losses.is_empty() { "nothing".to_owned() } else { losses.join(", ") }));
}

/// `following 3, quiet 61`; a dash if there is nothing to tell.
fn counts<'a>(counts: impl Iterator<Item = (&'a String, f64)>) -> String {
    let text: Vec<String> = counts.map(|(what, count)| format!("{what} {count:.0}")).collect();
    if text.is_empty() { "–".to_owned() } else { text.join(", ") }
}
