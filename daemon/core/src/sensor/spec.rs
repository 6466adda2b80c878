//! What can be told about the quantities of a sensor, whatever protocol delivers them.

use super::{anomaly::AnomalySpec, quality::QualitySpec, unit::Unit};
use crate::{
    ids::Id,
    spec,
    spec::{Located, Maybe, Number},
};

spec! {
    /// One quantity that a sensor measures.
    pub struct QuantitySpec {
        /// Its name in topics, rules and incidents: water_level, rain, smoke, door…; unique within the sensor.
        id: Located<Id>,
        /// What people call it; the id if left out.
        name: Maybe<String> = Maybe::NONE,
        /// The unit in which the device sends it, as UCUM writes it: "m", "mm/h", "Cel", "mg/m3"; "1" for counts, switches, doors.
        unit: Unit = Unit::one(),
        /// The unit in which it is reported and in which all limits are written; the device's if left out.
        report_in: Maybe<Located<Unit>> = Maybe::NONE,
        /// What the device sends is multiplied by this…
        scale: Number = Number(1.0),
        /// …and this is added, to make a value of its unit.
        offset: Number = Number(0.0),
        /// What can be relied upon.
        flatten quality: QualitySpec,
        /// The watch for readings that this sensor has not shown before; none if left out.
        anomaly: Maybe<AnomalySpec> = Maybe::NONE,
    }
}

impl QuantitySpec {
    /// The unit in which it is reported, and in which all limits are written.
    pub fn reported_unit(&self) -> &Unit {
        self.report_in.as_ref().map_or(&self.unit, |wanted| &wanted.value)
    }
}
