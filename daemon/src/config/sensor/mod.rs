//! Checks of one sensor's file: how it is reached, what it measures, its rules and where they report.

mod quantity;
mod rules;
mod source;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use snowgate_core::{ids::Id, secret::Secret, spec::Located};
use snowgate_sensors::spec::{Sl651Source, SourceSpec};

use self::source::Claim;
use super::{
    LocatedId,
    checks::{self, Checker, References},
    gateway::secret_help,
    problem::{Place, Problem, Problems, Severity, Source},
    resolved::SensorConfig,
    sensor_network::KnownNetwork,
    spec::SensorFile,
    toml_errors::{self, place_of},
    unique,
};

/// Every sensor of the files, checked against the other files and against each other.
pub(super) fn resolve_all(
    sources: &[Arc<Source>],
    base: &Path,
    network: Option<&KnownNetwork>,
    references: References<'_>,
    cameras: &[(&Arc<Source>, LocatedId)],
    problems: &mut Problems,
) -> Vec<SensorConfig> {
    let mut ids = Vec::new();
    let mut claimed = BTreeMap::new();
    let mut sensors = Vec::new();
    for source in sources {
        let errors = problems.count(Severity::Error);
        let Some(file) = toml_errors::read::<SensorFile>(source, problems) else { continue };
        // Of a file that was read only in part, it is not known what it leaves out.
        let whole = problems.count(Severity::Error) == errors;
        ids.push((source, file.id.clone()));
        let mut check = Checker::new(source, base);
        if let Some((of, camera)) = cameras.iter().find(|(_, camera)| camera.value == file.id.value) {
            // Both report incidents by their name.
            let message = format!("`{}` is a camera's id already", *file.id);
            let problem = Problem::error(check.place(file.id.span), message);
            check.problems.push(problem.related(Place::span(of, camera.span), "the camera"));
        }
        let sensor = resolve(file, network, references, &mut check);
        claim(&sensor, &mut claimed, &mut check);
        problems.extend(check.problems.into_iter().filter(|problem| whole || problem.severity == Severity::Error));
        sensors.push(sensor);
    }
    unique("sensor", &ids, problems);
    sensors
}

/// Refuses the sensors of a broker that cannot be connected to, and says why. A broker that none of them needs keeps
/// nothing from running.
pub(super) fn refuse_those_of(broker: &Id, mut problem: Problem, sensors: &mut [SensorConfig]) -> Problem {
    let needs = |sensor: &&mut SensorConfig| match &sensor.source {
        SourceSpec::Mqtt(source) => sensor.enabled && source.broker.as_ref().is_some_and(|named| **named == *broker),
        _ => false,
    };
    for sensor in sensors.iter_mut().filter(needs) {
        sensor.refused.get_or_insert_with(|| problem.message.clone());
        problem.sensors.push(sensor.id.clone());
    }
    if problem.sensors.is_empty() {
        problem.severity = Severity::Warning;
    }
    problem
}

/// Two quantities that are read at one place are more likely copied than meant.
fn claim(sensor: &SensorConfig, claimed: &mut BTreeMap<String, (Id, Place)>, check: &mut Checker<'_>) {
    for Claim { quantity, place: read_at } in source::claims(&sensor.id, &sensor.source) {
        let place = check.place(quantity.span);
        match claimed.get(&read_at) {
            None => drop(claimed.insert(read_at, (sensor.id.clone(), place))),
            Some((other, first)) => {
                let message = format!("`{}` is read where a quantity of sensor `{other}` is read already", *quantity);
                check.problems.push(Problem::warning(place, message).related(first.clone(), "read here first"));
            }
        }
    }
}

/// A sensor with its references followed and its secret read; what is wrong is left with `check`.
fn resolve(
    file: SensorFile,
    network: Option<&KnownNetwork>,
    references: References<'_>,
    check: &mut Checker<'_>,
) -> SensorConfig {
    let place = place_of(check.source, "/silent_after");
    rules::silence("silent_after", file.silent_after, rules::poll_every(&file), place, check);
    check.report(&file.report, references);
    source::check(&file, network, check);
    let rules = rules::resolve(&file, references, check);
    let mut refused = None;
    let secret = secret(&file, &mut refused, check);
    let place = file.place.0.map(|spec| checks::place(spec, "/place", check));
    SensorConfig {
        name: file.name.0.unwrap_or_else(|| file.id.to_string()),
        id: file.id.value,
        enabled: file.enabled,
        refused,
        place,
        silent_after: file.silent_after.0,
        source: file.source.source,
        secret,
        rules,
        file: Arc::clone(check.source),
    }
}

/// The file with what the sensor's messages must prove to know.
fn secret_file(source: &SourceSpec) -> Option<&Located<String>> {
    match source {
        SourceSpec::Http(source) => Some(&source.token_file),
        SourceSpec::Hj212(source) => source.password_file.as_ref(),
        SourceSpec::Sl651(source) => source.password_file.as_ref(),
        SourceSpec::Mqtt(_) | SourceSpec::Modbus(_) | SourceSpec::Gbt26875(_) => None,
    }
}

/// A secret that cannot be had refuses this sensor only. One that is switched off needs none yet.
fn secret(file: &SensorFile, refused: &mut Option<String>, check: &mut Checker<'_>) -> Option<Secret> {
    let reference = secret_file(&file.source.source).filter(|_| file.enabled)?;
    let read = check.secret(reference);
    let mut refuse = |message: String, help: Option<String>| {
        let problem = Problem::error(check.place(reference.span), message.clone()).help(help);
        check.problems.push(problem.refusing_sensors([file.id.value.clone()]));
        *refused = Some(message);
    };
    let usable = read.map_err(|message| (message, secret_help())).and_then(|secret| {
        // SL 651 sends two bytes.
        let checked = match &file.source.source {
            SourceSpec::Sl651(_) => Sl651Source::password(&secret).map(drop),
            _ => Ok(()),
        };
        checked.map(|()| secret).map_err(|message| (message, None))
    });
    usable.map_err(|(message, help)| refuse(message, help)).ok()
}
