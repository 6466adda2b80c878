//! Covered pictures in, H.264 out, on the caller's own thread: Cisco's OpenH264, which is free to be shipped (BSD).
//!
//! Pictures can only be given to it as [`Covered`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer::{self as gst, prelude::*};
use snowgate_core::{ids::Id, time::Mono};

use super::super::canvas::{CanvasError, Covered, Planes};
use crate::camera::access_unit::{Codec, StreamFormat};

/// The element.
const ENCODER: &str = "openh264enc";

/// Bits for each pixel of each picture: between pictures half a second apart much is new.
const BITS_A_PIXEL: u32 = 1;

/// A key frame every so many seconds.
const KEY_FRAME_EVERY: u32 = 5;

/// The latest time that GStreamer tells apart from none.
const LONGEST: u64 = u64::MAX - 1;

/// Why a picture is not encoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    /// The element is missing, or does not work.
    #[error("{ENCODER} {0}")]
    Element(String),
    /// What is to be encoded is no picture.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    /// Pictures of another size have been encoded before.
    #[error("pictures of two sizes do not make one clip")]
    OtherSize,
}

/// What came out for one picture.
pub(super) struct EncodedPicture {
    pub at: Mono,
    pub key: bool,
    pub buffer: gst::Buffer,
}

/// An encoder of pictures of one size.
pub(super) struct Encoder {
    source: gst::Pad,
    element: gst::Element,
    sink: gst::Pad,
    output: Arc<Mutex<Vec<gst::Buffer>>>,
    size: (usize, usize),
    /// When the first picture is shown.
    began: Mono,
}

impl Encoder {
    /// For pictures like this one, so many a second.
    pub fn open(like: &Planes, fps: u32, began: Mono) -> Result<Self, EncodeError> {
        let failed = |what: &str| EncodeError::Element(what.to_owned());
        let (width, height) = like.size;
        gst::init().map_err(|error| EncodeError::Element(error.to_string()))?;
        let pixels = u32::try_from(width * height).unwrap_or(u32::MAX);
        let element = gst::ElementFactory::make(ENCODER)
            .property("bitrate", pixels.saturating_mul(fps).saturating_mul(BITS_A_PIXEL))
            .property("gop-size", fps.saturating_mul(KEY_FRAME_EVERY))
            .property("multi-thread", 1u32)
            .build()
            .map_err(|_| failed("is not there; the package gstreamer1.0-plugins-bad has it"))?;
        let output = Arc::new(Mutex::new(Vec::new()));
        let any =
            |name, direction| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &gst::Caps::new_any());
        let made = |_| failed("cannot be connected");
        let source = gst::Pad::builder_from_template(&any("source", gst::PadDirection::Src).map_err(made)?).build();
        let taken = Arc::clone(&output);
        let sink = gst::Pad::builder_from_template(&any("sink", gst::PadDirection::Sink).map_err(made)?)
            .chain_function(move |_, _, buffer| {
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(|_, _, _| true)
            .build();
        let encoder = Self { source, element, sink, output, size: like.size, began };
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", i32::try_from(width).unwrap_or(i32::MAX))
            .field("height", i32::try_from(height).unwrap_or(i32::MAX))
            .field("framerate", gst::Fraction::new(i32::try_from(fps).unwrap_or(1), 1))
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build();
        encoder.start(&caps).ok_or_else(|| failed("does not start"))?;
        Ok(encoder)
    }

    fn start(&self, caps: &gst::Caps) -> Option<()> {
        self.source.link(&self.element.static_pad("sink")?).ok()?;
        self.element.static_pad("src")?.link(&self.sink).ok()?;
        self.sink.set_active(true).ok()?;
        self.element.set_state(gst::State::Playing).ok()?;
        self.source.set_active(true).ok()?;
        self.source.push_event(gst::event::StreamStart::new("copy"));
        let is_taken = self.source.push_event(gst::event::Caps::new(caps));
        self.source.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        is_taken.then_some(())
    }

    /// Encodes a picture that is shown at `at`.
    pub fn encode(&mut self, covered: &Covered, at: Mono) -> Result<(), EncodeError> {
        let Planes { i420, size } = covered.planes()?;
        if size != self.size {
            return Err(EncodeError::OtherSize);
        }
        let mut buffer = gst::Buffer::from_mut_slice(i420);
        let nanos = at.0.saturating_sub(self.began.0).min(LONGEST);
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(nanos));
        self.source.push(buffer).map_err(|error| EncodeError::Element(format!("refuses a picture: {error}")))?;
        Ok(())
    }

    /// What has come out since the last time. It holds nothing back.
    pub fn take(&mut self) -> Vec<EncodedPicture> {
        let buffers = std::mem::take(&mut *self.output());
        let picture = |buffer: gst::Buffer| {
            let shown = buffer.pts().map_or(0, gst::ClockTime::nseconds);
            let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            EncodedPicture { at: Mono(self.began.0.saturating_add(shown)), key, buffer }
        };
        buffers.into_iter().map(picture).collect()
    }

    /// What comes out.
    pub fn format(&self, camera: Id) -> StreamFormat {
        let side = |side: usize| i32::try_from(side).unwrap_or(i32::MAX);
        let caps = gst::Caps::builder("video/x-h264")
            .field("width", side(self.size.0))
            .field("height", side(self.size.1))
            .build();
        StreamFormat { camera, codec: Codec::H264, caps }
    }

    fn output(&self) -> MutexGuard<'_, Vec<gst::Buffer>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Nothing can be done about a pad or element that will not stop; each is let go of all the same.
        let _ = self.source.set_active(false);
        let _ = self.element.set_state(gst::State::Null);
        let _ = self.sink.set_active(false);
    }
}
