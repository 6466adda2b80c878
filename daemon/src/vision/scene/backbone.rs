//! A network that says in numbers what every place of a picture looks like.

use snowgate_core::scene::anomaly::{FeatureMap, Features, Grid, Shape, Unfit, features::MOST_MAPS};

use super::{
    manifest::{FeatureOutput, SceneManifest},
    whole::WholePicture,
};
use crate::{
    camera::pixels::Pixels,
    vision::{decoders::ShapeError, masks::Masks, model::ModelError},
};

/// An opened network with the feature maps of the last picture.
#[derive(Debug)]
pub struct Backbone {
    picture: WholePicture,
    shape: Shape,
    maps: Vec<Map>,
}

/// One feature map.
#[derive(Debug)]
struct Map {
    output: String,
    grid: Grid,
    values: Box<[f32]>,
}

impl Map {
    fn dimensions(&self) -> [i64; 4] {
        let Grid { channels, rows, columns } = self.grid;
        [1, channels, rows, columns].map(|size| i64::try_from(size).unwrap_or(i64::MAX))
    }

    fn view(&self) -> FeatureMap<'_> {
        let Grid { channels, rows, columns } = self.grid;
        FeatureMap { channels, rows, columns, values: &self.values }
    }
}

impl Backbone {
    pub(super) fn new(
        manifest: &SceneManifest,
        outputs: &[FeatureOutput],
        picture: WholePicture,
    ) -> Result<Self, ModelError> {
        let mismatch = |error: Unfit| ModelError::Mismatch { model: picture.id().clone(), message: error.to_string() };
        let shape = manifest.shape(outputs).map_err(mismatch)?;
        let map = |(FeatureOutput { name, .. }, grid): (&FeatureOutput, &Grid)| {
            picture.check_output(name)?;
            let values = vec![0f32; grid.channels * grid.positions()].into_boxed_slice();
            Ok(Map { output: name.value.clone(), grid: *grid, values })
        };
        let maps = outputs.iter().zip(shape.grids()).map(map).collect::<Result<_, ModelError>>()?;
        Ok(Self { picture, shape, maps })
    }

    /// The form of its feature maps.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn picture(&self) -> &WholePicture {
        &self.picture
    }

    /// Takes the features of a picture.
    ///
    /// They are copied out of ONNX Runtime's memory: a third of a megabyte beside a pass of milliseconds. Outputs bound
    /// beforehand would spare that, but binding allocates and leaves the runtime writing into what is handed out here.
    pub(super) fn pass(&mut self, pixels: &Pixels<'_>, masks: &Masks) -> Result<(), ModelError> {
        let Self { picture, maps, .. } = self;
        let id = picture.id().clone();
        let answers = picture.show(pixels, masks)?;
        for (index, map) in maps.iter_mut().enumerate() {
            let output = answers.output(&map.output)?;
            if output.shape != map.dimensions() || output.values.len() != map.values.len() {
                let (found, expected) = (output.shape.to_vec(), format!("{:?}", map.dimensions()));
                return Err(ModelError::Shape { model: id, source: ShapeError { index, found, expected } });
            }
            map.values.copy_from_slice(output.values);
        }
        Ok(())
    }

    /// The features of the last picture.
    pub fn maps(&self) -> FeatureMaps<'_> {
        const NONE: FeatureMap<'_> = FeatureMap { channels: 0, rows: 0, columns: 0, values: &[] };
        let maps = std::array::from_fn(|index| self.maps.get(index).map_or(NONE, Map::view));
        FeatureMaps { maps, count: self.maps.len().min(MOST_MAPS) }
    }
}

/// The feature maps of one picture.
#[derive(Debug, Clone, Copy)]
pub struct FeatureMaps<'a> {
    maps: [FeatureMap<'a>; MOST_MAPS],
    count: usize,
}

impl FeatureMaps<'_> {
    /// They, the finest first.
    pub fn features(&self) -> Features<'_> {
        Features(&self.maps[..self.count])
    }
}
