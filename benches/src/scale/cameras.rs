//! The cameras: `scale serve` as a process of its own, told by a plan what to play, and its log of what appeared.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{ChildStdin, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use snowgate_core::time::Mono;

use super::{
    child::{Running, this_program},
    error::ScaleError,
    patience::Patience,
    recall::Appearance,
};

/// Clips are read into memory before the server listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
/// Its totals come at once.
const TOTALS_WITHIN: Duration = Duration::from_secs(10);

/// What is served.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// The cameras.
    pub cameras: Vec<PlannedCamera>,
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
struct Logged {
    camera: String,
    event: Value,
    begin_mono_ns: u64,
    end_mono_ns: u64,
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
        command.arg("serve").arg("--plan").arg(&file).arg("--log").arg(&log).stdin(Stdio::piped());
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

    /// Lets every camera play another clip from now on.
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

    /// What has appeared up to now.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn appeared(&self) -> Result<Vec<Appearance>, ScaleError> {
        let text = fs::read_to_string(&self.log).map_err(ScaleError::file(&self.log))?;
        // The last line may still be written.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Logged>(line).ok());
        let appearance = |logged: Logged| Appearance {
            camera: logged.camera,
            event: logged.event.as_str().map_or_else(|| logged.event.to_string(), str::to_owned),
            begin: Mono(logged.begin_mono_ns),
            end: Mono(logged.end_mono_ns),
        };
        Ok(lines.map(appearance).collect())
    }

    /// Ends them; what the server has counted.
    pub fn stop(mut self) -> Option<Value> {
        self.server.stop();
        self.server.answer(TOTALS_WITHIN, &Patience::default()).ok()
    }
}
