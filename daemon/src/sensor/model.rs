//! Models that score a sensor's readings, through ONNX Runtime: opened only when their file is the one the manifest pins.
//!
//! One session a model, which the quantities that name it share: all are judged on one thread, so that none waits for
//! another. A model that fails costs its quantities their scores and nobody anything else.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use ort::{session::Session, value::Tensor};
use snowgate_core::{
    ids::Id,
    sensor::anomaly::{
        outside::{ModelDetector, Models},
        window::{Normalise, Window},
    },
};

use super::manifest::SensorManifest;
use crate::{
    events::sensor::{ReadingScored, ScoreMissing},
    vision::{
        execution::{Running, Variant},
        graph,
        model::{ModelError, Runtime},
        model_file::{self, Opens},
    },
};

impl Opens for SensorManifest {
    type Model = SensorModel;

    fn model(&self, session: Session, running: Running) -> Result<SensorModel, ModelError> {
        SensorModel::new(self, session, running)
    }
}

/// An opened model of readings.
#[derive(Debug)]
pub struct SensorModel {
    id: Id,
    running: Running,
    output: String,
    session: Session,
    input: Tensor<f32>,
    normalise: Normalise,
    values: usize,
    /// What was wrong the last time, in one word; it is not said again before the model has answered well.
    wrong: Option<&'static str>,
}

impl SensorModel {
    /// Verifies and opens the file of a manifest, which lies in `folder`, and asks it once.
    ///
    /// # Errors
    /// When the file is not there, not the one that is pinned, cannot be opened, or is not what the manifest says.
    pub fn load(runtime: &Runtime, manifest: &SensorManifest, folder: &Path) -> Result<Self, ModelError> {
        model_file::load(runtime, manifest, folder, Variant::Float)
    }

    fn new(manifest: &SensorManifest, session: Session, running: Running) -> Result<Self, ModelError> {
        let (id, values) = (manifest.id.value.clone(), manifest.values());
        let (output, normalise) = (manifest.decoder.output.value.clone(), manifest.input.normalise);
        graph::check_input(&id, &session, &[1, i64::from(manifest.input.values.value)])?;
        graph::check_output(&id, &session, &output)?;
        let input = Tensor::from_array(([1, values], vec![0f32; values]))
            .map_err(|error| ModelError::Failed { model: id.clone(), message: error.to_string() })?;
        let mut model = Self { id, running, output, session, input, normalise, values, wrong: None };
        // Readings that are all the same: no model may fail on them.
        model.ask()?;
        Ok(model)
    }

    /// Its manifest id.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Its file, and on what it runs.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The score of the last reading of a full window, 0 to 1; `None` if it fails. What is no number is a score of 0.
    pub fn score(&mut self, window: &Window) -> Option<f64> {
        let started = Instant::now();
        let (_, input) = self.input.extract_tensor_mut();
        window.write_to(input);
        let answer = self.ask();
        ReadingScored { model: self.id.as_str(), took: started.elapsed() }.emit();
        match answer {
            Ok(score) if score.is_nan() => {
                self.missing("not_a_number", "its answer is no number");
                Some(0.0)
            }
            Ok(score) => {
                self.wrong = None;
                Some(f64::from(score).clamp(0.0, 1.0))
            }
            Err(error) => {
                self.missing("failed", &error.to_string());
                None
            }
        }
    }

    fn missing(&mut self, reason: &'static str, message: &str) {
        let again = self.wrong.replace(reason) == Some(reason);
        ScoreMissing { model: self.id.as_str(), reason, message, again }.emit();
    }

    /// What it answers to the input as it is.
    fn ask(&mut self) -> Result<f32, ModelError> {
        let Self { id, session, input, output, .. } = self;
        let failed = |error: ort::Error| ModelError::Failed { model: id.clone(), message: error.to_string() };
        let mismatch = |message| ModelError::Mismatch { model: id.clone(), message };
        let answers = session.run(ort::inputs![&*input]).map_err(failed)?;
        let answer = answers.get(output.as_str()).ok_or_else(|| mismatch(format!("no output {output:?}")))?;
        let (shape, scores) = answer.try_extract_tensor::<f32>().map_err(failed)?;
        match (&shape[..], scores) {
            ([1, 1], [score]) => Ok(*score),
            (shape, _) => Err(mismatch(format!("its output {output:?} has shape {shape:?}, [1, 1] is wanted"))),
        }
    }
}

/// The models that sensors name and that work.
#[derive(Debug, Default)]
pub struct SensorModels(BTreeMap<Id, Arc<Mutex<SensorModel>>>);

impl SensorModels {
    /// Adds one.
    pub fn insert(&mut self, model: SensorModel) {
        self.0.insert(model.id.clone(), Arc::new(Mutex::new(model)));
    }
}

impl Models for SensorModels {
    fn detector(&self, model: &Id) -> Option<Box<dyn ModelDetector>> {
        let model = Arc::clone(self.0.get(model)?);
        let window = {
            let model = model.lock().unwrap_or_else(PoisonError::into_inner);
            Window::new(model.values, model.normalise)
        };
        Some(Box::new(Watching { model, window }))
    }
}

/// One quantity's readings, and the model that scores them.
#[derive(Debug)]
struct Watching {
    model: Arc<Mutex<SensorModel>>,
    window: Window,
}

impl ModelDetector for Watching {
    fn observe(&mut self, value: f64) -> Option<f64> {
        let full = self.window.push(value);
        let mut model = full.then(|| self.model.lock().unwrap_or_else(PoisonError::into_inner))?;
        model.score(&self.window)
    }
}
