//! A township's own model, which says by itself how strange a picture is.

use snowgate_core::scene::anomaly::Heat;

use super::{
    manifest::{HeatKind, HeatSpec},
    whole::WholePicture,
};
use crate::{
    camera::pixels::Pixels,
    vision::{
        decoders::{Output, ShapeError},
        masks::Masks,
        model::ModelError,
    },
};

/// An opened model with what it makes of the last picture.
#[derive(Debug)]
pub struct AnomalyModel {
    picture: WholePicture,
    output: String,
    kind: HeatKind,
    limit: f32,
    /// Rows and columns of its answers; none before the first.
    grid: Option<(usize, usize)>,
    heat: Heat,
}

impl AnomalyModel {
    pub(super) fn new(spec: &HeatSpec, picture: WholePicture) -> Result<Self, ModelError> {
        picture.check_output(&spec.output)?;
        let (output, limit) = (spec.output.value.clone(), spec.limit.value.0 as f32);
        Ok(Self { picture, output, kind: spec.kind, limit, grid: None, heat: Heat::default() })
    }

    pub(super) fn picture(&self) -> &WholePicture {
        &self.picture
    }

    /// How strange the last picture is. A single score is that of the one place there is; fine maps are pooled, so that the
    /// strangest counts.
    pub fn heat(&self) -> &Heat {
        &self.heat
    }

    /// Judges a picture.
    pub(super) fn judge(&mut self, pixels: &Pixels<'_>, masks: &Masks) -> Result<(), ModelError> {
        let Self { picture, output, kind, limit, grid, heat } = self;
        let id = picture.id().clone();
        let answers = picture.show(pixels, masks)?;
        let answer = answers.output(output)?;
        let (rows, columns) = grid_of(*kind, &answer, *grid).map_err(|expected| {
            let source = ShapeError { index: 0, found: answer.shape.to_vec(), expected };
            ModelError::Shape { model: id.clone(), source }
        })?;
        *grid = Some((rows, columns));
        heat.set_map(columns, rows, answer.values, *limit)
            .map_err(|error| ModelError::Mismatch { model: id, message: error.to_string() })
    }
}

/// Rows and columns of an answer; what was expected instead where it cannot be read, or is another one than before.
fn grid_of(kind: HeatKind, answer: &Output<'_>, before: Option<(usize, usize)>) -> Result<(usize, usize), String> {
    let size = |size: i64| usize::try_from(size).unwrap_or(0);
    let (rows, columns) = match (kind, answer.shape) {
        (HeatKind::Score, _) if answer.values.len() == 1 => (1, 1),
        (HeatKind::Score, _) => return Err("a single number".to_owned()),
        (HeatKind::Map, &[1, 1, rows, columns] | &[1, rows, columns]) => (size(rows), size(columns)),
        (HeatKind::Map, _) => return Err("[1, 1, rows, columns] or [1, rows, columns]".to_owned()),
    };
    match before {
        Some(before) if before != (rows, columns) => {
            Err(format!("{} rows and {} columns, as before,", before.0, before.1))
        }
        _ => Ok((rows, columns)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        kind: HeatKind,
        shape: &[i64],
        values: usize,
        before: Option<(usize, usize)>,
    ) -> Result<(usize, usize), String> {
        grid_of(kind, &Output { shape, values: &vec![0.0; values] }, before)
    }

    #[test]
    fn answers_are_read_in_their_shapes_and_in_no_other() {
        for shape in [&[][..], &[1], &[1, 1], &[1, 1, 1, 1]] {
            assert_eq!(read(HeatKind::Score, shape, 1, None), Ok((1, 1)), "{shape:?}");
        }
        assert!(read(HeatKind::Score, &[1, 2], 2, None).is_err());
        assert!(read(HeatKind::Score, &[0], 0, None).is_err());

        assert_eq!(read(HeatKind::Map, &[1, 1, 2, 3], 6, None), Ok((2, 3)));
        assert_eq!(read(HeatKind::Map, &[1, 2, 3], 6, Some((2, 3))), Ok((2, 3)));
        assert!(read(HeatKind::Map, &[1, 2, 3], 6, Some((3, 2))).unwrap_err().contains("as before"));
        for (shape, values) in [(&[1, 2, 2, 3][..], 12), (&[2, 3], 6), (&[2, 2, 3], 12)] {
            assert!(read(HeatKind::Map, shape, values, None).is_err(), "{shape:?}");
        }
    }
}
