//! An SL 651-2014 station: it connects, sends reports in HEX/BCD, and waits to be acknowledged.

use std::{io, net::SocketAddr};

use jiff::Timestamp;
use snowgate_core::sensor::codec::{
    DEVICE_ZONE,
    sl651::{Direction, End, Function, KnownFunction, Message, Sl651, Station},
};

use crate::line::{Line, invalid};

/// A station; its connection is closed when it is dropped.
///
/// ```no_run
/// # use snowgate_core::sensor::codec::sl651::End;
/// # use snowgate_simulators::sl651::{Sl651Station, number};
/// # fn main() -> std::io::Result<()> {
/// let mut station = Sl651Station::connect("127.0.0.1:9651".parse().unwrap(), [0x00, 0x12, 0x34, 0x56, 0x78])?;
/// assert_eq!(station.send_scheduled(&[number(0x39, 12.34, 2)])?.end, End::Esc);
/// # Ok(())
/// # }
/// ```
pub struct Sl651Station {
    /// The connection, for what no station should send.
    pub line: Line<Sl651>,
    station: Station,
    password: u16,
    serial: u16,
    /// The time on its clock; the system's if left out.
    pub clock: Option<Timestamp>,
}

/// What the centre answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// How it ends: ESC stay online, EOT leave, ACK go on.
    pub end: End,
    /// The serial number of what it answers.
    pub serial: Option<u16>,
    /// The function of what it answers.
    pub function: Function,
}

impl Sl651Station {
    /// Connects a station with this address and the password 1234.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(centre: SocketAddr, station: [u8; 5]) -> io::Result<Self> {
        Ok(Self { line: Line::connect(centre)?, station: Station(station), password: 0x1234, serial: 0, clock: None })
    }

    /// With another password.
    #[must_use]
    pub fn with_password(self, password: u16) -> Self {
        Self { password, ..self }
    }

    /// Sends a scheduled report (32) of these elements, measured now, and waits for the answer.
    ///
    /// # Errors
    /// They do not fit into a message, or no answer to it comes.
    pub fn send_scheduled(&mut self, elements: &[Vec<u8>]) -> io::Result<Answer> {
        let content = [self.station_element(), observed_at(self.now()), elements.concat()].concat();
        self.send(KnownFunction::Scheduled, &content)
    }

    /// Sends a report of this content and waits for the answer.
    ///
    /// # Errors
    /// It does not fit into a message, or no answer to it comes.
    pub fn send(&mut self, function: KnownFunction, content: &[u8]) -> io::Result<Answer> {
        let bytes = self.message(function, content).build().map_err(invalid)?;
        self.line.send(&bytes)?;
        let answer = self.answer()?;
        if answer.serial != Some(self.serial) || answer.function != Function::Known(function) {
            return Err(invalid(format!("sent {function:?} number {}, and the answer is {answer:?}", self.serial)));
        }
        Ok(answer)
    }

    /// Keeps the link alive (2F); nothing answers that.
    ///
    /// # Errors
    /// The centre has hung up.
    pub fn keep_link(&mut self) -> io::Result<()> {
        let bytes = self.message(KnownFunction::LinkKeep, &[]).build().map_err(invalid)?;
        self.line.send(&bytes)
    }

    /// The next message of the centre's to this station.
    ///
    /// # Errors
    /// None comes, or it is not to this station.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let station = self.station;
        self.line.receive(|message| {
            if message.direction != Direction::Down || message.station != station {
                return Err(invalid(format!("{message:?} is no answer to station {station}")));
            }
            Ok(Answer { end: message.end, serial: message.serial, function: message.function })
        })?
    }

    /// A message with the next serial number, to be changed as need be.
    pub fn message<'a>(&mut self, function: KnownFunction, content: &'a [u8]) -> Message<'a> {
        self.serial = self.serial.wrapping_add(1);
        Message {
            direction: Direction::Up,
            centre: 1,
            station: self.station,
            password: self.password,
            function: Function::Known(function),
            packet: None,
            serial: Some(self.serial),
            sent_at: Some(self.now()),
            content,
            end: End::Etx,
        }
    }

    /// The element that names this station (F1), a river's.
    pub fn station_element(&self) -> Vec<u8> {
        [&[0xF1, 0xF1][..], &self.station.0, b"H"].concat()
    }

    fn now(&self) -> Timestamp {
        self.clock.unwrap_or_else(Timestamp::now)
    }
}

/// The element that says when those after it were measured (F0), to the minute.
pub fn observed_at(at: Timestamp) -> Vec<u8> {
    let at = DEVICE_ZONE.to_datetime(at);
    let year = at.year().rem_euclid(100).unsigned_abs();
    let fields = [year, at.month().unsigned_abs().into(), at.day().unsigned_abs().into()];
    let time: [u16; 2] = [at.hour().unsigned_abs().into(), at.minute().unsigned_abs().into()];
    let digits = fields.into_iter().chain(time).map(|field| u8::try_from(field / 10 * 16 + field % 10).unwrap_or(0xFF));
    [0xF0, 0xF0].into_iter().chain(digits).collect()
}

/// An element with a number of 4 bytes and so many decimals (at most 7).
pub fn number(id: u8, value: f64, decimals: u8) -> Vec<u8> {
    let scaled = (value.abs() * 10f64.powi(i32::from(decimals))).round() as u64;
    let mut digits: Vec<u8> = (0..4).rev().map(|pair| scaled / 100u64.pow(pair) % 100).map(bcd).collect();
    if value < 0.0 {
        digits.insert(0, 0xFF);
    }
    let length = u8::try_from(digits.len()).unwrap_or_default();
    [vec![id, (length << 3) | (decimals & 7)], digits].concat()
}

fn bcd(pair: u64) -> u8 {
    u8::try_from(pair / 10 * 16 + pair % 10).unwrap_or(0xFF)
}
