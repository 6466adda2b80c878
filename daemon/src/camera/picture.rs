//! One decoded picture, still in the decoder's own memory.

use std::fmt;

use gstreamer_video::{self as gst_video, VideoFormat, prelude::*};
use snowgate_core::time::Mono;

use super::pixels::{Chroma, Pixels, Plane};

/// A decoded picture. Moving it to another thread copies nothing; while it lives it holds one buffer of its decoder's
/// pool, so few should be kept.
#[derive(Debug)]
pub struct Picture {
    number: u64,
    at: Mono,
    arrived: Mono,
    frame: gst_video::VideoFrame<gst_video::video_frame::Readable>,
    layout: Layout,
}

const NO_PLANE: Plane<'static> = Plane { data: &[], stride: 0, width: 0, height: 0 };

/// The two layouts decoders give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    I420,
    Nv12,
}

/// Why a decoded buffer is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Another pixel format than I420 and NV12: more than 8 bits, or other chroma than 4:2:0.
    #[error("pixel format {0} is not supported: pictures must have 8 bits and 4:2:0 chroma")]
    Format(String),
    /// The memory cannot be read, or is smaller than the format says.
    #[error("the decoder's memory cannot be read")]
    Memory,
}

impl Picture {
    /// Wraps a decoded buffer.
    ///
    /// # Errors
    /// Another format than I420 and NV12; memory that cannot be read.
    pub fn new(
        number: u64,
        at: Mono,
        arrived: Mono,
        buffer: gstreamer::Buffer,
        info: &gst_video::VideoInfo,
    ) -> Result<Self, PictureError> {
        let layout = Layout::of(info)?;
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, info).map_err(|_| PictureError::Memory)?;
        let picture = Self { number, at, arrived, frame, layout };
        // Checked once here, so that nobody who reads pixels can run over the end of a plane.
        if picture.planes().is_some() { Ok(picture) } else { Err(PictureError::Memory) }
    }

    /// Whether a picture could be made from this format.
    ///
    /// # Errors
    /// It could not.
    pub fn check_format(info: &gst_video::VideoInfo) -> Result<(), PictureError> {
        Layout::of(info).map(drop)
    }

    /// The same picture once more, for somebody else to keep; nothing is copied.
    ///
    /// # Errors
    /// Its memory cannot be read a second time.
    pub fn share(&self) -> Result<Self, PictureError> {
        Self::new(self.number, self.at, self.arrived, self.frame.buffer_owned(), self.frame.info())
    }

    /// The number of the access unit it was decoded from, counted by its camera.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was taken, on the box's monotonic axis.
    pub fn at(&self) -> Mono {
        self.at
    }

    /// When its access unit reached us.
    pub fn arrived(&self) -> Mono {
        self.arrived
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.frame.width() as usize
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.frame.height() as usize
    }

    /// The planes, where they lie.
    pub fn pixels(&self) -> Pixels<'_> {
        // `new` has seen that the planes are there.
        let (luma, chroma) = self.planes().unwrap_or((NO_PLANE, Chroma::Interleaved { uv: NO_PLANE }));
        let colorimetry = self.frame.info().colorimetry();
        Pixels {
            luma,
            chroma,
            full_range: colorimetry.range() == gst_video::VideoColorRange::Range0_255,
            bt709: match colorimetry.matrix() {
                gst_video::VideoColorMatrix::Bt709 => true,
                // Streams that do not say are HD or not by their height, as players take it.
                gst_video::VideoColorMatrix::Unknown => self.height() > 576,
                _ => false,
            },
        }
    }

    /// `None` if a plane's memory is shorter than its rows.
    fn planes(&self) -> Option<(Plane<'_>, Chroma<'_>)> {
        let (width, height) = (self.width().div_ceil(2), self.height().div_ceil(2));
        let luma = self.plane(0, self.width(), self.height(), 1)?;
        let chroma = match self.layout {
            Layout::I420 => Chroma::Planar { u: self.plane(1, width, height, 1)?, v: self.plane(2, width, height, 1)? },
            Layout::Nv12 => Chroma::Interleaved { uv: self.plane(1, width, height, 2)? },
        };
        Some((luma, chroma))
    }

    fn plane(&self, index: u32, width: usize, height: usize, sample_bytes: usize) -> Option<Plane<'_>> {
        let data = self.frame.plane_data(index).ok()?;
        let stride = usize::try_from(*self.frame.plane_stride().get(index as usize)?).ok()?;
        let needed = stride.checked_mul(height.checked_sub(1)?)?.checked_add(width.checked_mul(sample_bytes)?)?;
        (stride >= width * sample_bytes && data.len() >= needed).then_some(Plane { data, stride, width, height })
    }
}

impl Layout {
    fn of(info: &gst_video::VideoInfo) -> Result<Self, PictureError> {
        match info.format() {
            VideoFormat::I420 => Ok(Self::I420),
            VideoFormat::Nv12 => Ok(Self::Nv12),
            other => Err(PictureError::Format(other.to_string())),
        }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "picture {} ({}x{})", self.number, self.width(), self.height())
    }
}
