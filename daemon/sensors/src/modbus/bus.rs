//! What a bus is and how its line is opened, and what can be wrong with the settings of buses and sources.

use std::{fmt, time::Duration};

use snowgate_core::{
    ids::Id,
    spec::{DeserError, Error, Located, Span, TimeSpan, custom},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_serial::{DataBits, FlowControl, SerialPortBuilderExt as _, StopBits};

use super::line::{Framing, Line};
use crate::spec::{ModbusBusSpec, ModbusKind, ModbusRegister, ModbusSource, Parity};

/// How long opening a TCP connection may take, resolving the host's name included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Modbus TCP's registered port.
const TCP_PORT: u16 = 502;
/// Above this rate the quiet time between frames no longer shrinks (MODBUS over Serial Line V1.02, 2.5.1.1).
const FAST_BAUD: u32 = 19_200;
/// The quiet time between frames above [`FAST_BAUD`].
const FAST_GAP: Duration = Duration::from_micros(1_750);
/// Polling faster than this would be a flood on any line.
const LEAST_INTERVAL: TimeSpan = TimeSpan::millis(100);
/// An answer that takes longer than this is none.
const LONGEST_TIMEOUT: TimeSpan = TimeSpan::secs(60);

/// One Modbus line on which requests go one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bus {
    /// Name that sensors refer to.
    pub id: Id,
    /// Where it is.
    pub port: Port,
    /// Quiet time before each request.
    pub pause: Duration,
}

/// Where a bus is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// A Modbus TCP device or gateway.
    Tcp {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Modbus RTU line; 8 data bits.
    Serial {
        /// The device, such as `/dev/ttyS0`.
        path: String,
        /// Bits a second.
        baud: u32,
        /// The parity bit.
        parity: Parity,
        /// 1 or 2.
        stop_bits: u8,
    },
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Serial { path, .. } => f.write_str(path),
        }
    }
}

impl Port {
    /// The quiet time before a request that the standard demands: 3.5 characters on a serial line.
    fn least_pause(&self) -> Duration {
        match self {
            Self::Tcp { .. } => Duration::ZERO,
            Self::Serial { baud, .. } if *baud > FAST_BAUD => FAST_GAP,
            Self::Serial { baud, parity, stop_bits, .. } => {
                let character = 1 + 8 + u32::from(*parity != Parity::None) + u32::from(*stop_bits);
                Duration::from_secs_f64(3.5 * f64::from(character) / f64::from((*baud).max(1)))
            }
        }
    }

    /// Connects, or opens the device.
    ///
    /// # Errors
    /// Why not, in the system's words.
    pub(super) async fn open(&self, pause: Duration) -> Result<Line, String> {
        let pause = pause.max(self.least_pause());
        match self {
            Self::Tcp { host, port } => {
                let connected = timeout(CONNECT_WITHIN, TcpStream::connect((host.as_str(), *port))).await;
                let stream = connected
                    .map_err(|_| format!("no connection within {} s", CONNECT_WITHIN.as_secs()))?
                    .map_err(|error| error.to_string())?;
                // Requests are one small packet each: waiting for more to send would only delay them.
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                Ok(Line::over(stream, Framing::Tcp, pause))
            }
            Self::Serial { path, baud, parity, stop_bits } => tokio_serial::new(path, *baud)
                .data_bits(DataBits::Eight)
                .flow_control(FlowControl::None)
                .parity(match parity {
                    Parity::None => tokio_serial::Parity::None,
                    Parity::Even => tokio_serial::Parity::Even,
                    Parity::Odd => tokio_serial::Parity::Odd,
                })
                .stop_bits(if *stop_bits == 2 { StopBits::Two } else { StopBits::One })
                .open_native_async()
                .map(|stream| Line::over(stream, Framing::Rtu, pause))
                .map_err(|error| error.to_string()),
        }
    }
}

impl ModbusBusSpec {
    /// The bus that is described.
    ///
    /// # Errors
    /// All mistakes, each at its place.
    pub fn bus(&self) -> Result<Bus, DeserError> {
        let mut mistakes = Mistakes::default();
        if *self.pause > LONGEST_TIMEOUT {
            mistakes.add(self.pause.span, format!("a pause of more than {LONGEST_TIMEOUT} is no pause"));
        }
        let port = match (&*self.tcp, &*self.serial) {
            (Some(tcp), None) => host_and_port(tcp).map_err(|message| mistakes.add(tcp.span, message)).ok(),
            (None, Some(serial)) => self.serial_port(serial, &mut mistakes),
            (Some(_), Some(serial)) => {
                mistakes.add(serial.span, format!("bus `{}` has both tcp and serial: it is one of them", *self.id));
                None
            }
            (None, None) => {
                mistakes
                    .add(self.id.span, format!("bus `{}` needs tcp = \"HOST:PORT\" or serial = \"DEVICE\"", *self.id));
                None
            }
        };
        mistakes.none_or(port.map(|port| Bus { id: self.id.value.clone(), port, pause: **self.pause }))
    }

    fn serial_port(&self, path: &Located<String>, mistakes: &mut Mistakes) -> Option<Port> {
        let before = mistakes.0.len();
        if path.is_empty() {
            mistakes.add(path.span, "serial is empty: it is a device such as \"/dev/ttyS0\"");
        }
        if !(300..=4_000_000).contains(&*self.baud) {
            mistakes.add(self.baud.span, format!("{} baud: a serial line has 300 to 4000000", *self.baud));
        }
        if !matches!(*self.stop_bits, 1 | 2) {
            mistakes.add(self.stop_bits.span, format!("{} stop bits: there are 1 or 2", *self.stop_bits));
        }
        (mistakes.0.len() == before).then(|| Port::Serial {
            path: path.value.clone(),
            baud: *self.baud,
            parity: self.parity,
            stop_bits: *self.stop_bits,
        })
    }
}

/// `host:port`, `host`, `[::1]:port` or `::1`.
fn host_and_port(text: &str) -> Result<Port, String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let wrong = |why: &str| Err(format!("{text:?} is no host and port, such as \"192.168.1.30:502\": {why}"));
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | '[' | ']')) {
        return wrong("the host is none");
    }
    match port.map_or(Ok(TCP_PORT), str::parse) {
        Ok(port) if port > 0 => Ok(Port::Tcp { host: host.to_owned(), port }),
        _ => wrong("the port is none"),
    }
}

impl ModbusSource {
    /// Whether it can be polled on its bus.
    ///
    /// # Errors
    /// All mistakes, each at its place; those of its values included.
    pub fn check(&self, bus: &Bus) -> Result<(), DeserError> {
        let mut mistakes = Mistakes::default();
        let slave = *self.slave;
        if matches!(bus.port, Port::Serial { .. }) && !(1..=247).contains(&slave) {
            mistakes.add(self.slave.span, format!("slave {slave}: on a serial line slaves are 1 to 247"));
        }
        if **self.timeout == Duration::ZERO || *self.timeout > LONGEST_TIMEOUT {
            mistakes.add(self.timeout.span, format!("a timeout lies between 1ms and {LONGEST_TIMEOUT}"));
        }
        if *self.poll_every < LEAST_INTERVAL {
            mistakes.add(self.poll_every.span, format!("poll_every is at least {LEAST_INTERVAL}"));
        }
        for value in &self.values {
            if let Err(error) = value.check() {
                mistakes.0.extend(error.errors);
            }
        }
        mistakes.none_or(Some(()))
    }
}

impl ModbusRegister {
    /// Whether there is such a value.
    ///
    /// # Errors
    /// All mistakes, each at its place.
    pub fn check(&self) -> Result<(), DeserError> {
        let mut mistakes = Mistakes::default();
        let (id, table, kind) = (&self.quantity.id, self.table, self.kind);
        if table.is_bits() && kind != ModbusKind::Bit {
            mistakes.add(id.span, format!("`{}`: {table} are bits: write kind = \"bit\"", **id));
        }
        match &*self.bit {
            Some(bit) if table.is_bits() || kind != ModbusKind::Bit => {
                mistakes.add(bit.span, "bit goes with kind = \"bit\" in holding and input registers only");
            }
            Some(bit) if **bit > 15 => mistakes.add(bit.span, format!("bit {}: a register has 0 to 15", **bit)),
            None if !table.is_bits() && kind == ModbusKind::Bit => {
                mistakes.add(id.span, format!("`{}`: which bit of the register? Write bit = 0 … 15", **id));
            }
            _ => {}
        }
        if u32::from(*self.address) + u32::from(kind.registers()) > 1 << 16 {
            mistakes.add(self.address.span, format!("{kind} takes {} registers: the last is 65535", kind.registers()));
        }
        mistakes.none_or(Some(()))
    }
}

#[derive(Default)]
struct Mistakes(Vec<Error>);

impl Mistakes {
    fn add(&mut self, span: Span, message: impl Into<String>) {
        self.0.extend(custom(message.into(), span).errors);
    }

    /// The value, unless there are mistakes; without mistakes there is a value.
    fn none_or<T>(self, value: Option<T>) -> Result<T, DeserError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(DeserError { errors: self.0 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snowgate_core::spec::Deserialize;

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> T {
        T::deserialize(&mut toml_span::parse(text).unwrap()).unwrap()
    }

    fn port(text: &str) -> Result<Port, String> {
        read::<ModbusBusSpec>(&format!("id = 'b'\n{text}")).bus().map(|bus| bus.port).map_err(|e| e.to_string())
    }

    #[test]
    fn a_bus_is_a_host_or_a_device() {
        let tcp = |host: &str, port| Ok(Port::Tcp { host: host.into(), port });
        assert_eq!(port("tcp = '192.168.1.30:1502'"), tcp("192.168.1.30", 1502));
        assert_eq!(port("tcp = 'gateway.lan'"), tcp("gateway.lan", 502));
        assert_eq!(port("tcp = '[fe80::1]:503'"), tcp("fe80::1", 503));
        assert_eq!(port("tcp = 'fe80::1'"), tcp("fe80::1", 502));
        assert_eq!(tcp("fe80::1", 502).map(|port| port.to_string()), Ok("[fe80::1]:502".into()));
        let serial = port("serial = '/dev/ttyS0'\nparity = 'even'").unwrap();
        assert_eq!(serial.to_string(), "/dev/ttyS0");
        // 3.5 characters of 11 bits at 9600 baud; the fixed gap above 19200.
        assert_eq!(serial.least_pause().as_micros(), 4010);
        assert_eq!(port("serial = '/dev/ttyS0'\nbaud = 115200").unwrap().least_pause(), FAST_GAP);
        for (wrong, said) in [
            ("", "needs tcp"),
            ("tcp = 'a'\nserial = 'b'", "both"),
            ("tcp = 'host:0'", "port"),
            ("tcp = 'host:x'", "port"),
            ("tcp = 'tcp://host'", "port"),
            ("tcp = ':502'", "host"),
            ("serial = ''", "empty"),
            ("serial = '/dev/ttyS0'\nbaud = 1", "baud"),
            ("serial = '/dev/ttyS0'\nstop_bits = 3", "stop bits"),
            ("tcp = 'a'\npause = '2h'", "pause"),
        ] {
            let error = port(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    #[test]
    fn mistakes_of_a_source_are_told_together_each_at_its_place() {
        let bus = read::<ModbusBusSpec>("id = 'b'\nserial = '/dev/ttyS0'").bus().unwrap();
        let text = "bus = 'b'\nslave = 248\npoll_every = '10ms'\ntimeout = '0s'\nvalues = [
            { id = 'a', address = 65535, kind = 'f32' },
            { id = 'b', address = 0, table = 'coils' },
            { id = 'c', address = 0, kind = 'bit' },
            { id = 'd', address = 0, kind = 'bit', bit = 16 },
            { id = 'e', address = 0, bit = 1 },
        ]";
        let errors = read::<ModbusSource>(text).check(&bus).unwrap_err().errors;
        let said: Vec<(&str, String)> =
            errors.iter().map(|error| (&text[error.span.start..error.span.end], error.to_string())).collect();
        for ((place, message), (at, part)) in said.iter().zip([
            ("248", "1 to 247"),
            ("0s", "timeout"),
            ("10ms", "poll_every"),
            ("65535", "2 registers"),
            ("b", "kind = \"bit\""),
            ("c", "which bit"),
            ("16", "0 to 15"),
            ("1", "only"),
        ]) {
            assert!(place.contains(at) && message.contains(part), "{place}: {message}");
        }
        assert_eq!(said.len(), 8, "{said:?}");

        let tcp = Bus { port: Port::Tcp { host: "h".into(), port: 502 }, ..bus };
        let good =
            "bus = 'b'\nslave = 255\nvalues = [{ id = 'a', address = 65534, kind = 'f32', byte_order = 'CDAB' }]";
        read::<ModbusSource>(good).check(&tcp).unwrap();
    }
}
