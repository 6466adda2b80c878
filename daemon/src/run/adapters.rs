//! The tasks that listen to sensors, one for each bus, broker and port, and how they follow the configuration.

use std::{collections::BTreeMap, time::Duration};

use snowgate_core::ids::Id;
use snowgate_sensors::{
    Listen, gbt26875, hj212, http,
    http::HttpSettings,
    intake::{Device, Intake},
    modbus,
    modbus::Bus,
    mqtt, sl651,
    spec::{Gbt26875Source, Hj212Source, HttpSource, ModbusSource, MqttSource, Sl651Source, SourceSpec},
};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, SensorConfig},
    shutdown::Shutdown,
    uplink::Broker,
};

/// So long an adapter that is to end is waited for: the next one may want its port.
const END_WITHIN: Duration = Duration::from_secs(5);

/// An adapter: where it listens, and to whom.
#[derive(Clone, PartialEq)]
enum Adapter {
    Mqtt { name: String, broker: Box<Broker>, devices: Vec<Device<MqttSource>> },
    Modbus { bus: Bus, devices: Vec<Device<ModbusSource>> },
    Http { settings: HttpSettings, devices: Vec<Device<HttpSource>> },
    Hj212 { listen: Listen, devices: Vec<Device<Hj212Source>> },
    Sl651 { listen: Listen, devices: Vec<Device<Sl651Source>> },
    Gbt26875 { listen: Listen, devices: Vec<Device<Gbt26875Source>> },
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

impl Adapter {
    /// Those that a configuration asks for, by a name of their own.
    fn all(config: &Config) -> BTreeMap<String, Self> {
        let shared = &config.sensor_network;
        let mut all = BTreeMap::new();
        for (name, broker, devices) in by_broker(config) {
            all.insert(format!("mqtt {name}"), Self::Mqtt { name, broker: Box::new(broker.clone()), devices });
        }
        for bus in &shared.buses {
            let mut devices = devices_of!(config, Modbus);
            devices.retain(|device| *device.source.bus == bus.id);
            if !devices.is_empty() {
                all.insert(format!("modbus {}", bus.id), Self::Modbus { bus: bus.clone(), devices });
            }
        }
        let stations = [
            ("http", shared.http.map(|settings| Self::Http { settings, devices: devices_of!(config, Http) })),
            ("hj212", shared.hj212.map(|listen| Self::Hj212 { listen, devices: devices_of!(config, Hj212) })),
            ("sl651", shared.sl651.map(|listen| Self::Sl651 { listen, devices: devices_of!(config, Sl651) })),
            (
                "gbt26875",
                shared.gbt26875.map(|listen| Self::Gbt26875 { listen, devices: devices_of!(config, Gbt26875) }),
            ),
        ];
        all.extend(stations.into_iter().filter_map(|(name, adapter)| Some((name.to_owned(), adapter?))));
        all
    }

    fn spawn(self, intake: Intake, stop: CancellationToken, network: &Handle) -> JoinHandle<()> {
        match self {
            Self::Mqtt { name, broker, devices } => {
                let (options, timeouts) = broker.subscriber("sensors");
                let address = broker.address().to_owned();
                let connection = mqtt::Connection { name, address, options, network: timeouts };
                network.spawn(mqtt::subscribe(connection, devices, intake, stop))
            }
            Self::Modbus { bus, devices } => network.spawn(modbus::poll(bus, devices, intake, stop)),
            Self::Http { settings, devices } => network.spawn(http::serve(settings, devices, intake, stop)),
            Self::Hj212 { listen, devices } => network.spawn(hj212::serve(listen, devices, intake, stop)),
            Self::Sl651 { listen, devices } => network.spawn(sl651::serve(listen, devices, intake, stop)),
            Self::Gbt26875 { listen, devices } => network.spawn(gbt26875::serve(listen, devices, intake, stop)),
        }
    }
}

/// The adapters that run.
pub struct Adapters {
    running: BTreeMap<String, Running>,
    intake: Intake,
    network: Handle,
    shutdown: Shutdown,
}

struct Running {
    adapter: Adapter,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Adapters {
    /// None yet. Held to the end: whoever judges stops with everything else, not when the last adapter gives up.
    pub fn new(intake: Intake, network: Handle, shutdown: Shutdown) -> Self {
        Self { running: BTreeMap::new(), intake, network, shutdown }
    }

    /// From now on these sensors are listened to. An adapter for which nothing has changed goes on undisturbed.
    pub fn follow(&mut self, config: &Config) {
        let mut wanted = Adapter::all(config);
        let ending: Vec<_> =
            self.running.extract_if(.., |name, running| wanted.get(name) != Some(&running.adapter)).collect();
        ending.iter().for_each(|(_, running)| running.stop.cancel());
        for (name, running) in ending {
            let abort = running.task.abort_handle();
            let ended = self.network.block_on(async { tokio::time::timeout(END_WITHIN, running.task).await });
            if ended.is_err() {
                tracing::error!(adapter = name, "does not end: it is cut off");
                abort.abort();
            }
        }
        wanted.retain(|name, _| !self.running.contains_key(name));
        for (name, adapter) in wanted {
            let stop = self.shutdown.token().child_token();
            let task = adapter.clone().spawn(self.intake.clone(), stop.clone(), &self.network);
            self.running.insert(name, Running { adapter, stop, task });
        }
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
