//! Tables for people, and the same figures for programs.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::{
    contenders::{Contender, Threshold},
    measure::{OVER_AFTER, Run, Worth, worth},
    nab::corpus::Series,
};

/// What is published for NAB's whole corpus (58 series, 116 windows), each with the threshold that is best on it.
pub const PUBLISHED: [(&str, f64); 6] = [
    ("Numenta HTM", 70.1),
    ("Skyline", 58.2),
    ("Relative Entropy", 54.6),
    ("Random Cut Forest", 51.7),
    ("Windowed Gaussian", 39.6),
    ("random", 11.0),
];

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Series that were read.
    pub series: usize,
    /// Windows in them.
    pub windows: usize,
    /// Readings below the threshold after which an anomaly is over.
    pub over_after: u32,
    /// One a contender.
    pub contenders: Vec<Entry>,
}

/// What was measured of one contender.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// With the threshold it came with (a reference: with the best one).
    pub worth: Worth,
    /// The same with every row an alarm and with the threshold best for that, for references only: as they are published.
    pub as_published: Option<Worth>,
    /// With the threshold that is best on these series: what the frozen one leaves to be gained.
    pub at_best: Worth,
    /// By group of series.
    pub groups: Vec<(String, Worth)>,
    /// By halves of the series.
    pub halves: Halves,
    /// Microseconds a reading, one sensor alone.
    pub microseconds: f64,
    /// Microseconds a reading when many sensors take turns.
    pub microseconds_among_many: f64,
    /// Bytes of state.
    pub bytes: usize,
    /// By series.
    pub each: Vec<(String, Worth)>,
}

/// The series split in two halves (every other one): does a threshold chosen on one hold on the other?
#[derive(Debug, Serialize)]
pub struct Halves {
    /// Best threshold of the first half, judged there and on the second.
    pub first: (f64, f64, f64),
    /// Best threshold of the second half, judged there and on the first.
    pub second: (f64, f64, f64),
    /// Both halves' windows judged with the threshold chosen on the other half.
    pub crossed: f64,
}

impl Entry {
    /// Judges a run.
    pub fn new(contender: &Contender, series: &[Series], run: &Run, seconds_among_many: f64) -> Self {
        let mut groups: Vec<String> = series.iter().map(|series| group(series).to_owned()).collect();
        groups.dedup();
        let whole = |threshold, over_after| worth(series, run, threshold, over_after, |_, _| true);
        let result = whole(contender.threshold, OVER_AFTER);
        let frozen = Threshold::Frozen(result.threshold);
        let groups = groups
            .into_iter()
            .map(|name| {
                let worth = worth(series, run, frozen, OVER_AFTER, |_, series| group(series) == name);
                (name, worth)
            })
            .collect();
        let each = (0..series.len())
            .map(|chosen| {
                (series[chosen].name.clone(), worth(series, run, frozen, OVER_AFTER, |index, _| index == chosen))
            })
            .collect();
        Self {
            name: contender.name,
            as_published: (contender.threshold == Threshold::Best).then(|| whole(Threshold::Best, 0)),
            at_best: whole(Threshold::Best, OVER_AFTER),
            groups,
            halves: Halves::new(series, run),
            microseconds: run.seconds_per_reading * 1e6,
            microseconds_among_many: seconds_among_many * 1e6,
            bytes: run.bytes,
            each,
            worth: result,
        }
    }
}

impl Halves {
    fn new(series: &[Series], run: &Run) -> Self {
        let half = |threshold, parity| worth(series, run, threshold, OVER_AFTER, |index, _| index % 2 == parity);
        let (first, second) = (half(Threshold::Best, 0), half(Threshold::Best, 1));
        let second_by_first = half(Threshold::Frozen(first.threshold), 1);
        let first_by_second = half(Threshold::Frozen(second.threshold), 0);
        let windows = (second_by_first.windows + first_by_second.windows).max(1) as f64;
        let crossed = (second_by_first.nab * second_by_first.windows as f64
            + first_by_second.nab * first_by_second.windows as f64)
            / windows;
        Self {
            first: (first.threshold, first.nab, second_by_first.nab),
            second: (second.threshold, second.nab, first_by_second.nab),
            crossed,
        }
    }
}

fn group(series: &Series) -> &str {
    series.name.split_once('/').map_or("", |(group, _)| group)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} series, {} windows; one threshold a detector for all series; an anomaly is over after {} readings below it\n",
            self.series, self.windows, self.over_after
        )?;
        writeln!(
            f,
            "{:<18} {:>9} {:>6} {:>6} {:>6} {:>7} {:>6} {:>7} {:>6} {:>7} {:>7} {:>9} {:>6}",
            "",
            "threshold",
            "NAB",
            "low FP",
            "low FN",
            "hits",
            "false",
            "per day",
            "delay",
            "µs",
            "µs many",
            "bytes",
            "best"
        )?;
        for entry in &self.contenders {
            let worth = &entry.worth;
            writeln!(
                f,
                "{:<18} {:>9.4} {:>6.1} {:>6.1} {:>6.1} {:>7} {:>6} {:>7.3} {:>6} {:>7.2} {:>7.2} {:>9} {:>6.1}",
                entry.name,
                worth.threshold,
                worth.nab,
                worth.nab_low_false_alarms,
                worth.nab_low_misses,
                format!("{}/{}", worth.hits, worth.windows),
                worth.false_alarms,
                worth.false_alarms_per_day,
                worth.median_delay.map_or("-".into(), |delay| format!("{delay:.2}")),
                entry.microseconds,
                entry.microseconds_among_many,
                entry.bytes,
                entry.at_best.nab,
            )?;
            if let Some(published) = &entry.as_published {
                writeln!(
                    f,
                    "{:<18} {:>9.4} {:>6.1} {:>6.1} {:>6.1} {:>7} {:>6} {:>7.3}",
                    "  row by row",
                    published.threshold,
                    published.nab,
                    published.nab_low_false_alarms,
                    published.nab_low_misses,
                    format!("{}/{}", published.hits, published.windows),
                    published.false_alarms,
                    published.false_alarms_per_day,
                )?;
            }
        }
        f.write_str(
            "\nfalse: alarms outside of windows; per day: the mean of the series' own rates; delay: median, as a share of \
             the window\n(windows are centred on what happened: 0.5 is at once); best: with the threshold that is best on \
             these series.\nReferences are shown with the threshold that is best on these series.\n",
        )?;
        self.write_groups(f)?;
        self.write_halves(f)?;
        writeln!(f, "\nPublished for the whole corpus of 58 series (not comparable with a part of it):")?;
        let published: Vec<_> = PUBLISHED.iter().map(|(name, score)| format!("{name} {score}")).collect();
        writeln!(f, "{}", published.join(", "))
    }
}

impl Report {
    fn write_groups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.contenders.first() else { return Ok(()) };
        writeln!(f, "\nBy group: NAB's score (false alarms)")?;
        let mut line = format!("{:<18}", "");
        for (name, _) in &first.groups {
            write!(line, " {name:>22}")?;
        }
        writeln!(f, "{line}")?;
        for entry in &self.contenders {
            let mut line = format!("{:<18}", entry.name);
            for (_, worth) in &entry.groups {
                let cell = if worth.windows == 0 {
                    format!("- ({})", worth.false_alarms)
                } else {
                    format!("{:.1} ({})", worth.nab, worth.false_alarms)
                };
                write!(line, " {cell:>22}")?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }

    fn write_halves(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nCross-validation: the threshold best on one half of the series, judged on the other")?;
        writeln!(
            f,
            "{:<18} {:>9} {:>6} {:>9} {:>9} {:>6} {:>9} {:>8}",
            "", "first at", "there", "on second", "second at", "there", "on first", "crossed"
        )?;
        for entry in &self.contenders {
            let (first, second) = (entry.halves.first, entry.halves.second);
            writeln!(
                f,
                "{:<18} {:>9.4} {:>6.1} {:>9.1} {:>9.4} {:>6.1} {:>9.1} {:>8.1}",
                entry.name, first.0, first.1, first.2, second.0, second.1, second.2, entry.halves.crossed
            )?;
        }
        Ok(())
    }

    /// One line a series for one contender.
    pub fn each(&self, name: &str) -> String {
        let mut text = String::new();
        for (series, worth) in self.contenders.iter().filter(|entry| entry.name == name).flat_map(|entry| &entry.each) {
            let _ = writeln!(
                text,
                "{series:<58} hits {}/{} false {:>3} score {:>6.1}",
                worth.hits, worth.windows, worth.false_alarms, worth.nab
            );
        }
        text
    }
}
