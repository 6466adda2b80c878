//! Time limits: how long people may take over an incident, and the light that shows how much of it is used.
//!
//! A [`TimeLimit`] is what a category sets. A [`Deadline`] is one incident's: it keeps *when* the time began to count, was
//! suspended and resumed, and by how much it was extended, and from these the calendar gives the light and the due time.
//! Everything is stored with the incident, so a restart changes nothing.
//!
//! Lights and due times are wall times. While the wall clock is not synchronised no light changes and no due time is
//! told; [`Deadline::fill_in`] puts the times right when it is. Of times that an earlier boot wrote without knowing them
//! nothing can be told any more; they are taken as what counts least, since nobody should be late by a wrong clock.

mod timer;

use std::{iter, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::timer::LightTimer;
use super::spec::{CategorySpec, TimeBase};
use crate::{
    calendar::Calendar,
    choice,
    spec::{Fraction, Located, Span, TimeSpan},
    time::{Moment, Stamp, Synchronisation},
};

choice! {
    /// How much of the time limit is used.
    pub enum Light {
        /// Less than the category's yellow share, 80 % unless it says otherwise.
        Green = "green",
        /// From that share on.
        Yellow = "yellow",
        /// From the category's red share on, all of it unless it says otherwise.
        Red = "red",
    }
}

/// Within which time an incident must be handled, as its category sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredTimeLimit")]
pub struct TimeLimit {
    /// The time, in milliseconds.
    pub limit_ms: u64,
    /// Which time is counted.
    pub counted_in: TimeBase,
    /// Share of it from which the light is yellow, in thousandths.
    pub yellow_permille: u16,
    /// Share of it from which the light is red, in thousandths.
    pub red_permille: u16,
}

/// A time limit in the store; up to version 0.1.0 it was a number of milliseconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredTimeLimit {
    Milliseconds(u64),
    Whole { limit_ms: u64, counted_in: TimeBase, yellow_permille: u16, red_permille: u16 },
}

impl From<StoredTimeLimit> for TimeLimit {
    fn from(stored: StoredTimeLimit) -> Self {
        match stored {
            StoredTimeLimit::Milliseconds(limit_ms) => Self { limit_ms, ..Self::wall_time(Duration::ZERO) },
            StoredTimeLimit::Whole { limit_ms, counted_in, yellow_permille, red_permille } => {
                Self { limit_ms, counted_in, yellow_permille, red_permille }
            }
        }
    }
}

/// What is wrong with a category's time limit.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeLimitError {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub kind: TimeLimitErrorKind,
}

/// What can be wrong with a category's time limit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TimeLimitErrorKind {
    /// The light would never be green.
    #[error("a light that is yellow from 0 on is never green: yellow_from must be at least 0.001")]
    NeverGreen,
    /// The light would be red before it is yellow.
    #[error("yellow_from {yellow} must not be greater than red_from {red}")]
    RedBeforeYellow {
        /// The yellow share.
        yellow: f32,
        /// The red share.
        red: f32,
    },
    /// A limit without time.
    #[error("category `{category}` has a time limit of nothing: leave time_limit out where there is none")]
    NoTime {
        /// The category.
        category: String,
    },
    /// The calendar has not so much working time within [`Calendar::HORIZON`].
    #[error(
        "category `{category}` has a time limit of {limit} in working time, which the calendar does not reach in three years"
    )]
    BeyondCalendar {
        /// The category.
        category: String,
        /// Its limit.
        limit: TimeSpan,
    },
}

impl TimeLimit {
    /// A limit of so much wall time, yellow from 80 %, red when it is used up.
    pub fn wall_time(limit: Duration) -> Self {
        Self { limit_ms: millis(limit), counted_in: TimeBase::WallTime, yellow_permille: 800, red_permille: 1000 }
    }

    /// The limit of a category; `None` where it has none. `now` only serves to try the calendar out.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn of(
        category: &CategorySpec,
        calendar: &Calendar,
        now: Timestamp,
    ) -> Result<Option<Self>, Vec<TimeLimitError>> {
        let Some(limit) = *category.time_limit else { return Ok(None) };
        let read = Self {
            limit_ms: millis(*limit),
            counted_in: category.time_limit_in,
            yellow_permille: permille(&category.yellow_from),
            red_permille: permille(&category.red_from),
        };
        let name = || category.id.to_string();
        let mut errors = Vec::new();
        let mut wrong = |span, kind| errors.push(TimeLimitError { span, kind });
        if read.yellow_permille == 0 {
            wrong(category.yellow_from.span, TimeLimitErrorKind::NeverGreen);
        }
        if read.yellow_permille > read.red_permille {
            let (yellow, red) = (category.yellow_from.value.0, category.red_from.value.0);
            wrong(category.yellow_from.span, TimeLimitErrorKind::RedBeforeYellow { yellow, red });
        }
        if limit.is_zero() {
            wrong(category.id.span, TimeLimitErrorKind::NoTime { category: name() });
        } else if read.counted_in.instant_after(calendar, now, *limit).is_none() {
            wrong(category.id.span, TimeLimitErrorKind::BeyondCalendar { category: name(), limit });
        }
        if errors.is_empty() { Ok(Some(read)) } else { Err(errors) }
    }
}

impl TimeBase {
    /// Time of this kind between two instants; none where `to` is not after `from`.
    fn between(self, calendar: &Calendar, from: Timestamp, to: Timestamp) -> Duration {
        match self {
            Self::WallTime => Duration::try_from(to.duration_since(from)).unwrap_or_default(),
            Self::WorkingTime => calendar.working_time(from, to),
        }
    }

    /// The first instant at which so much time of this kind has passed since `from`, if there is one in sight.
    fn instant_after(self, calendar: &Calendar, from: Timestamp, passed: Duration) -> Option<Timestamp> {
        match self {
            Self::WallTime => from.checked_add(passed).ok(),
            Self::WorkingTime => calendar.instant_after(from, passed),
        }
    }
}

/// One incident's time limit as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    limit: TimeLimit,
    /// What was granted beyond the limit, in milliseconds.
    extended_by_ms: u64,
    /// When time began to count.
    counted_from: Stamp,
    /// What does not count, in the order in which it was said; only the last may be open. At most
    /// [`MOST_SUSPENSIONS`](Self::MOST_SUSPENSIONS) and one.
    suspensions: Vec<Suspension>,
    /// When it was stopped for good: the light stays as it was then.
    finished: Option<Stamp>,
    /// The light and the due time as last told.
    light: Light,
    due: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Suspension {
    from: Stamp,
    to: Option<Stamp>,
}

/// Why a deadline cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeadlineError {
    /// It is suspended already.
    #[error("the time limit is suspended already")]
    Suspended,
    /// There is nothing to resume.
    #[error("the time limit is not suspended")]
    Running,
    /// The incident is done with.
    #[error("the time limit has stopped for good")]
    Finished,
    /// More stops than are kept.
    #[error("the time limit has been stopped {} times already", Deadline::MOST_SUSPENSIONS)]
    TooManySuspensions,
    /// What it would be extended to is not known while the clock is not synchronised.
    #[error("the clock is not synchronised: tell by how much the time limit is extended, not until when")]
    TimesUnknown,
    /// The extension ends before the time limit does, or is over already.
    #[error("an extension must end after the time limit, and in the future")]
    NoLater,
    /// More time than ten years.
    #[error("the time limit would be extended by more than ten years")]
    ExtendedTooFar,
}

impl Deadline {
    /// How often it may be stopped and go on again: every time is stored. One more is kept for the [`stop`](Self::stop) after
    /// which it does not.
    pub const MOST_SUSPENSIONS: usize = 64;
    /// How far it may be extended in all.
    const MOST_EXTENSION_MS: u64 = 10 * 366 * 86_400_000;

    /// A deadline whose time counts from `counted_from` on. Its due time is known after the first [`turn`](Self::turn).
    pub fn new(limit: TimeLimit, counted_from: Stamp) -> Self {
        Self {
            limit,
            extended_by_ms: 0,
            counted_from,
            suspensions: Vec::new(),
            finished: None,
            light: Light::Green,
            due: None,
        }
    }

    /// Stops the time because people put the incident off (挂起): from `at` on it does not count. An `at` before what was said
    /// last is taken as that.
    ///
    /// # Errors
    /// It is suspended or finished, or was stopped too often.
    pub fn suspend(&mut self, at: Stamp) -> Result<(), DeadlineError> {
        self.not_stopped()?;
        if self.suspensions.len() >= Self::MOST_SUSPENSIONS {
            return Err(DeadlineError::TooManySuspensions);
        }
        self.stop(at)
    }

    /// Stops the time as [`suspend`](Self::suspend) does, because the incident is handled: what runs can always be stopped, so
    /// that no incident is left that cannot be closed. What may give way is [resuming](Self::resume) it.
    ///
    /// # Errors
    /// It is suspended or finished.
    pub fn stop(&mut self, at: Stamp) -> Result<(), DeadlineError> {
        self.not_stopped()?;
        self.suspensions.push(Suspension { from: at, to: None });
        Ok(())
    }

    /// Lets the time count again from `at` on.
    ///
    /// # Errors
    /// It is not suspended, or finished, or was stopped too often to be stopped once more.
    pub fn resume(&mut self, at: Stamp) -> Result<(), DeadlineError> {
        self.unfinished()?;
        let too_often = self.suspensions.len() > Self::MOST_SUSPENSIONS;
        match self.suspensions.last_mut() {
            Some(Suspension { to: None, .. }) if too_often => Err(DeadlineError::TooManySuspensions),
            Some(Suspension { to: to @ None, .. }) => {
                *to = Some(at);
                Ok(())
            }
            _ => Err(DeadlineError::Running),
        }
    }

    /// Grants so much time more (延期), of the kind that the limit counts, whenever that is said; the shares of the light
    /// are then shares of limit and extensions together.
    ///
    /// # Errors
    /// It is finished, or all extensions together are longer than ten years.
    pub fn extend(&mut self, by: Duration) -> Result<(), DeadlineError> {
        self.unfinished()?;
        let extended_by_ms = self.extended_by_ms.saturating_add(millis(by));
        if extended_by_ms > Self::MOST_EXTENSION_MS {
            return Err(DeadlineError::ExtendedTooFar);
        }
        self.extended_by_ms = extended_by_ms;
        Ok(())
    }

    /// Grants as much time more as moves the due time to `until`, or to the end of the working hours before it. While it is
    /// suspended that is the due time if it were resumed at `now`. An extension never takes time away.
    ///
    /// # Errors
    /// It is finished, its times are not known, `until` is not after `now` and the due time there is, or all extensions together
    /// are longer than ten years.
    pub fn extend_until(&mut self, until: Timestamp, now: Moment, calendar: &Calendar) -> Result<(), DeadlineError> {
        self.unfinished()?;
        if !now.synchronised || !self.is_known() {
            return Err(DeadlineError::TimesUnknown);
        }
        let resumed = self.open_suspension().map_or(Duration::ZERO, |suspension| {
            let from = suspension.from.moment.wall.max(now.wall);
            self.limit.counted_in.between(calendar, from, until)
        });
        let granted = self.used(calendar, until).saturating_add(resumed).saturating_sub(self.total());
        // What only makes up for time that was used before it was suspended grants none from now on.
        let grants_none = self.open_suspension().is_some() && resumed.is_zero();
        // Whole milliseconds, rather less than more: a little more may mean the next working day.
        if until <= now.wall || millis(granted) == 0 || grants_none {
            return Err(DeadlineError::NoLater);
        }
        self.extend(granted)
    }

    /// Stops the time for good, when the incident is handled or closed: the light stays as it is at `at`.
    ///
    /// # Errors
    /// It is finished already.
    pub fn finish(&mut self, at: Stamp) -> Result<(), DeadlineError> {
        self.unfinished()?;
        self.finished = Some(at);
        Ok(())
    }

    /// The limit without extensions.
    pub fn limit(&self) -> TimeLimit {
        self.limit
    }

    /// What was granted beyond the limit.
    pub fn extended_by(&self) -> Duration {
        Duration::from_millis(self.extended_by_ms)
    }

    /// Since when it is suspended, if it is.
    pub fn suspended_since(&self) -> Option<&Stamp> {
        self.open_suspension().map(|suspension| &suspension.from)
    }

    /// Whether its time has stopped for good.
    pub fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// The light as of the last [`turn`](Self::turn).
    pub fn light(&self) -> Light {
        self.light
    }

    /// When limit and extensions are used up, as of the last [`turn`](Self::turn). `None` while it is suspended, while the
    /// clock was never synchronised, and where the calendar has no such instant.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Brings light and due time up to `now`. Whether either has changed; neither does by an unsynchronised clock, or
    /// while a time of its own is not known.
    pub fn turn(&mut self, calendar: &Calendar, now: Moment) -> bool {
        if !now.synchronised || !self.is_known() {
            return false;
        }
        let light = self.light_at(calendar, now.wall);
        let due = if self.is_finished() { self.due } else { self.instant_of(calendar, self.total()) };
        let changed = (light, due) != (self.light, self.due);
        (self.light, self.due) = (light, due);
        changed
    }

    /// When the light, as of the last [`turn`](Self::turn), will change next. `None` if it will not by itself: red, suspended,
    /// finished, its times not known, or beyond what the calendar sees.
    pub fn next_turn(&self, calendar: &Calendar) -> Option<Timestamp> {
        let next = match self.light {
            Light::Green => self.share(self.limit.yellow_permille),
            Light::Yellow => self.share(self.limit.red_permille),
            Light::Red => return None,
        };
        if self.is_finished() || !self.is_known() { None } else { self.instant_of(calendar, next) }
    }

    /// Whether all of its times are wall times to rely on.
    pub fn is_known(&self) -> bool {
        self.stamps().all(|stamp| stamp.moment.synchronised)
    }

    /// Fills in its times once the clock is synchronised. Whether any was. Those of an earlier boot will never be known:
    /// time that may have counted before them does not.
    pub fn fill_in(&mut self, sync: &Synchronisation) -> bool {
        if self.is_known() {
            return false;
        }
        let put_right = |stamp: &mut Stamp, in_doubt: Stamp| {
            stamp.moment = sync.fill_in(&stamp.boot, stamp.moment);
            if !stamp.moment.synchronised {
                *stamp = in_doubt;
            }
        };
        // Time begins to count as late, and ceases to as early, as it may have.
        let latest = || Stamp { boot: sync.boot().clone(), moment: sync.known() };
        put_right(&mut self.counted_from, latest());
        let mut running_since = self.counted_from.clone();
        for Suspension { from, to } in &mut self.suspensions {
            put_right(from, running_since.clone());
            if let Some(to) = to {
                put_right(to, latest());
                running_since = to.clone();
            }
        }
        if let Some(finished) = &mut self.finished {
            put_right(finished, running_since);
        }
        true
    }

    fn unfinished(&self) -> Result<(), DeadlineError> {
        if self.is_finished() { Err(DeadlineError::Finished) } else { Ok(()) }
    }

    fn not_stopped(&self) -> Result<(), DeadlineError> {
        self.unfinished()?;
        if self.open_suspension().is_some() { Err(DeadlineError::Suspended) } else { Ok(()) }
    }

    fn open_suspension(&self) -> Option<&Suspension> {
        self.suspensions.last().filter(|suspension| suspension.to.is_none())
    }

    fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let suspensions =
            self.suspensions.iter().flat_map(|suspension| iter::once(&suspension.from).chain(&suspension.to));
        iter::once(&self.counted_from).chain(suspensions).chain(&self.finished)
    }

    /// Limit and extensions.
    fn total(&self) -> Duration {
        Duration::from_millis(self.limit.limit_ms.saturating_add(self.extended_by_ms))
    }

    fn share(&self, permille: u16) -> Duration {
        let millis = u128::from(self.limit.limit_ms.saturating_add(self.extended_by_ms));
        // Less than a `u64`, as no share is more than the whole.
        Duration::from_millis(u64::try_from(millis * u128::from(permille) / 1000).unwrap_or(u64::MAX))
    }

    /// The stretches of time that count, on the wall and in order; the last is open unless it is suspended.
    fn running(&self) -> impl Iterator<Item = (Timestamp, Option<Timestamp>)> {
        // Each is at or after the one before, whatever was said.
        let mut latest = Timestamp::MIN;
        let mut wall = move |stamp: &Stamp| {
            latest = latest.max(stamp.moment.wall);
            latest
        };
        let mut since = Some(wall(&self.counted_from));
        let mut suspensions = self.suspensions.iter();
        iter::from_fn(move || {
            let start = since?;
            let Some(suspension) = suspensions.next() else {
                since = None;
                return Some((start, None));
            };
            let end = wall(&suspension.from);
            since = suspension.to.as_ref().map(&mut wall);
            Some((start, Some(end)))
        })
    }

    fn used(&self, calendar: &Calendar, now: Timestamp) -> Duration {
        let counted = |(start, end): (Timestamp, Option<Timestamp>)| {
            self.limit.counted_in.between(calendar, start, end.unwrap_or(now).min(now))
        };
        self.running().map(counted).fold(Duration::ZERO, Duration::saturating_add)
    }

    fn light_at(&self, calendar: &Calendar, now: Timestamp) -> Light {
        let until = self.finished.as_ref().map_or(now, |finished| finished.moment.wall.min(now));
        let used = self.used(calendar, until);
        if used >= self.share(self.limit.red_permille) {
            Light::Red
        } else if used >= self.share(self.limit.yellow_permille) {
            Light::Yellow
        } else {
            Light::Green
        }
    }

    /// The first instant at which so much time is used. `None` while it is suspended before that, and beyond what the
    /// calendar sees.
    fn instant_of(&self, calendar: &Calendar, used: Duration) -> Option<Timestamp> {
        let base = self.limit.counted_in;
        let mut left = used;
        for (start, end) in self.running() {
            let Some(end) = end else { return base.instant_after(calendar, start, left) };
            let counted = base.between(calendar, start, end);
            if left <= counted {
                return base.instant_after(calendar, start, left);
            }
            left -= counted;
        }
        None
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn permille(share: &Located<Fraction>) -> u16 {
    // A fraction is 0 to 1.
    (f64::from(share.value.0) * 1000.0).round() as u16
}

#[cfg(test)]
mod tests;
