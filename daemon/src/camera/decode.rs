//! A decoder that works on its caller's own thread: push an access unit in, and its pictures have come out when the
//! call returns.
//!
//! A source pad without parent feeds libav's element, whose output ends in a sink pad with a chain function. There is no
//! pipeline, bus, queue or thread behind it. One decoder may serve any number of cameras, one after the other, with a
//! [`drain`](Decoder::drain) between them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_video as gst_video;
use snowgate_core::{ids::Id, time::Mono};

use super::{
    access_unit::{AccessUnit, Codec, StreamFormat},
    picture::{Picture, PictureError},
};
use crate::events::camera::{UnitDecoded, UnitsUndecodable};

/// More units than a decoder may hold back for reordering (16 frames in both standards).
const MOST_HELD: usize = 32;

/// Why an access unit gave no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The decoder's element is not installed or does not start.
    #[error("no {codec} decoder: {what}; the GStreamer libav plugin has one")]
    Unavailable {
        /// The coding.
        codec: Codec,
        /// What went wrong.
        what: String,
    },
    /// What comes out is not 8-bit 4:2:0.
    #[error("camera {camera}: {error}")]
    UnsupportedFormat {
        /// Whose stream.
        camera: Id,
        /// Which format.
        error: PictureError,
    },
    /// The unit is damaged. Decoding goes on at the next key frame by itself.
    #[error("camera {camera}: encoded picture {number} is damaged")]
    Damaged {
        /// Whose stream.
        camera: Id,
        /// The unit.
        number: u64,
    },
}

/// A synchronous decoder for one coding at a time; another coding makes it start anew by itself.
pub struct Decoder {
    chain: Chain,
    format: Option<Arc<StreamFormat>>,
    /// Units pushed whose pictures have not come out, in decoding order.
    held: VecDeque<Held>,
    awaiting_key: bool,
}

/// What a picture takes over from its unit.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// The timestamp the element was given: unique among those held, so that the picture can be told by it.
    pts: u64,
    number: u64,
    at: Mono,
    arrived: Mono,
}

impl Decoder {
    /// A decoder that is ready for a key frame.
    ///
    /// # Errors
    /// The element is missing or does not start.
    pub fn new(codec: Codec) -> Result<Self, DecodeError> {
        let held = VecDeque::with_capacity(MOST_HELD + 1);
        Ok(Self { chain: Chain::new(codec)?, format: None, held, awaiting_key: true })
    }

    /// Decodes one unit; calls `sink` for each picture that comes out, in the order they are shown. Without B-frames that
    /// is the unit's own picture; with them it is an earlier one's.
    ///
    /// Units before the first key frame, and after damage until the next, are passed over and counted.
    ///
    /// # Errors
    /// The unit is damaged, or decodes to a format that is not supported. The decoder stays usable: it goes on at the
    /// next key frame.
    pub fn decode(&mut self, unit: &AccessUnit, sink: &mut dyn FnMut(Picture)) -> Result<(), DecodeError> {
        let camera = &unit.format.camera;
        if self.awaiting_key && !unit.key {
            UnitsUndecodable { camera: camera.as_str(), number: unit.number, count: 1 }.emit();
            return Ok(());
        }
        self.follow_format(&unit.format, sink)?;
        self.awaiting_key = false;
        let began = Instant::now();
        let pts = self.hold(unit);
        let pushed = self.chain.push(unit, pts);
        let taken = self.take_pictures(camera, sink);
        if let Ok(pictures) = taken {
            UnitDecoded { camera: camera.as_str(), took: began.elapsed(), pictures }.emit();
        }
        let result = match (taken, pushed) {
            (Err(error), _) => Err(error),
            (Ok(_), Err(_)) => Err(DecodeError::Damaged { camera: camera.clone(), number: unit.number }),
            (Ok(_), Ok(_)) => Ok(()),
        };
        if result.is_err() {
            self.start_anew(camera);
        }
        result
    }

    /// Lets out every picture held back for reordering, and leaves the decoder ready for any camera's key frame.
    ///
    /// # Errors
    /// The pictures have a format that is not supported; the decoder is ready all the same.
    pub fn drain(&mut self, sink: &mut dyn FnMut(Picture)) -> Result<(), DecodeError> {
        let Some(format) = self.format.take() else { return Ok(()) };
        let began = Instant::now();
        self.chain.end();
        let taken = self.take_pictures(&format.camera, sink);
        self.start_anew(&format.camera);
        let pictures = taken?;
        UnitDecoded { camera: format.camera.as_str(), took: began.elapsed(), pictures }.emit();
        Ok(())
    }

    /// Another camera, coding or size: what is held of the old stream comes out first.
    fn follow_format(&mut self, format: &Arc<StreamFormat>, sink: &mut dyn FnMut(Picture)) -> Result<(), DecodeError> {
        if self.format.as_ref().is_some_and(|old| Arc::ptr_eq(old, format)) {
            return Ok(());
        }
        let same_stream = |old: &Arc<StreamFormat>| {
            old.camera == format.camera && old.codec == format.codec && old.size() == format.size()
        };
        if !self.format.as_ref().is_some_and(same_stream) {
            self.drain(sink)?;
        }
        if self.chain.codec != format.codec {
            self.chain = Chain::new(format.codec)?;
        }
        self.format = Some(Arc::clone(format));
        Ok(())
    }

    /// Remembers a unit; returns the timestamp to give it to the element with.
    fn hold(&mut self, unit: &AccessUnit) -> u64 {
        let mut pts = unit.at.0;
        while self.held.iter().any(|held| held.pts == pts) {
            pts += 1;
        }
        if self.held.len() == MOST_HELD {
            self.give_up(&unit.format.camera, |_, index| index == 0);
        }
        self.held.push_back(Held { pts, number: unit.number, at: unit.at, arrived: unit.arrived });
        pts
    }

    fn take_pictures(&mut self, camera: &Id, sink: &mut dyn FnMut(Picture)) -> Result<u64, DecodeError> {
        let mut pictures = 0;
        while let Some((buffer, info)) = self.chain.pop() {
            let Some(pts) = buffer.pts().map(gst::ClockTime::nseconds) else { continue };
            let Some(index) = self.held.iter().position(|held| held.pts == pts) else { continue };
            let Some(Held { number, at, arrived, .. }) = self.held.remove(index) else { continue };
            // Pictures come out in the order they are shown: an earlier one that has not will not. Leading pictures of an
            // open GOP are such ones, and second fields.
            self.give_up(camera, |held, _| held.pts < pts);
            match Picture::new(number, at, arrived, buffer, &info) {
                Ok(picture) => sink(picture),
                Err(error) => return Err(DecodeError::UnsupportedFormat { camera: camera.clone(), error }),
            }
            pictures += 1;
        }
        match self.chain.output().unsupported.take() {
            Some(error) => Err(DecodeError::UnsupportedFormat { camera: camera.clone(), error }),
            None => Ok(pictures),
        }
    }

    /// Throws away what the element holds and waits for a key frame.
    fn start_anew(&mut self, camera: &Id) {
        self.awaiting_key = true;
        self.give_up(camera, |_, _| true);
        self.chain.flush();
    }

    /// Forgets units that will not give a picture any more.
    fn give_up(&mut self, camera: &Id, mut hopeless: impl FnMut(&Held, usize) -> bool) {
        let (mut index, mut count, mut first) = (0, 0, u64::MAX);
        self.held.retain(|held| {
            let give_up = hopeless(held, index);
            index += 1;
            if give_up {
                count += 1;
                first = first.min(held.number);
            }
            !give_up
        });
        if count > 0 {
            UnitsUndecodable { camera: camera.as_str(), number: first, count }.emit();
        }
    }
}

/// What the sink pad saw. Written and read on the one thread that pushes, so the lock is never contended.
#[derive(Default)]
struct Output {
    buffers: VecDeque<(gst::Buffer, Arc<gst_video::VideoInfo>)>,
    info: Option<Arc<gst_video::VideoInfo>>,
    unsupported: Option<PictureError>,
}

impl Output {
    /// Takes the format of the pictures to come; `false` refuses it.
    fn set_caps(&mut self, caps: &gst::CapsRef) -> bool {
        let checked = gst_video::VideoInfo::from_caps(caps)
            .map_err(|_| PictureError::Format("unknown".to_owned()))
            .and_then(|info| Picture::check_format(&info).map(|()| info));
        match checked {
            Ok(info) => {
                self.info = Some(Arc::new(info));
                true
            }
            Err(error) => {
                (self.info, self.unsupported) = (None, Some(error));
                false
            }
        }
    }
}

/// Source pad → libav element → sink pad.
struct Chain {
    codec: Codec,
    source: gst::Pad,
    element: gst::Element,
    sink: gst::Pad,
    output: Arc<Mutex<Output>>,
}

impl Chain {
    fn new(codec: Codec) -> Result<Self, DecodeError> {
        let unavailable = |what: String| DecodeError::Unavailable { codec, what };
        gst::init().map_err(|error| unavailable(error.to_string()))?;
        let factory = match codec {
            Codec::H264 => "avdec_h264",
            Codec::H265 => "avdec_h265",
        };
        let element = gst::ElementFactory::make(factory)
            // Frame threads hold a picture back for each thread.
            .property("max-threads", 1i32)
            // "Strict" waits for reordering the stream does not use; without a live pipeline "auto" would choose it.
            .property_from_str("std-compliance", "normal")
            // Pictures that lack what they refer to are smears in which models see things.
            .property("output-corrupt", false)
            // The first error is told, not swallowed.
            .property("max-errors", 0i32)
            .property("qos", false)
            .build()
            .map_err(|error| unavailable(error.to_string()))?;

        let output = Arc::new(Mutex::new(Output::default()));
        let source = any_template("source", gst::PadDirection::Src)
            .map(|template| gst::Pad::builder_from_template(&template).build())
            .map_err(|error| unavailable(error.to_string()))?;
        let sink = sink_pad(&output).map_err(|error| unavailable(error.to_string()))?;
        let chain = Self { codec, source, element, sink, output };
        chain.start().map_err(unavailable)?;
        Ok(chain)
    }

    fn start(&self) -> Result<(), String> {
        let static_pad = |name| self.element.static_pad(name).ok_or_else(|| format!("its element has no {name} pad"));
        self.source.link(&static_pad("sink")?).map_err(|error| error.to_string())?;
        static_pad("src")?.link(&self.sink).map_err(|error| error.to_string())?;
        self.sink.set_active(true).map_err(|error| error.to_string())?;
        self.element.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
        self.source.set_active(true).map_err(|error| error.to_string())?;
        self.source.push_event(gst::event::StreamStart::new("camera"));
        // Size and profile stand in the stream itself: with the same caps for every camera, one decoder serves them all.
        self.source.push_event(gst::event::Caps::new(&self.codec.caps()));
        self.begin_segment();
        Ok(())
    }

    fn begin_segment(&self) {
        self.source.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    }

    fn push(&self, unit: &AccessUnit, pts: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        // A second view on the same memory, because timestamps stand in the view.
        let mut buffer = unit.buffer.copy();
        let view = buffer.make_mut();
        view.set_pts(gst::ClockTime::from_nseconds(pts));
        view.set_dts(gst::ClockTime::NONE);
        view.unset_flags(gst::BufferFlags::DISCONT);
        self.source.push(buffer)
    }

    /// Has everything held back come out.
    fn end(&self) {
        self.source.push_event(gst::event::Eos::new());
    }

    /// Throws everything held back away and makes the chain usable again, whatever state it was in.
    fn flush(&self) {
        self.source.push_event(gst::event::FlushStart::new());
        self.source.push_event(gst::event::FlushStop::new(true));
        self.output().buffers.clear();
        self.begin_segment();
    }

    fn pop(&self) -> Option<(gst::Buffer, Arc<gst_video::VideoInfo>)> {
        self.output().buffers.pop_front()
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        lock(&self.output)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Nothing can be done about a pad or element that will not stop; each is let go of all the same.
        let _ = self.source.set_active(false);
        let _ = self.element.set_state(gst::State::Null);
        let _ = self.sink.set_active(false);
    }
}

fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pad without a template accepts no second format.
fn any_template(name: &str, direction: gst::PadDirection) -> Result<gst::PadTemplate, gst::glib::BoolError> {
    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &gst::Caps::new_any())
}

fn sink_pad(output: &Arc<Mutex<Output>>) -> Result<gst::Pad, gst::glib::BoolError> {
    let (on_buffer, on_event) = (Arc::clone(output), Arc::clone(output));
    let pad = gst::Pad::builder_from_template(&any_template("sink", gst::PadDirection::Sink)?)
        .chain_function(move |_, _, buffer| {
            let mut output = lock(&on_buffer);
            let info = output.info.clone().ok_or(gst::FlowError::NotNegotiated)?;
            output.buffers.push_back((buffer, info));
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |_, _, event| match event.view() {
            gst::EventView::Caps(caps) => lock(&on_event).set_caps(caps.caps()),
            _ => true,
        })
        .query_function(|pad, parent, query| match query.view_mut() {
            // With strides and offsets told in a meta the decoder renders into its own buffers and copies nothing.
            gst::QueryViewMut::Allocation(allocation) => {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build();
    Ok(pad)
}
