//! What a row of the table says, and whether it is well.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

/// The most memory the daemon may hold at any moment of any row, resident, shared libraries included.
pub const MEMORY_BOUND: u64 = 256 << 20;

/// What became of one kind of fault.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The fault.
    pub fault: String,
    /// Times it was injected.
    pub injected: u64,
    /// Incidents committed.
    pub produced: u64,
    /// Revisions of them.
    pub events: u64,
    /// Incidents of which every revision arrived.
    pub delivered: u64,
    /// Revisions that did not arrive, and of which nobody said that they would not.
    pub lost: u64,
    /// Revisions that did not arrive and whose loss was announced.
    pub announced: u64,
    /// Events that arrived again, byte by byte the same.
    pub duplicates: u64,
    /// From the end of each fault until everything produced up to then had arrived.
    pub recoveries: Vec<Duration>,
    /// The most resident bytes of the daemon.
    pub memory: u64,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// What is not as it should be.
    pub failures: Vec<String>,
    /// How long the row took.
    pub took: Duration,
}

impl Row {
    /// A row of which nothing is known but why there is nothing.
    pub fn failed(fault: &str, why: String) -> Self {
        Self { fault: fault.to_owned(), failures: vec![why], ..Self::default() }
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.failures.is_empty()
    }
}

/// A share of sorted durations, from 0 to 1.
pub fn quantile(durations: &[Duration], share: f64) -> Option<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    sorted.get((share * last as f64).round() as usize).copied()
}

/// The header of the table.
pub fn header() -> String {
    format!(
        "{:<46} {:>8} {:>9} {:>9} {:>6} {:>9} {:>10} {:>9} {:>9} {:>7}",
        "fault",
        "injected",
        "produced",
        "delivered",
        "lost",
        "announced",
        "duplicates",
        "recovery",
        "slowest",
        "memory"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |share| match quantile(&self.recoveries, share) {
            Some(duration) => format!("{:.2} s", duration.as_secs_f64()),
            None => "-".to_owned(),
        };
        let mut text = format!(
            "{:<46} {:>8} {:>9} {:>9} {:>6} {:>9} {:>10} {:>9} {:>9} {:>4} MB",
            self.fault,
            self.injected,
            self.produced,
            self.delivered,
            self.lost,
            self.announced,
            self.duplicates,
            seconds(0.5),
            seconds(1.0),
            self.memory >> 20,
        );
        for note in &self.notes {
            write!(text, "\n    {note}")?;
        }
        for failure in &self.failures {
            write!(text, "\n    FAILED: {}", failure.replace('\n', "\n    | "))?;
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_and_of_many() {
        let seconds: Vec<_> = (1..=101).rev().map(Duration::from_secs).collect();
        assert_eq!(quantile(&seconds, 0.5), Some(Duration::from_secs(51)));
        assert_eq!(quantile(&seconds, 1.0), Some(Duration::from_secs(101)));
        assert_eq!(quantile(&seconds, 0.99), Some(Duration::from_secs(100)));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_row_says_what_failed() {
        let row = Row::failed("a fault", "two\nlines".to_owned());
        assert!(!row.is_well());
        assert!(row.to_string().contains("FAILED: two\n    | lines"), "{row}");
        assert_eq!(row.to_string().lines().next().unwrap().chars().count(), header().chars().count());
    }
}
