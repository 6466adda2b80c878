//! The models and decoders of this machine, as `run`, `replay` and `check` all find them.

use std::collections::{BTreeMap, BTreeSet};

use snowgate_core::{ids::Id, incidents::ModelDigest};

use crate::{
    camera::decode::Decoders,
    config::{self, Config, KnownModels, Problems},
    vision::{
        manifest::{self, Manifest},
        model::{Models, Runtime},
        model_file::ModelFile,
    },
};

/// Holds a configuration against the models and decoders of this machine. `run`, `replay` and `check` all go this way, so
/// that what one accepts the others do.
///
/// # Errors
/// Everything that is wrong with it, what loading it left open included.
pub fn preflight(config: Config) -> Result<(Config, LoadedModels, Decoders), Problems> {
    let models = LoadedModels::open(&config);
    let decoders = Decoders::find(config.decoders.backend);
    let config = config::preflight(config, models.known(), decoders.as_ref().err())?;
    match decoders {
        Ok(decoders) => Ok((config, models, decoders)),
        // `preflight` lets no configuration pass that has no decoders.
        Err(_) => Err(config.problems),
    }
}

/// Manifests that were found, the models of them that work, and the library that runs them.
pub struct LoadedModels {
    runtime: Option<Runtime>,
    manifests: BTreeMap<Id, Manifest>,
    /// Those that a camera names and that work.
    files: BTreeMap<Id, ModelFile>,
    known: KnownModels,
}

impl LoadedModels {
    /// Loads the library and opens every model that a camera names once, to see that it works.
    pub fn open(config: &Config) -> Self {
        let spec = &config.models;
        let enabled = config.cameras.iter().filter(|camera| camera.enabled);
        let wanted: BTreeSet<Id> =
            enabled.flat_map(|camera| [camera.object_model.clone(), camera.face_model.clone()]).collect();
        let (manifests, errors) = manifest::read_folder(&spec.directory);
        let mut known = KnownModels::default();
        for error in errors {
            // A manifest that cannot be read does not tell its id; its file is named after it.
            if let Some(id) = error.path().file_stem().and_then(|stem| stem.to_str()?.parse().ok()) {
                known.models.insert(id, Err(error.to_string()));
            } else {
                known.unusable.get_or_insert(error.to_string());
            }
        }
        let runtime = match Runtime::load(&spec.onnxruntime) {
            Ok(runtime) => Some(runtime),
            Err(error) => {
                known.unusable = Some(error.to_string());
                None
            }
        };
        let mut files = BTreeMap::new();
        for (id, manifest) in &manifests {
            let opened = match &runtime {
                Some(runtime) if wanted.contains(id) => {
                    ModelFile::open(runtime, manifest, &spec.directory, &spec.execution).map(|(file, _)| Some(file))
                }
                _ => Ok(None),
            };
            let state = match opened {
                Ok(file) => {
                    files.extend(file.map(|file| (id.clone(), file)));
                    Ok(manifest.labels.value.clone())
                }
                Err(error) => Err(error.to_string()),
            };
            known.models.insert(id.clone(), state);
        }
        Self { runtime, manifests, files, known }
    }

    /// What works and what does not.
    fn known(&self) -> &KnownModels {
        &self.known
    }

    /// Sessions for one inference thread: every usable model that a camera names.
    pub fn for_thread(&self) -> Models {
        let (models, errors) = Models::of_files(self.files.values());
        for error in errors {
            // It worked a moment ago; cameras that need it will say so with every picture.
            tracing::error!(%error, "model cannot be opened again");
        }
        models
    }

    /// The library, if it works.
    pub fn runtime(&self) -> Option<&Runtime> {
        self.runtime.as_ref()
    }

    /// The manifest of a model.
    pub fn manifest(&self, id: &Id) -> Option<&Manifest> {
        self.manifests.get(id)
    }

    /// What incidents say of a model: the digest of the file that looks at the pictures.
    pub fn digest(&self, id: &Id) -> Option<ModelDigest> {
        let sha256 = self.files.get(id)?.running().sha256.clone();
        Some(ModelDigest { id: id.clone(), sha256 })
    }
}
