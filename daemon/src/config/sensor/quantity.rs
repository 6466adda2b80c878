//! Checks of what a sensor measures, whatever protocol delivers it.

use snowgate_core::{
    sensor::spec::QuantitySpec,
    spec::{Number, TimeSpan},
};

use super::Checker;

pub(super) fn check(quantity: &QuantitySpec, check: &mut Checker<'_>) {
    let (id, span) = (&*quantity.id, quantity.id.span);
    if let Some(wanted) = &*quantity.report_in
        && let Err(error) = quantity.unit.to(wanted)
    {
        let help = format!("limits and incidents are in report_in; the device sends {}", quantity.unit);
        check.error(wanted.span, format!("quantity `{id}`: {error}"), help);
    }
    if quantity.scale.0 == 0.0 {
        let help = "scale is what the device's number is multiplied by, 0.01 for hundredths".to_owned();
        check.error_at(check.beside(span, "/scale"), format!("quantity `{id}` is always the same: scale is 0"), help);
    }
    let quality = &quantity.quality;
    if let (Some(Number(min)), Some(Number(max))) = (*quality.min, *quality.max)
        && min >= max
    {
        let message = format!("quantity `{id}`: min ({min}) must be less than max ({max})");
        check.error_at(check.beside(span, "/min"), message, None);
    }
    if quality.max_change_per_hour.is_some_and(|most| most.0 <= 0.0) {
        let message = format!("quantity `{id}`: max_change_per_hour must be more than 0");
        let help = "a value that may not change at all is watched with a threshold rule".to_owned();
        check.error_at(check.beside(span, "/max_change_per_hour"), message, help);
    }
    let spans = [
        ("stuck_after", quality.stuck_after.unwrap_or(TimeSpan::secs(60))),
        ("stale_after", quality.stale_after),
        ("max_clock_skew", quality.max_clock_skew),
    ];
    for (key, value) in spans {
        let (least, most) = (TimeSpan::secs(1), TimeSpan::secs(366 * 86_400));
        if !(least..=most).contains(&value) {
            let message = format!("quantity `{id}`: {key} must lie between {least} and {most}; {value} does not");
            check.error_at(check.beside(span, &format!("/{key}")), message, None);
        }
    }
}
