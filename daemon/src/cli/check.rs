//! `snowgate check`: says whether `run` would take a configuration, what is wrong with it, what each camera's rule may miss,
//! and what each sensor measures.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use snowgate_core::{
    joined::{Device, Listened},
    sensor::spec::QuantitySpec,
};

use super::{Format, exit::Exit, print_json};
use crate::{
    config::{Config, JoinedConfig, ProblemReport, Problems, Severity},
    run::models::preflight,
};

/// The key frame interval that most cameras come with.
const USUAL_KEY_INTERVAL: Duration = Duration::from_secs(2);

/// Arguments of `snowgate check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

impl Check {
    /// Checks and prints; [`Exit::BadConfig`] where there are errors.
    pub fn run(self) -> Exit {
        let mut checked = Config::load(&self.config).and_then(preflight);
        if let Ok((config, ..)) = &mut checked {
            let warnings = config.legal_warnings();
            config.problems.extend(warnings);
        }
        let (problems, found) = match &checked {
            Ok((config, ..)) => (&config.problems, Some(Found::of(config))),
            Err(problems) => (problems, None),
        };
        // Errors that refuse one camera or sensor only are errors here too: the operator wants it.
        let valid = !problems.has_errors();
        let printed = match self.format {
            Format::Human => self.print_for_people(problems, found.as_ref()),
            Format::Json => print_for_machines(valid, problems, found.as_ref()),
        };
        match (printed, valid) {
            (Err(_), _) => Exit::Io,
            (Ok(()), true) => Exit::Ok,
            (Ok(()), false) => Exit::BadConfig,
        }
    }

    fn print_for_people(&self, problems: &Problems, found: Option<&Found<'_>>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(problems.render(out.is_terminal()).as_bytes())?;
        let (errors, warnings) = (problems.count(Severity::Error), problems.count(Severity::Warning));
        let problems = format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"));
        let directory = self.config.display();
        let Some(found) = found else { return writeln!(out, "{directory}: not valid; {problems}") };
        let Counted { cameras, sensors, rules, joined_rules, refused } = found.counted;
        let mut sources = vec![plural(cameras, "camera")];
        if sensors > 0 {
            sources.push(plural(sensors, "sensor"));
        }
        let mut all_rules = vec![plural(rules, "rule")];
        if joined_rules > 0 {
            all_rules.push(plural(joined_rules, "joined rule"));
        }
        match refused {
            0 => writeln!(out, "{directory}: valid: {}, {}; {problems}", sources.join(", "), all_rules.join(", ")),
            _ => writeln!(out, "{directory}: not valid: {refused} of {} refused; {problems}", sources.join(" and ")),
        }?;
        print_blind_times(&mut out, &found.blind_times)?;
        print_sensors(&mut out, &found.sensors)?;
        print_joined(&mut out, &found.joined)
    }
}

fn print_for_machines(valid: bool, problems: &Problems, found: Option<&Found<'_>>) -> io::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        valid: bool,
        errors: usize,
        warnings: usize,
        #[serde(flatten)]
        counted: Option<Counted>,
        problems: Vec<ProblemReport<'a>>,
        blind_times: &'a [BlindTime<'a>],
        measured: &'a [Measured<'a>],
        joined: &'a [Joins<'a>],
    }
    let report = Report {
        valid,
        errors: problems.count(Severity::Error),
        warnings: problems.count(Severity::Warning),
        counted: found.map(|found| found.counted),
        problems: problems.report(),
        blind_times: found.map_or(&[], |found| &found.blind_times),
        measured: found.map_or(&[], |found| &found.sensors),
        joined: found.map_or(&[], |found| &found.joined),
    };
    print_json(&report)
}

/// What there is to say of a configuration that can be loaded.
struct Found<'a> {
    counted: Counted,
    blind_times: Vec<BlindTime<'a>>,
    sensors: Vec<Measured<'a>>,
    joined: Vec<Joins<'a>>,
}

impl<'a> Found<'a> {
    fn of(config: &'a Config) -> Self {
        Self {
            counted: Counted::of(config),
            blind_times: blind_times(config),
            sensors: measured(config),
            joined: joins(config),
        }
    }
}

/// What a rule may miss under its camera's gate.
#[derive(Debug, Serialize)]
struct BlindTime<'a> {
    camera: &'a str,
    rule: &'a str,
    gate: &'static str,
    /// What is shorter may be missed, whatever key frames the camera sends.
    worst_seconds: f64,
    /// The same with key frames every two seconds.
    usual_seconds: f64,
    /// The rule asks for so much that nothing it would report is missed.
    nothing_missed: bool,
}

fn blind_times(config: &Config) -> Vec<BlindTime<'_>> {
    let enabled = config.cameras.iter().filter(|camera| camera.enabled);
    let rules = enabled.flat_map(|camera| {
        let detect = &camera.detect;
        let (worst, usual) = (detect.blind_time(detect.max_key_interval.0), detect.blind_time(USUAL_KEY_INTERVAL));
        // What is wrong with a camera lasts.
        let of_things = camera.rules.iter().filter(|rule| !rule.spec.kind.is_of_scene());
        of_things.map(move |rule| BlindTime {
            camera: camera.id.as_str(),
            rule: rule.spec.id.as_str(),
            gate: camera.detect.gate.as_str(),
            worst_seconds: worst.as_secs_f64(),
            usual_seconds: usual.min(worst).as_secs_f64(),
            nothing_missed: rule.spec.hold().0 >= worst,
        })
    });
    rules.collect()
}

fn print_blind_times(out: &mut impl io::Write, blind: &[BlindTime<'_>]) -> io::Result<()> {
    if blind.is_empty() {
        return Ok(());
    }
    let width = |of: fn(&BlindTime<'_>) -> usize| blind.iter().map(of).max().unwrap_or(0);
    let (camera, rule) = (width(|row| row.camera.len()), width(|row| row.rule.len()));
    writeln!(
        out,
        "worst blind times (what begins and ends within may be missed; in brackets: with key frames every 2 s)"
    )?;
    for row in blind {
        let BlindTime { worst_seconds, usual_seconds, gate, .. } = row;
        write!(
            out,
            "  {:camera$}  {:rule$}  {gate:8}  {worst_seconds:.1} s ({usual_seconds:.1} s)",
            row.camera, row.rule
        )?;
        writeln!(
            out,
            "{}",
            if row.nothing_missed { ", shorter than what the rule asks for: none missed" } else { "" }
        )?;
    }
    Ok(())
}

/// What a sensor measures.
#[derive(Debug, Serialize)]
struct Measured<'a> {
    sensor: &'a str,
    protocol: &'static str,
    enabled: bool,
    quantities: Vec<Quantity<'a>>,
    rules: Vec<&'a str>,
}

/// A quantity in the unit in which it is reported, and in which all limits are written.
#[derive(Debug, Serialize)]
struct Quantity<'a> {
    id: &'a str,
    unit: &'a str,
}

impl<'a> From<&'a QuantitySpec> for Quantity<'a> {
    fn from(quantity: &'a QuantitySpec) -> Self {
        Self { id: quantity.id.as_str(), unit: quantity.reported_unit().code() }
    }
}

fn measured(config: &Config) -> Vec<Measured<'_>> {
    let measured = config.sensors.iter().map(|sensor| Measured {
        sensor: sensor.id.as_str(),
        protocol: sensor.source.tag(),
        enabled: sensor.enabled,
        quantities: sensor.source.quantities().into_iter().map(Quantity::from).collect(),
        rules: sensor.rules.iter().map(|rule| rule.spec.id.as_str()).collect(),
    });
    measured.collect()
}

fn print_sensors(out: &mut impl io::Write, sensors: &[Measured<'_>]) -> io::Result<()> {
    if sensors.is_empty() {
        return Ok(());
    }
    let width = sensors.iter().map(|row| row.sensor.len()).max().unwrap_or(0);
    writeln!(out, "sensors: what each measures, in the unit of its limits, and its rules")?;
    for Measured { sensor, protocol, enabled, quantities, rules } in sensors {
        let quantities: Vec<String> = quantities.iter().map(|it| format!("{} ({})", it.id, it.unit)).collect();
        let rules = if rules.is_empty() { "no rules".to_owned() } else { rules.join(", ") };
        let off = if *enabled { "" } else { "; switched off" };
        writeln!(out, "  {sensor:width$}  {protocol:8}  {}: {rules}{off}", quantities.join(", "))?;
    }
    Ok(())
}

/// What a joined rule listens to.
#[derive(Debug, Serialize)]
struct Joins<'a> {
    rule: &'a str,
    when: &'static str,
    /// Of every input, each rule as `camera or sensor/rule`.
    inputs: Vec<Vec<String>>,
}

fn joins(config: &Config) -> Vec<Joins<'_>> {
    let name = |listened: &Listened| match &listened.to.device {
        Device::Camera(id) | Device::Sensor(id) => format!("{id}/{}", listened.to.rule),
    };
    let joins = config.joined.iter().map(|JoinedConfig { wiring, .. }| Joins {
        rule: wiring.spec.id.as_str(),
        when: wiring.spec.when.tag(),
        inputs: wiring.inputs.iter().map(|rules| rules.iter().map(name).collect()).collect(),
    });
    joins.collect()
}

fn print_joined(out: &mut impl io::Write, joined: &[Joins<'_>]) -> io::Result<()> {
    if joined.is_empty() {
        return Ok(());
    }
    let width = joined.iter().map(|row| row.rule.len()).max().unwrap_or(0);
    writeln!(out, "joined rules: which rules each input listens to")?;
    for Joins { rule, when, inputs } in joined {
        let inputs: Vec<String> = inputs.iter().map(|rules| rules.join(" or ")).collect();
        writeln!(out, "  {rule:width$}  {when:8}  {}", inputs.join("; "))?;
    }
    Ok(())
}

/// What a configuration that can be loaded amounts to.
#[derive(Debug, Clone, Copy, Serialize)]
struct Counted {
    cameras: usize,
    sensors: usize,
    /// Of cameras and sensors.
    rules: usize,
    joined_rules: usize,
    refused: usize,
}

impl Counted {
    fn of(config: &Config) -> Self {
        let (cameras, sensors) = (&config.cameras, &config.sensors);
        Self {
            cameras: cameras.len(),
            sensors: sensors.len(),
            rules: cameras.iter().map(|it| it.rules.len()).chain(sensors.iter().map(|it| it.rules.len())).sum(),
            joined_rules: config.joined.len(),
            refused: cameras.iter().filter(|camera| camera.refused.is_some()).count()
                + sensors.iter().filter(|sensor| sensor.refused.is_some()).count(),
        }
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_sensor_is_told_of_with_its_units_and_rules() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/example");
        let config = Config::load(&example).unwrap();
        let (counted, measured) = (Counted::of(&config), measured(&config));
        assert_eq!(
            (counted.cameras, counted.sensors, counted.refused),
            (config.cameras.len(), config.sensors.len(), 0)
        );
        let of_sensors: usize = config.sensors.iter().map(|sensor| sensor.rules.len()).sum();
        let of_cameras: usize = config.cameras.iter().map(|camera| camera.rules.len()).sum();
        assert_eq!(counted.rules, of_cameras + of_sensors);
        let mut printed = Vec::new();
        print_sensors(&mut printed, &measured).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        for line in [
            "  bridge-water-level  mqtt      water_level (m), battery (%): over-warning-level, rising-fast, not-heard, \
             unusual-level, battery-low\n",
            "  home-sos            http      button (1), battery (%): help, base-station-silent; switched off\n",
        ] {
            assert!(printed.contains(line), "{line} is not in\n{printed}");
        }
        assert_eq!(printed.lines().count(), 1 + config.sensors.len());
        let json = serde_json::to_value(&measured[0]).unwrap();
        assert_eq!(json["quantities"][0]["unit"], "m");
    }
    #[test]
    fn every_joined_rule_is_told_of_with_what_it_listens_to() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/example");
        let config = Config::load(&example).unwrap();
        let joins = joins(&config);
        assert_eq!(Counted::of(&config).joined_rules, joins.len());
        let mut printed = Vec::new();
        print_joined(&mut printed, &joins).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let line = "  flash-flood          sequence  hill-rain/downpour; bridge-water-level/rising-fast\n";
        assert!(printed.contains(line), "{line} is not in\n{printed}");
        assert_eq!(printed.lines().count(), 1 + joins.len());
        let json = serde_json::to_value(&joins).unwrap();
        assert_eq!(json[1]["inputs"][0][0], "hill-rain/downpour");
    }
}
