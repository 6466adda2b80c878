//! `scene`: what the judgement of scenes finds and what it tells without cause, against two plain detectors, in one run.
//!
//! Cameras that look at a real film ([`film`]) and at rendered places ([`rendered`]) learn their scene. Then they see pictures that nothing
//! may be told of, and episodes in which something happens at a known time ([`happening`]): all of that is composited.
//! Every picture is coded as H.264 and decoded again before anybody judges it. Everything follows from one seed.

mod baselines;
mod camera;
mod cost;
mod features;
mod film;
mod frame;
mod happening;
mod material;
mod random;
mod rendered;
mod report;
mod runs;
mod score;
mod stamp;
mod walkers;
mod watcher;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use snowgate::vision::{execution::Variant, model::Runtime};
use snowgate_benches::scale::{machine::Machine, report::Report};

use self::{
    camera::{Camera, Props, Scenery, Taking},
    features::{Backbone, Source},
    happening::Painted,
    material::{Amount, View},
    random::Gaussian,
    rendered::{Lit, World},
    runs::{Pace, Stage},
    watcher::Knowledge,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Measures what is found of what happens before a camera and to it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of manifests and ONNX files.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../models"))]
    models: PathBuf,
    /// The film: a fixed camera's pictures, ten a second.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/media/vtest.mp4"))]
    film: PathBuf,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/onnxruntime/libonnxruntime.so.1.31.1"))]
    onnxruntime: PathBuf,
    /// Leaves out what is done to the camera.
    #[arg(long)]
    no_health: bool,
    /// A fifth of it: whether everything works, not figures to publish.
    #[arg(long)]
    quick: bool,
    /// The backbone's int8 file.
    #[arg(long)]
    int8: bool,
    /// Seconds between the pictures that are judged.
    #[arg(long, default_value_t = 5.0)]
    every: f32,
    /// Of everything that is drawn by lot.
    #[arg(long, default_value_t = 6)]
    seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Writes a picture of each view and kind there, for people to look at, and measures nothing.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Writes what is printed there too.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Writes every figure there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scene: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    gstreamer::init()?;
    let started = Instant::now();
    let amount = if arguments.quick { Amount::QUICK } else { Amount::FULL };
    let film = film::decode(&arguments.film)?;
    let empty = walkers::empty(&film);
    let people = walkers::cut(&film, &empty);
    let props = Props { people, gaussian: Gaussian::new(arguments.seed) };
    let pace = Pace { learning: amount.learning(), judging: Duration::from_secs_f32(arguments.every.clamp(1.0, 20.0)) };
    let mut film = Some(film);
    let sceneries = View::ALL.map(|view| match view {
        View::Film => Scenery::Film(film.take().unwrap_or_default()),
        View::Rendered(place) => Scenery::Rendered(World::new(place, arguments.seed)),
    });
    let stages: Vec<Stage<'_>> = View::ALL
        .into_iter()
        .zip(&sceneries)
        .map(|(view, scenery)| Stage { view, scenery, props: &props, pace, amount, seed: arguments.seed })
        .collect();
    if let Some(folder) = &arguments.pictures {
        return show(folder, &stages);
    }
    let machine = Machine::look();
    let variant = if arguments.int8 { Variant::Int8 } else { Variant::Float };
    let source = Source { runtime: Runtime::load(&arguments.onnxruntime)?, models: &arguments.models, variant };
    let backbone = || source.open();

    let learnt = side_by_side(arguments.threads, &stages, backbone, |stage, backbone| {
        let knowledge = runs::learn(stage, backbone)?;
        let negatives = runs::negatives(stage, &knowledge, backbone)?;
        Ok((knowledge, negatives))
    })?;
    let (knowledge, negatives): (Vec<Knowledge>, Vec<_>) = learnt.into_iter().unzip();
    let negatives: Vec<_> = negatives.into_iter().flatten().collect();
    let mut episodes = amount.episodes(arguments.seed);
    episodes.retain(|episode| !arguments.no_health || episode.happening.kind.is_in_scene());
    let episodes = side_by_side(arguments.threads, &episodes, backbone, |episode, backbone| {
        let (stage, knowledge) = stages
            .iter()
            .zip(&knowledge)
            .find(|(stage, _)| stage.view == episode.view)
            .ok_or("an episode before no camera")?;
        runs::episode(stage, knowledge, episode, backbone)
    })?;

    let cost = cost_of(&stages[1], &knowledge[1], &mut backbone()?)?;

    let mut report = Report::new(&machine);
    report::write(&mut report, &report::Figures { pace, negatives: &negatives, episodes: &episodes, cost });
    report.line(format!("\nmeasured in {:.0} s", started.elapsed().as_secs_f64()));
    if let Some(file) = &arguments.text {
        report.write_text(file)?;
    }
    if let Some(file) = &arguments.json {
        report.write_json(file)?;
    }
    Ok(())
}

/// What it costs at the first rendered place.
fn cost_of(stage: &Stage<'_>, knowledge: &Knowledge, backbone: &mut Backbone) -> Outcome<cost::Cost> {
    let mut camera = Camera::new(stage.scenery, stage.props, stage.pace.judging, 3000.0, stage.seed);
    let taking = Taking::ordinary(Lit::Day, true);
    let frames: Vec<_> = (0..60).map(|_| camera.take(&taking, None).0).collect();
    cost::measure(&frames, knowledge.memory().ok_or("nothing was learnt")?, backbone)
}

/// Does all of the work on so many threads, each with a backbone of its own; the results are in the order of the work.
fn side_by_side<T: Sync, R: Send>(
    threads: usize,
    work: &[T],
    backbone: impl Fn() -> Outcome<Backbone> + Sync,
    run: impl Fn(&T, &mut Backbone) -> Outcome<R> + Sync,
) -> Outcome<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let one = || -> Outcome<()> {
        let mut backbone = backbone()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = work.get(index) else { return Ok(()) };
            let result = run(item, &mut backbone)?;
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread has panicked")?)
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Writes the first picture of every light of each view, and the last of an episode of each kind, size and contrast.
fn show(folder: &Path, stages: &[Stage<'_>]) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    for stage in stages {
        for lit in stage.view.lights() {
            let mut camera = Camera::new(stage.scenery, stage.props, stage.pace.judging, 3000.0, stage.seed);
            let (frame, _) = camera.take(&Taking::ordinary(*lit, true), None);
            let name = format!("{:?} {lit:?}.ppm", stage.view);
            happening::write_ppm(&folder.join(name), &frame)?;
        }
        for episode in stage.amount.episodes(stage.seed).into_iter().filter(|episode| episode.view == stage.view) {
            let happening = &episode.happening;
            let mut camera = Camera::new(stage.scenery, stage.props, stage.pace.judging, 3000.0, happening.seed);
            let painted = Painted::new(happening.clone(), &stage.props.people);
            let (frame, _) = camera.take(&Taking::ordinary(episode.lit, true), Some((&painted, 90.0)));
            let name = format!("{:?} {:?} {} {}.ppm", stage.view, happening.kind, happening.size, happening.contrast);
            happening::write_ppm(&folder.join(name), &frame)?;
        }
    }
    Ok(())
}
