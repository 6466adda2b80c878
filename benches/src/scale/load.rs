//! `scale daemon`: so many cameras, so many of them active, for so long; what it costs, what is lost, what is reported.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    cameras::Totals,
    clips::SPARSE,
    clips::{self, Clip},
    configuration::{Gate, HOLD},
    error::ScaleError,
    floors::Floors,
    patience::Patience,
    recall::{self, Bounds, Length, Recall},
    report::Report,
    rig::{self, Rig},
    sum::{self, Compared, Group},
    table::{Table, mebibytes, millis, or_dash, percent},
    window::{Delay, Window},
};

/// What is still on its way when an event is over: catching up, the condition's own time, the broker.
const GRACE: Duration = Duration::from_millis(2500);
/// Memory is looked at so often.
const LOOK_AT_MEMORY: Duration = Duration::from_secs(10);

/// A load.
#[derive(Debug, Clone, Serialize)]
pub struct Load {
    /// Cameras.
    pub cameras: usize,
    /// Of them, those that play the active clip.
    pub active: usize,
    /// The clip of active cameras.
    pub active_clip: String,
    /// The clip of the others…
    pub quiet_clip: String,
    /// …but for this share of them, which play [`SPARSE`]: now and then somebody walks by.
    pub eventful: f64,
    /// When pictures are decoded.
    pub gate: Gate,
    /// The look interval of a quiet camera.
    pub look_every: Duration,
    /// Pictures looked at a second.
    pub fps: u32,
    /// What is let pass before measuring: connections settle, backgrounds are learnt.
    pub warm_up: Duration,
    /// How long is measured.
    pub measure: Duration,
    /// Whether incidents get stills.
    pub stills: bool,
}

impl Load {
    /// How many cameras play which clip: active ones first, eventful ones, quiet ones.
    pub fn groups(&self) -> [(usize, &str); 3] {
        let others = self.cameras - self.active;
        let eventful = ((others as f64 * self.eventful).round() as usize).min(others);
        [(self.active, &self.active_clip), (eventful, SPARSE), (others - eventful, &self.quiet_clip)]
    }

    /// The clips it needs.
    pub fn clips(&self) -> Vec<&str> {
        let used = self.groups().into_iter().filter(|(count, _)| *count > 0);
        let mut names: Vec<&str> = used.map(|(_, clip)| clip).collect();
        names.dedup();
        names
    }

    /// A line that says what it is.
    pub fn title(&self) -> String {
        let look = match self.gate {
            Gate::Keyframe => format!(", looks every {} s", self.look_every.as_secs_f64()),
            Gate::Pixels | Gate::Always => String::new(),
        };
        let groups = self.groups().into_iter().filter(|(count, _)| *count > 0);
        let groups: Vec<String> = groups.map(|(count, clip)| format!("{count} {clip}")).collect();
        format!(
            "{} cameras ({}), gate {}{look}, {} pictures a second, {} s",
            self.cameras,
            groups.join(", "),
            self.gate.as_str(),
            self.fps,
            self.measure.as_secs()
        )
    }

    /// The clip of each camera; active and eventful ones lie evenly among the others.
    fn plan<'a>(&self, clips: &'a BTreeMap<String, Clip>) -> Result<Vec<&'a Clip>, ScaleError> {
        let of = |name: &str| clips.get(name).ok_or_else(|| ScaleError::Media(format!("clip {name} was not opened")));
        let [(active, active_clip), (eventful, eventful_clip), (quiet, quiet_clip)] = self.groups();
        let mut others = spread(eventful + quiet, eventful).into_iter();
        let clip = |is_active: bool| match (is_active, is_active || others.next() == Some(true)) {
            (true, _) => of(active_clip),
            (false, true) => of(eventful_clip),
            (false, false) => of(quiet_clip),
        };
        spread(self.cameras, active).into_iter().map(clip).collect()
    }
}

/// Which of `all` are among `some`, spread evenly.
fn spread(all: usize, some: usize) -> Vec<bool> {
    (0..all).map(|index| (index + 1) * some / all.max(1) > index * some / all.max(1)).collect()
}

/// A moment of the run.
#[derive(Debug, Clone, Serialize)]
pub struct Moment {
    /// Seconds since measuring began.
    pub at: f64,
    /// The daemon's resident memory in bytes.
    pub resident: u64,
    /// Of it, rings of encoded pictures.
    pub ring_bytes: f64,
}

/// What a run showed.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// What was run.
    pub load: Load,
    /// What happened while it was measured.
    pub window: Window,
    /// Events and incidents.
    pub recall: Recall,
    /// Arrival at the grid system minus begin of the event, in seconds: half, and 99 of 100, were no longer.
    pub event_to_arrival: [Option<f64>; 2],
    /// The daemon's memory over time.
    pub memory: Vec<Moment>,
    /// The cost against the floors, where they were measured.
    pub compared: Option<Compared>,
    /// What the camera server counted.
    pub served: Totals,
}

impl Figures {
    /// How many cameras were decoded in full, on average: active ones that the box had no room for are only looked at.
    pub fn followed(&self) -> f64 {
        let Window { rates, looks, seconds, .. } = &self.window;
        let received = rates.iter().map(|rate| rate.received).sum::<f64>() / rates.len().max(1) as f64;
        let decoded: f64 = rates.iter().map(|rate| rate.decoded).sum();
        (decoded - looks.unwrap_or(0.0) / seconds).max(0.0) / received.max(f64::EPSILON)
    }
}

/// Runs a load.
///
/// # Errors
/// Something does not start, ends, or a clip is missing.
pub fn run(load: &Load, floors: Option<&Floors>, patience: &Patience) -> Result<Figures, ScaleError> {
    let clips = clips::open_all(load.clips())?;
    let wanted = rig::Wanted {
        clips: load.plan(&clips)?,
        standby: Vec::new(),
        gate: load.gate,
        look_every: load.look_every,
        fps: load.fps,
        stills: load.stills,
    };
    let mut rig = Rig::start(&wanted, patience)?;
    patience.pause(load.warm_up)?;
    let before = rig.sample()?;
    let began = Instant::now();
    let mut memory = Vec::new();
    let after = loop {
        let next = (Instant::now() + LOOK_AT_MEMORY).min(began + load.measure);
        patience.until(next)?;
        let sample = rig.sample()?;
        let ring_bytes = sample.metrics.total("snowgate_ring_bytes", &[]);
        let at = sample.at.duration_since(began).as_secs_f64();
        memory.push(Moment { at, resident: sample.daemon.memory.resident, ring_bytes });
        if sample.at >= began + load.measure {
            break sample;
        }
    };
    // Incidents of the last events are still on their way.
    patience.pause(GRACE)?;
    let fps = clips.values().map(|clip| clip.fps).fold(f64::MAX, f64::min);
    let window = Window::between(&before, &after, rig.names(), fps);
    let gop = clips.values().map(|clip| clip.longest_gop_seconds).fold(0.0, f64::max);
    let bounds = Bounds {
        from: before.mono,
        to: after.mono,
        grace: GRACE,
        look: load.look_every,
        gop: Duration::from_secs_f64(gop),
    };
    let recall = recall::judge(&rig.appeared()?, &rig.sightings(), &bounds);
    let served = rig.stop()?;
    let compared = floors.and_then(|floors| {
        let group = |name: &str, cameras, active| {
            let decoded = active || load.gate != Gate::Keyframe;
            floors.clips.get(name).map(|floors| Group { floors, cameras, decoded })
        };
        let [active, eventful, quiet] = load.groups();
        let used = [(active, true), (eventful, false), (quiet, false)];
        let used = used.into_iter().filter(|((count, _), _)| *count > 0);
        let groups: Option<Vec<Group<'_>>> = used.map(|((count, clip), active)| group(clip, count, active)).collect();
        groups.map(|groups| sum::compare(&window, floors, &groups, load.look_every))
    });
    let event_to_arrival = [0.5, 0.99].map(|q| recall.delay(q));
    Ok(Figures { load: load.clone(), window, recall, event_to_arrival, memory, compared, served })
}

/// Shows what a run showed.
pub fn show(figures: &Figures, report: &mut Report) {
    let Figures { load, window, recall, event_to_arrival, memory, compared, served } = figures;
    report.heading(&load.title());
    let cameras = load.cameras as f64;
    let mut processes =
        Table::new(&["process", "share of a core", "per camera", "memory", "peak", "growth", "threads"]);
    for (name, process) in [("daemon", &window.daemon), ("camera server", &window.cameras), ("broker", &window.broker)]
    {
        processes.row([
            name.to_owned(),
            percent(process.share),
            percent(process.share / cameras),
            mebibytes(process.resident as f64),
            mebibytes(process.peak as f64),
            mebibytes(process.growth as f64),
            process.thread_count.to_string(),
        ]);
    }
    report.table(&processes);
    let mut threads: Vec<_> = window.daemon.threads.iter().collect();
    threads.sort_by(|a, b| b.1.total_cmp(a.1));
    let threads: Vec<String> = threads.iter().map(|(group, share)| format!("{group} {}", percent(**share))).collect();
    report.line(format!("threads: {}", threads.join(", ")));
    let (first, last) = (memory.first(), memory.last());
    if let (Some(first), Some(last)) = (first, last) {
        let per_camera = mebibytes(window.daemon.resident as f64 / cameras);
        let rings = mebibytes(window.ring_bytes / cameras);
        report.line(format!(
            "memory: {per_camera} a camera, of it rings {rings}; {} at {:.0} s, {} at {:.0} s",
            mebibytes(first.resident as f64),
            first.at,
            mebibytes(last.resident as f64),
            last.at
        ));
    }
    show_floors(window, compared.as_ref(), report);
    let mean = |part: fn(&super::window::CameraRates) -> f64| window.rates.iter().map(part).sum::<f64>() / cameras;
    let (received, decoded, inferred) = (mean(|it| it.received), mean(|it| it.decoded), mean(|it| it.inferred));
    let looks = or_dash(window.looks, |looks| format!("{:.2}", looks / window.seconds / cameras));
    report.line(format!(
        "pictures a second and camera: {received:.1} received, {decoded:.2} decoded ({looks} looks), {inferred:.2} inferred"
    ));
    report.line(format!("cameras decoded in full, on average: {:.1}", figures.followed()));
    let lost: Vec<String> = window.losses.iter().map(|(what, count)| format!("{what} {count:.0}")).collect();
    report.line(format!("lost: {}", if lost.is_empty() { "nothing".to_owned() } else { lost.join(", ") }));
    report.line(format!(
        "camera server: {} pictures dropped for slow readers, {} sent more than 20 ms late, the latest {:.0} ms",
        served.dropped(),
        served.late_pictures,
        served.latest_ms
    ));
    let stalled = &window.stalled;
    report.line(format!("stalled: {}", if stalled.is_empty() { "none".to_owned() } else { stalled.join(", ") }));
    report.line(format!("frame to publish: {}", or_dash(window.frame_to_publish.as_ref(), show_delay)));
    report.line(format!("wake-up: {}", or_dash(window.wake_up.as_ref(), show_delay)));
    let [p50, p99] = event_to_arrival.map(|delay| or_dash(delay, millis));
    let hold = millis(HOLD.as_secs_f64());
    report.line(format!(
        "event's begin to its incident's arrival: p50 {p50}, p99 {p99} (the rule's own {hold} included)"
    ));
    show_recall(recall, report);
}

fn show_delay(delay: &Delay) -> String {
    let above = if delay.p99_is_above { "> " } else { "" };
    format!("p50 {}, p99 {above}{} ({:.0} counted)", millis(delay.p50), millis(delay.p99), delay.count)
}

fn show_floors(window: &Window, compared: Option<&Compared>, report: &mut Report) {
    let Some(Compared { wanted, done, live, ratio, ratio_to_done, ratio_to_live }) = compared else {
        report.line("floors: not measured");
        return;
    };
    let mut table =
        Table::new(&["shares of a core", "receive", "look", "decode", "session", "sum", "daemon", "daemon / sum"]);
    for (name, sum, ratio) in [
        ("floors of what was asked for", wanted, ratio),
        ("floors of what was done", done, ratio_to_done),
        ("the same, at live pace", live, ratio_to_live),
    ] {
        table.row([
            name.to_owned(),
            percent(sum.receive),
            percent(sum.look),
            percent(sum.decode),
            percent(sum.session),
            percent(sum.total()),
            percent(window.daemon.share),
            format!("{ratio:.2}"),
        ]);
    }
    report.table(&table);
}

/// Shows what became of events.
pub fn show_recall(recall: &Recall, report: &mut Report) {
    let mut table = Table::new(&["events", "shown", "own incident", "joined one", "missed", "reported"]);
    let names = ["shorter than the look interval", "shorter than look + GOP", "look + GOP or longer"];
    for (length, name) in Length::ALL.into_iter().zip(names) {
        let tally = recall.class(length);
        let told = tally.opened + tally.joined;
        let share = (tally.events > 0).then(|| f64::from(told) / f64::from(tally.events));
        table.row([
            name.to_owned(),
            tally.events.to_string(),
            tally.opened.to_string(),
            tally.joined.to_string(),
            tally.missed().to_string(),
            or_dash(share, |share| format!("{:.1} %", share * 100.0)),
        ]);
    }
    report.table(&table);
    report.line(format!("incidents beyond these: {} repeated, {} unexpected", recall.repeated, recall.unexpected));
    const SHOWN: usize = 5;
    for missed in recall.missed.iter().take(SHOWN) {
        let length = missed.end.since(missed.begin).as_secs_f64();
        report.line(format!("missed: {} {} ({length:.1} s)", missed.camera, missed.event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_cameras_lie_evenly_among_the_others() {
        assert_eq!(spread(5, 0), [false; 5]);
        assert_eq!(spread(2, 2), [true; 2]);
        let sixteen = spread(16, 2);
        assert_eq!(sixteen.iter().filter(|active| **active).count(), 2);
        assert!(sixteen[7] && sixteen[15]);
        assert_eq!(spread(64, 7).iter().filter(|active| **active).count(), 7);
    }
}
