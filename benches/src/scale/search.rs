//! `scale search`: the most cameras this machine carries with nothing stalled, nothing lost and no event missed, and whether it
//! carries them for long.

use std::time::Duration;

use serde::Serialize;

use super::{
    error::ScaleError,
    floors::Floors,
    load::{self, Figures, Load, Moment},
    patience::Patience,
    recall::Length,
    report::Report,
    table::{Table, mebibytes, millis, or_dash, percent},
};

/// Memory that grows by more than this share in the second half of a long run is not bounded.
const GROWTH: f64 = 0.05;
/// The longest that one in a hundred messages may take.
const P99: f64 = 0.5;

/// What is searched.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The load; its cameras are what is searched for.
    pub load: Load,
    /// Share of cameras that are active.
    pub active: f64,
    /// Numbers of cameras are multiples of this.
    pub step: usize,
    /// The most cameras tried.
    pub most: usize,
    /// How many are tried first.
    pub first: usize,
    /// How long the result must hold.
    pub hold: Duration,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The load, with the cameras that were tried first.
    pub load: Load,
    /// The most cameras that held.
    pub cameras: usize,
    /// Every number tried, with why it did not hold.
    pub tried: Vec<(usize, Vec<String>)>,
    /// The long run at that number, and why it did not hold.
    pub held: Option<(Figures, Vec<String>)>,
}

/// Cameras that are active among so many: at least one.
pub fn active_of(cameras: usize, share: f64) -> usize {
    ((cameras as f64 * share).round() as usize).clamp(usize::from(share > 0.0), cameras)
}

/// Why a run does not count as carried; empty if it does.
pub fn faults(figures: &Figures) -> Vec<String> {
    let Figures { window, recall, served, .. } = figures;
    let missed = recall.class(Length::AtLeastLookAndGop).missed();
    let late = window.frame_to_publish.filter(|delay| delay.p99 > P99);
    let lost = window.lost("frames_lost");
    let faults = [
        (!window.stalled.is_empty()).then(|| format!("{} cameras stalled", window.stalled.len())),
        (lost > 0.0).then(|| format!("{lost:.0} encoded pictures lost")),
        (served.dropped() > 0).then(|| format!("{} pictures not taken from the camera server", served.dropped())),
        (missed > 0).then(|| format!("{missed} events of look interval + GOP or longer missed")),
        late.map(|delay| format!("frame to publish p99 {}", millis(delay.p99))),
    ];
    faults.into_iter().flatten().collect()
}

/// By which share memory grew in the second half of a run; none if the run was too short to tell.
fn late_growth(memory: &[Moment]) -> Option<f64> {
    let last = memory.last()?;
    let half = memory.iter().find(|moment| moment.at >= last.at / 2.0).filter(|half| half.at < last.at)?;
    Some(last.resident as f64 / half.resident as f64 - 1.0)
}

/// The largest multiple of `step` up to `most` that holds, if what holds for more holds for less; 0 if none does. Begins with
/// `first`, doubles until something fails, then halves the gap.
///
/// # Errors
/// What `holds` fails with.
pub fn largest<E>(
    step: usize,
    most: usize,
    first: usize,
    mut holds: impl FnMut(usize) -> Result<bool, E>,
) -> Result<usize, E> {
    let (mut good, mut bad) = (0, most / step + 1);
    let mut next = (first / step).clamp(1, (most / step).max(1));
    while bad - good > 1 {
        if holds(next * step)? {
            good = next;
        } else {
            bad = next;
        }
        let doubled = if bad > most / step && good > 0 { good * 2 } else { usize::MAX };
        next = if doubled < bad { doubled } else { good + (bad - good).div_ceil(2).min(bad - good - 1).max(1) };
    }
    Ok(good * step)
}

/// Searches, holds, and shows both.
///
/// # Errors
/// Something does not start or ends; that a load is not carried is no error.
pub fn run(
    wanted: &Wanted,
    floors: Option<&Floors>,
    patience: &Patience,
    report: &mut Report,
) -> Result<Found, ScaleError> {
    let Load { active_clip, quiet_clip, eventful, look_every, gate, .. } = &wanted.load;
    report.heading(&format!(
        "The most cameras, {:.0} % of them {active_clip}, the others {quiet_clip} but for {:.1} % sparse-cbr; gate {}, looks every {} s",
        wanted.active * 100.0,
        eventful * 100.0,
        gate.as_str(),
        look_every.as_secs_f64()
    ));
    let load = |cameras: usize, measure| {
        let active = active_of(cameras, wanted.active);
        Load { cameras, active, measure, ..wanted.load.clone() }
    };
    let mut tried = Vec::new();
    let mut table =
        Table::new(&["cameras", "in full", "daemon", "server", "lost", "p99", "missed", "daemon / floors", "carried"]);
    let most = largest(wanted.step, wanted.most, wanted.first, |cameras| {
        let why = match load::run(&load(cameras, wanted.load.measure), floors, patience) {
            Ok(figures) => {
                let why = faults(&figures);
                row(&mut table, &figures, &why);
                why
            }
            Err(ScaleError::Interrupted) => return Err(ScaleError::Interrupted),
            Err(ScaleError::Missing { what, remedy }) => return Err(ScaleError::Missing { what, remedy }),
            Err(error) if cameras <= wanted.first => return Err(error),
            // A machine that cannot even start so many does not carry them.
            Err(error) => vec![error.to_string()],
        };
        println!("{cameras} cameras: {}", if why.is_empty() { "carried".to_owned() } else { why.join("; ") });
        tried.push((cameras, why.clone()));
        Ok(why.is_empty())
    })?;
    report.table(&table);
    report.line(
        "in full: cameras decoded in full, on average; active ones that the box had no room for are only looked at",
    );
    report.line(format!("The most: {most} cameras. The camera server ran on the same cores."));
    let mut found = Found { load: wanted.load.clone(), cameras: most, tried, held: None };
    if most > 0 && !wanted.hold.is_zero() {
        let figures = load::run(&load(most, wanted.hold), floors, patience)?;
        load::show(&figures, report);
        let mut why = faults(&figures);
        let growth = late_growth(&figures.memory);
        why.extend(
            growth.filter(|it| *it > GROWTH).map(|it| format!("memory grew by {} in the second half", percent(it))),
        );
        let held = if why.is_empty() { "held".to_owned() } else { format!("not held: {}", why.join("; ")) };
        report.line(format!("{most} cameras for {} s: {held}", wanted.hold.as_secs()));
        let mut memory = Table::new(&["at", "resident", "rings"]);
        for moment in &figures.memory {
            memory.row([
                format!("{:.0} s", moment.at),
                mebibytes(moment.resident as f64),
                mebibytes(moment.ring_bytes),
            ]);
        }
        report.table(&memory);
        found.held = Some((figures, why));
    }
    report.keep("search", &found);
    Ok(found)
}

fn row(table: &mut Table, figures: &Figures, why: &[String]) {
    let Figures { load, window, recall, compared, .. } = figures;
    let class = recall.class(Length::AtLeastLookAndGop);
    table.row([
        format!("{} ({} active)", load.cameras, load.active),
        format!("{:.1}", figures.followed()),
        percent(window.daemon.share),
        percent(window.cameras.share),
        format!("{:.0}", window.lost("frames_lost")),
        or_dash(window.frame_to_publish, |delay| millis(delay.p99)),
        format!("{} of {}", class.missed(), class.events),
        or_dash(*compared, |compared| format!("{:.2}", compared.ratio)),
        if why.is_empty() { "yes".to_owned() } else { why.join("; ") },
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_holds_is_found_in_few_tries() {
        for limit in 0..=130usize {
            for first in [8, 16, 48, 96] {
                let mut tries = Vec::new();
                let found = largest::<()>(8, 96, first, |cameras| {
                    assert!(cameras % 8 == 0 && (8..=96).contains(&cameras) && !tries.contains(&cameras), "{tries:?}");
                    tries.push(cameras);
                    Ok(cameras <= limit)
                });
                assert_eq!(found, Ok((limit / 8 * 8).min(96)), "{tries:?}");
                assert!(tries.len() <= 8 && tries[0] == first, "{limit}: {tries:?}");
            }
        }
    }

    #[test]
    fn memory_that_fills_up_first_is_bounded_and_memory_that_grows_is_not() {
        let run = |resident: &[u64]| {
            let moment = |(index, resident): (usize, &u64)| Moment {
                at: 10.0 * (index + 1) as f64,
                resident: *resident,
                ring_bytes: 0.0,
            };
            late_growth(&resident.iter().enumerate().map(moment).collect::<Vec<_>>())
        };
        assert_eq!(run(&[100, 180, 200, 200, 200, 200]), Some(0.0));
        assert!(run(&[100, 120, 140, 160, 180, 200]).is_some_and(|growth| growth > 0.4));
        assert_eq!((run(&[100]), run(&[])), (None, None));
    }

    #[test]
    fn a_tenth_is_at_least_one() {
        assert_eq!([1, 8, 16, 64].map(|cameras| active_of(cameras, 0.1)), [1, 1, 2, 6]);
        assert_eq!((active_of(8, 0.0), active_of(8, 1.0)), (0, 8));
    }
}
