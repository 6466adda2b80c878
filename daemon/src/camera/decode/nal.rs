//! What an access unit's first slice says of it.

use super::super::access_unit::{AccessUnit, Codec};

/// Where slices begin at the latest: before them stand parameter sets and messages of a few hundred bytes.
const HEAD: usize = 64 * 1024;

/// Whether a unit that is marked as a key frame is no IDR picture: an H.264 picture from which decoding may start and
/// recover, at once (open GOP) or over the next pictures (intra refresh). H.265 tells its random access points apart from
/// other pictures, and they are all whole.
pub(super) fn is_recovery_point(unit: &AccessUnit) -> bool {
    if !unit.key || unit.format.codec != Codec::H264 {
        return false;
    }
    let Ok(map) = unit.buffer.map_readable() else { return false };
    first_slice_type(map.get(..HEAD).unwrap_or(&map)) == Some(NON_IDR_SLICE)
}

/// Types of NAL units (ITU-T H.264, table 7-1).
const NON_IDR_SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;

/// The type of the first NAL unit that holds a slice, in an H.264 byte stream.
fn first_slice_type(bytes: &[u8]) -> Option<u8> {
    let starts = bytes.windows(4).filter(|window| window[..3] == [0, 0, 1]);
    starts.map(|window| window[3] & 0x1f).find(|kind| (NON_IDR_SLICE..=IDR_SLICE).contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slice_decides() {
        assert_eq!(first_slice_type(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 9]), Some(IDR_SLICE));
        assert_eq!(first_slice_type(&[0, 0, 0, 1, 0x06, 5, 0, 0, 1, 0x41, 0, 0, 1, 0x65]), Some(NON_IDR_SLICE));
        for none in [&[][..], &[0, 0, 1], &[0, 0, 1, 0x67, 0, 0, 1]] {
            assert_eq!(first_slice_type(none), None);
        }
    }
}
