//! Runs contenders over series and judges them.

use std::time::Instant;

use serde::Serialize;
use snowgate_core::sensor::anomaly::{Detector, LocalTime};

use crate::{
    contenders::{Contender, Threshold},
    nab::{
        corpus::Series,
        scorer::{Outcome, Profile, judge, probationary_rows},
    },
};

/// Readings below the threshold after which an anomaly is over: what a sensor's rule says if it says
/// nothing.
pub const OVER_AFTER: u32 = 100;

/// The scores of one contender on all series, and what they cost.
#[derive(Debug)]
pub struct Run {
    /// Score of each row of each series.
    pub scores: Vec<Vec<f64>>,
    /// Seconds a reading.
    pub seconds_per_reading: f64,
    /// Bytes of state at the end of the longest series.
    pub bytes: usize,
}

/// What a contender is worth on some series at one threshold.
#[derive(Debug, Clone, Serialize)]
pub struct Worth {
    /// Scores from here on were alarms.
    pub threshold: f64,
    /// NAB's score by the profile `standard`.
    pub nab: f64,
    /// NAB's score by the profile `reward_low_FP_rate`.
    pub nab_low_false_alarms: f64,
    /// NAB's score by the profile `reward_low_FN_rate`.
    pub nab_low_misses: f64,
    /// Labelled windows.
    pub windows: usize,
    /// Windows with an alarm in them.
    pub hits: usize,
    /// Alarms outside of windows.
    pub false_alarms: usize,
    /// The same for each day outside of windows, in the mean over all series.
    pub false_alarms_per_day: f64,
    /// Half of the hits came within this share of their window (NAB centres windows on what happened).
    pub median_delay: Option<f64>,
}

/// Feeds every series to a new detector of its own.
pub fn run(contender: &Contender, series: &[Series]) -> Run {
    let (mut spent, mut readings, mut bytes) = (0.0, 0, 0);
    let scores = series
        .iter()
        .map(|series| {
            let mut detector = contender.detector();
            let begin = Instant::now();
            let scores: Vec<f64> = (series.times.iter().zip(&series.values))
                .map(|(&unix, &value)| detector.observe(LocalTime { unix, utc_offset: 0 }, value))
                .collect();
            spent += begin.elapsed().as_secs_f64();
            readings += scores.len();
            bytes = bytes.max(detector.state_bytes());
            scores
        })
        .collect();
    Run { scores, seconds_per_reading: spent / readings.max(1) as f64, bytes }
}

/// The alarms of one series: rows with a score of `threshold` or more, after at least `over_after` rows below it. With 0
/// every such row is an alarm, which is how detectors without a memory of their alarms are published.
pub fn alarms(scores: &[f64], threshold: f64, over_after: u32) -> Vec<bool> {
    let mut lasts = 0;
    let alarm = |&score: &f64| {
        let anomalous = score >= threshold;
        let alarm = anomalous && lasts == 0;
        lasts = if anomalous { over_after } else { lasts.saturating_sub(1) };
        alarm
    };
    scores.iter().map(alarm).collect()
}

/// All series added up.
pub fn outcome<'a>(
    runs: impl Iterator<Item = (&'a Series, &'a Vec<f64>)>,
    threshold: f64,
    over_after: u32,
    profile: Profile,
) -> Outcome {
    let mut sum = Outcome::default();
    for (series, scores) in runs {
        sum.add(&judge(&alarms(scores, threshold, over_after), &series.windows, profile));
    }
    sum
}

/// What the scores of some of the series are worth; `chosen` says which.
pub fn worth(
    series: &[Series],
    run: &Run,
    threshold: Threshold,
    over_after: u32,
    chosen: impl Fn(usize, &Series) -> bool,
) -> Worth {
    let of = |(index, (series, scores)): (usize, (&'_ Series, &'_ Vec<f64>))| {
        chosen(index, series).then_some((index, scores.len()))
    };
    let chosen: Vec<_> = series.iter().zip(&run.scores).enumerate().filter_map(of).map(|(index, _)| index).collect();
    let pairs = || chosen.iter().map(|&index| (&series[index], &run.scores[index]));
    let threshold = match threshold {
        Threshold::Frozen(threshold) => threshold,
        Threshold::Best => best_threshold(pairs, over_after),
    };
    let by = |profile| outcome(pairs(), threshold, over_after, profile);
    let standard = by(Profile::STANDARD);
    let rates = pairs().map(|(series, scores)| {
        let alone = judge(&alarms(scores, threshold, over_after), &series.windows, Profile::STANDARD);
        alone.false_alarms as f64 / quiet_days(series, alone.quiet_rows)
    });
    let mut delays = standard.hits.clone();
    delays.sort_by(f64::total_cmp);
    Worth {
        threshold,
        nab: standard.normalised(Profile::STANDARD),
        nab_low_false_alarms: by(Profile::LOW_FALSE_ALARMS).normalised(Profile::LOW_FALSE_ALARMS),
        nab_low_misses: by(Profile::LOW_MISSES).normalised(Profile::LOW_MISSES),
        windows: standard.windows,
        hits: standard.hits.len(),
        false_alarms: standard.false_alarms,
        false_alarms_per_day: rates.sum::<f64>() / chosen.len().max(1) as f64,
        median_delay: delays.get(delays.len() / 2).copied(),
    }
}

/// Days that `quiet_rows` of a series stand for.
fn quiet_days(series: &Series, quiet_rows: usize) -> f64 {
    let span = series.times.last().zip(series.times.first()).map_or(0.0, |(last, first)| last - first);
    (span / 86_400.0 * quiet_rows as f64 / series.times.len().max(1) as f64).max(1e-9)
}

/// The threshold with the best standard score, out of 200: the greatest score, and every one 5 % further down the ranks.
fn best_threshold<'a, I: Iterator<Item = (&'a Series, &'a Vec<f64>)>>(pairs: impl Fn() -> I, over_after: u32) -> f64 {
    let counted = |(_, scores): (&Series, &'a Vec<f64>)| scores[probationary_rows(scores.len())..].iter().copied();
    let mut scores: Vec<f64> = pairs().flat_map(counted).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let ranks = (0..200).map(|step| 1.05f64.powi(step) as usize - 1).take_while(|&rank| rank < scores.len());
    let mut candidates: Vec<f64> = ranks.map(|rank| scores[rank]).collect();
    candidates.dedup();
    let nab = |threshold: f64| outcome(pairs(), threshold, over_after, Profile::STANDARD).raw;
    candidates.into_iter().max_by(|a, b| nab(*a).total_cmp(&nab(*b))).unwrap_or(1.0)
}

/// Seconds a reading when so many sensors take turns, so that none finds its state in the processor's caches.
pub fn seconds_among(contender: &Contender, sensors: usize, turns: usize) -> f64 {
    let mut detectors: Vec<_> = (0..sensors).map(|_| contender.detector()).collect();
    let mut sum = 0.0;
    // Every history is full before the clock is started.
    const FULL: usize = 2500;
    let mut value_at = |turn: usize, sensor: usize, detector: &mut Box<dyn Detector>| {
        let wave = ((turn + 7 * sensor) as f64 * std::f64::consts::TAU / 288.0).sin();
        let noise = ((turn * 31 + sensor * 17) as f64 * 0.618_033_988_749_895).fract();
        let at = LocalTime { unix: turn as f64 * 300.0, utc_offset: 28_800 };
        sum += detector.observe(at, 20.0 + 5.0 * wave + noise);
    };
    for (sensor, detector) in detectors.iter_mut().enumerate() {
        (0..FULL).for_each(|turn| value_at(turn, sensor, detector));
    }
    let begin = Instant::now();
    for turn in FULL..FULL + turns {
        for (sensor, detector) in detectors.iter_mut().enumerate() {
            value_at(turn, sensor, detector);
        }
    }
    let spent = begin.elapsed().as_secs_f64();
    std::hint::black_box(sum);
    spent / (sensors * turns) as f64
}

#[cfg(test)]
mod tests {
    use snowgate_core::{
        rules::Change,
        schedule::Schedules,
        sensor::{
            reading::Verdict,
            rules::{Heard, SensorRules, spec::SensorRuleSpec},
        },
        spec::read_table,
        time::Mono,
    };

    use super::*;

    #[test]
    fn one_anomaly_is_one_alarm() {
        let scores = [0.1, 0.6, 0.9, 0.2, 0.7, 0.4, 0.3, 0.5];
        assert_eq!(alarms(&scores, 0.5, 0), [false, true, true, false, true, false, false, true]);
        assert_eq!(alarms(&scores, 0.5, 2), [false, true, false, false, false, false, false, true]);
        assert_eq!(alarms(&scores, 0.5, 3), [false, true, false, false, false, false, false, false]);
    }

    #[test]
    fn alarms_are_those_of_a_sensors_rule() {
        let scores: Vec<f64> = (0..3000).map(|i| (f64::from(i * i) * 0.618).fract().powi(8)).collect();
        for (over_after, keys) in [(1, "over_after = 1"), (7, "over_after = 7"), (OVER_AFTER, "")] {
            let rule = format!("id = 'odd'\nquantity = 'level'\nkind = 'anomaly'\n{keys}");
            let rule: SensorRuleSpec = read_table(&mut toml_span::parse(&rule).unwrap()).unwrap();
            let mut rules = SensorRules::new([&rule], &Schedules::new(), Mono(0)).expect("a rule without a schedule");
            let quantity = "level".parse().unwrap();
            let begins = |(at, &score): (u64, &f64)| {
                let mut told = Vec::new();
                let verdict = Verdict::GOOD;
                let score = Some(score);
                rules.hear(&Heard { quantity: &quantity, value: 0.0, verdict, score, at: Mono(at) }, &mut told);
                told.iter().any(|alarm| alarm.change == Change::Began)
            };
            let expected: Vec<bool> = (0..).zip(&scores).map(begins).collect();
            assert_eq!(alarms(&scores, 0.5, over_after), expected);
        }
    }
}
