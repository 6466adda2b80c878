//! HJ 212-2017 (环保): environmental stations that connect over TCP and send text.
//!
//! A message counts for the sensors whose `station` is its MN and whose password is its PW. Real-time (CN 2011), minute
//! (2051), hour (2061) and day (2031) data give samples; anything else is a sign of life. Whatever the station's flag asks to
//! be answered is answered (9014, or 9013 to its request for the time) once the intake has taken it; what is refused is not,
//! so that the station keeps it.

use jiff::{SignedDuration, Timestamp};
use snowgate_core::{
    ids::Id,
    secret::Secret,
    sensor::{
        codec::hj212::{Factor, Hj212, Packet, Split, Trust},
        reading::Sample,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    intake::{Device, Intake},
    spec::{Hj212Data, Hj212Factor, Hj212Figure, Hj212Source},
    station::{self, Listed, Outcome, Protocol, Roster},
};

pub use crate::station::Listen;

/// Listens for HJ 212 stations until it is time to stop.
pub async fn serve(listen: Listen, devices: Vec<Device<Hj212Source>>, intake: Intake, shutdown: CancellationToken) {
    let stations = Stations::new(devices);
    stations.0.tell_unusable(&intake).await;
    station::serve(listen, stations, intake, shutdown).await;
}

impl Hj212Source {
    /// The station's number: 1 to 24 printable ASCII characters that do not end a field.
    ///
    /// # Errors
    /// It is none; the message says what one looks like.
    pub fn mn(&self) -> Result<&str, String> {
        let legal = |c: u8| c.is_ascii_graphic() && !b";=&,".contains(&c);
        let station = self.station.as_str();
        if (1..=24).contains(&station.len()) && station.bytes().all(legal) {
            return Ok(station);
        }
        Err(format!(
            "{station:?} is no station's number: write its MN, 1 to 24 letters and digits, as the station shows it"
        ))
    }
}

impl Hj212Factor {
    /// The factor's code as HJ 524 and HJ 525 list them: letters and digits, without the figure.
    ///
    /// # Errors
    /// It is none; the message says what one looks like.
    pub fn code(&self) -> Result<&str, String> {
        let code = self.factor.as_str();
        if (1..=20).contains(&code.len()) && code.bytes().all(|c| c.is_ascii_alphanumeric()) {
            return Ok(code);
        }
        let help = match code.split_once('-') {
            Some((before, figure)) => format!("write factor = {before:?} and figure = {figure:?}"),
            None => "write a code such as \"w01018\" (COD) or \"a34004\" (PM2.5)".to_owned(),
        };
        Err(format!("{code:?} is no factor's code: {help}"))
    }

    /// In which messages it stands: as told, or else real-time data for the present value and minute data for all others.
    pub fn data(&self) -> Hj212Data {
        self.data.unwrap_or(match self.figure {
            Hj212Figure::Realtime => Hj212Data::Realtime,
            Hj212Figure::Average | Hj212Figure::Least | Hj212Figure::Most | Hj212Figure::Sum => Hj212Data::Minute,
        })
    }
}

impl Hj212Data {
    fn of(command: u16) -> Option<Self> {
        Some(match command {
            2011 => Self::Realtime,
            2051 => Self::Minute,
            2061 => Self::Hour,
            2031 => Self::Day,
            _ => return None,
        })
    }

    /// How long after its `DataTime`, which is the beginning, data of this kind is complete. A minute's data may be that of
    /// any number of minutes.
    fn length(self) -> SignedDuration {
        match self {
            Self::Realtime | Self::Minute => SignedDuration::ZERO,
            Self::Hour => SignedDuration::from_hours(1),
            Self::Day => SignedDuration::from_hours(24),
        }
    }
}

impl Hj212Figure {
    fn read(self, factor: &Factor<'_>) -> Option<f64> {
        match self {
            Self::Realtime => factor.real_time,
            Self::Average => factor.average,
            Self::Least => factor.minimum,
            Self::Most => factor.maximum,
            Self::Sum => factor.cumulated,
        }
    }
}

/// The stations by their MN.
struct Stations(Roster<String, Expected>);

/// What a sensor's file says of its station.
struct Expected {
    password: Option<Secret>,
    values: Vec<Wanted>,
}

struct Wanted {
    quantity: Id,
    code: String,
    figure: Hj212Figure,
    data: Hj212Data,
}

impl Wanted {
    fn read(value: &Hj212Factor) -> Result<Self, String> {
        Ok(Self {
            quantity: value.quantity.id.value.clone(),
            code: value.code()?.to_owned(),
            figure: value.figure,
            data: value.data(),
        })
    }

    /// The value a factor gives. What stands there and is no number is told as none, for the station has spoken of it.
    fn value(&self, factor: &Factor<'_>) -> Option<f64> {
        let unreadable = || factor.other.iter().any(|(attribute, _)| *attribute == self.figure.as_str());
        self.figure.read(factor).or_else(|| unreadable().then_some(f64::NAN))
    }
}

/// The parts of a split packet may name the time once.
#[derive(Default)]
struct Conversation {
    /// The part that came last, unless the packet is complete.
    last_part: Option<Part>,
}

/// A part of a split packet, and the time of its data.
struct Part {
    mn: String,
    cn: u16,
    split: Split,
    time: Timestamp,
}

impl Part {
    fn comes_before(&self, packet: &Packet<'_>, split: Split) -> bool {
        let next = self.split.total == split.total && self.split.number + 1 == split.number;
        next && self.cn == packet.cn && self.mn == packet.mn
    }
}

impl Conversation {
    /// The time of a packet's data: its own, or that of the part before it.
    fn time(&mut self, packet: &Packet<'_>, own: Option<Timestamp>) -> Option<Timestamp> {
        let before = self.last_part.take();
        let split = packet.split?;
        let time = own.or_else(|| Some(before.filter(|part| part.comes_before(packet, split))?.time))?;
        if split.number < split.total {
            self.last_part = Some(Part { mn: packet.mn.to_owned(), cn: packet.cn, split, time });
        }
        Some(time)
    }
}

impl Stations {
    fn new(devices: Vec<Device<Hj212Source>>) -> Self {
        Self(Roster::new(devices, |device| {
            let values = device.source.values.iter().map(Wanted::read).collect::<Result<_, _>>()?;
            Ok((device.source.mn()?.to_owned(), Expected { password: device.secret.clone(), values }))
        }))
    }
}

impl Expected {
    fn admits(&self, packet: &Packet<'_>) -> bool {
        self.password.as_ref().is_none_or(|password| packet.pw == Some(password.expose()))
    }
}

impl Protocol for Stations {
    const NAME: &'static str = "hj212";
    type Framing = Hj212;
    type Conversation = Conversation;

    fn sensors(&self) -> &[Id] {
        self.0.sensors()
    }

    fn hear(&self, packet: Packet<'_>, conversation: &mut Conversation, now: Timestamp) -> Outcome {
        let known = self.0.of(packet.mn);
        let Some(first) = known.first() else {
            return Outcome::refused(None, "unknown_sensor", format!("no sensor has station = {:?}", packet.mn));
        };
        let admitted: Vec<&Listed<Expected>> = known.iter().filter(|listed| listed.expected.admits(&packet)).collect();
        if admitted.is_empty() {
            let why = format!("the password (PW) of station {:?} is wrong", packet.mn);
            return Outcome::refused(Some(first.sensor), "unauthorised", why);
        }
        let mut outcome = Outcome {
            heard: admitted.iter().map(|listed| (listed.sensor, Vec::new())).collect(),
            answer: packet.wanted_answer().and_then(|answer| answer.build().ok()),
            ..Outcome::default()
        };
        let Some(data) = Hj212Data::of(packet.cn) else {
            return outcome;
        };
        let own = packet.data_time();
        if let Err(error) = &own {
            // A broken clock does not lose the measurement.
            outcome.refused.extend(Outcome::refused(Some(first.sensor), "malformed", error.to_string()).refused);
        }
        let own = own.ok().flatten();
        let began = conversation.time(&packet, own).or(own);
        // Some stations name the end: what would end in the future has.
        let ended = began.map(|began| began.checked_add(data.length()).ok().filter(|end| *end <= now).unwrap_or(began));
        let factors = packet.factors();
        for Listed { sensor, expected } in admitted {
            for wanted in expected.values.iter().filter(|wanted| wanted.data == data) {
                let Some(factor) = factors.iter().find(|factor| factor.code == wanted.code) else { continue };
                let Some(value) = wanted.value(factor) else { continue };
                let flagged = factor.mark.is_some_and(|mark| mark.trust() != Trust::Good);
                let sample = Sample { value, measured: factor.sample_time.or(ended), flagged };
                outcome.sample(*sensor, &wanted.quantity, sample);
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use snowgate_core::{
        sensor::codec::{crc, hj212::Flag},
        spec::read_table,
    };

    use super::*;
    use crate::station::mutation;

    const SOURCE: &str = "
        station = '88888880000001'
        [[values]]
        id = 'cod'
        factor = 'w01018'
        [[values]]
        id = 'cod_hour'
        factor = 'w01018'
        figure = 'Avg'
        data = 'hour'
        [[values]]
        id = 'flow'
        factor = 'w00000'
        figure = 'Cou'
        data = 'day'
    ";

    fn seed(cn: u16, split: Option<Split>, cp: &str) -> Vec<u8> {
        let (qn, pw, flag) = (Some("20160801085000001"), Some("123456"), Flag(5));
        Packet { qn, st: "32", cn, pw, mn: "88888880000001", flag, split, cp }.build().unwrap()
    }

    fn seal(frame: &mut Vec<u8>) {
        let data = frame.get(6..frame.len().saturating_sub(6)).unwrap_or_default();
        let data = data[..data.len().min(1024)].to_vec();
        *frame = [format!("##{:04}", data.len()).as_bytes(), &data].concat();
        frame.extend_from_slice(format!("{:04X}\r\n", crc::hj212(&data)).as_bytes());
    }

    #[test]
    fn mutated_frames_never_panic_and_what_they_give_is_bounded() {
        let source = read_table(&mut toml_span::parse(SOURCE).unwrap()).unwrap();
        let secret = Some("123456".to_owned().into());
        let stations = Stations::new(vec![Device { sensor: "outfall".parse().unwrap(), source, secret }]);
        let content = "DataTime=20160801080000;w01018-Rtd=1.5,w01018-Avg=2,w01018-Flag=N;w00000-Cou=9,w00000-Flag=D";
        let seeds = [
            seed(2011, None, content),
            seed(2061, None, content),
            seed(2031, Some(Split { total: 3, number: 1 }), content),
            seed(2031, Some(Split { total: 3, number: 2 }), "w00000-Cou=---"),
            seed(1013, None, ""),
        ];
        mutation::survive(&stations, &seeds, seal);
    }
}
