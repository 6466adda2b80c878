//! Checks of `[source]`: how a sensor is reached, and where in its protocol its quantities stand.

use snowgate_core::{
    ids::Id,
    sensor::{
        json::{JsonFormat, JsonValueSpec},
        spec::QuantitySpec,
    },
    spec::{Located, TimeSpan},
};
use snowgate_sensors::spec::{
    Gbt26875Source, Hj212Factor, Hj212Source, HttpSource, ModbusRegister, ModbusSource, ModbusTable, MqttSource,
    Sl651Source, SourceSpec,
};

use super::{Checker, KnownNetwork, SensorFile, quantity};
use crate::config::toml_errors::place_of;

/// What is polled less often is not watched.
const LONGEST_POLL: TimeSpan = TimeSpan::secs(86_400);

pub(super) fn check(file: &SensorFile, network: Option<&KnownNetwork>, check: &mut Checker<'_>) {
    let source = &file.source.source;
    let quantities = source.quantities();
    if quantities.is_empty() {
        let message = format!("sensor `{}` measures nothing: values is empty", *file.id);
        let help = "write a table [[source.values]] for each quantity".to_owned();
        check.error_at(place_of(check.source, "/source/values"), message, help);
    }
    check.unique("quantity", quantities.iter().map(|quantity| &quantity.id));
    quantities.iter().for_each(|spec| quantity::check(spec, check));
    if let Some(network) = network.filter(|_| file.enabled) {
        listener(source, network, check);
    }
    match source {
        SourceSpec::Mqtt(source) => mqtt(source, network, check),
        SourceSpec::Http(source) => http(source, check),
        SourceSpec::Modbus(source) => modbus(source, network, check),
        SourceSpec::Hj212(source) => hj212(source, check),
        SourceSpec::Sl651(source) => sl651(source, check),
        SourceSpec::Gbt26875(source) => gbt26875(source, check),
    }
}

/// Whoever sends by itself needs a port to send to.
fn listener(source: &SourceSpec, network: &KnownNetwork, check: &mut Checker<'_>) {
    let usual_port = match source {
        SourceSpec::Http(_) => 9465,
        SourceSpec::Hj212(_) => 9212,
        SourceSpec::Sl651(_) => 9651,
        SourceSpec::Gbt26875(_) => 9268,
        SourceSpec::Mqtt(_) | SourceSpec::Modbus(_) => return,
    };
    let protocol = source.tag();
    if !network.listeners.contains(protocol) {
        let message = format!("this sensor can never be heard: gateway.toml opens no port for {protocol}");
        let help = format!("write [sensors.{protocol}] with listen = \"0.0.0.0:{usual_port}\" in gateway.toml");
        check.error_at(place_of(check.source, "/source/protocol"), message, help);
    }
}

fn mqtt(source: &MqttSource, network: Option<&KnownNetwork>, check: &mut Checker<'_>) {
    if let (Some(broker), Some(network)) = (&*source.broker, network)
        && !network.brokers.contains(&**broker)
    {
        let known = network.brokers.iter().map(Id::as_str);
        check.known("broker", "brokers in gateway.toml", broker.as_str(), broker.span, known);
    }
    if source.device.is_none() && hears_everybody(source.topic.as_str()) {
        let message =
            format!("`{}`: every device that is heard on this topic counts as this one sensor", *source.topic);
        check.warning(source.topic.span, message, "name the one device in the topic, or in device".to_owned());
    }
    if let Some(network) = network
        && source.broker.is_none()
        && source.topic.matches(&network.own_topic)
    {
        let message = format!("`{}` hears what this gateway itself publishes", *source.topic);
        check.error(source.topic.span, message, "name the topic that the device publishes on".to_owned());
    }
    if let Some((span, message)) = source.contradiction() {
        check.error(span, message, None);
    }
    json(source.format, source.values.iter().map(|it| (&it.quantity, &it.value)), check);
}

/// Whether the level that names the device stands for any, in topics of ChirpStack and The Things Stack and at all.
fn hears_everybody(topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    let any = |level: &str| level == "+" || level == "#";
    let names_devices = |level: &&str| ["device", "devices"].contains(level);
    levels.iter().all(|level| any(level))
        || (levels.last() == Some(&"+") && !levels.iter().any(names_devices))
        || levels.windows(2).any(|pair| names_devices(&pair[0]) && any(pair[1]))
}

fn http(source: &HttpSource, check: &mut Checker<'_>) {
    json(source.format, source.values.iter().map(|it| (&it.quantity, &it.value)), check);
}

fn json<'a>(
    format: JsonFormat,
    values: impl Iterator<Item = (&'a QuantitySpec, &'a JsonValueSpec)>,
    check: &mut Checker<'_>,
) {
    for (quantity, value) in values {
        if value.pointer.as_str().is_empty() && format != JsonFormat::Plain {
            let message = format!("\"\" means the whole decoded payload of {format}, which is no number");
            let help = "write it like \"/level\" or \"/data/0/value\"".to_owned();
            check.error_at(check.beside(quantity.id.span, "/pointer"), message, help);
        }
    }
}

fn modbus(source: &ModbusSource, network: Option<&KnownNetwork>, check: &mut Checker<'_>) {
    if *source.poll_every > LONGEST_POLL {
        let message = format!("poll_every is at most {LONGEST_POLL}; {} is not", *source.poll_every);
        check.error(source.poll_every.span, message, None);
    }
    let Some(network) = network else { return };
    match network.buses.get(&*source.bus) {
        // A bus that is wrong itself has been reported.
        Some(bus) => {
            let checked = bus.as_ref().map_or(Ok(()), |bus| source.check(bus));
            check.mistakes(checked);
            source.values.iter().for_each(|value| numbered_as_in_manuals(value, check));
        }
        None => {
            let known = network.buses.keys().map(Id::as_str);
            check.known("bus", "buses in gateway.toml", source.bus.as_str(), source.bus.span, known);
        }
    }
}

/// Manuals count registers from 1 and put a digit for the table before them.
fn numbered_as_in_manuals(value: &ModbusRegister, check: &mut Checker<'_>) {
    let first = match value.table {
        ModbusTable::Holding => 40_001,
        ModbusTable::Input => 30_001,
        ModbusTable::Coils | ModbusTable::Discrete => return,
    };
    if (first..first + 9_999).contains(&*value.address) {
        let message = format!("address {} looks like a manual's number: addresses count from 0", *value.address);
        let help = format!("if that is what it is, write address = {}", *value.address - first);
        check.warning(value.address.span, message, help);
    }
}

fn hj212(source: &Hj212Source, check: &mut Checker<'_>) {
    if let Err(message) = source.mn() {
        check.error(source.station.span, message, None);
    }
    for value in &source.values {
        if let Err(message) = value.code() {
            check.error_at(check.beside(value.quantity.id.span, "/factor"), message, None);
        }
    }
}

fn sl651(source: &Sl651Source, check: &mut Checker<'_>) {
    if let Err(message) = source.address() {
        check.error(source.station.span, message, None);
    }
    for value in &source.values {
        if let Err(message) = value.identifier() {
            check.error_at(check.beside(value.quantity.id.span, "/element"), message, None);
        }
    }
}

fn gbt26875(source: &Gbt26875Source, check: &mut Checker<'_>) {
    if let Err(message) = source.address() {
        check.error(source.device.span, message, None);
    }
}

/// A place in the world that a quantity is read from: equal for equal places, whatever sensor reads there.
pub(super) struct Claim {
    pub quantity: Located<Id>,
    pub place: String,
}

/// Where each quantity is read.
pub(super) fn claims(sensor: &Id, source: &SourceSpec) -> Vec<Claim> {
    fn each<'a, T: 'a>(values: &'a [T], of: impl Fn(&'a T) -> (&'a QuantitySpec, String)) -> Vec<Claim> {
        let claim = |value| {
            let (quantity, place) = of(value);
            Claim { quantity: quantity.id.clone(), place }
        };
        values.iter().map(claim).collect()
    }
    match source {
        SourceSpec::Mqtt(source) => each(&source.values, |value| {
            let broker = source.broker.as_ref().map_or("", |broker| broker.as_str());
            let device = source.device.as_ref().map_or("", |device| device.as_str());
            let pointer = &value.value.pointer;
            (&value.quantity, format!("mqtt {broker} {} {device} {} {pointer}", *source.topic, source.format))
        }),
        SourceSpec::Http(source) => {
            each(&source.values, |value| (&value.quantity, format!("http {sensor} {}", value.value.pointer)))
        }
        SourceSpec::Modbus(source) => each(&source.values, |value| {
            let bit = value.bit.as_ref().map_or(0, |bit| bit.value);
            let place = format!("modbus {} {} {} {} {bit}", *source.bus, *source.slave, value.table, *value.address);
            (&value.quantity, place)
        }),
        SourceSpec::Hj212(source) => each(&source.values, |value| {
            let Hj212Factor { quantity, factor, figure, .. } = value;
            (quantity, format!("hj212 {} {} {factor} {figure}", *source.station, value.data()))
        }),
        SourceSpec::Sl651(source) => each(&source.values, |value| {
            let element = value.element.to_ascii_uppercase();
            (&value.quantity, format!("sl651 {} {element}", *source.station))
        }),
        SourceSpec::Gbt26875(source) => each(&source.values, |value| {
            let device = source.device.to_ascii_uppercase();
            let place = format!("gbt26875 {device} {} {:?} {:?}", value.state, *value.system, *value.part);
            (&value.quantity, place)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_where_the_device_is_named_hears_everybody() {
        for all in ["#", "+/#", "gauges/+", "application/7/device/+/event/up", "v3/app@ttn/devices/#"] {
            assert!(hears_everybody(all), "{all}");
        }
        for one in ["application/+/device/24e1/event/up", "a/#", "device/a/+"] {
            assert!(!hears_everybody(one), "{one}");
        }
    }
}
