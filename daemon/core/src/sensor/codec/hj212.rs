//! HJ 212-2017, environmental monitoring: text over TCP.
//!
//! Frame: `##`, 4 decimal digits of length, data (at most 1024 bytes), 4 hex digits of [`crc::hj212`] over the data,
//! CR LF. Data: `QN=…;ST=…;CN=…;PW=…;MN=…;Flag=…;PNUM=…;PNO=…;CP=&&…&&`. Times are UTC+8.
//!
//! Left raw: the fields of `CP` that are no factor's (commands' parameters) through [`Packet::fields`]; attributes
//! other than `Rtd Avg Min Max Cou Flag SampleTime` (`ZsRtd`, `EFlag`, `Info`, …) through [`Factor::other`]. Parts of
//! a split packet are packets of their own: joining them, where a factor was cut in two, is not done here.

use jiff::Timestamp;
use thiserror::Error;

use super::{Cut, Framing, StreamDecoder, crc, device_time, noise_before};

#[cfg(test)]
mod tests;

const MARKER: [u8; 2] = *b"##";
/// `##` and the length.
const HEADER: usize = 6;
/// The CRC and CR LF.
const TRAILER: usize = 6;
/// The longest data segment, bytes.
pub const MAX_DATA: usize = 1024;

/// Cuts HJ 212 frames out of a stream.
pub type Decoder = StreamDecoder<Hj212>;

/// HJ 212-2017's framing.
#[derive(Debug)]
pub enum Hj212 {}

/// What is wrong with a frame; offsets count bytes from its `##`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Bytes that belong to no frame.
    #[error("{bytes} bytes stand where a frame's ## should")]
    Noise {
        /// How many.
        bytes: usize,
    },
    /// No length follows `##`.
    #[error("bytes 2 to 5 should be a length of 0000 to 1024, found \"{found}\"")]
    Length {
        /// What stands there, escaped.
        found: String,
    },
    /// The frame does not end where its length says.
    #[error("byte {offset} should begin 4 hex digits and CR LF, found \"{found}\"")]
    Trailer {
        /// Where the end should be.
        offset: usize,
        /// What stands there, escaped.
        found: String,
    },
    /// The checksum fails.
    #[error("the frame's CRC is {found:04X}, its data gives {expected:04X}")]
    Crc {
        /// As sent.
        found: u16,
        /// As computed over the data.
        expected: u16,
    },
    /// The data is not UTF-8.
    #[error("byte {offset} is not text")]
    NotText {
        /// The first such byte.
        offset: usize,
    },
    /// `CP=&&` is not closed by `&&` at the end.
    #[error("CP=&& is not closed by && at the end of the data")]
    Unclosed,
    /// A key without which a packet says nothing.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value that cannot be read.
    #[error("{key} should be {expected}, found {found:?}")]
    Value {
        /// Its key.
        key: &'static str,
        /// As sent.
        found: String,
        /// What the standard asks for.
        expected: &'static str,
    },
}

/// Why a packet cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The data segment is too long.
    #[error("the data is {length} bytes long, more than {max}: split it", max = MAX_DATA)]
    TooLong {
        /// Its length, bytes.
        length: usize,
    },
}

impl Framing for Hj212 {
    const MAX_FRAME: usize = HEADER + MAX_DATA + TRAILER;
    type Frame<'a> = Packet<'a>;
    type Error = DecodeError;

    fn cut(bytes: &[u8]) -> Cut<DecodeError> {
        let noise = noise_before(bytes, MARKER);
        if noise > 0 {
            return Cut::Reject { skip: noise, error: DecodeError::Noise { bytes: noise } };
        }
        let Some([_, _, digits @ ..]) = bytes.first_chunk::<HEADER>() else {
            return Cut::Incomplete;
        };
        let Some(length) = length_of(digits) else {
            return Cut::Reject { skip: 1, error: DecodeError::Length { found: digits.escape_ascii().to_string() } };
        };
        let total = HEADER + length + TRAILER;
        let Some((front, trailer)) = bytes.get(..total).and_then(|frame| frame.split_last_chunk::<TRAILER>()) else {
            return Cut::Incomplete;
        };
        let Some(found) = crc_of(trailer) else {
            let error = DecodeError::Trailer { offset: HEADER + length, found: trailer.escape_ascii().to_string() };
            return Cut::Reject { skip: 1, error };
        };
        let expected = crc::hj212(front.get(HEADER..).unwrap_or_default());
        if found == expected {
            Cut::Frame { length: total }
        } else {
            Cut::Reject { skip: total, error: DecodeError::Crc { found, expected } }
        }
    }

    fn parse(frame: &[u8]) -> Result<Packet<'_>, DecodeError> {
        let data = frame.get(HEADER..frame.len().saturating_sub(TRAILER)).unwrap_or_default();
        let text =
            std::str::from_utf8(data).map_err(|error| DecodeError::NotText { offset: HEADER + error.valid_up_to() })?;
        Packet::parse(text)
    }
}

fn length_of(digits: &[u8; 4]) -> Option<usize> {
    let decimal = |length: usize, digit: &u8| digit.is_ascii_digit().then(|| length * 10 + usize::from(digit - b'0'));
    digits.iter().try_fold(0, decimal).filter(|length| *length <= MAX_DATA)
}

fn crc_of(trailer: &[u8; TRAILER]) -> Option<u16> {
    let [digits @ .., b'\r', b'\n'] = trailer else {
        return None;
    };
    let hex = |crc: u16, digit: &u8| Some((crc << 4) | u16::try_from(char::from(*digit).to_digit(16)?).ok()?);
    digits.iter().try_fold(0, hex)
}

/// The data of one frame, borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The request's number: when it was made, to the millisecond, 17 digits. An answer repeats it.
    pub qn: Option<&'a str>,
    /// System code: 21 surface water, 22 air quality, 31 stack gas, 32 waste water, 91 an answer, …
    pub st: &'a str,
    /// Command: 2011 real time, 2051 minutes, 2061 hours, 2031 days, 9014 data receipt, …
    pub cn: u16,
    /// Password.
    pub pw: Option<&'a str>,
    /// The device's identity.
    pub mn: &'a str,
    /// Flags; none sent count as zero.
    pub flag: Flag,
    /// Which part of a split packet this is.
    pub split: Option<Split>,
    /// The content, between `CP=&&` and `&&`.
    pub cp: &'a str,
}

/// `Flag`: bits 2 to 7 name the standard's version, bit 1 a split packet, bit 0 that an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flag(pub u8);

impl Flag {
    /// Bit 0: the sender waits for an answer.
    pub fn answer_wanted(self) -> bool {
        self.0 & 1 != 0
    }

    /// Bit 1: `PNUM` and `PNO` are present.
    pub fn split(self) -> bool {
        self.0 & 2 != 0
    }

    /// 0 for HJ/T 212-2005, 1 for HJ 212-2017.
    pub fn version(self) -> u8 {
        self.0 >> 2
    }
}

/// `PNUM` and `PNO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// How many parts the packet has.
    pub total: u16,
    /// Which one this is, from 1.
    pub number: u16,
}

/// The three answers a receiver gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 9011, to a request: it will be carried out (`QnRtn=1`).
    Request,
    /// 9013, to a notice.
    Notice,
    /// 9014, to data.
    Data,
}

impl<'a> Packet<'a> {
    /// Reads a frame's data segment.
    ///
    /// # Errors
    /// `ST`, `CN` or `MN` is missing, a number is none, or `CP` is not closed. Keys the standard does not know are
    /// passed over.
    pub fn parse(data: &'a str) -> Result<Self, DecodeError> {
        let (head, cp) = match data.split_once("CP=&&") {
            Some((head, rest)) => (head, rest.strip_suffix("&&").ok_or(DecodeError::Unclosed)?),
            None => (data, ""),
        };
        let required = |key| value_of(head, key).ok_or(DecodeError::Missing { key });
        Ok(Self {
            qn: value_of(head, "QN"),
            st: required("ST")?,
            cn: number_of(head, "CN", "a number of 4 digits", 9999)?.ok_or(DecodeError::Missing { key: "CN" })?,
            pw: value_of(head, "PW"),
            mn: required("MN")?,
            flag: Flag(number_of(head, "Flag", "a number up to 255", 255)?.map_or(0, |flag| flag.to_le_bytes()[0])),
            split: split_of(head)?,
            cp,
        })
    }

    /// The frame of this packet.
    ///
    /// # Errors
    /// The data would be longer than [`MAX_DATA`].
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let key = |key: &str, value: Option<&str>| value.map(|value| format!("{key}={value};")).unwrap_or_default();
        let split = self.split.map(|Split { total, number }| format!("PNUM={total};PNO={number};")).unwrap_or_default();
        let (qn, pw) = (key("QN", self.qn), key("PW", self.pw));
        let Self { st, cn, mn, flag: Flag(flag), cp, .. } = self;
        let data = format!("{qn}ST={st};CN={cn:04};{pw}MN={mn};Flag={flag};{split}CP=&&{cp}&&");
        let length = data.len();
        if length > MAX_DATA {
            return Err(BuildError::TooLong { length });
        }
        Ok(format!("##{length:04}{data}{:04X}\r\n", crc::hj212(data.as_bytes())).into_bytes())
    }

    /// An answer to this packet: its number, password and identity, system 91, the standard's version, no more flags.
    pub fn answer(&self, answer: Answer) -> Packet<'a> {
        let (cn, cp) = match answer {
            Answer::Request => (9011, "QnRtn=1"),
            Answer::Notice => (9013, ""),
            Answer::Data => (9014, ""),
        };
        let flag = Flag(self.flag.0 & !3);
        Packet { qn: self.qn, st: "91", cn, pw: self.pw, mn: self.mn, flag, split: None, cp }
    }

    /// The answer a device waits for: 9013 to its request for the time (1013), 9014 to what it uploads; `None` if its
    /// flag asks for none or the packet is an answer itself.
    pub fn wanted_answer(&self) -> Option<Packet<'a>> {
        let answer = if self.cn == 1013 { Answer::Notice } else { Answer::Data };
        (self.flag.answer_wanted() && !(9011..=9014).contains(&self.cn)).then(|| self.answer(answer))
    }

    /// The fields of `CP` as sent, in order. What is no `key=value` is passed over.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.cp.split([';', ',']).filter_map(|field| field.split_once('='))
    }

    /// When the data was measured: `DataTime`.
    ///
    /// # Errors
    /// The field is there but is no time.
    pub fn data_time(&self) -> Result<Option<Timestamp>, DecodeError> {
        let Some((_, found)) = self.fields().find(|(key, _)| *key == "DataTime") else {
            return Ok(None);
        };
        let error = || DecodeError::Value { key: "DataTime", found: found.to_owned(), expected: "YYYYMMDDhhmmss" };
        clock(found).map(Some).ok_or_else(error)
    }

    /// When the packet was made, by its number.
    pub fn request_time(&self) -> Option<Timestamp> {
        self.qn.and_then(clock)
    }

    /// What was measured, one entry a factor code, in the order of first mention.
    pub fn factors(&self) -> Vec<Factor<'a>> {
        let mut factors: Vec<Factor<'a>> = Vec::new();
        for (key, value) in self.fields() {
            let Some((code, attribute)) = key.rsplit_once('-') else { continue };
            let known = factors.iter().position(|factor| factor.code == code);
            let index = known.unwrap_or_else(|| {
                factors.push(Factor { code, ..Factor::default() });
                factors.len() - 1
            });
            if let Some(factor) = factors.get_mut(index) {
                factor.set(attribute, value);
            }
        }
        factors
    }
}

fn value_of<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.split(';').filter_map(|item| item.split_once('=')).find(|(key, _)| *key == wanted).map(|(_, value)| value)
}

fn number_of(head: &str, key: &'static str, expected: &'static str, max: u16) -> Result<Option<u16>, DecodeError> {
    let Some(found) = value_of(head, key) else {
        return Ok(None);
    };
    let digits = found.bytes().all(|byte| byte.is_ascii_digit());
    match found.parse::<u16>() {
        Ok(number) if digits && number <= max => Ok(Some(number)),
        _ => Err(DecodeError::Value { key, found: found.to_owned(), expected }),
    }
}

fn split_of(head: &str) -> Result<Option<Split>, DecodeError> {
    let total = number_of(head, "PNUM", "a number up to 9999", 9999)?;
    let number = number_of(head, "PNO", "a number up to 9999", 9999)?;
    match (total, number) {
        (Some(total), Some(number)) if (1..=total).contains(&number) => Ok(Some(Split { total, number })),
        (Some(_), Some(number)) => {
            Err(DecodeError::Value { key: "PNO", found: number.to_string(), expected: "1 to PNUM" })
        }
        _ => Ok(None),
    }
}

/// `YYYYMMDDhhmmss`, perhaps with milliseconds, UTC+8.
fn clock(text: &str) -> Option<Timestamp> {
    if !matches!(text.len(), 14 | 17) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u16>().ok();
    let small = |from: usize| u8::try_from(number(from, from + 2)?).ok();
    let millisecond = if text.len() == 17 { number(14, 17)? } else { 0 };
    device_time(number(0, 4)?, [small(4)?, small(6)?, small(8)?, small(10)?, small(12)?], millisecond)
}

/// One factor's values. Numbers are finite and in the unit the standard (HJ 524, HJ 525) gives the code.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Factor<'a> {
    /// The factor's code: `w01018` chemical oxygen demand, `a34004` PM2.5, …
    pub code: &'a str,
    /// `Rtd`: real-time value.
    pub real_time: Option<f64>,
    /// `Avg`: mean of the period.
    pub average: Option<f64>,
    /// `Min` of the period.
    pub minimum: Option<f64>,
    /// `Max` of the period.
    pub maximum: Option<f64>,
    /// `Cou`: cumulated over the period.
    pub cumulated: Option<f64>,
    /// `Flag`: the data mark.
    pub mark: Option<Mark>,
    /// `SampleTime`: when this factor was sampled.
    pub sample_time: Option<Timestamp>,
    /// Attribute and value, as sent, of what is none of the above or cannot be read as it.
    pub other: Vec<(&'a str, &'a str)>,
}

impl<'a> Factor<'a> {
    fn set(&mut self, attribute: &'a str, value: &'a str) {
        let read = match attribute {
            "Rtd" => fill(&mut self.real_time, finite(value)),
            "Avg" => fill(&mut self.average, finite(value)),
            "Min" => fill(&mut self.minimum, finite(value)),
            "Max" => fill(&mut self.maximum, finite(value)),
            "Cou" => fill(&mut self.cumulated, finite(value)),
            "Flag" => fill(&mut self.mark, Mark::parse(value)),
            "SampleTime" => fill(&mut self.sample_time, clock(value)),
            _ => false,
        };
        if !read {
            self.other.push((attribute, value));
        }
    }
}

fn fill<T>(slot: &mut Option<T>, read: Option<T>) -> bool {
    let known = read.is_some();
    if known {
        *slot = read;
    }
    known
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// The data mark of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `N`: the instrument works.
    Normal,
    /// `F`: out of service.
    OutOfService,
    /// `M`: measured during maintenance.
    Maintenance,
    /// `S`: set by hand.
    SetByHand,
    /// `D`: the instrument is faulty.
    Fault,
    /// `C`: calibration.
    Calibration,
    /// `T`: above what the instrument can measure.
    OverRange,
    /// `B`: the instrument does not answer.
    NoCommunication,
    /// A mark of the maker's, or of another edition of the standard.
    Other(char),
}

/// What a mark says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A measurement.
    Good,
    /// A number, but perhaps not of what is usually measured.
    Suspect,
    /// The true value lies beyond the instrument's range.
    OutOfRange,
    /// No measurement.
    Error,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let (letter, None) = (letters.next()?, letters.next()) else {
            return None;
        };
        Some(match letter {
            'N' => Self::Normal,
            'F' => Self::OutOfService,
            'M' => Self::Maintenance,
            'S' => Self::SetByHand,
            'D' => Self::Fault,
            'C' => Self::Calibration,
            'T' => Self::OverRange,
            'B' => Self::NoCommunication,
            other => Self::Other(other),
        })
    }

    /// What it says about the value's quality.
    pub fn trust(self) -> Trust {
        match self {
            Self::Normal => Trust::Good,
            Self::OutOfService | Self::Maintenance | Self::SetByHand | Self::Calibration | Self::Other(_) => {
                Trust::Suspect
            }
            Self::OverRange => Trust::OutOfRange,
            Self::Fault | Self::NoCommunication => Trust::Error,
        }
    }
}
