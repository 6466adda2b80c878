//! The decoders of all cameras: a few that look at key frames, one on loan to each camera that is followed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::camera::{
    access_unit::{AccessUnit, Codec},
    decode::{DecodeError, Decoder, Decoders},
    picture::Picture,
};

/// Decoders nobody uses that are kept for the next camera; an open one costs 10 to 17 MB.
const MOST_IDLE: usize = 2;

/// Opens decoders, and lends them to cameras that are followed.
pub struct DecoderPool {
    decoders: Decoders,
    idle: Mutex<Vec<(Codec, Decoder)>>,
}

impl DecoderPool {
    /// Of decoders such as the box has.
    pub fn new(decoders: Decoders) -> Self {
        Self { decoders, idle: Mutex::default() }
    }

    /// A decoder for one camera alone.
    ///
    /// # Errors
    /// None can be opened.
    pub fn lend(&self, codec: Codec) -> Result<Decoder, DecodeError> {
        let mut idle = self.lock();
        match idle.iter().position(|(of, _)| *of == codec) {
            Some(index) => Ok(idle.swap_remove(index).1),
            None => {
                drop(idle);
                self.decoders.open(codec)
            }
        }
    }

    /// Takes a decoder back; it must have been drained.
    pub fn take_back(&self, codec: Codec, decoder: Decoder) {
        let mut idle = self.lock();
        if idle.len() < MOST_IDLE {
            idle.push((codec, decoder));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Codec, Decoder)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decoders with which one thread looks at the key frames of any number of cameras.
#[derive(Default)]
pub struct LookDecoders {
    open: Vec<(Codec, Decoder)>,
}

impl LookDecoders {
    /// The picture of one key frame on its own; none where it gives none.
    ///
    /// # Errors
    /// It is damaged, or of a format that is not supported, or no decoder can be opened.
    pub fn look(&mut self, pool: &DecoderPool, key: &AccessUnit) -> Result<Option<Picture>, DecodeError> {
        let codec = key.format.codec;
        let index = match self.open.iter().position(|(of, _)| *of == codec) {
            Some(index) => index,
            None => {
                self.open.push((codec, pool.decoders.open(codec)?));
                self.open.len() - 1
            }
        };
        self.open[index].1.look(key)
    }
}
