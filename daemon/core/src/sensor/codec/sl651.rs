//! SL 651-2014, hydrology: the HEX/BCD encoding.
//!
//! Frame: `7E 7E`, centre (1) and station (5), password (2), function (1), direction and length (2: top nibble 0 up, 8
//! down; 12 bits of body length), STX or SYN, body, end character, CRC-16/MODBUS over all before it, high byte first.
//! An uplink names the centre first, a downlink the station. The body opens with a serial number (2) and the sending
//! time (6, BCD, UTC+8); after SYN the packet's total and number (12 bits each) come before them, and only the first
//! packet carries them.
//!
//! Left raw: station state (45), time step (04) and duration (05), manual entries (F2), pictures (F3), velocity batches
//! (FD), makers' own elements (FF xx), and the bodies of functions that hold no list of elements (31, 35, 40 and up).

use jiff::Timestamp;
use thiserror::Error;

use super::{Cut, Framing, StreamDecoder, crc, device_clock, device_time, noise_before};

mod element;
#[cfg(test)]
mod tests;

pub use element::{Element, Elements, NotDigits, bcd_number, quantity};

const MARKER: [u8; 2] = [0x7E, 0x7E];
/// From the marker to STX or SYN.
const HEADER: usize = 14;
/// The end character and the CRC.
const TRAILER: usize = 3;
/// The longest body, bytes.
pub const MAX_BODY: usize = 0x0FFF;
const STX: u8 = 0x02;
const SYN: u8 = 0x16;
const DOWNLINK: u16 = 0x8000;

/// Cuts SL 651 frames out of a stream.
pub type Decoder = StreamDecoder<Sl651>;

/// SL 651-2014's framing, HEX/BCD.
#[derive(Debug)]
pub enum Sl651 {}

/// What is wrong with a frame; offsets count bytes from its first `7E` unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Bytes that belong to no frame.
    #[error("{bytes} bytes stand where a frame's 7E 7E should")]
    Noise {
        /// How many.
        bytes: usize,
    },
    /// Neither up nor down.
    #[error("byte 11 should begin with 0 (up) or 8 (down), found {found:02X}")]
    Direction {
        /// The byte.
        found: u8,
    },
    /// The body does not begin with STX or SYN.
    #[error("byte 13 should be 02 or 16, found {found:02X}")]
    Start {
        /// The byte.
        found: u8,
    },
    /// The frame does not end where its length says.
    #[error("byte {offset} should be an end character, found {found:02X}")]
    End {
        /// Where it should be.
        offset: usize,
        /// The byte.
        found: u8,
    },
    /// The checksum fails.
    #[error("the frame's CRC is {found:04X}, its bytes give {expected:04X}")]
    Crc {
        /// As sent.
        found: u16,
        /// As computed.
        expected: u16,
    },
    /// The body has no room for what it must begin with.
    #[error("the body should begin with {needed} bytes of head, it has {found}")]
    Short {
        /// Bytes of serial number and time, or of the packet's number.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// An element needs more bytes than are left; those after it are not read.
    #[error("the element at byte {offset} of the content needs {needed} bytes, {found} are left")]
    Truncated {
        /// Where it begins, from the beginning of the content.
        offset: usize,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// An element of fixed layout is declared with another one; those after it are not read.
    #[error("element {id:02X} at byte {offset} of the content should be defined by {expected}, found {found:02X}")]
    Definition {
        /// The element.
        id: u8,
        /// Where it begins, from the beginning of the content.
        offset: usize,
        /// What the standard says.
        expected: &'static str,
        /// The definition byte.
        found: u8,
    },
    /// An element's bytes are no number.
    #[error("element {id:02X} at byte {offset} of the content: {reason}")]
    Digits {
        /// The element.
        id: u8,
        /// Where it begins, from the beginning of the content.
        offset: usize,
        /// Which byte, and what it is.
        reason: NotDigits,
    },
}

/// Why a message cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The body is too long.
    #[error("the body is {length} bytes long, more than {max}: send it in packets", max = MAX_BODY)]
    TooLong {
        /// Its length, bytes.
        length: usize,
    },
    /// Two digits of a year mean 2000 to 2099.
    #[error("{at} has no two-digit year")]
    Year {
        /// The time to be sent.
        at: Timestamp,
    },
}

impl Framing for Sl651 {
    const MAX_FRAME: usize = HEADER + MAX_BODY + TRAILER;
    type Frame<'a> = Message<'a>;
    type Error = DecodeError;

    fn cut(bytes: &[u8]) -> Cut<DecodeError> {
        let noise = noise_before(bytes, MARKER);
        if noise > 0 {
            return Cut::Reject { skip: noise, error: DecodeError::Noise { bytes: noise } };
        }
        let Some(&[.., high, low, start]) = bytes.first_chunk::<HEADER>() else {
            return Cut::Incomplete;
        };
        if !matches!(high >> 4, 0 | 8) {
            return Cut::Reject { skip: 1, error: DecodeError::Direction { found: high } };
        }
        if !matches!(start, STX | SYN) {
            return Cut::Reject { skip: 1, error: DecodeError::Start { found: start } };
        }
        let body = usize::from(u16::from_be_bytes([high, low])) & MAX_BODY;
        let total = HEADER + body + TRAILER;
        let Some((covered, sent)) = bytes.get(..total).and_then(|frame| frame.split_last_chunk::<2>()) else {
            return Cut::Incomplete;
        };
        let end = covered.last().copied().unwrap_or_default();
        if End::from_byte(end).is_none() {
            return Cut::Reject { skip: 1, error: DecodeError::End { offset: HEADER + body, found: end } };
        }
        let (found, expected) = (u16::from_be_bytes(*sent), crc::modbus(covered));
        if found == expected {
            Cut::Frame { length: total }
        } else {
            Cut::Reject { skip: total, error: DecodeError::Crc { found, expected } }
        }
    }

    fn parse(frame: &[u8]) -> Result<Message<'_>, DecodeError> {
        let found = frame.len();
        let short = DecodeError::Short { needed: HEADER + TRAILER, found };
        let Some((header, rest)) = frame.split_first_chunk::<HEADER>() else { return Err(short) };
        let Some((body, &[end, _, _])) = rest.split_last_chunk::<TRAILER>() else { return Err(short) };
        let Some(end) = End::from_byte(end) else {
            return Err(DecodeError::End { offset: found - TRAILER, found: end });
        };
        let &[_, _, address @ .., password_high, password_low, function, high, _, start] = header;
        let [first, a, b, c, d, last]: [u8; 6] = address;
        let (direction, centre, station) = if high & 0x80 == 0 {
            (Direction::Up, first, Station([a, b, c, d, last]))
        } else {
            (Direction::Down, last, Station([first, a, b, c, d]))
        };
        let (packet, body) = if start == SYN { PacketNumber::split_from(body)? } else { (None, body) };
        let (head, content) = if packet.is_none_or(|packet| packet.number <= 1) {
            let missing = DecodeError::Short { needed: 8, found: body.len() };
            let (head, content) = body.split_first_chunk::<8>().ok_or(missing)?;
            (Some(head), content)
        } else {
            (None, body)
        };
        Ok(Message {
            direction,
            centre,
            station,
            password: u16::from_be_bytes([password_high, password_low]),
            function: Function::from_byte(function),
            packet,
            serial: head.map(|&[high, low, ..]| u16::from_be_bytes([high, low])),
            sent_at: head.and_then(|&[_, _, clock @ ..]| bcd_clock(clock)),
            content,
            end,
        })
    }
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the station to the centre.
    Up,
    /// From the centre to the station.
    Down,
}

/// A station's address as sent; shown as 10 hex digits, the usual way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Station(pub [u8; 5]);

impl std::fmt::Display for Station {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Which packet of a message sent in several (after SYN) this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketNumber {
    /// How many there are, below 4096.
    pub total: u16,
    /// Which one this is, from 1.
    pub number: u16,
}

impl PacketNumber {
    fn split_from(body: &[u8]) -> Result<(Option<Self>, &[u8]), DecodeError> {
        let missing = DecodeError::Short { needed: 3, found: body.len() };
        let (&[high, middle, low], rest) = body.split_first_chunk::<3>().ok_or(missing)?;
        let total = u16::from_be_bytes([high, middle]) >> 4;
        let number = u16::from_be_bytes([middle, low]) & 0x0FFF;
        Ok((Some(Self { total, number }), rest))
    }

    fn to_bytes(self) -> [u8; 3] {
        let packed = (u32::from(self.total & 0x0FFF) << 12) | u32::from(self.number & 0x0FFF);
        let [_, high, middle, low] = packed.to_be_bytes();
        [high, middle, low]
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$item_doc])* $item,)*
        }

        impl $name {
            /// The meaning of a byte, `None` if it has none.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($code => Some(Self::$item),)*
                    _ => None,
                }
            }

            /// The byte on the wire.
            pub fn to_byte(self) -> u8 {
                match self {
                    $(Self::$item => $code,)*
                }
            }
        }
    };
}

codes! {
    /// How a frame ends.
    End {
        /// Nothing follows.
        Etx = 0x03,
        /// More frames follow.
        Etb = 0x17,
        /// The centre asks.
        Enq = 0x05,
        /// The centre has it all: leave.
        Eot = 0x04,
        /// The centre has it: go on.
        Ack = 0x06,
        /// The centre does not have it: again.
        Nak = 0x15,
        /// The centre has it all: stay online.
        Esc = 0x1B,
    }
}

codes! {
    /// The functions this codec knows by name.
    KnownFunction {
        /// Keeps the link alive.
        LinkKeep = 0x2F,
        /// Test report.
        Test = 0x30,
        /// Report at even intervals: several values an element, left raw.
        EvenInterval = 0x31,
        /// Scheduled report.
        Scheduled = 0x32,
        /// Report of a threshold passed or a fast change.
        Alarm = 0x33,
        /// Hourly report.
        Hourly = 0x34,
        /// Manual entry.
        Manual = 0x35,
        /// Picture.
        Picture = 0x36,
        /// Query of what is measured now.
        QueryNow = 0x37,
        /// Query of named elements.
        QueryElements = 0x3A,
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// A function with a name here.
    Known(KnownFunction),
    /// Another one: settings and commands (40 to 51), makers' own (E0 and up).
    Other(u8),
}

impl Function {
    /// The meaning of a function byte.
    pub fn from_byte(byte: u8) -> Self {
        KnownFunction::from_byte(byte).map_or(Self::Other(byte), Self::Known)
    }

    /// The byte on the wire.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Known(known) => known.to_byte(),
            Self::Other(byte) => byte,
        }
    }
}

/// One frame, decoded; its content borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// The centre's address.
    pub centre: u8,
    /// The station's address.
    pub station: Station,
    /// The station's password.
    pub password: u16,
    /// What it is about.
    pub function: Function,
    /// Which packet of several this is, `None` for a message in one frame.
    pub packet: Option<PacketNumber>,
    /// The station's serial number; `None` in later packets, which carry none.
    pub serial: Option<u16>,
    /// When the station sent it by its own clock; `None` in later packets, and where the digits are no time.
    pub sent_at: Option<Timestamp>,
    /// The body after serial number and time.
    pub content: &'a [u8],
    /// How it ends.
    pub end: End,
}

impl<'a> Message<'a> {
    /// The elements of an uplink; none for a downlink, for later packets, and for functions whose content is no list of
    /// elements.
    pub fn elements(&self) -> Elements<'a> {
        use KnownFunction::{Alarm, Hourly, Picture, QueryElements, QueryNow, Scheduled, Test};
        let listed = matches!(
            self.function,
            Function::Known(Test | Scheduled | Alarm | Hourly | Picture | QueryNow | QueryElements)
        );
        let readable = listed && self.direction == Direction::Up && self.serial.is_some();
        Elements::new(if readable { self.content } else { &[] })
    }

    /// The frame of this message. Without a serial number neither it nor a time is sent; a missing time is sent as FF.
    ///
    /// # Errors
    /// The body would be longer than [`MAX_BODY`], or the time has no two-digit year.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let mut body: Vec<u8> = Vec::with_capacity(11 + self.content.len());
        body.extend(self.packet.map(PacketNumber::to_bytes).into_iter().flatten());
        if let Some(serial) = self.serial {
            body.extend(serial.to_be_bytes());
            body.extend(match self.sent_at {
                Some(at) => device_clock(at).ok_or(BuildError::Year { at })?.map(to_bcd),
                None => [0xFF; 6],
            });
        }
        body.extend_from_slice(self.content);
        let length = body.len();
        let size = u16::try_from(length).ok().filter(|_| length <= MAX_BODY).ok_or(BuildError::TooLong { length })?;

        let mut frame: Vec<u8> = Vec::with_capacity(HEADER + length + TRAILER);
        frame.extend(MARKER);
        match self.direction {
            Direction::Up => {
                frame.push(self.centre);
                frame.extend(self.station.0);
            }
            Direction::Down => {
                frame.extend(self.station.0);
                frame.push(self.centre);
            }
        }
        frame.extend(self.password.to_be_bytes());
        frame.push(self.function.to_byte());
        let direction = if self.direction == Direction::Down { DOWNLINK } else { 0 };
        frame.extend((direction | size).to_be_bytes());
        frame.push(if self.packet.is_some() { SYN } else { STX });
        frame.extend(body);
        frame.push(self.end.to_byte());
        frame.extend(crc::modbus(&frame).to_be_bytes());
        Ok(frame)
    }

    /// The downlink that acknowledges this uplink, sent at `at`: after the last frame ESC (stay online) or EOT (leave),
    /// after a frame that others follow ACK. `None` for what is not acknowledged: downlinks, link keeping, all packets
    /// of several but the last. A last packet carries no serial number: put the first one's into the answer.
    ///
    /// A station sending in its one-way mode (M1) looks the same and ignores the answer.
    pub fn acknowledgement(&self, stay_online: bool, at: Timestamp) -> Option<Message<'static>> {
        if self.direction == Direction::Down || self.function == Function::Known(KnownFunction::LinkKeep) {
            return None;
        }
        let end = match (self.end, self.packet) {
            (End::Etx, packet) if packet.is_none_or(|packet| packet.number == packet.total) => {
                if stay_online {
                    End::Esc
                } else {
                    End::Eot
                }
            }
            (End::Etb, None) => End::Ack,
            _ => return None,
        };
        Some(Message {
            direction: Direction::Down,
            centre: self.centre,
            station: self.station,
            password: self.password,
            function: self.function,
            packet: None,
            serial: Some(self.serial.unwrap_or_default()),
            sent_at: Some(at),
            content: &[],
            end,
        })
    }
}

/// The two decimal digits of a byte.
fn bcd(byte: u8) -> Option<u8> {
    let (tens, ones) = (byte >> 4, byte & 0x0F);
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

/// A number below 100 as two decimal digits.
fn to_bcd(number: u8) -> u8 {
    (number / 10) * 16 + number % 10
}

fn bcd_clock([year, month, day, hour, minute, second]: [u8; 6]) -> Option<Timestamp> {
    let fields = [bcd(month)?, bcd(day)?, bcd(hour)?, bcd(minute)?, bcd(second)?];
    device_time(2000 + u16::from(bcd(year)?), fields, 0)
}
