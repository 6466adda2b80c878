//! The decoding side of one camera: encoded pictures out of the ring, pictures to look at into the slot.

use snowgate_core::ids::Id;

use super::{Sampler, Slot};
use crate::{
    camera::{
        access_unit::{AccessUnit, Codec},
        decode::Decoder,
        gop_ring::{Next, RingReader},
        picture::Picture,
    },
    events::watch as events,
};

/// Encoded pictures decoded in one turn; then another camera may have its turn.
const UNITS_A_TURN: usize = 16;

/// Reads one camera's ring, keeps its decoder, picks the pictures that are to be looked at.
pub struct Decoding {
    camera: Id,
    reader: RingReader,
    decoder: Option<(Codec, Decoder)>,
    sampler: Sampler,
}

impl Decoding {
    /// Begins with the ring's next key frame.
    pub fn new(camera: Id, reader: RingReader, fps: u32) -> Self {
        Self { camera, reader, decoder: None, sampler: Sampler::new(fps) }
    }

    /// Decodes what has come, up to a turn's worth. Answers whether there may be more, and calls `due` after each
    /// picture it has put into the slot.
    pub fn turn(&mut self, slot: &Slot<Picture>, due: impl Fn()) -> bool {
        for _ in 0..UNITS_A_TURN {
            match self.reader.next() {
                Next::Unit(unit) => self.decode(&unit, slot, &due),
                Next::Lost { .. } => self.start_over(),
                Next::Nothing => return false,
            }
        }
        true
    }

    /// Pictures are missing: what the decoder holds fits nothing that comes.
    fn start_over(&mut self) {
        if let Some((_, decoder)) = &mut self.decoder
            && let Err(error) = decoder.drain(&mut drop)
        {
            events::CannotDecode { camera: self.camera.as_str(), error: &error }.emit();
        }
    }

    fn decode(&mut self, unit: &AccessUnit, slot: &Slot<Picture>, due: &impl Fn()) {
        let codec = unit.format.codec;
        let Self { camera, decoder, sampler, .. } = self;
        if decoder.as_ref().is_none_or(|(of, _)| *of != codec) {
            if !unit.key {
                return;
            }
            *decoder = match Decoder::new(codec) {
                Ok(decoder) => Some((codec, decoder)),
                Err(error) => return events::CannotDecode { camera: camera.as_str(), error: &error }.emit(),
            };
        }
        let Some((_, decoder)) = decoder else { return };
        let result = decoder.decode(unit, &mut |picture| {
            if sampler.is_due(picture.at()) {
                if let Some(waiting) = slot.put(picture) {
                    events::PictureDropped { camera: camera.as_str(), number: waiting.number() }.emit();
                }
                due();
            }
        });
        if let Err(error) = result {
            events::CannotDecode { camera: camera.as_str(), error: &error }.emit();
        }
    }
}
