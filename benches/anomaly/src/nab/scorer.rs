//! NAB's scorer: what alarms are worth that were raised for one series.
//!
//! After A. Lavin, S. Ahmad, *Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark*, ICMLA
//! 2015 (arXiv:1510.03336), in the form that NAB 1.0 and later compute it:
//!
//! - readings before the end of the probationary period count for nothing: `min(⌊0.15 · n⌋, 750)` rows;
//! - the first alarm in a window earns `tp · σ(y) / σ(−1)`, with `σ(y) = 2 / (1 + e^{5y}) − 1` and `y` running from −1 at
//!   the window's first row to `−1/width` at its last; further alarms in the window earn nothing;
//! - a window without an alarm costs `fn`;
//! - an alarm outside of windows costs `fp · |σ(y)|`, where `y` is its distance in rows from the last row of the window
//!   before it, in widths less one row; `1` from `y = 3` on and where no window came before;
//! - the sum over all series is set on a scale where a detector that never alarms has 0, and one that alarms once at the
//!   first row of each window has 100.
//!
//! Where this differs: the threshold is given, one for all series. NAB looks for the threshold that is best on the very
//! series it then reports, which flatters. Windows are given as rows; NAB finds them by exact equality of time stamps
//! (see [`rows_between`]). A window that lies wholly within the probationary period is left out of the scale too (there
//! is none in NAB's corpus).

use std::ops::RangeInclusive;

/// What hits, misses and false alarms weigh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Earned by an alarm at the first row of a window.
    pub true_positive: f64,
    /// Lost by an alarm far from any window.
    pub false_positive: f64,
    /// Lost by a window without an alarm.
    pub false_negative: f64,
}

impl Profile {
    /// NAB's `standard`.
    pub const STANDARD: Self = Self { true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 };
    /// NAB's `reward_low_FP_rate`.
    pub const LOW_FALSE_ALARMS: Self = Self { true_positive: 1.0, false_positive: 0.22, false_negative: 1.0 };
    /// NAB's `reward_low_FN_rate`.
    pub const LOW_MISSES: Self = Self { true_positive: 1.0, false_positive: 0.11, false_negative: 2.0 };
}

/// What the alarms of one series, or of many added up, were worth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The score before it is set on a scale.
    pub raw: f64,
    /// Windows that could be hit.
    pub windows: usize,
    /// For each window that was hit: where its first alarm stood, 0 at its first row, 1 at its last.
    pub hits: Vec<f64>,
    /// Alarms outside of windows, in rows.
    pub false_alarms: usize,
    /// Rows outside of windows and after the probationary period: where a false alarm could have been.
    pub quiet_rows: usize,
}

impl Outcome {
    /// Adds another series.
    pub fn add(&mut self, other: &Self) {
        self.raw += other.raw;
        self.windows += other.windows;
        self.hits.extend_from_slice(&other.hits);
        self.false_alarms += other.false_alarms;
        self.quiet_rows += other.quiet_rows;
    }

    /// The score on NAB's scale: 0 for no alarm at all, 100 for perfection. Without windows there is no such scale, and
    /// the answer is 0 for no alarm and less than 0 otherwise.
    pub fn normalised(&self, profile: Profile) -> f64 {
        let windows = self.windows as f64;
        let null = -profile.false_negative * windows;
        let span = (profile.true_positive + profile.false_negative) * windows.max(1.0);
        100.0 * (self.raw - null) / span
    }
}

/// Rows at the beginning that count for nothing.
pub fn probationary_rows(rows: usize) -> usize {
    const SHARE: f64 = 0.15;
    const MOST: f64 = 750.0;
    (SHARE * rows as f64).floor().min(MOST) as usize
}

/// NAB's scaled sigmoid: 0.987 at −1, 0 at 0, −1 from 3 on.
pub fn scaled_sigmoid(position: f64) -> f64 {
    if position >= 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

/// The rows from the first one at `first` to the first one at `last`, both in the clock that `times` are in. Where no
/// row is at that very time, the first row after `first`, and the last one before `last`. `None` where no row is between.
pub fn rows_between(times: &[f64], first: f64, last: f64) -> Option<RangeInclusive<usize>> {
    let row_at = |time: f64| times.iter().position(|&t| t == time);
    let first = row_at(first).or_else(|| times.iter().position(|&t| t > first))?;
    let last = row_at(last).or_else(|| times.iter().rposition(|&t| t < last))?;
    (first <= last).then_some(first..=last)
}

/// Judges the alarms of one series: one flag a row. `windows` are in order and do not overlap.
pub fn judge(alarms: &[bool], windows: &[RangeInclusive<usize>], profile: Profile) -> Outcome {
    let probation = probationary_rows(alarms.len());
    let mut outcome = Outcome::default();
    let best = scaled_sigmoid(-1.0);
    for window in windows.iter().filter(|window| *window.end() >= probation) {
        let (first, last) = (*window.start(), *window.end());
        let width = (last - first + 1) as f64;
        outcome.windows += 1;
        match (first.max(probation)..=last).find(|&row| alarms[row]) {
            Some(row) => {
                let position = -((last - row + 1) as f64) / width;
                outcome.raw += profile.true_positive * scaled_sigmoid(position) / best;
                outcome.hits.push(if width > 1.0 { (row - first) as f64 / (width - 1.0) } else { 0.0 });
            }
            None => outcome.raw -= profile.false_negative,
        }
    }
    let mut before: Option<&RangeInclusive<usize>> = None;
    let mut windows = windows.iter().peekable();
    for (row, alarm) in alarms.iter().enumerate() {
        while let Some(window) = windows.next_if(|window| *window.end() < row) {
            before = Some(window);
        }
        if row < probation || windows.peek().is_some_and(|window| window.contains(&row)) {
            continue;
        }
        outcome.quiet_rows += 1;
        if *alarm {
            let position = before.map_or(3.0, |window| {
                let (first, last) = (*window.start(), *window.end());
                // A window of one row makes this infinite: as far as can be.
                (row - last) as f64 / (last - first) as f64
            });
            outcome.raw += profile.false_positive * scaled_sigmoid(position);
            outcome.false_alarms += 1;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STANDARD: Profile = Profile::STANDARD;

    fn alarms_at(rows: usize, at: &[usize]) -> Vec<bool> {
        (0..rows).map(|row| at.contains(&row)).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn sigmoid_has_the_published_values() {
        for (position, value) in [(-1.0, 0.98661), (-0.5, 0.84828), (0.0, 0.0), (1.0, -0.98661), (3.0, -1.0)] {
            assert!((scaled_sigmoid(position) - value).abs() < 1e-5, "{position}");
        }
    }

    #[test]
    fn probation_is_a_share_with_a_limit() {
        assert_eq!(probationary_rows(0), 0);
        assert_eq!(probationary_rows(1000), 150);
        assert_eq!(probationary_rows(1127), 169);
        assert_eq!(probationary_rows(4032), 604);
        assert_eq!(probationary_rows(5000), 750);
        assert_eq!(probationary_rows(22_695), 750);
    }

    #[test]
    fn no_alarm_is_zero_and_the_first_row_of_every_window_is_a_hundred() {
        let windows = [200..=299, 500..=540];
        let null = judge(&alarms_at(1000, &[]), &windows, STANDARD);
        close(null.raw, -2.0);
        close(null.normalised(STANDARD), 0.0);
        let perfect = judge(&alarms_at(1000, &[200, 500]), &windows, STANDARD);
        close(perfect.raw, 2.0);
        close(perfect.normalised(STANDARD), 100.0);
        assert_eq!(perfect.hits, [0.0, 0.0]);
        assert_eq!(perfect.quiet_rows, 1000 - 150 - 100 - 41);
    }

    #[test]
    fn a_hit_counts_once_and_by_how_early() {
        let windows = [400..=499];
        // Row 449 stands at −(499 − 449 + 1) / 100 = −0.51.
        let expected = (2.0 / (1.0 + (-2.55f64).exp()) - 1.0) / (2.0 / (1.0 + (-5.0f64).exp()) - 1.0);
        close(judge(&alarms_at(1000, &[449]), &windows, STANDARD).raw, expected);
        close(judge(&alarms_at(1000, &[449, 450, 499]), &windows, STANDARD).raw, expected);
        // Even at the last row it is worth a little: −1/100, not 0.
        assert!(judge(&alarms_at(1000, &[499]), &windows, STANDARD).raw > 0.02);
    }

    #[test]
    fn a_false_alarm_costs_by_its_distance_from_the_window_before() {
        let windows = [400..=499];
        let hit = judge(&alarms_at(1000, &[400]), &windows, STANDARD).raw;
        let with = |row| judge(&alarms_at(1000, &[400, row]), &windows, STANDARD).raw - hit;
        close(with(300), -0.11);
        // 50 rows after a window of 100: y = 50/99.
        close(with(549), 0.11 * (2.0 / (1.0 + (5.0f64 * 50.0 / 99.0).exp()) - 1.0));
        close(with(900), -0.11);
        assert!(with(500) > -0.01, "right after the window it costs next to nothing");
        assert_eq!(judge(&alarms_at(1000, &[300, 549]), &windows, STANDARD).false_alarms, 2);
    }

    #[test]
    fn alarms_in_the_probationary_period_count_for_nothing() {
        let windows = [100..=199, 600..=699];
        let early = judge(&alarms_at(1000, &[20, 149, 100]), &windows, STANDARD);
        close(early.raw, -2.0);
        assert_eq!(early.false_alarms, 0);
        // The window reaches beyond the period, and an alarm there counts by its place in the whole window.
        assert_eq!(judge(&alarms_at(1000, &[149, 150]), &windows, STANDARD).hits.len(), 1);
        // One that ends in it is no window at all.
        assert_eq!(judge(&alarms_at(1000, &[]), &[100..=149, 600..=699], STANDARD).windows, 1);
    }

    #[test]
    fn profiles_weigh_misses_and_false_alarms() {
        let windows = [400..=499];
        close(judge(&alarms_at(1000, &[]), &windows, Profile::LOW_MISSES).raw, -2.0);
        close(judge(&alarms_at(1000, &[300]), &windows, Profile::LOW_FALSE_ALARMS).raw, -1.22);
        for profile in [STANDARD, Profile::LOW_MISSES, Profile::LOW_FALSE_ALARMS] {
            close(judge(&alarms_at(1000, &[400]), &windows, profile).normalised(profile), 100.0);
        }
    }

    #[test]
    fn windows_are_found_by_their_time_stamps() {
        let times = [0.0, 5.0, 10.0, 10.0, 15.0];
        assert_eq!(rows_between(&times, 5.0, 10.0), Some(1..=2));
        assert_eq!(rows_between(&times, 4.0, 12.0), Some(1..=3));
        assert_eq!(rows_between(&times, 15.0, 0.0), None);
        assert_eq!(rows_between(&times, 11.0, 14.0), None);
        assert_eq!(rows_between(&times, 16.0, 20.0), None);
    }

    proptest! {
        #[test]
        fn no_alarms_do_better_than_perfect_ones(alarms in prop::collection::vec(any::<bool>(), 1000)) {
            let windows = [200..=299, 500..=540];
            let outcome = judge(&alarms, &windows, STANDARD);
            prop_assert!(outcome.normalised(STANDARD) <= 100.0);
            prop_assert!(outcome.false_alarms <= outcome.quiet_rows);
        }

        #[test]
        fn one_more_false_alarm_never_helps(mut alarms in prop::collection::vec(any::<bool>(), 1000), row in 541usize..1000) {
            let windows = [200..=299, 500..=540];
            alarms[row] = false;
            let without = judge(&alarms, &windows, STANDARD).raw;
            alarms[row] = true;
            prop_assert!(judge(&alarms, &windows, STANDARD).raw < without);
        }
    }
}
