//! An HJ 212-2017 station: it connects, sends data, and waits for what its flag asks for.

use std::{io, net::SocketAddr};

use jiff::Timestamp;
use snowgate_core::sensor::codec::{
    DEVICE_ZONE,
    hj212::{Flag, Hj212, Packet},
};

use crate::line::{Line, invalid};

/// Version of the standard 2017, and an answer is wanted.
const ANSWER_WANTED: u8 = 5;

/// A station; its connection is closed when it is dropped.
///
/// ```no_run
/// # use snowgate_simulators::hj212::Hj212Station;
/// # fn main() -> std::io::Result<()> {
/// let mut station = Hj212Station::connect("127.0.0.1:9212".parse().unwrap(), "010000A8900016F000169DC0")?;
/// assert_eq!(station.send_realtime(&[("w01018", 12.5)])?.cn, 9014);
/// # Ok(())
/// # }
/// ```
pub struct Hj212Station {
    /// The connection, for what no station should send.
    pub line: Line<Hj212>,
    mn: String,
    password: String,
    /// The time on its clock; the system's if left out.
    pub clock: Option<Timestamp>,
}

/// What the centre answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The request's number: the one that was sent.
    pub qn: String,
    /// The answer's command: 9014 data receipt, 9013 notice receipt.
    pub cn: u16,
    /// Whose request it answers.
    pub mn: String,
}

impl Hj212Station {
    /// Connects a station with the number `mn` and the password 123456.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(centre: SocketAddr, mn: &str) -> io::Result<Self> {
        Ok(Self { line: Line::connect(centre)?, mn: mn.to_owned(), password: "123456".to_owned(), clock: None })
    }

    /// With another password.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        Self { password: password.to_owned(), ..self }
    }

    /// Sends present values (CN 2011) by factor and waits for the answer.
    ///
    /// # Errors
    /// They do not fit into a packet, or no answer to them comes.
    pub fn send_realtime(&mut self, values: &[(&str, f64)]) -> io::Result<Answer> {
        let fields: Vec<_> =
            values.iter().map(|(factor, value)| format!("{factor}-Rtd={value},{factor}-Flag=N")).collect();
        let cp = format!("DataTime={};{}", self.now().strftime("%Y%m%d%H%M%S"), fields.join(";"));
        self.send(2011, &cp)
    }

    /// Sends a packet with this content and waits for the answer.
    ///
    /// # Errors
    /// It does not fit into a packet, or no answer to it comes.
    pub fn send(&mut self, cn: u16, cp: &str) -> io::Result<Answer> {
        let qn = self.now().strftime("%Y%m%d%H%M%S%3f").to_string();
        let bytes = self.packet(cn, cp, &qn, ANSWER_WANTED)?;
        self.line.send(&bytes)?;
        let answer = self.answer()?;
        if answer.qn != qn || answer.mn != self.mn {
            return Err(invalid(format!("sent {qn}, and the answer is {answer:?}")));
        }
        Ok(answer)
    }

    /// The next packet of the centre's.
    ///
    /// # Errors
    /// None comes.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let read = |packet: Packet<'_>| Answer {
            qn: packet.qn.unwrap_or_default().to_owned(),
            cn: packet.cn,
            mn: packet.mn.to_owned(),
        };
        self.line.receive(read)
    }

    /// The bytes of a packet.
    ///
    /// # Errors
    /// It does not fit.
    pub fn packet(&self, cn: u16, cp: &str, qn: &str, flag: u8) -> io::Result<Vec<u8>> {
        let (pw, mn) = (Some(self.password.as_str()), self.mn.as_str());
        let packet = Packet { qn: Some(qn), st: "32", cn, pw, mn, flag: Flag(flag), split: None, cp };
        packet.build().map_err(invalid)
    }

    fn now(&self) -> jiff::Zoned {
        self.clock.unwrap_or_else(Timestamp::now).to_zoned(DEVICE_ZONE.to_time_zone())
    }
}
