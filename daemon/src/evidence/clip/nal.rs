//! What stands in an access unit: its NAL units, taken out of the byte stream (annex B of ITU-T H.264 and H.265) and laid out
//! as MP4 files want them (ISO/IEC 14496-15): each with its length before it, parameter sets apart from pictures.

use crate::camera::access_unit::Codec;

/// How long the length before each NAL unit is.
const LENGTH_BYTES: u8 = 4;

/// What a NAL unit is to an MP4 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Video, sequence or picture parameter set: its place in the order in which the file names them.
    ParameterSet(usize),
    /// Says only where units begin or fills a bit rate: the file does without.
    Padding,
    /// A part of a picture, or about it.
    Content,
}

impl Kind {
    /// By the type in its header (ITU-T H.264, table 7-1; H.265, table 7-1).
    fn of(codec: Codec, unit: &[u8]) -> Self {
        match (codec, nal_type(codec, unit)) {
            (Codec::H264, 7) | (Codec::H265, 33) => Self::ParameterSet(SEQUENCE),
            (Codec::H264, 8) | (Codec::H265, 34) => Self::ParameterSet(PICTURE),
            (Codec::H265, 32) => Self::ParameterSet(VIDEO),
            (Codec::H264, 9 | 12) | (Codec::H265, 35 | 38) => Self::Padding,
            _ => Self::Content,
        }
    }
}

const VIDEO: usize = 0;
const SEQUENCE: usize = 1;
const PICTURE: usize = 2;

/// The type in the NAL unit's header; 0 of an empty one.
fn nal_type(codec: Codec, unit: &[u8]) -> u8 {
    let first = unit.first().copied().unwrap_or_default();
    match codec {
        Codec::H264 => first & 0x1f,
        Codec::H265 => (first >> 1) & 0x3f,
    }
}

/// The NAL units of a byte stream, without start codes and the zeros around them.
pub(super) fn units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(bytes);
    std::iter::from_fn(move || {
        let from = rest?;
        let end = start_code(from).unwrap_or(from.len());
        rest = after_start_code(&from[end..]);
        let zeros = from[..end].iter().rev().take_while(|byte| **byte == 0).count();
        Some(&from[..end - zeros])
    })
    .filter(|unit| !unit.is_empty())
}

fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    start_code(bytes).map(|at| &bytes[at + 3..])
}

/// The parameter sets that pictures are decoded by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParameterSets {
    codec: Codec,
    /// Video, sequence and picture parameter sets.
    sets: [Vec<Vec<u8>>; 3],
}

impl ParameterSets {
    /// Those that stand in an access unit; `None` if they do not suffice to decode anything.
    pub fn of(codec: Codec, access_unit: &[u8]) -> Option<Self> {
        let mut sets: [Vec<Vec<u8>>; 3] = Default::default();
        for unit in units(access_unit) {
            if let Kind::ParameterSet(place) = Kind::of(codec, unit)
                && !sets[place].iter().any(|set| set == unit)
            {
                sets[place].push(unit.to_owned());
            }
        }
        let is_long_enough = |set: &Vec<u8>| set.len() >= shortest_sequence_set(codec);
        let suffices = sets[SEQUENCE].first().is_some_and(is_long_enough)
            && !sets[PICTURE].is_empty()
            && (codec == Codec::H264 || !sets[VIDEO].is_empty())
            // What the file's own fields for their number and length can hold.
            && sets.iter().flatten().all(|set| set.len() <= usize::from(u16::MAX))
            && sets.iter().all(|sets| sets.len() < 32);
        suffices.then_some(Self { codec, sets })
    }

    /// Whether an access unit brings none but these.
    pub fn hold_all_of(&self, access_unit: &[u8]) -> bool {
        units(access_unit).all(|unit| match Kind::of(self.codec, unit) {
            Kind::ParameterSet(place) => self.sets[place].iter().any(|set| set == unit),
            Kind::Padding | Kind::Content => true,
        })
    }

    /// The decoder configuration record: name and content of the box that holds it (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).
    pub fn decoder_configuration(&self, is_grey: bool) -> (&'static [u8; 4], Vec<u8>) {
        match self.codec {
            Codec::H264 => (b"avcC", self.avc_configuration(is_grey)),
            Codec::H265 => (b"hvcC", self.hevc_configuration(is_grey)),
        }
    }

    fn avc_configuration(&self, is_grey: bool) -> Vec<u8> {
        // Profile, compatibility and level stand behind the set's header.
        let sequence = &self.sets[SEQUENCE][0];
        let mut record = vec![1];
        record.extend_from_slice(&sequence[1..4]);
        record.push(0b1111_1100 | (LENGTH_BYTES - 1));
        record.push(0b1110_0000 | count(&self.sets[SEQUENCE]));
        self.sets[SEQUENCE].iter().for_each(|set| put_set(&mut record, set));
        record.push(count(&self.sets[PICTURE]));
        self.sets[PICTURE].iter().for_each(|set| put_set(&mut record, set));
        // Profiles in which chroma and depth are not given by the profile; streams of more than 8 bits are not taken.
        if matches!(sequence[1], 100 | 110 | 122 | 144) {
            record.extend_from_slice(&[0b1111_1100 | chroma_format(is_grey), 0b1111_1000, 0b1111_1000, 0]);
        }
        record
    }

    fn hevc_configuration(&self, is_grey: bool) -> Vec<u8> {
        let sequence = without_emulation_prevention(&self.sets[SEQUENCE][0], shortest_sequence_set(Codec::H265));
        // After the header of two bytes: 4 bits id, 3 bits sub-layers - 1, 1 bit nesting; then profile, tier and level.
        let (layers, is_nested) = (((sequence[2] >> 1) & 0b111) + 1, sequence[2] & 1);
        let mut record = vec![1];
        record.extend_from_slice(&sequence[3..15]);
        // Nothing is said of segmentation and parallelism.
        record.extend_from_slice(&[0xf0, 0, 0b1111_1100]);
        record.extend_from_slice(&[0b1111_1100 | chroma_format(is_grey), 0b1111_1000, 0b1111_1000]);
        // No average frame rate.
        record.extend_from_slice(&[0, 0, (layers << 3) | (is_nested << 2) | (LENGTH_BYTES - 1)]);
        record.push(3);
        for (sets, kind) in self.sets.iter().zip([32, 33, 34]) {
            // All of them stand here and none among the pictures.
            record.push(0b1000_0000 | kind);
            record.extend_from_slice(&[0, count(sets)]);
            sets.iter().for_each(|set| put_set(&mut record, set));
        }
        record
    }
}

/// Up to the last byte that the configuration record is made of, and what may have to be taken out before it.
fn shortest_sequence_set(codec: Codec) -> usize {
    match codec {
        Codec::H264 => 4,
        Codec::H265 => 22,
    }
}

/// `chroma_format_idc`: 4:2:0, or none.
fn chroma_format(is_grey: bool) -> u8 {
    u8::from(!is_grey)
}

fn count(sets: &[Vec<u8>]) -> u8 {
    u8::try_from(sets.len()).unwrap_or(u8::MAX)
}

fn put_set(record: &mut Vec<u8>, set: &[u8]) {
    record.extend_from_slice(&u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
    record.extend_from_slice(set);
}

/// The beginning of a NAL unit without the 3 in every 0 0 3 that keeps start codes out of it.
fn without_emulation_prevention(unit: &[u8], bytes: usize) -> Vec<u8> {
    let mut plain: Vec<u8> = Vec::with_capacity(bytes);
    let mut zeros = 0;
    for byte in &unit[..bytes.min(unit.len())] {
        if zeros == 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

/// Appends an access unit as an MP4 sample; answers how many bytes that are.
pub(super) fn put_sample(codec: Codec, access_unit: &[u8], into: &mut Vec<u8>) -> usize {
    let before = into.len();
    for unit in units(access_unit).filter(|unit| Kind::of(codec, unit) == Kind::Content) {
        into.extend_from_slice(&u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
        into.extend_from_slice(unit);
    }
    into.len() - before
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As an encoder lays it out: start codes of three and four bytes, and trailing zeros.
    fn byte_stream(units: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, unit) in units.iter().enumerate() {
            bytes.extend_from_slice(if number % 2 == 0 { &[0, 0, 0, 1] } else { &[0, 0, 1] });
            bytes.extend_from_slice(unit);
            bytes.resize(bytes.len() + number % 3, 0);
        }
        bytes
    }

    /// Without a start code in it; the last byte is never zero.
    fn unit() -> impl Strategy<Value = Vec<u8>> {
        (prop::collection::vec(2u8.., 0..40), 1u8..).prop_map(|(mut unit, last)| {
            unit.push(last);
            unit
        })
    }

    proptest! {
        #[test]
        fn what_was_laid_out_is_found_again(laid_out in prop::collection::vec(unit(), 0..10)) {
            let bytes = byte_stream(&laid_out);
            prop_assert_eq!(units(&bytes).map(<[u8]>::to_vec).collect::<Vec<_>>(), laid_out);
        }

        #[test]
        fn no_bytes_do_any_harm(bytes in prop::collection::vec(0u8..4, 0..200), h265 in any::<bool>()) {
            let codec = if h265 { Codec::H265 } else { Codec::H264 };
            let _ = ParameterSets::of(codec, &bytes).map(|sets| sets.decoder_configuration(false));
            let mut sample = Vec::new();
            prop_assert_eq!(put_sample(codec, &bytes, &mut sample), sample.len());
        }
    }

    #[test]
    fn parameter_sets_leave_the_pictures() {
        let (sequence, picture, slice) = (vec![0x67, 66, 0xc0, 30, 9], vec![0x68, 1, 2], vec![0x65, 7, 7]);
        let bytes = byte_stream(&[vec![9, 16], sequence.clone(), picture, slice]);
        let sets = ParameterSets::of(Codec::H264, &bytes).unwrap();
        let (name, record) = sets.decoder_configuration(false);
        assert_eq!((name, &record[..8]), (b"avcC", &[1, 66, 0xc0, 30, 0xff, 0xe1, 0, 5][..]));
        assert_eq!(&record[8..], [0x67, 66, 0xc0, 30, 9, 1, 0, 3, 0x68, 1, 2]);
        let mut sample = Vec::new();
        put_sample(Codec::H264, &bytes, &mut sample);
        assert_eq!(sample, [0, 0, 0, 3, 0x65, 7, 7]);

        assert!(sets.hold_all_of(&bytes));
        assert!(!sets.hold_all_of(&byte_stream(&[vec![0x67, 66, 0xc0, 31, 9]])));
        assert!(ParameterSets::of(Codec::H264, &byte_stream(&[sequence])).is_none());
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        assert_eq!(without_emulation_prevention(&[1, 0, 0, 3, 0, 0, 3, 1, 3, 0, 3], 11), [1, 0, 0, 0, 0, 1, 3, 0, 3]);
    }
}
