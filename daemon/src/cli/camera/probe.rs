//! `snowgate camera probe`: whether a stream is usable, why not, and how to configure it.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use snowgate_core::{
    ids::Id,
    secret::Secret,
    spec::{TimeSpan, all_defaults},
    time::Clock,
};

use super::{
    super::{Format, exit::Exit, print_json},
    fault::{Said, exit, remedy},
    figures::{DRIFT_NEEDS, Figures},
    file::{Reached, Rules, Suggested, camera_file, suggest},
    login::Login,
    span,
};
use crate::{
    camera::{
        address::Address,
        decode::{DecodeError, Decoders},
        health::CameraFault,
        observe::{Observed, observe},
        spec::{BackendChoice, StreamSpec, Transport},
    },
    clock::SystemClock,
};

/// The longest a stream is watched.
const LONGEST: Duration = Duration::from_secs(300);
/// Key frames and pictures that are decoded to see what they cost, at the most.
const MOST_DECODED: (usize, usize) = (10, 200);

/// Arguments of `snowgate camera probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// rtsp:// or rtsps:// address, without user and password.
    url: String,
    #[command(flatten)]
    login: Login,
    /// How media packets travel.
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Carried,
    /// How long to watch from the first key frame on, up to 5m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = |text: &str| span(text, LONGEST))]
    r#for: TimeSpan,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// The camera's id in the file that is made.
    #[arg(long, value_name = "ID", default_value = "camera")]
    id: Id,
    /// The grid's code in the file that is made.
    #[arg(long, value_name = "GRID")]
    grid: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Carried {
    Tcp,
    Udp,
}

/// What decoding costs here.
#[derive(Debug, Serialize)]
pub struct Cost {
    backend: &'static str,
    /// Processor milliseconds for a key frame alone, and for a picture of all.
    key_ms: Option<f64>,
    picture_ms: Option<f64>,
    /// Shares of a core: the key frames alone, and all pictures.
    keys_core: Option<f64>,
    all_core: Option<f64>,
    #[serde(skip)]
    keys_show: bool,
}

#[derive(Serialize)]
struct Report {
    usable: bool,
    codec: &'static str,
    profile: Option<String>,
    level: Option<String>,
    size: Option<(u32, u32)>,
    bit_depth: u32,
    announced_fps: Option<f64>,
    transport: &'static str,
    figures: Figures,
    packets_received: Option<u64>,
    packets_lost: Option<u64>,
    decoding: Cost,
    gate: Suggested,
    notes: Vec<String>,
    camera_file: String,
}

impl Probe {
    /// Probes and prints.
    pub fn run(self) -> Exit {
        let password = match self.login.password() {
            Ok(password) => password,
            Err(exit) => return exit,
        };
        let asked = if matches!(self.transport, Carried::Udp) { Transport::Udp } else { Transport::Tcp };
        let mut notes = Vec::new();
        let mut used = asked;
        let mut observed = self.observe(asked, password.as_ref());
        if asked == Transport::Udp
            && let Err(fault @ (CameraFault::Silent { .. } | CameraFault::ServerError { .. } | CameraFault::Broken)) =
                &observed
        {
            let said = fault.to_string();
            observed = self.observe(Transport::Tcp, password.as_ref());
            used = Transport::Tcp;
            if observed.is_ok() {
                notes.push(format!("over UDP nothing arrives ({said}), over TCP pictures come: a firewall blocks UDP, or the camera does not send it; use TCP"));
            }
        }
        let printed = match observed {
            Err(fault) => return self.failed(&fault),
            Ok(observed) => match self.report(&observed, used, notes) {
                Ok(report) => match self.format {
                    Format::Json => print_json(&report),
                    Format::Human => print(&report),
                },
                Err(error) => {
                    eprintln!("snowgate: {error}");
                    return Exit::BadData;
                }
            },
        };
        printed.map_or(Exit::Io, |()| Exit::Ok)
    }

    fn observe(&self, transport: Transport, password: Option<&Secret>) -> Result<Observed, CameraFault> {
        watch(&self.id, &self.url, &self.login, password, transport, self.r#for.0)
    }

    fn failed(&self, fault: &CameraFault) -> Exit {
        #[derive(Serialize)]
        struct Failed {
            usable: bool,
            fault: String,
            remedy: &'static str,
        }
        let failed = Failed { usable: false, fault: fault.to_string(), remedy: remedy(fault, Said::Arguments) };
        match self.format {
            Format::Human => eprintln!("snowgate: not usable: {}; {}", failed.fault, failed.remedy),
            Format::Json => {
                if print_json(&failed).is_err() {
                    return Exit::Io;
                }
            }
        }
        exit(fault)
    }

    fn report(&self, observed: &Observed, transport: Transport, mut notes: Vec<String>) -> Result<Report, DecodeError> {
        let (figures, decoding, gate) = measure(observed)?;
        if let Some(ended) = &observed.ended {
            notes.push(format!("the stream ended before its time: {ended}"));
        }
        let password_file = self.login.absolute_password_file();
        let reached = Reached {
            id: &self.id,
            name: None,
            grid: self.grid.as_deref(),
            detect: &self.url,
            record: None,
            username: self.login.username.as_deref(),
            password_file: password_file.as_deref(),
            transport,
        };
        let caps = observed.format.caps.structure(0);
        let text = |key| caps.and_then(|caps| caps.get::<&str>(key).ok()).map(str::to_owned);
        let fps = caps.and_then(|caps| caps.get::<gstreamer::Fraction>("framerate").ok());
        Ok(Report {
            usable: true,
            codec: observed.format.codec.as_str(),
            profile: text("profile"),
            level: text("level"),
            size: observed.format.size(),
            bit_depth: caps.and_then(|caps| caps.get::<u32>("bit-depth-luma").ok()).unwrap_or(8),
            announced_fps: fps.filter(|fps| fps.numer() > 0).map(|fps| f64::from(fps.numer()) / f64::from(fps.denom())),
            transport: transport.as_str(),
            packets_received: observed.packets.map(|packets| packets.received),
            packets_lost: observed.packets.map(|packets| packets.lost),
            camera_file: camera_file(&reached, Some(&gate), Rules::Shown),
            figures,
            decoding,
            gate,
            notes,
        })
    }
}

/// Watches the stream at `url`, which is in no configuration, for `span` from its first key frame on.
///
/// # Errors
/// The stream cannot be opened, or no key frame came of it.
pub fn watch(
    id: &Id,
    url: &str,
    login: &Login,
    password: Option<&Secret>,
    transport: Transport,
    span: Duration,
) -> Result<Observed, CameraFault> {
    let mut stream: StreamSpec = all_defaults();
    stream.transport = transport;
    stream.username.0 = login.username.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    observe(id, &Address::Written(url.to_owned()), &stream, password, span, &clock).map_err(|end| end.fault)
}

/// The figures of a stream, what decoding it costs, and the gate for it.
///
/// # Errors
/// It cannot be decoded.
pub fn measure(observed: &Observed) -> Result<(Figures, Cost, Suggested), DecodeError> {
    let figures = Figures::of(&observed.pictures);
    let decoding = cost(observed, &figures)?;
    let gate = suggest(&figures, decoding.keys_show);
    Ok((figures, decoding, gate))
}

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn cost(observed: &Observed, figures: &Figures) -> Result<Cost, DecodeError> {
    let codec = observed.format.codec;
    let decoders = Decoders::find(BackendChoice::Auto)?;
    let mut decoder = decoders.open(codec)?;
    let (mut keys, mut shown) = (0, 0);
    let began = processor_time();
    for unit in observed.encoded.iter().filter(|unit| unit.key).take(MOST_DECODED.0) {
        keys += 1;
        shown += usize::from(decoder.look(unit)?.is_some());
    }
    let for_keys = processor_time().saturating_sub(began);
    let began = processor_time();
    let mut pictures = 0;
    for unit in observed.encoded.iter().take(MOST_DECODED.1) {
        match decoder.decode(unit, &mut |_| pictures += 1) {
            Ok(()) | Err(DecodeError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    decoder.drain(&mut |_| pictures += 1)?;
    let for_all = processor_time().saturating_sub(began);
    let each = |time: Duration, count: usize| (count > 0).then(|| time.as_secs_f64() * 1e3 / count as f64);
    let (key_ms, picture_ms) = (each(for_keys, keys), each(for_all, pictures));
    let a_second = |count: usize| (figures.seconds > 0.0).then(|| count as f64 / figures.seconds);
    let share = |ms: Option<f64>, rate: Option<f64>| Some(ms? / 1e3 * rate?);
    Ok(Cost {
        backend: decoders.backend(codec).as_str(),
        keys_core: share(key_ms, a_second(figures.key_frames)),
        all_core: share(picture_ms, figures.fps),
        key_ms,
        picture_ms,
        // The first may be an IDR picture where no other is.
        keys_show: shown == keys,
    })
}

fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Report { figures, decoding, gate, .. } = report;
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let number =
        |value: Option<f64>, digits: usize| value.map_or("unknown".to_owned(), |value| format!("{value:.digits$}"));
    let size = report.size.map_or("size unknown".to_owned(), |(width, height)| format!("{width} × {height}"));
    writeln!(out, "usable")?;
    writeln!(
        out,
        "video      {}, profile {}, level {}, {size}, {} bits",
        report.codec,
        or_none(&report.profile),
        or_none(&report.level),
        report.bit_depth
    )?;
    writeln!(
        out,
        "pictures   {} a second measured, {} announced; {} B-frames",
        number(figures.fps, 1),
        number(report.announced_fps, 1),
        if figures.b_frames { "with" } else { "no" }
    )?;
    match (figures.gop_pictures, figures.gop_seconds) {
        (Some(pictures), Some((_, longest))) if figures.gop_is_regular => {
            writeln!(out, "key frames every {pictures:.0} pictures ({longest:.1} s), regular")?
        }
        (Some(pictures), Some((shortest, longest))) => writeln!(
            out,
            "key frames irregular: every {pictures:.0} pictures on average, {shortest:.1} to {longest:.1} s apart"
        )?,
        _ => writeln!(out, "key frames {} seen in {:.1} s", figures.key_frames, figures.seconds)?,
    }
    writeln!(
        out,
        "bit rate   {} kbit/s, peak second {:.0} kbit/s, largest key frame {} bytes",
        number(figures.mean_bits.map(|bits| bits / 1e3), 0),
        figures.peak_second_bits / 1e3,
        figures.largest_key_bytes
    )?;
    if report.transport == "udp" {
        writeln!(out, "jitter     {:.1} ms (RFC 3550, of whole pictures)", figures.jitter_ms)?;
    } else {
        writeln!(
            out,
            "jitter     95 of 100 pictures within {:.1} ms (TCP: arrival against timestamp)",
            figures.arrival_spread_ms
        )?;
    }
    match figures.drift_ppm {
        Some(ppm) => writeln!(out, "clock      {ppm:+.0} ppm against this machine")?,
        None => writeln!(out, "clock      not judged: watch for {} s or more", DRIFT_NEEDS.as_secs())?,
    }
    match (report.packets_received, report.packets_lost) {
        (Some(received), Some(lost)) => writeln!(out, "packets    {received} received, {lost} lost")?,
        _ => writeln!(out, "packets    not counted")?,
    }
    writeln!(
        out,
        "decoding   by {}: {} ms a key frame, {} ms a picture; {} % of a core for key frames, {} % for all",
        decoding.backend,
        number(decoding.key_ms, 1),
        number(decoding.picture_ms, 1),
        number(decoding.keys_core.map(|share| share * 100.0), 1),
        number(decoding.all_core.map(|share| share * 100.0), 1)
    )?;
    writeln!(out, "gate       {}: {}", gate.gate, gate.why)?;
    report.notes.iter().try_for_each(|note| writeln!(out, "note       {note}"))?;
    write!(out, "\n{}", report.camera_file)?;
    out.flush()
}
