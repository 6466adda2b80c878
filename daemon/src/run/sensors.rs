//! From what is configured to what is listened to: the sensors and their rules, and how they follow the configuration.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use snowgate_core::{
    ids::Id,
    incidents::{SensorSource, Source},
    sensor::{
        anomaly::outside::Models,
        watch::{SensorWatch, WatchError},
    },
    time::{Clock, Mono},
};
use snowgate_sensors::intake::Told;
use tokio::sync::mpsc;

use super::{RunError, cameras};
use crate::{
    config::{Config, SensorConfig, SensorRuleConfig},
    current::Current,
    reporting::{Alarmed, Item, Items},
    sensor::{
        asked::AskedSensor,
        judge::{self, Change, JudgeConfig, Judged, Sensor},
        state::StateSink,
    },
    shutdown::Shutdown,
    verify::Watchable,
};

/// A sensor's path from samples to alarms; it has heard nothing, and silence counts from `now` on.
///
/// # Errors
/// A quantity cannot be reported in the unit wanted, or a model or a schedule is missing; a checked configuration has no such quantity
/// in a sensor that is listened to.
pub fn watch(
    config: &Config,
    sensor: &SensorConfig,
    models: &dyn Models,
    now: Mono,
) -> Result<SensorWatch, WatchError> {
    let zone = config.gateway.time_zone.clone();
    let quantities: Vec<_> = sensor.source.quantities().into_iter().cloned().collect();
    let rules = sensor.rules.iter().map(|rule| &rule.spec);
    SensorWatch::new(sensor.id.clone(), zone, &quantities, rules, &config.schedules, models, now)
}

/// Everything that the incidents of a sensor's rule carry.
pub fn source(config: &Config, sensor: &SensorConfig, rule: &SensorRuleConfig) -> Option<Source<SensorSource>> {
    let quantities = sensor.source.quantities();
    let quantity = quantities.into_iter().find(|quantity| quantity.id == rule.spec.quantity)?;
    Some(Source {
        of: SensorSource {
            sensor: sensor.id.clone(),
            sensor_name: sensor.name.clone(),
            quantity: quantity.id.value.clone(),
            quantity_name: quantity.name.0.clone().unwrap_or_else(|| quantity.id.to_string()),
            unit: quantity.reported_unit().clone(),
        },
        place: cameras::place(sensor.place.as_ref()),
        rule: rule.spec.id.value.clone(),
        rule_kind: rule.spec.kind.tag().to_owned(),
        target: cameras::target(config, &rule.report, rule.report.severity)?,
        target_during: cameras::target_during(config, &rule.report),
        // A checked configuration has no rule that cannot merge and wants to.
        merge: rule.spec.merge().ok().flatten(),
        quiet_after: rule.spec.quiet_after.map_or(Duration::ZERO, |quiet| quiet.0),
        priority: rule.spec.priority,
    })
}

type Sources = HashMap<(Id, Id), Arc<Source<SensorSource>>>;

/// The sensors that are listened to.
pub struct Sensors {
    changes: mpsc::Sender<Vec<Change>>,
    /// What the incidents of each rule carry; of rules that have just gone as well, whose last word may be on its way.
    sources: Current<Sources>,
    known: BTreeMap<Id, AskedSensor>,
    clock: Arc<dyn Clock>,
}

impl Sensors {
    /// Starts the thread that judges what sensors say; there are none yet.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(
        config: &Config,
        told: mpsc::Receiver<Told>,
        items: Items,
        states: StateSink,
        clock: &Arc<dyn Clock>,
        shutdown: &Shutdown,
    ) -> Result<(Self, JoinHandle<()>), RunError> {
        let with = JudgeConfig {
            most_a_second: config.sensor_network.most_a_second,
            publish_every: config.sensor_network.publish_every,
            time_zone: config.gateway.time_zone.clone(),
            states,
            clock: Arc::clone(clock),
            shutdown: shutdown.clone(),
        };
        let (changes, changed) = mpsc::channel(1);
        let sources = Current::new(Sources::new());
        let report = {
            let sources = sources.clone();
            move |judged| report(judged, &sources, &items)
        };
        let thread = judge::spawn(with, told, changed, report)?;
        let clock = Arc::clone(clock);
        Ok((Self { changes, sources, known: BTreeMap::new(), clock }, thread))
    }

    /// From now on the sensors of `after` are listened to; until now those of `before` were. Either all of it is done or, if a
    /// sensor cannot be watched, none.
    ///
    /// # Errors
    /// A sensor cannot be watched as it is described, as none of a checked configuration.
    pub fn follow(&mut self, before: Option<&Config>, after: &Config, models: &dyn Models) -> Result<(), RunError> {
        let now = self.clock.mono();
        let same_hours = before.filter(|before| before.schedules == after.schedules);
        let was_listened_to = |id: &Id| same_hours?.sensor(id).filter(|sensor| sensor.is_watched());
        let mut changes = Vec::new();
        for sensor in after.sensors.iter().filter(|sensor| sensor.is_watched()) {
            if was_listened_to(&sensor.id).is_some_and(|before| !before.judges_differently(sensor)) {
                continue;
            }
            let watch = watch(after, sensor, models, now)
                .map_err(|source| RunError::Sensor { sensor: sensor.id.clone(), source })?;
            let watchpoint =
                self.known.get(&sensor.id).map_or_else(Arc::default, |known| Arc::clone(&known.watchpoint));
            changes.push(Change::Listen(Box::new(Sensor {
                id: sensor.id.clone(),
                watch,
                silent_after: sensor.silent_after,
                watchpoint,
            })));
        }

        // Nothing can be refused from here on.
        self.known.retain(|id, _| after.sensor(id).is_some_and(SensorConfig::is_watched));
        for change in &changes {
            let Change::Listen(sensor) = change else { continue };
            let rules = after.sensor(&sensor.id).into_iter().flat_map(|sensor| &sensor.rules);
            let rules = rules.map(|rule| rule.spec.id.value.clone()).collect();
            let watchpoint = Arc::clone(&sensor.watchpoint);
            self.known.insert(sensor.id.clone(), AskedSensor { watchpoint, rules, silent_after: sensor.silent_after });
        }
        let was_told_of = before.into_iter().flat_map(|before| &before.sensors).filter(|sensor| sensor.enabled);
        let is_gone = |sensor: &&SensorConfig| !after.sensor(&sensor.id).is_some_and(|sensor| sensor.enabled);
        changes.extend(was_told_of.filter(is_gone).map(|sensor| Change::Forget(sensor.id.clone())));
        let refused = after.sensors.iter().filter(|sensor| sensor.enabled);
        let refused = refused.filter_map(|sensor| Some(Change::Refuse(sensor.id.clone(), sensor.refused.clone()?)));
        changes.extend(refused);
        let of_both = before.into_iter().flat_map(sources).chain(sources(after));
        self.sources.set(of_both.collect());
        if !changes.is_empty() {
            // Only a judge that has stopped does not hear of it.
            let _ = self.changes.blocking_send(changes);
        }
        Ok(())
    }

    /// The sensors as they can be asked to look again, with their names.
    pub fn watchables(&self) -> impl Iterator<Item = (Id, Box<dyn Watchable>)> {
        self.known.iter().map(|(id, known)| (id.clone(), Box::new(known.clone()) as Box<dyn Watchable>))
    }
}

/// What the incidents of every rule carry, by sensor and rule.
fn sources(config: &Config) -> impl Iterator<Item = ((Id, Id), Arc<Source<SensorSource>>)> {
    config.sensors.iter().filter(|sensor| sensor.is_watched()).flat_map(move |sensor| {
        sensor.rules.iter().filter_map(move |rule| {
            let source = Arc::new(source(config, sensor, rule)?);
            Some(((sensor.id.clone(), source.rule.clone()), source))
        })
    })
}

/// Policy `block`: an alarm waits until there is room for it. The queue closes only after the judge has ended.
fn report(judged: Judged, sources: &Current<Sources>, items: &Items) {
    let item = match judged {
        Judged::Alarm { sensor, alarm, readings } => {
            let sources = sources.get();
            let Some(source) = sources.get(&(sensor, alarm.rule.clone())) else { return };
            Item::Alarmed(Box::new(Alarmed { source: Arc::clone(source), alarm, readings }))
        }
        Judged::Telemetry(batches) => {
            Item::Telemetry(batches.into_iter().map(|batch| (batch.sensor, batch.payload)).collect())
        }
    };
    let _ = items.send(item);
}
