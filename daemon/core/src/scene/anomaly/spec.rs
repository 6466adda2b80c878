//! What the watch for unknown things can be told.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::{
    spec,
    spec::{DeserError, Deserialize, Fraction, TimeSpan, Value, number_between},
};

spec! {
    /// The watch for things that have not been in this scene before. It learns what is normal by itself.
    pub struct SceneAnomalySpec {
        /// A factor on how strange a place is: 2 finds things half as strange, 0.5 tells only of those twice as strange.
        sensitivity: Sensitivity = Sensitivity(1.0),
        /// A thing must have stayed for so long, over at least twelve pictures.
        r#for: TimeSpan = TimeSpan::secs(120),
        /// The smallest thing told, as a share of the frame's area.
        smallest: Fraction = Fraction(0.0015),
        /// How often a picture is looked at.
        every: TimeSpan = TimeSpan::secs(5),
        /// From this share of the frame on that is strange at once, the whole picture has changed, and nothing is told of
        /// single things: lights were switched, it pours, the camera was turned.
        whole_frame: Fraction = Fraction(0.4),
        /// How long it learns in each light (by day, in the dark, under infra-red) before it tells anything in it.
        learn_for: TimeSpan = TimeSpan::secs(8 * 3600),
    }
}

/// A factor on how strange a place is, 0.2 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Sensitivity(pub f32);

impl<'de> Deserialize<'de> for Sensitivity {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        number_between(value, 0.2, 5.0).map(|number| Self(number as f32))
    }
}

impl JsonSchema for Sensitivity {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Sensitivity".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0.2, "maximum": 5 })
    }
}
