//! Models through ONNX Runtime: opened only when their file is the one the manifest pins, asked one region at a time.
//!
//! A [`Model`] belongs to one thread, for a session runs one input at a time. Sessions use one thread of their own and
//! never spin: parallelism comes from several inference threads with their own [`Models`].

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ort::{session::Session, value::Tensor};
use snowgate_core::{
    ids::Id,
    observation::{Detection, Label},
};

use super::{
    decoders::{self, Output, ShapeError, Sink},
    execution::{Running, Variant},
    graph,
    manifest::{DecoderKind, Manifest},
    masks::Masks,
    model_file::{self, Opens},
    nms::{Candidate, Candidates},
    preprocess::{Format, PixelRect, Placement, Preprocessor},
    regions::input_for,
};
use crate::{
    camera::pixels::{Chroma, Pixels, Plane},
    events::vision::RegionInferred,
};

pub use super::{
    models::Models,
    runtime::{Runtime, RuntimeError},
};

/// Boxes that a [`thorough`](Model::thorough) model keeps before overlapping ones are joined: at a low threshold each of the hundreds of
/// cells of a heatmap that one large face covers tells of it.
const THOROUGH_CANDIDATES: usize = 8192;

/// Why a model cannot be used. Every message names the model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("model {model}: {}: {source}", path.display())]
    Unreadable {
        /// The model's id.
        model: Id,
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not the one the manifest pins.
    #[error("model {model}: {} has SHA-256 {found}, the manifest says {expected}", path.display())]
    WrongDigest {
        /// The model's id.
        model: Id,
        /// Its file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// ONNX Runtime cannot open it: truncated, no ONNX at all, or with operators it does not know.
    #[error("model {model}: {} cannot be opened: {message}", path.display())]
    Broken {
        /// The model's id.
        model: Id,
        /// Its file.
        path: PathBuf,
        /// What ONNX Runtime said.
        message: String,
    },
    /// Its inputs or outputs are not what the manifest says.
    #[error("model {model}: {message}")]
    Mismatch {
        /// The model's id.
        model: Id,
        /// What differs.
        message: String,
    },
    /// It failed while running.
    #[error("model {model}: inference failed: {message}")]
    Failed {
        /// The model's id.
        model: Id,
        /// What ONNX Runtime said.
        message: String,
    },
    /// It answered with values that are no numbers.
    #[error("model {model}: output {output:?} holds values that are no numbers")]
    NotANumber {
        /// The model's id.
        model: Id,
        /// Which output.
        output: String,
    },
    /// It answered in a shape its decoder cannot read.
    #[error("model {model}: {source}")]
    Shape {
        /// The model's id.
        model: Id,
        /// Which output, and what shape.
        source: ShapeError,
    },
}

/// What a new model is shown first: nothing but grey.
pub(super) fn with_grey<T>((width, height): (u32, u32), look: impl FnOnce(&Pixels<'_>) -> T) -> T {
    let grey = vec![114u8; width as usize * height as usize];
    let plane = |w: u32, h: u32| Plane { data: &grey, stride: w as usize, width: w as usize, height: h as usize };
    let half = plane(width.div_ceil(2), height.div_ceil(2));
    let chroma = Chroma::Planar { u: half, v: half };
    look(&Pixels { luma: plane(width, height), chroma, full_range: true, bt709: true })
}

impl Opens for Manifest {
    type Model = Model;

    fn model(&self, session: Session, running: Running) -> Result<Model, ModelError> {
        Model::new(self, session, running)
    }
}

/// An opened model with everything it needs to answer.
#[derive(Debug)]
pub struct Model {
    id: Id,
    running: Running,
    labels: Vec<Label>,
    format: Format,
    kind: DecoderKind,
    outputs: Vec<String>,
    min_score: f32,
    nms_iou: f32,
    session: Session,
    /// One tensor an input size, smallest first.
    inputs: Vec<Input>,
    preprocessor: Preprocessor,
    candidates: Candidates,
    session_time: Duration,
}

#[derive(Debug)]
struct Input {
    size: (u32, u32),
    tensor: Tensor<f32>,
}

impl Model {
    /// Verifies and opens the float file of a manifest, which lies in `folder`, on the processor, and asks it once: the
    /// reference. What the configuration wants instead is a [`ModelFile`]'s business.
    ///
    /// # Errors
    /// When the file is not there, not the one that is pinned, cannot be opened, or is not what the manifest says.
    pub fn load(runtime: &Runtime, manifest: &Manifest, folder: &Path) -> Result<Self, ModelError> {
        Self::load_variant(runtime, manifest, folder, Variant::Float)
    }

    /// The same with another file of the model: for comparing them, and for checking each.
    ///
    /// # Errors
    /// As [`Self::load`]; and when the model has no such file.
    pub fn load_variant(
        runtime: &Runtime,
        manifest: &Manifest,
        folder: &Path,
        variant: Variant,
    ) -> Result<Self, ModelError> {
        model_file::load(runtime, manifest, folder, variant)
    }

    /// Wraps a session of a manifest's model, and asks it once.
    fn new(manifest: &Manifest, session: Session, running: Running) -> Result<Self, ModelError> {
        let id = manifest.id.value.clone();
        let input = &manifest.input;
        graph::check_input(&id, &session, &input.shape((*input.width, *input.height)))?;
        for output in manifest.decoder.outputs.iter() {
            graph::check_output(&id, &session, output)?;
        }
        let failed = |error: ort::Error| ModelError::Failed { model: id.clone(), message: error.to_string() };
        let mut inputs = Vec::new();
        for size in manifest.input_sizes() {
            let values = vec![0f32; 3 * size.0 as usize * size.1 as usize];
            let tensor = Tensor::from_array((input.shape(size), values)).map_err(failed)?;
            inputs.push(Input { size, tensor });
        }
        let mut model = Self {
            labels: manifest.labels.iter().map(|label| Label::from(label.as_str())).collect(),
            format: manifest.format(),
            kind: manifest.decoder.kind,
            outputs: manifest.decoder.outputs.value.clone(),
            min_score: manifest.decoder.min_score.0,
            nms_iou: manifest.decoder.nms_iou.0,
            session,
            inputs,
            preprocessor: Preprocessor::default(),
            candidates: Candidates::default(),
            session_time: Duration::ZERO,
            running,
            id,
        };
        model.ask_once()?;
        Ok(model)
    }

    /// Shows the model a grey picture in each size: what it answers must have the shapes its decoder reads.
    fn ask_once(&mut self) -> Result<(), ModelError> {
        for index in 0..self.inputs.len() {
            with_grey(self.inputs[index].size, |pixels| {
                self.run(pixels, &Masks::default(), PixelRect::whole(pixels), index, self.min_score)
            })?;
        }
        Ok(())
    }

    /// Its manifest id.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Which of its files it is, and on what it runs.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The label of a class; "" is a class nobody is told of.
    pub fn label(&self, class: u16) -> Option<&Label> {
        self.labels.get(usize::from(class))
    }

    /// The labels of its classes, in order.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The sizes regions are shown in, smallest first.
    pub fn input_sizes(&self) -> impl Iterator<Item = (u32, u32)> {
        self.inputs.iter().map(|input| input.size)
    }

    /// Leaves nothing out that can be found, at low thresholds either, however long it takes: every region is shown in the largest
    /// size there is, small ones enlarged, and so many boxes are kept that only a flood of them overflows.
    #[must_use]
    pub fn thorough(mut self) -> Self {
        self.inputs.drain(..self.inputs.len().saturating_sub(1));
        self.candidates = Candidates::keeping(THOROUGH_CANDIDATES);
        self
    }

    /// The size a region is shown in.
    pub fn input_for(&self, region: PixelRect) -> (u32, u32) {
        self.inputs[self.input_index(region)].size
    }

    fn input_index(&self, region: PixelRect) -> usize {
        input_for(self.input_sizes(), &region).unwrap_or(0)
    }

    /// ONNX Runtime's share of the time for the last region: what it took without preparing and decoding.
    pub fn session_time(&self) -> Duration {
        self.session_time
    }

    /// The score below which boxes are nothing, by its manifest.
    pub fn min_score(&self) -> f32 {
        self.min_score
    }

    /// Boxes that overlap by more than this are one thing, by its manifest.
    pub fn nms_iou(&self) -> f32 {
        self.nms_iou
    }

    /// Whether the last answer held more boxes than are kept, so that some may be missing.
    pub fn overflowed(&self) -> bool {
        self.candidates.overflowed()
    }

    /// Looks at one region of a picture and adds what it finds above `min_score` to `out`.
    ///
    /// # Errors
    /// When inference fails or the answer has another shape than before.
    pub fn detect(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        region: PixelRect,
        min_score: f32,
        out: &mut Vec<Detection>,
    ) -> Result<(), ModelError> {
        self.look(pixels, masks, region, min_score)?;
        let found = self.candidates.suppress(self.nms_iou);
        out.extend(found.iter().filter_map(|candidate| {
            let label = self.labels.get(usize::from(candidate.class)).filter(|label| !label.as_str().is_empty())?;
            Some(Detection { label: label.clone(), score: candidate.score, rect: candidate.rect })
        }));
        Ok(())
    }

    /// The same, by class; no more boxes than are kept, best first.
    ///
    /// # Errors
    /// When inference fails or the answer has another shape than before.
    pub fn candidates(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        region: PixelRect,
        min_score: f32,
    ) -> Result<&[Candidate], ModelError> {
        self.look(pixels, masks, region, min_score)?;
        Ok(self.candidates.suppress(self.nms_iou))
    }

    fn look(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        region: PixelRect,
        min_score: f32,
    ) -> Result<(), ModelError> {
        let started = Instant::now();
        self.run(pixels, masks, region, self.input_index(region), min_score)?;
        RegionInferred { model: &self.id, took: started.elapsed() }.emit();
        Ok(())
    }

    fn run(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        region: PixelRect,
        index: usize,
        min_score: f32,
    ) -> Result<(), ModelError> {
        let Self { id, session, inputs, preprocessor, candidates, format, kind, outputs, labels, session_time, .. } =
            self;
        let failed = |error: ort::Error| ModelError::Failed { model: id.clone(), message: error.to_string() };
        let Input { size, tensor } = &mut inputs[index];
        let (_, values) = tensor.extract_tensor_mut();
        let placement: Placement = preprocessor.fill(pixels, masks, region, *size, format, values);
        let started = Instant::now();
        let answers = session.run(ort::inputs![&*tensor]).map_err(failed)?;
        *session_time = started.elapsed();
        let output = |name: &str| -> Result<Output<'_>, ModelError> {
            let missing = || ModelError::Mismatch { model: id.clone(), message: format!("no output {name:?}") };
            let value = answers.get(name).ok_or_else(missing)?;
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(failed)?;
            // A score that is no number would read as "nothing there", and a face would leave uncovered.
            if !values.iter().all(|value| value.is_finite()) {
                return Err(ModelError::NotANumber { model: id.clone(), output: name.to_owned() });
            }
            Ok(Output { shape, values })
        };
        let first = output(&outputs[0])?;
        candidates.reset(min_score);
        let mut sink = Sink { placement: &placement, input: *size, classes: labels.len(), candidates };
        let decoded = match kind {
            DecoderKind::Centerface => {
                decoders::centerface::decode(first, output(&outputs[1])?, output(&outputs[2])?, &mut sink)
            }
            DecoderKind::Ssd => decoders::ssd::decode(first, output(&outputs[1])?, &mut sink),
            DecoderKind::Yolov8 => decoders::yolo::decode_v8(first, &mut sink),
            DecoderKind::Yolox => decoders::yolo::decode_x(first, &mut sink),
        };
        decoded.map_err(|source| ModelError::Shape { model: id.clone(), source })
    }
}
