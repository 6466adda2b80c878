//! Working time: how much of it lies between two instants, and when so much of it has passed.
//!
//! A [`Calendar`] is a week of working hours, the holidays taken out of it and the days worked in exchange (调休上班), in
//! one time zone. Where that zone's clock is put forward or back, working hours start and end when the clock *first shows*
//! their time or a later one; so an hour that is skipped is not worked, and one that comes twice within working hours is
//! worked twice.
//!
//! [`working_time`](Calendar::working_time) and [`instant_after`](Calendar::instant_after) are exact inverses of each other,
//! to the nanosecond. Both walk day by day, and neither walks further than [`Calendar::HORIZON`]: a box whose clock says
//! 1970 costs no more than that.

pub mod spec;

use std::{collections::BTreeMap, iter, time::Duration};

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use self::spec::{CalendarSpec, DateRange, Hours, Weekday};
use crate::{
    incidents::spec::Names,
    spec::{Located, Span},
};

/// When people work.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    zone: TimeZone,
    /// Hours of each day of the week, from Monday; in order, none overlapping.
    week: [Vec<Hours>; 7],
    /// Ranges of days that are unlike their day of the week, by their first date; none overlapping.
    exceptions: BTreeMap<Date, Exception>,
}

#[derive(Debug, Clone, PartialEq)]
struct Exception {
    last: Date,
    name: Names,
    /// The day whose hours are worked; none on a holiday.
    works_like: Option<Weekday>,
}

/// One thing that is wrong with a calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct CalendarError {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub kind: CalendarErrorKind,
}

/// What can be wrong with a calendar.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalendarErrorKind {
    /// Two spans of one day share time.
    #[error("the hours {first} and {second} of {day} overlap")]
    OverlappingHours {
        /// The day.
        day: Weekday,
        /// The span that starts first.
        first: Hours,
        /// The other.
        second: Hours,
    },
    /// A week without work, in which no limit would ever pass.
    #[error("no day of the week has working hours")]
    NoWorkingHours,
    /// A make-up workday takes its hours from a day off.
    #[error("`{name}` works like {day}, which has no hours: name a day that has")]
    MakeUpWithoutHours {
        /// The workday's English name.
        name: String,
        /// The day.
        day: Weekday,
    },
    /// A date stands twice, as two holidays or as a holiday and a workday.
    #[error("{date} belongs to `{name}` and to `{other}`")]
    DateTwice {
        /// The first date that both name.
        date: Date,
        /// English name of the one.
        name: String,
        /// English name of the one that was written first.
        other: String,
        /// Where that is written.
        first: Span,
    },
}

impl Calendar {
    /// How far ahead is looked: three years.
    pub const HORIZON: Duration = Duration::from_secs(HORIZON_DAYS as u64 * 86_400);

    /// The calendar that a file describes, in the gateway's zone.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(spec: &CalendarSpec, zone: TimeZone) -> Result<Self, Vec<CalendarError>> {
        let mut errors = Vec::new();
        let week = Weekday::ALL.map(|day| read_hours(day, spec.week.hours(day), &mut errors));
        if week.iter().all(Vec::is_empty) {
            errors.push(CalendarError { span: spec.week.monday.span, kind: CalendarErrorKind::NoWorkingHours });
        }
        let exceptions = read_exceptions(spec, &week, &mut errors);
        if errors.is_empty() { Ok(Self { zone, week, exceptions }) } else { Err(errors) }
    }

    /// The zone its times are in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The holiday or make-up workday that a date belongs to.
    pub fn name_of(&self, date: Date) -> Option<&Names> {
        self.exception(date).map(|exception| &exception.name)
    }

    /// Whether a date belongs to a holiday.
    pub fn is_holiday(&self, date: Date) -> bool {
        self.exception(date).is_some_and(|exception| exception.works_like.is_none())
    }

    /// Whether any holiday or make-up workday of a year is named: they are published a year at a time, and a calendar
    /// without them counts holidays as work.
    pub fn knows_year(&self, year: i16) -> bool {
        self.exceptions.iter().any(|(first, exception)| (first.year()..=exception.last.year()).contains(&year))
    }

    /// The working hours of a date, in order.
    pub fn hours(&self, date: Date) -> &[Hours] {
        let like = match self.exception(date) {
            Some(exception) => exception.works_like,
            None => Some(Weekday::of(date)),
        };
        like.map_or(&[], |day| &self.week[day as usize])
    }

    /// Working time between two instants; none where `to` is not after `from`. It is not counted beyond
    /// [`Self::HORIZON`] after `from`.
    pub fn working_time(&self, from: Timestamp, to: Timestamp) -> Duration {
        let to = to.min(horizon(from));
        self.spans(from)
            .take_while(|(start, _)| *start < to)
            .map(|(start, end)| between(start.max(from), end.min(to)))
            .sum()
    }

    /// The first instant, not before `from`, at which so much working time has passed since `from`. `None` if that lies
    /// beyond [`Self::HORIZON`].
    pub fn instant_after(&self, from: Timestamp, worked: Duration) -> Option<Timestamp> {
        let mut left = worked;
        if left.is_zero() {
            return Some(from);
        }
        for (start, end) in self.spans(from) {
            let start = start.max(from);
            let length = between(start, end);
            if left <= length {
                return start.checked_add(left).ok().filter(|instant| *instant <= horizon(from));
            }
            left -= length;
        }
        None
    }

    /// Spans of working time in order, none overlapping, from the first that may end after `from` to past the horizon.
    /// As first showings follow the order of the times shown, no day before that of `from` reaches beyond `from`.
    fn spans(&self, from: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let first = self.zone.to_datetime(from).date();
        let dates = iter::successors(Some(first), |date| date.tomorrow().ok()).take(HORIZON_DAYS + 2);
        dates.flat_map(move |date| self.hours(date).iter().filter_map(move |hours| self.span(date, *hours)))
    }

    fn span(&self, date: Date, hours: Hours) -> Option<(Timestamp, Timestamp)> {
        Some((self.first_showing(date, hours.from_minute())?, self.first_showing(date, hours.to_minute())?))
    }

    /// The first instant at which the zone's clock shows this minute of a date or a later time; minute 1440 is the next
    /// date's first. `None` at the end of all time.
    pub(crate) fn first_showing(&self, date: Date, minute: u16) -> Option<Timestamp> {
        let shown = at_minute(date, minute)?;
        let ambiguous = self.zone.to_ambiguous_timestamp(shown);
        let AmbiguousOffset::Gap { before, .. } = ambiguous.offset() else {
            return ambiguous.earlier().ok();
        };
        // By the offset that was in force before the gap, a time within it lies behind the instant of the change.
        let behind = before.to_timestamp(shown).ok()?.checked_add(Duration::from_nanos(1)).ok()?;
        self.zone.preceding(behind).next().map(|change| change.timestamp())
    }

    fn exception(&self, date: Date) -> Option<&Exception> {
        let (_, exception) = self.exceptions.range(..=date).next_back()?;
        (date <= exception.last).then_some(exception)
    }
}

/// Days of three years, with at most one leap day more than there are.
const HORIZON_DAYS: usize = 3 * 366;

fn horizon(from: Timestamp) -> Timestamp {
    from.saturating_add(Calendar::HORIZON).unwrap_or(Timestamp::MAX)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// A minute of a date; minute 1440 is the next date's first.
fn at_minute(date: Date, minute: u16) -> Option<DateTime> {
    date.at(0, 0, 0, 0).checked_add(Duration::from_secs(u64::from(minute) * 60)).ok()
}

fn read_hours(day: Weekday, spec: &Located<Vec<Hours>>, errors: &mut Vec<CalendarError>) -> Vec<Hours> {
    let mut hours = spec.value.clone();
    hours.sort_unstable();
    for pair in hours.windows(2) {
        if pair[1].from_minute() < pair[0].to_minute() {
            let kind = CalendarErrorKind::OverlappingHours { day, first: pair[0], second: pair[1] };
            errors.push(CalendarError { span: spec.span, kind });
        }
    }
    hours
}

fn read_exceptions(
    spec: &CalendarSpec,
    week: &[Vec<Hours>; 7],
    errors: &mut Vec<CalendarError>,
) -> BTreeMap<Date, Exception> {
    let mut read = ExceptionReader::default();
    for holiday in &spec.holiday {
        read.add(&holiday.dates, &holiday.name, None, errors);
    }
    for workday in &spec.make_up_workday {
        let day = workday.works_like;
        if week[day as usize].is_empty() {
            let kind = CalendarErrorKind::MakeUpWithoutHours { name: workday.name.en.clone(), day };
            errors.push(CalendarError { span: workday.dates.span, kind });
        }
        read.add(&workday.dates, &workday.name, Some(day), errors);
    }
    read.exceptions
}

#[derive(Default)]
struct ExceptionReader {
    exceptions: BTreeMap<Date, Exception>,
    /// Where each is written, by its first date.
    places: BTreeMap<Date, Span>,
}

impl ExceptionReader {
    fn add(
        &mut self,
        dates: &Located<DateRange>,
        name: &Names,
        works_like: Option<Weekday>,
        errors: &mut Vec<CalendarError>,
    ) {
        // Those there are do not overlap, so the last that starts within or before the range is the only one that may.
        let before = self.exceptions.range(..=dates.last()).next_back();
        if let Some((first, other)) = before.filter(|(_, other)| other.last >= dates.first()) {
            let kind = CalendarErrorKind::DateTwice {
                date: dates.first().max(*first),
                name: name.en.clone(),
                other: other.name.en.clone(),
                first: self.places.get(first).copied().unwrap_or_default(),
            };
            errors.push(CalendarError { span: dates.span, kind });
            return;
        }
        self.places.insert(dates.first(), dates.span);
        self.exceptions.insert(dates.first(), Exception { last: dates.last(), name: name.clone(), works_like });
    }
}

#[cfg(test)]
mod tests;
