//! The cameras: `scale serve` as a process of its own, told by a plan what to play, and its log of what appeared.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{ChildStdin, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use snowgate_core::time::Mono;

use super::{
    child::{Running, this_program},
    clips,
    error::ScaleError,
    patience::Patience,
    recall::Appearance,
};

/// Clips are read into memory before the server listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// What is served.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// The cameras.
    pub cameras: Vec<PlannedCamera>,
    /// Clips that [`Cameras::play_everywhere`] may ask for later.
    pub standby: Vec<String>,
}

/// One camera of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedCamera {
    /// Its name, and the path of its stream.
    pub name: String,
    /// The clip it plays, over and over.
    pub clip: String,
    /// Where in the clip it begins.
    pub offset_s: f64,
}

#[derive(Debug, Deserialize)]
struct Listening {
    listening: u16,
}

/// A line of the server's log.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Event {
        camera: String,
        event: String,
        begin_mono_ns: u64,
        end_mono_ns: u64,
        whole: bool,
        readers: usize,
    },
    Switched {
        clip: String,
    },
    Totals(Totals),
    #[serde(other)]
    Other,
}

/// What the server counted from its beginning to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Totals {
    /// The longest time that a picture left after it was due, in milliseconds.
    pub latest_ms: f64,
    /// Pictures that left more than 20 ms after they were due.
    pub late_pictures: u64,
    /// By camera.
    pub cameras: Vec<CameraTotals>,
}

/// What the server counted of one camera.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CameraTotals {
    /// Its name.
    pub camera: String,
    /// Pictures handed to readers.
    pub sent: u64,
    /// Pictures that readers were too slow for.
    pub dropped: u64,
}

impl Totals {
    /// Pictures of all cameras that readers were too slow for.
    pub fn dropped(&self) -> u64 {
        self.cameras.iter().map(|camera| camera.dropped).sum()
    }
}

/// Cameras that play.
#[derive(Debug)]
pub struct Cameras {
    server: Running,
    input: Option<ChildStdin>,
    port: u16,
    log: PathBuf,
}

impl Cameras {
    /// Starts a server for a plan; its files go into a folder.
    ///
    /// # Errors
    /// It does not start, or does not listen in time.
    pub fn start(plan: &Plan, folder: &Path, patience: &Patience) -> Result<Self, ScaleError> {
        let (file, log) = (folder.join("plan.json"), folder.join("appeared.jsonl"));
        fs::write(&file, json!(plan).to_string()).map_err(ScaleError::file(&file))?;
        let mut command = this_program()?;
        command.arg("serve").arg("--plan").arg(&file).arg("--log").arg(&log).arg("--media").arg(clips::folder());
        command.stdin(Stdio::piped());
        let mut server = Running::start(&mut command)?;
        let input = server.input();
        let Listening { listening: port } = server.answer(LISTENS_WITHIN, patience)?;
        Ok(Self { server, input, port, log })
    }

    /// Where a camera's stream is.
    pub fn url(&self, camera: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{camera}", self.port)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Checks that they still play.
    ///
    /// # Errors
    /// The server has ended.
    pub fn ensure_running(&mut self) -> Result<(), ScaleError> {
        self.server.ensure_running()
    }

    /// Lets every camera play another clip, from its next key frame on. [`Cameras::switches`] tells when they do.
    ///
    /// # Errors
    /// The server does not listen any more.
    pub fn play_everywhere(&mut self, clip: &str) -> Result<(), ScaleError> {
        self.server.ensure_running()?;
        let Some(input) = self.input.as_mut() else { return Ok(()) };
        writeln!(input, "{}", json!({ "all": clip }))
            .and_then(|()| input.flush())
            .map_err(ScaleError::system("the camera server's input"))
    }

    /// How many times a camera has begun to play a clip because it was asked to.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn switches(&self, to: &str) -> Result<usize, ScaleError> {
        Ok(self.lines()?.iter().filter(|line| matches!(line, Line::Switched { clip } if clip == to)).count())
    }

    /// What has appeared up to now, from its begin to its end, in front of somebody who watched.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn appeared(&self) -> Result<Vec<Appearance>, ScaleError> {
        let appearance = |line| match line {
            Line::Event { camera, event, begin_mono_ns, end_mono_ns, whole: true, readers: 1.. } => {
                Some(Appearance { camera, event, begin: Mono(begin_mono_ns), end: Mono(end_mono_ns) })
            }
            _ => None,
        };
        Ok(self.lines()?.into_iter().filter_map(appearance).collect())
    }

    /// Ends them; what the server has counted.
    ///
    /// # Errors
    /// The log cannot be read, or does not hold it.
    pub fn stop(mut self) -> Result<Totals, ScaleError> {
        self.server.stop();
        let totals = self.lines()?.into_iter().find_map(|line| match line {
            Line::Totals(totals) => Some(totals),
            _ => None,
        });
        totals.ok_or_else(|| ScaleError::Media("the camera server ended without its totals".into()))
    }

    fn lines(&self) -> Result<Vec<Line>, ScaleError> {
        let text = fs::read_to_string(&self.log).map_err(ScaleError::file(&self.log))?;
        // The last line may still be written.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_log_is_understood() {
        let read = |line| serde_json::from_str::<Line>(line).unwrap();
        let event = r#"{"type":"event","camera":"a","clip":"c","event":"e00","loop":0,"begin_mono_ns":5,"end_mono_ns":9,"begin_wall":"2026-01-01T00:00:00Z","whole":true,"readers":1}"#;
        assert!(matches!(read(event), Line::Event { begin_mono_ns: 5, end_mono_ns: 9, whole: true, readers: 1, .. }));
        assert!(
            matches!(read(r#"{"type":"switched","camera":"a","clip":"c","mono_ns":5}"#), Line::Switched { clip } if clip == "c")
        );
        assert!(matches!(read(r#"{"type":"news"}"#), Line::Other));
        let totals = r#"{"type":"totals","seconds":9.5,"cpu_seconds":0.1,"latest_ms":3.5,"late_pictures":2,"cameras":[{"camera":"a","sent":250,"dropped":3,"bytes":1,"plays":1,"longest_queue":0}]}"#;
        assert!(matches!(read(totals), Line::Totals(totals) if totals.dropped() == 3 && totals.late_pictures == 2));
    }
}
