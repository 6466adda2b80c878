//! What a sensor's `[anomaly]` table can say. Every key has a default that needs no tuning.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::{Auto, Detector, Ewma, Forest, Neighbour, PageHinkley, RobustZ, SameTime, Standstill};
use crate::{
    ids::Id,
    spec,
    spec::{DeserError, Deserialize, Located, Value, number_between},
    tagged,
};

spec! {
    /// The watch for readings that this sensor has not shown before. It learns what is normal by itself.
    pub struct AnomalySpec {
        /// How it is found out.
        flatten method: Method,
    }
}

tagged! {
    /// The ways to find out.
    pub enum Method by "method" or "auto" {
        /// What is best on most sensors, and needs no tuning.
        "auto" => Auto(AutoSpec),
        /// Has it ever done what it is doing now? (nearest neighbour among its own past)
        "neighbour" => Neighbour(NeighbourSpec),
        /// Has it ever been here at this time of the day?
        "same_time" => SameTime(SameTimeSpec),
        /// Far from the median of this hour of the day. (robust z)
        "robust_z" => RobustZ(RobustZSpec),
        /// The level has drifted away. (EWMA control chart)
        "ewma" => Ewma(EwmaSpec),
        /// The level has shifted and stays shifted. (Page–Hinkley)
        "page_hinkley" => PageHinkley(PageHinkleySpec),
        /// It used to move, and stopped. (length of runs of equal readings)
        "standstill" => Standstill(StandstillSpec),
        /// The last readings are easily told apart from all others. (random cut forest)
        "forest" => Forest(ForestSpec),
        /// A model of the box's own scores the last readings. (ONNX)
        "onnx" => Onnx(OnnxSpec),
    }
}

impl Method {
    /// The detector.
    ///
    /// # Errors
    /// None is built in: it is the place of the model that is answered.
    pub fn detector(&self) -> Result<Box<dyn Detector>, &Id> {
        Ok(match self {
            Self::Auto(_) => Box::new(Auto::new()),
            Self::Neighbour(spec) => Box::new(Neighbour::new(spec)),
            Self::SameTime(spec) => Box::new(SameTime::new(spec)),
            Self::RobustZ(spec) => Box::new(RobustZ::new(spec)),
            Self::Ewma(spec) => Box::new(Ewma::new(spec)),
            Self::PageHinkley(spec) => Box::new(PageHinkley::new(spec)),
            Self::Standstill(spec) => Box::new(Standstill::new(spec)),
            Self::Forest(spec) => Box::new(Forest::new(spec)),
            Self::Onnx(spec) => return Err(&spec.model.value),
        })
    }

    /// The model that takes a detector's place, if one does.
    pub fn model(&self) -> Option<&Located<Id>> {
        match self {
            Self::Onnx(spec) => Some(&spec.model),
            _ => None,
        }
    }
}

/// Readings that a detector's idea of what is normal spans, if nothing else is said.
const MEMORY: usize = 10_000;

spec! {
    /// Nothing to set.
    pub struct AutoSpec {}
}

spec! {
    /// Nearest neighbour.
    pub struct NeighbourSpec {
        /// Readings of the past that are looked through. More takes time and memory in proportion.
        history: Count<64, 20_000> = Count(4096),
        /// The shortest stretch of readings that is compared.
        shortest: Count<1, 32> = Count(1),
        /// The longest one; between them each is four times as long as the one before.
        longest: Count<1, 64> = Count(16),
        /// Readings over which distances are remembered.
        memory: Count<200, 1_000_000> = Count(MEMORY),
    }
}

impl NeighbourSpec {
    /// The lengths that are compared: at least one, at most four.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        let longest = self.longest.get();
        let shortest = self.shortest.get().min(longest);
        std::iter::successors(Some(shortest), |length| Some(length * 4)).take_while(move |&length| length <= longest)
    }
}

spec! {
    /// Same time.
    pub struct SameTimeSpec {
        /// Readings kept of each half hour of the day, one every ten minutes at most: 42 are two weeks.
        samples: Count<6, 1000> = Count(42),
        /// Readings over which distances are remembered.
        memory: Count<200, 1_000_000> = Count(MEMORY),
    }
}

spec! {
    /// Robust z.
    pub struct RobustZSpec {
        /// Whether readings are held against the same hour of other days, once enough of them are known.
        same_hour: bool = true,
        /// Readings kept of each hour of the day, one every ten minutes at most.
        hour_samples: Count<12, 1000> = Count(60),
        /// Last readings that are the measure otherwise.
        window: Count<20, 5000> = Count(500),
        /// Readings over which distances are remembered.
        memory: Count<200, 1_000_000> = Count(MEMORY),
    }
}

spec! {
    /// EWMA.
    pub struct EwmaSpec {
        /// Readings that the fast mean spans.
        fast: Count<1, 10_000> = Count(12),
        /// Readings that the slow mean spans.
        slow: Count<10, 1_000_000> = Count(1000),
        /// Readings over which distances are remembered.
        memory: Count<200, 1_000_000> = Count(MEMORY),
    }
}

spec! {
    /// Page–Hinkley.
    pub struct PageHinkleySpec {
        /// Standard deviations by which a level may be off without it adding up.
        delta: Deviations = Deviations(1.0),
        /// Readings that the running mean and deviation span.
        window: Count<20, 1_000_000> = Count(1000),
        /// Readings over which distances are remembered.
        memory: Count<200, 1_000_000> = Count(MEMORY),
    }
}

spec! {
    /// Standstill.
    pub struct StandstillSpec {
        /// Runs of equal readings over which their lengths are remembered.
        memory: Count<200, 1_000_000> = Count(MEMORY),
    }
}

spec! {
    /// Random cut forest.
    pub struct ForestSpec {
        /// How many trees.
        trees: Count<1, 200> = Count(30),
        /// Stretches of readings that each tree keeps.
        samples: Count<8, 1024> = Count(256),
        /// Readings in a stretch.
        stretch: Count<1, 32> = Count(8),
        /// Readings over which scores are remembered.
        memory: Count<200, 1_000_000> = Count(MEMORY),
    }
}

spec! {
    /// A model.
    pub struct OnnxSpec {
        /// Its id, as its manifest says.
        model: Located<Id>,
    }
}

/// A whole number between `MIN` and `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Count<const MIN: usize, const MAX: usize>(usize);

impl<const MIN: usize, const MAX: usize> Count<MIN, MAX> {
    /// The nearest number within bounds.
    pub const fn new(count: usize) -> Self {
        Self(if count < MIN {
            MIN
        } else if count > MAX {
            MAX
        } else {
            count
        })
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let number = number_between(value, MIN as f64, MAX as f64)?;
        if number.fract() == 0.0 {
            Ok(Self(number as usize))
        } else {
            Err(spec::custom(format!("{number} is not a whole number"), span))
        }
    }
}

impl<const MIN: usize, const MAX: usize> JsonSchema for Count<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Count{MIN}To{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A length in standard deviations, 0 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Deviations(pub f64);

impl<'de> Deserialize<'de> for Deviations {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        number_between(value, 0.0, 10.0).map(Self)
    }
}

impl JsonSchema for Deviations {
    fn schema_name() -> Cow<'static, str> {
        "Deviations".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 10 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read_table;

    fn read(text: &str) -> Result<AnomalySpec, String> {
        let mut value = toml_span::parse(text).unwrap();
        read_table(&mut value).map_err(|e| e.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn one_line_is_enough() {
        for text in ["", "method = 'auto'"] {
            assert_eq!(read(text).unwrap(), AnomalySpec { method: Method::Auto(AutoSpec {}) });
        }
        for method in ["neighbour", "same_time", "robust_z", "ewma", "page_hinkley", "standstill", "forest"] {
            assert_eq!(read(&format!("method = '{method}'")).unwrap().method.tag(), method);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, part) in [
            ("method = 'guess'", "robust_z"),
            ("method = 'neighbour'\nhistory = 1e9", "outside 64 to 20000"),
            ("method = 'forest'\ntrees = 2.5", "not a whole number"),
            ("method = 'ewma'\ntrees = 3", "trees"),
            ("method = 'onnx'", "model"),
        ] {
            let errors = read(text).unwrap_err();
            assert!(errors.contains(part), "{part} is missing from {errors}");
        }
    }

    #[test]
    fn a_model_takes_the_place_of_a_built_in_detector() {
        let method = read("method = 'onnx'\nmodel = 'tides'").unwrap().method;
        assert_eq!(method.model().unwrap().value.as_str(), "tides");
        assert_eq!(method.detector().unwrap_err().as_str(), "tides");
        let method = read("method = 'auto'").unwrap().method;
        assert!(method.model().is_none() && method.detector().is_ok());
    }

    #[test]
    fn lengths_are_at_least_one() {
        let lengths = |shortest, longest| {
            let keys = format!("method = 'neighbour'\nshortest = {shortest}\nlongest = {longest}");
            let Method::Neighbour(spec) = read(&keys).unwrap().method else { panic!("another method") };
            spec.lengths().collect::<Vec<_>>()
        };
        assert_eq!(lengths(1, 16), [1, 4, 16]);
        assert_eq!(lengths(3, 40), [3, 12]);
        assert_eq!(lengths(8, 2), [2]);
        assert_eq!(lengths(1, 64).len(), 4);
    }
}
