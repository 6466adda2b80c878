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
    Gbt26875Source, Hj212Source, HttpSource, ModbusKind, ModbusRegister, ModbusSource, ModbusTable, MqttSource,
    Sl651Source, SourceSpec,
};

use super::{Checker, KnownNetwork, SensorFile, quantity};
use crate::config::toml_errors::place_of;

/// Registers of one table are counted in 16 bits.
const REGISTERS: u32 = 1 << 16;

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
    if let Err(reason) = topic_filter(&source.topic) {
        let help = "write it like \"application/7/device/24e124713d123456/event/up\"; + stands for any one level, # at the end \
                    for any number of them";
        check.error(
            source.topic.span,
            format!("`{}` is no topic to listen to: {reason}", *source.topic),
            help.to_owned(),
        );
    } else if hears_everybody(&source.topic) {
        let message =
            format!("`{}`: every device that is heard on this topic counts as this one sensor", *source.topic);
        check.warning(source.topic.span, message, "name the one device in the topic".to_owned());
    }
    json(source.format, source.time.as_deref(), source.values.iter().map(|it| (&it.quantity, &it.value)), check);
}

/// The syntax of topic filters: MQTT 3.1.1, 4.7.
fn topic_filter(topic: &str) -> Result<(), &'static str> {
    if topic.is_empty() || topic.len() > usize::from(u16::MAX) {
        return Err("it must have 1 to 65535 bytes");
    }
    if topic.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    let mut levels = topic.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_some() => return Err("# may only be its end"),
            "#" | "+" => {}
            level if level.contains(['#', '+']) => return Err("# and + stand for whole levels"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the level that names the device stands for any, in topics of ChirpStack and The Things Stack and at all.
fn hears_everybody(topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    let any = |level: &str| level == "+" || level == "#";
    levels.iter().all(|level| any(level))
        || levels.windows(2).any(|pair| ["device", "devices"].contains(&pair[0]) && any(pair[1]))
}

fn http(source: &HttpSource, check: &mut Checker<'_>) {
    json(source.format, source.time.as_deref(), source.values.iter().map(|it| (&it.quantity, &it.value)), check);
}

fn json<'a>(
    format: JsonFormat,
    time: Option<&str>,
    values: impl Iterator<Item = (&'a QuantitySpec, &'a JsonValueSpec)>,
    check: &mut Checker<'_>,
) {
    let help =
        || Some("write it like \"/level\" or \"/data/0/value\"; ~1 stands for a / in a name, ~0 for a ~".to_owned());
    if let Some(time) = time
        && (time.is_empty() || !is_pointer(time))
    {
        check.error_at(place_of(check.source, "/source/time"), format!("`{time}` is no JSON pointer"), help());
    }
    for (quantity, value) in values {
        let place = check.beside(quantity.id.span, "/pointer");
        if !is_pointer(&value.pointer) {
            check.error_at(place, format!("`{}` is no JSON pointer", value.pointer), help());
        } else if value.pointer.is_empty() && format != JsonFormat::Plain {
            let message = format!("\"\" means the whole decoded payload of {format}, which is no number");
            check.error_at(place, message, help());
        }
    }
}

/// The syntax of JSON pointers: RFC 6901, 3.
fn is_pointer(text: &str) -> bool {
    let escapes_well = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes_well
}

fn modbus(source: &ModbusSource, network: Option<&KnownNetwork>, check: &mut Checker<'_>) {
    let serial = network.and_then(|network| network.buses.get(&*source.bus)).copied();
    if let Some(network) = network
        && serial.is_none()
    {
        let known = network.buses.keys().map(Id::as_str);
        check.known("bus", "buses in gateway.toml", source.bus.as_str(), source.bus.span, known);
    }
    // 255 is what Modbus TCP calls a device that is reached by its address alone.
    let legal = (1..=247).contains(&*source.slave) || (*source.slave == 255 && serial == Some(false));
    if !legal {
        check.error(source.slave.span, format!("slave must lie between 1 and 247; {} does not", *source.slave), None);
    }
    check.within("/source/poll_every", source.poll_every, TimeSpan::millis(100)..=TimeSpan::secs(86_400));
    check.within("/source/timeout", source.timeout, TimeSpan::millis(10)..=TimeSpan::secs(60));
    source.values.iter().for_each(|register| self::register(register, check));
}

/// How many registers, or bits, a value of this kind takes.
fn width(kind: ModbusKind) -> u32 {
    match kind {
        ModbusKind::Bit | ModbusKind::U16 | ModbusKind::I16 => 1,
        ModbusKind::U32 | ModbusKind::I32 | ModbusKind::F32 => 2,
    }
}

fn register(register: &ModbusRegister, check: &mut Checker<'_>) {
    let ModbusRegister { quantity, table, address, kind, .. } = register;
    let (id, span) = (&*quantity.id, quantity.id.span);
    let of_bits = matches!(table, ModbusTable::Coils | ModbusTable::Discrete);
    if of_bits != (*kind == ModbusKind::Bit) {
        let (message, help) = match of_bits {
            true => (format!("quantity `{id}`: {table} hold bits, not {kind}"), "write kind = \"bit\""),
            false => (
                format!("quantity `{id}`: a bit is read from coils or discrete inputs, not from {table} registers"),
                "write table = \"coils\" or table = \"discrete_inputs\"",
            ),
        };
        check.error_at(check.beside(span, "/kind"), message, help.to_owned());
    }
    if u32::from(*address) + width(*kind) > REGISTERS {
        let message = format!("quantity `{id}`: {kind} at {address} reaches beyond the last register, 65535");
        check.error_at(check.beside(span, "/address"), message, None);
    }
    let order = check.beside(span, "/word_order");
    if width(*kind) == 1 && order != check.place(span) {
        check.warning_at(order, format!("quantity `{id}`: word_order has no effect on {kind}"), None);
    }
}

fn hj212(source: &Hj212Source, check: &mut Checker<'_>) {
    let legal = |c: char| c.is_ascii_graphic() && !";=&,".contains(c);
    if source.station.is_empty() || source.station.len() > 24 || !source.station.chars().all(legal) {
        let help = "write its MN as it stands in the station, such as \"010000A8900016F000169DC0\"".to_owned();
        check.error(source.station.span, "station must be 1 to 24 letters and digits", help);
    }
    for value in &source.values {
        let factor = &value.factor;
        if factor.is_empty() || factor.len() > 20 || !factor.chars().all(|c| c.is_ascii_alphanumeric()) {
            let help = "write the code of HJ 212's tables, such as \"w01018\" (COD) or \"a34004\" (PM2.5)".to_owned();
            let place = check.beside(value.quantity.id.span, "/factor");
            check.error_at(place, format!("`{factor}` is no factor code"), help);
        }
    }
}

fn sl651(source: &Sl651Source, check: &mut Checker<'_>) {
    if source.station.len() != 10 || !source.station.chars().all(|c| c.is_ascii_digit()) {
        let help = "write the station's address with all of its zeros, such as \"0012345678\"".to_owned();
        check.error(source.station.span, "station must be ten digits", help);
    }
    for value in &source.values {
        if value.element.len() != 2 || !is_hexadecimal(&value.element) {
            let help = "write the identifier of SL 651's table C.1, such as \"39\" (water level)".to_owned();
            let place = check.beside(value.quantity.id.span, "/element");
            check.error_at(place, format!("`{}` is no element: two hexadecimal digits", value.element), help);
        }
    }
}

fn gbt26875(source: &Gbt26875Source, check: &mut Checker<'_>) {
    if source.device.len() != 12 || !is_hexadecimal(&source.device) {
        let help =
            "write the transmission device's six bytes in the order they are sent, such as \"010203040506\"".to_owned();
        check.error(source.device.span, "device must be twelve hexadecimal digits", help);
    }
}

pub(super) fn is_hexadecimal(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_hexdigit())
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
            (&value.quantity, format!("mqtt {broker} {} {} {}", *source.topic, source.format, value.value.pointer))
        }),
        SourceSpec::Http(source) => {
            each(&source.values, |value| (&value.quantity, format!("http {sensor} {}", value.value.pointer)))
        }
        SourceSpec::Modbus(source) => each(&source.values, |value| {
            let place = format!("modbus {} {} {} {}", *source.bus, *source.slave, value.table, value.address);
            (&value.quantity, place)
        }),
        SourceSpec::Hj212(source) => each(&source.values, |value| {
            (&value.quantity, format!("hj212 {} {} {}", *source.station, value.factor, value.figure))
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
    fn topic_filters() {
        for good in ["a", "/", "a/+/b", "a/#", "#", "+", "+/+", "$share/group/a", "明亮/水位"] {
            assert_eq!(topic_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a/#/b", "a#", "a/b+", "#/", "a\u{0}b"] {
            assert!(topic_filter(bad).is_err(), "{bad}");
        }
        for all in ["#", "+/#", "application/7/device/+/event/up", "v3/app@ttn/devices/#"] {
            assert!(hears_everybody(all), "{all}");
        }
        for one in ["application/+/device/24e1/event/up", "a/#", "device/a/+"] {
            assert!(!hears_everybody(one), "{one}");
        }
    }

    #[test]
    fn json_pointers() {
        for good in ["", "/", "/a", "/a/0/~0~1"] {
            assert!(is_pointer(good), "{good}");
        }
        for bad in ["a", "a/b", "/~", "/~2", "$.level"] {
            assert!(!is_pointer(bad), "{bad}");
        }
    }
}
