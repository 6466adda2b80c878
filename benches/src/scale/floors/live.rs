//! Decoding and sessions at the pace of live cameras, side by side: what the same work costs when it comes a picture at a
//! time, on cores that do other things in between, instead of in one loop that owns every cache.
//!
//! Two cameras' pictures are decoded as they would arrive, and a session runs as often as inference would run for them, on a
//! thread each and at once; then key frames are looked at as those of eight quiet cameras would arrive. Nothing else of the
//! daemon is there: what it costs beyond these figures is its own.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use snowgate::camera::{access_unit::AccessUnit, decode::Decoder};

use super::{in_a_child, session};
use crate::scale::{
    clips::{self, Clip},
    error::{ScaleError, media},
    patience::Patience,
};

/// Cameras that are decoded.
const CAMERAS: usize = 2;
/// Between two pictures of all of them together.
const PICTURE_EVERY: Duration = Duration::from_millis(40 / CAMERAS as u64);
/// Pictures decoded before it counts, and those that count.
const WARM_UP: usize = 100;
const PICTURES: usize = 500;
/// Between two sessions, and how many there are.
const SESSION_EVERY: Duration = Duration::from_millis(40);
const SESSIONS: u32 = 250;
/// Between two looks, and how many there are.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS: usize = 24;

/// What to decode and run.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The clip's file.
    clip: PathBuf,
    #[command(flatten)]
    session: session::Arguments,
}

/// CPU seconds of one of each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Figures {
    /// A picture when all are decoded.
    pub seconds_per_picture: f64,
    /// A key frame: in, out, drained.
    pub seconds_per_look: f64,
    /// A session.
    pub seconds_per_session: f64,
}

/// Measures it in a child, with the session whose figures these are.
///
/// # Errors
/// The clip or the model cannot be used.
pub fn measure(clip: &Clip, model: &session::Figures, patience: &Patience) -> Result<Figures, ScaleError> {
    let mut arguments = vec!["live".to_owned(), clip.file.display().to_string()];
    arguments.extend(session::arguments_of(model)?);
    in_a_child(&arguments, Duration::from_secs(60), patience)
}

/// Measures it here.
///
/// # Errors
/// The clip or the model cannot be used.
pub fn run(arguments: &Arguments) -> Result<Figures, ScaleError> {
    let units = clips::units(&arguments.clip)?;
    let keys: Vec<AccessUnit> = units.iter().filter(|unit| unit.key).cloned().collect();
    let seconds_per_session = {
        let arguments = arguments.session.clone();
        thread::spawn(move || {
            let mut prepared = session::Prepared::open(&arguments)?;
            paced(SESSION_EVERY, SESSIONS as usize / 10, SESSIONS as usize, |_| prepared.run())
        })
    };
    let seconds_per_picture = decode(&units)?;
    let seconds_per_session = seconds_per_session.join().map_err(|_| media("the session's thread panicked"))??;
    let mut decoder = Decoder::new(units[0].format.codec).map_err(media)?;
    let seconds_per_look = paced(LOOK_EVERY, 4, LOOKS, |index| {
        let key = &keys[index % keys.len()];
        decoder.look(key).map_err(media)?.map(drop).ok_or_else(|| media("a key frame without a picture"))
    })?;
    Ok(Figures { seconds_per_picture, seconds_per_look, seconds_per_session })
}

fn decode(units: &[AccessUnit]) -> Result<f64, ScaleError> {
    let first = units.first().ok_or_else(|| media("an empty clip"))?;
    let mut decoders = Vec::new();
    for _ in 0..CAMERAS {
        decoders.push(Decoder::new(first.format.codec).map_err(media)?);
    }
    paced(PICTURE_EVERY, WARM_UP, PICTURES, |index| {
        let unit = &units[index / CAMERAS % units.len()];
        decoders[index % CAMERAS].decode(unit, &mut drop).map_err(media)
    })
}

/// Does something so often, at this pace, and tells what one time costs this thread.
fn paced(
    every: Duration,
    warm_up: usize,
    times: usize,
    mut work: impl FnMut(usize) -> Result<(), ScaleError>,
) -> Result<f64, ScaleError> {
    let began = Instant::now();
    let mut cpu = Duration::ZERO;
    for index in 0..warm_up + times {
        let due = began + every * u32::try_from(index).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let before = thread_cpu();
        work(index)?;
        if index >= warm_up {
            cpu += thread_cpu() - before;
        }
    }
    Ok(cpu.as_secs_f64() / times as f64)
}

fn thread_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}
