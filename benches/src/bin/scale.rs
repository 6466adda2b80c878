//! `scale`: what cameras cost, how many a machine carries, and what is lost beyond. See `snowgate_benches::scale`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use snowgate_benches::{
    scale::{
        all::{self, Lengths},
        clips::{self, ACTIVE, EVENTFUL, QUIET, SPARSE},
        configuration::Gate,
        error::{ScaleError, media},
        floors::{self, Part},
        load::{self, Load},
        machine::Machine,
        overload,
        patience::Patience,
        report::Report,
        search::{self, active_of},
        sensors,
    },
    serve,
};
use snowgate_core::spec::TimeSpan;

/// Measures the whole daemon under load, and the floors that it cannot go below.
#[derive(Debug, Parser)]
#[command(name = "scale")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Writes the figures into this file, as JSON.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Writes what is printed into this file too.
    #[arg(long, global = true)]
    text: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Measure(Measurement),
    /// Be the cameras: an RTSP server that plays clips in loops.
    Serve(serve::Arguments),
    /// One floor, in this process: what `floors` starts.
    #[command(subcommand, hide = true)]
    Part(Part),
}

#[derive(Debug, Subcommand)]
enum Measurement {
    /// What a camera costs at the least: receiving, looking, decoding, inferring; and with ffmpeg.
    Floors(FloorsArguments),
    /// So many cameras, so many of them active.
    Daemon(DaemonArguments),
    /// The most cameras that this machine carries.
    Search(SearchArguments),
    /// All cameras active at once, and quiet again, second by second.
    Overload(OverloadArguments),
    /// Readings of sensors at a high rate, one sensor that floods, and alarms among them.
    Sensors(SensorsArguments),
    /// All of it.
    All {
        /// Short runs: whether everything works, not figures to publish.
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        look: Look,
    },
}

#[derive(Debug, Clone, Args)]
struct Look {
    /// Look interval of a quiet camera.
    #[arg(long, default_value = "2s")]
    look_every: TimeSpan,
}

#[derive(Debug, Args)]
struct FloorsArguments {
    /// Clips to measure.
    #[arg(long, value_delimiter = ',', default_values_t = clips::ALL.map(str::to_owned))]
    clips: Vec<String>,
    /// Cameras received at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    cameras: u32,
    /// Seconds of receiving.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Pictures decoded at the most.
    #[arg(long, default_value_t = 1500)]
    pictures: usize,
    /// Leaves the ffmpeg baseline out.
    #[arg(long)]
    no_ffmpeg: bool,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// When pictures are decoded.
    #[arg(long, value_enum, default_value_t = Gate::Keyframe)]
    gate: Gate,
    #[command(flatten)]
    look: Look,
    /// Pictures looked at a second.
    #[arg(long, default_value_t = 5)]
    fps: u32,
    /// The clip of active cameras.
    #[arg(long, default_value = ACTIVE)]
    active_clip: String,
    /// The clip of the others.
    #[arg(long, default_value = QUIET)]
    quiet_clip: String,
    /// Share of the others, 0 to 1, that play the sparse clip instead: two events a minute.
    #[arg(long, default_value_t = EVENTFUL)]
    eventful: f64,
    /// Share of cameras that are active, 0 to 1.
    #[arg(long, default_value_t = 0.1)]
    active: f64,
    /// What is let pass before measuring.
    #[arg(long, default_value = "15s")]
    warm_up: TimeSpan,
    /// Makes stills of incidents too.
    #[arg(long)]
    stills: bool,
    /// Does not measure the floors.
    #[arg(long)]
    no_floors: bool,
}

#[derive(Debug, Args)]
struct DaemonArguments {
    /// Cameras.
    #[arg(long, default_value_t = 8)]
    cameras: usize,
    /// Seconds measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Args)]
struct SearchArguments {
    /// Numbers of cameras are multiples of this.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    step: u16,
    /// The most cameras tried.
    #[arg(long, default_value_t = 96)]
    most: usize,
    /// How many are tried first.
    #[arg(long, default_value_t = 16)]
    first: usize,
    /// Seconds measured at each number.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long the result must hold.
    #[arg(long, default_value = "5m")]
    hold: TimeSpan,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Args)]
struct OverloadArguments {
    /// Cameras.
    #[arg(long, default_value_t = 64)]
    cameras: usize,
    /// When pictures are decoded.
    #[arg(long, value_enum, default_value_t = Gate::Keyframe)]
    gate: Gate,
    #[command(flatten)]
    look: Look,
    /// Pictures looked at a second.
    #[arg(long, default_value_t = 5)]
    fps: u32,
    /// How long they are quiet first.
    #[arg(long, default_value = "20s")]
    quiet: TimeSpan,
    /// How long they are all active.
    #[arg(long, default_value = "60s")]
    busy: TimeSpan,
    /// How long they are watched recovering.
    #[arg(long, default_value = "40s")]
    recovery: TimeSpan,
}

#[derive(Debug, Args)]
struct SensorsArguments {
    /// Sensors that keep to their limit.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    sensors: u32,
    /// Readings a second of all sensors together; half of them are of one that floods.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Seconds measured.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Does not watch readings for anomalies.
    #[arg(long)]
    no_anomaly: bool,
}

impl SensorsArguments {
    fn wanted(&self) -> sensors::Wanted {
        let measure = Duration::from_secs(self.seconds.max(1));
        sensors::Wanted { sensors: self.sensors, rate: self.rate, measure, anomaly: !self.no_anomaly }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), ScaleError> {
    match &cli.command {
        Command::Serve(arguments) => serve::run(arguments).map_err(media),
        Command::Part(part) => part.run(),
        Command::Measure(measurement) => report(cli, measurement),
    }
}

fn report(cli: &Cli, measurement: &Measurement) -> Result<(), ScaleError> {
    let patience = Patience::with_signals()?;
    let mut report = Report::new(&Machine::look());
    let measured = measure(measurement, &patience, &mut report);
    // What was measured before something went wrong is kept too.
    if let Some(file) = &cli.json {
        report.write_json(file)?;
    }
    if let Some(file) = &cli.text {
        report.write_text(file)?;
    }
    measured
}

fn measure(measurement: &Measurement, patience: &Patience, report: &mut Report) -> Result<(), ScaleError> {
    match measurement {
        Measurement::Floors(arguments) => {
            let wanted = floors::Wanted {
                clips: arguments.clips.clone(),
                cameras: arguments.cameras,
                seconds: arguments.seconds.max(1),
                look_every: arguments.look.look_every.0,
                pictures: arguments.pictures.max(1),
                ffmpeg: !arguments.no_ffmpeg,
            };
            floors::measure(&wanted, patience, report)?;
        }
        Measurement::Daemon(arguments) => {
            let load = arguments.run.load(arguments.cameras, arguments.seconds);
            let floors = arguments.run.floors(load.clips(), patience, report)?;
            let figures = load::run(&load, floors.as_ref(), patience)?;
            load::show(&figures, report);
            report.keep("daemon", &figures);
        }
        Measurement::Search(arguments) => {
            let step = usize::from(arguments.step);
            let load = arguments.run.load(step, arguments.seconds);
            let floors = arguments.run.floors(vec![&load.active_clip, SPARSE, &load.quiet_clip], patience, report)?;
            let wanted = search::Wanted {
                load,
                active: arguments.run.active,
                step,
                most: arguments.most.max(step),
                first: arguments.first,
                hold: arguments.hold.0,
            };
            search::run(&wanted, floors.as_ref(), patience, report)?;
        }
        Measurement::Overload(arguments) => {
            let wanted = overload::Wanted {
                cameras: arguments.cameras,
                gate: arguments.gate,
                look_every: arguments.look.look_every.0,
                fps: arguments.fps,
                phases: [arguments.quiet.0, arguments.busy.0, arguments.recovery.0],
            };
            overload::run(&wanted, patience, report)?;
        }
        Measurement::Sensors(arguments) => sensors::run(&arguments.wanted(), patience, report)?,
        Measurement::All { quick, look } => {
            let lengths = if *quick { Lengths::QUICK } else { Lengths::FULL };
            all::run(&lengths, look.look_every.0, patience, report)?;
        }
    }
    Ok(())
}

impl RunArguments {
    fn load(&self, cameras: usize, seconds: u64) -> Load {
        Load {
            cameras,
            active: active_of(cameras, self.active),
            active_clip: self.active_clip.clone(),
            quiet_clip: self.quiet_clip.clone(),
            eventful: self.eventful.clamp(0.0, 1.0),
            gate: self.gate,
            look_every: self.look.look_every.0,
            fps: self.fps,
            warm_up: self.warm_up.0,
            measure: Duration::from_secs(seconds.max(1)),
            stills: self.stills,
        }
    }

    /// The floors of these clips, unless they are not wanted.
    fn floors(
        &self,
        clips: Vec<&str>,
        patience: &Patience,
        report: &mut Report,
    ) -> Result<Option<floors::Floors>, ScaleError> {
        if self.no_floors {
            return Ok(None);
        }
        let wanted = floors::Wanted {
            clips: clips.into_iter().map(str::to_owned).collect(),
            cameras: 8,
            seconds: 10,
            look_every: self.look.look_every.0,
            pictures: 750,
            ffmpeg: false,
        };
        floors::measure(&wanted, patience, report).map(Some)
    }
}
