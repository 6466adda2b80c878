//! What a broken or hostile sender sends: messages with seeded mistakes, the same in every run.

// A test that is told a count it cannot read has nothing to try.
#![allow(clippy::expect_used)]

/// Bytes that mean something in one protocol or another: functions, lengths, markers, digits, separators.
const TELLING: &[u8] =
    b"\x00\x01\x02\x03\x04\x05\x06\x0B\x0E\x11\x15\x16\x17\x18\x1B\x2B\x7E\x7F\x80\x83\xAA\xAB\xF0\xF1\xF4\
    \xF5\xFFCP#@&;=,-.09\r\n\"{}[]:\\u";
/// Headers, which hold the lengths, are no longer.
const HEADER: usize = 30;

/// How many inputs a test tries: `SNOWGATE_MUTATIONS`, 20,000 unless that is set.
///
/// # Panics
/// It is set to something else than a count.
pub fn inputs() -> usize {
    std::env::var("SNOWGATE_MUTATIONS").ok().map_or(20_000, |count| count.parse().expect("SNOWGATE_MUTATIONS: a count"))
}

/// Chooses mistakes. SplitMix64 (Steele, Lea, Flood 2014): small, and good enough for that.
pub struct Noise(u64);

impl Noise {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, zero if that is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap_or_default().checked_rem(bound).unwrap_or_default()
    }

    /// A byte; one that means something in some protocol half of the time.
    pub fn byte(&mut self) -> u8 {
        let [any, choice, ..] = self.next().to_le_bytes();
        let telling = TELLING.get(self.below(TELLING.len())).copied().unwrap_or_default();
        if choice % 2 == 0 { telling } else { any }
    }

    /// Makes one mistake: a bit, a byte, something lost, something twice, the end of one of the other messages.
    pub fn spoil(&mut self, message: &mut Vec<u8>, others: &[Vec<u8>]) {
        let byte = self.byte();
        let at = self.below(message.len());
        match self.below(8) {
            0 => {
                let bit = 1u8 << self.below(8);
                if let Some(wrong) = message.get_mut(at) {
                    *wrong ^= bit;
                }
            }
            1 => replace(message, at, byte),
            2 => {
                let at = self.below(message.len().min(HEADER));
                replace(message, at, byte);
            }
            3 => message.insert(at, byte),
            4 => {
                let end = message.len().min(at + 1 + self.below(8));
                message.drain(at..end);
            }
            5 => message.truncate(at),
            6 => {
                let end = message.len().min(at + 1 + self.below(64));
                message.extend_from_within(at..end);
                // What was twice at the end now stands twice in the middle.
                message.get_mut(at..).unwrap_or_default().rotate_right(end - at);
            }
            _ => {
                let other = others.get(self.below(others.len())).map(Vec::as_slice).unwrap_or_default();
                let from = self.below(other.len());
                message.truncate(at);
                message.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }
}

fn replace(message: &mut [u8], at: usize, byte: u8) {
    if let Some(wrong) = message.get_mut(at) {
        *wrong = byte;
    }
}
