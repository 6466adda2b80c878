//! The elements of an SL 651 report: an id byte, a definition byte (upper 5 bits: length, lower 3: decimals), data.

use jiff::Timestamp;
use thiserror::Error;

use super::{DecodeError, Station, bcd, bcd_clock};

/// One element. Offsets in its errors count from the beginning of [`super::Message::content`].
#[derive(Debug, Clone, PartialEq)]
pub enum Element<'a> {
    /// F1: the station the elements after it were measured at.
    Station {
        /// Its address.
        station: Station,
        /// Its kind: `P` rain, `H` river, `K` reservoir or lake, `Z` sluice or dam, `D` pumps, `T` tide, `M` soil,
        /// `G` ground water, `Q` water quality, `I` intake, `O` outlet.
        category: u8,
    },
    /// F0: when the elements after it were measured; `None` where the digits are no time. Of a series of twelve it is
    /// the time of the first.
    ObservedAt(Option<Timestamp>),
    /// A number: ids 01 to 7F but 04, 05 and 45.
    Number {
        /// Which quantity; see [`quantity`].
        id: u8,
        /// The value in the standard's unit; `None` where the station has none to give (all A or all F).
        value: Option<f64>,
        /// How many decimals it was sent with.
        decimals: u8,
    },
    /// F4: rain in each of an hour's twelve spans of 5 minutes, mm; `None` where the station has none to give.
    RainByFiveMinutes([Option<f64>; 12]),
    /// F5 to FC: water level at each of an hour's twelve steps of 5 minutes, m above the station's own base; `None`
    /// where the station has none to give.
    LevelByFiveMinutes {
        /// Which gauge, 1 (F5) to 8 (FC).
        gauge: u8,
        /// The levels.
        metres: [Option<f64>; 12],
    },
    /// An element whose layout is not read here, as sent.
    Bytes {
        /// Which one.
        id: u8,
        /// Its data.
        data: &'a [u8],
    },
    /// FF: an element of the maker's, as sent. Mostly a number: see [`bcd_number`].
    Custom {
        /// The second id byte.
        id: u8,
        /// The decimals its definition names.
        decimals: u8,
        /// Its data.
        data: &'a [u8],
    },
}

/// Reads the elements of a report, in order. An element whose bytes are no number is an error and the next is read; one
/// whose extent is not known is an error and the last item.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self { rest: content, length: content.len() }
    }

    fn offset(&self) -> usize {
        self.length - self.rest.len()
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn read(&mut self) -> Result<Element<'a>, DecodeError> {
        let offset = self.offset();
        let available = self.rest.len();
        let truncated = |needed| DecodeError::Truncated { offset, needed, found: available };
        let Some(&[id, definition]) = self.take(2) else {
            return Err(truncated(2));
        };
        let misdefined = |expected| DecodeError::Definition { id, offset, expected, found: definition };
        let (length, decimals) = (usize::from(definition >> 3), definition & 7);
        match id {
            0xF0 if definition == id => match self.take(5) {
                Some(&[year, month, day, hour, minute]) => {
                    Ok(Element::ObservedAt(bcd_clock([year, month, day, hour, minute, 0])))
                }
                _ => Err(truncated(7)),
            },
            0xF0 => Err(misdefined("F0")),
            0xF1 if definition == id => match self.take(6) {
                Some(&[a, b, c, d, e, category]) => {
                    Ok(Element::Station { station: Station([a, b, c, d, e]), category })
                }
                _ => Err(truncated(8)),
            },
            0xF1 => Err(misdefined("F1")),
            // These run to the end.
            0xF2 | 0xF3 | 0xFD => Ok(Element::Bytes { id, data: std::mem::take(&mut self.rest) }),
            0xF4 if length != 12 => Err(misdefined("a length of 12")),
            0xF4 => {
                let data = self.take(12).ok_or_else(|| truncated(14))?;
                Ok(Element::RainByFiveMinutes(series(
                    data.iter().map(|&tenths| (tenths != 0xFF).then(|| f64::from(tenths) / 10.0)),
                )))
            }
            0xF5..=0xFC if length != 24 => Err(misdefined("a length of 24")),
            0xF5..=0xFC => {
                let data = self.take(24).ok_or_else(|| truncated(26))?;
                let centimetres = data.chunks_exact(2).map(|pair| match pair {
                    &[high, low] => u16::from_be_bytes([high, low]),
                    _ => u16::MAX,
                });
                let metres = series(centimetres.map(|level| (level != u16::MAX).then(|| f64::from(level) / 100.0)));
                Ok(Element::LevelByFiveMinutes { gauge: id - 0xF4, metres })
            }
            0xFF => {
                // The second byte is part of the id; the definition follows.
                let Some(&[inner]) = self.take(1) else {
                    return Err(truncated(3));
                };
                let length = usize::from(inner >> 3);
                let data = self.take(length).ok_or_else(|| truncated(3 + length))?;
                Ok(Element::Custom { id: definition, decimals: inner & 7, data })
            }
            _ => {
                let data = self.take(length).ok_or_else(|| truncated(2 + length))?;
                if !matches!(id, 0x01..=0x7F) || matches!(id, 0x04 | 0x05 | 0x45) {
                    return Ok(Element::Bytes { id, data });
                }
                let value = bcd_number(data, decimals).map_err(|reason| DecodeError::Digits { id, offset, reason })?;
                Ok(Element::Number { id, value, decimals })
            }
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let element = self.read();
        if matches!(element, Err(DecodeError::Truncated { .. } | DecodeError::Definition { .. })) {
            self.rest = &[];
        }
        Some(element)
    }
}

fn series(values: impl Iterator<Item = Option<f64>>) -> [Option<f64>; 12] {
    let mut series = [None; 12];
    for (slot, value) in series.iter_mut().zip(values) {
        *slot = value;
    }
    series
}

/// Why bytes are no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("byte {index} of its data, {found:02X}, is no pair of decimal digits, or one too many")]
pub struct NotDigits {
    /// The byte's place in the data.
    pub index: usize,
    /// The byte.
    pub found: u8,
}

/// A number in BCD, two digits a byte, the highest first; a leading FF makes it negative and is one of the bytes.
/// `None` where all bytes are FF or all are AA, or there are none: the station has no value to give.
///
/// # Errors
/// A byte is no pair of decimal digits, or there are more digits than 64 bits hold.
pub fn bcd_number(data: &[u8], decimals: u8) -> Result<Option<f64>, NotDigits> {
    if data.iter().all(|&byte| byte == 0xFF) || data.iter().all(|&byte| byte == 0xAA) {
        return Ok(None);
    }
    let (sign, skipped, digits) = match data {
        [0xFF, digits @ ..] => (-1.0, 1, digits),
        _ => (1.0, 0, data),
    };
    let mut scaled: u64 = 0;
    for (index, &found) in digits.iter().enumerate() {
        let wrong = NotDigits { index: index + skipped, found };
        let pair = bcd(found).ok_or(wrong)?;
        scaled = scaled.checked_mul(100).and_then(|scaled| scaled.checked_add(u64::from(pair))).ok_or(wrong)?;
    }
    Ok(Some(sign * (scaled as f64 / 10f64.powi(i32::from(decimals)))))
}

/// Name and unit (UCUM) of the quantities a township meets (annex C of the standard).
pub fn quantity(id: u8) -> Option<(&'static str, &'static str)> {
    Some(match id {
        0x02 => ("air temperature", "Cel"),
        0x03 => ("water temperature", "Cel"),
        0x0E => ("ground water depth", "m"),
        0x18 => ("humidity", "%"),
        0x1A => ("rain in 1 hour", "mm"),
        0x1B => ("rain in 2 hours", "mm"),
        0x1C => ("rain in 3 hours", "mm"),
        0x1D => ("rain in 6 hours", "mm"),
        0x1E => ("rain in 12 hours", "mm"),
        0x1F => ("rain in a day", "mm"),
        0x20 => ("current rain", "mm"),
        0x21 => ("rain in 1 minute", "mm"),
        0x22 => ("rain in 5 minutes", "mm"),
        0x23 => ("rain in 10 minutes", "mm"),
        0x24 => ("rain in 30 minutes", "mm"),
        0x25 => ("storm rain", "mm"),
        0x26 => ("cumulative rain", "mm"),
        0x27 => ("flow", "m3/s"),
        0x35 => ("wind speed", "m/s"),
        0x36 => ("mean velocity of the section", "m/s"),
        0x37 => ("velocity", "m/s"),
        0x38 => ("supply voltage", "V"),
        0x39 => ("water level", "m"),
        0x3A => ("water level below the dam", "m"),
        0x3B => ("water level above the dam", "m"),
        0x3C..=0x43 => ("water level of an intake or outlet", "m"),
        0x46 => ("acidity", "[pH]"),
        _ => return None,
    })
}
