//! ONNX sessions only: the daemon's default models, opened as it opens them, on one input that never changes.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use ort::{
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::Tensor,
};
use serde::{Deserialize, Serialize};
use snowgate::vision::{
    manifest::{self, Manifest},
    preprocess::Layout,
    spec::ModelsSpec,
};
use snowgate_core::spec::read_table;
use snowgate_tests::repository;

use super::{Resident, in_a_child, own_cpu};
use crate::scale::{
    error::{ScaleError, media},
    machine::onnxruntime,
    patience::Patience,
};

/// Runs that warm caches up.
const WARM_UP: u32 = 20;
/// Runs that are measured.
const RUNS: u32 = 200;

/// What to run.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The manifest's file.
    manifest: PathBuf,
    /// The ONNX file, beside the manifest.
    #[arg(long)]
    file: String,
    /// ONNX Runtime's shared library.
    #[arg(long)]
    library: PathBuf,
    /// Width of the input.
    #[arg(long)]
    width: u32,
    /// Height of the input.
    #[arg(long)]
    height: u32,
}

/// What it cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// The model's id.
    pub model: String,
    /// Which of its files: the float one, or one of fewer bits.
    pub file: String,
    /// Width of the input.
    pub width: u32,
    /// Height of the input.
    pub height: u32,
    /// CPU seconds of one run.
    pub seconds: f64,
    /// Resident memory of the session, in bytes.
    pub bytes: u64,
}

/// The ids of the models a daemon uses unless it is told otherwise: objects, faces.
///
/// # Errors
/// The defaults cannot be read.
pub fn defaults() -> Result<[String; 2], ScaleError> {
    let mut empty = toml_span::parse("").map_err(media)?;
    let spec: ModelsSpec = read_table(&mut empty).map_err(media)?;
    Ok([spec.object.value.to_string(), spec.face.value.to_string()])
}

/// The files of a model that its manifest names: the float one, and those of fewer bits.
fn files(manifest: &str) -> Vec<String> {
    let Ok(manifest) = toml_span::parse(manifest) else { return Vec::new() };
    let files = ["/file", "/int8/file", "/int8/reduced/file"].into_iter();
    files.filter_map(|key| Some(manifest.pointer(key)?.as_str()?.to_owned())).collect()
}

/// Measures every file of the default models at every size it is used in, each in a child.
///
/// # Errors
/// A model is missing or does not run.
pub fn measure(patience: &Patience) -> Result<Vec<Figures>, ScaleError> {
    let folder = repository().join("models");
    let (manifests, _) = manifest::read_folder(&folder);
    let mut figures = Vec::new();
    for id in defaults()? {
        let missing = || ScaleError::Missing { what: format!("model {id}"), remedy: "make models" };
        let manifest = manifests.values().find(|manifest| manifest.id.value.as_str() == id).ok_or_else(missing)?;
        let path = folder.join(format!("{id}.toml"));
        let text = fs::read_to_string(&path).map_err(ScaleError::file(&path))?;
        for file in files(&text).into_iter().filter(|file| folder.join(file).exists()) {
            for (width, height) in manifest.input_sizes() {
                let mut arguments = vec!["session".to_owned()];
                arguments.extend(arguments_for(&id, &file, (width, height))?);
                figures.push(in_a_child(&arguments, Duration::from_secs(60), patience)?);
            }
        }
    }
    Ok(figures)
}

/// What a child is told of the session whose figures these are.
///
/// # Errors
/// ONNX Runtime is not there.
pub(super) fn arguments_of(figures: &Figures) -> Result<Vec<String>, ScaleError> {
    arguments_for(&figures.model, &figures.file, (figures.width, figures.height))
}

fn arguments_for(id: &str, file: &str, (width, height): (u32, u32)) -> Result<Vec<String>, ScaleError> {
    let manifest = repository().join("models").join(format!("{id}.toml")).display().to_string();
    let (library, width, height) = (onnxruntime()?.display().to_string(), width.to_string(), height.to_string());
    let arguments = [&manifest, "--file", file, "--library", &library, "--width", &width, "--height", &height];
    Ok(arguments.map(str::to_owned).to_vec())
}

/// A session and its input.
pub(super) struct Prepared {
    model: String,
    session: Session,
    input: Tensor<f32>,
}

impl Prepared {
    /// Opens the session as the daemon does.
    ///
    /// # Errors
    /// The model does not open.
    pub(super) fn open(arguments: &Arguments) -> Result<Self, ScaleError> {
        let manifest = Manifest::read(&arguments.manifest).map_err(media)?;
        let model = arguments.manifest.with_file_name(&arguments.file);
        let environment = ort::init_from(&arguments.library).map_err(media)?.build().map_err(media)?;
        let session = open(Session::builder(&environment).map_err(media)?)?.commit_from_file(model).map_err(media)?;
        let (width, height) = (arguments.width as usize, arguments.height as usize);
        let shape = match manifest.input.layout {
            Layout::Nchw => [1, 3, height, width],
            Layout::Nhwc => [1, height, width, 3],
        };
        let input = Tensor::from_array((shape, vec![0.25f32; 3 * width * height])).map_err(media)?;
        Ok(Self { model: manifest.id.value.to_string(), session, input })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// It fails.
    pub(super) fn run(&mut self) -> Result<(), ScaleError> {
        self.session.run(ort::inputs![&self.input]).map(drop).map_err(media)
    }
}

/// Measures it here.
///
/// # Errors
/// The model does not open or does not run.
pub fn run(arguments: &Arguments) -> Result<Figures, ScaleError> {
    let before = Resident::now()?;
    let mut prepared = Prepared::open(arguments)?;
    let mut run = |times| -> Result<Duration, ScaleError> {
        let cpu = own_cpu();
        (0..times).try_for_each(|_| prepared.run())?;
        Ok(own_cpu() - cpu)
    };
    run(WARM_UP)?;
    let seconds = run(RUNS)?.as_secs_f64() / f64::from(RUNS);
    Ok(Figures {
        model: prepared.model,
        file: arguments.file.clone(),
        width: arguments.width,
        height: arguments.height,
        seconds,
        bytes: Resident::now()?.grown_since(before),
    })
}

/// The settings are those of the daemon's `vision::model`.
fn open(builder: SessionBuilder) -> Result<SessionBuilder, ScaleError> {
    let builder = builder.with_intra_threads(1).map_err(media)?;
    let builder = builder.with_inter_threads(1).map_err(media)?;
    let builder = builder.with_intra_op_spinning(false).map_err(media)?;
    let builder = builder.with_inter_op_spinning(false).map_err(media)?;
    builder.with_optimization_level(GraphOptimizationLevel::All).map_err(media)
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn every_file_of_a_manifest_is_found() {
        let manifest =
            "id = 'm'\nfile = 'm.onnx'\n[int8]\nfile = 'm.int8.onnx'\n[int8.reduced]\nfile = 'm.reduced.onnx'";
        assert_eq!(files(manifest), ["m.onnx", "m.int8.onnx", "m.reduced.onnx"]);
        assert_eq!(files("file = 'm.onnx'"), ["m.onnx"]);
    }
}
