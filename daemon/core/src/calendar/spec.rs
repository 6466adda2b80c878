//! What can be told about working time: `calendar.toml`.

use std::{fmt, str::FromStr};

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    choice,
    incidents::spec::Names,
    spec,
    spec::{Located, all_defaults, written_as_text},
};

spec! {
    /// calendar.toml: when people work; time limits in working time count nothing else. Times are the gateway's zone's.
    pub struct CalendarSpec {
        /// Working hours of an ordinary week.
        week: WeekSpec = all_defaults(),
        /// Days off, whatever day of the week they are.
        holiday: Vec<HolidaySpec> = Vec::new(),
        /// Days that are worked though they would be off (调休上班).
        make_up_workday: Vec<MakeUpWorkdaySpec> = Vec::new(),
    }
}

spec! {
    /// Working hours of the seven days, each a list of spans like "08:30-12:00"; an empty list is a day off.
    pub struct WeekSpec {
        /// Monday's.
        monday: Located<Vec<Hours>> = office_hours(),
        /// Tuesday's.
        tuesday: Located<Vec<Hours>> = office_hours(),
        /// Wednesday's.
        wednesday: Located<Vec<Hours>> = office_hours(),
        /// Thursday's.
        thursday: Located<Vec<Hours>> = office_hours(),
        /// Friday's.
        friday: Located<Vec<Hours>> = office_hours(),
        /// Saturday's.
        saturday: Located<Vec<Hours>> = Located::nowhere(Vec::new()),
        /// Sunday's.
        sunday: Located<Vec<Hours>> = Located::nowhere(Vec::new()),
    }
}

spec! {
    /// Days off.
    pub struct HolidaySpec {
        /// What people call it.
        name: Names,
        /// Its date, "2026-01-01", or first and last date, "2026-10-01/2026-10-07".
        dates: Located<DateRange>,
    }
}

spec! {
    /// Days worked in exchange for a holiday.
    pub struct MakeUpWorkdaySpec {
        /// What people call it.
        name: Names,
        /// Its date, "2026-02-14", or first and last date, "2026-02-14/2026-02-15".
        dates: Located<DateRange>,
        /// The day of the week whose hours are worked.
        works_like: Weekday = Weekday::Monday,
    }
}

choice! {
    /// A day of the week.
    pub enum Weekday {
        /// Monday.
        Monday = "monday",
        /// Tuesday.
        Tuesday = "tuesday",
        /// Wednesday.
        Wednesday = "wednesday",
        /// Thursday.
        Thursday = "thursday",
        /// Friday.
        Friday = "friday",
        /// Saturday.
        Saturday = "saturday",
        /// Sunday.
        Sunday = "sunday",
    }
}

impl Weekday {
    /// The seven days, from Monday.
    pub const ALL: [Self; 7] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    /// The day of the week of a date.
    pub fn of(date: Date) -> Self {
        Self::ALL[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())]
    }
}

impl WeekSpec {
    /// The hours of a day of the week.
    pub fn hours(&self, day: Weekday) -> &Located<Vec<Hours>> {
        match day {
            Weekday::Monday => &self.monday,
            Weekday::Tuesday => &self.tuesday,
            Weekday::Wednesday => &self.wednesday,
            Weekday::Thursday => &self.thursday,
            Weekday::Friday => &self.friday,
            Weekday::Saturday => &self.saturday,
            Weekday::Sunday => &self.sunday,
        }
    }
}

/// 08:30–12:00 and 13:30–17:30.
fn office_hours() -> Located<Vec<Hours>> {
    let hours = |from: u16, to: u16| Hours { from, to };
    Located::nowhere(vec![hours(8 * 60 + 30, 12 * 60), hours(13 * 60 + 30, 17 * 60 + 30)])
}

/// A span of one day, as an operator writes it: `"08:30-12:00"`. It never crosses midnight, and is never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    from: u16,
    to: u16,
}

impl Hours {
    /// Its start in minutes since midnight, 0 to 1439.
    pub fn from_minute(self) -> u16 {
        self.from
    }

    /// Its end in minutes since midnight, 1 to 1440, greater than its start.
    pub fn to_minute(self) -> u16 {
        self.to
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no span of a day; write it like \"08:30-12:00\"");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
        if from < to {
            Ok(Self { from, to })
        } else {
            Err(format!(
                "{text:?} ends before it starts; a shift over midnight is two spans, \"22:00-24:00\" and \"00:00-06:00\" of the day after"
            ))
        }
    }
}

/// Minutes since midnight of `08:30`; `24:00` is the end of the day.
pub(crate) fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u16, u16) = (two_digits(hour)?, two_digits(minute)?);
    (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
}

/// A number that is written with exactly two digits.
pub(crate) fn two_digits<T: FromStr>(text: &str) -> Option<T> {
    (text.len() == 2 && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse().ok())?
}

impl JsonSchema for Hours {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hours".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*\d\d:\d\d\s*-\s*\d\d:\d\d\s*$", "examples": ["08:30-12:00"] })
    }
}

/// One date or several in a row, as an operator writes them: `"2026-01-01"`, `"2026-10-01/2026-10-07"` (both included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    first: Date,
    last: Date,
}

impl DateRange {
    /// The first date.
    pub fn first(self) -> Date {
        self.first
    }

    /// The last date, the first or a later one.
    pub fn last(self) -> Date {
        self.last
    }

    /// Whether it includes a date.
    pub fn contains(self, date: Date) -> bool {
        (self.first..=self.last).contains(&date)
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}/{}", self.first, self.last) }
    }
}

impl FromStr for DateRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let date = |part: &str| {
            let wrong = || format!("{text:?} is no date; write it like \"2026-01-01\" or \"2026-10-01/2026-10-07\"");
            // Only the form that people write: the parser takes others too.
            let plain = part.trim();
            if plain.len() != 10 {
                return Err(wrong());
            }
            plain.parse::<Date>().map_err(|_| wrong())
        };
        let (first, last) = match text.split_once('/') {
            Some((first, last)) => (date(first)?, date(last)?),
            None => (date(text)?, date(text)?),
        };
        if last < first {
            return Err(format!("{text:?} ends before it starts"));
        }
        // A longer holiday is a mistyped year.
        if last.duration_since(first).as_hours() >= 366 * 24 {
            return Err(format!("{text:?} is longer than a year"));
        }
        Ok(Self { first, last })
    }
}

impl JsonSchema for DateRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DateRange".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*\d{4}-\d\d-\d\d\s*(/\s*\d{4}-\d\d-\d\d\s*)?$",
            "examples": ["2026-01-01", "2026-10-01/2026-10-07"],
        })
    }
}

written_as_text!(Hours, "a span of a day like \"08:30-12:00\"");
written_as_text!(DateRange, "a date like \"2026-01-01\"");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_span_or_date_is_refused() {
        for wrong in ["", "8:30-12:00", "08:30", "08:60-12:00", "12:00-24:01", "+8:30-12:00", "08:30–12:00"] {
            assert!(wrong.parse::<Hours>().unwrap_err().contains("no span of a day"), "{wrong}");
        }
        assert!("22:00-06:00".parse::<Hours>().unwrap_err().contains("over midnight"));
        for wrong in ["", "2026-02-30", "2026-1-1", "20260101", "2026-10-01/", "2026-10-01T00:00/2026-10-07"] {
            assert!(wrong.parse::<DateRange>().unwrap_err().contains("is no date"), "{wrong}");
        }
        assert!("2026-10-07/2026-10-01".parse::<DateRange>().unwrap_err().contains("ends before"));
        assert!("2026-10-01/2062-10-07".parse::<DateRange>().unwrap_err().contains("longer than a year"));
    }

    proptest! {
        #[test]
        fn spans_survive_printing(from in 0u16..1440, length in 1u16..1440) {
            let hours = Hours { from, to: (from + length).min(1440) };
            prop_assert_eq!(hours.to_string().parse::<Hours>().unwrap(), hours);
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,30}") {
            let _ = (text.parse::<Hours>(), text.parse::<DateRange>());
        }
    }
}
