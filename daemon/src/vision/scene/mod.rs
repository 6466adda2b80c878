//! Models that are shown whole scenes: what every place of a picture looks like, or how strange it is.
//!
//! ```text
//! Pixels ─► whole picture ─► ONNX Runtime ─┬─► feature maps, to be held against what the camera has learnt
//!             masks                        └─► heat, where a township's own model judges by itself
//! ```
//!
//! A [`SceneModel`] belongs to one thread, as all models do. Nothing here allocates a picture, except inside ONNX
//! Runtime; what it answers lies in buffers that were made when it was opened. All answers are held against the shapes that
//! the manifest says, and are numbers: what is learnt from them can be relied upon.
//!
//! Features describe places in the picture, never people: each is only ever held against the same place as it was before.

mod anomaly;
mod backbone;
pub mod files;
pub mod manifest;
pub mod view;
mod whole;

use std::time::{Duration, Instant};

use ort::session::Session;
use snowgate_core::{
    ids::Id,
    scene::anomaly::{Heat, Shape},
};

pub use self::{
    anomaly::AnomalyModel,
    backbone::{Backbone, FeatureMaps},
};
use self::{
    manifest::{SceneManifest, SceneTask},
    whole::WholePicture,
};
use super::{
    execution::{Execution, Provider, Running, Variant},
    masks::Masks,
    model::{ModelError, with_grey},
    model_file::{OpenedFile, Opens},
};
use crate::{camera::pixels::Pixels, events::vision::RegionInferred};

/// The file of a model of scenes.
pub type SceneFile = OpenedFile<SceneManifest>;

/// What a model makes of one picture.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// What its places look like, to be scored against what the camera has learnt.
    Features(FeatureMaps<'a>),
    /// How strange its places are.
    Heat(&'a Heat),
}

/// An opened model of scenes.
#[derive(Debug)]
pub enum SceneModel {
    /// It gives features.
    Backbone(Backbone),
    /// It judges by itself.
    Anomaly(AnomalyModel),
}

impl Opens for SceneManifest {
    type Model = SceneModel;

    fn model(&self, session: Session, running: Running) -> Result<SceneModel, ModelError> {
        let picture = WholePicture::new(self, session, running)?;
        let mut model = match &self.task {
            SceneTask::Features(spec) => SceneModel::Backbone(Backbone::new(self, &spec.outputs, picture)?),
            SceneTask::Anomaly(spec) => SceneModel::Anomaly(AnomalyModel::new(&spec.decoder, picture)?),
        };
        with_grey(self.size(), |pixels| model.answer(pixels, &Masks::default()).map(drop))?;
        Ok(model)
    }

    fn variant(&self, execution: &Execution, provider: Provider) -> Variant {
        self.chosen(execution, provider)
    }
}

impl SceneModel {
    /// Looks at a whole picture, in which `masks` are black.
    ///
    /// # Errors
    /// When inference fails, or the answer has another shape than before or holds what is no number.
    pub fn look(&mut self, pixels: &Pixels<'_>, masks: &Masks) -> Result<Answer<'_>, ModelError> {
        let started = Instant::now();
        match self {
            Self::Backbone(backbone) => {
                backbone.pass(pixels, masks)?;
                RegionInferred { model: backbone.picture().id(), took: started.elapsed() }.emit();
                Ok(Answer::Features(backbone.maps()))
            }
            Self::Anomaly(model) => {
                model.judge(pixels, masks)?;
                RegionInferred { model: model.picture().id(), took: started.elapsed() }.emit();
                Ok(Answer::Heat(model.heat()))
            }
        }
    }

    /// The same, uncounted.
    fn answer(&mut self, pixels: &Pixels<'_>, masks: &Masks) -> Result<(), ModelError> {
        match self {
            Self::Backbone(backbone) => backbone.pass(pixels, masks),
            Self::Anomaly(model) => model.judge(pixels, masks),
        }
    }

    fn picture(&self) -> &WholePicture {
        match self {
            Self::Backbone(backbone) => backbone.picture(),
            Self::Anomaly(model) => model.picture(),
        }
    }

    /// Its manifest id.
    pub fn id(&self) -> &Id {
        self.picture().id()
    }

    /// Which of its files it is, and on what it runs. What is learnt is bound to the file's digest.
    pub fn running(&self) -> &Running {
        self.picture().running()
    }

    /// The form of its feature maps; none where it judges by itself.
    pub fn shape(&self) -> Option<&Shape> {
        match self {
            Self::Backbone(backbone) => Some(backbone.shape()),
            Self::Anomaly(_) => None,
        }
    }

    /// ONNX Runtime's share of the time for the last picture.
    pub fn session_time(&self) -> Duration {
        self.picture().session_time()
    }
}
