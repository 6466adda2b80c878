//! What was served and when, as JSON lines.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

/// A line of the log.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    /// An event of a clip was shown.
    Event {
        /// The camera.
        camera: &'a str,
        /// The clip.
        clip: &'a str,
        /// The event's id within the clip.
        event: &'a str,
        /// How often the camera had played the clip to its end since it switched to it.
        r#loop: u64,
        /// When its first picture was sent, `CLOCK_MONOTONIC`.
        begin_mono_ns: u64,
        /// When its last one was.
        end_mono_ns: u64,
        /// The first picture's time by the wall clock.
        begin_wall: Timestamp,
        /// False where a switch or the end cut it short.
        whole: bool,
        /// Readers that were playing when it began; 0: nobody could see it.
        readers: usize,
    },
    /// A camera began to play another clip.
    Switched {
        /// The camera.
        camera: &'a str,
        /// The new clip.
        clip: &'a str,
        /// When.
        mono_ns: u64,
    },
    /// The end.
    Totals(Totals<'a>),
}

/// Counts of the whole run.
#[derive(Debug, Serialize)]
pub struct Totals<'a> {
    /// Seconds it ran.
    pub seconds: f64,
    /// Processor seconds of the process since it was ready.
    pub cpu_seconds: f64,
    /// The longest time a picture left after it was due.
    pub latest_ms: f64,
    /// Pictures that left more than 20 ms after they were due.
    pub late_pictures: u64,
    /// Camera by camera.
    pub cameras: Vec<CameraTotals<'a>>,
}

/// One camera's counts. Pictures count once a reader.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CameraTotals<'a> {
    /// The camera.
    pub camera: &'a str,
    /// Pictures handed to readers.
    pub sent: u64,
    /// Pictures that readers were too slow for.
    pub dropped: u64,
    /// Bytes handed to readers.
    pub bytes: u64,
    /// PLAY requests.
    pub plays: u64,
    /// The most that waited for one reader, bytes, beyond what the system's own buffers hold.
    pub longest_queue: usize,
}

/// Writes `line` and lets readers of the file see it at once.
///
/// # Errors
/// The log cannot be written.
pub fn write(log: &mut dyn Write, line: &Line<'_>) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    log.write_all(&text)?;
    log.flush()
}
