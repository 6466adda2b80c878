//! When something holds: at times of the week and of the year, by the clock or by the sun.
//!
//! A [`Schedule`] holds while any of its windows does. A window belongs to the day on which it starts, whether it ends on that
//! day or on the next: what is excepted, and which days of the week and dates it names, is asked of that day only.
//!
//! Where the zone's clock is put forward or back, windows start and end when it *first shows* their time or a later one, as
//! working hours do: a window within an hour that is skipped does not take place, and an hour that comes twice lasts two.
//!
//! [`holds`](Schedule::holds) and [`next_change`](Schedule::next_change) read the same sequence of spans, so they cannot
//! disagree. The first reads four days of it, and is cheap enough to be asked of every picture; the second reads as far as
//! it must, and [`Schedule::HORIZON`] at most.

pub mod spec;
pub mod sun;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::Arc,
    time::Duration,
};

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{Date, date},
};

use self::{
    spec::{Dates, Days, Except, ScheduleSpec, SunEvent, TimeOfDay, WindowSpec},
    sun::Position,
};
use crate::{calendar::Calendar, ids::Id, spec::Span};

/// A time that comes again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    windows: Vec<Window>,
    except: Vec<Except>,
    calendar: Arc<Calendar>,
}

/// Every schedule, by its id.
pub type Schedules = BTreeMap<Id, Arc<Schedule>>;

/// One thing that is wrong with a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleError {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub kind: ScheduleErrorKind,
}

/// What can be wrong with a schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleErrorKind {
    /// It has nothing that could hold.
    #[error("schedule `{0}` has no window, so it would never hold")]
    NoWindow(Id),
    /// A window has no day to start on.
    #[error("a window without days never holds: leave `days` out, and it starts every day")]
    NoDays,
    /// A window starts where no time of its day is left.
    #[error("a window cannot start at 24:00: let it start at 00:00 of the days after")]
    StartsAtEndOfDay,
    /// A window ends no later than it starts, on any day of the year.
    #[error("from {from} to {to} no time passes, on any day of the year; a whole day is from 00:00 to 24:00")]
    Empty {
        /// When it starts.
        from: TimeOfDay,
        /// When it ends.
        to: TimeOfDay,
    },
    /// A window waits for the sun, and nobody knows where.
    #[error("`{0}` needs to know where the gateway stands: its latitude and longitude are not given")]
    SunWithoutPosition(TimeOfDay),
}

impl Schedule {
    /// How far ahead a change is looked for: 400 days, so that what comes once a year is found.
    pub const HORIZON: Duration = Duration::from_secs(HORIZON_DAYS as u64 * 86_400);

    /// The schedule that a file describes, by the working days and in the zone of a calendar. `position` is where the sun is
    /// looked at, if that is known.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(
        spec: &ScheduleSpec,
        calendar: Arc<Calendar>,
        position: Option<Position>,
    ) -> Result<Self, Vec<ScheduleError>> {
        let mut errors = Vec::new();
        if spec.window.is_empty() {
            let kind = ScheduleErrorKind::NoWindow(spec.id.value.clone());
            errors.push(ScheduleError { span: spec.id.span, kind });
        }
        let windows = spec.window.iter().filter_map(|window| Window::new(window, &calendar, position, &mut errors));
        let windows = windows.collect();
        if errors.is_empty() { Ok(Self { windows, except: spec.except.clone(), calendar }) } else { Err(errors) }
    }

    /// Whether it holds at an instant. A window's start belongs to it, its end does not.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.spans(at, 0).take_while(|(start, _)| *start <= at).any(|(_, end)| at < end)
    }

    /// The first instant after `at` at which it holds while it does not at `at`, or the other way round. `None` if that lies
    /// beyond [`Self::HORIZON`].
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let horizon = at.saturating_add(Self::HORIZON).unwrap_or(Timestamp::MAX);
        let mut held_until = None;
        for (start, end) in self.spans(at, HORIZON_DAYS).filter(|(_, end)| at < *end) {
            if start > held_until.unwrap_or(at) {
                return Some(held_until.unwrap_or(start)).filter(|change| *change <= horizon);
            }
            held_until = held_until.max(Some(end));
        }
        held_until.filter(|change| *change <= horizon)
    }

    /// Spans in which it holds, by their starts: all that end after `at` and start no later than so many days after it,
    /// some others around them. They may overlap.
    fn spans(&self, at: Timestamp, days: usize) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let first = self.calendar.zone().to_datetime(at).date().saturating_sub(DAYS_BACK.days());
        let mut dates = iter::successors(Some(first), |date| date.tomorrow().ok()).take(days + DAYS_AROUND);
        let mut waiting = BTreeSet::new();
        let mut complete_before = Timestamp::MIN;
        iter::from_fn(move || {
            while waiting.first().is_none_or(|(start, _)| *start >= complete_before) {
                let Some(date) = dates.next() else { break };
                waiting.extend(self.spans_of(date));
                // A day of the sun, and six hours, may start on the day before; no further.
                complete_before = self.calendar.first_showing(date, 0).unwrap_or(complete_before);
            }
            waiting.pop_first()
        })
    }

    /// Spans of the windows that start on a date.
    fn spans_of(&self, date: Date) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let excepted = self.except.iter().any(|except| except.contains(date, &self.calendar));
        let windows = if excepted { &[] } else { self.windows.as_slice() };
        let starting = windows.iter().filter(move |window| window.starts_on(date, &self.calendar));
        starting.filter_map(move |window| window.span(date, &self.calendar))
    }
}

const HORIZON_DAYS: usize = 400;

/// A window ends less than three days after the start of its own: by the sun, a day may last until noon of the next by
/// the clock, and what ends six hours after the sunset of the day after is of the third.
const DAYS_BACK: i32 = 2;

/// Those, the day itself and the next, whose windows may start before it by the clock.
const DAYS_AROUND: usize = DAYS_BACK as usize + 2;

#[derive(Debug, Clone, PartialEq)]
struct Window {
    days: Vec<Days>,
    /// None stand for all.
    dates: Vec<Dates>,
    from: Edge,
    to: Edge,
    overnight: bool,
}

impl Window {
    fn new(
        spec: &WindowSpec,
        calendar: &Calendar,
        position: Option<Position>,
        errors: &mut Vec<ScheduleError>,
    ) -> Option<Self> {
        let before = errors.len();
        let mut wrong = |span, kind| errors.push(ScheduleError { span, kind });
        if spec.days.is_empty() {
            wrong(spec.days.span, ScheduleErrorKind::NoDays);
        }
        if *spec.from == TimeOfDay::Clock(24 * 60) {
            wrong(spec.from.span, ScheduleErrorKind::StartsAtEndOfDay);
        }
        let [from, to] = [&spec.from, &spec.to].map(|time| {
            let edge = Edge::new(time.value, position);
            if edge.is_none() {
                wrong(time.span, ScheduleErrorKind::SunWithoutPosition(time.value));
            }
            edge
        });
        let overnight = spec.is_overnight();
        let window = Self { days: spec.days.value.clone(), dates: spec.dates.clone(), from: from?, to: to?, overnight };
        if *spec.from == *spec.to || days_of_a_year().all(|date| window.span(date, calendar).is_none()) {
            wrong(spec.to.span, ScheduleErrorKind::Empty { from: *spec.from, to: *spec.to });
        }
        (errors.len() == before).then_some(window)
    }

    fn starts_on(&self, date: Date, calendar: &Calendar) -> bool {
        let is_named = self.dates.is_empty() || self.dates.iter().any(|dates| dates.contain(date));
        is_named && self.days.iter().any(|days| days.contain(date, calendar))
    }

    /// From when to when it would last if it started on a date; `None` if no time passes.
    fn span(&self, date: Date, calendar: &Calendar) -> Option<(Timestamp, Timestamp)> {
        let last = if self.overnight { date.tomorrow().ok()? } else { date };
        let (from, to) = (self.from.on(date, calendar)?, self.to.on(last, calendar)?);
        (from < to).then_some((from, to))
    }
}

/// Days of some year: the sun's times are the same in every other, to minutes.
fn days_of_a_year() -> impl Iterator<Item = Date> {
    iter::successors(Some(date(2026, 1, 1)), |date| date.tomorrow().ok()).take(365)
}

/// Where a window starts or ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Edge {
    /// Minutes since midnight by the clock.
    Clock(u16),
    /// What the sun does at a place, and how long after it.
    Sun(Position, SunEvent, SignedDuration),
}

impl Edge {
    /// `None` where the sun is meant and the place is not known.
    fn new(time: TimeOfDay, position: Option<Position>) -> Option<Self> {
        match time {
            TimeOfDay::Clock(minute) => Some(Self::Clock(minute)),
            TimeOfDay::Sun(event, offset) => {
                position.map(|position| Self::Sun(position, event, SignedDuration::from_mins(i64::from(offset))))
            }
        }
    }

    /// When it is on a date. `None` at the ends of all time.
    fn on(self, date: Date, calendar: &Calendar) -> Option<Timestamp> {
        match self {
            Self::Clock(minute) => calendar.first_showing(date, minute),
            Self::Sun(position, event, offset) => {
                let noon = calendar.first_showing(date, 12 * 60)?;
                position.when(event, noon)?.checked_add(offset).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests;
