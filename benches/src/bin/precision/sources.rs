//! The regions that are shown.
//!
//! A clip that moves is looked at as the daemon looks at a camera, five pictures a second: motion and the sweep of a start plan the
//! regions, of every fifth picture they are shown. Of everything else each picture is swept: shown whole and in tiles. What a
//! model's int8 ranges were calibrated on (`models/build/ranges`) is marked: it says less than the rest.

use std::{error::Error, path::Path};

use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use snowgate::{
    camera::{picture::Picture, pixels::Pixels},
    vision::{
        manifest::Task,
        motion::Motion,
        preprocess::PixelRect,
        regions::{Planner, Wanted},
        spec::DetectSpec,
    },
};
use snowgate_core::{spec::all_defaults, time::Mono};

/// Pictures looked at a second, and of those every so many are shown.
const LOOKS: u64 = 5;
const SHOWN: u64 = 5;

/// A file of the sample media, or a part of it.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Its name, with the part.
    pub name: &'static str,
    file: &'static str,
    /// Whether the ranges were calibrated on it.
    pub calibrated: bool,
    /// Seconds, from and to.
    part: (u64, u64),
    /// Whether motion tells where to look.
    moving: bool,
}

const fn still(file: &'static str, calibrated: bool) -> Source {
    Source { name: file, file, calibrated, part: (0, u64::MAX), moving: false }
}

/// A street scene, seen by a fixed camera; its first third was calibrated on.
const STREET: [Source; 2] = [
    Source { name: "vtest.mp4, 0–27 s", file: "vtest.mp4", calibrated: true, part: (0, 27), moving: true },
    Source { name: "vtest.mp4, 27–80 s", file: "vtest.mp4", calibrated: false, part: (27, 80), moving: true },
];

impl Source {
    /// What a model is shown.
    pub fn of(task: Task) -> Vec<Self> {
        let calibrated: &[&str] = match task {
            Task::Object => &["faces1.jpg", "faces2.jpg", "no_face.mp4"],
            Task::Face => &["faces1.jpg", "faces2.jpg", "faces3.jpg"],
        };
        let portraits = [
            "faces1.jpg",
            "faces2.jpg",
            "faces3.jpg",
            "faces4.jpg",
            "faces5.jpg",
            "faces6.jpg",
            "multi_face.jpg",
            "face.mp4",
            "no_face.mp4",
        ];
        let portraits = portraits.map(|file| still(file, calibrated.contains(&file)));
        portraits.into_iter().chain(STREET).collect()
    }
}

type Outcome = Result<(), Box<dyn Error>>;

/// Gives the regions of a source, for a model with these input sizes, in order.
///
/// # Errors
/// When the file cannot be decoded, or when `show` fails.
pub fn regions(
    source: &Source,
    media: &Path,
    sizes: &[(u32, u32)],
    mut show: impl FnMut(&Pixels<'_>, PixelRect) -> Outcome,
) -> Outcome {
    let spec: DetectSpec = all_defaults();
    let mut planner = Planner::new(sizes, spec.max_regions.value);
    let mut motion = Motion::new(&spec, Vec::new());
    let (mut tiles, mut looks) = (Vec::new(), 0);
    pictures(&media.join(source.file), source.part, |picture| {
        let pixels = picture.pixels();
        let frame = (pixels.luma.width as u32, pixels.luma.height as u32);
        motion.update(&pixels.luma, picture.at());
        looks += 1;
        if looks % SHOWN != 1 {
            return Ok(());
        }
        if tiles.is_empty() {
            planner.sweep(frame, &mut tiles);
        }
        if !source.moving || looks == 1 {
            return tiles.iter().try_for_each(|tile| show(&pixels, *tile));
        }
        let wanted: Vec<Wanted> = motion.clusters().iter().map(|rect| Wanted { rect: *rect, known: false }).collect();
        planner.plan(frame, &wanted, &[]);
        planner.regions().iter().try_for_each(|region| show(&pixels, *region))
    })
}

/// Decodes a file and gives the pictures of a part of it, [`LOOKS`] a second.
fn pictures(path: &Path, (first, last): (u64, u64), mut look: impl FnMut(&Picture) -> Outcome) -> Outcome {
    let pipeline = gstreamer::parse::launch(
        "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=I420 \
         ! appsink name=pictures sync=false max-buffers=4",
    )?;
    let pipeline = pipeline.downcast::<gstreamer::Pipeline>().map_err(|_| "no pipeline")?;
    pipeline.by_name("file").ok_or("no file source")?.set_property("location", path.to_string_lossy().as_ref());
    let sink = pipeline.by_name("pictures").ok_or("no sink")?;
    let sink = sink.downcast::<AppSink>().map_err(|_| "no sink of pictures")?;
    pipeline.set_state(gstreamer::State::Playing)?;
    let outcome = pull(&sink, (first, last), &mut look);
    pipeline.set_state(gstreamer::State::Null)?;
    match outcome? {
        0 => Err(format!("{}: no picture of it could be decoded", path.display()).into()),
        _ => Ok(()),
    }
}

fn pull(
    sink: &AppSink,
    (first, last): (u64, u64),
    look: &mut impl FnMut(&Picture) -> Outcome,
) -> Result<u64, Box<dyn Error>> {
    let (mut looked, mut due) = (0, 0);
    while let Ok(sample) = sink.pull_sample() {
        let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps()) else { continue };
        let at = Mono(buffer.pts().unwrap_or_default().nseconds());
        if at.0 < first * 1_000_000_000 || at.0 < due {
            continue;
        }
        if at.0 >= last.saturating_mul(1_000_000_000) {
            break;
        }
        due = at.0 + 1_000_000_000 / LOOKS - 1_000_000;
        let info = gstreamer_video::VideoInfo::from_caps(caps)?;
        look(&Picture::new(looked, at, at, buffer, &info)?)?;
        looked += 1;
    }
    Ok(looked)
}
