//! `snowgate models`: which models there are, and whether they are what their manifests say.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Format, exit::Exit, print_json};
use crate::vision::{
    manifest::{self, Manifest},
    model::{Model, Runtime},
};

/// Arguments of `snowgate models`.
#[derive(Debug, Args)]
pub struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the models that manifests describe.
    List(Where),
    /// Check every model's hash, open it, and ask it once.
    Verify(Verify),
}

/// Where the models lie.
#[derive(Debug, Args)]
struct Where {
    /// Folder of manifests and ONNX files.
    #[arg(long, value_name = "DIR", default_value = "/usr/share/snowgate/models")]
    directory: PathBuf,
    /// How to print them.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    place: Where,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/snowgate/libonnxruntime.so.1.31.1")]
    onnxruntime: PathBuf,
}

/// One model as it is printed.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    task: String,
    licence: String,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    works: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Models {
    /// Lists or verifies; [`Exit::BadData`] where something is wrong with a manifest or a model.
    pub fn run(self) -> Exit {
        let (place, runtime) = match &self.command {
            Command::List(place) => (place, None),
            Command::Verify(verify) => match Runtime::load(&verify.onnxruntime) {
                Ok(runtime) => (&verify.place, Some(runtime)),
                Err(error) => {
                    eprintln!("snowgate: {error}");
                    return Exit::Unavailable;
                }
            },
        };
        let (manifests, errors) = manifest::read_folder(&place.directory);
        let mut good = errors.is_empty();
        for error in errors {
            eprintln!("snowgate: {error}");
        }
        let lines: Vec<Line> = manifests.values().map(|manifest| line(manifest, place, runtime.as_ref())).collect();
        good &= lines.iter().all(|line| line.error.is_none());
        match print(&lines, place.format) {
            Err(_) => Exit::Io,
            Ok(()) if good => Exit::Ok,
            Ok(()) => Exit::BadData,
        }
    }
}

fn line(manifest: &Manifest, place: &Where, runtime: Option<&Runtime>) -> Line {
    let opened = runtime.map(|runtime| Model::load(runtime, manifest, &place.directory).map(drop));
    Line {
        id: manifest.id.to_string(),
        task: manifest.task.to_string(),
        licence: manifest.licence.clone(),
        sha256: manifest.sha256.to_string(),
        works: opened.as_ref().map(Result::is_ok),
        error: opened.and_then(Result::err).map(|error| error.to_string()),
    }
}

fn print(lines: &[Line], format: Format) -> io::Result<()> {
    match format {
        Format::Json => print_json(lines),
        Format::Human => {
            let mut out = io::stdout().lock();
            for Line { id, task, licence, sha256, works, error } in lines {
                let state = match (works, error) {
                    (_, Some(error)) => format!("does not work: {error}"),
                    (Some(true), _) => "works".to_owned(),
                    _ => String::new(),
                };
                writeln!(out, "{id:24} {task:8} {licence:12} {:.12} {state}", sha256)?;
            }
            out.flush()
        }
    }
}
