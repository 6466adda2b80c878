//! A video file as the access units of a camera, for replay: as fast as they are asked for, with the file's own times.
//!
//! The file's demuxer runs on its own thread behind a queue of a few units; what comes out and in which order depends on
//! the file alone.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use snowgate_core::{ids::Id, time::Mono};

use super::access_unit::{AccessUnit, Arrival, Codec, StreamFormat, UnsupportedFormat};

/// The longest wait for a file to be opened or for its next unit; disks answer, or are broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Units the demuxer may be ahead.
const AHEAD: u32 = 8;
/// How much shorter than it says a whole file may be: containers round, and sound may run on after the video.
const DURATION_SLACK: Duration = Duration::from_secs(2);
/// Between two units of a file that does not say: 25 pictures a second.
const DEFAULT_INTERVAL: u64 = 40_000_000;

/// Why a clip cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// It cannot be opened.
    #[error("{}: {error}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// No demuxer knows it.
    #[error("{}: not a video file, or of a kind that is not supported ({what})", .path.display())]
    NotAVideo {
        /// The file.
        path: PathBuf,
        /// In the demuxer's words.
        what: String,
    },
    /// There is no H.264 or H.265 in it.
    #[error("{}: no H.264 or H.265 video in it", .path.display())]
    NoVideo {
        /// The file.
        path: PathBuf,
    },
    /// Its video cannot be used.
    #[error("{}: {error}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Why.
        error: UnsupportedFormat,
    },
    /// It ends too early, or in mid-air.
    #[error("{}: damaged or cut short after {:.1} s ({what})", .path.display(), .at.as_secs_f64())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Video that could be read.
        at: Duration,
        /// What was found.
        what: String,
    },
    /// Nothing came for too long.
    #[error("{}: reading it made no progress for {} s", .path.display(), PATIENCE.as_secs())]
    TimedOut {
        /// The file.
        path: PathBuf,
    },
    /// Ours: an element is missing.
    #[error("clips cannot be read on this box: {0}")]
    Internal(String),
}

/// Reads one clip.
pub struct ClipReader {
    path: PathBuf,
    camera: Id,
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    /// Set once the demuxer has shown every stream it found, or one of them has ended.
    all_pads: Arc<AtomicBool>,
    linked: Arc<AtomicBool>,
    format: Option<Arc<StreamFormat>>,
    last: Option<AccessUnit>,
    number: u64,
    next_pts: u64,
    newest: u64,
    ended: bool,
}

impl ClipReader {
    /// Opens a clip as if it came from `camera`; its first unit has been found when this returns.
    ///
    /// # Errors
    /// The file is missing, is no video, or has no H.264 or H.265 in it.
    pub fn open(path: &Path, camera: Id) -> Result<Self, ClipError> {
        // A message from the system says more than the demuxer's.
        let open = |error| ClipError::Open { path: path.to_owned(), error };
        if std::fs::File::open(path).and_then(|file| file.metadata()).map_err(open)?.is_dir() {
            return Err(open(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut reader = Self::start(path, camera).map_err(|error| ClipError::Internal(error.to_string()))?;
        reader.last = reader.pull()?;
        if reader.last.is_none() {
            return Err(ClipError::NoVideo { path: path.to_owned() });
        }
        Ok(reader)
    }

    fn start(path: &Path, camera: Id) -> Result<Self, Box<dyn std::error::Error>> {
        gst::init()?;
        let pipeline = gst::Pipeline::new();
        let source = gst::ElementFactory::make("filesrc").property("location", path).build()?;
        let demuxer = gst::ElementFactory::make("parsebin").build()?;
        let sink = gst_app::AppSink::builder().sync(false).max_buffers(AHEAD).build();
        pipeline.add_many([&source, &demuxer, sink.upcast_ref()])?;
        source.link(&demuxer)?;
        let (linked, all_pads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let taken = Mutex::new(false);
        demuxer.connect_pad_added({
            let (pipeline, sink) = (pipeline.downgrade(), sink.clone());
            let (linked, ended) = (Arc::clone(&linked), Arc::clone(&all_pads));
            move |_, pad| {
                let Some(pipeline) = pipeline.upgrade() else { return };
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                if !*taken && link_video(&pipeline, pad, &sink).unwrap_or(false) {
                    *taken = true;
                    linked.store(true, Ordering::Release);
                } else {
                    // A failure shows as the demuxer's own error: its stream leads nowhere.
                    let _ = discard(&pipeline, pad, &ended);
                }
            }
        });
        demuxer.connect_no_more_pads({
            let all_pads = Arc::clone(&all_pads);
            move |_| all_pads.store(true, Ordering::Release)
        });
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self {
            path: path.to_owned(),
            camera,
            pipeline,
            sink,
            all_pads,
            linked,
            format: None,
            last: None,
            number: 0,
            next_pts: 0,
            newest: 0,
            ended: false,
        })
    }

    /// The next unit in decoding order, or `None` after the last. `at` and `arrived` are the unit's time in the file.
    ///
    /// # Errors
    /// The file is damaged or ends before it says; reading stops there.
    pub fn next_unit(&mut self) -> Result<Option<AccessUnit>, ClipError> {
        match self.last.take() {
            Some(first) => Ok(Some(first)),
            None => self.pull(),
        }
    }

    fn pull(&mut self) -> Result<Option<AccessUnit>, ClipError> {
        let patience_ends = Instant::now() + PATIENCE;
        while !self.ended {
            if let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::from_mseconds(20)) {
                if let Some(unit) = self.unit(&sample)? {
                    return Ok(Some(unit));
                }
                continue;
            }
            if let Some(fault) = self.fault() {
                self.ended = true;
                return Err(fault);
            }
            if self.sink.is_eos() {
                self.ended = true;
                return self.check_length().map(|()| None);
            }
            if self.all_pads.load(Ordering::Acquire) && !self.linked.load(Ordering::Acquire) {
                self.ended = true;
                return Err(ClipError::NoVideo { path: self.path.clone() });
            }
            if Instant::now() >= patience_ends {
                self.ended = true;
                return Err(ClipError::TimedOut { path: self.path.clone() });
            }
        }
        Ok(None)
    }

    fn unit(&mut self, sample: &gst::Sample) -> Result<Option<AccessUnit>, ClipError> {
        let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps_owned()) else { return Ok(None) };
        if self.format.as_ref().is_none_or(|format| format.caps != caps) {
            let format = StreamFormat::from_caps(self.camera.clone(), caps)
                .map_err(|error| ClipError::Unsupported { path: self.path.clone(), error })?;
            self.format = Some(Arc::new(format));
        }
        let Some(format) = self.format.clone() else { return Ok(None) };
        let running_time = || sample.segment()?.downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?);
        let pts = running_time().or(buffer.pts()).map_or(self.next_pts, gst::ClockTime::nseconds);
        self.next_pts = pts + buffer.duration().map_or(DEFAULT_INTERVAL, gst::ClockTime::nseconds);
        self.newest = self.newest.max(self.next_pts);
        self.number += 1;
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let arrival = Arrival { key, at: Mono(pts), arrived: Mono(pts), buffer, format };
        Ok(Some(AccessUnit::numbered(self.number, arrival)))
    }

    /// What the pipeline has to complain about.
    fn fault(&self) -> Option<ClipError> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(error) = message.view() else { return None };
        let (path, what) = (self.path.clone(), error.error().to_string());
        Some(if self.number > 0 {
            ClipError::Truncated { path, at: Duration::from_nanos(self.newest), what }
        } else if self.all_pads.load(Ordering::Acquire) {
            ClipError::NoVideo { path }
        } else {
            ClipError::NotAVideo { path, what }
        })
    }

    /// A file cut short ends like a whole one; only its own header tells.
    fn check_length(&self) -> Result<(), ClipError> {
        let at = Duration::from_nanos(self.newest);
        match self.pipeline.query_duration::<gst::ClockTime>().map(Duration::from) {
            Some(whole) if at + DURATION_SLACK < whole => Err(ClipError::Truncated {
                path: self.path.clone(),
                at,
                what: format!("its header says {:.1} s", whole.as_secs_f64()),
            }),
            _ => Ok(()),
        }
    }
}

impl Drop for ClipReader {
    fn drop(&mut self) {
        // The demuxer's thread is stopped by this; a failure leaves nothing to do.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Links the first H.264 or H.265 stream to the sink; answers whether `pad` was one.
fn link_video(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    sink: &gst_app::AppSink,
) -> Result<bool, Box<dyn std::error::Error>> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let Some(codec) = caps.structure(0).and_then(|structure| Codec::of_media_type(structure.name())) else {
        return Ok(false);
    };
    let parser = codec.parser()?;
    sink.set_caps(Some(&codec.caps()));
    pipeline.add(&parser)?;
    parser.link(sink)?;
    parser.sync_state_with_parent()?;
    let input = parser.static_pad("sink").ok_or("the parser has no sink pad")?;
    pad.link(&input)?;
    Ok(true)
}

/// Lets a stream that is not wanted run into nothing, so that the demuxer can go on.
fn discard(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    ended: &Arc<AtomicBool>,
) -> Result<(), Box<dyn std::error::Error>> {
    let nothing = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build()?;
    pipeline.add(&nothing)?;
    nothing.sync_state_with_parent()?;
    let input = nothing.static_pad("sink").ok_or("fakesink has no sink pad")?;
    let ended = Arc::clone(ended);
    input.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            ended.store(true, Ordering::Release);
        }
        gst::PadProbeReturn::Ok
    });
    pad.link(&input)?;
    Ok(())
}
