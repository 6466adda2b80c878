//! The clips that cameras play: what is in them and when, and how heavy they are.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use snowgate::camera::{access_unit::AccessUnit, clip::ClipReader};
use snowgate_tests::repository;

use super::error::{ScaleError, media};

/// Nothing moves; constant bit rate.
pub const QUIET: &str = "quiet-cbr";
/// Nothing moves; constant quality, so few bits.
pub const QUIET_VBR: &str = "quiet-vbr";
/// Nothing moves; a heavy stream with heavy key frames.
pub const QUIET_HEAVY: &str = "quiet-heavy";
/// There is always somebody; a heavy stream with heavy key frames.
pub const ACTIVE_HEAVY: &str = "active-heavy";
/// Every clip that floors are measured of.
pub const ALL: [&str; 7] = [QUIET, QUIET_VBR, SPARSE, ACTIVE, EVENTS, QUIET_HEAVY, ACTIVE_HEAVY];
/// Somebody walks by now and then; constant bit rate.
pub const SPARSE: &str = "sparse-cbr";
/// The share of cameras that are not active which play it: with two events a minute, one event every four minutes and camera.
pub const EVENTFUL: f64 = 0.125;
/// There is always somebody; constant bit rate.
pub const ACTIVE: &str = "active-cbr";
/// Events of every length, from below the look interval on.
pub const EVENTS: &str = "events-short";

/// What stands beside a clip: when what appears in it, and where.
#[derive(Debug, Clone, Deserialize)]
pub struct Script {
    /// Corners of the area that people walk through, fractions of the frame; all of it if left out.
    #[serde(default)]
    pub zone: Option<Vec<[f64; 2]>>,
    /// What appears in it.
    #[serde(default)]
    pub events: Vec<serde_json::Value>,
}

/// A clip, weighed.
#[derive(Debug, Clone, Serialize)]
pub struct Clip {
    /// Its name.
    pub name: String,
    /// Its file.
    #[serde(skip)]
    pub file: PathBuf,
    /// Its length.
    pub seconds: f64,
    /// Pictures a second.
    pub fps: f64,
    /// Thousands of bits a second.
    pub kbit_per_second: f64,
    /// Mean size of a key frame in bytes.
    pub key_frame_bytes: f64,
    /// The longest way from one key frame to the next, in seconds.
    pub longest_gop_seconds: f64,
    /// Events in it.
    pub events: usize,
    /// The area that people walk through.
    pub zone: Vec<[f64; 2]>,
}

impl Clip {
    /// Reads and weighs the clip of a name.
    ///
    /// # Errors
    /// It has not been built, or cannot be read.
    pub fn open(name: &str) -> Result<Self, ScaleError> {
        let folder = folder();
        let file = folder.join(format!("{name}.mp4"));
        let script = folder.join(format!("{name}.json"));
        for file in [&file, &script] {
            if !file.exists() {
                let what = file.strip_prefix(repository()).unwrap_or(file).display().to_string();
                return Err(ScaleError::Missing { what, remedy: "make scale-media" });
            }
        }
        let text = fs::read_to_string(&script).map_err(ScaleError::file(&script))?;
        let script: Script =
            serde_json::from_str(&text).map_err(|error| ScaleError::Media(format!("{}: {error}", script.display())))?;
        let whole = vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        let weight = Weight::of(&file)?;
        let seconds = weight.length.as_secs_f64();
        Ok(Self {
            name: name.to_owned(),
            file,
            seconds,
            fps: weight.units as f64 / seconds,
            kbit_per_second: weight.bytes as f64 * 8e-3 / seconds,
            key_frame_bytes: weight.key_bytes as f64 / weight.keys.max(1) as f64,
            longest_gop_seconds: weight.longest_gop.as_secs_f64(),
            events: script.events.len(),
            zone: script.zone.unwrap_or(whole),
        })
    }
}

/// Where the clips are.
pub fn folder() -> PathBuf {
    repository().join("assets/scale")
}

/// Several clips by name.
///
/// # Errors
/// One of them is not there or cannot be read.
pub fn open_all<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<BTreeMap<String, Clip>, ScaleError> {
    names.into_iter().map(|name| Ok((name.to_owned(), Clip::open(name)?))).collect()
}

/// All of a clip in memory, in decoding order.
///
/// # Errors
/// It cannot be read.
pub fn units(file: &Path) -> Result<Vec<AccessUnit>, ScaleError> {
    let mut units = Vec::new();
    each_unit(file, |unit| units.push(unit))?;
    Ok(units)
}

fn each_unit(file: &Path, mut take: impl FnMut(AccessUnit)) -> Result<(), ScaleError> {
    let mut reader = ClipReader::open(file, "clip".parse().map_err(media)?).map_err(media)?;
    while let Some(unit) = reader.next_unit().map_err(media)? {
        take(unit);
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Weight {
    units: u64,
    bytes: u64,
    keys: u64,
    key_bytes: u64,
    length: Duration,
    longest_gop: Duration,
}

impl Weight {
    fn of(file: &Path) -> Result<Self, ScaleError> {
        let mut weight = Self::default();
        let (mut first, mut last, mut last_key) = (u64::MAX, 0, None);
        each_unit(file, |unit| {
            weight.units += 1;
            weight.bytes += unit.size as u64;
            first = first.min(unit.at.0);
            last = last.max(unit.at.0);
            if unit.key {
                weight.keys += 1;
                weight.key_bytes += unit.size as u64;
                let gop = last_key.map_or(Duration::ZERO, |key| unit.at.since(key));
                weight.longest_gop = weight.longest_gop.max(gop);
                last_key = Some(unit.at);
            }
        })?;
        let span = last.saturating_sub(first);
        // The last picture is shown as long as the others.
        weight.length = Duration::from_nanos(span + span / weight.units.saturating_sub(1).max(1));
        if weight.keys < 2 {
            weight.longest_gop = weight.length;
        }
        Ok(weight)
    }
}
