//! `snowgate models`: which models there are, and whether they are what their manifests say.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde::{Serialize, de::DeserializeOwned};

use super::{Format, exit::Exit, print_json};
use crate::{
    config::{Config, ModelsConfig},
    sensor::manifest as sensor_manifest,
    vision::{
        execution::{Execution, Precision, Provider, Running, Variant},
        manifest,
        model::Runtime,
        model_file::{self, OpenedFile, Opens, Refused},
        scene::manifest as scene_manifest,
    },
};

/// Arguments of `snowgate models`.
#[derive(Debug, Args)]
pub struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the models that manifests describe, with what each runs as and on here.
    List(Options),
    /// Check the hash of every file of every model, open it, and ask it once.
    Verify(Options),
}

/// Where the models lie and how they are run: as a configuration says, or as said here.
#[derive(Debug, Args)]
struct Options {
    /// Take everything from the configuration in this directory.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["directory", "onnxruntime", "precision", "providers"])]
    config: Option<PathBuf>,
    /// Folder of manifests and ONNX files.
    #[arg(long, value_name = "DIR", default_value = "/usr/share/snowgate/models")]
    directory: PathBuf,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/snowgate/libonnxruntime.so.1.31.1")]
    onnxruntime: PathBuf,
    /// With how many bits models reckon: auto, float or int8.
    #[arg(long, default_value = "auto", value_parser = word::<Precision>)]
    precision: Precision,
    /// Execution providers, the preferred one first: cpu, openvino, cuda, tensorrt.
    #[arg(long, value_delimiter = ',', default_value = "cpu", value_parser = word::<Provider>)]
    providers: Vec<Provider>,
    /// How to print them.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// One of the words of a setting.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// What is listed or verified, and how.
struct Wanted {
    directory: PathBuf,
    onnxruntime: PathBuf,
    execution: Execution,
}

impl Options {
    fn wanted(&self) -> Result<Wanted, Exit> {
        let Some(config) = &self.config else {
            let execution = Execution::here(self.precision, self.providers.clone());
            return Ok(Wanted { directory: self.directory.clone(), onnxruntime: self.onnxruntime.clone(), execution });
        };
        match Config::load(config) {
            Ok(Config { models: ModelsConfig { directory, onnxruntime, execution, .. }, .. }) => {
                Ok(Wanted { directory, onnxruntime, execution })
            }
            Err(problems) => {
                eprint!("{}", problems.render(false));
                Err(Exit::BadConfig)
            }
        }
    }
}

/// One model as it is printed.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    task: String,
    licence: String,
    files: Vec<FileLine>,
    /// What it runs as and on; unknown where ONNX Runtime or the model does not work.
    running: Option<Running>,
    /// Providers that are preferred to that one, and why they do not run it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One file of a model as it is printed.
#[derive(Debug, Serialize)]
struct FileLine {
    precision: Variant,
    file: String,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    works: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Models {
    /// Lists or verifies; [`Exit::BadData`] where something is wrong with a manifest or a model.
    pub fn run(self) -> Exit {
        let (options, verify) = match &self.command {
            Command::List(options) => (options, false),
            Command::Verify(options) => (options, true),
        };
        let wanted = match options.wanted() {
            Ok(wanted) => wanted,
            Err(exit) => return exit,
        };
        let runtime = match Runtime::load(&wanted.onnxruntime) {
            Ok(runtime) => Some(runtime),
            Err(error) => {
                eprintln!("snowgate: {error}");
                if verify {
                    return Exit::Unavailable;
                }
                None
            }
        };
        let (manifests, errors) = manifest::read_folder(&wanted.directory);
        let (of_scenes, errors_of_scenes) = scene_manifest::read_all(&wanted.directory);
        let (of_sensors, errors_of_sensors) = sensor_manifest::read_all(&wanted.directory);
        let mut good = true;
        for error in errors.into_iter().chain(errors_of_scenes).chain(errors_of_sensors) {
            eprintln!("snowgate: {error}");
            good = false;
        }
        let place_of = |directory, execution| Place { directory, execution, runtime: runtime.as_ref(), verify };
        let here = place_of(wanted.directory.clone(), wanted.execution.clone());
        let scenes = place_of(scene_manifest::folder(&wanted.directory), wanted.execution);
        // Readings are judged on the processor, whatever the configuration prefers for pictures.
        let processor = Execution::here(Precision::Float, vec![Provider::Cpu]);
        let sensors = place_of(sensor_manifest::folder(&wanted.directory), processor);
        let lines = manifests.values().map(|manifest| here.line(manifest));
        let lines = lines.chain(of_scenes.values().map(|manifest| scenes.line(manifest)));
        let lines: Vec<Line> = lines.chain(of_sensors.values().map(|manifest| sensors.line(manifest))).collect();
        good &= lines.iter().all(|line| line.error.is_none() && line.files.iter().all(|file| file.error.is_none()));
        match print(&lines, options.format) {
            Err(_) => Exit::Io,
            Ok(()) if good => Exit::Ok,
            Ok(()) => Exit::BadData,
        }
    }
}

/// Where models of one kind lie, and how they are run.
struct Place<'a> {
    directory: PathBuf,
    execution: Execution,
    runtime: Option<&'a Runtime>,
    verify: bool,
}

impl Place<'_> {
    fn line<T: Opens>(&self, manifest: &T) -> Line {
        let files = manifest.pinned().all().map(|(precision, pinned)| {
            let opened = self
                .runtime
                .filter(|_| self.verify)
                .map(|runtime| model_file::load(runtime, manifest, &self.directory, precision).map(drop));
            FileLine {
                precision,
                file: pinned.file.to_string(),
                sha256: pinned.sha256.to_string(),
                works: opened.as_ref().map(Result::is_ok),
                error: opened.and_then(Result::err).map(|error| error.to_string()),
            }
        });
        let files = files.collect();
        let opened = self.runtime.map(|runtime| OpenedFile::open(runtime, manifest, &self.directory, &self.execution));
        let (running, refused, error) = match opened {
            None => (None, Vec::new(), None),
            Some(Ok((file, _))) => (Some(file.running().clone()), file.refused().to_vec(), None),
            Some(Err(error)) => (None, Vec::new(), Some(error.to_string())),
        };
        let (id, task, licence) =
            (manifest.id().to_string(), manifest.task().to_owned(), manifest.licence().to_owned());
        Line { id, task, licence, files, running, refused, error }
    }
}

fn print(lines: &[Line], format: Format) -> io::Result<()> {
    match format {
        Format::Json => print_json(lines),
        Format::Human => {
            let mut out = io::stdout().lock();
            for Line { id, task, licence, files, running, refused, error } in lines {
                let state = match (running, error) {
                    (_, Some(error)) => format!("does not work: {error}"),
                    (Some(Running { precision, provider, sha256 }), _) => {
                        format!("{:12} {:8} {sha256:.12}", precision.as_str(), provider.as_str())
                    }
                    (None, None) => String::new(),
                };
                writeln!(out, "{id:24} {task:14} {licence:12} {state}")?;
                for Refused { provider, reason } in refused {
                    writeln!(out, "  not on {provider}: {reason}")?;
                }
                for FileLine { precision, file, sha256, works, error } in files {
                    let precision = precision.as_str();
                    match (works, error) {
                        (_, Some(error)) => writeln!(out, "  {precision:12} does not work: {error}")?,
                        (Some(true), _) => writeln!(out, "  {precision:12} {sha256:.12} {file} works")?,
                        _ => {}
                    }
                }
            }
            out.flush()
        }
    }
}
