//! Checks of a sensor's rules and of where they report.

use snowgate_core::{
    sensor::{
        rules::spec::{ChangeSpec, SensorRuleKind, SensorRuleSpec, SilenceSpec, ThresholdSpec},
        spec::QuantitySpec,
    },
    spec::{Number, TimeSpan},
};
use snowgate_sensors::spec::SourceSpec;

use super::{Checker, References, SensorFile};
use crate::config::{checks::report_target, resolved::SensorRuleConfig};

/// Where a sensor's rules may say how they report.
const WHERE: &str = "the rule, or at the top for the whole sensor";

pub(super) fn resolve(file: &SensorFile, references: References<'_>, check: &mut Checker<'_>) -> Vec<SensorRuleConfig> {
    check.unique("rule", file.rules.iter().map(|rule| &rule.id));
    let quantities = file.source.source.quantities();
    let mut rules = Vec::new();
    for rule in &file.rules {
        let known = quantities.iter().map(|quantity| quantity.id.as_str());
        check.known("quantity", "quantities of this sensor", rule.quantity.as_str(), rule.quantity.span, known);
        if let Some(quantity) = quantities.iter().find(|quantity| *quantity.id == *rule.quantity) {
            kind(rule, quantity, poll_every(file), check);
        }
        if let Some(schedule) = &*rule.schedule {
            check.schedule(schedule, references);
        }
        check.quiet_after(&rule.id, *rule.quiet_after);
        if let Err(error) = rule.merge() {
            check.error(rule.id.span, format!("rule `{}`: merge_within: {error}", *rule.id), None);
        }
        check.report(&rule.report, references);
        if let Some(report) = report_target(&rule.id, &[&rule.report, &file.report], WHERE, references, check) {
            rules.push(SensorRuleConfig { spec: rule.clone(), report });
        }
    }
    rules
}

/// What lies between two readings, where the gateway decides on it.
pub(super) fn poll_every(file: &SensorFile) -> Option<TimeSpan> {
    match &file.source.source {
        SourceSpec::Modbus(source) => Some(*source.poll_every),
        _ => None,
    }
}

fn kind(rule: &SensorRuleSpec, quantity: &QuantitySpec, poll_every: Option<TimeSpan>, check: &mut Checker<'_>) {
    let id = &*rule.id;
    let at = |check: &Checker<'_>, key: &str| check.beside(rule.id.span, &format!("/{key}"));
    match &rule.kind {
        SensorRuleKind::Threshold(spec) => threshold(rule, spec, quantity, check),
        SensorRuleKind::Change(spec) => change(rule, spec, check),
        SensorRuleKind::Silence(SilenceSpec { after, .. }) => {
            silence(&format!("rule `{id}`: after"), *after, poll_every, at(check, "after"), check);
        }
        SensorRuleKind::Anomaly(_) => {
            if quantity.anomaly.is_none() {
                let message = format!("rule `{id}`: nothing watches `{}` for anomalies", *quantity.id);
                let help = "write anomaly = { method = \"auto\" } into the quantity's [[source.values]]".to_owned();
                check.error(rule.quantity.span, message, help);
            }
        }
        SensorRuleKind::Button(spec) => {
            if let Some(Number(max)) = *quantity.quality.max
                && spec.pressed_from.0 > max
            {
                never(rule, "pressed_from", spec.pressed_from.0, "max", max, check);
            }
            if rule.quiet_after.is_some() {
                let message =
                    format!("rule `{id}`: a button calls for help each time: quiet_after does not go with it");
                check.error_at(at(check, "quiet_after"), message, None);
            }
            if !rule.r#for.is_zero() {
                let message = format!("rule `{id}`: for has no effect on a button, which is told of at once");
                check.warning_at(at(check, "for"), message, None);
            }
        }
    }
}

/// A rule that could never be met would be worse than none.
fn never(rule: &SensorRuleSpec, key: &str, limit: f64, bound: &str, value: f64, check: &mut Checker<'_>) {
    let place = check.beside(rule.id.span, &format!("/{key}"));
    let message = format!(
        "rule `{}` can never be met: {key} is {limit}, and values beyond the quantity's {bound}, {value}, do not count",
        *rule.id
    );
    check.error_at(place, message, "both are in the reported unit".to_owned());
}

fn threshold(rule: &SensorRuleSpec, spec: &ThresholdSpec, quantity: &QuantitySpec, check: &mut Checker<'_>) {
    let id = &*rule.id;
    let at = |check: &Checker<'_>, key: &str| check.beside(rule.id.span, &format!("/{key}"));
    let Number(hysteresis) = spec.hysteresis;
    if hysteresis < 0.0 {
        check.error_at(at(check, "hysteresis"), format!("rule `{id}`: hysteresis must not be negative"), None);
    }
    let (above, below) = (spec.above.map(|limit| limit.0), spec.below.map(|limit| limit.0));
    match (above, below) {
        (None, None) => {
            let help = "write above = … or below = …, in the reported unit".to_owned();
            check.error_at(
                at(check, "kind"),
                format!("rule `{id}` has no limit: neither above nor below is there"),
                help,
            );
        }
        (Some(above), Some(below)) if above <= below => {
            let message = format!("rule `{id}`: every value is above {above} or below {below}");
            let help = "what lies between is in order, so above is the larger of the two".to_owned();
            check.error_at(at(check, "above"), message, help);
        }
        (Some(above), Some(below)) if above - below <= 2.0 * hysteresis => {
            let message =
                format!("rule `{id}`: hysteresis leaves nothing between {below} and {above} that is in order again");
            let help = "it must be less than half of what lies between the limits".to_owned();
            check.error_at(at(check, "hysteresis"), message, help);
        }
        _ => {}
    }
    if let (Some(above), Some(Number(max))) = (above, *quantity.quality.max)
        && above >= max
    {
        never(rule, "above", above, "max", max, check);
    }
    if let (Some(below), Some(Number(min))) = (below, *quantity.quality.min)
        && below <= min
    {
        never(rule, "below", below, "min", min, check);
    }
}

fn change(rule: &SensorRuleSpec, spec: &ChangeSpec, check: &mut Checker<'_>) {
    let id = &*rule.id;
    let at = |check: &Checker<'_>, key: &str| check.beside(rule.id.span, &format!("/{key}"));
    if spec.rise.is_none() && spec.fall.is_none() {
        let help = "write rise = … or fall = …, in the reported unit".to_owned();
        check.error_at(at(check, "kind"), format!("rule `{id}` has no limit: neither rise nor fall is there"), help);
    }
    for (key, limit) in [("rise", *spec.rise), ("fall", *spec.fall)] {
        if limit.is_some_and(|limit| limit.0 <= 0.0) {
            let help = "a fall is written as a positive number too".to_owned();
            check.error_at(at(check, key), format!("rule `{id}`: {key} must be more than 0"), help);
        }
    }
    if spec.within.is_zero() {
        check.error_at(at(check, "within"), format!("rule `{id}`: within must be more than 0s"), None);
    }
}

/// Silence must be longer than what lies between two readings.
pub(super) fn silence(
    what: &str,
    after: TimeSpan,
    poll_every: Option<TimeSpan>,
    place: crate::config::Place,
    check: &mut Checker<'_>,
) {
    let (least, most) = (TimeSpan::secs(1), TimeSpan::secs(30 * 86_400));
    if !(least..=most).contains(&after) {
        let message = format!("{what} must lie between {least} and {most}; {after} does not");
        return check.error_at(place, message, None);
    }
    let help = || Some("several times poll_every, so that one lost answer is no silence".to_owned());
    match poll_every {
        Some(every) if after <= every => {
            check.error_at(place, format!("{what} is {after}, but the sensor is only asked every {every}"), help());
        }
        Some(every) if after.0 < every.0 * 2 => {
            let message = format!("{what} is {after}, less than two polls of {every}: one lost answer is silence");
            check.warning_at(place, message, help());
        }
        _ => {}
    }
}
