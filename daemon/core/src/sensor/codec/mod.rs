//! Frame codecs: bytes of a sensor protocol in, typed messages or typed errors out, and messages back into bytes.
//!
//! What every codec promises:
//! - **Any pieces.** A [`StreamDecoder`] takes a TCP stream cut anywhere and gives the same frames.
//! - **Bounded.** It never holds more than one maximal frame ([`Framing::MAX_FRAME`]), allocated once; each message is
//!   borrowed from it. Work per byte is bounded too: a checksum is computed only for a frame whose end stands where its
//!   length says.
//! - **Back in step.** After noise, a lying length or a failed checksum it finds the next frame, and says with a typed
//!   error what it passed over. A frame whose checksum fails is dropped whole: its sender repeats it.
//! - **No panic** on any input; a seeded mutation harness tries (`SNOWGATE_MUTATIONS` sets how many inputs).
//! - **Nothing invented.** What the standard leaves to makers stays raw bytes, and its type says so.
//!
//! A false start in noise may announce a frame that never ends; it is seen through once that many bytes have come. An
//! adapter therefore calls [`StreamDecoder::clear`] when a line falls silent in the middle of a frame, and closes a
//! connection that only errs.

use std::marker::PhantomData;

use jiff::{Timestamp, civil::DateTime, tz::Offset};

pub mod crc;
pub mod gbt26875;
pub mod hj212;
#[cfg(test)]
pub(super) mod mutation;
pub mod sl651;

/// The zone of device clocks that send none: UTC+8.
pub const DEVICE_ZONE: Offset = Offset::constant(8);

/// A protocol whose frames can be cut out of a byte stream.
pub trait Framing {
    /// The longest frame, bytes.
    const MAX_FRAME: usize;
    /// One decoded frame.
    type Frame<'a>;
    /// What can be wrong with a frame or between frames.
    type Error: std::error::Error;

    /// Looks for a frame at the front of `bytes`; decides in the end: [`Cut::Incomplete`] only below `MAX_FRAME` bytes.
    fn cut(bytes: &[u8]) -> Cut<Self::Error>;

    /// Decodes one whole frame as [`Framing::cut`] measured it.
    ///
    /// # Errors
    /// The checksum fitted but the content does not follow the standard.
    fn parse(frame: &[u8]) -> Result<Self::Frame<'_>, Self::Error>;
}

/// What stands at the front of a stream's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut<E> {
    /// Perhaps the beginning of a frame: more bytes will tell.
    Incomplete,
    /// A frame, its checksum verified.
    Frame {
        /// Its length, bytes; at least 1.
        length: usize,
    },
    /// No frame.
    Reject {
        /// How many bytes to pass over; at least 1.
        skip: usize,
        /// Why.
        error: E,
    },
}

/// Cuts frames out of a byte stream that arrives in any pieces. One a connection.
#[derive(Debug)]
pub struct StreamDecoder<P> {
    /// Never longer than one maximal frame.
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that are done with.
    done: usize,
    framing: PhantomData<P>,
}

impl<P: Framing> Default for StreamDecoder<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Framing> StreamDecoder<P> {
    /// A decoder at the beginning of a stream; allocates its one buffer.
    pub fn new() -> Self {
        Self { buffer: Vec::with_capacity(P::MAX_FRAME), done: 0, framing: PhantomData }
    }

    /// The next frame, or what was passed over on the way to it. Takes from the front of `input` as it needs; `None`
    /// when all of `input` is taken and more is needed. Call it until then:
    ///
    /// ```
    /// use snowgate_core::sensor::codec::sl651::Decoder;
    /// let mut decoder = Decoder::new();
    /// let mut input: &[u8] = b"noise";
    /// while let Some(event) = decoder.next_frame(&mut input) {
    ///     assert!(event.is_err());
    /// }
    /// ```
    pub fn next_frame(&mut self, input: &mut &[u8]) -> Option<Result<P::Frame<'_>, P::Error>> {
        let start = loop {
            let pending = self.buffer.get(self.done..).unwrap_or_default();
            match P::cut(pending) {
                Cut::Frame { length } => {
                    let start = self.done;
                    self.pass(length);
                    break start;
                }
                Cut::Reject { skip, error } => {
                    self.pass(skip);
                    return Some(Err(error));
                }
                Cut::Incomplete if input.is_empty() => return None,
                Cut::Incomplete => self.take(input),
            }
        };
        Some(P::parse(self.buffer.get(start..self.done).unwrap_or_default()))
    }

    /// Bytes held of a frame that is not complete yet.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Forgets an incomplete frame.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.done = 0;
    }

    fn pass(&mut self, bytes: usize) {
        self.done = self.buffer.len().min(self.done + bytes.max(1));
    }

    fn take(&mut self, input: &mut &[u8]) {
        self.buffer.drain(..self.done);
        self.done = 0;
        let room = P::MAX_FRAME.saturating_sub(self.buffer.len());
        if room == 0 {
            // A framing that keeps its promise has decided by now; losing a byte keeps the stream alive if not.
            self.pass(1);
            return;
        }
        let (taken, rest) = input.split_at(room.min(input.len()));
        self.buffer.extend_from_slice(taken);
        *input = rest;
    }
}

/// How many leading bytes cannot begin a frame that starts with `marker`: none if the marker stands there or may yet.
fn noise_before(bytes: &[u8], marker: [u8; 2]) -> usize {
    let [first, _] = marker;
    bytes
        .windows(2)
        .position(|pair| pair == marker)
        .unwrap_or_else(|| bytes.len() - usize::from(bytes.last() == Some(&first)))
}

/// A device's clock reading (month, day, hour, minute, second) as a time; `None` if there is no such moment.
fn device_time(year: u16, fields: [u8; 5], millisecond: u16) -> Option<Timestamp> {
    let [month, day, hour, minute, second] = fields;
    let small = |field: u8| i8::try_from(field).ok();
    let nanosecond = i32::from(millisecond).checked_mul(1_000_000)?;
    let year = i16::try_from(year).ok()?;
    let civil =
        DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, nanosecond)
            .ok()?;
    DEVICE_ZONE.to_timestamp(civil).ok()
}

/// What a device's clock shows at a time: year of the century, month, day, hour, minute, second; `None` outside
/// 2000 to 2099.
fn device_clock(at: Timestamp) -> Option<[u8; 6]> {
    let civil = DEVICE_ZONE.to_datetime(at);
    let year = u8::try_from(civil.year() - 2000).ok().filter(|year| *year < 100)?;
    let rest = [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()].map(i8::unsigned_abs);
    let [month, day, hour, minute, second] = rest;
    Some([year, month, day, hour, minute, second])
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn noise_ends_where_a_marker_stands_or_may_yet() {
        assert_eq!(noise_before(b"", *b"##"), 0);
        assert_eq!(noise_before(b"#", *b"##"), 0);
        assert_eq!(noise_before(b"##", *b"##"), 0);
        assert_eq!(noise_before(b"x", *b"##"), 1);
        assert_eq!(noise_before(b"x#", *b"##"), 1);
        assert_eq!(noise_before(b"x#y##", *b"##"), 3);
        assert_eq!(noise_before(b"x#y", *b"##"), 3);
    }

    #[test]
    fn device_clocks_are_eight_hours_ahead_of_utc() {
        let at = device_time(2021, [12, 8, 22, 30, 1], 5).unwrap();
        assert_eq!(at, "2021-12-08T14:30:01.005Z".parse().unwrap());
        assert_eq!(device_clock(at), Some([21, 12, 8, 22, 30, 1]));
        assert_eq!(device_time(2021, [2, 29, 0, 0, 0], 0), None);
        assert_eq!(device_time(2021, [1, 1, 24, 0, 0], 0), None);
        assert_eq!(device_time(2021, [200, 1, 1, 0, 0], 0), None);
        assert_eq!(device_clock("1999-12-31T15:59:59Z".parse().unwrap()), None);
    }

    /// A framing that never decides.
    enum Undecided {}

    impl Framing for Undecided {
        const MAX_FRAME: usize = 4;
        type Frame<'a> = &'a [u8];
        type Error = Infallible;

        fn cut(_: &[u8]) -> Cut<Infallible> {
            Cut::Incomplete
        }
        fn parse(frame: &[u8]) -> Result<&[u8], Infallible> {
            Ok(frame)
        }
    }

    #[test]
    fn a_framing_that_breaks_its_promise_neither_hangs_nor_grows_the_decoder() {
        let mut decoder = StreamDecoder::<Undecided>::new();
        let mut input: &[u8] = &[7; 100];
        assert!(decoder.next_frame(&mut input).is_none());
        assert!(input.is_empty());
        assert!(decoder.held() <= 4);
    }
}
