//! One covered copy: a few pictures a second of what was sent, each covered like a still, encoded anew.
//!
//! A face that the models lose in one picture they mostly find in the one before or after: each picture is covered in the areas of
//! its neighbours too. One picture that cannot be covered, and there is no copy.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use snowgate_core::{geometry::Polygon, ids::Id, time::Mono};

use super::{
    super::{
        canvas::{CanvasError, Uncovered},
        cover::{Cover, CoverError, Finder},
        worker::OpenError,
    },
    Refusal,
    encode::{EncodeError, EncodedPicture, Encoder},
    mux::{Encoded, MuxError, Muxed, Muxer},
};
use crate::{
    camera::{
        access_unit::AccessUnit,
        decode::{DecodeError, Decoder},
        picture::Picture,
    },
    vision::masks::Masks,
};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("the models that find what must be covered cannot be loaded: {0}")]
    Unavailable(OpenError),
    #[error(transparent)]
    Cover(#[from] CoverError),
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("no picture could be decoded")]
    Empty,
    #[error("a model panicked: {0}")]
    Panic(String),
}

impl CopyError {
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Cover(CoverError::Find { .. }) => "model",
            Self::Cover(CoverError::Stopping) => "stopping",
            Self::Canvas(_) => "picture",
            Self::Decode(_) => "decoder",
            Self::Encode(_) => "encoder",
            Self::Empty => "empty",
            Self::Panic(_) => "panic",
        }
    }
}

/// How a copy is made.
pub(super) struct Settings<'s> {
    pub camera: &'s Id,
    pub masks: &'s [Polygon],
    pub fps: u32,
    pub max_width: u32,
}

/// Makes the copy of these units. `rest` is called between pictures with how long the last one took; it ends the work where it
/// fails.
///
/// # Errors
/// Any picture could not be decoded, covered or encoded, or `output` fails: then what is written is worth nothing.
pub(super) fn make<W: Write>(
    units: &[AccessUnit],
    settings: &Settings<'_>,
    finder: &mut Finder,
    output: W,
    mut rest: impl FnMut(Duration) -> Result<(), CopyError>,
) -> Result<(W, Muxed), Refusal> {
    let first = units.first().ok_or(CopyError::Empty)?;
    let mut decoder = Decoder::new(first.format.codec).map_err(CopyError::from)?;
    let interval = Duration::from_secs(1) / settings.fps.max(1);
    let mut due = Mono(0);
    let mut chosen = Vec::new();
    let mut choose = |chosen: &mut Vec<Picture>, picture: Picture| {
        if picture.at() >= due {
            due = picture.at() + interval;
            chosen.push(picture);
        }
    };
    let mut copy =
        CoveredCopy { settings, finder, encoder: None, output: Output::Wanted(output), previous: None, waiting: None };
    for unit in units {
        match decoder.decode(unit, &mut |picture| choose(&mut chosen, picture)) {
            // The next key frame goes on.
            Ok(()) | Err(DecodeError::Damaged { .. }) => {}
            Err(error) => return Err(CopyError::from(error).into()),
        }
        for picture in chosen.drain(..) {
            let began = Instant::now();
            copy = copy.take(&picture)?;
            rest(began.elapsed())?;
        }
    }
    decoder.drain(&mut |picture| choose(&mut chosen, picture)).map_err(CopyError::from)?;
    for picture in chosen.drain(..) {
        copy = copy.take(&picture)?;
    }
    copy.finish()
}

/// A copy under way.
struct CoveredCopy<'c, W> {
    settings: &'c Settings<'c>,
    finder: &'c mut Finder,
    /// From the first picture.
    encoder: Option<Encoder>,
    output: Output<W>,
    /// What was to be covered in the picture before the one that waits.
    previous: Option<Cover>,
    waiting: Option<Waiting>,
}

/// A picture that waits to know what is to be covered in the next one.
struct Waiting {
    at: Mono,
    picture: Uncovered,
    cover: Cover,
}

/// Where it is written, from the first encoded picture as a clip.
enum Output<W> {
    Wanted(W),
    Begun(Muxer<W>),
}

impl<W: Write> CoveredCopy<'_, W> {
    /// Takes a picture; the one before it is written.
    fn take(mut self, picture: &Picture) -> Result<Self, Refusal> {
        let pixels = picture.pixels();
        let masks = Masks::rasterise(self.settings.masks, pixels.luma.width, pixels.luma.height);
        let uncovered = Uncovered::new(&pixels, &masks).map_err(CopyError::from)?;
        // Nobody knows of anybody in it yet.
        let cover = self.finder.find(&pixels, &masks, Vec::new(), Vec::new()).map_err(CopyError::from)?;
        if let Some(waiting) = self.waiting.take() {
            self = self.write(waiting, Some(&cover))?;
        }
        self.waiting = Some(Waiting { at: picture.at(), picture: uncovered, cover });
        Ok(self)
    }

    /// Covers and encodes a picture.
    fn write(mut self, waiting: Waiting, next: Option<&Cover>) -> Result<Self, Refusal> {
        let Waiting { at, picture, cover } = waiting;
        let neighbours = [self.previous.as_ref(), next];
        let all = cover.and(neighbours.into_iter().flatten());
        let covered = picture.cover(&all).and_then(|covered| covered.fit(self.settings.max_width));
        let covered = covered.map_err(CopyError::from)?;
        self.previous = Some(cover);
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            None => {
                let planes = covered.planes().map_err(CopyError::from)?;
                self.encoder.insert(Encoder::open(&planes, self.settings.fps, at).map_err(CopyError::from)?)
            }
        };
        encoder.encode(&covered, at).map_err(CopyError::from)?;
        let encoded = encoder.take();
        self.mux(encoded)
    }

    fn mux(mut self, pictures: Vec<EncodedPicture>) -> Result<Self, Refusal> {
        for picture in pictures {
            let unreadable = |_| MuxError::Write(io::Error::other("the encoder's memory cannot be read"));
            let map = picture.buffer.map_readable().map_err(unreadable)?;
            let encoded = Encoded { at: picture.at, key: picture.key, bytes: &map };
            self.output = match (self.output, &self.encoder) {
                (Output::Wanted(output), Some(encoder)) => {
                    Output::Begun(Muxer::begin(output, &encoder.format(self.settings.camera.clone()), encoded)?)
                }
                (Output::Begun(mut muxer), _) => {
                    muxer.push(encoded)?;
                    Output::Begun(muxer)
                }
                (output @ Output::Wanted(_), None) => output,
            };
        }
        Ok(self)
    }

    fn finish(mut self) -> Result<(W, Muxed), Refusal> {
        if let Some(waiting) = self.waiting.take() {
            self = self.write(waiting, None)?;
        }
        match self.output {
            Output::Begun(muxer) => Ok(muxer.finish()?),
            Output::Wanted(_) => Err(CopyError::Empty.into()),
        }
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
