//! What a replay heard, in figures.

use std::{collections::BTreeMap, fmt};

use jiff::{Timestamp, tz::TimeZone};
use snowgate_core::{
    ids::Id,
    sensor::{
        anomaly::ALARM_SCORE,
        reading::{Doubt, Quality},
        rules::spec::SensorRuleSpec,
        watch::Seen,
    },
};

use super::incident::{SensorIncident, rounded};

/// Readings by quality, and rules by what they found.
#[derive(Debug, Default)]
pub struct Summary {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    readings: u64,
    quantities: BTreeMap<Id, Heard>,
    rules: Vec<Rule>,
    zone: Option<TimeZone>,
}

/// Readings of one quantity.
#[derive(Debug, Default)]
struct Heard {
    qualities: BTreeMap<(Quality, Option<Doubt>), u64>,
    /// Least and greatest value that counted.
    values: Option<(f64, f64)>,
    /// Readings that were scored, those that scored as much as an alarm, and the highest score.
    scores: (u64, u64, f64),
}

/// What one rule found.
#[derive(Debug)]
struct Rule {
    id: Id,
    kind: &'static str,
    incidents: usize,
    open: usize,
    longest: f64,
}

impl Summary {
    /// A row that arrived then.
    pub fn row(&mut self, arrived: Timestamp) {
        self.first.get_or_insert(arrived);
        self.last = Some(arrived);
    }

    /// A reading and what was made of it.
    pub fn reading(&mut self, seen: &Seen) {
        self.readings += 1;
        let heard = self.quantities.entry(seen.reading.quantity.clone()).or_default();
        let verdict = seen.reading.verdict;
        *heard.qualities.entry((verdict.quality, verdict.why)).or_default() += 1;
        if verdict.counts() {
            let value = seen.reading.value;
            let (least, most) = heard.values.unwrap_or((value, value));
            heard.values = Some((least.min(value), most.max(value)));
        }
        if let Some(score) = seen.score {
            let (scored, alarming, highest) = heard.scores;
            heard.scores = (scored + 1, alarming + u64::from(score >= ALARM_SCORE), highest.max(score));
        }
    }

    /// All is heard: what the rules found, in the order in which they stand.
    pub fn finish(&mut self, rules: &[SensorRuleSpec], incidents: &[SensorIncident], zone: &TimeZone) {
        self.zone = Some(zone.clone());
        let last = self.last;
        let of = |spec: &SensorRuleSpec| {
            let found = || incidents.iter().filter(|incident| incident.rule == spec.id.value);
            let lasted = |incident: &SensorIncident| {
                let end = incident.ended.map(|ended| ended.at).or(last).unwrap_or(incident.opened.at);
                end.duration_since(incident.opened.at).as_secs_f64()
            };
            Rule {
                id: spec.id.value.clone(),
                kind: spec.kind.tag(),
                incidents: found().count(),
                open: found().filter(|incident| incident.ended.is_none()).count(),
                longest: found().map(lasted).fold(0.0, f64::max),
            }
        };
        self.rules = rules.iter().map(of).collect();
    }

    /// Readings heard.
    pub fn readings(&self) -> u64 {
        self.readings
    }

    fn days(&self) -> f64 {
        let span = self.first.zip(self.last).map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
        span / 86_400.0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(first), Some(last), Some(zone)) = (self.first, self.last, &self.zone) {
            let time = |time: Timestamp| time.to_zoned(zone.clone()).strftime("%F %T").to_string();
            writeln!(f, "\n{} to {}, {:.1} days, {} readings", time(first), time(last), self.days(), self.readings)?;
        }
        writeln!(f, "\n{:<20} {:<13} {:<14} {:>9}", "quantity", "quality", "why", "readings")?;
        for (id, heard) in &self.quantities {
            for ((quality, why), count) in &heard.qualities {
                let why = why.map_or("", Doubt::as_str);
                writeln!(f, "{id:<20} {quality:<13} {why:<14} {count:>9}", quality = quality.as_str())?;
            }
            if let Some((least, most)) = heard.values {
                write!(f, "{:<20} between {} and {}", "", rounded(least), rounded(most))?;
                let (scored, alarming, highest) = heard.scores;
                if scored > 0 {
                    write!(f, "; {alarming} of {scored} scored {ALARM_SCORE} or more, at most {highest:.2}")?;
                }
                writeln!(f)?;
            }
        }
        writeln!(
            f,
            "\n{:<20} {:<10} {:>9} {:>8} {:>6} {:>9}",
            "rule", "kind", "incidents", "per day", "open", "longest"
        )?;
        let days = self.days().max(1e-9);
        for rule in &self.rules {
            let per_day = rule.incidents as f64 / days;
            let longest = span(rule.longest);
            let (id, kind, incidents, open) = (rule.id.as_str(), rule.kind, rule.incidents, rule.open);
            writeln!(f, "{id:<20} {kind:<10} {incidents:>9} {per_day:>8.2} {open:>6} {longest:>9}")?;
        }
        Ok(())
    }
}

/// `90s`, `12m`, `5.5h`, `3.2d`.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0}s"),
        s if s < 7200.0 => format!("{:.0}m", s / 60.0),
        s if s < 172_800.0 => format!("{:.1}h", s / 3600.0),
        s => format!("{:.1}d", s / 86_400.0),
    }
}
