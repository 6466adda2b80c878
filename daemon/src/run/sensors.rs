//! From what is configured to what is listened to: the sensors, their rules, their adapters.

use std::{collections::HashMap, sync::Arc, thread::JoinHandle};

use jiff::tz::TimeZone;
use snowgate_core::{
    ids::Id,
    incidents::{SensorSource, Source},
    sensor::{
        anomaly::outside::Models,
        watch::{SensorWatch, WatchError},
    },
    time::{Clock, Mono},
};
use snowgate_sensors::{
    gbt26875, hj212, http,
    intake::{Device, Intake, Told},
    modbus, mqtt, sl651,
    spec::{MqttSource, SourceSpec},
};
use tokio::{runtime::Handle, sync::mpsc};

use super::{RunError, cameras};
use crate::{
    config::{Config, SensorConfig, SensorRuleConfig},
    reporting::{Alarmed, Item, Items},
    sensor::{
        asked::AskedSensor,
        judge::{self, JudgeConfig, Judged, Sensor},
        state::{StateSink, StateTeller},
    },
    shutdown::Shutdown,
    uplink::Broker,
    verify::{Watchable, Watchpoint},
};

/// A sensor's path from samples to alarms; it has heard nothing, and silence counts from `now` on.
///
/// # Errors
/// A quantity cannot be reported in the unit wanted, or a model is missing; a checked configuration has no such quantity
/// in a sensor that is listened to.
pub fn watch(sensor: &SensorConfig, zone: TimeZone, models: &dyn Models, now: Mono) -> Result<SensorWatch, WatchError> {
    let quantities: Vec<_> = sensor.source.quantities().into_iter().cloned().collect();
    let rules = sensor.rules.iter().map(|rule| &rule.spec);
    SensorWatch::new(sensor.id.clone(), zone, &quantities, rules, models, now)
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
    })
}

/// The thread that judges what sensors say, and the sensors as they can be asked to look again, with their names.
type Judging = (JoinHandle<()>, Vec<(Id, Box<dyn Watchable>)>);

/// Starts the thread that judges what sensors say.
///
/// # Errors
/// No thread could be had, or a sensor cannot be watched as it is described.
pub fn spawn_judge(
    config: &Config,
    models: &dyn Models,
    told: mpsc::Receiver<Told>,
    items: Items,
    states: StateSink,
    clock: &Arc<dyn Clock>,
    shutdown: &Shutdown,
) -> Result<Judging, RunError> {
    let zone = &config.gateway.time_zone;
    let now = clock.mono();
    let mut sensors = Vec::new();
    let mut sources = HashMap::new();
    let mut watchables: Vec<(Id, Box<dyn Watchable>)> = Vec::new();
    for sensor in config.sensors.iter().filter(|sensor| sensor.enabled) {
        if let Some(reason) = &sensor.refused {
            StateTeller::new(sensor.id.clone(), states.clone()).refused(reason, &**clock);
            continue;
        }
        let id = sensor.id.clone();
        let watch = watch(sensor, zone.clone(), models, now)
            .map_err(|source| RunError::Sensor { sensor: id.clone(), source })?;
        let (silent_after, watchpoint) = (sensor.silent_after, Arc::<Watchpoint>::default());
        let rules = sensor.rules.iter().map(|rule| rule.spec.id.value.clone()).collect();
        let asked = AskedSensor { watchpoint: Arc::clone(&watchpoint), rules, silent_after };
        watchables.push((id.clone(), Box::new(asked)));
        sensors.push(Sensor { id, watch, silent_after, watchpoint });
        let known = sensor.rules.iter().filter_map(|rule| {
            let source = Arc::new(source(config, sensor, rule)?);
            Some(((sensor.id.clone(), source.rule.clone()), source))
        });
        sources.extend(known);
    }
    let with = JudgeConfig {
        most_a_second: config.sensor_network.most_a_second,
        publish_every: config.sensor_network.publish_every,
        time_zone: zone.clone(),
        states,
        clock: Arc::clone(clock),
        shutdown: shutdown.clone(),
    };
    let thread = judge::spawn(with, sensors, told, move |judged| report(judged, &sources, &items))?;
    Ok((thread, watchables))
}

type Sources = HashMap<(Id, Id), Arc<Source<SensorSource>>>;

/// Policy `block`: an alarm waits until there is room for it. The queue closes only after the judge has ended.
fn report(judged: Judged, sources: &Sources, items: &Items) {
    let item = match judged {
        Judged::Alarm { sensor, alarm, readings } => {
            let Some(source) = sources.get(&(sensor, alarm.rule.clone())) else { return };
            Item::Alarmed(Box::new(Alarmed { source: Arc::clone(source), alarm, readings }))
        }
        Judged::Telemetry(batches) => {
            Item::Telemetry(batches.into_iter().map(|batch| (batch.sensor, batch.payload)).collect())
        }
    };
    let _ = items.send(item);
}

/// The sensors of one protocol that are listened to.
macro_rules! devices_of {
    ($config:expr, $Protocol:ident) => {
        devices($config, |source| match source {
            SourceSpec::$Protocol(source) => Some(source.clone()),
            _ => None,
        })
    };
}

/// Starts the adapters that there are sensors for; each ends with the shutdown.
pub fn spawn_adapters(config: &Config, intake: &Intake, shutdown: &Shutdown, network: &Handle) {
    let shared = &config.sensor_network;
    let stop = || shutdown.token();
    for (name, broker, devices) in by_broker(config) {
        let (options, timeouts) = broker.subscriber("sensors");
        let connection = mqtt::Connection { name, address: broker.address().to_owned(), options, network: timeouts };
        network.spawn(mqtt::subscribe(connection, devices, intake.clone(), stop()));
    }
    for bus in &shared.buses {
        let mut devices = devices_of!(config, Modbus);
        devices.retain(|device| *device.source.bus == bus.id);
        if !devices.is_empty() {
            network.spawn(modbus::poll(bus.clone(), devices, intake.clone(), stop()));
        }
    }
    if let Some(settings) = shared.http {
        network.spawn(http::serve(settings, devices_of!(config, Http), intake.clone(), stop()));
    }
    if let Some(listen) = shared.hj212 {
        network.spawn(hj212::serve(listen, devices_of!(config, Hj212), intake.clone(), stop()));
    }
    if let Some(listen) = shared.sl651 {
        network.spawn(sl651::serve(listen, devices_of!(config, Sl651), intake.clone(), stop()));
    }
    if let Some(listen) = shared.gbt26875 {
        network.spawn(gbt26875::serve(listen, devices_of!(config, Gbt26875), intake.clone(), stop()));
    }
}

/// The sensors that are listened to and that `pick` picks, with their sources and secrets.
fn devices<S>(config: &Config, pick: impl Fn(&SourceSpec) -> Option<S>) -> Vec<Device<S>> {
    let watched = config.sensors.iter().filter(|sensor| sensor.is_watched());
    let device = |sensor: &SensorConfig| {
        let source = pick(&sensor.source)?;
        Some(Device { sensor: sensor.id.clone(), source, secret: sensor.secret.clone() })
    };
    watched.filter_map(device).collect()
}

/// Brokers on which there are sensors, each with its name and its sensors.
fn by_broker(config: &Config) -> impl Iterator<Item = (String, &Broker, Vec<Device<MqttSource>>)> {
    let uplink = std::iter::once((None, &config.broker));
    let others = config.sensor_network.brokers.iter().map(|(id, broker)| (Some(id), broker));
    uplink.chain(others).filter_map(|(id, broker)| {
        let mut devices = devices_of!(config, Mqtt);
        devices.retain(|device| device.source.broker.as_ref().map(|broker| &broker.value) == id);
        let name = id.map_or("mqtt".to_owned(), Id::to_string);
        (!devices.is_empty()).then_some((name, broker, devices))
    })
}
