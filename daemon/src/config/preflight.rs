//! The last look before anything starts: a configuration against the models and decoders that this machine really has.

use std::{collections::BTreeMap, path::Path};

use snowgate_core::{ids::Id, observation::Label};

use super::{
    CameraConfig, Config, SensorConfig,
    files::GATEWAY,
    problem::{Place, Problem, Problems},
    suggest::suggestion,
    toml_errors::place_of,
};
use crate::camera::decode::DecodeError;

/// What came of loading this machine's models.
#[derive(Debug, Default)]
pub struct KnownModels {
    /// Why no model can be used at all: the library is missing or too old, the folder is unreadable.
    pub unusable: Option<String>,
    /// By manifest id: the labels it gives, or why it cannot be used.
    pub models: BTreeMap<Id, Result<Vec<String>, String>>,
    /// Those that score readings, likewise.
    pub sensor_models: BTreeMap<Id, Result<(), String>>,
    /// Those that are shown whole scenes, likewise.
    pub scene_models: BTreeMap<Id, Result<(), String>>,
}

/// Holds a configuration against the machine's models, and against why it has no decoders, if it has none. `run` goes on
/// with what it answers, and `check` says "valid" only where it answers without errors: a missing model refuses the
/// cameras and sensors that need it ([`CameraConfig::refused`], [`SensorConfig::refused`]); labels that no model gives, a library that does not load and a
/// decoder that does not work refuse everything.
///
/// # Errors
/// Everything that is wrong, what [`Config::load`] left in [`Config::problems`] included.
pub fn preflight(
    mut config: Config,
    models: &KnownModels,
    no_decoders: Option<&DecodeError>,
) -> Result<Config, Problems> {
    let mut problems = std::mem::take(&mut config.problems);
    if let Some(error) = no_decoders {
        problems.push(Problem::error(gateway_place(&config, "/decoders/backend"), error.to_string()));
    }
    match &models.unusable {
        Some(reason) => problems.push(Problem::error(gateway_place(&config, "/models/onnxruntime"), reason)),
        None => check_models(&mut config, models, &mut problems),
    }
    problems.sort();
    if problems.is_fatal() {
        return Err(problems);
    }
    config.problems = problems;
    Ok(config)
}

fn gateway_place(config: &Config, pointer: &str) -> Place {
    match &config.files.gateway {
        Some(source) => place_of(source, pointer),
        None => Place::path(Path::new(GATEWAY)),
    }
}

fn check_models(config: &mut Config, models: &KnownModels, problems: &mut Problems) {
    let finds = |id: &Id| labels_of(id, models).map(drop);
    let finders: Vec<&str> = models.models.keys().map(Id::as_str).collect();
    let object = refuse_without_model(config, "object", |camera| Some(&camera.object_model), finds, &finders);
    let face = refuse_without_model(config, "face", |camera| Some(&camera.face_model), finds, &finders);
    let scenes: Vec<&str> = models.scene_models.keys().map(Id::as_str).collect();
    let scene = refuse_without_model(config, "scene", of_scene, |id| is_of_scenes(id, models), &scenes);
    problems.extend(object.into_iter().chain(face).chain(scene));
    for sensor in config.sensors.iter_mut().filter(|sensor| sensor.enabled) {
        refuse_without_sensor_model(sensor, models, problems);
    }
    for camera in config.cameras.iter().filter(|camera| camera.enabled) {
        check_labels(camera, models, problems);
    }
}

/// Refuses every camera whose model of a kind, if it needs one, cannot be used: one problem for each place where such a
/// model is named. `known` are those that it could be.
fn refuse_without_model(
    config: &mut Config,
    kind: &str,
    model: impl Fn(&CameraConfig) -> Option<&Id>,
    usable: impl Fn(&Id) -> Result<(), String>,
    known: &[&str],
) -> Vec<Problem> {
    let of_gateway = gateway_place(config, &format!("/models/{kind}"));
    let of_camera = format!("/detect/{kind}_model");
    let mut problems: Vec<Problem> = Vec::new();
    for camera in config.cameras.iter_mut().filter(|camera| camera.enabled) {
        let Some(id) = model(camera).cloned() else { continue };
        let Err(reason) = usable(&id) else { continue };
        let message = format!("{kind} model `{id}` {reason}");
        let own = place_of(&camera.source, &of_camera);
        let place = if own.line_and_column().is_some() { own } else { of_gateway.clone() };
        match problems.iter_mut().find(|problem| problem.place == place) {
            Some(problem) => problem.cameras.push(camera.id.clone()),
            None => {
                let is_known = known.contains(&id.as_str());
                let help = if is_known { None } else { suggestion(id.as_str(), known.iter().copied(), "models") };
                problems.push(Problem::error(place, message.clone()).help(help).refusing([camera.id.clone()]));
            }
        }
        camera.refused.get_or_insert(message);
    }
    problems
}

fn labels_of<'a>(id: &Id, models: &'a KnownModels) -> Result<&'a [String], String> {
    match models.models.get(id) {
        Some(Ok(labels)) => Ok(labels),
        Some(Err(reason)) => Err(format!("cannot be used: {reason}")),
        None if models.sensor_models.contains_key(id) => {
            Err("scores what sensors measure and finds nothing in pictures".to_owned())
        }
        None if models.scene_models.contains_key(id) => {
            Err("is shown whole scenes and finds nothing in pictures".to_owned())
        }
        None => Err("is not in the models directory".to_owned()),
    }
}

fn of_scene(camera: &CameraConfig) -> Option<&Id> {
    camera.watches_for_anomalies().then_some(&camera.scene_model)
}

fn is_of_scenes(id: &Id, models: &KnownModels) -> Result<(), String> {
    match models.scene_models.get(id) {
        Some(Ok(())) => Ok(()),
        Some(Err(reason)) => Err(format!("cannot be used: {reason}")),
        None if models.models.get(id).is_some_and(Result::is_ok) => {
            Err("finds things in pictures and says nothing of whole scenes".to_owned())
        }
        None => Err("is not in the folder `scene` of the models directory".to_owned()),
    }
}

/// Refuses a sensor whose model cannot be used: one problem for each quantity that names such a model.
fn refuse_without_sensor_model(sensor: &mut SensorConfig, models: &KnownModels, problems: &mut Problems) {
    let mut refused = None;
    for id in sensor.models() {
        let known = &models.sensor_models;
        let (reason, help) = match known.get(&id.value) {
            Some(Ok(())) => continue,
            Some(Err(reason)) => (format!("cannot be used: {reason}"), None),
            None if models.models.get(&id.value).is_some_and(Result::is_ok) => {
                ("finds things in pictures and scores nothing that sensors measure".to_owned(), None)
            }
            None => {
                let help = suggestion(id.as_str(), known.keys().map(Id::as_str), "models");
                ("is not in the folder `sensors` of the models directory".to_owned(), help)
            }
        };
        let message = format!("anomaly model `{}` {reason}", **id);
        let problem = Problem::error(Place::span(&sensor.file, id.span), message.clone()).help(help);
        problems.push(problem.refusing_sensors([sensor.id.clone()]));
        refused.get_or_insert(message);
    }
    sensor.refused = sensor.refused.take().or(refused);
}

/// Every label of every rule must be one that the camera's models give.
fn check_labels(camera: &CameraConfig, models: &KnownModels, problems: &mut Problems) {
    // Which labels a missing model would give nobody knows; the camera is refused already.
    let Ok(labels) = labels_of(&camera.object_model, models) else { return };
    let offered = || labels.iter().map(String::as_str).chain([Label::FACE]).filter(|label| !label.is_empty());
    for rule in &camera.rules {
        for label in rule.spec.looks_for().filter(|label| !offered().any(|offered| offered == *label)) {
            let message = format!("rule `{}`: model `{}` knows no `{label}`", *rule.spec.id, camera.object_model);
            let place = Place::span(&camera.source, rule.spec.labels.span);
            // "person" may be a default and stand nowhere; then the rule is the place.
            let place =
                if place.line_and_column().is_none() { Place::span(&camera.source, rule.spec.id.span) } else { place };
            let offered: Vec<&str> = offered().collect();
            problems.push(Problem::error(place, message).help(suggestion(label, offered, "its labels")));
        }
    }
}
