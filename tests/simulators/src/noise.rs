//! What a broken or hostile station sends: messages with seeded mistakes, the same in every run.

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

    /// Makes one mistake: a bit, a byte, something lost, something twice, a piece of one of the other messages.
    pub fn spoil(&mut self, message: &mut Vec<u8>, others: &[Vec<u8>]) {
        let byte = self.next().to_le_bytes()[0];
        let at = self.below(message.len());
        let end = message.len().min(at + 1 + self.below(32));
        match self.below(6) {
            0 => {
                let bit = 1u8 << self.below(8);
                if let Some(wrong) = message.get_mut(at) {
                    *wrong ^= bit;
                }
            }
            1 => {
                if let Some(wrong) = message.get_mut(at) {
                    *wrong = byte;
                }
            }
            2 => message.insert(at, byte),
            3 => drop(message.drain(at..end)),
            4 => {
                let copy = message.get(at..end).unwrap_or_default().to_vec();
                drop(message.splice(at..at, copy));
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
