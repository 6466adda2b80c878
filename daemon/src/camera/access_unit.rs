//! Encoded pictures as they leave a stream: numbered, on the box's own time axis, never copied.

use std::{fmt, sync::Arc, time::Duration};

use gstreamer as gst;
use snowgate_core::{ids::Id, time::Mono};

/// The video codings Snowgate decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
}

impl Codec {
    /// The codec of a GStreamer media type, `video/x-h264` or `video/x-h265`.
    pub fn of_media_type(name: &str) -> Option<Self> {
        match name {
            "video/x-h264" => Some(Self::H264),
            "video/x-h265" => Some(Self::H265),
            _ => None,
        }
    }

    /// The codec of an SDP encoding name (RFC 6184, RFC 7798).
    pub fn of_encoding_name(name: &str) -> Option<Self> {
        match name {
            "H264" => Some(Self::H264),
            "H265" => Some(Self::H265),
            _ => None,
        }
    }

    /// The element that cuts a stream into access units. `config-interval=-1` repeats the parameter sets before every
    /// key frame, so that decoding (and a clip) can start at any of them.
    pub(super) fn parser(self) -> Result<gst::Element, gst::glib::BoolError> {
        let factory = match self {
            Self::H264 => "h264parse",
            Self::H265 => "h265parse",
        };
        gst::ElementFactory::make(factory).property("config-interval", -1i32).build()
    }

    /// How access units leave the parser.
    pub(super) fn caps(self) -> gst::Caps {
        let media_type = match self {
            Self::H264 => "video/x-h264",
            Self::H265 => "video/x-h265",
        };
        gst::Caps::builder(media_type).field("stream-format", "byte-stream").field("alignment", "au").build()
    }
}

impl Codec {
    /// Its name, for people and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one camera's stream is coded at the moment. A change makes a new one, at a key frame.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamFormat {
    /// Whose stream this is.
    pub camera: Id,
    /// The coding.
    pub codec: Codec,
    /// What the parser knows: profile, level, size.
    pub caps: gst::Caps,
}

/// Why a stream cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not supported: Snowgate decodes 8-bit 4:2:0 H.264 and H.265")]
pub struct UnsupportedFormat(pub String);

impl StreamFormat {
    /// The format a parser announces.
    ///
    /// # Errors
    /// Another coding than H.264 and H.265, more than 8 bits a sample, or other chroma than 4:2:0 (grey is fine).
    pub fn from_caps(camera: Id, caps: gst::Caps) -> Result<Self, UnsupportedFormat> {
        let Some(structure) = caps.structure(0) else {
            return Err(UnsupportedFormat("a stream without a format".into()));
        };
        let codec = Codec::of_media_type(structure.name())
            .ok_or_else(|| UnsupportedFormat(structure.name().trim_start_matches("video/x-").to_owned()))?;
        let depth = ["bit-depth-luma", "bit-depth-chroma"]
            .into_iter()
            .filter_map(|field| structure.get::<u32>(field).ok())
            .max()
            .unwrap_or(8);
        if depth > 8 {
            return Err(UnsupportedFormat(format!("{codec} with {depth} bits a sample")));
        }
        match structure.get::<&str>("chroma-format") {
            Ok(chroma) if chroma != "4:2:0" && chroma != "4:0:0" => {
                Err(UnsupportedFormat(format!("{codec} with {chroma} chroma")))
            }
            _ => Ok(Self { camera, codec, caps }),
        }
    }

    /// Width and height in pixels, where the parser has seen them.
    pub fn size(&self) -> Option<(u32, u32)> {
        let structure = self.caps.structure(0)?;
        let side = |field| structure.get::<i32>(field).ok().and_then(|side| u32::try_from(side).ok());
        Some((side("width")?, side("height")?))
    }

    /// Whether its pictures are known to have no colours.
    pub fn is_grey(&self) -> bool {
        self.caps.structure(0).is_some_and(|structure| structure.get::<&str>("chroma-format") == Ok("4:0:0"))
    }
}

/// An encoded picture that has arrived and has no number yet; [`GopRing::push`](super::gop_ring::GopRing::push) gives it one.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Whether decoding can start here.
    pub key: bool,
    /// Presentation time on the box's monotonic axis.
    pub at: Mono,
    /// When it reached us.
    pub arrived: Mono,
    /// The encoded bytes: byte-stream, one access unit, parameter sets in band before every key frame.
    pub buffer: gst::Buffer,
    /// How they are coded.
    pub format: Arc<StreamFormat>,
}

/// One encoded picture. Cloning takes references and copies no bytes.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// Counted by the camera from 1 in order of arrival, never reused: a gap is a loss.
    pub number: u64,
    /// Whether decoding can start here.
    pub key: bool,
    /// Presentation time on the box's monotonic axis.
    pub at: Mono,
    /// When it reached us.
    pub arrived: Mono,
    /// Bytes.
    pub size: usize,
    /// The encoded bytes: byte-stream, one access unit, parameter sets in band before every key frame.
    pub buffer: gst::Buffer,
    /// How they are coded.
    pub format: Arc<StreamFormat>,
}

impl AccessUnit {
    /// An arrival with its number.
    pub fn numbered(number: u64, arrival: Arrival) -> Self {
        let Arrival { key, at, arrived, buffer, format } = arrival;
        Self { number, key, at, arrived, size: buffer.size(), buffer, format }
    }
}

/// How far a timestamp may stray from its arrival before it is no longer believed.
const MAX_DRIFT: Duration = Duration::from_secs(1);

/// Lays a stream's own timestamps on the box's monotonic axis.
///
/// The first timestamp is anchored to its arrival; later ones keep their distances to it, so that pictures are as far
/// apart as the camera took them, not as the network delivered them. A timestamp that is missing, or ends up further than
/// a second from its arrival (a camera that sets its clock, a stream that starts again), moves the anchor.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Arrival minus timestamp, nanoseconds.
    anchor: Option<i128>,
}

/// A timestamp on the box's axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The presentation time.
    pub at: Mono,
    /// Whether an anchor that had been set had to be given up for it.
    pub reanchored: bool,
}

impl Timeline {
    /// Places one timestamp, in nanoseconds of the stream's own axis.
    pub fn place(&mut self, pts: Option<u64>, arrived: Mono) -> Placed {
        let Some(pts) = pts else {
            return Placed { at: arrived, reanchored: self.anchor.take().is_some() };
        };
        if let Some(anchor) = self.anchor {
            let at = i128::from(pts) + anchor;
            let drift = (at - i128::from(arrived.0)).unsigned_abs();
            if let Ok(at) = u64::try_from(at)
                && drift <= MAX_DRIFT.as_nanos()
            {
                return Placed { at: Mono(at), reanchored: false };
            }
        }
        let reanchored = self.anchor.replace(i128::from(arrived.0) - i128::from(pts)).is_some();
        Placed { at: arrived, reanchored }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn pictures_are_as_far_apart_as_the_camera_took_them() {
        let mut timeline = Timeline::default();
        let arrivals = [5_000, 5_210, 5_211, 5_212, 5_300];
        let placed: Vec<_> = (0u64..)
            .zip(arrivals)
            .map(|(n, arrived)| timeline.place(Some(n * 40 * MILLI), Mono(arrived * MILLI)))
            .collect();
        for (n, placed) in (0u64..).zip(placed) {
            assert_eq!(placed, Placed { at: Mono((5_000 + n * 40) * MILLI), reanchored: false });
        }
    }

    #[test]
    fn reordered_pictures_keep_the_anchor() {
        let mut timeline = Timeline::default();
        for (pts, arrived) in [(0, 0), (120, 40), (40, 80), (80, 120)] {
            let placed = timeline.place(Some(pts * MILLI), Mono(arrived * MILLI));
            assert_eq!(placed, Placed { at: Mono(pts * MILLI), reanchored: false });
        }
    }

    #[test]
    fn a_timestamp_that_jumps_or_is_missing_moves_the_anchor() {
        let mut timeline = Timeline::default();
        timeline.place(Some(10_000 * MILLI), Mono(50_000 * MILLI));
        let back = timeline.place(Some(0), Mono(50_040 * MILLI));
        assert_eq!(back, Placed { at: Mono(50_040 * MILLI), reanchored: true });
        let next = timeline.place(Some(40 * MILLI), Mono(50_085 * MILLI));
        assert_eq!(next, Placed { at: Mono(50_080 * MILLI), reanchored: false });
        let missing = timeline.place(None, Mono(50_120 * MILLI));
        assert_eq!(missing, Placed { at: Mono(50_120 * MILLI), reanchored: true });
        let after = timeline.place(Some(900_000 * MILLI), Mono(50_160 * MILLI));
        assert_eq!(after, Placed { at: Mono(50_160 * MILLI), reanchored: false });
    }

    proptest! {
        #[test]
        fn a_place_is_never_further_than_a_second_from_the_arrival(
            stamps in prop::collection::vec((prop::option::of(any::<u64>()), any::<u64>()), 1..50),
        ) {
            let mut timeline = Timeline::default();
            for (pts, arrived) in stamps {
                let placed = timeline.place(pts, Mono(arrived));
                prop_assert!(placed.at.0.abs_diff(arrived) <= 1_000_000_000);
            }
        }
    }

    #[test]
    fn formats_that_cannot_be_decoded_are_named() {
        gst::init().unwrap();
        let format = |caps: &str| StreamFormat::from_caps("gate".parse().unwrap(), caps.parse().unwrap());
        let good =
            format("video/x-h264, width=1920, height=1080, bit-depth-luma=(uint)8, chroma-format=4:2:0").unwrap();
        assert_eq!((good.codec, good.size()), (Codec::H264, Some((1920, 1080))));
        assert_eq!(format("video/x-h265").unwrap().codec, Codec::H265);
        for (caps, named) in [
            ("video/x-h265, bit-depth-luma=(uint)10, chroma-format=4:2:0", "H.265 with 10 bits"),
            ("video/x-h264, bit-depth-luma=(uint)8, chroma-format=4:2:2", "H.264 with 4:2:2"),
            ("video/x-jpeg", "jpeg"),
        ] {
            let error = format(caps).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
