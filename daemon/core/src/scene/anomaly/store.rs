//! A memory as a file: the safetensors format, whose header says what the bytes are and whose metadata says whose they are.
//!
//! ```text
//! day.0.directions  I8  [rows, columns, prototypes, channels]     day.0.recent  U16 [looks, rows, columns]
//! day.0.hits        U16 [rows, columns, prototypes]               day.0.tally   U16 [rows, columns, steps]
//! day.0.born        U32 [rows, columns, prototypes]               …one of each a light and a feature map
//! __metadata__      { "snowgate": "…" }, a JSON table: the form's version, camera, model, view, shape, when, pictures a light
//! ```
//!
//! Everything follows from the bytes: the same memory gives the same file, and what is read back goes on as if it had not been
//! stored. A file is taken as hostile: its size is bounded before anything is read, nothing is allocated by what it says
//! before that is checked against the shape that the *caller* expects, and every number is checked.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};

use super::{
    bank::Bank,
    calibration::{LOOKS, Recent, STEPS, Tally},
    features::{Grid, Shape},
    memory::{Learnt, Level, MOST_BYTES_A_LIGHT, Memory, Origin, prototypes},
};
use crate::scene::Light;

/// The form in which it is stored. A reader takes this one only.
pub const VERSION: u32 = 1;
/// The largest file that is looked at.
pub const MOST_BYTES: usize = Light::ALL.len() * MOST_BYTES_A_LIGHT + MOST_HEADER;
/// The largest header.
const MOST_HEADER: usize = 64 << 10;
const KEY: &str = "snowgate";

/// Why a stored memory cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The file is larger than any memory.
    #[error("{0} bytes, more than the {MOST_BYTES} that a learnt scene can have")]
    TooLarge(usize),
    /// It is no safetensors file, or none of a learnt scene.
    #[error("not a learnt scene: {0}")]
    Foreign(String),
    /// Another version wrote it.
    #[error("a learnt scene of version {0}, expected {VERSION}")]
    Version(u32),
    /// It was learnt by another camera, with another model, of another view or shape.
    #[error("learnt with another {what}: {found}, expected {expected}")]
    Other {
        /// What differs: `camera`, `model`, `view` or `shape`.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// It is damaged.
    #[error("a damaged learnt scene: {what} {problem}")]
    Damaged {
        /// Which part of it.
        what: String,
        /// In which way.
        problem: &'static str,
    },
    /// It could not be written.
    #[error("a learnt scene cannot be written: {0}")]
    Unwritable(String),
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// The camera's id.
    pub camera: String,
    /// The digest of the model.
    pub model: String,
    /// The digest of the view.
    pub view: String,
    /// The form of the feature maps.
    pub shape: Vec<Grid>,
    /// Directions a position.
    pub prototypes: usize,
    /// When it was written.
    pub written: Timestamp,
    /// What was learnt, by light.
    pub lights: BTreeMap<Light, LightHeader>,
}

/// What a file says of one light.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LightHeader {
    /// Pictures learnt from.
    pub pictures: u32,
    /// The time they span, in milliseconds.
    pub spanned_ms: u64,
    /// How many of the last looks are filled, and where the next one goes.
    recent: [usize; 2],
}

impl Header {
    /// Reads what a file says of itself, and nothing else of it.
    ///
    /// # Errors
    /// [`Unusable::TooLarge`], [`Unusable::Foreign`], [`Unusable::Version`].
    pub fn read(bytes: &[u8]) -> Result<Self, Unusable> {
        if bytes.len() > MOST_BYTES {
            return Err(Unusable::TooLarge(bytes.len()));
        }
        let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
        if length.is_none_or(|length| length > MOST_HEADER as u64) {
            return Err(Unusable::Foreign("its header is missing or too long".into()));
        }
        let foreign = |error: &dyn std::fmt::Display| Unusable::Foreign(error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| foreign(&error))?;
        let own = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let own = own.ok_or_else(|| Unusable::Foreign("it has no metadata of ours".into()))?;
        /// Alone, so that another version's header need not be understood.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_str(own).map_err(|error| foreign(&error))?;
        if version != VERSION {
            return Err(Unusable::Version(version));
        }
        serde_json::from_str(own).map_err(|error| foreign(&error))
    }

    fn check(&self, origin: &Origin, shape: &Shape) -> Result<(), Unusable> {
        let texts = [
            ("camera", &self.camera, &origin.camera),
            ("model", &self.model, &origin.model),
            ("view", &self.view, &origin.view),
        ];
        for (what, found, expected) in texts {
            if found != expected {
                return Err(Unusable::Other { what, found: found.clone(), expected: expected.clone() });
            }
        }
        if self.shape != shape.grids() || self.prototypes != prototypes(shape) {
            let text = |shape: &[Grid], prototypes| {
                let grids = shape.iter().map(Grid::to_string).collect::<Vec<_>>().join(" + ");
                format!("{grids}, {prototypes} directions")
            };
            return Err(Unusable::Other {
                what: "shape",
                found: text(&self.shape, self.prototypes),
                expected: text(shape.grids(), prototypes(shape)),
            });
        }
        Ok(())
    }
}

impl Memory {
    /// The file of this memory, written at `written`.
    ///
    /// # Errors
    /// [`Unusable::Unwritable`]: none is known that could cause it.
    pub fn to_bytes(&self, written: Timestamp) -> Result<Vec<u8>, Unusable> {
        let learnt =
            || Light::ALL.into_iter().zip(&self.lights).filter_map(|(light, learnt)| Some((light, learnt.as_ref()?)));
        let header = Header {
            version: VERSION,
            camera: self.origin.camera.clone(),
            model: self.origin.model.clone(),
            view: self.origin.view.clone(),
            shape: self.shape.grids().to_vec(),
            prototypes: self.prototypes,
            written,
            lights: learnt().map(|(light, learnt)| (light, learnt.header())).collect(),
        };
        let unwritable = |error: &dyn std::fmt::Display| Unusable::Unwritable(error.to_string());
        let header = serde_json::to_string(&header).map_err(|error| unwritable(&error))?;
        let parts: Vec<(String, Part)> = learnt()
            .flat_map(|(light, learnt)| {
                learnt.levels.iter().enumerate().flat_map(move |(index, level)| {
                    level.parts(self.prototypes).map(|(name, part)| (format!("{light}.{index}.{name}"), part))
                })
            })
            .collect();
        let views = parts
            .iter()
            .map(|(name, part)| Ok((name.as_str(), TensorView::new(part.dtype, part.shape.clone(), &part.bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| unwritable(&error))?;
        serialize(views, Some([(KEY.to_owned(), header)].into_iter().collect())).map_err(|error| unwritable(&error))
    }

    /// Reads a memory of this origin and form back.
    ///
    /// # Errors
    /// Why it cannot be used; where it was learnt with another camera, model, view or shape, which of them and both values.
    pub fn from_bytes(bytes: &[u8], origin: &Origin, shape: &Shape) -> Result<Self, Unusable> {
        let header = Header::read(bytes)?;
        header.check(origin, shape)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| Unusable::Foreign(error.to_string()))?;
        let expected = header.lights.len() * shape.grids().len() * PARTS;
        if tensors.len() != expected {
            return Err(damaged("the file", "has parts missing, or ones that are not known"));
        }
        let mut memory = Self::new(origin.clone(), shape.clone());
        for (light, own) in &header.lights {
            let levels = shape.grids().iter().enumerate();
            let levels = levels
                .map(|(index, grid)| read_level(&tensors, &format!("{light}.{index}"), *grid, memory.prototypes, own))
                .collect::<Result<Box<[_]>, _>>()?;
            let spanned = Duration::from_millis(own.spanned_ms);
            memory.lights[light.index()] = Some(Box::new(Learnt::from_parts(own.pictures, spanned, levels)));
        }
        Ok(memory)
    }
}

/// Parts of one feature map in one light.
const PARTS: usize = 5;

struct Part {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Learnt {
    fn header(&self) -> LightHeader {
        let recent = self.levels.first().map_or([0, 0], |level| [level.recent.filled, level.recent.next]);
        let spanned_ms = u64::try_from(self.spanned.as_millis()).unwrap_or(u64::MAX);
        LightHeader { pictures: self.pictures, spanned_ms, recent }
    }
}

impl Level {
    fn parts(&self, slots: usize) -> [(&'static str, Part); PARTS] {
        let Grid { channels, rows, columns } = self.bank.grid;
        let shorts = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let part = |dtype, shape: &[usize], bytes| Part { dtype, shape: shape.to_vec(), bytes };
        let directions = self.bank.directions.iter().map(|value| value.cast_unsigned()).collect();
        let born = self.bank.born.iter().flat_map(|value| value.to_le_bytes()).collect();
        [
            ("directions", part(Dtype::I8, &[rows, columns, slots, channels], directions)),
            ("hits", part(Dtype::U16, &[rows, columns, slots], shorts(&self.bank.hits))),
            ("born", part(Dtype::U32, &[rows, columns, slots], born)),
            ("recent", part(Dtype::U16, &[LOOKS, rows, columns], shorts(&self.recent.looks))),
            ("tally", part(Dtype::U16, &[rows, columns, STEPS], shorts(&self.tally.counts))),
        ]
    }
}

fn read_level(
    tensors: &SafeTensors<'_>,
    name: &str,
    grid: Grid,
    slots: usize,
    own: &LightHeader,
) -> Result<Level, Unusable> {
    let Grid { channels, rows, columns } = grid;
    let part = |part: &str, dtype: Dtype, shape: &[usize]| {
        let name = format!("{name}.{part}");
        let tensor = tensors.tensor(&name).map_err(|_| damaged(&name, "is missing"))?;
        if tensor.dtype() != dtype || tensor.shape() != shape {
            return Err(damaged(&name, "has another type or size"));
        }
        Ok(tensor.data())
    };
    let shorts =
        |bytes: &[u8]| bytes.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect::<Box<[u16]>>();
    let directions = part("directions", Dtype::I8, &[rows, columns, slots, channels])?;
    let directions = directions.iter().map(|byte| byte.cast_signed()).collect();
    let hits = shorts(part("hits", Dtype::U16, &[rows, columns, slots])?);
    let born = part("born", Dtype::U32, &[rows, columns, slots])?;
    let born: Box<[u32]> = born.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let looks = shorts(part("recent", Dtype::U16, &[LOOKS, rows, columns])?);
    let counts = shorts(part("tally", Dtype::U16, &[rows, columns, STEPS])?);
    if born.iter().zip(&hits).any(|(born, hits)| *hits > 0 && *born > own.pictures) {
        return Err(damaged(name, "has seen what is still to come"));
    }
    let bank = Bank::from_parts(grid, slots, directions, hits, born)
        .ok_or_else(|| damaged(name, "has directions without any length"))?;
    let [filled, next] = own.recent;
    let recent =
        Recent::from_parts(grid.positions(), looks, filled, next).ok_or_else(|| damaged(name, "has other looks"))?;
    let tally =
        Tally::from_parts(grid.positions(), counts).ok_or_else(|| damaged(name, "has counts that are not possible"))?;
    Ok(Level::from_parts(bank, recent, tally))
}

fn damaged(what: &str, problem: &'static str) -> Unusable {
    Unusable::Damaged { what: what.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{
        anomaly::testing::{GRIDS, Scene, learnt, origin},
        testing::Random,
    };

    fn stored() -> (Memory, Vec<u8>) {
        let memory = learnt(&mut Scene::new(21), 80);
        let bytes = memory.to_bytes(Timestamp::UNIX_EPOCH).unwrap();
        (memory, bytes)
    }

    #[test]
    fn it_is_read_back_and_written_the_same() {
        let (memory, bytes) = stored();
        let read = Memory::from_bytes(&bytes, &origin(), memory.shape()).unwrap();
        assert!(read.to_bytes(Timestamp::UNIX_EPOCH).unwrap() == bytes);
        let header = Header::read(&bytes).unwrap();
        assert_eq!(header.lights[&Light::Day].pictures, 80);
        assert!(bytes.len() < MOST_BYTES && SafeTensors::deserialize(&bytes).is_ok());
        let empty = Memory::new(origin(), memory.shape().clone());
        let bytes = empty.to_bytes(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(Memory::from_bytes(&bytes, &origin(), memory.shape()).unwrap().bytes(), 0);
    }

    #[test]
    fn what_was_learnt_elsewhere_is_refused_by_name() {
        let (memory, bytes) = stored();
        let others = [
            ("camera", Origin { camera: "harbour".into(), ..origin() }, "market", "harbour"),
            ("model", Origin { model: "ffff".into(), ..origin() }, "0123abcd", "ffff"),
            ("view", Origin { view: "640x512".into(), ..origin() }, "320x256", "640x512"),
        ];
        for (what, other, found, expected) in others {
            let error = Memory::from_bytes(&bytes, &other, memory.shape()).unwrap_err();
            assert_eq!(error, Unusable::Other { what, found: found.into(), expected: expected.into() });
            let text = error.to_string();
            assert!(text.contains(what) && text.contains(found) && text.contains(expected));
        }
        let error = Memory::from_bytes(&bytes, &origin(), &Shape::new(&GRIDS[..1]).unwrap()).unwrap_err();
        assert!(matches!(error, Unusable::Other { what: "shape", .. }), "{error}");
        assert!(error.to_string().contains("16x16x20 + 24x8x10"), "{error}");
    }

    /// Whatever becomes of the bytes: an answer, and where it is a memory, one that can be gone on with.
    #[test]
    fn damage_is_told_and_harms_nothing() {
        let (memory, bytes) = stored();
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let (mut random, mut refused, mut scene) = (Random(5), 0, Scene::new(21));
        let mut scratch = super::super::Scratch::default();
        for round in 0..4000 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.next() % 3 {
                let end = if round % 4 == 0 { damaged.len() } else { header };
                let place = random.next() as usize % end;
                damaged[place] = random.next() as u8;
            }
            if round % 5 == 0 {
                damaged.truncate(random.next() as usize % (bytes.len() + 1));
            }
            match Memory::from_bytes(&damaged, &origin(), memory.shape()) {
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty());
                }
                Ok(mut memory) if round % 20 == 0 => scene.picture(round, |features| {
                    memory.take(Light::Day, features, &[], crate::time::Mono(0), &mut scratch).unwrap();
                    let heat = memory.score(Light::Day, features, &[], &mut scratch).unwrap();
                    assert!(heat.is_none_or(|heat| heat.values.iter().all(|value| value.is_finite())));
                }),
                Ok(_) => {}
            }
        }
        assert!(refused > 2000, "{refused}");
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let (memory, _) = stored();
        let damage: [fn(&mut Learnt); 4] = [
            |learnt| learnt.levels[0].bank.directions.fill(0),
            |learnt| learnt.levels[1].bank.hits.fill(u16::MAX),
            |learnt| learnt.levels[0].bank.born.fill(81),
            |learnt| learnt.levels[1].tally.counts.fill(u16::MAX),
        ];
        for (index, damage) in damage.iter().enumerate() {
            let mut memory = memory.clone();
            damage(memory.lights[Light::Day.index()].as_mut().unwrap());
            let bytes = memory.to_bytes(Timestamp::UNIX_EPOCH).unwrap();
            let error = Memory::from_bytes(&bytes, &origin(), memory.shape()).map(|_| index).unwrap_err();
            assert!(matches!(error, Unusable::Damaged { .. }), "{index}: {error}");
        }
        let large = vec![0; MOST_BYTES + 1];
        assert_eq!(Header::read(&large).unwrap_err(), Unusable::TooLarge(large.len()));
        let mut newer = memory.to_bytes(Timestamp::UNIX_EPOCH).unwrap();
        let place = newer.windows(11).position(|bytes| bytes == b"version\\\":1").unwrap();
        newer[place + 10] = b'2';
        assert_eq!(Header::read(&newer).unwrap_err(), Unusable::Version(2));
    }
}
