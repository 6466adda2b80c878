//! Source pad → decoder element → sink pad: no pipeline, bus or queue behind it.
//!
//! An element without threads of its own (libav's) has put its pictures into the output when `push` returns. One that
//! has them (V4L2, Rockchip) delivers later; the output is bounded, and what nobody has taken in time gives way
//! ([`OVERFLOW_POLICY`]).

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_video as gst_video;

use super::{
    super::{
        access_unit::{AccessUnit, Codec},
        picture::{Picture, PictureError},
    },
    MOST_HELD,
};

/// What becomes of pictures that nobody takes: the oldest give way to new ones. Their units are counted as undecodable.
pub const OVERFLOW_POLICY: &str = "drop_oldest";

/// What the sink pad saw. An element without threads writes it on the thread that reads it.
#[derive(Default)]
struct Output {
    buffers: VecDeque<(gst::Buffer, Arc<gst_video::VideoInfo>)>,
    info: Option<Arc<gst_video::VideoInfo>>,
    unsupported: Option<PictureError>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    output: Mutex<Output>,
    ended: Condvar,
}

impl Shared {
    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn take_in(&mut self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let info = self.info.clone().ok_or(gst::FlowError::NotNegotiated)?;
        if self.buffers.len() == MOST_HELD {
            self.buffers.pop_front();
        }
        self.buffers.push_back((buffer, info));
        Ok(gst::FlowSuccess::Ok)
    }
}

/// An element that decodes, and what is before and behind it.
pub(super) struct Chain {
    pub(super) codec: Codec,
    source: gst::Pad,
    element: gst::Element,
    sink: gst::Pad,
    shared: Arc<Shared>,
}

impl Chain {
    /// Starts an element of this factory. Errors are ends of sentences that begin with its name.
    pub(super) fn open(codec: Codec, factory: &str) -> Result<Self, String> {
        gst::init().map_err(|error| error.to_string())?;
        let element = gst::ElementFactory::make(factory).build().map_err(|_| "cannot be made".to_owned())?;
        configure(&element);
        Self::around(codec, element)
    }

    /// Starts this element.
    pub(super) fn around(codec: Codec, element: gst::Element) -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let template = any_template("source", gst::PadDirection::Src).map_err(|error| error.to_string())?;
        let source = gst::Pad::builder_from_template(&template).build();
        let sink = sink_pad(&shared).map_err(|error| error.to_string())?;
        let chain = Self { codec, source, element, sink, shared };
        chain.start()?;
        Ok(chain)
    }

    fn start(&self) -> Result<(), String> {
        let static_pad = |name| self.element.static_pad(name).ok_or_else(|| format!("has no {name} pad"));
        self.source.link(&static_pad("sink")?).map_err(|error| error.to_string())?;
        static_pad("src")?.link(&self.sink).map_err(|error| error.to_string())?;
        self.sink.set_active(true).map_err(|error| error.to_string())?;
        self.element.set_state(gst::State::Playing).map_err(|_| "does not start".to_owned())?;
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

    /// Has the element decode a unit, known by `pts`.
    pub(super) fn push(&self, unit: &AccessUnit, pts: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        // A second view on the same memory, because timestamps stand in the view.
        let mut buffer = unit.buffer.copy();
        let view = buffer.make_mut();
        view.set_pts(gst::ClockTime::from_nseconds(pts));
        view.set_dts(gst::ClockTime::NONE);
        view.unset_flags(gst::BufferFlags::DISCONT);
        self.source.push(buffer)
    }

    /// Has everything held back come out; `false` if it has not within the deadline.
    pub(super) fn end(&self, within: Duration) -> bool {
        // Answers whether decoding went well, which its pictures tell too: an end that comes is an end.
        self.source.push_event(gst::event::Eos::new());
        let output = self.shared.output();
        let waited = self.shared.ended.wait_timeout_while(output, within, |output| !output.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Throws everything held back away and makes the chain usable again, whatever state it was in.
    pub(super) fn flush(&self) {
        self.source.push_event(gst::event::FlushStart::new());
        self.source.push_event(gst::event::FlushStop::new(true));
        let mut output = self.shared.output();
        output.buffers.clear();
        output.ended = false;
        drop(output);
        self.begin_segment();
    }

    /// The next picture that has come out, in the order in which they are shown.
    pub(super) fn pop(&self) -> Option<(gst::Buffer, Arc<gst_video::VideoInfo>)> {
        self.shared.output().buffers.pop_front()
    }

    /// The format in which pictures came that cannot be taken, told once.
    pub(super) fn unsupported(&self) -> Option<PictureError> {
        self.shared.output().unsupported.take()
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

/// Sets what an element has of these.
fn configure(element: &gst::Element) {
    let set = |name: &str, value: &str| {
        if element.has_property(name) {
            element.set_property_from_str(name, value);
        }
    };
    // Frame threads hold a picture back for each thread.
    set("max-threads", "1");
    // "Strict" waits for reordering the stream does not use; without a live pipeline "auto" would choose it.
    set("std-compliance", "normal");
    set("compliance", "normal");
    // Pictures that lack what they refer to are smears in which models see things.
    set("output-corrupt", "false");
    if !element.has_property("output-corrupt") {
        set("discard-corrupted-frames", "true");
    }
    // The first error is told, not swallowed.
    set("max-errors", "0");
    set("qos", "false");
}

/// A pad without a template accepts no second format.
fn any_template(name: &str, direction: gst::PadDirection) -> Result<gst::PadTemplate, gst::glib::BoolError> {
    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &gst::Caps::new_any())
}

/// What elements that can choose are asked for: 8 bits, 4:2:0, in memory that the processor reads.
fn wanted_caps() -> gst::Caps {
    gst::Caps::builder("video/x-raw").field("format", gst::List::new(["I420", "NV12"])).build()
}

fn sink_pad(shared: &Arc<Shared>) -> Result<gst::Pad, gst::glib::BoolError> {
    let (on_buffer, on_event) = (Arc::clone(shared), Arc::clone(shared));
    let wanted = wanted_caps();
    let pad = gst::Pad::builder_from_template(&any_template("sink", gst::PadDirection::Sink)?)
        .chain_function(move |_, _, buffer| on_buffer.output().take_in(buffer))
        .event_function(move |_, _, event| {
            let mut output = on_event.output();
            match event.view() {
                gst::EventView::Caps(caps) => return output.set_caps(caps.caps()),
                gst::EventView::Eos(_) => {
                    output.ended = true;
                    on_event.ended.notify_all();
                }
                _ => {}
            }
            true
        })
        .query_function(move |pad, parent, query| match query.view_mut() {
            // With strides and offsets told in a meta the decoder renders into its own buffers and copies nothing.
            gst::QueryViewMut::Allocation(allocation) => {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            gst::QueryViewMut::Caps(query) => {
                let caps = query.filter().map_or_else(|| wanted.clone(), |filter| wanted.intersect(filter));
                query.set_result(&caps);
                true
            }
            // Elements that do not ask first bring what the stream has; `set_caps` then says what is wrong with it.
            gst::QueryViewMut::AcceptCaps(query) => {
                query.set_result(true);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build();
    Ok(pad)
}
