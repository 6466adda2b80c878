//! Seeded mutations of valid frames, for every codec: the same inputs in every run. `SNOWGATE_MUTATIONS` sets how many
//! (20,000 unless set; a release build does 1,000,000 in seconds).
//!
//! The simulators' `noise` makes the same mistakes for the adapters' tests. It is not used here, because the simulators build
//! on this crate: they would bring a second build of it along.

use super::{Framing, StreamDecoder};

/// What a codec gives the harness.
pub(super) trait Exercise: Framing {
    /// Valid frames to start from.
    fn seeds() -> Vec<Vec<u8>>;
    /// Makes length and checksum right again, so that mutated content reaches the parser.
    fn seal(frame: &mut Vec<u8>);
    /// Calls everything a decoded frame offers.
    fn exercise(frame: Self::Frame<'_>);
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose mutations.
pub(in crate::sensor) struct Random(u64);

impl Random {
    pub(in crate::sensor) const fn new(seed: u64) -> Self {
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
    pub(in crate::sensor) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    /// A byte; one that means something in some frame half of the time.
    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] =
            b"\x00\x01\x02\x03\x04\x05\x06\x15\x16\x17\x1B\x7E\x7F\x80\xAA\xF0\xF1\xF4\xF5\xFFCP#@&;=,-.09\r\n";
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.below(256) as u8 }
    }

    pub(in crate::sensor) fn mutate(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let byte = self.byte();
        if bytes.is_empty() {
            bytes.push(byte);
            return;
        }
        let at = self.below(bytes.len());
        match self.below(8) {
            0 => bytes[at] ^= 1u8 << self.below(8),
            1 => bytes[at] = byte,
            2 => bytes.insert(at, byte),
            3 => {
                let end = bytes.len().min(at + 1 + self.below(8));
                bytes.drain(at..end);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => {
                let end = bytes.len().min(at + 1 + self.below(64));
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            // Headers hold the lengths.
            _ => {
                let at = self.below(bytes.len().min(30));
                bytes[at] = byte;
            }
        }
    }
}

/// How many inputs a harness tries.
pub(in crate::sensor) fn inputs() -> usize {
    std::env::var("SNOWGATE_MUTATIONS").ok().map_or(20_000, |count| count.parse().expect("SNOWGATE_MUTATIONS: a count"))
}

/// No mutated input panics, and the decoder's buffer neither grows nor holds more than a maximal frame.
pub(super) fn survive<P: Exercise>() {
    let seeds = P::seeds();
    let inputs = inputs();
    let mut random = Random::new(0x5EED);
    let mut decoder = StreamDecoder::<P>::new();
    let capacity = decoder.buffer.capacity();
    let (mut frames, mut errors) = (0usize, 0usize);
    for _ in 0..inputs {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes, &seeds);
        }
        if random.below(2) == 0 {
            P::seal(&mut bytes);
        }
        // Otherwise what is left of the last input precedes this one.
        if random.below(2) == 0 {
            decoder.clear();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (mut piece, later) = rest.split_at(1 + random.below(rest.len()));
            rest = later;
            while let Some(event) = decoder.next_frame(&mut piece) {
                match event {
                    Ok(frame) => {
                        frames += 1;
                        P::exercise(frame);
                    }
                    Err(error) => {
                        errors += 1;
                        assert!(!error.to_string().is_empty());
                    }
                }
            }
            assert!(piece.is_empty(), "the decoder left input behind");
            assert!(decoder.held() <= P::MAX_FRAME);
            assert_eq!(decoder.buffer.capacity(), capacity, "the buffer grew");
        }
    }
    // A harness whose inputs all fail at once, or none, tries nothing.
    assert!(frames > inputs / 10, "{frames} frames of {inputs} inputs");
    assert!(errors > inputs / 10, "{errors} errors of {inputs} inputs");
}

/// What a decoder says of a stream that comes in these pieces.
pub(super) fn events<P: Framing>(pieces: &[&[u8]]) -> Vec<String>
where
    for<'a> P::Frame<'a>: std::fmt::Debug,
{
    let mut decoder = StreamDecoder::<P>::new();
    let mut events = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next_frame(&mut input) {
            events.push(match event {
                Ok(frame) => format!("{frame:?}"),
                Err(error) => format!("{error:?}"),
            });
        }
    }
    events
}

/// A stream gives the same frames wherever it is cut, one byte at a time too.
pub(super) fn pieces_do_not_matter<P: Framing>(stream: &[u8])
where
    for<'a> P::Frame<'a>: std::fmt::Debug,
{
    let whole = events::<P>(&[stream]);
    assert!(!whole.is_empty());
    for at in 0..=stream.len() {
        let (front, back) = stream.split_at(at);
        assert_eq!(events::<P>(&[front, back]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(events::<P>(&single), whole);
}
