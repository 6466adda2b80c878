//! The models that one inference thread asks.

use std::{collections::BTreeMap, path::Path};

use snowgate_core::{ids::Id, scene::anomaly::Scratch};

use super::{
    manifest::Manifest,
    model::{Model, ModelError},
    model_file::ModelFile,
    runtime::Runtime,
    scene::{SceneFile, SceneModel},
};

/// The models of one inference thread, by manifest id.
#[derive(Debug, Default)]
pub struct Models {
    models: BTreeMap<Id, Model>,
    scenes: BTreeMap<Id, SceneModel>,
    scratch: Scratch,
}

impl Models {
    /// Opens the reference ([`Model::load`]) of each manifest; one that cannot be opened takes no other down.
    pub fn load<'a>(
        runtime: &Runtime,
        manifests: impl IntoIterator<Item = &'a Manifest>,
        folder: &Path,
    ) -> (Self, Vec<ModelError>) {
        let (models, errors) = gather(manifests.into_iter().map(|manifest| Model::load(runtime, manifest, folder)));
        (Self { models, ..Self::default() }, errors)
    }

    /// Sessions of their own for files that were opened before; one that cannot be opened takes no other down.
    pub fn of_files<'a>(
        files: impl IntoIterator<Item = &'a ModelFile>,
        scenes: impl IntoIterator<Item = &'a SceneFile>,
    ) -> (Self, Vec<ModelError>) {
        let (models, mut errors) = gather(files.into_iter().map(ModelFile::model));
        let (scenes, of_scenes) = gather(scenes.into_iter().map(SceneFile::model));
        errors.extend(of_scenes);
        (Self { models, scenes, scratch: Scratch::default() }, errors)
    }

    /// A model, if it could be opened.
    pub fn get_mut(&mut self, id: &Id) -> Option<&mut Model> {
        self.models.get_mut(id)
    }

    /// A model of whole scenes, if it could be opened, and what holding its answers against what was learnt works with.
    pub fn scene_mut(&mut self, id: &Id) -> Option<(&mut SceneModel, &mut Scratch)> {
        self.scenes.get_mut(id).map(|model| (model, &mut self.scratch))
    }

    /// The ids of the models that find things and could be opened.
    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        self.models.keys()
    }
}

/// What has a name to be found by.
trait Named {
    fn id(&self) -> &Id;
}

impl Named for Model {
    fn id(&self) -> &Id {
        self.id()
    }
}

impl Named for SceneModel {
    fn id(&self) -> &Id {
        self.id()
    }
}

fn gather<M: Named>(opened: impl Iterator<Item = Result<M, ModelError>>) -> (BTreeMap<Id, M>, Vec<ModelError>) {
    let mut errors = Vec::new();
    let mut models = BTreeMap::new();
    for result in opened {
        match result {
            Ok(model) => drop(models.insert(model.id().clone(), model)),
            Err(error) => errors.push(error),
        }
    }
    (models, errors)
}
