//! The models and decoders of this machine, as `run`, `replay` and `check` all find them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::SystemTime,
};

use snowgate_core::{ids::Id, incidents::ModelDigest};

use crate::{
    camera::{decode::Decoders, spec::DecodersSpec},
    config::{self, Config, KnownModels, ModelsConfig, Problems, SensorConfig},
    evidence::{detectors::StillModels, still::StillMaker, worker::OpenError},
    sensor::{
        manifest as sensor_manifest,
        model::{SensorModel, SensorModels},
    },
    shutdown::Shutdown,
    vision::{
        execution::Running,
        manifest::{self, Manifest, ManifestError},
        model::{Models, Runtime},
        model_file::ModelFile,
        scene::{SceneFile, manifest as scene_manifest},
    },
};

/// Holds a configuration against the models and decoders of this machine. `run`, `replay` and `check` all go this way, so
/// that what one accepts the others do.
///
/// # Errors
/// Everything that is wrong with it, what loading it left open included.
pub fn preflight(config: Config) -> Result<(Config, LoadedModels, Decoders), Problems> {
    preflight_with(config, &BTreeSet::new())
}

/// As [`preflight`], with models of scenes beside those that rules ask for.
///
/// # Errors
/// As [`preflight`].
pub fn preflight_with(config: Config, scenes: &BTreeSet<Id>) -> Result<(Config, LoadedModels, Decoders), Problems> {
    let models = LoadedModels::open(&config, scenes);
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
    /// Those that are shown whole scenes, that are wanted and that work.
    scenes: BTreeMap<Id, SceneFile>,
    /// Those that a sensor names and that work.
    sensors: SensorModels,
    /// What incidents say of those that cameras name.
    digests: BTreeMap<Id, ModelDigest>,
    known: KnownModels,
    opened: Opened,
}

/// What was opened, and from which files: as long as that stays the same, nothing needs to be opened again.
#[derive(Debug, PartialEq)]
struct Opened {
    spec: ModelsConfig,
    decoders: DecodersSpec,
    wanted: Wanted,
    files: BTreeMap<PathBuf, (u64, Option<SystemTime>)>,
}

/// Which models cameras and sensors name.
#[derive(Debug, PartialEq)]
struct Wanted {
    regions: BTreeSet<Id>,
    scenes: BTreeSet<Id>,
    sensors: BTreeSet<Id>,
}

impl Wanted {
    fn of(config: &Config) -> Self {
        let cameras = config.cameras.iter().filter(|camera| camera.enabled);
        let sensors = config.sensors.iter().filter(|sensor| sensor.enabled);
        let of_rules = cameras.clone().filter(|camera| camera.watches_for_anomalies());
        Self {
            regions: cameras.flat_map(|camera| [camera.object_model.clone(), camera.face_model.clone()]).collect(),
            scenes: of_rules.map(|camera| camera.scene_model.clone()).collect(),
            sensors: sensors.flat_map(SensorConfig::models).map(|model| model.value.clone()).collect(),
        }
    }

    /// Whether nothing is wanted that `other` does not want.
    fn is_among(&self, other: &Self) -> bool {
        self.regions.is_subset(&other.regions)
            && self.scenes.is_subset(&other.scenes)
            && self.sensors.is_subset(&other.sensors)
    }
}

/// Every file beside the manifests, with its size and when it was last changed. What cannot be read is as if it were not
/// there: whoever opens it says so.
fn files_of(spec: &ModelsConfig) -> BTreeMap<PathBuf, (u64, Option<SystemTime>)> {
    let folders =
        [spec.directory.clone(), scene_manifest::folder(&spec.directory), sensor_manifest::folder(&spec.directory)];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flat_map(|entries| entries.take(1024));
    let described = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some((path, (metadata.len(), metadata.modified().ok())))
    });
    described.collect()
}

impl LoadedModels {
    /// Loads the library and opens every model that a camera or a sensor names once, and the models of scenes that are
    /// wanted beside, to see that they work.
    pub fn open(config: &Config, scenes: &BTreeSet<Id>) -> Self {
        let spec = &config.models;
        let mut wanted = Wanted::of(config);
        wanted.scenes.extend(scenes.iter().cloned());
        // Looked at first: what changes while it is read is read again.
        let on_disk = files_of(spec);
        let (manifests, errors) = manifest::read_folder(&spec.directory);
        let mut known = KnownModels::default();
        for error in errors {
            if let Some(id) = named_after(&error) {
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
                Some(runtime) if wanted.regions.contains(id) => {
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
        let scenes = open_scene_models(config, &wanted.scenes, runtime.as_ref(), &mut known);
        let sensors = open_sensor_models(config, &wanted.sensors, runtime.as_ref(), &mut known);
        let of_regions = files.iter().map(|(id, file)| (id, file.running()));
        let running = scenes.iter().map(|(id, file): (_, &SceneFile)| (id, file.running())).chain(of_regions);
        let digest = |(id, running): (&Id, &Running)| {
            (id.clone(), ModelDigest { id: id.clone(), sha256: running.sha256.clone() })
        };
        let digests = running.map(digest).collect();
        let opened = Opened { spec: spec.clone(), decoders: config.decoders.clone(), wanted, files: on_disk };
        Self { runtime, manifests, files, scenes, sensors, digests, known, opened }
    }

    /// Whether they and the decoders are all that another configuration asks for, and nothing about them has changed.
    pub fn serve(&self, config: &Config) -> bool {
        let Opened { spec, decoders, wanted, files } = &self.opened;
        *spec == config.models
            && *decoders == config.decoders
            && Wanted::of(config).is_among(wanted)
            && *files == files_of(spec)
    }

    /// Holds a configuration that they [serve](Self::serve) against them.
    ///
    /// # Errors
    /// Everything that is wrong with it, what loading it left open included.
    pub fn preflight(&self, config: Config) -> Result<Config, Problems> {
        config::preflight(config, &self.known, None)
    }

    /// Every thread has its sessions: the files that they were opened from need no memory any more.
    pub fn let_go_of_files(&mut self) {
        self.files.clear();
        self.scenes.clear();
    }

    /// Every usable model that a sensor names.
    pub fn sensors(&self) -> &SensorModels {
        &self.sensors
    }

    /// What works and what does not.
    fn known(&self) -> &KnownModels {
        &self.known
    }

    /// Sessions for one inference thread: every usable model that a camera names, and every one of scenes that is wanted.
    pub fn for_thread(&self) -> Models {
        let (models, errors) = Models::of_files(self.files.values(), self.scenes.values());
        for error in errors {
            // It worked a moment ago; cameras that need it will say so with every picture.
            tracing::error!(%error, "model cannot be opened again");
        }
        models
    }

    /// Every usable model that a sensor names; all the rest goes.
    pub fn into_sensors(self) -> SensorModels {
        self.sensors
    }

    /// The library, if it works.
    pub fn runtime(&self) -> Option<&Runtime> {
        self.runtime.as_ref()
    }

    /// The manifest of a model.
    pub fn manifest(&self, id: &Id) -> Option<&Manifest> {
        self.manifests.get(id)
    }

    /// A model of scenes, if it is wanted and works.
    pub fn scene(&self, id: &Id) -> Option<&SceneFile> {
        self.scenes.get(id)
    }

    /// What incidents say of a model: the digest of the file that looks at the pictures.
    pub fn digest(&self, id: &Id) -> Option<ModelDigest> {
        self.digests.get(id).cloned()
    }
}

/// What makes covered pictures where nothing else is loaded.
///
/// # Errors
/// The library or one of the two models cannot be used.
pub fn still_maker(config: &Config) -> Result<StillMaker, OpenError> {
    let spec = &config.models;
    let runtime = Runtime::load(&spec.onnxruntime)?;
    let (manifests, mut errors) = manifest::read_folder(&spec.directory);
    let mut find = |id: &Id| {
        manifests.get(id).ok_or_else(|| -> OpenError {
            match errors.iter().position(|error| named_after(error).is_none_or(|named| named == *id)) {
                Some(at) => errors.swap_remove(at).into(),
                None => format!("model {id} is not in {}", spec.directory.display()).into(),
            }
        })
    };
    let (face, object) = (find(&spec.face)?, find(&spec.object)?);
    StillModels { runtime: &runtime, face, object, folder: &spec.directory }.open(&config.evidence, Shutdown::new())
}

/// A manifest that cannot be read does not tell its id; its file is named after it.
fn named_after(error: &ManifestError) -> Option<Id> {
    error.path().file_stem()?.to_str()?.parse().ok()
}

/// Opens the models of scenes that are wanted, and enters in `known` what works and what does not.
fn open_scene_models(
    config: &Config,
    wanted: &BTreeSet<Id>,
    runtime: Option<&Runtime>,
    known: &mut KnownModels,
) -> BTreeMap<Id, SceneFile> {
    let (manifests, errors) = scene_manifest::read_all(&config.models.directory);
    let folder = scene_manifest::folder(&config.models.directory);
    for error in errors {
        match named_after(&error) {
            Some(id) => drop(known.scene_models.insert(id, Err(error.to_string()))),
            // Whoever names it reads that it is not there.
            None => tracing::error!(%error, "model of scenes passed over"),
        }
    }
    let mut files = BTreeMap::new();
    for (id, manifest) in &manifests {
        let opened = match runtime {
            Some(runtime) if wanted.contains(id) => {
                SceneFile::open(runtime, manifest, &folder, &config.models.execution).map(|(file, _)| Some(file))
            }
            _ => Ok(None),
        };
        let state = opened.map(|file| files.extend(file.map(|file| (id.clone(), file))));
        known.scene_models.insert(id.clone(), state.map_err(|error| error.to_string()));
    }
    files
}

/// Opens the models that sensors name, and enters in `known` what works and what does not.
fn open_sensor_models(
    config: &Config,
    wanted: &BTreeSet<Id>,
    runtime: Option<&Runtime>,
    known: &mut KnownModels,
) -> SensorModels {
    let (manifests, errors) = sensor_manifest::read_all(&config.models.directory);
    let folder = sensor_manifest::folder(&config.models.directory);
    let mut models = SensorModels::default();
    for error in errors {
        match named_after(&error) {
            Some(id) => drop(known.sensor_models.insert(id, Err(error.to_string()))),
            // Whoever names it reads that it is not there.
            None => tracing::error!(%error, "sensor model passed over"),
        }
    }
    for (id, manifest) in &manifests {
        let opened = match runtime {
            Some(runtime) if wanted.contains(id) => SensorModel::load(runtime, manifest, &folder).map(Some),
            _ => Ok(None),
        };
        let state = opened.map(|model| model.into_iter().for_each(|model| models.insert(model)));
        known.sensor_models.insert(id.clone(), state.map_err(|error| error.to_string()));
    }
    models
}
