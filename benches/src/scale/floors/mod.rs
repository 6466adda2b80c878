//! The floors: what one camera costs at the least, part by part, each part alone in a process of its own.
//!
//! | floor | what runs |
//! |---|---|
//! | receive | the daemon's RTSP elements and settings, pictures thrown away |
//! | look | one key frame every look interval through the daemon's decoder, and out of it at once |
//! | decode | every picture through the daemon's decoder |
//! | session | the models' ONNX sessions on a fixed input |
//! | live | decode, look and session again, at the pace of live cameras and side by side |
//! | ffmpeg | what others do: one ffmpeg a camera, everything decoded, 5 pictures a second kept |

pub mod decode;
pub mod ffmpeg;
pub mod live;
pub mod receive;
pub mod session;

use std::{collections::BTreeMap, time::Duration};

use clap::Subcommand;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use super::{
    cameras::{Cameras, Plan, PlannedCamera},
    child::{ask, this_program},
    clips::{self, Clip},
    error::{ScaleError, media},
    patience::Patience,
    report::Report,
    table::{Table, mebibytes, millis, or_dash, percent},
};

/// A child has its figures ready so long after the time it was given, on a slow and busy machine too.
const GRACE: Duration = Duration::from_secs(120);

/// How floors are measured.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Clips to weigh.
    pub clips: Vec<String>,
    /// Cameras received at once.
    pub cameras: u32,
    /// How long streams are received.
    pub seconds: u64,
    /// The look interval of a quiet camera.
    pub look_every: Duration,
    /// Pictures decoded at the most.
    pub pictures: usize,
    /// Whether the ffmpeg baseline is measured too.
    pub ffmpeg: bool,
}

/// Everything measured.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Floors {
    /// By clip.
    pub clips: BTreeMap<String, ClipFloors>,
    /// By model.
    pub sessions: Vec<session::Figures>,
}

impl Floors {
    /// The cheapest file and size of a model.
    pub fn cheapest_session(&self, model: &str) -> Option<&session::Figures> {
        let figures = self.sessions.iter().filter(|figures| figures.model == model);
        figures.min_by(|a, b| a.seconds.total_cmp(&b.seconds))
    }
}

/// What a camera that plays one clip costs at the least.
#[derive(Debug, Clone, Serialize)]
pub struct ClipFloors {
    /// The clip.
    pub clip: Clip,
    /// Receiving it.
    pub receive: receive::Figures,
    /// Decoding its pictures.
    pub decode: decode::Figures,
    /// Decoding them, and the object model's cheapest session, at the pace of live cameras.
    pub live: live::Figures,
    /// The usual way, if it could be measured.
    pub ffmpeg: Option<ffmpeg::Figures>,
    /// Share of a core for one look every look interval.
    pub look_share: f64,
    /// Share of a core for decoding everything.
    pub decode_share: f64,
}

/// The parts that run in a process of their own.
#[derive(Debug, Clone, Subcommand)]
pub enum Part {
    /// Receives streams and throws them away.
    Receive(receive::Arguments),
    /// Decodes a clip from memory.
    Decode(decode::Arguments),
    /// Runs a model's session on a fixed input.
    Session(session::Arguments),
    /// Decodes and runs a session at the pace of live cameras.
    Live(live::Arguments),
}

impl Part {
    /// Runs the part here and prints its figures as one line of JSON.
    ///
    /// # Errors
    /// It cannot be measured.
    pub fn run(&self) -> Result<(), ScaleError> {
        fn print(figures: impl Serialize) -> Result<(), ScaleError> {
            println!("{}", serde_json::to_string(&figures).map_err(media)?);
            Ok(())
        }
        gstreamer::init().map_err(media)?;
        match self {
            Self::Receive(arguments) => print(receive::run(arguments)?),
            Self::Decode(arguments) => print(decode::run(arguments)?),
            Self::Session(arguments) => print(session::run(arguments)?),
            Self::Live(arguments) => print(live::run(arguments)?),
        }
    }
}

/// CPU time that this process has used, to the nanosecond.
fn own_cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Measures every floor and shows them.
///
/// # Errors
/// A clip is missing, or a part cannot be measured.
pub fn measure(wanted: &Wanted, patience: &Patience, report: &mut Report) -> Result<Floors, ScaleError> {
    let mut floors = Floors { sessions: session::measure(patience)?, ..Floors::default() };
    let [objects, _] = session::defaults()?;
    let session = floors.cheapest_session(&objects).cloned().ok_or_else(|| media("the object model has no session"))?;
    for (name, clip) in clips::open_all(wanted.clips.iter().map(String::as_str))? {
        patience.check()?;
        floors.clips.insert(name, measure_clip(clip, &session, wanted, patience)?);
    }
    show(&floors, wanted, report);
    report.keep("floors", &floors);
    Ok(floors)
}

fn measure_clip(
    clip: Clip,
    session: &session::Figures,
    wanted: &Wanted,
    patience: &Patience,
) -> Result<ClipFloors, ScaleError> {
    let decode: decode::Figures = decode::measure(&clip, wanted.pictures, patience)?;
    let live = live::measure(&clip, session, patience)?;
    let home = TempDir::new().map_err(ScaleError::system("temporary directory"))?;
    let names: Vec<String> = (1..=wanted.cameras).map(|number| format!("cam-{number:03}")).collect();
    let spread = clip.seconds / f64::from(wanted.cameras.max(1));
    let camera = |(name, at): (&String, u32)| PlannedCamera {
        name: name.clone(),
        clip: clip.name.clone(),
        offset_s: f64::from(at) * spread,
    };
    let plan = Plan {
        listen: "127.0.0.1:0".into(),
        cameras: names.iter().zip(0..).map(camera).collect(),
        standby: Vec::new(),
    };
    let mut cameras = Cameras::start(&plan, home.path(), patience)?;
    let urls: Vec<String> = names.iter().map(|name| cameras.url(name)).collect();
    let receive = receive::measure(&urls, wanted.seconds, patience)?;
    let ffmpeg = match urls.first().filter(|_| wanted.ffmpeg) {
        Some(url) => ffmpeg::measure(url, wanted.seconds, patience)?,
        None => None,
    };
    cameras.ensure_running()?;
    cameras.stop()?;
    let look_share = decode.seconds_per_look / wanted.look_every.as_secs_f64();
    let decode_share = decode.seconds_per_picture * clip.fps;
    Ok(ClipFloors { clip, receive, decode, live, ffmpeg, look_share, decode_share })
}

fn show(floors: &Floors, wanted: &Wanted, report: &mut Report) {
    report.heading("Floors: shares of one core, each part alone in a process of its own");
    let mut clips = Table::new(&["clip", "kbit/s", "key frame", "GOP", "receive", "look", "decode all", "ffmpeg"]);
    let mut details = Table::new(&[
        "clip",
        "memory: receive",
        "memory: decoder",
        "memory: ffmpeg",
        "a look / live",
        "a picture / live",
        "session live",
        "decode/look",
    ]);
    for (name, figures) in &floors.clips {
        let ClipFloors { clip, receive, decode, live, ffmpeg, look_share, decode_share } = figures;
        clips.row([
            name.clone(),
            format!("{:.0}", clip.kbit_per_second),
            format!("{:.0} KiB", clip.key_frame_bytes / 1024.0),
            format!("{:.1} s", clip.longest_gop_seconds),
            percent(receive.share_per_camera),
            percent(*look_share),
            percent(*decode_share),
            or_dash(ffmpeg.as_ref(), |ffmpeg| percent(ffmpeg.share)),
        ]);
        details.row([
            name.clone(),
            mebibytes(receive.bytes_per_camera),
            mebibytes(decode.bytes_per_decoder),
            or_dash(ffmpeg.as_ref(), |ffmpeg| mebibytes(ffmpeg.bytes as f64)),
            format!("{} / {}", millis(decode.seconds_per_look), millis(live.seconds_per_look)),
            format!("{} / {}", millis(decode.seconds_per_picture), millis(live.seconds_per_picture)),
            millis(live.seconds_per_session),
            format!("{:.1}", decode_share / look_share),
        ]);
    }
    report.table(&clips);
    report.line("");
    report.table(&details);
    let look = wanted.look_every.as_secs_f64();
    report.line("live: the same at the pace of live cameras, decoding and sessions side by side");
    report.line(format!(
        "receive: {} cameras in one process, {} s; look: a key frame every {look} s, decoded and drained",
        wanted.cameras, wanted.seconds
    ));
    if wanted.ffmpeg && floors.clips.values().all(|figures| figures.ffmpeg.is_none()) {
        report.line("ffmpeg: not measured: no ffmpeg (apt-get install ffmpeg)");
    } else if wanted.ffmpeg {
        report.line(format!("ffmpeg: one process a camera, {}", ffmpeg::FILTER));
    }
    report.line("");
    let mut sessions = Table::new(&["model", "input", "one inference", "memory"]);
    for figures in &floors.sessions {
        sessions.row([
            figures.file.clone(),
            format!("{}x{}", figures.width, figures.height),
            millis(figures.seconds),
            mebibytes(figures.bytes as f64),
        ]);
    }
    report.table(&sessions);
}

/// Runs a part in a process of its own.
fn in_a_child<T: DeserializeOwned>(
    arguments: &[String],
    within: Duration,
    patience: &Patience,
) -> Result<T, ScaleError> {
    let mut command = this_program()?;
    command.arg("part").args(arguments);
    ask(&mut command, within + GRACE, patience)
}

/// Resident memory now, for figures of a part about itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Resident(u64);

impl Resident {
    fn now() -> Result<Self, ScaleError> {
        Ok(Self(super::process::Usage::of(std::process::id())?.memory.resident))
    }

    fn grown_since(self, before: Self) -> u64 {
        self.0.saturating_sub(before.0)
    }
}
