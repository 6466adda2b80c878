//! Model outputs to boxes. Each layout has its file; which one a model has is said by its manifest.
//!
//! Decoders trust nothing: lengths are checked before they are indexed, numbers that are none or out of range are
//! dropped, and [`Candidates`] bounds how many boxes there can be.

pub mod centerface;
pub mod ssd;
pub mod yolo;

use super::{
    nms::{Candidate, Candidates, is_cut},
    preprocess::Placement,
};

/// One output tensor: its dimensions and its values, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Dimensions, the batch of one included.
    pub shape: &'a [i64],
    /// As many values as the dimensions say.
    pub values: &'a [f32],
}

/// A model answered with an output of a shape its decoder cannot read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("output {index} has shape {found:?} where {expected} was expected")]
pub struct ShapeError {
    /// Which output, in the manifest's order.
    pub index: usize,
    /// Its dimensions.
    pub found: Vec<i64>,
    /// What the decoder reads.
    pub expected: String,
}

impl ShapeError {
    fn new(index: usize, output: &Output<'_>, expected: impl Into<String>) -> Self {
        Self { index, found: output.shape.to_vec(), expected: expected.into() }
    }
}

/// Where decoded boxes go.
#[derive(Debug)]
pub struct Sink<'a> {
    /// Where the model's input lies in the frame.
    pub placement: &'a Placement,
    /// The input's size in pixels, width first.
    pub input: (u32, u32),
    /// How many labels the manifest names.
    pub classes: usize,
    /// The list.
    pub candidates: &'a mut Candidates,
}

impl Sink<'_> {
    /// Takes a box in input pixels.
    fn push(&mut self, class: usize, score: f32, [left, top, right, bottom]: [f32; 4]) {
        let rect = self.placement.to_frame(left, top, right, bottom);
        let frame = (self.placement.frame_width as u32, self.placement.frame_height as u32);
        let cut = is_cut(&rect, &self.placement.region, frame);
        let Ok(class) = u16::try_from(class) else { return };
        self.candidates.push(Candidate { class, score, rect, cut });
    }

    /// The same with a centre and a size.
    fn push_centred(&mut self, class: usize, score: f32, [x, y, width, height]: [f32; 4]) {
        let (half_width, half_height) = (width / 2.0, height / 2.0);
        self.push(class, score, [x - half_width, y - half_height, x + half_width, y + half_height]);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::vision::preprocess::{Fit, PixelRect};

    /// Decodes over an input of 64 × 64 that is the whole frame.
    pub(crate) fn decode(
        classes: usize,
        decoder: impl Fn(&mut Sink<'_>) -> Result<(), ShapeError>,
    ) -> Result<Vec<Candidate>, ShapeError> {
        let region = PixelRect { x: 0, y: 0, width: 64, height: 64 };
        let placement = Placement::new(region, (64, 64), (64, 64), Fit::Stretch);
        let mut candidates = Candidates::default();
        candidates.reset(0.3);
        decoder(&mut Sink { placement: &placement, input: (64, 64), classes, candidates: &mut candidates })?;
        Ok(candidates.suppress(0.5).to_vec())
    }
}
