//! A session that is shown whole pictures, one size of input, and what it answers.

use std::time::{Duration, Instant};

use ort::{
    session::{Session, SessionOutputs},
    value::Tensor,
};
use snowgate_core::ids::Id;

use super::manifest::SceneManifest;
use crate::{
    camera::pixels::Pixels,
    vision::{
        decoders::Output,
        execution::Running,
        graph,
        masks::Masks,
        model::ModelError,
        preprocess::{Format, PixelRect, Preprocessor},
    },
};

/// A session with its input.
#[derive(Debug)]
pub(super) struct WholePicture {
    id: Id,
    running: Running,
    session: Session,
    tensor: Tensor<f32>,
    /// The input's size in pixels, width first.
    size: (u32, u32),
    format: Format,
    preprocessor: Preprocessor,
    session_time: Duration,
}

impl WholePicture {
    /// # Errors
    /// When the graph's input is not what the manifest says.
    pub(super) fn new(manifest: &SceneManifest, session: Session, running: Running) -> Result<Self, ModelError> {
        let (id, size) = (manifest.id.value.clone(), manifest.size());
        let shape = manifest.input.shape(size);
        graph::check_input(&id, &session, &shape)?;
        let tensor = Tensor::from_array((shape, vec![0f32; 3 * size.0 as usize * size.1 as usize]))
            .map_err(|error| ModelError::Failed { model: id.clone(), message: error.to_string() })?;
        let (format, preprocessor) = (manifest.input.format(), Preprocessor::default());
        Ok(Self { id, running, session, tensor, size, format, preprocessor, session_time: Duration::ZERO })
    }

    pub(super) fn id(&self) -> &Id {
        &self.id
    }

    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    pub(super) fn session_time(&self) -> Duration {
        self.session_time
    }

    /// # Errors
    /// When the graph has no such output of floats.
    pub(super) fn check_output(&self, name: &str) -> Result<(), ModelError> {
        graph::check_output(&self.id, &self.session, name)
    }

    /// Shows it a picture.
    ///
    /// # Errors
    /// When inference fails.
    pub(super) fn show(&mut self, pixels: &Pixels<'_>, masks: &Masks) -> Result<Answers<'_>, ModelError> {
        let Self { id, session, tensor, size, format, preprocessor, session_time, .. } = self;
        let (_, values) = tensor.extract_tensor_mut();
        preprocessor.fill(pixels, masks, PixelRect::whole(pixels), *size, format, values);
        let started = Instant::now();
        let outputs = session
            .run(ort::inputs![&*tensor])
            .map_err(|error| ModelError::Failed { model: id.clone(), message: error.to_string() })?;
        *session_time = started.elapsed();
        Ok(Answers { model: id, outputs })
    }
}

/// What was answered to one picture.
pub(super) struct Answers<'a> {
    model: &'a Id,
    outputs: SessionOutputs<'a>,
}

impl Answers<'_> {
    /// One output, every value of which is a finite number.
    ///
    /// # Errors
    /// When there is no such output, or it holds what is no number.
    pub(super) fn output(&self, name: &str) -> Result<Output<'_>, ModelError> {
        let model = || self.model.clone();
        let missing = || ModelError::Mismatch { model: model(), message: format!("no output {name:?}") };
        let failed = |error: ort::Error| ModelError::Failed { model: model(), message: error.to_string() };
        let value = self.outputs.get(name).ok_or_else(missing)?;
        let (shape, values) = value.try_extract_tensor::<f32>().map_err(failed)?;
        if are_finite(values) {
            Ok(Output { shape, values })
        } else {
            Err(ModelError::NotANumber { model: model(), output: name.to_owned() })
        }
    }
}

/// Whether all of them are numbers: as integers without the sign, finite floats lie below infinity. Compares many at a time.
fn are_finite(values: &[f32]) -> bool {
    const MAGNITUDE: u32 = !(1 << 31);
    values.iter().fold(0, |largest, value| largest.max(value.to_bits() & MAGNITUDE)) < f32::INFINITY.to_bits()
}

#[cfg(test)]
mod tests {
    use super::are_finite;

    #[test]
    fn what_is_no_number_is_found_wherever_it_stands() {
        assert!(are_finite(&[]));
        assert!(are_finite(&[0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 2.0]));
        for wrong in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..37 {
                let mut values = [1.5f32; 37];
                values[at] = wrong;
                assert!(!are_finite(&values), "{wrong} at {at}");
            }
        }
    }
}
