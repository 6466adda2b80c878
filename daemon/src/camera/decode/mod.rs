//! A decoder that works on its caller's own thread: push an access unit in, and its pictures have come out when the
//! call returns (in software; hardware may take a few units longer, and [`drain`](Decoder::drain) waits for it).
//!
//! A source pad without parent feeds the element, whose output ends in a sink pad with a chain function ([`chain`]).
//! There is no pipeline, bus or queue behind it. One decoder may serve any number of cameras, one after the other:
//! [`look`](Decoder::look) is for those that show a key frame now and then. Which element it is, [`Decoders`] has found
//! out at the start.

mod backend;
mod chain;
mod nal;
mod proof;

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use gstreamer as gst;
use snowgate_core::{ids::Id, time::Mono};

use self::chain::Chain;
pub use self::{backend::Decoders, chain::OVERFLOW_POLICY};
use super::{
    access_unit::{AccessUnit, Codec, StreamFormat},
    picture::{Picture, PictureError},
    spec::Backend,
};
use crate::events::camera::{UnitDecoded, UnitsUndecodable};

/// More units than a decoder may hold back for reordering (16 frames in both standards).
const MOST_HELD: usize = 32;
/// Frame numbers that may be missing before a key frame that is no IDR picture: as many as a stream may refer to.
const MOST_GAPS: usize = 16;
/// How long a drained decoder may take to let out what it holds.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Why an access unit gave no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// GStreamer cannot be used at all.
    #[error("GStreamer cannot be used: {0}")]
    GStreamer(String),
    /// No element of a backend is installed and works.
    #[error("no {codec} decoder by {backend}: {what}; {given_by}")]
    Unavailable {
        /// Who was to decode.
        backend: Backend,
        /// The coding.
        codec: Codec,
        /// Which elements are missing, and what is wrong with those that are not.
        what: String,
        /// What an operator has to install.
        given_by: &'static str,
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
    /// The decoder has not let out what it held. It is opened anew.
    #[error("camera {camera}: the decoder did not answer within {} s", .within.as_secs())]
    Late {
        /// Whose stream.
        camera: Id,
        /// How long it was given.
        within: Duration,
    },
}

/// A synchronous decoder for one coding at a time; another coding makes it start anew by itself.
pub struct Decoder {
    chain: Chain,
    /// What opens an element for another coding.
    decoders: Decoders,
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
    /// A software decoder that is ready for a key frame: the same on every box. What a box has beside it,
    /// [`Decoders::open`] opens.
    ///
    /// # Errors
    /// The element is missing or does not start.
    pub fn new(codec: Codec) -> Result<Self, DecodeError> {
        Decoders::SOFTWARE.open(codec)
    }

    fn over(chain: Chain, decoders: Decoders) -> Self {
        let held = VecDeque::with_capacity(MOST_HELD + 1);
        Self { chain, decoders, format: None, held, awaiting_key: true }
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
        let pushed = self.push(unit, pts);
        let taken = self.take_pictures(camera, sink);
        if let Ok(pictures) = taken {
            UnitDecoded { camera: camera.as_str(), took: began.elapsed(), pictures }.emit();
        }
        let result = match (taken, pushed) {
            (Err(error), _) => Err(error),
            (Ok(_), Err(gst::FlowError::NotNegotiated)) => {
                let error = PictureError::Format("that the decoder cannot give".to_owned());
                Err(DecodeError::UnsupportedFormat { camera: camera.clone(), error })
            }
            (Ok(_), Err(_)) => Err(DecodeError::Damaged { camera: camera.clone(), number: unit.number }),
            (Ok(_), Ok(_)) => Ok(()),
        };
        if result.is_err() {
            self.start_anew(camera);
        }
        result
    }

    /// Decodes one key frame alone: what it shows, at once, and the decoder is ready for any camera's next one. Whatever
    /// it held is thrown away.
    ///
    /// `None` where there is nothing to see: the unit is no key frame, or is one in name only. Streams with intra refresh
    /// mark units from which a decoder *recovers* over the next second; alone they show nothing, or break the decoder.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode) and [`drain`](Self::drain).
    pub fn look(&mut self, unit: &AccessUnit) -> Result<Option<Picture>, DecodeError> {
        if let Some(old) = self.format.take() {
            self.start_anew(&old.camera);
        }
        let mut shown = None;
        let mut decoded = self.decode(unit, &mut |picture| shown = Some(picture));
        if decoded.is_ok() {
            decoded = self.drain(&mut |picture| shown = Some(picture));
        }
        match decoded {
            Ok(()) => Ok(shown),
            Err(DecodeError::Damaged { .. }) if nal::is_recovery_point(unit) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets out every picture held back for reordering, and leaves the decoder ready for any camera's key frame.
    ///
    /// # Errors
    /// The pictures have a format that is not supported, or not all came within two seconds; the decoder is ready all
    /// the same.
    pub fn drain(&mut self, sink: &mut dyn FnMut(Picture)) -> Result<(), DecodeError> {
        let Some(format) = self.format.take() else { return Ok(()) };
        let began = Instant::now();
        let ended = self.chain.end(DRAIN_WITHIN);
        let taken = self.take_pictures(&format.camera, sink);
        if !ended {
            self.replace_chain()?;
            return Err(DecodeError::Late { camera: format.camera.clone(), within: DRAIN_WITHIN });
        }
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
            self.chain = self.decoders.chain(format.codec)?;
        }
        self.format = Some(Arc::clone(format));
        Ok(())
    }

    /// Has the element decode a unit.
    ///
    /// GStreamer's wrapper of libav (1.22) fails at a key frame that is no IDR picture and that decoding starts with: it
    /// counts the frame numbers up, makes a picture up for each that is missing, and after a few of them has lost the
    /// unit's own. What it has counted stays, so that the same unit gets further each time it is pushed.
    fn push(&mut self, unit: &AccessUnit, pts: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut pushed = self.chain.push(unit, pts);
        if pushed.is_err() && self.held.len() == 1 && nal::is_recovery_point(unit) {
            for _ in 0..MOST_GAPS {
                if pushed.is_ok() {
                    break;
                }
                pushed = self.chain.push(unit, pts);
            }
        }
        pushed
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
        match self.chain.unsupported() {
            Some(error) => Err(DecodeError::UnsupportedFormat { camera: camera.clone(), error }),
            None => Ok(pictures),
        }
    }

    /// Leaves an element behind that does not answer. Closing it may take as long, so another thread does it.
    fn replace_chain(&mut self) -> Result<(), DecodeError> {
        let anew = self.decoders.chain(self.chain.codec)?;
        let late = std::mem::replace(&mut self.chain, anew);
        // Without a thread it is closed here.
        let _ = thread::Builder::new().name("decoder-close".to_owned()).spawn(move || drop(late));
        self.awaiting_key = true;
        Ok(())
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

#[cfg(test)]
mod tests;
