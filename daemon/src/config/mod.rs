//! Files to one validated configuration.
//!
//! [`Config::load`] reads a directory (`files`), takes each file apart by its spec (`toml_errors`, [`spec`]), checks
//! the parts against each other (`gateway`, `camera`, `sensor`, `joined`) and answers with everything resolved, or with *all* of its
//! problems, each with file, line, column and a way out. [`preflight()`] then holds it against the models of this
//! machine; `snowgate run` and `snowgate check` both go this way and no other, so that what one accepts the other does.
//!
//! An error refuses the whole configuration, but for those that a single camera or sensor can bear alone: an unreadable
//! secret or a missing model refuses that camera ([`CameraConfig::refused`]) or sensor ([`SensorConfig::refused`]) and
//! leaves the others running.

mod broker;
mod camera;
pub mod changes;
mod checks;
mod clips;
pub mod directory_watch;
pub mod edit;
mod files;
mod gateway;
mod joined;
pub mod last_good;
mod legal;
mod mend;
pub mod preflight;
mod problem;
mod redact;
mod resolved;
pub mod rule_table;
pub mod schema;
pub mod secret_file;
mod sensor;
mod sensor_network;
pub mod spec;
mod stream;
mod suggest;
mod toml_errors;

use std::{path::Path, sync::Arc};

use jiff::tz::TimeZone;
use snowgate_core::{
    calendar::Calendar,
    incidents::spec::CategoriesSpec,
    schedule::{Schedules, spec::SchedulesSpec},
    spec::all_defaults,
};

use self::{
    checks::{Checker, References},
    files::Files,
    spec::{CameraFile, GatewayFile},
};
pub use self::{
    preflight::{KnownModels, preflight},
    problem::{Place, Problem, ProblemReport, Problems, Severity, Source},
    resolved::{
        CameraConfig, Config, Gateway, JoinedConfig, ModelsConfig, PlaceConfig, ReportTarget, RuleConfig, SensorConfig,
        SensorNetwork, SensorRuleConfig,
    },
};

impl Config {
    /// Reads the configuration in `directory`.
    ///
    /// # Errors
    /// Everything that is wrong with it, warnings included.
    pub fn load(directory: &Path) -> Result<Self, Problems> {
        Self::load_from(directory, directory)
    }

    /// Reads the configuration in `directory`; the relative paths in it are relative to `base`. So a copy that lies
    /// elsewhere still means the files beside the original.
    ///
    /// # Errors
    /// Everything that is wrong with it, warnings included.
    pub fn load_from(directory: &Path, base: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let files = Files::read(directory, &mut problems);
        let config = resolve(files, base, &mut problems);
        problems.sort();
        match config {
            Some(config) if !problems.is_fatal() => Ok(Self { problems, ..config }),
            _ => Err(problems),
        }
    }
}

/// Checks every file against the others. A file that could not be read spoils no check that can do without it.
fn resolve(files: Files, base: &Path, problems: &mut Problems) -> Option<Config> {
    let mut gateway = files.gateway.as_ref().and_then(|source| {
        let file: GatewayFile = toml_errors::read(source, problems)?;
        let mut check = Checker::new(source, base);
        let resolved = gateway::resolve(file, &mut check);
        problems.extend(check.problems);
        Some(resolved)
    });
    let zone = gateway.as_ref().and_then(|gateway| gateway.gateway.as_ref().map(|gateway| gateway.time_zone.clone()));
    let zone = zone.unwrap_or(TimeZone::UTC);
    let calendar = match &files.calendar {
        None => Calendar::new(&all_defaults(), zone).ok(),
        Some(source) => toml_errors::read(source, problems).and_then(|file| {
            let mut check = Checker::new(source, base);
            let resolved = gateway::calendar(&file, zone, &mut check);
            problems.extend(check.problems);
            resolved
        }),
    };
    let calendar = calendar.map(Arc::new);
    let schedules = match (&files.schedules, &calendar) {
        (None, _) => Some(Schedules::default()),
        (Some(source), calendar) => toml_errors::read(source, problems).and_then(|file: SchedulesSpec| {
            let mut check = Checker::new(source, base);
            let place = gateway.as_ref().and_then(|gateway| gateway.gateway.as_ref()?.place.as_ref());
            let resolved = gateway::schedules(&file, calendar.as_ref()?, place, &mut check);
            problems.extend(check.problems);
            resolved
        }),
    };
    let categories = files.categories.as_ref().and_then(|source| {
        let file: CategoriesSpec = toml_errors::read(source, problems)?;
        let mut check = Checker::new(source, base);
        let resolved = gateway::categories(file, calendar.as_deref(), &mut check);
        problems.extend(check.problems);
        Some(resolved)
    });
    if let (Some(categories), Some(calendar)) = (&categories, &calendar) {
        problems.extend(gateway::calendar_in_time(
            categories,
            calendar,
            files.calendar.as_ref().or(files.categories.as_ref()),
        ));
    }
    if let (Some(categories), Some(gateway)) = (&categories, &gateway) {
        let clips = &gateway.evidence.clips;
        problems.extend(clips::without_recipients(categories, clips, files.categories.as_ref()));
    }
    let references = References {
        grid: gateway.as_ref().and_then(|gateway| gateway.grid.as_ref()),
        categories: categories.as_ref(),
        calendar: calendar.as_deref(),
        schedules: schedules.as_ref(),
        households: false,
    };
    let fatal = problems.count_fatal();
    let mut ids = Vec::new();
    let mut cameras = Vec::new();
    for source in &files.cameras {
        let errors = problems.count(Severity::Error);
        let Some(file) = toml_errors::read::<CameraFile>(source, problems) else { continue };
        // Of a file that was read only in part, it is not known what it leaves out.
        let whole = problems.count(Severity::Error) == errors;
        ids.push((source, file.id.clone()));
        let mut check = Checker::new(source, base);
        let models = gateway.as_ref().map(|gateway| &gateway.models);
        let resolved = camera::resolve(file, models, references, &mut check);
        if let (Some(camera), Some(categories), Some(gateway)) = (&resolved, &categories, &gateway) {
            check.problems.extend(clips::ring_is_short(camera, categories, &gateway.evidence.clips, source));
        }
        cameras.extend(resolved);
        problems.extend(check.problems.into_iter().filter(|problem| whole || problem.severity == Severity::Error));
    }
    unique("camera", &ids, problems);
    let known = gateway.as_ref().map(|gateway| &gateway.sensors.known);
    let references = References { households: true, ..references };
    let mut sensors = sensor::resolve_all(&files.sensors, base, known, references, &ids, problems);
    let whole = problems.count_fatal() == fatal && gateway.is_some() && categories.is_some() && calendar.is_some();
    let rules = joined::Known::new(&cameras, &sensors, whole);
    let joined = joined::resolve_all(&files.rules, base, &rules, references, problems);
    for (broker, problem) in gateway.iter_mut().flat_map(|gateway| std::mem::take(&mut gateway.sensors.unavailable)) {
        problems.push(sensor::refuse_those_of(&broker, problem, &mut sensors));
    }
    if let Some(source) = &files.gateway
        && files.cameras.is_empty()
        && files.sensors.is_empty()
    {
        let message = "there are no cameras and no sensors: cameras.d/ and sensors.d/ hold no .toml file";
        problems.push(Problem::warning(Place::file(source), message));
    }
    let (gateway, categories) = (gateway?, categories?);
    Some(Config {
        gateway: gateway.gateway?,
        grid: gateway.grid?,
        categories,
        calendar: calendar?,
        schedules: schedules?,
        broker: gateway.broker?,
        max_packet: gateway.max_packet,
        data: gateway.data,
        storage: gateway.storage,
        models: gateway.models,
        decoders: gateway.decoders,
        workers: gateway.workers,
        evidence: gateway.evidence,
        signing_key: gateway.signing_key,
        verify: gateway.verify,
        admin: gateway.admin?,
        cameras,
        sensors,
        joined,
        sensor_network: gateway.sensors.network,
        problems: Problems::default(),
        files,
    })
}

/// A camera's id must be its own among cameras, a sensor's among sensors: both places are told.
fn unique(what: &str, ids: &[(&Arc<Source>, LocatedId)], problems: &mut Problems) {
    let mut first_uses = std::collections::BTreeMap::new();
    for (source, id) in ids {
        let place = Place::span(source, id.span);
        match first_uses.get(&id.value) {
            None => drop(first_uses.insert(&id.value, place)),
            Some(first) => {
                let message = format!("{what} id `{}` is used twice", id.value);
                problems.push(Problem::error(place, message).related(Place::clone(first), "first used here"));
            }
        }
    }
}

type LocatedId = snowgate_core::spec::Located<snowgate_core::ids::Id>;
