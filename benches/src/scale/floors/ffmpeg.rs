//! The usual way, for comparison: one ffmpeg a camera that decodes everything and keeps 5 pictures a second.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::scale::{child::Running, error::ScaleError, patience::Patience, process::Usage};

/// What is kept of the stream.
pub const FILTER: &str = "fps=5,scale=1280:720";
/// Opening a stream costs more than following it; it is let pass.
const WARM_UP: Duration = Duration::from_secs(5);

/// What it cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Share of one core.
    pub share: f64,
    /// Resident memory, in bytes.
    pub bytes: u64,
}

/// Measures it; none where there is no ffmpeg.
///
/// # Errors
/// It ends while it is measured.
pub fn measure(url: &str, seconds: u64, patience: &Patience) -> Result<Option<Figures>, ScaleError> {
    let silent = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
    };
    if !silent(Command::new("ffmpeg").arg("-version")) {
        return Ok(None);
    }
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-an", "-vf", FILTER]);
    command.args(["-pix_fmt", "yuv420p", "-f", "rawvideo", "-y", "/dev/null"]).stdin(Stdio::null());
    let mut running = Running::start(&mut command)?;
    patience.pause(WARM_UP)?;
    running.ensure_running()?;
    let (began, before) = (Instant::now(), Usage::of(running.pid())?);
    patience.pause(Duration::from_secs(seconds))?;
    running.ensure_running()?;
    let after = Usage::of(running.pid())?;
    let share = (after.cpu.saturating_sub(before.cpu)).as_secs_f64() / began.elapsed().as_secs_f64();
    Ok(Some(Figures { share, bytes: after.memory.resident }))
}
