//! Whether a decoder really decodes, found out before any camera depends on it.
//!
//! A plugin may be installed without its hardware, and a driver may be there and broken. So a key frame of our own goes
//! into each decoder: its picture must come out, in time, and look like what went in.
//!
//! The key frames are one colour, 256×144 (NVIDIA's H.265 decoder takes nothing below 144×144), Main profile, made by
//!
//! ```text
//! gst-launch-1.0 videotestsrc pattern=solid-color foreground-color=0xffc06020 num-buffers=1 \
//!   ! video/x-raw,format=I420,width=256,height=144,framerate=25/1,colorimetry=bt709 \
//!   ! x264enc speed-preset=ultrafast tune=zerolatency key-int-max=50 ! video/x-h264,profile=main \
//!   ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au ! filesink location=key-frame.h264
//! ```
//!
//! and the same with `x265enc … option-string=info=0`, `h265` for `h264`.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use gstreamer as gst;
use snowgate_core::{ids::Id, time::Mono};

use super::{
    super::{
        access_unit::{AccessUnit, Arrival, Codec, StreamFormat},
        picture::Picture,
        pixels::{Chroma, Plane},
    },
    Decoder, Decoders,
    chain::Chain,
};

const KEY_FRAME_H264: &[u8] = include_bytes!("key-frame.h264");
const KEY_FRAME_H265: &[u8] = include_bytes!("key-frame.h265");
const SIZE: (usize, usize) = (256, 144);
/// The key frames' colour as Y, U, V.
const COLOUR: [u8; 3] = [112, 90, 173];
/// How far a sample may be off.
const TOLERANCE: u8 = 4;
/// How long a decoder may take: opening a device for the first time loads firmware.
const WITHIN: Duration = Duration::from_secs(5);

/// Decodes a key frame with an element of this factory, on a thread of its own: a driver that hangs is left behind.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with the element's name.
pub(super) fn prove(codec: Codec, factory: &'static str) -> Result<(), String> {
    let (done, proved) = mpsc::sync_channel(1);
    let proof = move || {
        let opened = Chain::open(codec, factory);
        let proved = opened.and_then(|chain| decodes(codec, &mut Decoder::over(chain, Decoders::SOFTWARE)));
        // Nobody listens any more after the deadline.
        let _ = done.send(proved);
    };
    let thread = thread::Builder::new().name("decoder-proof".to_owned()).spawn(proof);
    thread.map_err(|error| format!("cannot be tried: {error}"))?;
    match proved.recv_timeout(WITHIN) {
        Ok(proved) => proved,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("did not answer within {} s", WITHIN.as_secs())),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("ended its thread".to_owned()),
    }
}

/// Whether the key frame's picture comes out of a decoder.
pub(super) fn decodes(codec: Codec, decoder: &mut Decoder) -> Result<(), String> {
    let unit = key_frame(codec).ok_or("has no name to be tried under")?;
    match decoder.look(&unit) {
        Ok(Some(picture)) => looks_right(&picture),
        Ok(None) => Err("gives no picture for a key frame".to_owned()),
        Err(error) => Err(format!("fails at a sound key frame: {error}")),
    }
}

fn key_frame(codec: Codec) -> Option<AccessUnit> {
    let bytes = match codec {
        Codec::H264 => KEY_FRAME_H264,
        Codec::H265 => KEY_FRAME_H265,
    };
    let camera: Id = "decoder-proof".parse().ok()?;
    let format = Arc::new(StreamFormat { camera, codec, caps: codec.caps() });
    let buffer = gst::Buffer::from_slice(bytes);
    Some(AccessUnit::numbered(1, Arrival { key: true, at: Mono(0), arrived: Mono(0), buffer, format }))
}

fn looks_right(picture: &Picture) -> Result<(), String> {
    if (picture.width(), picture.height()) != SIZE {
        return Err(format!("gives a picture of {}x{} for one of 256x144", picture.width(), picture.height()));
    }
    let pixels = picture.pixels();
    let chroma = match pixels.chroma {
        Chroma::Planar { u, v } => has_colour(u, &COLOUR[1..2]) && has_colour(v, &COLOUR[2..]),
        Chroma::Interleaved { uv } => has_colour(uv, &COLOUR[1..]),
    };
    let right = has_colour(pixels.luma, &COLOUR[..1]) && chroma;
    right.then_some(()).ok_or_else(|| "gives a picture of another colour than it was given".to_owned())
}

/// Whether every sample of a plane has this colour, whose parts take turns.
fn has_colour(plane: Plane<'_>, colour: &[u8]) -> bool {
    plane.data.chunks(plane.stride).take(plane.height).all(|row| {
        let samples = row.iter().take(plane.width * colour.len());
        samples.zip(colour.iter().cycle()).all(|(sample, wanted)| sample.abs_diff(*wanted) <= TOLERANCE)
    })
}
