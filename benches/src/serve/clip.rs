//! A clip in memory, packetised once for all cameras that play it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use serde::Deserialize;
use snowgate::camera::{access_unit::Codec, clip::ClipReader};

use super::{
    ServeError,
    packets::{Packets, nal_units},
    plan, rtsp,
};

/// NAL unit types.
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

/// One picture, ready to be sent.
#[derive(Debug)]
pub struct Unit {
    /// Whether decoding can start here.
    pub key: bool,
    /// Its packets.
    pub packets: Packets,
}

/// Something that happens in a clip: its first and last picture, from 0.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Its name within the clip.
    pub id: String,
    /// The first picture that shows it.
    pub first_frame: usize,
    /// The last one.
    pub last_frame: usize,
}

/// The part of a clip's facts (the JSON file beside it) that serving needs.
#[derive(Debug, Default, Deserialize)]
struct Facts {
    events: Vec<Event>,
}

/// A loaded clip; its first picture is a key frame.
#[derive(Debug)]
pub struct Clip {
    /// As the plan calls it.
    pub name: String,
    /// Pictures in order.
    pub units: Vec<Unit>,
    /// From picture to picture.
    pub interval: Duration,
    /// What happens in it.
    pub events: Vec<Event>,
    sps: Vec<u8>,
    pps: Vec<u8>,
}

impl Clip {
    /// Loads `file`, and the facts beside it where there are any.
    ///
    /// # Errors
    /// It cannot be read, is not H.264, or cannot be played in a loop.
    pub fn load(name: &str, file: &Path) -> Result<Self, ServeError> {
        let unfit = |what: String| ServeError::Clip { path: file.to_owned(), what };
        // Nobody sees the name: the reader wants one for its messages.
        let id = "clip".parse().map_err(unfit)?;
        let mut reader = ClipReader::open(file, id).map_err(|error| unfit(error.to_string()))?;
        let mut clip = Self {
            name: name.to_owned(),
            units: Vec::new(),
            interval: Duration::ZERO,
            events: facts(&file.with_extension("json"))?.events,
            sps: Vec::new(),
            pps: Vec::new(),
        };
        let (mut first, mut last) = (None, 0);
        while let Some(unit) = reader.next_unit().map_err(|error| unfit(error.to_string()))? {
            if unit.format.codec != Codec::H264 {
                return Err(unfit("only H.264 is served".into()));
            }
            let bytes = unit.buffer.map_readable().map_err(|error| unfit(error.to_string()))?;
            clip.push(unit.key, &bytes);
            last = unit.at.0;
            first.get_or_insert(last);
        }
        let steps = (clip.units.len() as u64).saturating_sub(1).max(1);
        clip.interval = Duration::from_nanos(last.saturating_sub(first.unwrap_or(0)) / steps);
        if clip.sps.is_empty() || clip.pps.is_empty() || !clip.units.first().is_some_and(|unit| unit.key) {
            return Err(unfit("it does not begin with a key frame".into()));
        }
        if clip.interval < Duration::from_millis(1) {
            return Err(unfit("at least two pictures are needed, and at most 1000 a second".into()));
        }
        if let Some(event) = clip
            .events
            .iter()
            .find(|event| event.first_frame > event.last_frame || event.last_frame >= clip.units.len())
        {
            return Err(unfit(format!("event {} is not in it", event.id)));
        }
        Ok(clip)
    }

    fn push(&mut self, key: bool, bytes: &[u8]) {
        let kind = |nal: &[u8]| nal.first().map_or(0, |header| header & 0x1f);
        let nals: Vec<&[u8]> = nal_units(bytes).into_iter().filter(|nal| kind(nal) != DELIMITER).collect();
        for (own, wanted) in [(&mut self.sps, SPS), (&mut self.pps, PPS)] {
            if own.is_empty()
                && let Some(nal) = nals.iter().find(|nal| kind(nal) == wanted)
            {
                own.extend_from_slice(nal);
            }
        }
        self.units.push(Unit { key, packets: Packets::of_unit(&nals) });
    }

    /// Its session description, for a camera of this name.
    pub fn description(&self, camera: &str) -> String {
        rtsp::description(camera, &self.sps, &self.pps, (1.0 / self.interval.as_secs_f64()).round())
    }

    /// The picture `time` after the beginning, in a loop.
    pub fn position(&self, time: Duration) -> usize {
        (time.as_nanos() / self.interval.as_nanos().max(1)) as usize % self.units.len().max(1)
    }

    /// The last key frame that is not after the picture `at`.
    pub fn key_before(&self, at: usize) -> usize {
        self.units.iter().take(at + 1).rposition(|unit| unit.key).unwrap_or(0)
    }
}

fn facts(path: &Path) -> Result<Facts, ServeError> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| ServeError::Clip { path: path.to_owned(), what: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Facts::default()),
        Err(error) => Err(ServeError::File { path: path.to_owned(), error }),
    }
}

/// Clips by name, each loaded once.
#[derive(Debug)]
pub struct Shelf {
    media: PathBuf,
    clips: HashMap<String, Rc<Clip>>,
}

impl Shelf {
    /// An empty shelf over the folder `media`.
    pub fn new(media: &Path) -> Self {
        Self { media: media.to_owned(), clips: HashMap::new() }
    }

    /// The clip, loaded when it is asked for the first time.
    ///
    /// # Errors
    /// As [`Clip::load`].
    pub fn load(&mut self, name: &str) -> Result<Rc<Clip>, ServeError> {
        if let Some(clip) = self.get(name) {
            return Ok(clip);
        }
        let clip = Rc::new(Clip::load(name, &plan::clip_file(&self.media, name))?);
        self.clips.insert(name.to_owned(), Rc::clone(&clip));
        Ok(clip)
    }

    /// The clip, if it is loaded.
    pub fn get(&self, name: &str) -> Option<Rc<Clip>> {
        self.clips.get(name).map(Rc::clone)
    }
}

#[cfg(test)]
impl Clip {
    /// A clip of tiny pictures, a key frame every `gop`, 25 a second, with these events (name, first, last).
    pub fn of_pictures(name: &str, count: usize, gop: usize, events: &[(&str, usize, usize)]) -> Self {
        let event =
            |&(id, first_frame, last_frame): &(&str, _, _)| Event { id: id.to_owned(), first_frame, last_frame };
        let unit = |at| Unit { key: at % gop == 0, packets: Packets::of_unit(&[&[1; 3000]]) };
        Self {
            name: name.to_owned(),
            units: (0..count).map(unit).collect(),
            interval: Duration::from_millis(40),
            events: events.iter().map(event).collect(),
            sps: Vec::new(),
            pps: Vec::new(),
        }
    }
}
