//! Checks of `[sensors]` in gateway.toml: the ports that stations connect to, brokers and Modbus lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use snowgate_core::{
    ids::Id,
    spec::{Located, Maybe, TimeSpan},
};
use snowgate_sensors::{
    Listen,
    http::HttpSettings,
    modbus::Bus,
    spec::{HttpListenSpec, ListenSpec, ModbusBusSpec},
};

use super::{broker, checks::Checker, problem::Problem, resolved::SensorNetwork, toml_errors::place_of};
use crate::{
    sensor::spec::{SensorBrokerSpec, SensorsSpec},
    uplink::{Broker, Topics},
};

/// `[sensors]`, resolved.
pub(super) struct ResolvedNetwork {
    pub network: SensorNetwork,
    /// What sensors may refer to: what is wrong itself is not missed a second time.
    pub known: KnownNetwork,
    /// Why brokers cannot be connected to although nothing is wrong with what is written: their sensors are refused.
    pub unavailable: Vec<(Id, Problem)>,
}

/// The names of what sensors share.
pub(super) struct KnownNetwork {
    pub brokers: BTreeSet<Id>,
    /// None where it is wrong itself.
    pub buses: BTreeMap<Id, Option<Bus>>,
    /// One of the topics that this gateway publishes on.
    pub own_topic: String,
    /// Protocols that have a port.
    pub listeners: BTreeSet<&'static str>,
}

pub(super) fn resolve(
    spec: SensorsSpec,
    gateway: &Id,
    admin: Option<SocketAddr>,
    check: &mut Checker<'_>,
) -> ResolvedNetwork {
    check.within("/sensors/most_a_second", spec.most_a_second.0, 0.1..=10_000.0);
    check.within("/sensors/publish_every", spec.publish_every, TimeSpan::secs(1)..=TimeSpan::secs(3600));
    check.unique("broker", spec.brokers.iter().map(|broker| &broker.id));
    check.unique("bus", spec.buses.iter().map(|bus| &bus.id));
    let buses = buses(&spec.buses, check);
    let listeners = [("hj212", &spec.hj212), ("sl651", &spec.sl651), ("gbt26875", &spec.gbt26875)];
    let opened = listeners.iter().filter(|(_, port)| port.is_some()).map(|(name, _)| *name);
    let known = KnownNetwork {
        own_topic: Topics::new(gateway).status(),
        brokers: spec.brokers.iter().map(|broker| broker.id.value.clone()).collect(),
        buses: buses.clone(),
        listeners: opened.chain(spec.http.as_ref().map(|_| "http")).collect(),
    };
    let mut used: Ports = admin.map(|admin| (admin, "admin")).into_iter().collect();
    let http = http(&spec.http, &mut used, check);
    let [hj212, sl651, gbt26875] = listeners.map(|(name, port)| listener(name, port, &mut used, check));
    let (brokers, unavailable) = brokers(spec.brokers, gateway, check);
    let network = SensorNetwork {
        http,
        hj212,
        sl651,
        gbt26875,
        brokers,
        buses: buses.into_values().flatten().collect(),
        most_a_second: spec.most_a_second.0,
        publish_every: spec.publish_every.0,
    };
    ResolvedNetwork { network, known, unavailable }
}

/// Ports that are opened, and by whom.
type Ports = Vec<(SocketAddr, &'static str)>;

/// The port where readings are posted, if it is opened.
fn http(spec: &Maybe<HttpListenSpec>, used: &mut Ports, check: &mut Checker<'_>) -> Option<HttpSettings> {
    let spec = spec.as_ref()?;
    check.within("/sensors/http/max_connections", *spec.max_connections, 1..=4096);
    check.within("/sensors/http/most_a_second", *spec.most_a_second, 1..=10_000);
    Some(HttpSettings {
        listen: address("http", &spec.listen, used, check)?,
        max_connections: *spec.max_connections as usize,
        most_a_second: *spec.most_a_second,
    })
}

/// The port of a protocol of stations, if it is opened.
fn listener(name: &'static str, spec: &Maybe<ListenSpec>, used: &mut Ports, check: &mut Checker<'_>) -> Option<Listen> {
    let spec = spec.as_ref()?;
    check.within(&format!("/sensors/{name}/max_connections"), *spec.max_connections, 1..=4096);
    let idle = TimeSpan::secs(10)..=TimeSpan::secs(7 * 86_400);
    check.within(&format!("/sensors/{name}/idle_after"), spec.idle_after, idle);
    let address = address(name, &spec.listen, used, check)?;
    Some(Listen { address, max_connections: *spec.max_connections, idle_after: spec.idle_after.0 })
}

/// An address to listen on whose port nobody has yet.
fn address(
    name: &'static str,
    listen: &Located<String>,
    used: &mut Ports,
    check: &mut Checker<'_>,
) -> Option<SocketAddr> {
    let Ok(address) = listen.parse::<SocketAddr>() else {
        let help = "write an address and a port, such as \"0.0.0.0:9212\"".to_owned();
        check.error(listen.span, format!("`{}` is no address to listen on", **listen), help);
        return None;
    };
    if let Some((other, of)) = used.iter().find(|(other, _)| collide(*other, address)) {
        let message = format!("port {} is already that of `{of}`, which listens on {other}", address.port());
        check.error(listen.span, message, "every protocol needs a port of its own".to_owned());
    }
    used.push((address, name));
    Some(address)
}

/// Whether both cannot be listened on; port 0 is any that is free.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (everywhere || one.ip() == other.ip())
}

/// Brokers that can be connected to, and why others cannot.
fn brokers(
    specs: Vec<SensorBrokerSpec>,
    gateway: &Id,
    check: &mut Checker<'_>,
) -> (BTreeMap<Id, Broker>, Vec<(Id, Problem)>) {
    let (mut brokers, mut unavailable) = (BTreeMap::new(), Vec::new());
    for (index, SensorBrokerSpec { id, mut connection }) in specs.into_iter().enumerate() {
        let mut reasons = Vec::new();
        let pointer = format!("/sensors/brokers/{index}");
        // Brokers may be one and the same: two clients of one name would end each other's connections.
        connection.client_id.0.get_or_insert_with(|| format!("snowgate-{gateway}-{}", *id));
        let broker = broker::resolve_for_sensors(connection, &pointer, gateway, check, &mut reasons);
        if reasons.is_empty() {
            brokers.extend(broker.map(|broker| (id.value.clone(), broker)));
        }
        unavailable.extend(reasons.into_iter().map(|reason| (id.value.clone(), reason)));
    }
    (brokers, unavailable)
}

fn buses(buses: &[ModbusBusSpec], check: &mut Checker<'_>) -> BTreeMap<Id, Option<Bus>> {
    let mut known = BTreeMap::new();
    for (index, bus) in buses.iter().enumerate() {
        known.insert(bus.id.value.clone(), check.mistakes(bus.bus()));
        if bus.tcp.is_some() && bus.serial.is_none() {
            for key in ["baud", "parity", "stop_bits"] {
                let place = place_of(check.source, &format!("/sensors/buses/{index}/{key}"));
                if place.line_and_column().is_some() {
                    check.problems.push(Problem::warning(place, format!("{key} has no effect on a bus over TCP")));
                }
            }
        }
        let line = bus.tcp.as_ref().or(bus.serial.as_ref());
        let same = |other: &&ModbusBusSpec| line.is_some() && other.tcp.as_ref().or(other.serial.as_ref()) == line;
        if let (Some(line), Some(other)) = (line, buses[..index].iter().find(same)) {
            let message = format!("bus `{}` is the same line as bus `{}`", *bus.id, *other.id);
            let place = check.place(line.span);
            let help = "a line is polled by one bus: let its sensors name that one".to_owned();
            let first = check.place(other.id.span);
            check.problems.push(Problem::error(place, message).help(help).related(first, "the other one"));
        }
    }
    known
}
