//! A digest that equal samples share, and that different ones practically never do.

/// Odd constants of 64 bits without pattern: xxHash64's first two primes.
const PRIMES: [u64; 2] = [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F];

/// Takes in samples row by row. The step is the round of xxHash64 (Y. Collet, *xxHash fast digest algorithm*) on four
/// lanes; it is one to one in each word, so pictures that differ in a single word never share a digest, and others do
/// once in 2⁶⁴ pairs. It resists accidents, not people: who can forge what a camera sends has no need to forge this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digest {
    lanes: [u64; 4],
    bytes: u64,
}

impl Digest {
    pub(super) const NEW: Self = Self { lanes: [1, 2, 3, 4], bytes: 0 };

    pub(super) fn take(&mut self, row: &[u8]) {
        let mut chunks = row.chunks_exact(32);
        for chunk in &mut chunks {
            self.mix(chunk);
        }
        if !chunks.remainder().is_empty() {
            let mut padded = [0; 32];
            padded[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
            self.mix(&padded);
        }
        self.bytes = self.bytes.wrapping_add(row.len() as u64);
    }

    fn mix(&mut self, chunk: &[u8]) {
        for (lane, word) in self.lanes.iter_mut().zip(chunk.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }

    /// The digest of all that was taken in.
    pub(super) fn value(&self) -> u64 {
        let joined = self.lanes.iter().fold(self.bytes, |joined, lane| round(joined, *lane));
        let mixed = (joined ^ (joined >> 33)).wrapping_mul(PRIMES[1]);
        mixed ^ (mixed >> 29)
    }
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}
