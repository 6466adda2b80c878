//! GB/T 26875.3-2011, remote fire monitoring: what a user's transmission device tells a monitoring centre.
//!
//! Frame: `@@`, control unit (25: serial 2, version 2, time 6, source 6, destination 6, data length 2, command 1), data
//! (at most 1024), checksum (sum of control unit and data, modulo 256), `##`. Every number has its **low byte first**:
//! the two bytes of a component in fire are `02 00`, and reading them the other way round finds no fire. Times are
//! second, minute, hour, day, month, year, in binary, UTC+8.
//!
//! Data is one unit: type flag, number of objects, objects, each followed by its time. Left raw: software versions and
//! configurations of building systems (5 to 7), the device's configuration (26), types a maker defines (128 and up),
//! and the data of downlinks (control, request). Descriptions stay bytes: GB 18030 is not decoded here.

use jiff::Timestamp;
use thiserror::Error;

use super::{Cut, Framing, StreamDecoder, device_clock, device_time, noise_before};

mod names;
mod object;
#[cfg(test)]
mod tests;

pub use names::{component_name, system_name};
pub use object::{
    Analogue, Component, ComponentState, DeviceOperation, DeviceState, Entry, Object, Operation, System, SystemState,
};

const MARKER: [u8; 2] = *b"@@";
const END: [u8; 2] = *b"##";
/// `@@` and the control unit.
const HEADER: usize = 27;
/// Checksum and `##`.
const TRAILER: usize = 3;
/// The longest data, bytes.
pub const MAX_DATA: usize = 1024;

/// Cuts GB/T 26875.3 frames out of a stream.
pub type Decoder = StreamDecoder<Gbt26875>;

/// GB/T 26875.3-2011's framing.
#[derive(Debug)]
pub enum Gbt26875 {}

/// What is wrong with a frame; offsets count bytes from its first `@`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Bytes that belong to no frame.
    #[error("{bytes} bytes stand where a frame's @@ should")]
    Noise {
        /// How many.
        bytes: usize,
    },
    /// The data would be longer than the standard allows.
    #[error("bytes 24 and 25 should be a length of 0 to 1024, found {found}")]
    Length {
        /// The length.
        found: u16,
    },
    /// The frame does not end where its length says.
    #[error("byte {offset} should begin ##, found {found:02X?}")]
    End {
        /// Where the end should be.
        offset: usize,
        /// What stands there.
        found: [u8; 2],
    },
    /// The checksum fails.
    #[error("the frame's checksum is {found:02X}, its bytes give {expected:02X}")]
    Checksum {
        /// As sent.
        found: u8,
        /// As computed.
        expected: u8,
    },
    /// Not a whole frame.
    #[error("a frame has at least 30 bytes, this one {found}")]
    Short {
        /// Bytes there are.
        found: usize,
    },
    /// The data has no room for type flag and number of objects.
    #[error("the data should begin with a type flag and a number of objects, it has {found} byte")]
    Unit {
        /// Bytes there are.
        found: usize,
    },
    /// The objects do not fill the data.
    #[error("{count} objects of type {type_flag} should take {expected} bytes, found {found}")]
    Objects {
        /// Their type.
        type_flag: u8,
        /// How many there should be.
        count: u8,
        /// Bytes they should take, with their times.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
}

/// Why a frame cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The data is too long.
    #[error("the data is {length} bytes long, more than {max}", max = MAX_DATA)]
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

impl Framing for Gbt26875 {
    const MAX_FRAME: usize = HEADER + MAX_DATA + TRAILER;
    type Frame<'a> = Frame<'a>;
    type Error = DecodeError;

    fn cut(bytes: &[u8]) -> Cut<DecodeError> {
        let noise = noise_before(bytes, MARKER);
        if noise > 0 {
            return Cut::Reject { skip: noise, error: DecodeError::Noise { bytes: noise } };
        }
        let Some(&[.., low, high, _]) = bytes.first_chunk::<HEADER>() else {
            return Cut::Incomplete;
        };
        let length = u16::from_le_bytes([low, high]);
        if usize::from(length) > MAX_DATA {
            return Cut::Reject { skip: 1, error: DecodeError::Length { found: length } };
        }
        let total = HEADER + usize::from(length) + TRAILER;
        let Some((covered, &[found, end_a, end_b])) =
            bytes.get(MARKER.len()..total).and_then(|frame| frame.split_last_chunk::<TRAILER>())
        else {
            return Cut::Incomplete;
        };
        let end = [end_a, end_b];
        if end != END {
            return Cut::Reject { skip: 1, error: DecodeError::End { offset: total - END.len(), found: end } };
        }
        let expected = checksum(covered);
        if found == expected {
            Cut::Frame { length: total }
        } else {
            Cut::Reject { skip: total, error: DecodeError::Checksum { found, expected } }
        }
    }

    fn parse(frame: &[u8]) -> Result<Frame<'_>, DecodeError> {
        let short = DecodeError::Short { found: frame.len() };
        let Some((header, rest)) = frame.split_first_chunk::<HEADER>() else { return Err(short) };
        let Some((data, _)) = rest.split_last_chunk::<TRAILER>() else { return Err(short) };
        let &[_, _, serial_low, serial_high, main, user, addressed @ .., _, _, command] = header;
        let [second, minute, hour, day, month, year, addresses @ ..]: [u8; 18] = addressed;
        let [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5]: [u8; 12] = addresses;
        Ok(Frame {
            serial: u16::from_le_bytes([serial_low, serial_high]),
            version: Version { main, user },
            sent_at: clock([second, minute, hour, day, month, year]),
            source: Address([s0, s1, s2, s3, s4, s5]),
            destination: Address([d0, d1, d2, d3, d4, d5]),
            command: Command::from_byte(command),
            data,
        })
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
}

/// Second, minute, hour, day, month, year; `None` if that is no moment. All zero, as some senders have it, is none.
fn clock([second, minute, hour, day, month, year]: [u8; 6]) -> Option<Timestamp> {
    (year < 100).then(|| device_time(2000 + u16::from(year), [month, day, hour, minute, second], 0)).flatten()
}

/// The protocol's version, as the sender states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The standard's part.
    pub main: u8,
    /// The maker's part.
    pub user: u8,
}

/// An address as sent, low byte first; shown as 12 hex digits, high byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub [u8; 6]);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// 1: the centre sets something.
    Control,
    /// 2: the device reports; to be confirmed.
    Send,
    /// 3: received.
    Confirm,
    /// 4: the centre asks.
    Request,
    /// 5: the device answers.
    Reply,
    /// 6: not accepted.
    Deny,
    /// Reserved, or a maker's own (128 and up).
    Other(u8),
}

impl Command {
    /// The meaning of a command byte.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Control,
            2 => Self::Send,
            3 => Self::Confirm,
            4 => Self::Request,
            5 => Self::Reply,
            6 => Self::Deny,
            other => Self::Other(other),
        }
    }

    /// The byte on the wire.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Send => 2,
            Self::Confirm => 3,
            Self::Request => 4,
            Self::Reply => 5,
            Self::Deny => 6,
            Self::Other(byte) => byte,
        }
    }
}

/// One frame, decoded; its data borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The sender's serial number; an answer repeats it.
    pub serial: u16,
    /// The protocol's version.
    pub version: Version,
    /// When it was sent by the sender's clock, `None` where that shows no moment.
    pub sent_at: Option<Timestamp>,
    /// Who sent it.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// What it is for.
    pub command: Command,
    /// The application's data unit.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The objects a device sends or answers with (commands 2 and 5); none for other commands and without data.
    ///
    /// # Errors
    /// The objects do not fill the data exactly, with or without their times: nothing of it can be trusted.
    pub fn entries(&self) -> Result<Vec<Entry<'a>>, DecodeError> {
        if self.data.is_empty() || !matches!(self.command, Command::Send | Command::Reply) {
            return Ok(Vec::new());
        }
        object::entries(self.data)
    }

    /// Whether the sender repeats this until it is confirmed.
    pub fn wants_confirmation(&self) -> bool {
        self.command == Command::Send
    }

    /// The confirmation of this frame (command 3), sent at `at`.
    pub fn confirmation(&self, at: Timestamp) -> Frame<'static> {
        self.answer(Command::Confirm, at)
    }

    /// The denial of this frame (command 6), sent at `at`.
    pub fn denial(&self, at: Timestamp) -> Frame<'static> {
        self.answer(Command::Deny, at)
    }

    fn answer(&self, command: Command, at: Timestamp) -> Frame<'static> {
        Frame {
            serial: self.serial,
            version: self.version,
            sent_at: Some(at),
            source: self.destination,
            destination: self.source,
            command,
            data: &[],
        }
    }

    /// The bytes of this frame; without a time its six bytes are zero.
    ///
    /// # Errors
    /// The data is longer than [`MAX_DATA`], or the time has no two-digit year.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let length = self.data.len();
        let size = u16::try_from(length).ok().filter(|_| length <= MAX_DATA).ok_or(BuildError::TooLong { length })?;
        let mut time = match self.sent_at {
            Some(at) => device_clock(at).ok_or(BuildError::Year { at })?,
            None => [0; 6],
        };
        time.reverse();

        let mut frame: Vec<u8> = Vec::with_capacity(HEADER + length + TRAILER);
        frame.extend(MARKER);
        frame.extend(self.serial.to_le_bytes());
        frame.extend([self.version.main, self.version.user]);
        frame.extend(time);
        frame.extend(self.source.0);
        frame.extend(self.destination.0);
        frame.extend(size.to_le_bytes());
        frame.push(self.command.to_byte());
        frame.extend_from_slice(self.data);
        let sum = checksum(frame.get(MARKER.len()..).unwrap_or_default());
        frame.push(sum);
        frame.extend(END);
        Ok(frame)
    }
}
