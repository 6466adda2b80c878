//! Checks of one sensor's file: how it is reached, what it measures, its rules and where they report.

mod rules;
mod source;

use snowgate_core::{
    secret::Secret,
    spec::{Located, TimeSpan},
};
use snowgate_sensors::spec::SourceSpec;

use super::{
    camera::place,
    checks::{Checker, References},
    gateway::secret_help,
    problem::Problem,
    resolved::SensorConfig,
    sensor_network::KnownNetwork,
    spec::SensorFile,
};

/// A sensor with its references followed and its secret read; what is wrong is left with `check`.
pub(super) fn resolve(
    file: SensorFile,
    network: Option<&KnownNetwork>,
    references: References<'_>,
    check: &mut Checker<'_>,
) -> SensorConfig {
    check.within("/silent_after", file.silent_after, TimeSpan::secs(1)..=TimeSpan::secs(30 * 86_400));
    check.report(&file.report, references);
    source::check(&file, network, check);
    let rules = rules::resolve(&file, references, check);
    let mut refused = None;
    let secret = secret(&file, &mut refused, check);
    let place = file.place.0.map(|spec| place(spec, check));
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
    match check.secret(reference) {
        Ok(secret) => Some(secret),
        Err(message) => {
            let place = check.place(reference.span);
            let problem = Problem::error(place, message.clone()).help(secret_help());
            check.problems.push(problem.refusing_sensors([file.id.value.clone()]));
            *refused = Some(message);
            None
        }
    }
}
