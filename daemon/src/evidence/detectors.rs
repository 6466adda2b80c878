//! The models that find what must be covered: the face model for faces, the object model for people.

use std::path::Path;

use snowgate_core::{geometry::Rect, ids::Id, observation::Detection, observation::Label};

use super::{
    cover::{Find, FindError},
    spec::EvidenceSpec,
    still::StillMaker,
    worker::OpenError,
};
use crate::{
    camera::pixels::Pixels,
    shutdown::Shutdown,
    vision::{
        manifest::Manifest,
        masks::Masks,
        model::{Model, ModelError, Runtime},
        preprocess::PixelRect,
    },
};

/// Score from which somebody counts as a person here. Reporting asks for more; for covering, one too many hurts nobody.
pub const PERSON_SCORE: f32 = 0.2;

/// What fills this much of the frame is seen well: a model that is as unsure of it as [`PERSON_SCORE`] allows takes a
/// building or a lawn for a person, and covering that would leave nothing of the picture.
const LARGE: f32 = 0.2;

/// Score from which something large counts as a person.
const LARGE_PERSON_SCORE: f32 = 0.4;

/// A region that holds more things than a model can tell of is looked at again in quarters, and those in quarters;
/// a crowd beyond that is not covered for certain.
const MAX_SPLITS: u32 = 2;

/// Why a model cannot be used to cover by.
#[derive(Debug, thiserror::Error)]
#[error("model {model} has no label {label:?}: what it finds is not what must be covered")]
pub struct UnfitModel {
    /// Its manifest id.
    pub model: Id,
    /// What it would have to find.
    pub label: &'static str,
}

/// A crowd is too dense to be sure of everybody in it.
#[derive(Debug, thiserror::Error)]
#[error("model {model} finds more in a region of {width}x{height} pixels than it can tell of")]
struct TooManyFound {
    model: Id,
    width: u32,
    height: u32,
}

/// One label of a model, at a threshold low enough to cover by.
#[derive(Debug)]
pub struct Detector {
    model: Model,
    label: Label,
    min_score: f32,
    found: Vec<Detection>,
}

impl Detector {
    /// Finds faces.
    ///
    /// # Errors
    /// The model finds no faces.
    pub fn faces(model: Model, min_score: f32) -> Result<Self, UnfitModel> {
        Self::new(model, Label::FACE, min_score)
    }

    /// Finds people.
    ///
    /// # Errors
    /// The model finds no people.
    pub fn people(model: Model) -> Result<Self, UnfitModel> {
        Self::new(model, Label::PERSON, PERSON_SCORE)
    }

    fn new(model: Model, label: &'static str, min_score: f32) -> Result<Self, UnfitModel> {
        match model.labels().iter().find(|known| known.as_str() == label).cloned() {
            Some(label) => Ok(Self { model, label, min_score, found: Vec::new() }),
            None => Err(UnfitModel { model: model.id().clone(), label }),
        }
    }

    /// Looks at a region, and at its quarters where it holds too much.
    fn look(&mut self, pixels: &Pixels<'_>, masks: &Masks, region: PixelRect, splits: u32) -> Result<(), FindError> {
        self.model.detect(pixels, masks, region, self.min_score, &mut self.found)?;
        if !self.model.overflowed() {
            return Ok(());
        }
        if splits == 0 {
            let (model, PixelRect { width, height, .. }) = (self.model.id().clone(), region);
            return Err(TooManyFound { model, width, height }.into());
        }
        for quarter in quarters(region) {
            self.look(pixels, masks, quarter, splits - 1)?;
        }
        Ok(())
    }
}

impl Find for Detector {
    fn find(
        &mut self,
        pixels: &Pixels<'_>,
        masks: &Masks,
        region: PixelRect,
        found: &mut Vec<Rect>,
    ) -> Result<(), FindError> {
        self.found.clear();
        self.look(pixels, masks, region, MAX_SPLITS)?;
        let label = &self.label;
        let counts = |thing: &&Detection| {
            let doubtful = !label.is_face() && thing.rect.area() >= LARGE && thing.score < LARGE_PERSON_SCORE;
            thing.label == *label && !doubtful
        };
        found.extend(self.found.iter().filter(counts).map(|thing| thing.rect));
        Ok(())
    }

    fn native_size(&self) -> (u32, u32) {
        self.model.input_sizes().last().unwrap_or((300, 300))
    }
}

/// Four parts of a region that overlap by a third of their size.
fn quarters(region: PixelRect) -> [PixelRect; 4] {
    let PixelRect { x, y, width, height } = region;
    let (part_width, part_height) = (width - width * 2 / 5, height - height * 2 / 5);
    let (right, bottom) = (x + width - part_width, y + height - part_height);
    [(x, y), (right, y), (x, bottom), (right, bottom)].map(|(x, y)| PixelRect {
        x,
        y,
        width: part_width,
        height: part_height,
    })
}

/// What stills are made with.
pub struct StillModels<'a> {
    /// ONNX Runtime.
    pub runtime: &'a Runtime,
    /// The model that finds faces.
    pub face: &'a Manifest,
    /// The model that finds people.
    pub object: &'a Manifest,
    /// Where the models' files lie.
    pub folder: &'a Path,
}

impl StillModels<'_> {
    /// Loads the models into sessions of their own: always the float files, always on the processor, whatever the
    /// configuration says of precision and providers. A still is made now and then, so speed is worth little here,
    /// and a face that int8 or a driver loses would leave the box uncovered.
    ///
    /// # Errors
    /// A model cannot be loaded, or does not find what must be covered.
    pub fn open(&self, spec: &EvidenceSpec, shutdown: Shutdown) -> Result<StillMaker, OpenError> {
        let load = |manifest| -> Result<Model, ModelError> { Model::load(self.runtime, manifest, self.folder) };
        // A small tile in a small input would be seen no better than in the large tile around it.
        let faces = Detector::faces(load(self.face)?.thorough(), spec.cover_score.0)?;
        let people = Detector::people(load(self.object)?)?;
        Ok(StillMaker::new(Box::new(faces), Box::new(people), spec, shutdown))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quarters_leave_nothing_out(
            region in (0u32..500, 0u32..500, 6u32..1000, 6u32..1000), at in (0.0f64..1.0, 0.0f64..1.0),
        ) {
            let region = PixelRect { x: region.0, y: region.1, width: region.2, height: region.3 };
            let parts = quarters(region);
            let x = region.x + (at.0 * f64::from(region.width)) as u32;
            let y = region.y + (at.1 * f64::from(region.height)) as u32;
            prop_assert!(parts.iter().any(|p| (p.x..p.right()).contains(&x) && (p.y..p.bottom()).contains(&y)));
            for part in parts {
                prop_assert!(part.x >= region.x && part.right() <= region.right());
                prop_assert!(part.y >= region.y && part.bottom() <= region.bottom());
                prop_assert!(part.width < region.width && part.height < region.height);
            }
        }
    }
}
