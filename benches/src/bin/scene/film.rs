//! Pictures through GStreamer: decoded from a file, and coded again by a real encoder.

use std::{error::Error, path::Path};

use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use snowgate::camera::{
    picture::Picture,
    pixels::{Chroma, Plane},
};
use snowgate_core::time::Mono;

use crate::frame::Frame;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Every picture of a file, in order.
///
/// # Errors
/// When it cannot be decoded.
pub fn decode(path: &Path) -> Outcome<Vec<Frame>> {
    let (pipeline, sink) = launch(
        "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=I420 ! appsink name=pictures sync=false max-buffers=4",
    )?;
    pipeline.by_name("file").ok_or("no file source")?.set_property("location", path.to_string_lossy().as_ref());
    pipeline.set_state(gstreamer::State::Playing)?;
    let frames = pull(&sink);
    pipeline.set_state(gstreamer::State::Null)?;
    match frames? {
        frames if frames.is_empty() => Err(format!("{}: no picture of it could be decoded", path.display()).into()),
        frames => Ok(frames),
    }
}

/// The pictures as they are after H.264 with this constant quantiser, every one a key frame, as key frames are what is judged.
/// Really coded and decoded: x264, then libavcodec.
///
/// # Errors
/// When an encoder or decoder is missing or fails.
pub fn recode(frames: &[Frame], quantiser: u32) -> Outcome<Vec<Frame>> {
    let Some(first) = frames.first() else { return Ok(Vec::new()) };
    let (width, height) = (first.width, first.height);
    let (pipeline, sink) = launch(&format!(
        "appsrc name=frames format=time block=true max-bytes=4000000 \
         caps=video/x-raw,format=I420,width={width},height={height},framerate=10/1,colorimetry=bt601 \
         ! x264enc pass=quant quantizer={quantiser} speed-preset=ultrafast threads=1 key-int-max=1 bframes=0 \
         ! h264parse ! avdec_h264 max-threads=1 ! videoconvert ! video/x-raw,format=I420 \
         ! appsink name=pictures sync=false max-buffers=4"
    ))?;
    let source = pipeline.by_name("frames").ok_or("no source")?;
    let source = source.downcast::<AppSrc>().map_err(|_| "no source of pictures")?;
    pipeline.set_state(gstreamer::State::Playing)?;
    let coded = std::thread::scope(|scope| {
        scope.spawn(move || {
            for (index, frame) in frames.iter().enumerate() {
                let mut buffer = gstreamer::Buffer::from_mut_slice(frame.planes.concat());
                if let Some(buffer) = buffer.get_mut() {
                    buffer.set_pts(gstreamer::ClockTime::from_mseconds(100 * index as u64));
                    buffer.set_duration(gstreamer::ClockTime::from_mseconds(100));
                }
                if source.push_buffer(buffer).is_err() {
                    break;
                }
            }
            // A pipeline that has stopped needs no end.
            let _ = source.end_of_stream();
        });
        pull(&sink)
    });
    pipeline.set_state(gstreamer::State::Null)?;
    let coded = coded?;
    if coded.len() != frames.len() {
        return Err(format!("{} pictures were coded, {} came back", frames.len(), coded.len()).into());
    }
    Ok(coded)
}

fn launch(description: &str) -> Outcome<(gstreamer::Pipeline, AppSink)> {
    let pipeline = gstreamer::parse::launch(description)?;
    let pipeline = pipeline.downcast::<gstreamer::Pipeline>().map_err(|_| "no pipeline")?;
    let sink = pipeline.by_name("pictures").ok_or("no sink")?;
    Ok((pipeline, sink.downcast::<AppSink>().map_err(|_| "no sink of pictures")?))
}

fn pull(sink: &AppSink) -> Outcome<Vec<Frame>> {
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps()) else { continue };
        let info = gstreamer_video::VideoInfo::from_caps(caps)?;
        let number = frames.len() as u64;
        frames.push(copied(&Picture::new(number, Mono(number), Mono(number), buffer, &info)?));
    }
    Ok(frames)
}

fn copied(picture: &Picture) -> Frame {
    let pixels = picture.pixels();
    let (width, height) = (pixels.luma.width & !1, pixels.luma.height & !1);
    let mut frame = Frame::new(width, height);
    let Chroma::Planar { u, v } = pixels.chroma else { return frame };
    let copy = |from: Plane<'_>, to: &mut [u8], columns: usize| {
        for (y, row) in to.chunks_exact_mut(columns).enumerate() {
            row.copy_from_slice(&from.data[y * from.stride..][..columns]);
        }
    };
    let [luma, blue, red] = &mut frame.planes;
    copy(pixels.luma, luma, width);
    copy(u, blue, width / 2);
    copy(v, red, width / 2);
    frame
}
