//! Manifests of models that score a sensor's readings: TOML files in the folder `sensors` beneath that of the models.
//!
//! Tasks and decoders are allow-lists here as they are for pictures: such a model is shown the last values of one quantity
//! and answers with one number. Their folder is one of their own, so that neither kind can be taken for the other.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use snowgate_core::{
    choice,
    ids::Id,
    sensor::anomaly::window::{LONGEST, Normalise, SHORTEST},
    spec,
    spec::{Error, Located},
};

use crate::vision::{
    manifest::{ManifestError, PinnedFile},
    manifest_file::{self, Describes, Files, Problems},
};

spec! {
    /// One model of readings.
    pub struct SensorManifest {
        /// Name that settings refer to.
        id: Located<Id>,
        /// What it is for.
        task: SensorTask,
        /// Its file.
        flatten file: PinnedFile,
        /// Licence of the model (SPDX).
        licence: String,
        /// Where it comes from.
        source: String,
        /// What it wants to see.
        input: WindowSpec,
        /// How its answer is read.
        decoder: ScoreSpec,
    }
}

choice! {
    /// What a model of readings is for.
    pub enum SensorTask {
        /// To say how unusual the last reading is.
        Anomaly = "sensor_anomaly",
    }
}

spec! {
    /// The readings that a model wants to see: 32-bit floats [1, values], the oldest first.
    pub struct WindowSpec {
        /// How many.
        values: Located<u32>,
        /// What is done to them before.
        normalise: Normalise,
    }
}

spec! {
    /// How a model's answer is read.
    pub struct ScoreSpec {
        /// What it is.
        kind: ScoreKind,
        /// The name of the output.
        output: Located<String>,
    }
}

choice! {
    /// The answers that can be read.
    pub enum ScoreKind {
        /// One 32-bit float [1, 1]: from 0, as ever, to 1, never seen before.
        Score = "score",
    }
}

impl SensorManifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Error>> {
        manifest_file::parse(text)
    }

    /// How many readings it wants to see.
    pub fn values(&self) -> usize {
        self.input.values.value as usize
    }
}

impl Describes for SensorManifest {
    fn id(&self) -> &Id {
        &self.id.value
    }

    fn task(&self) -> &'static str {
        self.task.as_str()
    }

    fn licence(&self) -> &str {
        &self.licence
    }

    fn pinned(&self) -> Files<'_> {
        Files { float: &self.file, int8: None }
    }

    fn check(&self, problems: &mut Problems) {
        if !(SHORTEST..=LONGEST).contains(&self.values()) {
            problems.add(self.input.values.span, format!("between {SHORTEST} and {LONGEST} values are wanted"));
        }
    }
}

/// The folder of the sensors' models in that of all models.
pub fn folder(models: &Path) -> PathBuf {
    models.join("sensors")
}

/// Reads every manifest of the sensors' models. One that is wrong takes no other down; where there is no such folder,
/// there are none.
pub fn read_all(models: &Path) -> (BTreeMap<Id, SensorManifest>, Vec<ManifestError>) {
    manifest_file::read_folder_if_there(&folder(models))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
id = "tides"
task = "sensor_anomaly"
file = "tides.onnx"
sha256 = "606beac21671041f888644935499d86b998ac92c7971c15e3929c81409369c64"
licence = "Apache-2.0"
source = "here"
[input]
values = 64
normalise = "median_mad"
[decoder]
kind = "score"
output = "score"
"#;

    #[test]
    fn a_good_one_is_read() {
        let manifest = SensorManifest::parse(GOOD).unwrap();
        assert_eq!((manifest.values(), manifest.input.normalise), (64, Normalise::MedianMad));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (from, to, part) in [
            ("sensor_anomaly", "face", "sensor_anomaly"),
            ("\"score\"\noutput", "\"embedding\"\noutput", "score"),
            ("values = 64", "values = 3", "between 4 and 4096"),
            ("values = 64", "values = 4097", "between 4 and 4096"),
            ("median_mad", "softmax", "median_mad"),
            ("tides.onnx", "../tides.onnx", "beside its manifest"),
            ("606b", "xyz", "64 hexadecimal digits"),
            ("licence", "license", "licence"),
        ] {
            let errors = SensorManifest::parse(&GOOD.replace(from, to)).unwrap_err();
            let errors = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(errors.contains(part), "{part} is missing from {errors}");
        }
    }
}
