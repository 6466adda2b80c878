//! A sensor's recording, heard as the sensor would be: units, quality, anomaly, rules and incidents are those that run live.
//!
//! A reading arrives when its row says, or with the latest row before it where times go back, and the time passes in between:
//! silence is noticed. The same recording and configuration give the same bytes every time.

mod incident;
mod player;
pub(super) mod plot;
mod recording;
mod summary;
mod trace;

use std::{collections::HashMap, path::Path, sync::Arc};

use jiff::tz::TimeZone;
use snowgate_core::{
    ids::{CountedIds, Id},
    incidents::Book,
    sensor::{
        anomaly::outside::{Models, NoModels},
        rules::spec::SensorRuleSpec,
        spec::QuantitySpec,
        watch::{SensorWatch, WatchError},
    },
    spec::{Maybe, Number},
    time::{Clock as _, ManualClock, Mono},
};

use self::{incident::SensorIncident, player::Player, recording::Recording, summary::Summary, trace::Trace};
use super::{ReplayError, data};
use crate::{
    config::{Config, Problems, SensorConfig},
    run::{models::preflight, sensors},
    sensor::model::SensorModels,
};

/// The most bad lines that are named; further ones are only counted.
const MOST_NAMED: u64 = 20;

/// What came of a recording.
pub(super) struct Replayed {
    /// The sensor.
    pub sensor: Id,
    /// Its quantities, as they were heard.
    pub quantities: Vec<QuantitySpec>,
    /// Its rules.
    pub rules: Vec<SensorRuleSpec>,
    /// The zone of times that people read.
    pub zone: TimeZone,
    /// In the order in which they were opened.
    pub incidents: Vec<SensorIncident>,
    /// Readings and rules in figures.
    pub summary: Summary,
    /// For each quantity: its course.
    pub traces: Vec<Trace>,
    /// Lines that were no rows.
    pub bad_lines: u64,
}

/// Hears a whole recording. With `reported` its values are already in the unit in which they are reported.
pub(super) fn replay(directory: &Path, id: &Id, file: &Path, reported: bool) -> Result<Replayed, ReplayError> {
    let (config, models) = load(directory, id).map_err(|problems| ReplayError::Config(problems.render(false)))?;
    let missing = || ReplayError::Missing { what: "sensor", id: id.clone(), directory: directory.to_owned() };
    let sensor = config.sensor(id).ok_or_else(missing)?;
    let models: &dyn Models = match &models {
        Some(models) => models,
        None => &NoModels,
    };
    let mut quantities: Vec<_> = sensor.source.quantities().into_iter().cloned().collect();
    if reported {
        quantities.iter_mut().for_each(as_reported);
    }
    let mut recording = Recording::open(file, &quantities).map_err(data)?;
    say_columns(&recording, file, &quantities);
    let mut player = None;
    let mut bad_lines = 0;
    while let Some(row) = recording.next_row().map_err(data)? {
        let row = match row {
            Ok(row) => row,
            Err(bad) => {
                bad_lines += 1;
                if bad_lines <= MOST_NAMED {
                    eprintln!("{}, {bad}", file.display());
                }
                continue;
            }
        };
        let player = match &mut player {
            Some(player) => player,
            none => none.insert(start(&config, sensor, &quantities, models, row.at)?),
        };
        player.hear(&row)?;
    }
    if bad_lines > MOST_NAMED {
        eprintln!("{}: {} more line(s) like these", file.display(), bad_lines - MOST_NAMED);
    }
    let player = player.ok_or_else(|| ReplayError::Data(format!("{}: there is no reading in it", file.display())))?;
    let rules: Vec<_> = sensor.rules.iter().map(|rule| rule.spec.clone()).collect();
    let zone = config.gateway.time_zone.clone();
    let played = player.finish(&zone, &rules);
    Ok(Replayed {
        sensor: id.clone(),
        quantities,
        rules,
        zone,
        incidents: played.incidents,
        summary: played.summary,
        traces: played.traces,
        bad_lines,
    })
}

/// The configuration; and the models of this machine, if the sensor's readings are scored by one of them.
fn load(directory: &Path, id: &Id) -> Result<(Config, Option<SensorModels>), Problems> {
    let config = Config::load(directory)?;
    if config.sensor(id).is_none_or(|sensor| sensor.models().next().is_none()) {
        return Ok((config, None));
    }
    let (config, models, _) = preflight(config)?;
    Ok((config, Some(models.into_sensors())))
}

/// A player whose clock stands at the first row.
fn start(
    config: &Config,
    sensor: &SensorConfig,
    quantities: &[QuantitySpec],
    models: &dyn Models,
    first: jiff::Timestamp,
) -> Result<Player, ReplayError> {
    let zone = config.gateway.time_zone.clone();
    let rules = sensor.rules.iter().map(|rule| &rule.spec);
    let watch = SensorWatch::new(sensor.id.clone(), zone, quantities, rules, &config.schedules, models, Mono(0))
        .map_err(|error| refused(sensor, &error))?;
    let sources = sensor.rules.iter().filter_map(|rule| sensors::source(config, sensor, rule));
    let sources: HashMap<_, _> = sources.map(|source| (source.rule.clone(), source)).collect();
    let clock = ManualClock::new("replay", first);
    let book = Book::new(
        config.gateway.locale,
        clock.boot_id().clone(),
        config.digest(),
        Arc::clone(&config.calendar),
        CountedIds::default(),
    );
    Ok(Player::new(watch, quantities, sources, book, clock))
}

fn refused(sensor: &SensorConfig, error: &WatchError) -> ReplayError {
    // Checking the configuration has found out what is wrong with the model.
    let reason = sensor.refused.clone().unwrap_or_else(|| error.to_string());
    ReplayError::Refused { what: "sensor", id: sensor.id.clone(), reason }
}

/// The same quantity where its values have been converted already.
fn as_reported(quantity: &mut QuantitySpec) {
    (quantity.scale, quantity.offset) = (Number(1.0), Number(0.0));
    if let Some(reported) = std::mem::replace(&mut quantity.report_in, Maybe::NONE).0 {
        quantity.unit = reported.value;
    }
}

fn say_columns<R: std::io::Read>(recording: &Recording<R>, file: &Path, quantities: &[QuantitySpec]) {
    let missing: Vec<_> = recording.missing().filter_map(|number| quantities.get(number)).collect();
    let missing: Vec<_> = missing.iter().map(|quantity| quantity.id.value.as_str()).collect();
    for (what, names) in [("no column for", missing.join(", ")), ("not used:", recording.unused().join(", "))] {
        if !names.is_empty() {
            eprintln!("{}: {what} {names}", file.display());
        }
    }
}
