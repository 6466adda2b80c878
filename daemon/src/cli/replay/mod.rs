//! `snowgate replay`: the same path on a recording as live, as fast as it can, with the recording's own times. A camera's
//! recording is a clip, a sensor's a table of readings.

pub(super) mod camera;
pub(super) mod expect;
mod sensor;

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{ArgGroup, Args};
use snowgate_core::{ids::Id, rules::explain::Line};

use self::{
    camera::{Prepared, Replayed},
    expect::Golden,
};
use super::{
    Format,
    clips::{Clips, ClipsError},
    exit::Exit,
};
use crate::{camera::clip::ClipError, vision::analyser::VisionError};

/// The most that a golden file may hold.
const MAX_GOLDEN_BYTES: u64 = 16 << 20;

/// Arguments of `snowgate replay`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["camera", "sensor"])))]
pub struct Replay {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// The camera whose zones and rules are used on a clip.
    #[arg(long, value_name = "ID")]
    camera: Option<Id>,
    /// The sensor whose quantities and rules are used on a table of readings.
    #[arg(long, value_name = "ID")]
    sensor: Option<Id>,
    /// A video file (any container with H.264 or H.265 in it) or a directory of them, each played for itself; or a CSV file
    /// with a header, a column of times and one for each quantity.
    file: PathBuf,
    /// How to print incidents, and what --explain says; json is one a line.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Wall-clock time of a clip's beginning.
    #[arg(long, value_name = "TIME", default_value = "2000-01-01T00:00:00Z", conflicts_with = "sensor")]
    start: jiff::Timestamp,
    /// File of expected incidents, as --format json prints them; differences end with code 65.
    #[arg(long, value_name = "GOLDEN")]
    expect: Option<PathBuf>,
    /// Draw a sensor's readings, scores and incidents into this PNG file.
    #[arg(long, value_name = "PNG", requires = "sensor")]
    plot: Option<PathBuf>,
    /// Judge a camera's scene by what was learnt of it, in this data directory; nothing was learnt otherwise.
    #[arg(long, value_name = "DIR", conflicts_with = "sensor")]
    data: Option<PathBuf>,
    /// Say of everything that is followed why each rule tells of it or does not: a line where that changes, and in the end how
    /// near it came.
    #[arg(long, conflicts_with = "sensor")]
    explain: bool,
    /// A sensor's values are already what is reported: no scale, no offset, no other unit.
    #[arg(long, requires = "sensor")]
    reported: bool,
}

/// Why a replay came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error("{0}")]
    Config(String),
    #[error("there is no {what} {id} in {}", directory.display())]
    Missing { what: &'static str, id: Id, directory: PathBuf },
    #[error("{what} {id} is refused: {reason}")]
    Refused { what: &'static str, id: Id, reason: String },
    #[error("{0}")]
    Data(String),
    #[error(transparent)]
    Clip(#[from] ClipError),
    #[error(transparent)]
    Clips(#[from] ClipsError),
    #[error(transparent)]
    Vision(#[from] VisionError),
    #[error("{}: {source}", path.display())]
    Golden { path: PathBuf, source: io::Error },
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
    #[error("cannot write {}: {message}", path.display())]
    Plot { path: PathBuf, message: String },
}

impl ReplayError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Missing { .. } | Self::Refused { .. } => Exit::BadConfig,
            Self::Data(_) | Self::Clip(_) | Self::Clips(_) | Self::Vision(_) | Self::Golden { .. } => Exit::BadData,
            Self::Print(_) | Self::Plot { .. } => Exit::Io,
        }
    }
}

fn data(error: impl fmt::Display) -> ReplayError {
    ReplayError::Data(error.to_string())
}

impl Replay {
    /// Replays and prints; [`Exit::BadData`] where the file is no recording or the result is not the expected one.
    pub fn run(self) -> Exit {
        let replayed = match (&self.camera, &self.sensor) {
            (Some(camera), _) => self.replay_camera(camera),
            (None, Some(sensor)) => self.replay_sensor(sensor),
            // The group asks for one of them.
            (None, None) => Ok(Exit::Usage),
        };
        match replayed {
            Ok(exit) => exit,
            Err(error) => {
                eprintln!("snowgate: {error}");
                error.exit()
            }
        }
    }

    fn replay_camera(&self, camera: &Id) -> Result<Exit, ReplayError> {
        let began = Instant::now();
        let camera = Prepared::load(&self.config, camera, self.start, self.data.as_deref())?;
        if self.file.is_dir() {
            return self.replay_directory(&camera, began);
        }
        let replayed = camera.replay(&self.file, self.explain_to())?;
        self.tell(&self.file, &replayed, began)?;
        self.compare(&replayed.incidents)
    }

    /// Who is told why rules tell of things or do not, if somebody wants to know.
    fn explain_to(&self) -> Option<fn(&Line)> {
        self.explain.then_some(match self.format {
            Format::Human => print_line,
            Format::Json => print_json_line,
        })
    }

    /// Replays each clip of a directory. One that cannot be played is named, and the others go on.
    fn replay_directory(&self, camera: &Prepared, began: Instant) -> Result<Exit, ReplayError> {
        let clips = Clips::of_directory(&self.file)?;
        clips.say_passed_over();
        let mut incidents = Vec::new();
        let mut unplayable = 0;
        for clip in &clips.videos {
            let began = Instant::now();
            match camera.replay(clip, self.explain_to()) {
                Ok(mut replayed) => {
                    let name = clip.file_name().map(|name| name.to_string_lossy().into_owned());
                    replayed.incidents.iter_mut().for_each(|incident| incident.clip.clone_from(&name));
                    self.tell(clip, &replayed, began)?;
                    incidents.append(&mut replayed.incidents);
                }
                Err(ReplayError::Clip(error)) => {
                    unplayable += 1;
                    eprintln!("snowgate: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        eprintln!(
            "{}: {} clip(s), {unplayable} of them cannot be played, {} incident(s), {:.1} s",
            self.file.display(),
            clips.videos.len(),
            incidents.len(),
            began.elapsed().as_secs_f64()
        );
        let exit = self.compare(&incidents)?;
        Ok(if unplayable > 0 { Exit::BadData } else { exit })
    }

    fn tell(&self, clip: &Path, replayed: &Replayed, began: Instant) -> Result<(), ReplayError> {
        print(&replayed.incidents, self.format)?;
        eprintln!(
            "{}: {} pictures, {} looked at, {} incident(s), {:.1} s",
            clip.display(),
            replayed.pictures,
            replayed.looked_at,
            replayed.incidents.len(),
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn replay_sensor(&self, sensor: &Id) -> Result<Exit, ReplayError> {
        let began = Instant::now();
        let replayed = sensor::replay(&self.config, sensor, &self.file, self.reported)?;
        print(&replayed.incidents, self.format)?;
        if self.format == Format::Human {
            write!(io::stdout().lock(), "{}", replayed.summary)?;
        }
        if let Some(path) = &self.plot {
            sensor::plot::draw(&replayed, path).map_err(|message| ReplayError::Plot { path: path.clone(), message })?;
        }
        eprintln!(
            "{}: {} readings, {} bad line(s), {} incident(s), {:.1} s",
            self.file.display(),
            replayed.summary.readings(),
            replayed.bad_lines,
            replayed.incidents.len(),
            began.elapsed().as_secs_f64()
        );
        self.compare(&replayed.incidents)
    }

    fn compare<T: Golden>(&self, found: &[T]) -> Result<Exit, ReplayError> {
        let Some(path) = &self.expect else { return Ok(Exit::Ok) };
        let expected = read_golden::<T>(path)?;
        Ok(match expect::diff(&expected, found) {
            None => Exit::Ok,
            Some(diff) => {
                eprint!("not as expected by {} (- expected, + found):\n{diff}", path.display());
                Exit::BadData
            }
        })
    }
}

fn read_golden<T: Golden>(path: &Path) -> Result<Vec<T>, ReplayError> {
    let unreadable = |source| ReplayError::Golden { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_GOLDEN_BYTES {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    expect::parse(&text).map_err(|error| ReplayError::Data(format!("{}: {error}", path.display())))
}

fn print_line(line: &Line) {
    // Who reads it may have gone; printing the incidents will tell.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn print_json_line(line: &Line) {
    let mut out = io::stdout().lock();
    let _ = serde_json::to_writer(&mut out, line).map_err(io::Error::from).and_then(|()| writeln!(out));
}

fn print(incidents: &[impl Golden], format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for incident in incidents {
        match format {
            Format::Json => {
                serde_json::to_writer(&mut out, incident)?;
                writeln!(out)?;
            }
            Format::Human => writeln!(out, "{incident}")?,
        }
    }
    out.flush()
}
