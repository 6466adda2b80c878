//! Scales and the round numbers on them.

use jiff::{Timestamp, tz::TimeZone};

/// Seconds between ticks that people find round.
const STEPS: [f64; 21] = [
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    7_776_000.0,
];
/// The most ticks on the axis of time.
const MOST_TIMES: f64 = 12.0;

/// Where a scale begins and ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The least.
    pub from: f64,
    /// The greatest; more than the least, or the same.
    pub to: f64,
}

impl Span {
    /// Around all of these, at least so long; 0 to 1 where there are none.
    pub fn of(values: impl Iterator<Item = f64>, least: f64) -> Self {
        let (from, to) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if from > to { Self { from: 0.0, to: 1.0 } } else { Self { from, to: to.max(from + least) } }
    }

    /// With a little room at either end.
    pub fn widened(self) -> Self {
        let room = match 0.05 * (self.to - self.from) {
            none if none <= 0.0 => (0.05 * self.from.abs()).max(1e-9),
            room => room,
        };
        Self { from: (self.from - room).max(f64::MIN), to: (self.to + room).min(f64::MAX) }
    }

    /// Where a value lies: 0 at the beginning, 1 at the end.
    pub fn share(self, value: f64) -> f64 {
        let share = (value / 2.0 - self.from / 2.0) / (self.to / 2.0 - self.from / 2.0);
        if share.is_finite() { share } else { 0.5 }
    }
}

/// At most so many round numbers within, each 1, 2 or 5 times a power of ten from the next, and how they are written.
pub fn ticks(span: Span, most: usize) -> Vec<(f64, String)> {
    let raw = (span.to - span.from) / most.max(1) as f64;
    if !(raw.is_finite() && raw > 0.0) {
        return vec![(span.from, format!("{:e}", span.from))];
    }
    let decade = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|step| *step >= raw);
    let step = step.unwrap_or(raw);
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let greatest = span.from.abs().max(span.to.abs());
    let digits = (greatest / step).log10().ceil().clamp(0.0, 16.0) as usize;
    // What is too long is written with an exponent, in as many digits as tell it from the next.
    let plain = greatest < 1e10 && decimals <= 6;
    let label = |value: f64| if plain { format!("{value:.decimals$}") } else { format!("{value:.digits$e}") };
    let first = (span.from / step).ceil();
    let values = (0..=most).map(|index| (first + index as f64) * step).take_while(|value| *value <= span.to);
    // No negative zero.
    values.map(|value| (value + 0.0, label(if value.abs() < step / 2.0 { 0.0 } else { value }))).collect()
}

/// Round times of the clock within, in seconds since 1970, and how they are written.
pub fn time_ticks(span: Span, zone: &TimeZone) -> Vec<(f64, String)> {
    let step = STEPS.into_iter().find(|step| (span.to - span.from) / step <= MOST_TIMES);
    let step = step.unwrap_or((span.to - span.from) / MOST_TIMES);
    let offset = zoned(span.from, zone).map_or(0.0, |time| f64::from(time.offset().seconds()));
    let first = ((span.from + offset) / step).ceil();
    let times = (0..=MOST_TIMES as u32).map(|index| (first + f64::from(index)) * step - offset);
    let format = match step {
        step if step >= 86_400.0 => "%m-%d",
        step if step >= 60.0 => "%m-%d %H:%M",
        _ => "%H:%M:%S",
    };
    let label = |second| Some((second, zoned(second, zone)?.strftime(format).to_string()));
    times.take_while(|second| *second <= span.to).filter_map(label).collect()
}

/// From when to when, for people.
pub fn days(span: Span, zone: &TimeZone) -> String {
    let time = |second| zoned(second, zone).map_or(String::new(), |time| time.strftime("%F %T").to_string());
    format!("{} to {}", time(span.from), time(span.to))
}

fn zoned(second: f64, zone: &TimeZone) -> Option<jiff::Zoned> {
    Some(Timestamp::from_second(second.round() as i64).ok()?.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round() {
        let labels = |from, to, most| ticks(Span { from, to }, most).into_iter().map(|(_, l)| l).collect::<Vec<_>>();
        assert_eq!(labels(0.0, 1.0, 2), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(-0.1, 3.9, 5), ["0", "1", "2", "3"]);
        assert_eq!(labels(2.013, 2.031, 5), ["2.015", "2.020", "2.025", "2.030"]);
        assert_eq!(labels(1e9, 1e9 + 4.0, 2), ["1000000000", "1000000002", "1000000004"]);
        assert_eq!(labels(0.0, 1e-9, 2), ["0.0e0", "5.0e-10", "1.0e-9"]);
    }

    #[test]
    fn times_are_those_of_the_clock_on_the_wall() {
        // 20:10 to 08:10 in Shanghai.
        let span = Span { from: 1_777_551_000.0, to: 1_777_594_200.0 };
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let labels: Vec<_> = time_ticks(span, &zone).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels.first().map(String::as_str), Some("04-30 21:00"));
        assert_eq!(labels.len(), 12);
    }

    proptest! {
        #[test]
        fn any_values_have_a_scale(values in prop::collection::vec(any::<f64>(), 0..5), most in 1usize..12) {
            let span = Span::of(values.iter().copied(), 0.0).widened();
            let ticks = ticks(span, most);
            prop_assert!(ticks.len() <= most + 1);
            for (value, _) in ticks {
                prop_assert!(span.share(value).is_finite());
            }
            let _ = time_ticks(Span::of(values.into_iter(), 1.0), &TimeZone::UTC);
        }
    }
}
