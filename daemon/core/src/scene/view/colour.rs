//! What the chroma of a picture tells: colour, no colour, impossible colour.

use super::digest::Digest;
use crate::scene::picture::Samples;

/// Every so many rows of chroma are measured; all of them go into the digest.
const EVERY_ROW: usize = 4;
/// Both differences below the one or above the other: the greens and pinks that decoders make of missing data (zeros in
/// all planes are a deep green). No lit surface is so green or so pink: a meadow in the sun, sRGB (60, 140, 40), has 92
/// and 96, and full green itself 54 and 34 (ITU-R BT.601).
const FALSE: [u8; 2] = [76, 184];

/// Measurements of the colour channels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Colour {
    /// Standard deviation of the two differences, in steps of 1/255; none without chroma.
    pub spread: Option<f32>,
    /// Share of samples in colours that no scene has, 0 to 1.
    pub unnatural: f32,
}

#[derive(Default)]
struct Sums {
    count: u64,
    sum: [u64; 2],
    squares: [u64; 2],
    unnatural: u64,
}

/// Measures the colour channels and takes them into the digest.
pub(super) fn measure(chroma: &[Samples<'_>; 2], digest: &mut Digest) -> Colour {
    let [blue, red] = chroma;
    let columns = blue.columns().min(red.columns());
    let mut sums = Sums::default();
    for y in 0..blue.rows().min(red.rows()) {
        let (Some(u), Some(v)) = (blue.row(y), red.row(y)) else { break };
        digest.take(u);
        // Where channels alternate, the second begins within the first: only its last sample is new.
        if blue.step == 1 || red.step == 1 {
            digest.take(v);
        } else {
            digest.take(v.last_chunk::<1>().unwrap_or(&[0]));
        }
        if y % EVERY_ROW == 0 {
            let pairs = u.iter().step_by(blue.step.max(1)).zip(v.iter().step_by(red.step.max(1)));
            sums.add(pairs.take(columns).map(|(u, v)| (*u, *v)));
        }
    }
    sums.colour()
}

impl Sums {
    fn add(&mut self, pairs: impl Iterator<Item = (u8, u8)>) {
        // A row's sums fit 32 bits: 16384 · 255² < 2³².
        let (mut sum, mut squares, mut unnatural, mut count) = ([0u32; 2], [0u32; 2], 0u32, 0u32);
        for (u, v) in pairs {
            let (wide_u, wide_v) = (u32::from(u), u32::from(v));
            sum[0] += wide_u;
            sum[1] += wide_v;
            squares[0] += wide_u * wide_u;
            squares[1] += wide_v * wide_v;
            unnatural += u32::from((u < FALSE[0]) & (v < FALSE[0]) | (u > FALSE[1]) & (v > FALSE[1]));
            count += 1;
        }
        for channel in 0..2 {
            self.sum[channel] += u64::from(sum[channel]);
            self.squares[channel] += u64::from(squares[channel]);
        }
        self.unnatural += u64::from(unnatural);
        self.count += u64::from(count);
    }

    fn colour(&self) -> Colour {
        if self.count == 0 {
            return Colour::default();
        }
        let count = self.count as f64;
        let variance = |channel: usize| {
            let mean = self.sum[channel] as f64 / count;
            (self.squares[channel] as f64 / count - mean * mean).max(0.0)
        };
        Colour {
            spread: Some(((variance(0) + variance(1)) / 2.0).sqrt() as f32),
            unnatural: (self.unnatural as f64 / count) as f32,
        }
    }
}
