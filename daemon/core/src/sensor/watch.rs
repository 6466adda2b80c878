//! One sensor's path from samples to alarms: units, quality, anomaly, rules. The same samples at the same times always give
//! the same alarms.

use std::collections::VecDeque;

use jiff::tz::TimeZone;

use super::{
    anomaly::{
        AnomalySpec, Detector, LocalTime, Reason,
        outside::{ModelDetector, Models},
    },
    quality::Judge,
    reading::{Doubt, Reading, Sample, Verdict, tidy},
    rules::{Alarm, Heard, Known, SensorRules, spec::SensorRuleSpec},
    spec::QuantitySpec,
    unit::{Conversion, Unit, UnitError},
};
use crate::{
    ids::Id,
    rules::MissingReference,
    schedule::Schedules,
    time::{Moment, Mono},
};

/// So many readings of each quantity are kept for incidents.
pub const KEPT: usize = 24;

/// Watches one sensor.
#[derive(Debug)]
pub struct SensorWatch {
    sensor: Id,
    zone: TimeZone,
    quantities: Vec<Quantity>,
    rules: SensorRules,
}

#[derive(Debug)]
struct Quantity {
    /// What it was made of.
    spec: QuantitySpec,
    id: Id,
    unit: Unit,
    scale: f64,
    offset: f64,
    conversion: Conversion,
    judge: Judge,
    detector: Option<Watcher>,
    /// The last readings, the oldest first.
    last: VecDeque<Reading>,
}

/// Who looks for anomalies.
#[derive(Debug)]
enum Watcher {
    BuiltIn(Box<dyn Detector>),
    Model(Box<dyn ModelDetector>),
}

/// A reading and what was made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The reading.
    pub reading: Reading,
    /// How unlike what the sensor has shown before it is, 0..1, where that is watched and the reading counts.
    pub score: Option<f64>,
    /// What is unusual about it, if it is.
    pub reason: Option<Reason>,
}

/// Why a sensor cannot be watched as it is described.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A quantity cannot be reported in the unit wanted.
    #[error("quantity {quantity}: {source}")]
    Unit {
        /// Which.
        quantity: Id,
        /// Why.
        source: UnitError,
    },
    /// Its anomalies are to be found by a model that is not there.
    #[error("quantity {quantity}: there is no model {model} that works")]
    NoModel {
        /// Which.
        quantity: Id,
        /// The model.
        model: Id,
    },
    /// One of its rules names a schedule that is not there.
    #[error(transparent)]
    Missing(#[from] MissingReference),
}

impl SensorWatch {
    /// A watch that has heard nothing yet; silence is counted from `now` on. Times of the day are those of `zone`.
    ///
    /// # Errors
    /// A quantity cannot be reported in the unit wanted, is to be watched by a model that is not among `models`,
    /// or a rule names a schedule that is not among `schedules`.
    pub fn new<'a>(
        sensor: Id,
        zone: TimeZone,
        quantities: &[QuantitySpec],
        rules: impl IntoIterator<Item = &'a SensorRuleSpec>,
        schedules: &Schedules,
        models: &dyn Models,
        now: Mono,
    ) -> Result<Self, WatchError> {
        let quantities = quantities.iter().map(|spec| Quantity::new(spec, models)).collect::<Result<_, _>>()?;
        Ok(Self { sensor, zone, quantities, rules: SensorRules::new(rules, schedules, now)? })
    }

    /// From now on this sensor is watched as `successor` would, which has heard nothing yet. Quantities that stay the same keep
    /// what was heard and learnt of them, and rules that do, about such quantities, their state; what is under way of the rest
    /// ends at once.
    pub fn succeed(&mut self, successor: Self, at: Mono, alarms: &mut Vec<Alarm>) {
        let Self { sensor, zone, quantities, rules } = successor;
        let mut before = std::mem::take(&mut self.quantities);
        let goes_on = |successor: Quantity| match before.iter().position(|known| known.spec == successor.spec) {
            Some(place) => before.swap_remove(place),
            None => successor,
        };
        (self.sensor, self.zone) = (sensor, zone);
        self.quantities = quantities.into_iter().map(goes_on).collect();
        // What was heard in another unit, or with other limits, says nothing about what is heard now.
        before.iter().for_each(|changed| self.rules.close(&changed.id, at, alarms));
        self.rules.succeed(rules, at, alarms);
    }

    /// The sensor is watched no more: what is under way ends at once.
    pub fn close(&mut self, at: Mono, alarms: &mut Vec<Alarm>) {
        self.rules.succeed(SensorRules::default(), at, alarms);
    }

    /// Takes in what a device sent, in its own unit, and appends what there is to tell. `None` if the sensor has no such
    /// quantity.
    pub fn hear(&mut self, quantity: &Id, sample: Sample, arrived: Moment, alarms: &mut Vec<Alarm>) -> Option<Seen> {
        self.take_in(quantity, sample, arrived, true, alarms)
    }

    /// The same of a reading for which there is no time to watch for anomalies: rules hear it, the detector does not.
    pub fn hear_in_a_flood(
        &mut self,
        quantity: &Id,
        sample: Sample,
        arrived: Moment,
        alarms: &mut Vec<Alarm>,
    ) -> Option<Seen> {
        self.take_in(quantity, sample, arrived, false, alarms)
    }

    fn take_in(
        &mut self,
        quantity: &Id,
        sample: Sample,
        arrived: Moment,
        score: bool,
        alarms: &mut Vec<Alarm>,
    ) -> Option<Seen> {
        let Self { sensor, zone, quantities, rules } = self;
        let quantity = quantities.iter_mut().find(|known| known.id == *quantity)?;
        let value = tidy(quantity.conversion.apply(sample.value * quantity.scale + quantity.offset));
        let sample = Sample { value, ..sample };
        let verdict = quantity.judge.judge(&sample, arrived);
        let in_order = verdict.counts() && verdict.why != Some(Doubt::OutOfOrder);
        let detector = quantity.detector.as_mut().filter(|_| score && in_order);
        let (score, reason) = match detector {
            None => (None, None),
            Some(Watcher::BuiltIn(detector)) => {
                let zoned = sample.measured.unwrap_or(arrived.wall).to_zoned(zone.clone());
                (Some(detector.observe(LocalTime::from(&zoned), value)), Some(detector.reason()))
            }
            Some(Watcher::Model(model)) => {
                let score = model.observe(value).filter(|score| !score.is_nan()).map(|score| score.clamp(0.0, 1.0));
                (score, score.map(|_| Reason::Unseen))
            }
        };
        let reading = Reading {
            sensor: sensor.clone(),
            quantity: quantity.id.clone(),
            value,
            unit: quantity.unit.clone(),
            measured: sample.measured,
            arrived,
            verdict,
        };
        if quantity.last.len() == KEPT {
            quantity.last.pop_front();
        }
        quantity.last.push_back(reading.clone());
        rules.hear(&Heard { quantity: &quantity.id, value, verdict, score, at: arrived.mono }, alarms);
        Some(Seen { reading, score, reason })
    }

    /// From now on it is this time: rules watch or rest by their schedules. Until it is told, all of them watch.
    pub fn it_is(&mut self, now: Moment) {
        self.rules.it_is(now);
    }

    /// It is `now`, and nothing was heard.
    pub fn tick(&mut self, now: Mono, alarms: &mut Vec<Alarm>) {
        self.rules.tick(now, alarms);
    }

    /// The last readings of a quantity, the oldest first.
    pub fn last_readings(&self, quantity: &Id) -> impl Iterator<Item = &Reading> {
        self.quantities.iter().filter(move |known| known.id == *quantity).flat_map(|known| &known.last)
    }

    /// When anything at all was last heard.
    pub fn last_heard(&self) -> Option<Moment> {
        let last = self.quantities.iter().filter_map(|quantity| quantity.last.back());
        last.map(|reading| reading.arrived).max_by_key(|arrived| arrived.mono)
    }

    /// What it measures, and what was thought of the last reading of each.
    pub fn quantities(&self) -> impl Iterator<Item = (&Id, Option<Verdict>)> {
        self.quantities.iter().map(|quantity| (&quantity.id, quantity.last.back().map(|reading| reading.verdict)))
    }

    /// What is known of the condition of a rule, as [`SensorRules::known`].
    pub fn known(&self, rule: &Id) -> Option<Known> {
        self.rules.known(rule)
    }

    /// Whether anything is under way that has yet to end.
    pub fn is_active(&self) -> bool {
        self.rules.is_active()
    }
}

impl Quantity {
    fn new(spec: &QuantitySpec, models: &dyn Models) -> Result<Self, WatchError> {
        let quantity = &spec.id.value;
        let unit = spec.reported_unit();
        Ok(Self {
            spec: spec.clone(),
            id: quantity.clone(),
            unit: unit.clone(),
            scale: spec.scale.0,
            offset: spec.offset.0,
            conversion: spec.unit.to(unit).map_err(|source| WatchError::Unit { quantity: quantity.clone(), source })?,
            judge: Judge::new(spec.quality.clone()),
            detector: spec.anomaly.as_ref().map(|spec| Watcher::new(spec, quantity, models)).transpose()?,
            last: VecDeque::with_capacity(KEPT),
        })
    }
}

impl Watcher {
    fn new(spec: &AnomalySpec, quantity: &Id, models: &dyn Models) -> Result<Self, WatchError> {
        match spec.method.detector() {
            Ok(detector) => Ok(Self::BuiltIn(detector)),
            Err(model) => {
                let no_model = || WatchError::NoModel { quantity: quantity.clone(), model: model.clone() };
                models.detector(model).map(Self::Model).ok_or_else(no_model)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rules::Change,
        sensor::{anomaly::outside::NoModels, reading::Quality},
        spec::read_table,
    };

    const GAUGE: &str = "
        id = 'level'
        unit = 'cm'
        report_in = 'm'
        scale = 0.1
        offset = -50
        min = 0
        max = 12
    ";
    const HIGH_WATER: &str = "id = 'high'\nquantity = 'level'\nkind = 'threshold'\nabove = 3.5";

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn watch(quantity: &str) -> SensorWatch {
        with_rule(quantity, HIGH_WATER)
    }

    fn with_rule(quantity: &str, rule: &str) -> SensorWatch {
        let quantity: QuantitySpec = read_table(&mut toml_span::parse(quantity).unwrap()).unwrap();
        let rule: SensorRuleSpec = read_table(&mut toml_span::parse(rule).unwrap()).unwrap();
        SensorWatch::new(id("gauge"), TimeZone::UTC, &[quantity], [&rule], &Schedules::new(), &Ramps, Mono(0)).unwrap()
    }

    fn refused(quantity: QuantitySpec) -> WatchError {
        let (quantities, schedules) = ([quantity], Schedules::new());
        SensorWatch::new(id("gauge"), TimeZone::UTC, &quantities, [], &schedules, &NoModels, Mono(0)).unwrap_err()
    }

    /// One model, "ramp": a reading's score is the reading, below 0 it cannot say.
    struct Ramps;

    #[derive(Debug)]
    struct Ramp;

    impl Models for Ramps {
        fn detector(&self, model: &Id) -> Option<Box<dyn ModelDetector>> {
            (model.as_str() == "ramp").then(|| Box::new(Ramp) as _)
        }
    }

    impl ModelDetector for Ramp {
        fn observe(&mut self, value: f64) -> Option<f64> {
            (value >= 0.0).then_some(value)
        }
    }

    fn moment(second: u64) -> Moment {
        let wall = jiff::Timestamp::from_second(1_777_595_400 + i64::try_from(second).unwrap()).unwrap();
        Moment { mono: Mono(second * 1_000_000_000), wall, synchronised: true }
    }

    #[test]
    fn raw_counts_become_metres_and_an_alarm() {
        let (mut watch, mut alarms) = (watch(GAUGE), Vec::new());
        let mut hear = |raw, second| {
            let sample = Sample { value: raw, measured: None, flagged: false };
            watch.hear(&id("level"), sample, moment(second), &mut alarms).unwrap()
        };
        // 3000 counts are 300 cm, less the 50 below the gauge's zero.
        let seen = hear(3000.0, 0);
        assert!((seen.reading.value - 2.5).abs() < 1e-9 && seen.reading.unit.code() == "m");
        assert_eq!((seen.reading.verdict, seen.score), (Verdict::GOOD, None));
        hear(4100.0, 60);
        assert_eq!(hear(65_535.0, 120).reading.verdict, Verdict::doubtful(Quality::OutOfRange, Doubt::TooHigh));
        let told: Vec<_> = alarms.iter().map(|alarm| (alarm.change, alarm.tally.value)).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].0 == Change::Began && (told[0].1.unwrap() - 3.6).abs() < 1e-9);
        assert_eq!(watch.last_readings(&id("level")).count(), 3);
        assert_eq!(watch.last_heard().map(|heard| heard.mono), Some(Mono(120_000_000_000)));
        assert!(watch.is_active());
        assert_eq!(
            watch.hear(&id("rain"), Sample { value: 1.0, measured: None, flagged: false }, moment(121), &mut alarms),
            None
        );
    }

    #[test]
    fn a_successor_keeps_what_stays_the_same() {
        let higher = HIGH_WATER.replace("3.5", "3.4");
        let wider = GAUGE.replace("max = 12", "max = 14");
        for (quantity, rule, heard, ends) in
            [(GAUGE, HIGH_WATER, 1, false), (GAUGE, &*higher, 1, true), (&*wider, HIGH_WATER, 0, true)]
        {
            let (mut watch, mut alarms) = (watch(GAUGE), Vec::new());
            let high = Sample { value: 4100.0, measured: None, flagged: false };
            watch.hear(&id("level"), high, moment(0), &mut alarms);
            watch.succeed(with_rule(quantity, rule), moment(1).mono, &mut alarms);
            let changes: Vec<_> = alarms.iter().map(|alarm| alarm.change).collect();
            assert_eq!(changes.get(1).copied(), ends.then_some(Change::Ended), "{rule}");
            assert_eq!(watch.last_readings(&id("level")).count(), heard, "{quantity}");
            alarms.clear();
            watch.hear(&id("level"), high, moment(2), &mut alarms);
            let changes: Vec<_> = alarms.iter().map(|alarm| alarm.change).collect();
            assert_eq!(changes, if ends { vec![Change::Began] } else { vec![] }, "{rule}");
            watch.close(moment(3).mono, &mut alarms);
            assert_eq!(alarms.last().map(|alarm| alarm.change), Some(Change::Ended));
            assert!(!watch.is_active());
        }
    }

    #[test]
    fn what_is_unlike_everything_before_scores() {
        let (mut watch, mut alarms) = (watch("id = 'level'\nunit = 'm'\n[anomaly]\nmethod = 'robust_z'"), Vec::new());
        for minute in 0..600u64 {
            let value = 2.0 + 0.01 * ((minute * 7919) % 13) as f64;
            let sample = Sample { value, measured: None, flagged: false };
            watch.hear(&id("level"), sample, moment(minute * 60), &mut alarms);
        }
        let odd = Sample { value: 3.0, measured: None, flagged: false };
        let score = watch.hear(&id("level"), odd, moment(36_000), &mut alarms).unwrap().score.unwrap();
        assert!(score > 0.5, "{score}");
        assert_eq!(watch.last_readings(&id("level")).count(), KEPT);
    }

    #[test]
    fn what_cannot_be_converted_is_refused() {
        let wrong: QuantitySpec =
            read_table(&mut toml_span::parse("id = 'level'\nunit = 'm'\nreport_in = 'Cel'").unwrap()).unwrap();
        let refused = refused(wrong);
        assert!(refused.to_string().starts_with("quantity level: "), "{refused}");
    }

    #[test]
    fn a_model_from_outside_scores_what_counts() {
        let (mut watch, mut alarms) =
            (watch("id = 'level'\nmax = 5\nanomaly = { method = 'onnx', model = 'ramp' }"), Vec::new());
        let mut hear = |value, second| {
            let sample = Sample { value, measured: None, flagged: false };
            let seen = watch.hear(&id("level"), sample, moment(second), &mut alarms).unwrap();
            (seen.score, seen.reason)
        };
        assert_eq!(hear(0.25, 0), (Some(0.25), Some(Reason::Unseen)));
        assert_eq!(hear(3.0, 60), (Some(1.0), Some(Reason::Unseen)), "no score is more than 1");
        assert_eq!(hear(-1.0, 120), (None, None));
        assert_eq!(hear(9.0, 180), (None, None), "what cannot be relied upon it is not shown");
    }

    #[test]
    fn a_model_that_is_not_there_is_named() {
        let spec = "id = 'level'\nanomaly = { method = 'onnx', model = 'tides' }";
        let spec: QuantitySpec = read_table(&mut toml_span::parse(spec).unwrap()).unwrap();
        let refused = refused(spec);
        assert_eq!(refused.to_string(), "quantity level: there is no model tides that works");
    }
}
