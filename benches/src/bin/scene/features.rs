//! The daemon's own backbone, opened as the daemon opens it.

use std::{error::Error, path::Path, time::Duration};

use snowgate::vision::{
    execution::Variant,
    masks::Masks,
    model::Runtime,
    model_file,
    scene::{
        Answer, SceneModel,
        manifest::{self, SceneManifest},
    },
};
use snowgate_core::scene::anomaly::Features;

use crate::frame::Frame;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const MODEL: &str = "efficientnet-lite0";

/// Which backbone, and where it lies.
#[derive(Debug)]
pub struct Source<'a> {
    /// ONNX Runtime.
    pub runtime: Runtime,
    /// Folder of all models.
    pub models: &'a Path,
    /// Which of its files.
    pub variant: Variant,
}

/// One thread's own.
#[derive(Debug)]
pub struct Backbone {
    model: SceneModel,
    masks: Masks,
}

impl Source<'_> {
    /// Opens a backbone.
    ///
    /// # Errors
    /// When it is not there, not the one that is pinned, or cannot be opened.
    pub fn open(&self) -> Outcome<Backbone> {
        let (manifests, errors) = manifest::read_all(self.models);
        if let Some(error) = errors.into_iter().next() {
            return Err(error.into());
        }
        let is_it = |manifest: &&SceneManifest| manifest.id.value.as_str() == MODEL;
        let manifest = manifests.values().find(is_it).ok_or_else(|| format!("there is no model {MODEL}"))?;
        let folder = manifest::folder(self.models);
        let model = model_file::load(&self.runtime, manifest, &folder, self.variant)?;
        Ok(Backbone { model, masks: Masks::default() })
    }
}

impl Backbone {
    /// Looks at a picture, and lets its features be looked at.
    ///
    /// # Errors
    /// When the model fails.
    pub fn look<R>(&mut self, frame: &Frame, with: impl FnOnce(Features<'_>) -> R) -> Outcome<R> {
        match self.model.look(&frame.pixels(), &self.masks)? {
            Answer::Features(maps) => Ok(with(maps.features())),
            Answer::Heat(_) => Err(format!("{MODEL} gives no features").into()),
        }
    }

    /// ONNX Runtime's share of the last look.
    pub fn session_time(&self) -> Duration {
        self.model.session_time()
    }
}
