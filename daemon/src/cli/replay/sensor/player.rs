//! Plays rows to a sensor's watch, under the rows' own clock, and keeps the book of what comes of it.

use std::{collections::HashMap, time::Duration};

use jiff::tz::TimeZone;
use snowgate_core::{
    ids::{CountedIds, Id},
    incidents::{Book, Incident, SensorSource, Source},
    rules::Change,
    sensor::{
        anomaly::Reason,
        reading::Sample,
        rules::{Alarm, spec::SensorRuleSpec},
        spec::QuantitySpec,
        watch::SensorWatch,
    },
    time::{Clock as _, ManualClock, Mono},
};

use super::{incident::SensorIncident, recording::Row, summary::Summary, trace::Trace};
use crate::cli::replay::ReplayError;

/// How often rules are asked the time, as live.
const TICK: Duration = Duration::from_secs(1);
/// In gaps so many times longer than that they are asked less often, so that no gap takes for ever.
const TICKS: u32 = 100_000;
/// More incidents than this are no use to anybody.
const MOST_INCIDENTS: usize = 100_000;

/// One sensor under a recording's clock.
pub struct Player {
    watch: SensorWatch,
    quantities: Vec<Id>,
    sources: HashMap<Id, Source<SensorSource>>,
    book: Book<CountedIds>,
    clock: ManualClock,
    /// The wall clock at the first row.
    start: jiff::Timestamp,
    incidents: Vec<Kept>,
    alarms: Vec<Alarm>,
    summary: Summary,
    traces: Vec<Trace>,
}

/// An incident as it stands, and why an anomaly was one.
struct Kept {
    incident: Incident,
    reason: Option<Reason>,
}

/// What has been played.
pub struct Played {
    /// In the order in which they were opened.
    pub incidents: Vec<SensorIncident>,
    /// Readings and rules in figures.
    pub summary: Summary,
    /// For each quantity: its course.
    pub traces: Vec<Trace>,
}

impl Player {
    /// One that has played nothing; `clock` stands at the first row. `sources` are by rule.
    pub fn new(
        watch: SensorWatch,
        quantities: &[QuantitySpec],
        sources: HashMap<Id, Source<SensorSource>>,
        book: Book<CountedIds>,
        clock: ManualClock,
    ) -> Self {
        Self {
            watch,
            quantities: quantities.iter().map(|quantity| quantity.id.value.clone()).collect(),
            sources,
            book,
            start: clock.now().wall,
            clock,
            incidents: Vec::new(),
            alarms: Vec::new(),
            summary: Summary::default(),
            traces: quantities.iter().map(|_| Trace::default()).collect(),
        }
    }

    /// Plays one row, after the time until it has passed.
    ///
    /// # Errors
    /// There are more incidents than anybody could want.
    pub fn hear(&mut self, row: &Row) -> Result<(), ReplayError> {
        self.pass_until(Mono(0) + Duration::try_from(row.at.duration_since(self.start)).unwrap_or_default());
        let arrived = self.clock.now();
        self.watch.it_is(arrived);
        self.summary.row(arrived.wall);
        for &(number, value) in &row.values {
            let sample = Sample { value, measured: Some(row.at), flagged: false };
            let Some(seen) = self.watch.hear(&self.quantities[number], sample, arrived, &mut self.alarms) else {
                continue;
            };
            self.summary.reading(&seen);
            let at = arrived.wall.as_duration().as_secs_f64();
            self.traces[number].push(at, seen.reading.value, seen.score, seen.reading.verdict.counts());
            self.enter(seen.reason);
        }
        if self.incidents.len() > MOST_INCIDENTS {
            return Err(ReplayError::Data(format!("more than {MOST_INCIDENTS} incidents: the rules do not fit")));
        }
        Ok(())
    }

    /// The recording is over; what is open stays so.
    pub fn finish(mut self, zone: &TimeZone, rules: &[SensorRuleSpec]) -> Played {
        let incidents: Vec<_> = self
            .incidents
            .iter()
            .filter_map(|Kept { incident, reason }| {
                let told = incident.origin.sensor()?;
                Some(SensorIncident::new(incident, told, *reason, zone))
            })
            .collect();
        self.summary.finish(rules, &incidents, zone);
        Played { incidents, summary: self.summary, traces: self.traces }
    }

    fn pass_until(&mut self, until: Mono) {
        let began = self.clock.mono();
        let mut now = began;
        loop {
            now = now + TICK.max(now.since(began) / TICKS);
            if now >= until {
                break;
            }
            self.clock.advance_to(now);
            self.watch.it_is(self.clock.now());
            self.watch.tick(now, &mut self.alarms);
            if !self.alarms.is_empty() {
                self.enter(None);
            }
        }
        self.clock.advance_to(until);
    }

    fn enter(&mut self, reason: Option<Reason>) {
        for alarm in self.alarms.drain(..) {
            let Some(source) = self.sources.get(&alarm.rule) else { continue };
            let Some(revision) = self.book.alarmed(source, &alarm, [], &self.clock) else { continue };
            let incident = revision.incident;
            let reason = reason.filter(|_| incident.rule_kind == "anomaly");
            // The one that is meant is among the last ones.
            match self.incidents.iter_mut().rfind(|kept| kept.incident.id == incident.id) {
                Some(kept) => kept.incident = incident,
                None if alarm.change == Change::Began => self.incidents.push(Kept { incident, reason }),
                None => {}
            }
        }
    }
}
