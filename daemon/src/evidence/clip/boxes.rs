//! The boxes of a fragmented MP4 file (ISO/IEC 14496-12) with one video track: what stands before the first fragment, and
//! each fragment.

use super::nal::ParameterSets;
use crate::camera::access_unit::Codec;

/// Units of time a second: what RTP counts video in.
pub(super) const TIMESCALE: u32 = 90_000;

/// The one track.
const TRACK: u32 = 1;

/// Flags of a full box.
const ENABLED_IN_MOVIE: u32 = 0b11;
const SELF_CONTAINED: u32 = 1;
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// Offset of the samples; duration, size, flags and composition offset of each.
const RUN_FLAGS: u32 = 0x00_0001 | 0x00_0100 | 0x00_0200 | 0x00_0400 | 0x00_0800;

/// Flags of a sample: it depends on no other, or on others and decoding cannot start with it.
const SYNC_SAMPLE: u32 = 0x0200_0000;
const OTHER_SAMPLE: u32 = 0x0101_0000;

/// One sample of a fragment, in decoding order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// How long after it the next one is decoded.
    pub duration: u32,
    pub bytes: u32,
    /// Whether decoding can start with it.
    pub key: bool,
    /// How much later than it is decoded it is shown; earlier, if negative.
    pub shown_after: i32,
}

/// What is in the track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Video {
    pub codec: Codec,
    /// Pixels.
    pub size: (u16, u16),
    /// Whether it has no chroma.
    pub is_grey: bool,
}

/// Everything before the first fragment. Where a fragment's samples are shown may lie before where they are decoded (`trun` of
/// version 1), for which the brand `iso6` stands: so the first picture is shown at zero without an edit list.
pub(super) fn header(video: &Video, sets: &ParameterSets) -> Vec<u8> {
    let mut file = Vec::new();
    put(&mut file, b"ftyp", |ftyp| {
        ftyp.extend_from_slice(b"iso6\0\0\0\0");
        for brand in [b"iso6", b"isom", b"mp41"] {
            ftyp.extend_from_slice(brand);
        }
    });
    put(&mut file, b"moov", |moov| {
        put_full(moov, b"mvhd", 0, 0, |mvhd| {
            // Created and changed at no known time; of a length that only the fragments tell.
            numbers(mvhd, &[0, 0, TIMESCALE, 0, 0x0001_0000]);
            mvhd.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            identity_matrix(mvhd);
            numbers(mvhd, &[0, 0, 0, 0, 0, 0, TRACK + 1]);
        });
        put(moov, b"trak", |trak| track(trak, video, sets));
        put(moov, b"mvex", |mvex| {
            put_full(mvex, b"trex", 0, 0, |trex| numbers(trex, &[TRACK, 1, 0, 0, 0]));
        });
    });
    file
}

/// What stands before the samples of a fragment that begins to be decoded at `from`.
pub(super) fn fragment(number: u32, from: u64, samples: &[Sample]) -> Vec<u8> {
    let mut moof = Vec::new();
    let mut offset_at = 0;
    put(&mut moof, b"moof", |moof| {
        put_full(moof, b"mfhd", 0, 0, |mfhd| numbers(mfhd, &[number]));
        put(moof, b"traf", |traf| {
            put_full(traf, b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |tfhd| numbers(tfhd, &[TRACK]));
            put_full(traf, b"tfdt", 1, 0, |tfdt| tfdt.extend_from_slice(&from.to_be_bytes()));
            put_full(traf, b"trun", 1, RUN_FLAGS, |trun| {
                numbers(trun, &[length(samples.len())]);
                offset_at = trun.len();
                numbers(trun, &[0]);
                for sample in samples {
                    let flags = if sample.key { SYNC_SAMPLE } else { OTHER_SAMPLE };
                    numbers(trun, &[sample.duration, sample.bytes, flags]);
                    trun.extend_from_slice(&sample.shown_after.to_be_bytes());
                }
            });
        });
    });
    let samples: u32 = samples.iter().fold(0, |sum, sample| sum.saturating_add(sample.bytes));
    let before_samples = length(moof.len()) + BOX_HEAD;
    moof[offset_at..offset_at + 4].copy_from_slice(&before_samples.to_be_bytes());
    numbers(&mut moof, &[samples.saturating_add(BOX_HEAD)]);
    moof.extend_from_slice(b"mdat");
    moof
}

fn track(trak: &mut Vec<u8>, video: &Video, sets: &ParameterSets) {
    let (width, height) = video.size;
    put_full(trak, b"tkhd", 0, ENABLED_IN_MOVIE, |tkhd| {
        numbers(tkhd, &[0, 0, TRACK, 0, 0, 0, 0, 0, 0]);
        identity_matrix(tkhd);
        numbers(tkhd, &[u32::from(width) << 16, u32::from(height) << 16]);
    });
    put(trak, b"mdia", |mdia| {
        put_full(mdia, b"mdhd", 0, 0, |mdhd| {
            numbers(mdhd, &[0, 0, TIMESCALE, 0]);
            // The language "und", five bits a letter.
            mdhd.extend_from_slice(&[0x55, 0xc4, 0, 0]);
        });
        put_full(mdia, b"hdlr", 0, 0, |hdlr| {
            hdlr.extend_from_slice(b"\0\0\0\0vide\0\0\0\0\0\0\0\0\0\0\0\0Video\0");
        });
        put(mdia, b"minf", |minf| {
            put_full(minf, b"vmhd", 0, 1, |vmhd| vmhd.extend_from_slice(&[0; 8]));
            put(minf, b"dinf", |dinf| {
                put_full(dinf, b"dref", 0, 0, |dref| {
                    numbers(dref, &[1]);
                    put_full(dref, b"url ", 0, SELF_CONTAINED, |_| {});
                });
            });
            put(minf, b"stbl", |stbl| {
                put_full(stbl, b"stsd", 0, 0, |stsd| {
                    numbers(stsd, &[1]);
                    sample_entry(stsd, video, sets);
                });
                // Every sample is in a fragment.
                put_full(stbl, b"stts", 0, 0, |stts| numbers(stts, &[0]));
                put_full(stbl, b"stsc", 0, 0, |stsc| numbers(stsc, &[0]));
                put_full(stbl, b"stsz", 0, 0, |stsz| numbers(stsz, &[0, 0]));
                put_full(stbl, b"stco", 0, 0, |stco| numbers(stco, &[0]));
            });
        });
    });
}

fn sample_entry(stsd: &mut Vec<u8>, video: &Video, sets: &ParameterSets) {
    let name = match video.codec {
        Codec::H264 => b"avc1",
        Codec::H265 => b"hvc1",
    };
    put(stsd, name, |entry| {
        entry.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        entry.extend_from_slice(&[0; 16]);
        let (width, height) = video.size;
        entry.extend_from_slice(&width.to_be_bytes());
        entry.extend_from_slice(&height.to_be_bytes());
        // 72 dots an inch each way; one picture a sample; no name of a compressor; 24 bits a pixel.
        numbers(entry, &[0x0048_0000, 0x0048_0000, 0]);
        entry.extend_from_slice(&1u16.to_be_bytes());
        entry.extend_from_slice(&[0; 32]);
        entry.extend_from_slice(&[0, 24, 0xff, 0xff]);
        let (name, record) = sets.decoder_configuration(video.is_grey);
        put(entry, name, |configuration| configuration.extend_from_slice(&record));
    });
}

/// Length and name of a box.
const BOX_HEAD: u32 = 8;

fn put(into: &mut Vec<u8>, name: &[u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    numbers(into, &[0]);
    into.extend_from_slice(name);
    content(into);
    let bytes = length(into.len() - start);
    into[start..start + 4].copy_from_slice(&bytes.to_be_bytes());
}

fn put_full(into: &mut Vec<u8>, name: &[u8; 4], version: u8, flags: u32, content: impl FnOnce(&mut Vec<u8>)) {
    put(into, name, |into| {
        numbers(into, &[(u32::from(version) << 24) | flags]);
        content(into);
    });
}

fn numbers(into: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| into.extend_from_slice(&number.to_be_bytes()));
}

fn identity_matrix(into: &mut Vec<u8>) {
    numbers(into, &[0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000]);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
