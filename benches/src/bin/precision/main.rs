//! `precision`: what int8 loses and wins against float on the sample media, and the time it saves, in one run on one
//! machine.
//!
//! Every model that has int8 files is shown the same regions through each of its files, one file after the other for each
//! region, on one thread, so that whatever else the machine does slows all of them. [`compare`] says what is counted,
//! [`sources`] which regions are shown.

mod compare;
mod report;
mod sources;

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use snowgate::vision::{
    execution::Variant,
    manifest::{self, Manifest, Task},
    masks::Masks,
    model::{Model, Runtime},
};
use snowgate_core::observation::Detection;

use self::{
    compare::Counts,
    report::{FileReport, Machine, ModelReport, Report, SourceReport, Timing},
    sources::Source,
};

/// Compares the int8 files of the models with their float files on the sample media.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of manifests and ONNX files.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../models"))]
    models: PathBuf,
    /// Folder of the sample media.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/media"))]
    media: PathBuf,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/onnxruntime/libonnxruntime.so.1.31.1"))]
    onnxruntime: PathBuf,
    /// Only this model.
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments).and_then(|report| Ok(report.print(arguments.json)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("precision: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<Report, Box<dyn Error>> {
    gstreamer::init()?;
    let runtime = Runtime::load(&arguments.onnxruntime)?;
    let (manifests, errors) = manifest::read_folder(&arguments.models);
    if let Some(error) = errors.into_iter().next() {
        return Err(error.into());
    }
    let wanted = |manifest: &&Manifest| {
        manifest.int8.is_some() && arguments.model.as_ref().is_none_or(|id| manifest.id.as_str() == id)
    };
    let mut models = Vec::new();
    for manifest in manifests.values().filter(wanted) {
        models.push(measure_model(&runtime, manifest, arguments)?);
    }
    Ok(Report { machine: Machine::here(&arguments.onnxruntime), models })
}

/// The score rules go by.
fn threshold(task: Task) -> f32 {
    match task {
        Task::Object => 0.4,
        Task::Face => 0.5,
    }
}

fn measure_model(
    runtime: &Runtime,
    manifest: &Manifest,
    Arguments { models: folder, media, .. }: &Arguments,
) -> Result<ModelReport, Box<dyn Error>> {
    let threshold = threshold(manifest.task);
    let mut files = Vec::new();
    for (variant, _) in manifest.files() {
        files.push(Measured::new(Model::load_variant(runtime, manifest, folder, variant)?));
    }
    let sizes: Vec<(u32, u32)> = manifest.input_sizes();
    let mut sources = Vec::new();
    for source in Source::of(manifest.task) {
        let regions = show(&source, media, &sizes, threshold, &mut files)?;
        let counts = files.iter_mut().map(|file| (file.variant(), std::mem::take(&mut file.source))).collect();
        sources.push(SourceReport { name: source.name, calibrated: source.calibrated, regions, counts });
    }
    let float_times = files[0].times.clone();
    let files = files.into_iter().map(|file| {
        let times = file.times.into_iter().map(|(size, times)| {
            let float = median(float_times.get(&size).cloned().unwrap_or_default());
            (size, median(times), float)
        });
        let running = file.model.running();
        FileReport {
            precision: running.precision,
            sha256: running.sha256.clone(),
            unseen: file.unseen.summary(),
            all: file.all.summary(),
            session: times
                .map(|((width, height), median, float)| Timing {
                    width,
                    height,
                    median_seconds: median.as_secs_f64(),
                    share_of_float: median.as_secs_f64() / float.as_secs_f64(),
                })
                .collect(),
        }
    });
    let files = files.collect();
    Ok(ModelReport { model: manifest.id.to_string(), threshold, sources, files })
}

/// One file of a model and what was measured of it.
struct Measured {
    model: Model,
    /// The last region's detections, from half the threshold on.
    found: Vec<Detection>,
    source: Counts,
    /// Of what was not calibrated on.
    unseen: Counts,
    all: Counts,
    /// ONNX Runtime's time for each region, by input size.
    times: BTreeMap<(u32, u32), Vec<Duration>>,
}

impl Measured {
    fn new(model: Model) -> Self {
        let (source, unseen, all) = (Counts::default(), Counts::default(), Counts::default());
        Self { model, found: Vec::new(), source, unseen, all, times: BTreeMap::new() }
    }

    fn variant(&self) -> Variant {
        self.model.running().precision
    }

    fn count(&mut self, float: &[Detection], threshold: f32, calibrated: bool) {
        let counts = compare::counts(float, &self.found, threshold);
        self.source.add(&counts);
        self.all.add(&counts);
        if !calibrated {
            self.unseen.add(&counts);
        }
    }
}

/// Shows the regions of a source to every file; how many there were.
fn show(
    source: &Source,
    media: &Path,
    sizes: &[(u32, u32)],
    threshold: f32,
    files: &mut [Measured],
) -> Result<usize, Box<dyn Error>> {
    let mut shown = 0;
    sources::regions(source, media, sizes, |pixels, region| {
        for file in &mut *files {
            file.found.clear();
            file.model.detect(pixels, &Masks::default(), region, threshold / 2.0, &mut file.found)?;
            file.times.entry(file.model.input_for(region)).or_default().push(file.model.session_time());
        }
        // Float, the first, is counted against itself too: what there is to lose.
        let float = files.first().map(|file| file.found.clone()).unwrap_or_default();
        for file in &mut *files {
            file.count(&float, threshold, source.calibrated);
        }
        shown += 1;
        Ok(())
    })?;
    Ok(shown)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
