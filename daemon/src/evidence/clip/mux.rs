//! Encoded pictures in, a fragmented MP4 file out, written in order: nothing is ever gone back to, so it can be sealed as it is
//! written, and what there is of it can be played whenever it ends.
//!
//! A picture is shown when the stream says. When it is decoded the stream does not say: pictures take, in the order in which they
//! come, the times at which pictures are shown, the earliest first. Without B-frames that is the picture's own; with them a
//! picture is decoded no later than those that are shown before it, and times of decoding never go back. That needs only the
//! pictures of one fragment: a fragment ends where the next picture is shown after all of it.

use std::{
    io::{self, Write},
    time::Duration,
};

use snowgate_core::time::Mono;

use super::{
    boxes::{self, Sample, TIMESCALE, Video},
    nal::{self, ParameterSets},
};
use crate::camera::access_unit::{Codec, StreamFormat};

/// How much a fragment holds at least, unless the clip ends.
const FRAGMENT: Duration = Duration::from_secs(1);

/// How much it holds at the most, whatever times its pictures have: what is held in memory.
const FRAGMENT_BYTES: usize = 4 << 20;
const FRAGMENT_PICTURES: usize = 512;

/// How long a single picture is shown.
const ALONE: u32 = TIMESCALE / 25;

/// Why there is no clip, or why it ends.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// What should take the bytes does not.
    #[error("the clip cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The first picture is no key frame with all parameter sets, or its size is not known.
    #[error("the first picture cannot be decoded by itself")]
    NoStart,
    /// A picture that needs another decoder configuration: no track of a file has two.
    #[error("the stream has changed its format")]
    FormatChanged,
}

/// An encoded picture: a byte stream, one access unit.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    /// When it is shown.
    pub at: Mono,
    /// Whether decoding can start here.
    pub key: bool,
    /// Its NAL units with their start codes.
    pub bytes: &'a [u8],
}

/// What a clip has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Muxed {
    /// From the first picture to the end of the last.
    pub duration: Duration,
    /// How many pictures.
    pub pictures: u64,
}

/// A picture of the fragment that is being collected.
struct Pending {
    shown: u64,
    bytes: u32,
    key: bool,
}

/// Writes one clip.
pub struct Muxer<W> {
    output: W,
    codec: Codec,
    sets: ParameterSets,
    /// When the first picture is shown.
    began: Mono,
    /// The fragment that is being collected, in decoding order, and its samples.
    pending: Vec<Pending>,
    samples: Vec<u8>,
    fragments: u32,
    /// The earliest time at which the next picture may be decoded.
    decoded_until: u64,
    /// When what is written ends.
    shown_until: u64,
    pictures: u64,
    written: u64,
}

impl<W: Write> Muxer<W> {
    /// Begins a clip with its first picture.
    ///
    /// # Errors
    /// It cannot be decoded by itself; `output` fails.
    pub fn begin(mut output: W, format: &StreamFormat, first: Encoded<'_>) -> Result<Self, MuxError> {
        let side = |side: u32| u16::try_from(side).ok();
        let size = format.size().and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let sets = ParameterSets::of(format.codec, first.bytes).filter(|_| first.key);
        let (Some(size), Some(sets)) = (size, sets) else { return Err(MuxError::NoStart) };
        let video = Video { codec: format.codec, size, is_grey: format.is_grey() };
        let header = boxes::header(&video, &sets);
        output.write_all(&header)?;
        let mut muxer = Self {
            output,
            codec: format.codec,
            sets,
            began: first.at,
            pending: Vec::new(),
            samples: Vec::new(),
            fragments: 0,
            decoded_until: 0,
            shown_until: 0,
            pictures: 0,
            written: header.len() as u64,
        };
        muxer.push(first)?;
        Ok(muxer)
    }

    /// Adds the next picture, in decoding order. One that is shown before the first needs what came before that, and is left out.
    ///
    /// # Errors
    /// The format has changed: the picture is not taken, the clip can be [finished](Self::finish). `output` fails.
    pub fn push(&mut self, picture: Encoded<'_>) -> Result<(), MuxError> {
        if !self.sets.hold_all_of(picture.bytes) {
            return Err(MuxError::FormatChanged);
        }
        if picture.at < self.began {
            return Ok(());
        }
        let shown = self.ticks(picture.at);
        if self.is_due(shown) {
            self.end_fragment()?;
        }
        let bytes = nal::put_sample(self.codec, picture.bytes, &mut self.samples);
        self.pending.push(Pending { shown, bytes: u32::try_from(bytes).unwrap_or(u32::MAX), key: picture.key });
        self.pictures += 1;
        Ok(())
    }

    /// Bytes written, and those that will be of what has been pushed.
    pub fn bytes(&self) -> u64 {
        self.written + self.samples.len() as u64
    }

    /// Writes what is left, and gives back who took the bytes.
    ///
    /// # Errors
    /// `output` fails.
    pub fn finish(mut self) -> Result<(W, Muxed), MuxError> {
        self.end_fragment()?;
        let nanos = u128::from(self.shown_until) * 1_000_000_000 / u128::from(TIMESCALE);
        let duration = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Ok((self.output, Muxed { duration, pictures: self.pictures }))
    }

    /// Units of time since the first picture is shown.
    fn ticks(&self, at: Mono) -> u64 {
        let ticks = (at.since(self.began).as_nanos() * u128::from(TIMESCALE) + 500_000_000) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Whether what is collected is a fragment, if the next picture is shown at `next`.
    fn is_due(&self, next: u64) -> bool {
        let shown = self.pending.iter().map(|picture| picture.shown);
        let (Some(first), Some(last)) = (shown.clone().min(), shown.max()) else { return false };
        let is_whole = next > last && next - first >= FRAGMENT.as_secs() * u64::from(TIMESCALE);
        is_whole || self.samples.len() >= FRAGMENT_BYTES || self.pending.len() >= FRAGMENT_PICTURES
    }

    fn end_fragment(&mut self) -> Result<(), MuxError> {
        let mut decoded: Vec<u64> = self.pending.iter().map(|picture| picture.shown).collect();
        decoded.sort_unstable();
        for time in &mut decoded {
            // Two pictures shown at once, or a stream whose times jump: what is decoded later is so in the file too.
            *time = (*time).max(self.decoded_until);
            self.decoded_until = *time + 1;
        }
        let Some(from) = decoded.first().copied() else { return Ok(()) };
        let gaps = decoded.windows(2).map(|two| two[1] - two[0]);
        let last_gap = gaps.clone().next_back().unwrap_or(u64::from(ALONE));
        let samples = self.pending.iter().zip(&decoded).zip(gaps.chain([last_gap]));
        let samples: Vec<Sample> = samples
            .map(|((picture, decoded), gap)| Sample {
                duration: u32::try_from(gap).unwrap_or(u32::MAX),
                bytes: picture.bytes,
                key: picture.key,
                shown_after: i32::try_from(i128::from(picture.shown) - i128::from(*decoded)).unwrap_or_default(),
            })
            .collect();
        let last_shown = self.pending.iter().map(|picture| picture.shown).max().unwrap_or(from);
        self.shown_until = self.shown_until.max(last_shown.saturating_add(last_gap));
        self.fragments += 1;
        let head = boxes::fragment(self.fragments, from, &samples);
        self.output.write_all(&head)?;
        self.output.write_all(&self.samples)?;
        self.written += head.len() as u64 + self.samples.len() as u64;
        self.pending.clear();
        self.samples.clear();
        Ok(())
    }
}

#[cfg(test)]
#[path = "mux_tests.rs"]
mod tests;
