//! Receive only: the daemon's RTSP elements with the daemon's settings, and nobody who looks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use serde::{Deserialize, Serialize};

use super::{Resident, in_a_child, own_cpu};
use crate::scale::{
    error::{ScaleError, media},
    patience::Patience,
};

/// Every stream delivers by then.
const CONNECTED_WITHIN: Duration = Duration::from_secs(60);
/// Connecting costs more than receiving; it is let pass.
const WARM_UP: Duration = Duration::from_secs(3);

/// What to receive.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// For how many seconds.
    #[arg(long)]
    seconds: u64,
    /// The streams.
    #[arg(required = true)]
    urls: Vec<String>,
}

/// What it cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Share of one core a camera.
    pub share_per_camera: f64,
    /// Resident memory a camera, in bytes.
    pub bytes_per_camera: f64,
    /// Encoded pictures a second of all cameras.
    pub pictures_per_second: f64,
}

/// Measures it in a child.
///
/// # Errors
/// A stream does not come.
pub fn measure(urls: &[String], seconds: u64, patience: &Patience) -> Result<Figures, ScaleError> {
    let mut arguments = vec!["receive".to_owned(), "--seconds".to_owned(), seconds.to_string()];
    arguments.extend(urls.iter().cloned());
    in_a_child(&arguments, CONNECTED_WITHIN + WARM_UP + Duration::from_secs(seconds), patience)
}

/// Measures it here.
///
/// # Errors
/// A stream does not come.
pub fn run(arguments: &Arguments) -> Result<Figures, ScaleError> {
    let empty = Resident::now()?;
    let streams = arguments.urls.iter().map(|url| Stream::open(url)).collect::<Result<Vec<_>, _>>()?;
    let end = Instant::now() + CONNECTED_WITHIN;
    for stream in &streams {
        while stream.received() == 0 {
            if let Some(error) = stream.error() {
                return Err(media(error));
            }
            if Instant::now() > end {
                let what = format!("a picture of {}", stream.url);
                return Err(ScaleError::Deadline { what, within: CONNECTED_WITHIN, detail: None });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    thread::sleep(WARM_UP);
    let pictures = || streams.iter().map(Stream::received).sum::<u64>();
    let (began, cpu, before) = (Instant::now(), own_cpu(), pictures());
    thread::sleep(Duration::from_secs(arguments.seconds));
    let (cpu, took) = ((own_cpu() - cpu).as_secs_f64(), began.elapsed().as_secs_f64());
    if let Some(error) = streams.iter().find_map(Stream::error) {
        return Err(media(error));
    }
    let cameras = streams.len() as f64;
    Ok(Figures {
        share_per_camera: cpu / took / cameras,
        bytes_per_camera: Resident::now()?.grown_since(empty) as f64 / cameras,
        pictures_per_second: (pictures() - before) as f64 / took,
    })
}

struct Stream {
    url: String,
    pipeline: gst::Pipeline,
    received: Arc<AtomicU64>,
}

impl Stream {
    /// The settings are those of the daemon's `camera::stream`.
    fn open(url: &str) -> Result<Self, ScaleError> {
        let description = "rtspsrc name=source latency=200 protocols=tcp timeout=0 do-retransmission=false buffer-mode=none \
            ! rtph264depay ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au \
            ! appsink name=sink sync=false async=false max-buffers=4";
        let pipeline = gst::parse::launch(description).map_err(media)?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| media("the description is no pipeline"))?;
        let source = pipeline.by_name("source").ok_or_else(|| media("rtspsrc has no name"))?;
        source.set_property("location", url);
        let sink = pipeline.by_name("sink").and_downcast::<gst_app::AppSink>();
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            count.fetch_add(1, Ordering::Relaxed);
            Ok(gst::FlowSuccess::Ok)
        });
        sink.ok_or_else(|| media("appsink has no name"))?.set_callbacks(callbacks.build());
        pipeline.set_state(gst::State::Playing).map_err(media)?;
        Ok(Self { url: url.to_owned(), pipeline, received })
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos])?;
        Some(match message.view() {
            gst::MessageView::Error(error) => format!("{}: {}", self.url, error.error()),
            _ => format!("{}: the stream ended", self.url),
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The process ends right after; a pipeline that does not stop ends with it.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
