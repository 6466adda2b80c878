//! SL 651-2014 (水文): hydrological stations that connect over TCP, HEX/BCD coding.
//!
//! A message counts for the sensors whose `station` is its address and whose password it carries; elements that it names as
//! measured at another station count for that one's. Reports (30, 32, 33, 34, 36) and answers to queries (37, 3A) give
//! samples; anything else, link keeping (2F) too, is a sign of life. A report is acknowledged once the intake has taken it.
//! A number that cannot be read is refused by name and acknowledged all the same: the station would only repeat it.

use jiff::{SignedDuration, Timestamp};
use snowgate_core::{
    ids::Id,
    secret::Secret,
    sensor::{
        codec::sl651::{Direction, Element, Function, Message, Sl651, Station, bcd_number},
        reading::Sample,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    intake::{Device, Intake},
    spec::{Sl651Element, Sl651Source},
    station::{self, Listed, Outcome, Protocol, Refused, Roster},
};

pub use crate::station::Listen;

/// From one value of a series to the next.
const STEP_OF_SERIES: SignedDuration = SignedDuration::from_mins(5);

/// Listens for SL 651 stations until it is time to stop.
pub async fn serve(listen: Listen, devices: Vec<Device<Sl651Source>>, intake: Intake, shutdown: CancellationToken) {
    let stations = Stations::new(devices);
    stations.0.tell_unusable(&intake).await;
    station::serve(listen, stations, intake, shutdown).await;
}

impl Sl651Source {
    /// The station's address: ten digits (A to F as well, where an administrative code is part of it).
    ///
    /// # Errors
    /// It is none; the message says what one looks like.
    pub fn address(&self) -> Result<Station, String> {
        let text = self.station.as_str();
        bytes_of_hex(text).map(Station).ok_or_else(|| {
            format!(
                "{text:?} is no station's address: write its ten digits with the leading zeros, such as \"0012345678\""
            )
        })
    }

    /// A station's password: four hexadecimal digits.
    ///
    /// # Errors
    /// It is none; the message shows nothing of it.
    pub fn password(text: &Secret) -> Result<u16, String> {
        let text = text.expose().trim();
        let error = || "the password of an SL 651 station is four hexadecimal digits, such as 1234".to_owned();
        bytes_of_hex(text).map(u16::from_be_bytes).ok_or_else(error)
    }
}

/// Exactly so many bytes as pairs of hexadecimal digits.
fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What a quantity is called in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementId {
    /// A number of the standard's: 01 to 7F but 04, 05 and 45.
    Number(u8),
    /// F4: rain in each of an hour's twelve spans of 5 minutes.
    RainByFiveMinutes,
    /// F5 to FC: water level at each of an hour's twelve steps of 5 minutes, at gauge 1 to 8.
    LevelByFiveMinutes(u8),
    /// FF and another byte: a number of the maker's.
    Custom(u8),
}

impl Sl651Element {
    /// The element's identifier.
    ///
    /// # Errors
    /// It is none, or the element holds no number; the message says what one looks like.
    pub fn identifier(&self) -> Result<ElementId, String> {
        let text = self.element.as_str();
        let single = bytes_of_hex(text).map(|[id]| id);
        match (single, bytes_of_hex(text)) {
            (Some(0x04 | 0x05 | 0x45 | 0x00 | 0x80..=0xF3 | 0xFD..), _) => Err(format!(
                "element {text:?} holds no number: 01 to 7F do (but 04, 05 and 45), F4 to FC, and a maker's own such as FF04"
            )),
            (Some(0xF4), _) => Ok(ElementId::RainByFiveMinutes),
            (Some(id @ 0xF5..=0xFC), _) => Ok(ElementId::LevelByFiveMinutes(id - 0xF4)),
            (Some(id), _) => Ok(ElementId::Number(id)),
            (None, Some([0xFF, id])) => Ok(ElementId::Custom(id)),
            (None, _) => {
                Err(format!("{text:?} is no element: write two hexadecimal digits, such as \"39\" for the water level"))
            }
        }
    }
}

/// The stations by their address.
struct Stations(Roster<[u8; 5], Expected>);

/// What a sensor's file says of its station.
struct Expected {
    password: Option<u16>,
    stay_online: bool,
    values: Vec<(Id, ElementId)>,
}

impl Expected {
    fn admits(&self, message: &Message<'_>) -> bool {
        self.password.is_none_or(|password| password == message.password)
    }
}

/// The last packet of several carries no serial number, but its acknowledgement does.
#[derive(Default)]
struct Conversation {
    /// The serial number of a message in several packets, and whose and what message it is.
    first_packet: Option<(Station, Function, u16)>,
}

impl Stations {
    fn new(devices: Vec<Device<Sl651Source>>) -> Self {
        Self(Roster::new(devices, |device| {
            let Station(station) = device.source.address()?;
            let wanted = |value: &Sl651Element| Ok::<_, String>((value.quantity.id.value.clone(), value.identifier()?));
            Ok((
                station,
                Expected {
                    password: device.secret.as_ref().map(Sl651Source::password).transpose()?,
                    stay_online: device.source.stay_online,
                    values: device.source.values.iter().map(wanted).collect::<Result<_, _>>()?,
                },
            ))
        }))
    }
}

impl Protocol for Stations {
    const NAME: &'static str = "sl651";
    type Framing = Sl651;
    type Conversation = Conversation;

    fn sensors(&self) -> &[Id] {
        self.0.sensors()
    }

    fn stays_connected(&self, sensor: usize) -> bool {
        self.0.find(sensor).is_none_or(|expected| expected.stay_online)
    }

    fn hear(&self, message: Message<'_>, conversation: &mut Conversation, now: Timestamp) -> Outcome {
        let Message { station, function, .. } = message;
        let known = self.0.of(&station.0);
        let Some(first) = known.first() else {
            return Outcome::refused(None, "unknown_sensor", format!("no sensor has station = \"{station}\""));
        };
        if message.direction == Direction::Down {
            let why = format!("station {station} sends what only a centre may");
            return Outcome::refused(Some(first.sensor), "malformed", why);
        }
        let mut outcome = Outcome::default();
        let admitted = known.iter().filter(|listed| listed.expected.admits(&message));
        outcome.heard.extend(admitted.map(|listed| (listed.sensor, Vec::new())));
        if outcome.heard.is_empty() {
            let why = format!("the password of station {station} is wrong");
            return Outcome::refused(Some(first.sensor), "unauthorised", why);
        }
        self.read_elements(&message, first.sensor, &mut outcome);
        outcome.answer = message.acknowledgement(first.expected.stay_online, now).and_then(|mut answer| {
            if message.serial.is_none()
                && let Some((of_station, of_function, serial)) = conversation.first_packet
                && (of_station, of_function) == (station, function)
            {
                answer.serial = Some(serial);
            }
            answer.build().ok()
        });
        if let (Some(_), Some(serial)) = (message.packet, message.serial) {
            conversation.first_packet = Some((station, function, serial));
        }
        outcome
    }
}

impl Stations {
    fn read_elements(&self, message: &Message<'_>, sender: usize, outcome: &mut Outcome) {
        let mut reader =
            Reader { stations: self, message, measured_at: message.station, observed: None, strange: None, outcome };
        // A message may hold hundreds of errors of one kind: the first tells what is wrong.
        let mut wrong = None;
        for element in message.elements() {
            if let Err(why) = element.map_err(|error| error.to_string()).and_then(|element| reader.take(&element)) {
                wrong.get_or_insert(why);
            }
        }
        let strange = reader.strange.map(|station| {
            let why = format!("no sensor has station = \"{station}\", of which station {} reports", message.station);
            Refused { sensor: None, reason: "unknown_sensor", why }
        });
        let wrong = wrong.map(|why| Refused { sensor: Some(sender), reason: "malformed", why });
        outcome.refused.extend(strange.into_iter().chain(wrong));
    }
}

/// Goes through the elements of one message, in order: some say what holds for those after them.
struct Reader<'a> {
    stations: &'a Stations,
    message: &'a Message<'a>,
    measured_at: Station,
    /// When it was measured, as far as the message says.
    observed: Option<Timestamp>,
    /// A station of which nobody knows.
    strange: Option<Station>,
    outcome: &'a mut Outcome,
}

impl<'a> Reader<'a> {
    fn take(&mut self, element: &Element<'_>) -> Result<(), String> {
        let measured = self.observed.or(self.message.sent_at);
        match *element {
            Element::Station { station, .. } => {
                self.measured_at = station;
                if self.stations.0.of(&station.0).is_empty() {
                    self.strange = Some(station);
                }
            }
            Element::ObservedAt(at) => self.observed = at,
            // What the station mentions and has no value for is told as none.
            Element::Number { id, value, .. } => {
                self.push(ElementId::Number(id), measured, value.unwrap_or(f64::NAN));
            }
            Element::Custom { id, decimals, data } => {
                // A maker's own element may be anything: it is read where somebody wants it.
                if self.is_wanted(ElementId::Custom(id)) {
                    let value = bcd_number(data, decimals).map_err(|error| format!("element FF{id:02X}: {error}"))?;
                    self.push(ElementId::Custom(id), measured, value.unwrap_or(f64::NAN));
                }
            }
            Element::RainByFiveMinutes(values) => self.push_series(ElementId::RainByFiveMinutes, values),
            Element::LevelByFiveMinutes { gauge, metres } => {
                self.push_series(ElementId::LevelByFiveMinutes(gauge), metres);
            }
            Element::Bytes { .. } => {}
        }
        Ok(())
    }

    /// The values of an hour, the oldest first; gaps are left out. The time observed is that of the first; some stations name
    /// the last, and then the first's would put the last after the message was sent.
    fn push_series(&mut self, id: ElementId, values: [Option<f64>; 12]) {
        let ends = |first: Timestamp| first.checked_add(STEP_OF_SERIES * 11).ok();
        let after_sending = |end| self.message.sent_at.is_some_and(|sent| end > sent);
        let first = self.observed.and_then(|observed| match ends(observed) {
            Some(end) if after_sending(end) => observed.checked_sub(STEP_OF_SERIES * 11).ok(),
            _ => Some(observed),
        });
        for (step, value) in (0i32..).zip(values) {
            let measured = first.and_then(|first| first.checked_add(STEP_OF_SERIES * step).ok());
            if let Some(value) = value {
                self.push(id, measured, value);
            }
        }
    }

    /// The sensors of the station at which it was measured.
    fn sensors(&self) -> &'a [Listed<Expected>] {
        self.stations.0.of(&self.measured_at.0)
    }

    fn is_wanted(&self, id: ElementId) -> bool {
        self.sensors().iter().any(|listed| listed.expected.values.iter().any(|(_, wanted)| *wanted == id))
    }

    fn push(&mut self, id: ElementId, measured: Option<Timestamp>, value: f64) {
        for listed in self.sensors().iter().filter(|listed| listed.expected.admits(self.message)) {
            for (quantity, _) in listed.expected.values.iter().filter(|(_, wanted)| *wanted == id) {
                let sample = Sample { value, measured, flagged: value.is_nan() };
                self.outcome.sample(listed.sensor, quantity, sample);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use snowgate_core::{
        sensor::codec::{
            crc,
            sl651::{End, KnownFunction, PacketNumber},
        },
        spec::read_table,
    };

    use super::*;
    use crate::station::mutation;

    const SOURCE: &str = "
        station = '0012345678'
        [[values]]
        id = 'level'
        element = '39'
        [[values]]
        id = 'rain'
        element = 'F4'
        [[values]]
        id = 'levels'
        element = 'F5'
        [[values]]
        id = 'door'
        element = 'FF04'
    ";

    fn seed(function: KnownFunction, packet: Option<PacketNumber>, content: &[u8]) -> Vec<u8> {
        let heads = packet.is_none_or(|packet| packet.number == 1);
        let message = Message {
            direction: Direction::Up,
            centre: 1,
            station: Station([0, 0x12, 0x34, 0x56, 0x78]),
            password: 0x1234,
            function: Function::Known(function),
            packet,
            serial: heads.then_some(3),
            sent_at: "2016-07-01T01:00:08Z".parse().ok().filter(|_| heads),
            content,
            end: End::Etx,
        };
        message.build().unwrap()
    }

    fn seal(frame: &mut Vec<u8>) {
        frame.resize(frame.len().clamp(17, 4112), 0);
        let (body, end) = (u16::try_from(frame.len() - 17).unwrap(), frame.len() - 3);
        let [high, low] = body.to_be_bytes();
        frame[..2].copy_from_slice(&[0x7E, 0x7E]);
        (frame[11], frame[12]) = ((frame[11] & 0x80) | high, low);
        frame[13] = if frame[13] == 0x16 { 0x16 } else { 0x02 };
        frame[end] = 0x03;
        let sum = crc::modbus(&frame[..=end]).to_be_bytes();
        frame[end + 1..].copy_from_slice(&sum);
    }

    #[test]
    fn mutated_frames_never_panic_and_what_they_give_is_bounded() {
        let source = read_table(&mut toml_span::parse(SOURCE).unwrap()).unwrap();
        let secret = Some("1234".to_owned().into());
        let stations = Stations::new(vec![Device { sensor: "gauge".parse().unwrap(), source, secret }]);
        let head = [0xF1, 0xF1, 0, 0x12, 0x34, 0x56, 0x78, b'H', 0xF0, 0xF0, 0x16, 0x07, 0x01, 0x08, 0x05];
        let numbers = [0x39, 0x23, 0, 0, 1, 0x27, 0x38, 0x12, 0x11, 0x15, 0xFF, 0x04, 0x11, 0x12, 0x34];
        let series = [&[0xF4, 0x60][..], &[3; 12], &[0xF5, 0xC0], &[4; 24]].concat();
        let both = [&head[..], &numbers, &series].concat();
        // Elements of two bytes: as many as a message holds.
        let many = [0x39, 0x00].repeat(2000);
        let packet = |number| Some(PacketNumber { total: 2, number });
        let seeds = [
            seed(KnownFunction::Scheduled, None, &both),
            seed(KnownFunction::Hourly, None, &series),
            seed(KnownFunction::Alarm, packet(1), &both),
            seed(KnownFunction::Alarm, packet(2), &both),
            seed(KnownFunction::LinkKeep, None, &[]),
            seed(KnownFunction::Test, None, &many),
        ];
        mutation::survive(&stations, &seeds, seal);
    }
}
