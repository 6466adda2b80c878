//! What can be told about schedules: `schedules.toml`.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    calendar::{
        Calendar,
        spec::{DateRange, Weekday, minutes, two_digits},
    },
    choice,
    ids::Id,
    incidents::spec::Names,
    spec,
    spec::{Located, Maybe, TimeSpan, written_as_text},
};

spec! {
    /// schedules.toml: times of the week and of the year that settings refer to by name. Times are the gateway's zone's.
    pub struct SchedulesSpec {
        /// Every schedule that settings may name.
        schedule: Vec<ScheduleSpec> = Vec::new(),
    }
}

spec! {
    /// A time that comes again and again. It holds while any of its windows does.
    pub struct ScheduleSpec {
        /// Name that settings refer to; unique among schedules.
        id: Located<Id>,
        /// What people call it.
        name: Maybe<Names> = Maybe::NONE,
        /// When it holds; at least one.
        window: Vec<WindowSpec>,
        /// Days on which no window starts: dates as in a window, or "holiday" for those of calendar.toml. A window that
        /// started the day before runs to its end.
        except: Vec<Except> = Vec::new(),
    }
}

spec! {
    /// A span of a day, or of a night: it belongs to the day on which it starts.
    ///
    /// A window whose `to` is not after its `from` ends on the day after. Where only one of them is the sun's, or one is
    /// sunrise and the other sunset, a window from an afternoon to a morning does; any other is one of a single day, and
    /// is left out on days on which it would end before it starts: "16:30" to "sunset" in December.
    pub struct WindowSpec {
        /// Days on which it starts: any of them will do.
        days: Located<Vec<Days>> = Located::nowhere(vec![Days::EveryDay]),
        /// When it starts: "22:00", "sunset", "sunset+30m", "sunrise-1h". At most six hours from the sun's.
        from: Located<TimeOfDay>,
        /// When it ends, likewise; "24:00" is the end of the day.
        to: Located<TimeOfDay>,
        /// Dates, or dates of every year, on which it starts: "2026-10-01/2026-10-07", "11-15/03-15". All if left out.
        dates: Vec<Dates> = Vec::new(),
    }
}

impl WindowSpec {
    /// Whether it ends on the day after the one on which it starts.
    pub fn is_overnight(&self) -> bool {
        match (*self.from, *self.to) {
            (TimeOfDay::Clock(from), TimeOfDay::Clock(to)) => to <= from,
            (TimeOfDay::Sun(event, from), TimeOfDay::Sun(other, to)) if event == other => to <= from,
            // Never by how the two compare on a date: windows would change from hours to a day with the seasons.
            (from, to) => !from.is_morning() && to.is_morning(),
        }
    }
}

choice! {
    /// Days on which a window starts.
    pub enum Days {
        /// Mondays, worked or not.
        Monday = "monday",
        /// Tuesdays.
        Tuesday = "tuesday",
        /// Wednesdays.
        Wednesday = "wednesday",
        /// Thursdays.
        Thursday = "thursday",
        /// Fridays.
        Friday = "friday",
        /// Saturdays.
        Saturday = "saturday",
        /// Sundays.
        Sunday = "sunday",
        /// Days that have working hours by calendar.toml, make-up workdays among them.
        Workday = "workday",
        /// Days that have none: ordinary weekends and holidays.
        DayOff = "day_off",
        /// Days that calendar.toml names as holidays.
        Holiday = "holiday",
        /// All.
        EveryDay = "every_day",
    }
}

impl Days {
    /// Whether a date is one of them.
    pub fn contain(self, date: Date, calendar: &Calendar) -> bool {
        match self {
            Self::EveryDay => true,
            Self::Holiday => calendar.is_holiday(date),
            Self::Workday => !calendar.hours(date).is_empty(),
            Self::DayOff => calendar.hours(date).is_empty(),
            weekday => weekday.as_str() == Weekday::of(date).as_str(),
        }
    }
}

choice! {
    /// What the sun does twice a day.
    pub enum SunEvent {
        /// Its upper limb appears at a level horizon.
        Sunrise = "sunrise",
        /// Its upper limb disappears at a level horizon.
        Sunset = "sunset",
    }
}

/// A time of day, as an operator writes it: `"22:00"`, `"24:00"`, `"sunset"`, `"sunset+30m"`, `"sunrise-1h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOfDay {
    /// What the clock shows, in minutes since midnight, 0 to 1440.
    Clock(u16),
    /// So many minutes after what the sun does, before it where negative; at most [`TimeOfDay::FURTHEST`].
    Sun(SunEvent, i16),
}

impl TimeOfDay {
    /// The longest time before or after what the sun does: six hours.
    pub const FURTHEST: TimeSpan = TimeSpan::secs(6 * 3600);

    /// Whether it comes before noon.
    fn is_morning(self) -> bool {
        match self {
            Self::Clock(minute) => minute < 12 * 60,
            Self::Sun(event, _) => event == SunEvent::Sunrise,
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Clock(minute) => write!(f, "{:02}:{:02}", minute / 60, minute % 60),
            Self::Sun(event, 0) => event.fmt(f),
            Self::Sun(event, offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(f, "{event}{sign}{}", TimeSpan::secs(u64::from(offset.unsigned_abs()) * 60))
            }
        }
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time of day; write it like \"22:00\", \"sunset\" or \"sunrise-1h 30m\"");
        if let Some(minute) = minutes(text) {
            return Ok(Self::Clock(minute));
        }
        let plain = text.trim();
        let after = |event: SunEvent| plain.strip_prefix(event.as_str()).map(|rest| (event, rest.trim_start()));
        let (event, rest) = after(SunEvent::Sunrise).or_else(|| after(SunEvent::Sunset)).ok_or_else(wrong)?;
        let (sign, span) = match rest.split_at_checked(1) {
            None if rest.is_empty() => return Ok(Self::Sun(event, 0)),
            Some(("+", span)) => (1, span),
            Some(("-", span)) => (-1, span),
            _ => return Err(wrong()),
        };
        let span: TimeSpan = span.parse().map_err(|_| wrong())?;
        if span > Self::FURTHEST {
            return Err(format!("{text:?} is more than {} from {event}", Self::FURTHEST));
        }
        if !span.as_millis().is_multiple_of(60_000) {
            return Err(format!("{text:?} is not a whole number of minutes from {event}"));
        }
        let minutes = i16::try_from(span.as_secs() / 60).map_err(|_| wrong())?;
        Ok(Self::Sun(event, sign * minutes))
    }
}

impl JsonSchema for TimeOfDay {
    fn schema_name() -> Cow<'static, str> {
        "TimeOfDay".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*(\d\d:\d\d|(sunrise|sunset)\s*([+-]\s*(\d+\s*(ms|s|m|min|h|d)\s*)+)?)\s*$",
            "examples": ["22:00", "sunset", "sunrise-1h"],
        })
    }
}

/// Dates as an operator writes them: once, `"2026-01-01"` or `"2026-10-01/2026-10-07"`, or every year, `"05-01"` or
/// `"11-15/03-15"`, over the turn of the year where the last comes before the first. First and last are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// Dates of certain years.
    Once(DateRange),
    /// Those of every year.
    Yearly {
        /// The first.
        first: DayOfYear,
        /// The last; of the next year where it comes before the first.
        last: DayOfYear,
    },
}

impl Dates {
    /// Whether a date is one of them.
    pub fn contain(self, date: Date) -> bool {
        match self {
            Self::Once(range) => range.contains(date),
            Self::Yearly { first, last } => {
                let day = DayOfYear::of(date);
                if first <= last { (first..=last).contains(&day) } else { first <= day || day <= last }
            }
        }
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(range) => range.fmt(f),
            Self::Yearly { first, last } if first == last => first.fmt(f),
            Self::Yearly { first, last } => write!(f, "{first}/{last}"),
        }
    }
}

impl FromStr for Dates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('/').unwrap_or((text, text));
        if let (Some(first), Some(last)) = (DayOfYear::read(first), DayOfYear::read(last)) {
            return Ok(Self::Yearly { first, last });
        }
        text.parse().map(Self::Once).map_err(|error| format!("{error}; every year's are written like \"11-15/03-15\""))
    }
}

const DATES_PATTERN: &str = r"(\d{4}-)?\d\d-\d\d\s*(/\s*(\d{4}-)?\d\d-\d\d)?";

impl JsonSchema for Dates {
    fn schema_name() -> Cow<'static, str> {
        "Dates".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!(r"^\s*{DATES_PATTERN}\s*$"),
            "examples": ["2026-01-01", "2026-10-01/2026-10-07", "11-15/03-15"],
        })
    }
}

/// A year that has every day there is.
const LEAP_YEAR: i16 = 2024;

/// A day of every year, `"11-15"`; the 29th of February in leap years only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayOfYear {
    month: i8,
    day: i8,
}

impl DayOfYear {
    /// That of a date.
    pub fn of(date: Date) -> Self {
        Self { month: date.month(), day: date.day() }
    }

    fn read(text: &str) -> Option<Self> {
        let (month, day) = text.trim().split_once('-')?;
        Date::new(LEAP_YEAR, two_digits(month)?, two_digits(day)?).ok().map(Self::of)
    }
}

impl fmt::Display for DayOfYear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

/// Days on which no window starts: `"holiday"`, or dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Except {
    /// Days that calendar.toml names as holidays.
    Holiday,
    /// Dates.
    Dates(Dates),
}

impl Except {
    /// Whether a date is one of them.
    pub fn contains(self, date: Date, calendar: &Calendar) -> bool {
        match self {
            Self::Holiday => calendar.is_holiday(date),
            Self::Dates(dates) => dates.contain(date),
        }
    }
}

impl fmt::Display for Except {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holiday => Days::Holiday.fmt(f),
            Self::Dates(dates) => dates.fmt(f),
        }
    }
}

impl FromStr for Except {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == Days::Holiday.as_str() { Ok(Self::Holiday) } else { text.parse().map(Self::Dates) }
    }
}

impl JsonSchema for Except {
    fn schema_name() -> Cow<'static, str> {
        "Except".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!(r"^\s*(holiday|{DATES_PATTERN})\s*$"),
            "examples": ["holiday", "2026-10-01/2026-10-07", "11-15/03-15"],
        })
    }
}

written_as_text!(TimeOfDay, "a time of day like \"22:00\" or \"sunset\"");
written_as_text!(Dates, "a date like \"2026-01-01\" or dates of every year like \"11-15/03-15\"");
written_as_text!(Except, "a date like \"2026-01-01\" or \"holiday\"");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_time_or_date_is_refused() {
        for wrong in
            ["", "8:30", "24:01", "noon", "sunset30m", "sunset+", "sunset+30", "sunset*2", "sunsets", "sunset＋1h"]
        {
            assert!(wrong.parse::<TimeOfDay>().unwrap_err().contains("no time of day"), "{wrong}");
        }
        assert!("sunset+6h 1m".parse::<TimeOfDay>().unwrap_err().contains("more than 6h from sunset"));
        assert!("sunrise-90s".parse::<TimeOfDay>().unwrap_err().contains("whole number of minutes"));
        for wrong in ["", "11-31", "1-5", "13-01", "11-15/2026-03-15", "11-15/", "holiday"] {
            assert!(wrong.parse::<Dates>().unwrap_err().contains("is no date"), "{wrong}");
        }
        let backwards = "2026-11-15/2026-03-15".parse::<Except>().unwrap_err();
        assert!(backwards.contains("ends before it starts; every year's are written like"), "{backwards}");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<TimeOfDay>().unwrap();
        assert_eq!(read("22:00"), TimeOfDay::Clock(1320));
        assert_eq!(read("24:00"), TimeOfDay::Clock(1440));
        assert_eq!(read(" sunset "), TimeOfDay::Sun(SunEvent::Sunset, 0));
        assert_eq!(read("sunset + 1h 30m"), TimeOfDay::Sun(SunEvent::Sunset, 90));
        assert_eq!(read("sunrise-6h"), TimeOfDay::Sun(SunEvent::Sunrise, -360));
        assert_eq!(read("sunrise-0m"), read("sunrise"));
    }

    #[test]
    fn a_season_may_run_over_the_turn_of_the_year() {
        let contains = |dates: &str, date: &str| dates.parse::<Dates>().unwrap().contain(date.parse().unwrap());
        for (date, heated) in [("2026-11-14", false), ("2026-11-15", true), ("2027-01-01", true), ("2028-03-16", false)]
        {
            assert_eq!(contains("11-15/03-15", date), heated, "{date}");
        }
        assert!(contains("06-01/08-31", "2031-07-15") && !contains("06-01/08-31", "2031-12-15"));
        assert!(contains("05-01", "2030-05-01") && !contains("05-01", "2030-05-02"));
        assert!(contains("02-01/02-29", "2027-02-28") && !contains("02-01/02-29", "2027-03-01"));
        assert!(contains("2026-10-01/2026-10-07", "2026-10-07") && !contains("2026-10-01/2026-10-07", "2027-10-07"));
    }

    #[test]
    fn windows_from_an_evening_to_a_morning_run_over_midnight() {
        let overnight = |from: &str, to: &str| {
            let time = |text: &str| Located::nowhere(text.parse().unwrap());
            let days = Located::nowhere(vec![Days::EveryDay]);
            WindowSpec { days, from: time(from), to: time(to), dates: Vec::new() }.is_overnight()
        };
        for (from, to) in [
            ("22:00", "06:00"),
            ("22:00", "21:59"),
            ("00:30", "00:00"),
            ("sunset", "sunrise"),
            ("sunset+30m", "sunset-30m"),
            ("sunset", "02:00"),
            ("12:00", "sunrise+1h"),
        ] {
            assert!(overnight(from, to), "{from} to {to}");
        }
        for (from, to) in [
            ("06:00", "22:00"),
            ("00:00", "24:00"),
            ("sunrise", "sunset"),
            ("sunset-30m", "sunset+30m"),
            ("sunset", "22:00"),
            ("16:30", "sunset"),
            ("06:30", "sunrise"),
            ("sunset-6h", "24:00"),
        ] {
            assert!(!overnight(from, to), "{from} to {to}");
        }
    }

    fn day_of_year() -> impl Strategy<Value = DayOfYear> {
        (1i8..=12, 1i8..=29).prop_map(|(month, day)| DayOfYear { month, day })
    }

    proptest! {
        #[test]
        fn times_and_dates_survive_printing(minute in 0u16..=1440, offset in -360i16..=360, first in day_of_year(), last in day_of_year()) {
            let (rise, set) = (TimeOfDay::Sun(SunEvent::Sunrise, offset), TimeOfDay::Sun(SunEvent::Sunset, offset));
            for time in [TimeOfDay::Clock(minute), rise, set] {
                prop_assert_eq!(time.to_string().parse::<TimeOfDay>().unwrap(), time);
            }
            let once = Dates::Once("2026-10-01/2026-10-07".parse().unwrap());
            for dates in [once, Dates::Yearly { first, last }, Dates::Yearly { first, last: first }] {
                prop_assert_eq!(dates.to_string().parse::<Dates>().unwrap(), dates);
                let except = Except::Dates(dates);
                prop_assert_eq!(except.to_string().parse::<Except>().unwrap(), except);
            }
            prop_assert_eq!(Except::Holiday.to_string().parse::<Except>().unwrap(), Except::Holiday);
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,30}", event in "(sunrise|sunset)?", rest in "[+-]?[ 0-9hmsd:/\u{e9}-]{0,25}") {
            for text in [text.clone(), format!("{event}{rest}"), format!("{event}{text}")] {
                let _ = (text.parse::<TimeOfDay>(), text.parse::<Dates>(), text.parse::<Except>());
            }
        }
    }
}
